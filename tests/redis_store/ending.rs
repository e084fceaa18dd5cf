//! Stops, lapsed leases, deletions, and who may do what.

use std::time::Duration;

use tidemark::{
    Error,
    model::ending::Outcome,
    store::{
        Appended, ControlMessage, IfActive, ListCursor, LiveMessage, OwnerCheck, Position, Read, Start,
        StopResult,
    },
};

use super::support::*;

const KEEP: Duration = Duration::from_secs(60);

fn caller(owner: &str) -> OwnerCheck {
    OwnerCheck::Caller(Some(owner.to_owned()))
}

fn owned(owner: &str, if_active: IfActive) -> Start {
    Start {
        owner: Some(owner.to_owned()),
        ..start(if_active)
    }
}

#[tokio::test]
async fn g5_a_lapsed_lease_ends_the_generation() {
    let server = Server::start();
    let (store, heard) = open(&config(&server.url()));
    let lapsed = async |name: &str, stop: bool| {
        let stream = id(name);
        heard.clear();
        store.listen(&stream).await.unwrap();
        let mut a = start(IfActive::Error);
        a.lease = Duration::from_secs(1);
        store.start(&stream, &a).await.unwrap();
        let page = read(&store, &stream, Position::Start, 999).await;
        assert!(
            page.head.lease_left > Duration::ZERO && page.head.lease_left <= a.lease,
            "{page:?}"
        );
        let suspected = ControlMessage::Suspected {
            generation: a.generation,
        };
        assert_eq!(heard.wait_control().await, (name.to_owned(), suspected));
        if stop {
            // What was heard of the stream before.
            heard.clear();
            store
                .stop(&stream, "enough", &OwnerCheck::Internal, KEEP)
                .await
                .unwrap();
            heard.wait_control().await;
        }
        heard.clear();
        until("the lease has lapsed", async || {
            read(&store, &stream, Position::Start, 999)
                .await
                .terminal
                .is_some()
        })
        .await;
        let (last, terminal) = heard.wait_end(a.generation).await;
        assert_eq!(last, 0);
        let told = ControlMessage::Ended {
            generation: a.generation,
            terminal: terminal.clone(),
        };
        assert_eq!(heard.wait_control().await, (name.to_owned(), told));
        assert_eq!(
            append(&store, &stream, &batch(&a, a.generation, 1, Some(0), &["late"])).await,
            Appended::Ended(terminal.clone())
        );
        server.expect_ttls().await;
        terminal
    };
    assert_eq!(
        lapsed("died", false).await,
        terminal(Outcome::Interrupted, "lease")
    );
    assert_eq!(
        lapsed("stopped", true).await,
        terminal(Outcome::Stopped, "enough")
    );
}

#[tokio::test]
async fn g6_a_stop_reaches_the_producer_and_its_next_write() {
    let server = Server::start();
    let (store, heard) = open(&config(&server.url()));
    let (other, _) = open(&config(&server.url()));
    let stream = id("line\nbreak");
    let a = start(IfActive::Error);
    let g = a.generation;
    store.start(&stream, &a).await.unwrap();
    let any = OwnerCheck::Caller(None);
    assert_eq!(
        other.stop(&stream, "user\nsaid", &any, KEEP).await.unwrap(),
        StopResult::Stopping
    );
    let told = ControlMessage::Stop {
        generation: g,
        reason: "user\nsaid".to_owned(),
    };
    assert_eq!(heard.wait_control().await, ("line\nbreak".to_owned(), told));
    assert_eq!(
        other.stop(&stream, "again", &any, KEEP).await.unwrap(),
        StopResult::Stopping
    );
    let stop = Some("user\nsaid".to_owned());
    assert_eq!(
        append(&store, &stream, &batch(&a, g, 1, Some(0), &["x"])).await,
        Appended::Done {
            last: 1,
            stop: stop.clone(),
            terminal: None,
            due: false,
        }
    );
    assert_eq!(store.status(&stream).await.unwrap().unwrap().stop, stop);
    let stopped = terminal(Outcome::Stopped, "user\nsaid");
    assert_eq!(
        append(&store, &stream, &end(&a, g, 2, Outcome::Complete, "")).await,
        Appended::Done {
            last: 1,
            stop,
            terminal: Some(stopped.clone()),
            due: false,
        }
    );
    assert_eq!(
        read(&store, &stream, Position::Start, 999).await.terminal,
        Some(stopped)
    );
    assert_eq!(
        other.stop(&stream, "late", &any, KEEP).await.unwrap(),
        StopResult::Ended
    );
    server.expect_ttls().await;
}

