//! Terminal entries: one for each generation, no matter who writes it.

use std::time::Duration;

use tidemark::{
    model::ending::Outcome,
    store::{Append, Appended, ControlMessage, Position, StopResult},
};

use crate::{
    heard::Heard,
    world::{
        LONG, Producer, SHORT, World, chunks, done, ended, frame, id, numbered, share, start, terminal, until,
    },
};

pub async fn every_outcome_is_kept_with_its_reason(world: &World) {
    let engine = world.engine();
    for (outcome, reason) in [
        (Outcome::Complete, ""),
        (Outcome::Failed, "the model said no: \u{1f980}\n"),
        (Outcome::Stopped, "user"),
        (Outcome::Interrupted, "lost"),
    ] {
        let stream = id(outcome.as_str());
        let mut producer = engine.produce(&stream).await;
        producer.write(&["one"]).await;
        assert_eq!(producer.end(outcome, reason).await, ended(1, outcome, reason));
        let page = engine.page(&stream, Position::Start).await;
        assert_eq!(page.terminal, Some(terminal(outcome, reason)));
        assert_eq!(page.head.terminal, page.terminal);
        assert!(page.head.lease_left.is_zero());
        let status = engine.status(&stream).await.unwrap();
        assert_eq!(status.state, outcome.as_str());
        assert_eq!(
            status.reason.as_deref(),
            Some(reason).filter(|reason| !reason.is_empty())
        );
        assert_eq!(status.producers, 0);
    }
}

pub async fn a_final_batch_is_written_once(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    let last = Append {
        frame: Some(frame(&["one", "two"])),
        large: None,
        terminal: Some(terminal(Outcome::Failed, "why")),
        ..producer.next()
    };
    for attempt in 0..2 {
        let answer = producer.send(&last).await;
        assert_eq!(answer, ended(2, Outcome::Failed, "why"), "attempt {attempt}");
    }
    let page = engine.page(&id("chat"), Position::Start).await;
    assert_eq!(chunks(&page), numbered(&[(1, "one"), (2, "two")]));
}

pub async fn nothing_follows_the_end(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["one"]).await;
    producer.complete().await;
    let over = Appended::Ended(terminal(Outcome::Complete, ""));
    assert_eq!(producer.try_write(&["two"]).await, over);
    assert_eq!(producer.end(Outcome::Failed, "late").await, over);
    assert_eq!(producer.renew(LONG).await, over);
    let page = engine.page(&id("chat"), Position::Start).await;
    assert_eq!(
        (chunks(&page).len(), page.terminal),
        (1, Some(terminal(Outcome::Complete, "")))
    );
}

pub async fn the_last_producer_completes_a_shared_generation(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let mut first = here.produce_as(&id("chat"), share()).await;
    let mut second = there.produce_as(&id("chat"), share()).await;
    first.write(&["one"]).await;
    let last = Append {
        terminal: Some(terminal(Outcome::Complete, "")),
        ..first.next()
    };
    assert_eq!(first.send(&last).await, done(1), "the other one goes on");
    assert_eq!(first.send(&last).await, done(1), "asked again");
    assert_eq!(first.try_write(&["late"]).await, Appended::Fenced);
    assert_eq!(here.status(&id("chat")).await.unwrap().producers, 1);
    assert_eq!(second.write(&["two"]).await, 2);
    assert_eq!(second.complete().await, ended(2, Outcome::Complete, ""));
    assert_eq!(first.send(&last).await, done(1), "also after the end");
    assert_eq!(
        here.head(&id("chat")).await.terminal,
        Some(terminal(Outcome::Complete, ""))
    );
}

pub async fn a_dead_producer_does_not_hold_up_a_shared_completion(world: &World) {
    let engine = world.engine();
    let mut first = engine.produce_as(&id("chat"), share()).await;
    let second = engine.produce_as(&id("chat"), share()).await;
    second.die().await;
    assert_eq!(engine.status(&id("chat")).await.unwrap().producers, 1);
    assert_eq!(first.complete().await, ended(0, Outcome::Complete, ""));
}

