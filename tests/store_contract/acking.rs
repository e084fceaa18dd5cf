//! Consumers' cursors.

use tidemark::{
    Cursor,
    store::{Ack, MAX_CONSUMERS, OwnerCheck, SHOWN_CONSUMERS},
};
use ulid::Ulid;

use crate::world::{Engine, SHORT, World, caller, code, id, owned, pass, start, takeover};

fn ack(consumer: &str, generation: Ulid, seq: u64) -> Ack {
    Ack {
        consumer: consumer.to_owned(),
        cursor: Cursor { generation, seq },
    }
}

impl Engine {
    async fn ack(&self, stream: &str, acks: &[Ack]) -> Vec<bool> {
        let acked = self.store.ack(&id(stream), acks, &OwnerCheck::Internal).await;
        acked.expect("ack")
    }

    async fn cursor(&self, stream: &str, consumer: &str) -> Option<(Ulid, u64)> {
        let cursor = self.store.cursor(&id(stream), consumer).await.expect("cursor");
        cursor.map(|cursor| (cursor.generation, cursor.seq))
    }
}

pub async fn an_ack_needs_a_stream(world: &World) {
    let engine = world.engine();
    let acks = [ack("ann", Ulid::new(), 1)];
    let none = engine.store.ack(&id("chat"), &acks, &OwnerCheck::Internal).await;
    assert_eq!(code(none), "ERR_NOT_FOUND");
    engine.produce(&id("chat")).await;
    engine.delete(&id("chat")).await;
    let deleted = engine.store.ack(&id("chat"), &acks, &OwnerCheck::Internal).await;
    assert_eq!(code(deleted), "ERR_NOT_FOUND");
    assert_eq!(engine.cursor("chat", "ann").await, None);
}

pub async fn cursors_move_forward_only(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let mut producer = here.produce(&id("chat")).await;
    producer.write(&["one", "two", "three"]).await;
    let generation = producer.generation();
    assert_eq!(there.cursor("chat", "ann").await, None);
    assert_eq!(there.ack("chat", &[ack("ann", generation, 2)]).await, [true]);
    assert_eq!(here.cursor("chat", "ann").await, Some((generation, 2)));
    for (seq, then) in [(1, 2), (2, 2), (0, 2), (3, 3), (2, 3)] {
        assert_eq!(here.ack("chat", &[ack("ann", generation, seq)]).await, [true]);
        assert_eq!(there.cursor("chat", "ann").await, Some((generation, then)));
    }
    let several = [
        ack("bob", generation, 3),
        ack("ann", generation, 1),
        ack("bob", generation, 1),
    ];
    assert_eq!(here.ack("chat", &several).await, [true; 3]);
    assert_eq!(here.cursor("chat", "bob").await, Some((generation, 3)));
    assert_eq!(here.cursor("chat", "nobody").await, None);
}

pub async fn a_cursor_stays_within_its_generation(world: &World) {
    let engine = world.engine();
    let mut first = engine.produce(&id("chat")).await;
    first.write(&["one", "two"]).await;
    assert_eq!(
        engine.ack("chat", &[ack("ann", first.generation(), 900)]).await,
        [true]
    );
    assert_eq!(engine.cursor("chat", "ann").await, Some((first.generation(), 2)));
    let mut second = engine.produce_as(&id("chat"), takeover()).await;
    assert_eq!(
        engine.ack("chat", &[ack("bob", second.generation(), 0)]).await,
        [true]
    );
    assert_eq!(
        engine.cursor("chat", "bob").await,
        Some((second.generation(), 2)),
        "its beginning"
    );
    second.write(&["three"]).await;
    assert_eq!(
        engine.ack("chat", &[ack("cat", first.generation(), 3)]).await,
        [true]
    );
    assert_eq!(
        engine.cursor("chat", "cat").await,
        Some((first.generation(), 2)),
        "its end"
    );
}

pub async fn an_older_generation_moves_nothing_back(world: &World) {
    let engine = world.engine();
    let mut generations = Vec::new();
    for _ in 0..3 {
        let mut producer = engine.produce(&id("chat")).await;
        producer.write(&["chunk"]).await;
        producer.complete().await;
        generations.push(producer.generation());
    }
    let [oldest, previous, current] = generations[..] else {
        unreachable!()
    };
    for (generation, seq, then) in [
        (oldest, 1, None),
        (previous, 2, Some((previous, 2))),
        (current, 2, Some((current, 2))),
        (previous, 2, Some((current, 2))),
        (Ulid::new(), 9, Some((current, 2))),
        (current, 3, Some((current, 3))),
    ] {
        assert_eq!(engine.ack("chat", &[ack("ann", generation, seq)]).await, [true]);
        assert_eq!(engine.cursor("chat", "ann").await, then);
    }
    // A cursor in a generation that is gone may be replaced by any other.
    for _ in 0..2 {
        engine.produce(&id("chat")).await.complete().await;
    }
    assert_eq!(
        engine.cursor("chat", "ann").await,
        Some((current, 3)),
        "kept, for what follows it"
    );
    let last = engine.head(&id("chat")).await.generation;
    assert_eq!(engine.ack("chat", &[ack("ann", last, 0)]).await, [true]);
    assert_eq!(engine.cursor("chat", "ann").await, Some((last, 3)));
}