#[tokio::test]
async fn g6_a_stop_before_the_start_is_kept_for_its_owner() {
    let server = Server::start();
    let (store, _) = open(&config(&server.url()));
    for (who, owner, honoured) in [
        (OwnerCheck::Internal, Some("ann"), true),
        (caller("ann"), Some("ann"), true),
        (caller("eve"), Some("ann"), false),
        (OwnerCheck::Caller(None), Some("ann"), false),
        (OwnerCheck::Caller(None), None, true),
    ] {
        let stream = id(&format!("{who:?} {owner:?}"));
        assert_eq!(
            store.stop(&stream, "early", &who, KEEP).await.unwrap(),
            StopResult::Kept
        );
        server.expect_ttls().await;
        let internal = Read {
            position: Position::Start,
            max_bytes: 9,
            owner: OwnerCheck::Internal,
        };
        assert!(store.read(&stream, &internal).await.unwrap().is_none());
        assert_eq!(store.status(&stream).await.unwrap(), None);
        let a = Start {
            owner: owner.map(str::to_owned),
            ..start(IfActive::Error)
        };
        assert_eq!(
            append(&store, &stream, &batch(&a, a.generation, 1, Some(0), &["x"])).await,
            Appended::Missing
        );
        let started = store.start(&stream, &a).await.unwrap();
        assert_eq!(started.stop.is_some(), honoured, "{stream}");
        assert_eq!(store.start(&stream, &a).await.unwrap(), started, "{stream}");
        assert!(server.run::<i64>("DBSIZE").await > 0);
    }
    // A stop that is deleted is not kept.
    let stream = id("deleted");
    store.stop(&stream, "early", &caller("ann"), KEEP).await.unwrap();
    assert!(!store.delete(&stream).await.unwrap());
    assert_eq!(
        store
            .start(&stream, &owned("ann", IfActive::Error))
            .await
            .unwrap()
            .stop,
        None
    );
}

#[tokio::test]
async fn g10_only_the_owner_may_follow_stop_and_continue() {
    let server = Server::start();
    let (store, _) = open(&config(&server.url()));
    let stream = id("chat");
    let a = owned("ann", IfActive::Error);
    store.start(&stream, &a).await.unwrap();
    let follow = async |owner: OwnerCheck| {
        let read = Read {
            position: Position::Start,
            max_bytes: 9,
            owner,
        };
        store.read(&stream, &read).await.map(|page| page.is_some())
    };
    let forbidden = Error::Forbidden {
        stream: "chat".to_owned(),
    };
    for (who, allowed) in [
        (caller("ann"), true),
        (OwnerCheck::Internal, true),
        (caller("eve"), false),
        (OwnerCheck::Caller(None), false),
    ] {
        let expected = if allowed { Ok(true) } else { Err(forbidden.clone()) };
        assert_eq!(follow(who.clone()).await, expected);
        let stopped = store.stop(&stream, "", &who, KEEP).await;
        assert_eq!(stopped.is_ok(), allowed, "{who:?}");
    }
    assert_eq!(
        store
            .start(&stream, &owned("eve", IfActive::Takeover))
            .await
            .unwrap_err(),
        forbidden
    );
    assert_eq!(
        store
            .start(&stream, &start(IfActive::Takeover))
            .await
            .unwrap_err(),
        forbidden
    );
    let b = owned("ann", IfActive::Takeover);
    store.start(&stream, &b).await.unwrap();
    append(&store, &stream, &end(&b, b.generation, 1, Outcome::Complete, "")).await;
    assert_eq!(
        store
            .start(&stream, &owned("eve", IfActive::Error))
            .await
            .unwrap_err(),
        forbidden
    );
    let status = store.status(&stream).await.unwrap().unwrap();
    assert_eq!(status.owner.as_deref(), Some("ann"));
}

#[tokio::test]
async fn a_deleted_stream_is_gone_for_readers_and_producers() {
    let server = Server::start();
    let (store, heard) = open(&config(&server.url()));
    let stream = id("chat");
    store.listen(&stream).await.unwrap();
    let a = start(IfActive::Error);
    let g = a.generation;
    store.start(&stream, &a).await.unwrap();
    append(&store, &stream, &batch(&a, g, 1, Some(0), &["a"])).await;
    assert!(store.delete(&stream).await.unwrap());
    assert!(!store.delete(&stream).await.unwrap());
    server.expect_ttls().await;
    let deleted = terminal(Outcome::Interrupted, "deleted");
    let told = ControlMessage::Ended {
        generation: g,
        terminal: deleted.clone(),
    };
    assert_eq!(heard.wait_control().await.1, told);
    heard
        .wait(|event| matches!(event, Event::Live(_, LiveMessage::Deleted)).then_some(()))
        .await;
    let gone = Appended::Ended(deleted);
    assert_eq!(
        append(&store, &stream, &batch(&a, g, 2, Some(1), &["x"])).await,
        gone
    );
    assert_eq!(store.restore(&stream, &restore(&a, 0)).await.unwrap(), gone);
    assert_eq!(store.status(&stream).await.unwrap(), None);
    assert!(store.list(ListCursor::default(), 99).await.unwrap().0.is_empty());
    assert_eq!(
        store
            .stop(&stream, "early", &OwnerCheck::Internal, KEEP)
            .await
            .unwrap(),
        StopResult::Kept
    );

    let b = start(IfActive::Error);
    let started = store.start(&stream, &b).await.unwrap();
    assert_eq!((started.seq, started.stop.as_deref()), (0, Some("early")));
    assert!(matches!(
        append(&store, &stream, &batch(&b, b.generation, 1, Some(0), &["b"])).await,
        Appended::Done { last: 1, .. }
    ));
    assert_eq!(
        append(&store, &stream, &batch(&a, g, 2, Some(1), &["x"])).await,
        Appended::Fenced
    );
    assert_eq!(texts(&read(&store, &stream, Position::Start, 999).await), ["b"]);

    append(&store, &stream, &end(&b, b.generation, 2, Outcome::Complete, "")).await;
    assert!(store.delete(&stream).await.unwrap());
    assert_eq!(server.run::<u64>("EXISTS {tm:chat}:meta {tm:chat}:log").await, 0);
}
