//! `stop`: before the start, during it, after the end.

use std::time::Duration;

use tidemark::{
    model::ending::Outcome,
    store::{Appended, ControlMessage, MAX_KEPT_STOPS, OwnerCheck, StopResult},
};

use crate::{
    heard::Heard,
    world::{Engine, LONG, SHORT, World, caller, code, done, ended, id, owned, pass, share, start, terminal},
};

/// A stop by a caller.
async fn stop(engine: &Engine, stream: &str, owner: &OwnerCheck, keep: Duration) -> StopResult {
    engine.store.stop(&id(stream), "user", owner, keep).await.unwrap()
}

fn stopping(last: u64, reason: &str) -> Appended {
    Appended::Done {
        last,
        stop: Some(reason.to_owned()),
        terminal: None,
        due: false,
        is_heard: true,
    }
}

pub async fn a_live_generation_is_stopped(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let mut producer = here.produce(&id("chat")).await;
    producer.write(&["one"]).await;
    assert_eq!(there.stop(&id("chat"), "user").await, StopResult::Stopping);
    assert_eq!(there.stop(&id("chat"), "again").await, StopResult::Stopping);
    let told = Heard::Control(ControlMessage::Stop {
        generation: producer.generation(),
        reason: "user".to_owned(),
    });
    here.heard.wait(&id("chat"), &told).await;
    assert_eq!(
        producer.try_write(&["closing"]).await,
        stopping(2, "user"),
        "the first reason stays"
    );
    assert_eq!(producer.renew(LONG).await, stopping(2, "user"));
    assert_eq!(
        there.status(&id("chat")).await.unwrap().stop.as_deref(),
        Some("user")
    );
    assert_eq!(
        there.head(&id("chat")).await.terminal,
        None,
        "the producer ends it"
    );
}

pub async fn a_stop_without_a_reason_is_a_stop(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    assert_eq!(engine.stop(&id("chat"), "").await, StopResult::Stopping);
    assert_eq!(producer.try_write(&["closing"]).await, stopping(1, ""));
    producer.complete().await;
    assert_eq!(
        engine.head(&id("chat")).await.terminal,
        Some(terminal(Outcome::Stopped, ""))
    );
}

pub async fn completion_after_a_stop_is_stopped(world: &World) {
    let engine = world.engine();
    for (asked, reason, stored) in [
        (Outcome::Complete, "", terminal(Outcome::Stopped, "user")),
        (Outcome::Failed, "aborted", terminal(Outcome::Stopped, "user")),
        (Outcome::Stopped, "mine", terminal(Outcome::Stopped, "mine")),
        (
            Outcome::Interrupted,
            "lost",
            terminal(Outcome::Interrupted, "lost"),
        ),
    ] {
        let stream = id(asked.as_str());
        let mut producer = engine.produce(&stream).await;
        engine.stop(&stream, "user").await;
        match producer.end(asked, reason).await {
            Appended::Done { terminal, .. } => assert_eq!(terminal.as_ref(), Some(&stored)),
            other => panic!("{other:?}"),
        }
        assert_eq!(engine.head(&stream).await.terminal, Some(stored));
    }

    let mut first = engine.produce_as(&id("shared"), share()).await;
    let mut second = engine.produce_as(&id("shared"), share()).await;
    engine.stop(&id("shared"), "user").await;
    assert_eq!(
        first.complete().await,
        stopping(0, "user"),
        "the other one may still close"
    );
    second.complete().await;
    assert_eq!(
        engine.head(&id("shared")).await.terminal,
        Some(terminal(Outcome::Stopped, "user"))
    );
}

pub async fn a_finished_generation_is_not_stopped(world: &World) {
    let engine = world.engine();
    engine.produce(&id("chat")).await.complete().await;
    assert_eq!(engine.stop(&id("chat"), "user").await, StopResult::Ended);
    let mut next = engine.produce(&id("chat")).await;
    assert_eq!(next.started.stop, None, "nor is the one after it");
    assert_eq!(next.try_write(&["one"]).await, done(1));
}

