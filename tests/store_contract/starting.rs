//! `start`: generations, ordinals, and what to do about a live producer.

use tidemark::{
    model::ending::Outcome,
    store::{Appended, IfActive, IfEnded, Position, Start},
};

use crate::world::{World, chunks, code, done, id, numbered, owned, share, start, takeover, terminal};

pub async fn a_first_start_begins_at_zero(world: &World) {
    let engine = world.engine();
    let request = start();
    let started = engine.store.start(&id("chat"), &request).await.unwrap();
    assert_eq!(started.generation, request.generation);
    assert_eq!((started.ordinal, started.seq, started.stop), (1, 0, None));
}

pub async fn a_start_is_idempotent_by_its_producer(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    let again = engine
        .store
        .start(&producer.stream, &producer.start)
        .await
        .unwrap();
    assert_eq!(again, producer.started);
    producer.write(&["one"]).await;
    let later = engine
        .store
        .start(&producer.stream, &producer.start)
        .await
        .unwrap();
    assert_eq!(later, producer.started, "the same answer, not a new one");
    assert_eq!(producer.write(&["two"]).await, 2, "and nothing was begun");
}

pub async fn a_joiner_gets_its_own_answer_again(world: &World) {
    let engine = world.engine();
    let mut first = engine.produce_as(&id("chat"), share()).await;
    first.write(&["one", "two"]).await;
    let mut second = engine.produce_as(&id("chat"), share()).await;
    assert_eq!(second.started.seq, 2);
    second.write(&["three"]).await;
    let again = engine.store.start(&second.stream, &second.start).await.unwrap();
    assert_eq!(again.generation, second.started.generation);
    assert_eq!(again.ordinal, second.started.ordinal);
    assert!((2..=3).contains(&again.seq), "where it stood, or where it stands");
}

pub async fn a_live_stream_is_not_started_again(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    let second = engine.store.start(&id("chat"), &start()).await;
    assert_eq!(code(second), "ERR_ACTIVE");
    let joiner = engine.store.start(&id("chat"), &share()).await;
    assert_eq!(
        code(joiner),
        "ERR_ACTIVE",
        "one producer that does not share is enough"
    );
    assert_eq!(producer.write(&["still mine"]).await, 1);
}

pub async fn an_ended_stream_is_not_started_again_when_it_should_not(world: &World) {
    let engine = world.engine();
    let once = || Start {
        if_ended: IfEnded::Error,
        ..start()
    };
    let mut producer = engine.produce_as(&id("chat"), once()).await;
    producer.write(&["one"]).await;
    let live = engine.store.start(&id("chat"), &once()).await;
    assert_eq!(code(live), "ERR_ACTIVE");
    producer.complete().await;
    let ended = engine.store.start(&id("chat"), &once()).await;
    assert!(
        ended.as_ref().unwrap_err().to_string().contains("complete"),
        "{ended:?}"
    );
    assert_eq!(code(ended), "ERR_ENDED");
    let generation = producer.started.generation;
    let status = engine.status(&id("chat")).await.unwrap();
    assert_eq!((status.generation, status.last_seq), (generation.to_string(), 1));
    assert!(engine.store.start(&id("chat"), &start()).await.is_ok());

    // The lease of a producer that died is looked at before the answer.
    engine.produce(&id("dead")).await.die().await;
    assert_eq!(code(engine.store.start(&id("dead"), &once()).await), "ERR_ENDED");
}

pub async fn a_takeover_fences_the_old_producer(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let mut old = here.produce(&id("chat")).await;
    old.write(&["one", "two"]).await;
    let mut new = there.produce_as(&id("chat"), takeover()).await;
    assert_eq!((new.started.ordinal, new.started.seq), (2, 2));

    assert_eq!(old.try_write(&["lost"]).await, Appended::Fenced);
    assert_eq!(old.complete().await, Appended::Fenced);
    assert_eq!(old.renew(old.start.lease).await, Appended::Fenced);
    assert_eq!(old.restore(0).await, Appended::Fenced);

    assert_eq!(new.write(&["three"]).await, 3);
    let page = here.page(&id("chat"), Position::Start).await;
    assert_eq!(chunks(&page), numbered(&[(3, "three")]));
    let since = Position::After {
        generation: old.generation(),
        seq: 0,
    };
    let before = here.page(&id("chat"), since).await;
    assert_eq!(chunks(&before), numbered(&[(1, "one"), (2, "two")]));
    assert_eq!(
        before.terminal,
        Some(terminal(Outcome::Interrupted, "superseded"))
    );
}

pub async fn a_shared_generation_is_joined(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let mut first = here.produce_as(&id("chat"), share()).await;
    first.write(&["one"]).await;
    let second = there.produce_as(&id("chat"), share()).await;
    assert_eq!(
        second.generation(),
        first.generation(),
        "not the one it asked for"
    );
    assert_eq!((second.started.ordinal, second.started.seq), (1, 1));
    assert_eq!(here.status(&id("chat")).await.unwrap().producers, 2);

    let alone = here.store.start(&id("chat"), &start()).await;
    assert_eq!(code(alone), "ERR_ACTIVE");
    let new = there.produce_as(&id("chat"), takeover()).await;
    assert_eq!(new.started.ordinal, 2, "a takeover ends a shared generation too");
    assert_eq!(first.try_write(&["lost"]).await, Appended::Fenced);
}

pub async fn seqs_go_on_over_generations(world: &World) {
    let engine = world.engine();
    let modes = [
        IfActive::Error,
        IfActive::Share,
        IfActive::Takeover,
        IfActive::Error,
    ];
    for (round, if_active) in (0..).zip(modes) {
        let request = Start { if_active, ..start() };
        let mut producer = engine.produce_as(&id("chat"), request).await;
        assert_eq!(
            (producer.started.ordinal, producer.started.seq),
            (round + 1, 2 * round)
        );
        assert_eq!(producer.write(&["a", "b"]).await, 2 * round + 2);
        assert_eq!(producer.renew(producer.start.lease).await, done(2 * round + 2));
        producer.complete().await;
        let head = engine.head(&id("chat")).await;
        assert_eq!((head.base, head.seq), (2 * round, 2 * round + 2));
    }
}

pub async fn only_the_owner_starts_again(world: &World) {
    let engine = world.engine();
    engine.produce_as(&id("chat"), owned("alice")).await;
    for (request, why) in [
        (owned("bob"), "another owner"),
        (start(), "no owner"),
        (
            Start {
                owner: Some("bob".into()),
                ..takeover()
            },
            "a takeover",
        ),
        (
            Start {
                owner: Some("bob".into()),
                ..share()
            },
            "a joiner",
        ),
    ] {
        let refused = engine.store.start(&id("chat"), &request).await;
        assert_eq!(code(refused), "ERR_FORBIDDEN", "{why}");
    }
    let own = Start {
        owner: Some("alice".into()),
        ..takeover()
    };
    let mut producer = engine.produce_as(&id("chat"), own).await;
    assert_eq!(producer.started.ordinal, 2);
    producer.complete().await;
    let refused = engine.store.start(&id("chat"), &owned("bob")).await;
    assert_eq!(
        code(refused),
        "ERR_FORBIDDEN",
        "a finished stream keeps its owner"
    );
    let again = engine.produce_as(&id("chat"), owned("alice")).await;
    assert_eq!(again.started.ordinal, 3);
}
