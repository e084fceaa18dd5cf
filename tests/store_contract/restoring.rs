//! `restore` where several generations come back after the store has lost them all: the latest one is the stream's.

use tidemark::{
    StreamId,
    model::ending::Outcome,
    store::{Appended, ControlMessage, IfActive, Position, Start},
};
use ulid::Ulid;

use crate::{
    heard::Heard,
    world::{self, Engine, LONG, Producer, World, chunks, done, id, numbered, start, takeover, terminal},
};

/// Two generations, the second a takeover of the first one's two chunks, of which the store has lost everything.
async fn lost<'a>(
    engines: [&'a Engine; 2],
    stream: &StreamId,
    if_active: IfActive,
) -> (Producer<'a>, Producer<'a>) {
    let starts = [Start { if_active, ..start() }, takeover()];
    let (old, new) = world::lost(engines, stream, starts).await;
    assert_eq!((new.started.ordinal, new.started.seq), (2, 2));
    (old, new)
}

fn after(generation: Ulid, seq: u64) -> Position {
    Position::After { generation, seq }
}

pub async fn g4_a_later_generation_is_put_back_over_an_older_one(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let superseded = terminal(Outcome::Interrupted, "superseded");
    for (stream, if_active, astray) in [
        (id("exclusive"), IfActive::Error, &[][..]),
        (id("gone astray"), IfActive::Error, &["three?", "four?"]),
        (id("shared"), IfActive::Share, &[]),
    ] {
        let (mut old, mut new) = lost([&here, &there], &stream, if_active).await;
        there.listen(&stream).await;
        assert_eq!(old.restore(1).await, done(1), "it was faster");
        old.seq = 1;
        old.write(&["two"]).await;
        for chunk in astray {
            old.write(&[chunk]).await;
        }
        assert_eq!(new.try_write(&["four"]).await, Appended::Fenced);
        assert_eq!(new.restore(2).await, done(2));
        assert_eq!(new.restore(2).await, done(2), "asked again");
        let begun = Heard::Started(new.generation(), 2);
        let told = there.heard.wait(&stream, &begun).await;
        let ended = Heard::Ended(old.generation(), old.seq, superseded.clone());
        assert!(told.contains(&ended), "{told:?}");
        let told = Heard::Control(ControlMessage::Ended {
            generation: old.generation(),
            terminal: superseded.clone(),
        });
        here.heard.wait(&stream, &told).await;

        assert_eq!(old.try_write(&["late"]).await, Appended::Fenced);
        assert_eq!(old.renew(LONG).await, Appended::Fenced);
        assert_eq!(old.restore(1).await, Appended::Fenced);
        new.seq = 2;
        assert_eq!(new.write(&["three", "four"]).await, 4);
        let page = there.page(&stream, Position::Start).await;
        assert_eq!(chunks(&page), numbered(&[(3, "three"), (4, "four")]));
        let before = there.page(&stream, after(old.generation(), 1)).await;
        if astray.is_empty() {
            assert_eq!(chunks(&before), numbered(&[(2, "two")]));
            assert_eq!(before.terminal, Some(superseded.clone()));
        } else {
            assert!(
                before.lost,
                "what the old one has written cannot stand before the new one"
            );
        }
        new.complete().await;
        let next = here.produce(&stream).await;
        assert_eq!((next.started.ordinal, next.started.seq), (3, 4));
    }
}

pub async fn g4_an_older_generation_is_not_put_back_over_a_later_one(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let (mut old, mut new) = lost([&here, &there], &id("chat"), IfActive::Error).await;
    assert_eq!(new.restore(2).await, done(2));
    assert_eq!(old.try_write(&["late"]).await, Appended::Fenced);
    assert_eq!(old.restore(1).await, Appended::Fenced);
    new.seq = 2;
    assert_eq!(new.write(&["three"]).await, 3);
    new.complete().await;
    assert_eq!(old.restore(1).await, Appended::Fenced, "nor over its end");
    assert_eq!(there.head(&id("chat")).await.generation, new.generation());
}

pub async fn g4_a_later_generation_is_put_back_over_the_end_of_an_older_one(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let (mut old, mut new) = lost([&here, &there], &id("chat"), IfActive::Error).await;
    assert_eq!(old.restore(2).await, done(2));
    old.seq = 2;
    old.complete().await;
    assert_eq!(new.restore(2).await, done(2));
    new.seq = 2;
    assert_eq!(new.write(&["three"]).await, 3);
    let before = there.page(&id("chat"), after(old.generation(), 2)).await;
    assert_eq!(before.terminal, Some(terminal(Outcome::Complete, "")));
}