pub async fn a_stop_before_the_start_is_kept_once(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    assert_eq!(there.stop(&id("chat"), "early").await, StopResult::Kept);
    assert!(!here.exists(&id("chat")).await);
    assert!(here.status(&id("chat")).await.is_none());
    assert!(here.list(10).await.is_empty());

    let mut producer = here.produce(&id("chat")).await;
    assert_eq!(producer.started.stop.as_deref(), Some("early"));
    let again = here.store.start(&id("chat"), &producer.start).await.unwrap();
    assert_eq!(again, producer.started);
    assert_eq!(producer.try_write(&["closing"]).await, stopping(1, "early"));
    producer.complete().await;
    assert_eq!(
        here.head(&id("chat")).await.terminal,
        Some(terminal(Outcome::Stopped, "early"))
    );

    let mut next = here.produce(&id("chat")).await;
    assert_eq!(next.started.stop, None);
    next.write(&["two"]).await;
    assert_eq!(next.complete().await, ended(2, Outcome::Complete, ""));
}

pub async fn a_kept_stop_lapses(world: &World) {
    let engine = world.engine();
    assert_eq!(
        stop(&engine, "chat", &OwnerCheck::Internal, SHORT).await,
        StopResult::Kept
    );
    pass(SHORT).await;
    assert_eq!(engine.produce(&id("chat")).await.started.stop, None);
}

pub async fn a_kept_stop_goes_with_a_deletion(world: &World) {
    let engine = world.engine();
    assert_eq!(engine.stop(&id("chat"), "early").await, StopResult::Kept);
    assert!(!engine.delete(&id("chat")).await, "there was no stream");
    assert_eq!(engine.produce(&id("chat")).await.started.stop, None);
}

pub async fn a_stop_after_a_deletion_is_kept(world: &World) {
    let engine = world.engine();
    let mut old = engine.produce(&id("chat")).await;
    assert!(engine.delete(&id("chat")).await);
    assert_eq!(engine.stop(&id("chat"), "early").await, StopResult::Kept);
    let mut new = engine.produce(&id("chat")).await;
    assert_eq!(new.started.stop.as_deref(), Some("early"));
    assert_eq!(new.try_write(&["closing"]).await, stopping(1, "early"));
    assert_eq!(old.try_write(&["late"]).await, Appended::Fenced);
}

pub async fn a_kept_stop_meets_a_restore(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["one"]).await;
    engine.lose(&id("chat"), None).await;
    assert_eq!(engine.stop(&id("chat"), "user").await, StopResult::Kept);
    assert_eq!(producer.try_write(&["two"]).await, Appended::Missing);
    assert_eq!(producer.restore(1).await, stopping(1, "user"));
    assert_eq!(producer.try_write(&["two"]).await, stopping(2, "user"));
}

pub async fn a_kept_stop_is_bound_to_the_owner(world: &World) {
    let engine = world.engine();
    let anyone = OwnerCheck::Caller(None);
    for (stream, by, request, counts) in [
        ("internal, owned", &OwnerCheck::Internal, owned("alice"), true),
        ("the owner", &caller("alice"), owned("alice"), true),
        ("another owner", &caller("bob"), owned("alice"), false),
        ("nobody, owned", &anyone, owned("alice"), false),
        ("nobody, open", &anyone, start(), true),
        ("somebody, open", &caller("bob"), start(), true),
    ] {
        assert_eq!(stop(&engine, stream, by, LONG).await, StopResult::Kept);
        let producer = engine.produce_as(&id(stream), request).await;
        assert_eq!(producer.started.stop.is_some(), counts, "{stream}");
    }
}