pub async fn a_failure_ends_a_shared_generation_at_once(world: &World) {
    let engine = world.engine();
    let mut first = engine.produce_as(&id("chat"), share()).await;
    let mut second = engine.produce_as(&id("chat"), share()).await;
    assert_eq!(
        first.end(Outcome::Failed, "why").await,
        ended(0, Outcome::Failed, "why")
    );
    let told = Heard::Control(ControlMessage::Ended {
        generation: first.generation(),
        terminal: terminal(Outcome::Failed, "why"),
    });
    engine.heard.wait(&id("chat"), &told).await;
    let over = Appended::Ended(terminal(Outcome::Failed, "why"));
    assert_eq!(second.try_write(&["lost"]).await, over);
    assert_eq!(second.complete().await, over);
}

/// What the producer sees once somebody has found that its lease expired.
pub async fn is_over(mut producer: Producer<'_>, outcome: Outcome, reason: &str) {
    let over = Appended::Ended(terminal(outcome, reason));
    assert_eq!(producer.try_write(&["late"]).await, over);
    assert_eq!(producer.renew(LONG).await, over);
}

pub async fn a_lapse_is_found_by_read(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["one"]).await;
    producer.renew(SHORT).await;
    let page = until("the producer is dead", async || {
        let page = engine.page(&id("chat"), Position::Start).await;
        page.terminal.is_some().then_some(page)
    })
    .await;
    assert_eq!(page.terminal, Some(terminal(Outcome::Interrupted, "lease")));
    assert_eq!((page.head.lease_left, page.head.doubt), (Duration::ZERO, None));
    assert_eq!(chunks(&page), numbered(&[(1, "one")]));
    is_over(producer, Outcome::Interrupted, "lease").await;
}

pub async fn a_lapse_is_found_by_status(world: &World) {
    let engine = world.engine();
    let producer = engine.produce(&id("chat")).await;
    producer.die().await;
    let status = engine.status(&id("chat")).await.unwrap();
    assert_eq!(
        (status.state.as_str(), status.reason.as_deref()),
        ("interrupted", Some("lease"))
    );
    is_over(producer, Outcome::Interrupted, "lease").await;
}

pub async fn a_lapse_is_found_by_start(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["one"]).await;
    producer.die().await;
    let next = engine.produce_as(&id("chat"), start()).await;
    assert_eq!((next.started.ordinal, next.started.seq), (2, 1));
    let since = Position::After {
        generation: producer.generation(),
        seq: 1,
    };
    let page = engine.page(&id("chat"), since).await;
    assert_eq!(
        page.terminal,
        Some(terminal(Outcome::Interrupted, "lease")),
        "not superseded"
    );
    assert_eq!(producer.try_write(&["late"]).await, Appended::Fenced);
}

/// A stop does not wait for the producer.
pub async fn a_lapse_is_found_by_stop(world: &World) {
    let engine = world.engine();
    let producer = engine.produce(&id("chat")).await;
    producer.die().await;
    assert_eq!(engine.stop(&id("chat"), "user").await, StopResult::Stopping);
    until("the producer is dead", async || {
        let stopped = engine.stop(&id("chat"), "again").await;
        (stopped == StopResult::Ended).then_some(())
    })
    .await;
    is_over(producer, Outcome::Stopped, "user").await;
}

pub async fn a_lapse_after_a_stop_is_stopped(world: &World) {
    let engine = world.engine();
    let producer = engine.produce(&id("chat")).await;
    assert_eq!(engine.stop(&id("chat"), "user").await, StopResult::Stopping);
    let renewed = Appended::Done {
        last: 0,
        stop: Some("user".to_owned()),
        terminal: None,
        due: false,
        is_heard: true,
    };
    assert_eq!(producer.renew(SHORT).await, renewed);
    let found = until("the lease has lapsed", async || {
        engine.head(&id("chat")).await.terminal
    })
    .await;
    assert_eq!(found, terminal(Outcome::Stopped, "user"));
    is_over(producer, Outcome::Stopped, "user").await;
}

pub async fn a_late_sign_of_life_counts(world: &World) {
    let engine = world.engine();
    let mut writing = engine.produce(&id("writing")).await;
    let renewing = engine.produce(&id("renewing")).await;
    renewing.renew(SHORT).await;
    writing.die().await;
    assert_eq!(writing.try_write(&["late, but nobody has looked"]).await, done(1));
    assert_eq!(renewing.renew(LONG).await, done(0));
    for stream in ["writing", "renewing"] {
        assert_eq!(engine.head(&id(stream)).await.terminal, None, "{stream}");
    }
}