pub async fn g4_a_takeover_that_was_lost_is_put_back(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    // What a failover does to the record cannot be asked of a store: the takeover was another stream's.
    let mut old = here.produce(&id("chat")).await;
    old.write(&["one", "two"]).await;
    here.produce(&id("other")).await.write(&["one", "two"]).await;
    let mut new = there.produce_as(&id("other"), takeover()).await;
    new.stream = id("chat");
    assert_eq!(new.try_write(&["three"]).await, Appended::Fenced);
    assert_eq!(new.restore(2).await, done(2));
    assert_eq!(new.try_write(&["three"]).await, done(3));
    assert_eq!(old.try_write(&["late"]).await, Appended::Fenced);
    let before = there.page(&id("chat"), after(old.generation(), 0)).await;
    assert_eq!(chunks(&before), numbered(&[(1, "one"), (2, "two")]));
    assert_eq!(
        before.terminal,
        Some(terminal(Outcome::Interrupted, "superseded"))
    );
}

pub async fn g4_of_two_that_began_without_a_record_the_later_one_counts(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let at = |milliseconds| Start {
        generation: Ulid::from_parts(milliseconds, Ulid::new().random()),
        ..start()
    };
    let mut old = here.produce_as(&id("chat"), at(1_000)).await;
    old.write(&["one"]).await;
    let mut new = there.produce_as(&id("other"), at(2_000)).await;
    new.write(&["one", "two"]).await;
    new.stream = id("chat");
    assert_eq!(new.restore(1).await, done(1));
    assert_eq!(new.started.ordinal, old.started.ordinal);
    new.seq = 1;
    assert_eq!(new.write(&["two"]).await, 2);
    assert_eq!(old.restore(0).await, Appended::Fenced);
    assert!(there.page(&id("chat"), after(old.generation(), 0)).await.lost);
    let page = there.page(&id("chat"), Position::Start).await;
    assert_eq!(chunks(&page), numbered(&[(2, "two")]));
}

pub async fn g4_whoever_has_begun_anew_is_not_replaced(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let (_, mut new) = lost([&here, &there], &id("chat"), IfActive::Error).await;
    let mut fresh = here.produce(&id("chat")).await;
    assert_eq!(fresh.started.ordinal, 1, "there was nothing to count on from");
    assert_eq!(new.restore(2).await, Appended::Fenced);
    assert_eq!(fresh.write(&["one"]).await, 1);
    assert_eq!(new.try_write(&["late"]).await, Appended::Fenced);
}

pub async fn g4_a_deletion_of_what_came_back_first_is_meant_for_all(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let (mut old, mut new) = lost([&here, &there], &id("chat"), IfActive::Error).await;
    assert_eq!(old.restore(2).await, done(2));
    assert!(there.delete(&id("chat")).await);
    let over = Appended::Ended(terminal(Outcome::Interrupted, "deleted"));
    assert_eq!(new.restore(2).await, over);
    assert_eq!(new.try_write(&["late"]).await, Appended::Fenced);
    assert_eq!(old.try_write(&["late"]).await, over);
    assert!(!there.exists(&id("chat")).await);
}

pub async fn generations_are_in_the_order_of_their_starts_whatever_the_clocks(world: &World) {
    let engine = world.engine();
    let ahead = Ulid::from_parts(1 << 47, 7);
    let at = |generation| Start {
        generation,
        ..takeover()
    };
    let first = engine.produce_as(&id("chat"), at(ahead)).await;
    assert_eq!(first.generation(), ahead);
    let mut second = engine.produce_as(&id("chat"), at(Ulid::from_parts(1, 9))).await;
    assert_eq!(second.generation(), Ulid::from_parts(1 << 47, 9));
    let again = engine.store.start(&id("chat"), &second.start).await.unwrap();
    assert_eq!(again, second.started);
    second.write(&["one"]).await;
    engine.delete(&id("chat")).await;
    let third = engine.produce_as(&id("chat"), at(Ulid::from_parts(1, 11))).await;
    assert_eq!(third.generation(), Ulid::from_parts(1 << 47, 11));
}
