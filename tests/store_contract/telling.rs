//! Live messages to listening engines, control messages to the engine concerned.
//!
//! That a message was *not* sent is shown by a later message to the same listener, which would have come after it.

use tidemark::{
    model::{connection::ConnectionState, ending::Outcome},
    store::{ControlMessage, ListCursor, OwnerCheck, Position, StopResult},
};
use ulid::Ulid;

use crate::{
    heard::Heard,
    world::{Engine, LONG, World, code, id, read, share, start, takeover, terminal, until},
};

fn told_ended(generation: Ulid, outcome: Outcome, reason: &str) -> Heard {
    Heard::Control(ControlMessage::Ended {
        generation,
        terminal: terminal(outcome, reason),
    })
}

fn told_stop(generation: Ulid, reason: &str) -> Heard {
    Heard::Control(ControlMessage::Stop {
        generation,
        reason: reason.to_owned(),
    })
}

/// Waits until every message before this call has been delivered to the engine.
async fn settle(engine: &Engine, by: &Engine) {
    let stream = id(&format!("settle {}", Ulid::new()));
    engine.listen(&stream).await;
    let producer = engine.produce(&stream).await;
    assert_eq!(by.stop(&stream, "settle").await, StopResult::Stopping);
    engine
        .heard
        .wait(&stream, &told_stop(producer.generation(), "settle"))
        .await;
    let generation = by.produce_as(&stream, takeover()).await.generation();
    engine.heard.wait(&stream, &Heard::Started(generation, 0)).await;
}

pub async fn a_listening_store_is_told_everything(world: &World) {
    let (here, there, deaf) = (world.engine(), world.engine(), world.engine());
    for engine in [&here, &there] {
        engine.listen(&id("chat")).await;
    }
    let mut producer = here.produce(&id("chat")).await;
    let generation = producer.generation();
    producer.write(&["one", "two"]).await;
    producer.write(&["three"]).await;
    producer.end(Outcome::Failed, "why").await;
    assert!(here.delete(&id("chat")).await);
    let everything = [
        Heard::Started(generation, 0),
        Heard::Frame(generation, 2, vec!["one".into(), "two".into()]),
        Heard::Frame(generation, 3, vec!["three".into()]),
        Heard::Ended(generation, 3, terminal(Outcome::Failed, "why")),
        Heard::Deleted,
    ];
    for engine in [&here, &there] {
        assert_eq!(engine.heard.wait(&id("chat"), &Heard::Deleted).await, everything);
    }
    settle(&deaf, &here).await;
    assert_eq!(deaf.heard.about(&id("chat")), []);
}

pub async fn a_takeover_is_told_in_order(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    there.listen(&id("chat")).await;
    let mut old = here.produce(&id("chat")).await;
    old.write(&["one"]).await;
    let new = here.produce_as(&id("chat"), takeover()).await;
    let started = Heard::Started(new.generation(), 1);
    let superseded = terminal(Outcome::Interrupted, "superseded");
    let expected = [
        Heard::Started(old.generation(), 0),
        Heard::Frame(old.generation(), 1, vec!["one".into()]),
        Heard::Ended(old.generation(), 1, superseded),
        started.clone(),
    ];
    assert_eq!(there.heard.wait(&id("chat"), &started).await, expected);

    here.produce_as(&id("shared"), share()).await;
    there.listen(&id("shared")).await;
    let mut joiner = here.produce_as(&id("shared"), share()).await;
    joiner.write(&["joined"]).await;
    let frame = Heard::Frame(joiner.generation(), 1, vec!["joined".into()]);
    assert_eq!(
        there.heard.wait(&id("shared"), &frame).await,
        [frame],
        "to join is not to start"
    );
}

pub async fn nothing_is_told_after_unlisten(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    there.listen(&id("chat")).await;
    let mut producer = here.produce(&id("chat")).await;
    let generation = producer.generation();
    producer.write(&["one"]).await;
    let one = Heard::Frame(generation, 1, vec!["one".into()]);
    let before = there.heard.wait(&id("chat"), &one).await;
    there.store.unlisten(&id("chat"));
    settle(&there, &here).await;
    producer.write(&["two"]).await;
    settle(&there, &here).await;
    assert_eq!(there.heard.about(&id("chat")), before);

    there.listen(&id("chat")).await;
    producer.write(&["three"]).await;
    let three = Heard::Frame(generation, 3, vec!["three".into()]);
    there.heard.wait(&id("chat"), &three).await;
    there.store.unlisten(&id("never listened to"));
}

pub async fn a_lapse_is_told_once(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    there.listen(&id("chat")).await;
    let producer = here.produce(&id("chat")).await;
    let generation = producer.generation();
    producer.die().await;
    for _ in 0..3 {
        until("the lease has lapsed", async || {
            there.head(&id("chat")).await.terminal
        })
        .await;
        here.status(&id("chat")).await;
    }
    let lapsed = told_ended(generation, Outcome::Interrupted, "lease");
    here.heard.wait(&id("chat"), &lapsed).await;
    settle(&here, &there).await;
    let suspected = Heard::Control(ControlMessage::Suspected { generation });
    assert_eq!(
        here.heard.about(&id("chat")),
        [suspected, lapsed],
        "the producer's engine"
    );
    settle(&there, &here).await;
    let ended = Heard::Ended(generation, 0, terminal(Outcome::Interrupted, "lease"));
    assert_eq!(
        there.heard.about(&id("chat")),
        [Heard::Started(generation, 0), ended],
        "the readers'"
    );
}

