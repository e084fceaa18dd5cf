//! When producers count as dead: a lapsed lease alone proves nothing.

use std::time::{Duration, Instant};

use tidemark::{
    model::ending::Outcome,
    store::{AGAIN, ControlMessage, GRACE, PAUSE, Start},
};

use crate::heard::Heard;
use crate::world::{LONG, SHORT, World, done, id, pass, share, start, terminal, until};

pub async fn a_suspect_is_told_and_goes_on(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let mut producer = here.produce(&id("chat")).await;
    let told = Heard::Control(ControlMessage::Suspected {
        generation: producer.generation(),
    });
    assert_eq!(
        there.head(&id("chat")).await.doubt,
        None,
        "a lease that is valid for long"
    );
    producer.die().await;
    let doubt = there.head(&id("chat")).await.doubt;
    assert!(doubt.is_some_and(|doubt| doubt <= AGAIN), "{doubt:?}");
    here.heard.wait(&id("chat"), &told).await;
    assert_eq!(producer.renew(LONG).await, done(0));
    let head = there.head(&id("chat")).await;
    assert_eq!((head.terminal, head.doubt), (None, None));
    assert_eq!(producer.write(&["one"]).await, 1);
    let messages = here.heard.about(&id("chat"));
    assert_eq!(
        messages.iter().filter(|message| **message == told).count(),
        1,
        "told once"
    );
}

pub async fn a_lease_that_is_about_to_lapse_is_suspected_before(world: &World) {
    let engine = world.engine();
    let producer = engine.produce(&id("chat")).await;
    producer.renew(GRACE).await;
    let since = Instant::now();
    until("the producer is dead", async || {
        engine.head(&id("chat")).await.terminal
    })
    .await;
    let took = since.elapsed();
    assert!(
        took >= GRACE && took < GRACE * 2,
        "with its lease, not after it: {took:?}"
    );
}

pub async fn g5_chunks_prolong_a_lease_before_most_of_it_is_over(world: &World) {
    let engine = world.engine();
    let lease = Duration::from_secs(3);
    let mut producer = engine.produce_as(&id("chat"), Start { lease, ..start() }).await;
    producer.write(&["first"]).await;
    // A machine may be so busy that the look comes late.
    for turn in 0..5 {
        pass(lease / 3).await;
        producer.write(&["next"]).await;
        let left = engine.head(&id("chat")).await.lease_left;
        if left > lease * 4 / 5 {
            return;
        }
        assert!(turn < 4, "{left:?}");
    }
}

pub async fn nobody_is_dead_for_lack_of_looks(world: &World) {
    let engine = world.engine();
    let producer = engine.produce(&id("chat")).await;
    producer.die().await;
    assert!(engine.head(&id("chat")).await.doubt.is_some());
    // In a longer pause the store may have been away.
    pass(PAUSE + SHORT).await;
    let head = engine.head(&id("chat")).await;
    assert_eq!(head.terminal, None);
    let found = until("the producer is dead", async || {
        engine.head(&id("chat")).await.terminal
    })
    .await;
    assert_eq!(found, terminal(Outcome::Interrupted, "lease"));
}

pub async fn a_chunk_is_a_sign_of_life(world: &World) {
    let engine = world.engine();
    let mut first = engine.produce_as(&id("chat"), share()).await;
    first.renew(SHORT).await;
    let since = Instant::now();
    while since.elapsed() < GRACE + AGAIN {
        pass(SHORT).await;
        assert_eq!(engine.head(&id("chat")).await.terminal, None);
        let mut next = first.next();
        next.lease = SHORT;
        next.frame = Some(crate::world::frame(&["more"]));
        first.send(&next).await;
    }
}
