//! Starting, writing, restoring and reading.

use std::time::Duration;

use tidemark::{
    Error,
    model::ending::Outcome,
    store::{
        Append, Appended, ControlMessage, IfActive, ListCursor, LiveMessage, OwnerCheck, Position, Read,
        Renew, Start,
    },
};
use ulid::Ulid;

use super::support::*;

#[tokio::test]
async fn a_generation_from_start_to_end() {
    let server = Server::start();
    let (store, heard) = open(&config(&server.url()));
    let stream = id("chat");
    assert_eq!(store.status(&stream).await.unwrap(), None);
    store.listen(&stream).await.unwrap();

    let a = Start {
        metadata: Some("{\"a\":[]}".to_owned()),
        ..start(IfActive::Error)
    };
    let g = a.generation;
    let started = store.start(&stream, &a).await.unwrap();
    assert_eq!(
        (started.generation, started.ordinal, started.seq, &started.stop),
        (g, 1, 0, &None)
    );
    assert_eq!(
        store.start(&stream, &a).await.unwrap(),
        started,
        "the same request again"
    );
    server.expect_ttls().await;

    let first = batch(&a, g, 1, Some(0), &["a", "b"]);
    assert_eq!(append(&store, &stream, &first).await, done(2));
    assert_eq!(
        append(&store, &stream, &first).await,
        done(2),
        "the same batch again"
    );
    server.expect_ttls().await;
    assert_eq!(
        append(&store, &stream, &batch(&a, g, 2, Some(9), &["x"])).await,
        Appended::Hole { seq: 2 }
    );
    assert_eq!(
        append(&store, &stream, &batch(&a, g, 2, Some(2), &["c"])).await,
        done(3)
    );
    assert_eq!(
        append(&store, &stream, &first).await,
        Appended::Fenced,
        "an older batch that comes late"
    );
    let renew = Renew {
        generation: g,
        producer: a.producer,
        lease: LEASE,
    };
    assert_eq!(store.renew(&stream, &renew).await.unwrap(), done(3));

    let status = store.status(&stream).await.unwrap().unwrap();
    assert_eq!(
        (
            status.state.as_str(),
            status.first_seq,
            status.last_seq,
            status.producers
        ),
        ("active", 1, 3, 1)
    );
    assert_eq!(status.metadata.as_deref(), Some("{\"a\":[]}"));
    assert_eq!(
        status.bytes,
        (frame(&["a", "b"]).bytes.len() + frame(&["c"]).bytes.len()) as u64
    );
    assert!(
        status.ttl_ms > 3_500_000 && status.started_at <= status.updated_at,
        "{status:?}"
    );

    let last = Append {
        frame: Some(frame(&["d"])),
        ..end(&a, g, 3, Outcome::Complete, "")
    };
    assert_eq!(
        append(&store, &stream, &last).await,
        ended(4, Outcome::Complete, "")
    );
    assert_eq!(
        append(&store, &stream, &last).await,
        ended(4, Outcome::Complete, ""),
        "the last batch again"
    );
    let over = Appended::Ended(terminal(Outcome::Complete, ""));
    assert_eq!(
        append(&store, &stream, &batch(&a, g, 4, Some(4), &["x"])).await,
        over
    );
    assert_eq!(store.renew(&stream, &renew).await.unwrap(), over);
    server.expect_ttls().await;

    let page = read(&store, &stream, Position::Start, usize::MAX).await;
    assert_eq!(texts(&page), ["a", "b", "c", "d"]);
    assert_eq!(page.terminal, Some(terminal(Outcome::Complete, "")));
    assert_eq!(
        (page.head.seq, page.head.lease_left, page.more),
        (4, Duration::ZERO, false)
    );
    let status = store.status(&stream).await.unwrap().unwrap();
    assert_eq!((status.state.as_str(), status.producers), ("complete", 0));
    assert!(status.ttl_ms <= 600_000, "{status:?}");

    assert_eq!(heard.wait_end(g).await, (4, terminal(Outcome::Complete, "")));
    let frames: Vec<_> = heard
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::Live(_, LiveMessage::Frame { last, frame, .. }) => {
                Some((*last, frame.as_ref().unwrap().first()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(frames, [(2, 1), (3, 3), (4, 4)]);
}

#[tokio::test]
async fn ttls_are_set_anew_past_half_of_their_time() {
    let server = Server::start();
    let (store, _) = open(&config(&server.url()));
    let stream = id("chat");
    let mut a = start(IfActive::Error);
    a.ttl.active = Duration::from_secs(2);
    a.ttl.done = Duration::from_secs(2);
    let g = a.generation;
    store.start(&stream, &a).await.unwrap();
    append(&store, &stream, &batch(&a, g, 1, Some(0), &["a"])).await;
    let ttl = async || {
        let meta: i64 = server.run("PTTL {tm:chat}:meta").await;
        let log: i64 = server.run("PTTL {tm:chat}:log").await;
        (meta, log)
    };
    until("half of the TTL is over", async || ttl().await.0 < 990).await;
    let shard: Vec<String> = server.run("KEYS tm:index:*").await;
    let index = async || server.run::<i64>(&format!("PTTL {}", shard[0])).await;
    let before = index().await;
    let renew = Renew {
        generation: g,
        producer: a.producer,
        lease: LEASE,
    };
    store.renew(&stream, &renew).await.unwrap();
    let (meta, log) = ttl().await;
    assert!(meta > 1500 && log > 1500, "{meta} {log}");
    until("the index is kept alive", async || index().await > before).await;
}

#[tokio::test]
async fn g4_a_live_producer_is_replaced_only_by_takeover() {
    let server = Server::start();
    let (store, heard) = open(&config(&server.url()));
    let stream = id("chat");
    store.listen(&stream).await.unwrap();
    let a = start(IfActive::Error);
    store.start(&stream, &a).await.unwrap();
    append(&store, &stream, &batch(&a, a.generation, 1, Some(0), &["a"])).await;
    for refused in [IfActive::Error, IfActive::Share] {
        let error = store.start(&stream, &start(refused)).await.unwrap_err();
        assert_eq!(error.code(), "ERR_ACTIVE", "{refused:?}");
    }
    let b = start(IfActive::Takeover);
    let started = store.start(&stream, &b).await.unwrap();
    assert_eq!((started.ordinal, started.seq), (2, 1));
    let superseded = terminal(Outcome::Interrupted, "superseded");
    assert_eq!(
        append(&store, &stream, &batch(&a, a.generation, 2, Some(1), &["x"])).await,
        Appended::Fenced
    );
    assert_eq!(
        heard.wait_control().await,
        (
            "chat".to_owned(),
            ControlMessage::Ended {
                generation: a.generation,
                terminal: superseded.clone()
            }
        )
    );
    assert_eq!(heard.wait_end(a.generation).await, (1, superseded.clone()));
    heard
        .wait(|event| match event {
            Event::Live(_, LiveMessage::Started { generation, base: 1 }) if *generation == b.generation => {
                Some(())
            }
            _ => None,
        })
        .await;
    server.expect_ttls().await;

    append(&store, &stream, &batch(&b, b.generation, 1, Some(1), &["b"])).await;
    let after = |generation, seq| Position::After { generation, seq };
    let page = read(&store, &stream, after(a.generation, 0), 999).await;
    assert_eq!(
        (texts(&page), page.terminal, page.more),
        (vec!["a".to_owned()], Some(superseded), false)
    );
    let page = read(
        &store,
        &stream,
        Position::Next {
            generation: a.generation,
            seq: 1,
        },
        999,
    )
    .await;
    assert_eq!(
        (page.generation, page.base, texts(&page)),
        (b.generation, 1, vec!["b".to_owned()])
    );
    let page = read(
        &store,
        &stream,
        Position::Next {
            generation: b.generation,
            seq: 2,
        },
        999,
    )
    .await;
    assert!(page.frames.is_empty() && !page.lost && page.terminal.is_none());

    let c = start(IfActive::Takeover);
    store.start(&stream, &c).await.unwrap();
    assert!(
        read(&store, &stream, after(a.generation, 0), 999).await.lost,
        "two generations ago"
    );
    let follows = Position::Next {
        generation: a.generation,
        seq: 1,
    };
    assert_eq!(
        texts(&read(&store, &stream, follows, 999).await),
        ["b"],
        "what follows it is still there"
    );
}

#[tokio::test]
async fn shared_producers_interleave_and_the_last_one_completes() {
    let server = Server::start();
    let (store, heard) = open(&config(&server.url()));
    let stream = id("chat");
    let a = start(IfActive::Share);
    let b = start(IfActive::Share);
    let g = store.start(&stream, &a).await.unwrap().generation;
    append(&store, &stream, &batch(&a, g, 1, None, &["a1"])).await;
    let joined = store.start(&stream, &b).await.unwrap();
    assert_eq!((joined.generation, joined.ordinal, joined.seq), (g, 1, 1));
    assert_eq!(store.start(&stream, &b).await.unwrap(), joined);
    assert_eq!(
        append(&store, &stream, &batch(&b, g, 1, None, &["b1"])).await,
        done(2)
    );
    assert_eq!(
        append(&store, &stream, &batch(&a, g, 2, None, &["a2"])).await,
        done(3)
    );
    assert_eq!(store.status(&stream).await.unwrap().unwrap().producers, 2);

    let leave = end(&a, g, 3, Outcome::Complete, "");
    assert_eq!(
        append(&store, &stream, &leave).await,
        done(3),
        "the other one goes on"
    );
    assert_eq!(append(&store, &stream, &leave).await, done(3));
    assert_eq!(
        append(&store, &stream, &batch(&a, g, 4, None, &["x"])).await,
        Appended::Fenced
    );
    assert_eq!(
        append(&store, &stream, &end(&b, g, 2, Outcome::Complete, "")).await,
        ended(3, Outcome::Complete, "")
    );
    assert_eq!(
        append(&store, &stream, &leave).await,
        done(3),
        "also after the end"
    );

    // A failure ends the generation for everyone, and the others are told.
    let (c, d) = (start(IfActive::Share), start(IfActive::Share));
    let g = store.start(&stream, &c).await.unwrap().generation;
    store.start(&stream, &d).await.unwrap();
    append(&store, &stream, &end(&c, g, 1, Outcome::Failed, "no model")).await;
    let failed = terminal(Outcome::Failed, "no model");
    assert_eq!(
        append(&store, &stream, &batch(&d, g, 1, None, &["x"])).await,
        Appended::Ended(failed.clone())
    );
    let told = ControlMessage::Ended {
        generation: g,
        terminal: failed,
    };
    assert_eq!(heard.wait_control().await.1, told);
    server.expect_ttls().await;
}

#[tokio::test]
async fn a_lost_record_is_put_back() {
    let server = Server::start();
    let (store, _) = open(&config(&server.url()));
    let stream = id("chat");
    let a = start(IfActive::Error);
    let g = a.generation;
    store.start(&stream, &a).await.unwrap();
    for seq in 0..3 {
        append(&store, &stream, &batch(&a, g, seq + 1, Some(seq), &["x"])).await;
    }
    assert_eq!(
        store.restore(&stream, &restore(&a, 1)).await.unwrap(),
        done(3),
        "it is there"
    );
    // What is left of the log must not stand in the way.
    server.run::<u64>("DEL {tm:chat}:meta").await;
    assert_eq!(
        append(&store, &stream, &batch(&a, g, 4, Some(3), &["x"])).await,
        Appended::Missing
    );
    let renew = Renew {
        generation: g,
        producer: a.producer,
        lease: LEASE,
    };
    assert_eq!(store.renew(&stream, &renew).await.unwrap(), Appended::Missing);
    assert_eq!(store.restore(&stream, &restore(&a, 2)).await.unwrap(), done(2));
    assert_eq!(
        append(&store, &stream, &batch(&a, g, 4, Some(2), &["3", "4"])).await,
        done(4)
    );
    let page = read(&store, &stream, Position::Start, 999).await;
    assert_eq!(
        (page.base, texts(&page)),
        (0, vec!["3".to_owned(), "4".to_owned()])
    );
    server.expect_ttls().await;

    let mut earlier = start(IfActive::Error);
    earlier.generation = Ulid::from_parts(1, 2);
    assert_eq!(
        store.restore(&stream, &restore(&earlier, 2)).await.unwrap(),
        Appended::Fenced
    );
    append(&store, &stream, &end(&a, g, 5, Outcome::Complete, "")).await;
    assert_eq!(
        store.restore(&stream, &restore(&a, 2)).await.unwrap(),
        Appended::Ended(terminal(Outcome::Complete, ""))
    );

    let shared = id("shared");
    let (b, mut c) = (start(IfActive::Share), start(IfActive::Share));
    c.generation = b.generation;
    assert_eq!(store.restore(&shared, &restore(&b, 7)).await.unwrap(), done(7));
    assert_eq!(
        store.restore(&shared, &restore(&c, 9)).await.unwrap(),
        done(7),
        "the second joins the first"
    );
    assert_eq!(
        append(&store, &shared, &batch(&c, b.generation, 3, None, &["x"])).await,
        done(8)
    );
}

#[tokio::test]
async fn pages_end_at_the_budget_and_at_the_end() {
    let server = Server::start();
    let (store, heard) = open(&config(&server.url()));
    let stream = id("chat");
    store.listen(&stream).await.unwrap();
    let a = start(IfActive::Error);
    let g = a.generation;
    store.start(&stream, &a).await.unwrap();
    let mut expected = Vec::new();
    for n in 0..300 {
        let (x, y) = (format!("{n}a"), format!("{n}b"));
        append(&store, &stream, &batch(&a, g, n + 1, Some(2 * n), &[&x, &y])).await;
        expected.extend([x, y]);
    }
    let after = |seq| Position::After { generation: g, seq };
    let all = read(&store, &stream, Position::Start, usize::MAX).await;
    assert_eq!((texts(&all), all.more), (expected.clone(), false));

    for budget in [1, 40, 700] {
        let (mut seq, mut seen) = (0, Vec::new());
        loop {
            let page = read(&store, &stream, after(seq), budget).await;
            let sizes: Vec<_> = page
                .frames
                .iter()
                .map(tidemark::model::frame::Frame::size)
                .collect();
            let (last, before) = sizes.split_last().unwrap();
            let sum: usize = before.iter().sum();
            assert!(sum < budget && (sum + last >= budget || !page.more), "{sizes:?}");
            seq = page.frames.last().unwrap().last();
            seen.extend(texts(&page));
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, expected, "{budget}");
    }
    let page = read(&store, &stream, after(599), 1).await;
    assert_eq!(
        (page.frames[0].first(), texts(&page), page.more),
        (599, vec!["299b".to_owned()], false)
    );
    let page = read(&store, &stream, after(0), 0).await;
    assert!(page.frames.is_empty() && page.more);
    let page = read(&store, &stream, Position::Now, 99).await;
    assert!(page.frames.is_empty() && !page.more && page.after == 600 && page.terminal.is_none());
    assert!(
        read(
            &store,
            &stream,
            Position::After {
                generation: Ulid::new(),
                seq: 0
            },
            9
        )
        .await
        .lost
    );

    let large = "x".repeat(20_000);
    append(&store, &stream, &batch(&a, g, 301, Some(600), &[&large])).await;
    let bare = heard
        .wait(|event| match event {
            Event::Live(_, LiveMessage::Frame { last: 601, frame, .. }) => Some(frame.is_none()),
            _ => None,
        })
        .await;
    assert!(bare, "a large frame is only announced");
    append(&store, &stream, &end(&a, g, 302, Outcome::Failed, "why")).await;
    let why = Some(terminal(Outcome::Failed, "why"));
    let page = read(&store, &stream, after(600), 1).await;
    assert_eq!((texts(&page), page.terminal), (vec![large], why.clone()));
    assert_eq!(
        read(&store, &stream, after(0), 1).await.terminal,
        None,
        "there is more before it"
    );
    assert_eq!(read(&store, &stream, after(600), 0).await.terminal, None);
    assert_eq!(read(&store, &stream, after(601), 0).await.terminal, why);
    assert_eq!(read(&store, &stream, Position::Now, 9).await.terminal, why);
}

#[tokio::test]
async fn a_damaged_entry_is_told_apart_from_a_missing_one() {
    let server = Server::start();
    let (store, _) = open(&config(&server.url()));
    let stream = id("chat");
    let a = start(IfActive::Error);
    store.start(&stream, &a).await.unwrap();
    append(&store, &stream, &batch(&a, a.generation, 1, Some(0), &["a"])).await;
    server.run::<String>("XADD {tm:chat}:log 1-2 f junk").await;
    server.run::<u64>("HDEL {tm:chat}:meta h").await;
    server.run::<u64>("HSET {tm:chat}:meta q 2").await;
    let mut read = Read {
        position: Position::Start,
        max_bytes: 99,
        owner: OwnerCheck::Internal,
    };
    let page = store.read(&stream, &read).await.unwrap().unwrap();
    assert_eq!((page.frames.len(), page.more), (1, true), "what comes before it");
    read.position = Position::After {
        generation: a.generation,
        seq: 1,
    };
    match store.read(&stream, &read).await {
        Err(Error::Corrupt { stream, seq, .. }) => assert_eq!((stream.as_str(), seq), ("chat", 2)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn any_stream_id_works_and_is_listed() {
    let server = Server::start();
    let (store, heard) = open(&config(&server.url()));
    let longest = "ü".repeat(256);
    let names = ["{a}{b", "a\nb\r", "\0", "😀 ünï", "%7B", "a b:meta", &longest];
    for name in names {
        let stream = id(name);
        heard.clear();
        store.listen(&stream).await.unwrap();
        let a = start(IfActive::Error);
        store.start(&stream, &a).await.unwrap();
        append(&store, &stream, &batch(&a, a.generation, 1, Some(0), &["x"])).await;
        store
            .stop(&stream, "r", &OwnerCheck::Internal, LEASE)
            .await
            .unwrap();
        assert_eq!(heard.wait_control().await.0, name);
        append(&store, &stream, &end(&a, a.generation, 2, Outcome::Complete, "")).await;
        heard.wait_end(a.generation).await;
        for event in heard.events() {
            assert!(!matches!(event, Event::Live(of, _) if of != name), "{name:?}");
        }
        assert_eq!(
            texts(&read(&store, &stream, Position::Start, 99).await),
            ["x"],
            "{name:?}"
        );
    }
    let mut listed = Vec::new();
    let mut at = Some(ListCursor::default());
    while let Some(cursor) = at {
        let (ids, next) = store.list(cursor, 2).await.unwrap();
        listed.extend(ids.iter().map(ToString::to_string));
        at = next;
    }
    listed.sort();
    let mut names = names.map(str::to_owned);
    names.sort();
    assert_eq!(listed, names);
    server.expect_ttls().await;
}