pub async fn only_the_owner_acknowledges(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce_as(&id("chat"), owned("alice")).await;
    producer.write(&["one"]).await;
    let acks = [ack("ann", producer.generation(), 1)];
    for stranger in [caller("bob"), OwnerCheck::Caller(None)] {
        let refused = engine.store.ack(&id("chat"), &acks, &stranger).await;
        assert_eq!(code(refused), "ERR_FORBIDDEN");
    }
    assert_eq!(engine.cursor("chat", "ann").await, None);
    let taken = engine.store.ack(&id("chat"), &acks, &caller("alice")).await;
    assert_eq!(taken.unwrap(), [true]);
    assert_eq!(
        engine.cursor("chat", "ann").await,
        Some((producer.generation(), 1))
    );
}

pub async fn consumers_are_bounded(world: &World) {
    let engine = world.engine();
    let mut first = engine.produce(&id("chat")).await;
    first.write(&["one", "two"]).await;
    let many: Vec<_> = (0..MAX_CONSUMERS)
        .map(|number| ack(&format!("consumer {number}"), first.generation(), 1))
        .collect();
    for part in many.chunks(100) {
        assert_eq!(engine.ack("chat", part).await, vec![true; part.len()]);
    }
    let more = [
        ack("late", first.generation(), 1),
        ack("consumer 0", first.generation(), 2),
    ];
    assert_eq!(
        engine.ack("chat", &more).await,
        [false, true],
        "those who are there go on"
    );
    assert_eq!(engine.cursor("chat", "late").await, None);
    let status = engine.status(&id("chat")).await.unwrap();
    assert_eq!(status.consumers.len(), SHOWN_CONSUMERS);

    // Consumers in generations that are gone are dropped to make room.
    first.complete().await;
    for _ in 0..2 {
        engine.produce(&id("chat")).await.complete().await;
    }
    let last = engine.head(&id("chat")).await.generation;
    assert_eq!(engine.ack("chat", &[ack("late", last, 2)]).await, [true]);
    assert_eq!(engine.cursor("chat", "late").await, Some((last, 2)));
    assert_eq!(engine.cursor("chat", "consumer 0").await, None);
}

pub async fn status_tells_how_far_consumers_are(world: &World) {
    let engine = world.engine();
    let mut first = engine.produce(&id("chat")).await;
    first.write(&["one", "two"]).await;
    let acks = [
        ack("ann", first.generation(), 1),
        ack("bob", first.generation(), 2),
    ];
    engine.ack("chat", &acks).await;
    first.complete().await;
    let mut second = engine.produce(&id("chat")).await;
    second.write(&["three"]).await;
    engine.ack("chat", &[ack("cat", second.generation(), 3)]).await;
    let mut consumers = engine.status(&id("chat")).await.unwrap().consumers;
    consumers.sort_by(|one, other| one.consumer.cmp(&other.consumer));
    let told: Vec<_> = consumers
        .iter()
        .map(|told| (told.consumer.as_str(), told.cursor.clone(), told.lag))
        .collect();
    let expected = [
        ("ann", format!("{}.1", first.generation()), 2),
        ("bob", format!("{}.2", first.generation()), 1),
        ("cat", format!("{}.3", second.generation()), 0),
    ];
    assert_eq!(told, expected);
}

pub async fn cursors_go_with_their_stream(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("deleted")).await;
    producer.write(&["one"]).await;
    engine
        .ack("deleted", &[ack("ann", producer.generation(), 1)])
        .await;
    engine.delete(&id("deleted")).await;
    assert_eq!(engine.cursor("deleted", "ann").await, None);
    engine.produce(&id("deleted")).await;
    assert_eq!(engine.cursor("deleted", "ann").await, None);

    let mut short = start();
    let shortly = 5 * SHORT;
    short.ttl.done = shortly;
    let mut producer = engine.produce_as(&id("expired"), short).await;
    producer.write(&["one"]).await;
    engine
        .ack("expired", &[ack("ann", producer.generation(), 1)])
        .await;
    producer.complete().await;
    engine
        .ack("expired", &[ack("bob", producer.generation(), 1)])
        .await;
    pass(shortly).await;
    assert_eq!(engine.cursor("expired", "ann").await, None);
    assert_eq!(engine.cursor("expired", "bob").await, None);
}