pub async fn a_stop_reaches_the_producer_s_node_alone(world: &World) {
    let (here, there, other) = (world.engine(), world.engine(), world.engine());
    let producer = here.produce(&id("chat")).await;
    other.produce(&id("other")).await;
    assert_eq!(there.stop(&id("chat"), "user").await, StopResult::Stopping);
    let stop = told_stop(producer.generation(), "user");
    assert_eq!(here.heard.wait(&id("chat"), &stop).await, [stop]);
    for engine in [&there, &other] {
        settle(engine, &here).await;
        assert_eq!(engine.heard.about(&id("chat")), []);
    }
    assert_eq!(there.stop(&id("other"), "user").await, StopResult::Stopping);
    settle(&here, &there).await;
    assert_eq!(here.heard.about(&id("other")), []);
}

pub async fn an_end_by_somebody_else_reaches_the_producer(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let taken = here.produce(&id("taken")).await.generation();
    let deleted = here.produce(&id("deleted")).await.generation();
    let own = here.produce(&id("own")).await.generation();
    there.produce_as(&id("taken"), takeover()).await;
    there.delete(&id("deleted")).await;
    here.delete(&id("own")).await;
    let superseded = told_ended(taken, Outcome::Interrupted, "superseded");
    here.heard.wait(&id("taken"), &superseded).await;
    here.heard
        .wait(
            &id("deleted"),
            &told_ended(deleted, Outcome::Interrupted, "deleted"),
        )
        .await;
    here.heard
        .wait(&id("own"), &told_ended(own, Outcome::Interrupted, "deleted"))
        .await;
    settle(&there, &here).await;
    assert_eq!(there.heard.about(&id("taken")), []);
    assert_eq!(there.heard.about(&id("deleted")), []);
}

pub async fn a_producer_is_not_told_its_own_end(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let mut producer = here.produce(&id("chat")).await;
    producer.complete().await;
    assert_eq!(there.stop(&id("chat"), "late").await, StopResult::Ended);
    settle(&here, &there).await;
    assert_eq!(here.heard.about(&id("chat")), []);
}

pub async fn a_shared_end_reaches_the_others(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let mut first = here.produce_as(&id("chat"), share()).await;
    there.produce_as(&id("chat"), share()).await;
    assert_eq!(here.stop(&id("chat"), "user").await, StopResult::Stopping);
    let stop = told_stop(first.generation(), "user");
    for engine in [&here, &there] {
        engine.heard.wait(&id("chat"), &stop).await;
    }
    first.end(Outcome::Stopped, "user").await;
    there
        .heard
        .wait(
            &id("chat"),
            &told_ended(first.generation(), Outcome::Stopped, "user"),
        )
        .await;
    settle(&here, &there).await;
    assert_eq!(here.heard.about(&id("chat")), [stop]);
}

pub async fn a_closed_store_refuses_and_hears_nothing(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    there.store.connect().await.unwrap();
    assert_eq!(there.store.state(), ConnectionState::Ready);
    there.listen(&id("chat")).await;
    let mut producer = there.produce(&id("chat")).await;
    let started = Heard::Started(producer.generation(), 0);
    let before = there.heard.wait(&id("chat"), &started).await;
    there.store.close().await.unwrap();
    assert_eq!(there.store.state(), ConnectionState::Closed);

    let (store, stream) = (&there.store, id("chat"));
    assert_eq!(code(store.connect().await), "ERR_CLOSED");
    assert_eq!(code(store.start(&stream, &start()).await), "ERR_CLOSED");
    assert_eq!(code(store.append(&stream, &producer.next()).await), "ERR_CLOSED");
    assert_eq!(
        code(store.renew(&stream, &producer.renewal(LONG)).await),
        "ERR_CLOSED"
    );
    assert_eq!(
        code(store.restore(&stream, &producer.restoral(0)).await),
        "ERR_CLOSED"
    );
    assert_eq!(
        code(store.read(&stream, &read(Position::Now)).await),
        "ERR_CLOSED"
    );
    assert_eq!(
        code(store.stop(&stream, "", &OwnerCheck::Internal, LONG).await),
        "ERR_CLOSED"
    );
    assert_eq!(code(store.status(&stream).await), "ERR_CLOSED");
    assert_eq!(
        code(store.remove(&stream, &OwnerCheck::Internal).await),
        "ERR_CLOSED"
    );
    assert_eq!(code(store.list(ListCursor::default(), 1).await), "ERR_CLOSED");
    assert_eq!(code(store.listen(&stream).await), "ERR_CLOSED");
    store.unlisten(&stream);

    let other = world.engine();
    assert_eq!(
        here.stop(&id("chat"), "user").await,
        StopResult::Stopping,
        "the stream is still there"
    );
    settle(&other, &here).await;
    assert_eq!(there.heard.about(&id("chat")), before);
    there.store.close().await.unwrap();
}