pub async fn a_kept_stop_is_nobody_else_s_to_replace(world: &World) {
    let engine = world.engine();
    let by = |owner: &str| match owner {
        "" => OwnerCheck::Caller(None),
        owner => caller(owner),
    };
    for (stream, senders, request, reason) in [
        ("first", vec!["alice", "mallory"], owned("alice"), Some("alice")),
        (
            "last",
            vec!["mallory", "", "alice"],
            owned("alice"),
            Some("alice"),
        ),
        (
            "between",
            vec!["mallory", "alice", ""],
            owned("alice"),
            Some("alice"),
        ),
        ("both", vec!["alice", "bob"], owned("bob"), Some("bob")),
        ("strangers", vec!["mallory", "", "bob"], owned("alice"), None),
        ("open", vec!["alice", "mallory"], start(), Some("mallory")),
    ] {
        for sender in senders {
            let stopped = engine.store.stop(&id(stream), sender, &by(sender), LONG).await;
            assert_eq!(stopped.unwrap(), StopResult::Kept);
        }
        let mut producer = engine.produce_as(&id(stream), request).await;
        assert_eq!(producer.started.stop.as_deref(), reason, "{stream}");
        producer.complete().await;
        // All of them are used up.
        for owner in ["alice", "bob", "mallory"] {
            let other = id(&format!("{stream} of {owner}"));
            assert_eq!(engine.produce_as(&other, owned(owner)).await.started.stop, None);
        }
        assert!(engine.delete(&id(stream)).await);
        for owner in ["alice", "bob", "mallory"] {
            let next = engine.produce_as(&id(stream), owned(owner)).await;
            assert_eq!(next.started.stop, None, "{stream}, {owner}");
            engine.delete(&id(stream)).await;
        }
    }
}

pub async fn an_owner_s_kept_stop_lapses_by_itself(world: &World) {
    let engine = world.engine();
    let anyone = OwnerCheck::Caller(None);
    // The stops of owners before and after are kept for longer.
    for others in [vec![caller("mallory")], vec![anyone.clone()], vec![]] {
        let stream = id(&format!("chat {}", others.len()));
        for other in &others {
            engine.store.stop(&stream, "other", other, LONG).await.unwrap();
        }
        let alice = caller("alice");
        engine.store.stop(&stream, "alice", &alice, SHORT).await.unwrap();
        pass(SHORT).await;
        let producer = engine.produce_as(&stream, owned("alice")).await;
        assert_eq!(producer.started.stop, None);
        engine.delete(&stream).await;
    }
}

pub async fn kept_stops_are_bounded(world: &World) {
    let engine = world.engine();
    let stream = id("chat");
    let stop = async |owner: &str, keep| engine.store.stop(&stream, "user", &caller(owner), keep).await;
    for number in 1..MAX_KEPT_STOPS {
        let keep = if number == 7 { SHORT } else { LONG };
        assert_eq!(
            stop(&format!("stranger {number}"), keep).await,
            Ok(StopResult::Kept)
        );
    }
    assert_eq!(stop("alice", LONG).await, Ok(StopResult::Kept));
    pass(SHORT).await;
    // One has expired and makes room for another.
    assert_eq!(stop("bob", LONG).await, Ok(StopResult::Kept));
    assert_eq!(code(stop("carol", LONG).await), "ERR_STORE");
    assert_eq!(
        stop("alice", LONG).await,
        Ok(StopResult::Kept),
        "it has its place"
    );
    let started = engine.produce_as(&stream, owned("alice")).await.started;
    assert_eq!(started.stop.as_deref(), Some("user"));
}

pub async fn only_the_owner_stops(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce_as(&id("chat"), owned("alice")).await;
    for (who, ended) in [("live", false), ("finished", true)] {
        if ended {
            producer.complete().await;
        }
        for by in [caller("bob"), OwnerCheck::Caller(None)] {
            let refused = engine.store.stop(&id("chat"), "user", &by, LONG).await;
            assert_eq!(code(refused), "ERR_FORBIDDEN", "{who}");
        }
    }
    assert_eq!(
        engine.head(&id("chat")).await.terminal,
        Some(terminal(Outcome::Complete, ""))
    );

    engine.produce_as(&id("hers"), owned("alice")).await;
    assert_eq!(
        stop(&engine, "hers", &caller("alice"), LONG).await,
        StopResult::Stopping
    );
    engine.produce(&id("open")).await;
    assert_eq!(
        stop(&engine, "open", &caller("bob"), LONG).await,
        StopResult::Stopping
    );
}
