//! One or several keys of a stream are evicted by Redis; all keys that are created again have a TTL.

use std::time::Duration;

use tidemark::{
    Cursor,
    model::{
        ending::Outcome,
        frame::{Kind, PIECE, Reference, SealedFrame},
    },
    store::{
        Ack, Appended, IfActive, MAX_CONSUMERS, OwnerCheck, Piece, Position, SharedStore, Sweep,
        forks::{Fork, Stage, StagePart, Staged},
        groups::{Finished, ItemId, Resolution, Resolve, Subject, Take, Taken, Work},
        logs::LogOutcome,
        reminders::{Remind, Reminded},
    },
};
use ulid::Ulid;

use super::support::*;

fn take(consumer: &str, count: usize) -> Take {
    Take {
        group: "g".to_owned(),
        consumer: consumer.to_owned(),
        from: Position::Start,
        count,
        claim_idle: LEASE,
        max_deliveries: 3,
        own: None,
        told: None,
        owner: OwnerCheck::Internal,
    }
}

async fn taken(store: &SharedStore, take: &Take) -> Taken {
    take_from(store, Work::Stream(&id("chat")), take).await
}

fn seqs(taken: &Taken) -> Vec<u64> {
    let seq = |subject: &Subject| match subject {
        Subject::Chunk(cursor) => cursor.seq,
        Subject::Finished(_) => unreachable!("a chunk"),
    };
    taken.items.iter().map(|item| seq(&item.subject)).collect()
}

async fn resolve(store: &SharedStore, resolution: Resolution, ids: impl IntoIterator<Item = ItemId>) {
    let resolve = Resolve {
        group: "g".to_owned(),
        consumer: "a".to_owned(),
        resolutions: ids.into_iter().map(|id| (id, resolution)).collect(),
        owner: OwnerCheck::Internal,
    };
    store.resolve(Work::Stream(&id("chat")), &resolve).await.unwrap();
}

#[tokio::test]
async fn g9_every_key_has_a_ttl_however_it_was_made() {
    let (server, store) = served();
    let stream = id("chat");
    let ask = OwnerCheck::Internal;

    // A kept stop, again and again: without a record, on a tombstone, and without either.
    for _ in 0..2 {
        store.stop(&stream, "early", &ask, LEASE).await.unwrap();
        server.expect_ttls().await;
    }
    store.start(&stream, &start(IfActive::Error)).await.unwrap();
    store.remove(&stream, &OwnerCheck::Internal).await.unwrap();
    server.expect_ttls().await;
    store.stop(&stream, "late", &ask, LEASE).await.unwrap();
    server.expect_ttls().await;
    store.remove(&stream, &OwnerCheck::Internal).await.unwrap();
    server.expect_ttls().await;

    // A generation over a tombstone; its log is evicted and created again by every kind of write.
    let a = start(IfActive::Error);
    store.start(&stream, &a).await.unwrap();
    for number in 1..=6 {
        let batch = batch(&a, a.generation, number, Some(number - 1), &["x"]);
        append(&store, &stream, &batch).await;
        server.expect_ttls().await;
        if number % 2 == 0 {
            server.run::<u64>("DEL {tm:chat}:log").await;
        }
    }

    // All cursors are dropped to make room for others.
    let acks = |consumer: &str, generation| -> Vec<Ack> {
        let cursor = Cursor { generation, seq: 6 };
        let consumer = |number| format!("{consumer} {number}");
        (0..MAX_CONSUMERS / 8)
            .map(|number| Ack {
                consumer: consumer(number),
                cursor,
            })
            .collect()
    };
    for round in 0..8 {
        store
            .ack(&stream, &acks(&format!("{round}"), a.generation), &ask)
            .await
            .unwrap();
        server.expect_ttls().await;
    }
    let mut last = a.generation;
    for _ in 0..2 {
        let next = start(IfActive::Takeover);
        store.start(&stream, &next).await.unwrap();
        last = next.generation;
    }
    let late = store.ack(&stream, &acks("late", last)[..1], &ask).await.unwrap();
    assert_eq!(late, [true]);
    assert_eq!(server.run::<usize>("HLEN {tm:chat}:cursors").await, 1);
    server.expect_ttls().await;
    for key in ["cursors", "groups", "work:g", "meta"] {
        server.run::<u64>(&format!("DEL {{tm:chat}}:{key}")).await;
        let next = start(IfActive::Takeover);
        store.start(&stream, &next).await.unwrap();
        append(&store, &stream, &batch(&next, next.generation, 1, None, &["x"])).await;
        store
            .ack(&stream, &acks("late", next.generation)[..1], &ask)
            .await
            .unwrap();
        let items = taken(&store, &take("a", 9)).await.items;
        resolve(&store, Resolution::Done, items.iter().map(|item| item.id)).await;
        server.expect_ttls().await;
    }

    // The queue, and what is open.
    let finished = Finished {
        stream: stream.clone(),
        cursor: Cursor {
            generation: last,
            seq: 1,
        },
        terminal: terminal(Outcome::Complete, ""),
    };
    for key in ["queue", "open", "queue"] {
        store.take(Work::Finished, &take("a", 1)).await.unwrap();
        store.announce(&finished, false).await.unwrap();
        store
            .start(&id("other"), &start(IfActive::Takeover))
            .await
            .unwrap();
        server.expect_ttls().await;
        server.run::<u64>(&format!("DEL tm:{{finished}}:{key}")).await;
        store.announce(&finished, false).await.unwrap();
        store.overdue(9, LEASE).await.unwrap();
        server.expect_ttls().await;
    }

    // Restored, and swept.
    let b = start(IfActive::Takeover);
    store.start(&stream, &b).await.unwrap();
    server.run::<u64>("DEL {tm:chat}:meta").await;
    store.restore(&stream, &restore(&b, 0)).await.unwrap();
    server.expect_ttls().await;
    for force in [false, true] {
        let outcomes = vec![Outcome::Complete];
        let older_than = Duration::ZERO;
        let rule = Sweep {
            older_than,
            outcomes,
            force,
            dry_run: false,
        };
        store.sweep(&[stream.clone(), id("other")], &rule).await.unwrap();
        server.expect_ttls().await;
    }
}

#[tokio::test]
async fn a_group_goes_on_whatever_was_evicted() {
    let all = ["groups", "work:g", "log", "sealed", "cursors"];
    // Every combination of them.
    for evicted in 0..1_u32 << all.len() {
        let (server, store, stream, a) = begun().await;
        let next = |number| nth(&a, number);
        for number in 1..=6 {
            append(&store, &stream, &next(number)).await;
        }
        let items = taken(&store, &take("a", 4)).await.items;
        resolve(&store, Resolution::Done, [items[0].id, items[1].id]).await;
        let mut what = Vec::new();
        for (bit, key) in all.iter().enumerate() {
            if evicted >> bit & 1 == 1 {
                server.run::<u64>(&format!("DEL {{tm:chat}}:{key}")).await;
                what.push(*key);
            }
        }
        append(&store, &stream, &next(7)).await;
        let is_lost = what.contains(&"groups") || what.contains(&"work:g");
        let again = taken(&store, &take("b", 9)).await;
        let expected: Vec<u64> = if is_lost {
            (1..=7).collect()
        } else {
            (5..=7).collect()
        };
        assert_eq!(seqs(&again), expected, "without {what:?}");
        // The consumer that had an item before may still resolve it.
        resolve(&store, Resolution::Done, [items[2].id]).await;
        resolve(&store, Resolution::Done, again.items.iter().map(|item| item.id)).await;
        resolve(&store, Resolution::Done, [items[3].id]).await;
        append(&store, &stream, &end(&a, a.generation, 9, Outcome::Complete, "")).await;
        assert!(
            taken(&store, &take("b", 9)).await.done.is_some(),
            "without {what:?}"
        );
        server.expect_ttls().await;
    }
}

#[tokio::test]
async fn a_group_s_leftovers_are_not_those_of_a_stream_that_begins_anew() {
    let (server, store) = served();
    let stream = id("chat");
    for (evicted, generations) in [
        (&["meta"][..], 1),
        (&["meta", "groups"], 1),
        (&["meta", "groups"], 3),
        (&["meta", "groups", "log", "sealed", "cursors"], 2),
        (&["meta", "work:g"], 2),
    ] {
        server.run::<()>("FLUSHALL").await;
        for _ in 0..generations {
            let a = start(IfActive::Takeover);
            let seq = store.start(&stream, &a).await.unwrap().seq;
            append(
                &store,
                &stream,
                &batch(&a, a.generation, 1, Some(seq), &["x"; 30]),
            )
            .await;
            let items = taken(&store, &take("a", 100)).await.items;
            assert_eq!(items.len(), 30);
            let done = items[..20].iter().map(|item| item.id);
            let done = done.chain(items.iter().map(|item| item.id).filter(|_| generations > 2));
            resolve(&store, Resolution::Done, done).await;
        }
        for key in evicted {
            server.run::<u64>(&format!("DEL {{tm:chat}}:{key}")).await;
        }
        let b = start(IfActive::Takeover);
        assert_eq!(store.start(&stream, &b).await.unwrap().seq, 0, "it begins anew");
        append(&store, &stream, &batch(&b, b.generation, 1, Some(0), &["y"; 5])).await;
        let items = taken(&store, &take("b", 9)).await;
        assert_eq!(seqs(&items), [1, 2, 3, 4, 5], "without {evicted:?}");
        resolve(&store, Resolution::Done, items.items.iter().map(|item| item.id)).await;
        append(&store, &stream, &end(&b, b.generation, 9, Outcome::Complete, "")).await;
        assert!(taken(&store, &take("b", 9)).await.done.is_some());
        server.expect_ttls().await;
    }
}

#[tokio::test]
async fn a_group_that_is_ahead_of_what_was_put_back_gets_everything_again() {
    let (server, store, stream, a) = begun().await;
    append(&store, &stream, &batch(&a, a.generation, 1, Some(0), &["x"; 9])).await;
    let b = start(IfActive::Takeover);
    store.start(&stream, &b).await.unwrap();
    append(&store, &stream, &batch(&b, b.generation, 1, Some(9), &["y"; 9])).await;
    assert_eq!(taken(&store, &take("a", 100)).await.items.len(), 9);

    // The record is lost, and the first to restore it is the producer of the older generation.
    server.run::<u64>("DEL {tm:chat}:meta").await;
    let restored = store.restore(&stream, &restore(&a, 0)).await.unwrap();
    assert_eq!(restored, done(0));
    append(&store, &stream, &batch(&a, a.generation, 2, Some(0), &["x"; 9])).await;
    assert_eq!(
        seqs(&taken(&store, &take("a", 100)).await),
        (1..=9).collect::<Vec<_>>()
    );

    // The log ends before the group's position.
    server.run::<u64>("DEL {tm:chat}:meta").await;
    store
        .restore(&stream, &super::support::restore(&a, 0))
        .await
        .unwrap();
    append(&store, &stream, &batch(&a, a.generation, 3, Some(0), &["x"; 3])).await;
    let items = taken(&store, &take("a", 100)).await;
    assert_eq!(seqs(&items), [1, 2, 3]);
    resolve(&store, Resolution::Done, items.items.iter().map(|item| item.id)).await;
    append(
        &store,
        &stream,
        &end(&a, a.generation, 4, Outcome::Failed, "lost"),
    )
    .await;
    assert!(taken(&store, &take("a", 9)).await.done.is_some());
}

#[tokio::test]
async fn the_queue_goes_on_whatever_was_evicted() {
    let (server, store) = served();
    let queued = async |consumer: &str| {
        let taken = store.take(Work::Finished, &take(consumer, 9)).await.unwrap();
        taken.unwrap().items.len()
    };
    assert_eq!(queued("a").await, 0);
    store.announce(&finished(1), false).await.unwrap();
    assert_eq!(queued("a").await, 1);
    for key in ["queue", "open"] {
        server.run::<u64>(&format!("DEL tm:{{finished}}:{key}")).await;
        assert_eq!(queued("a").await, 0);
        store.announce(&finished(2), false).await.unwrap();
        assert_eq!(queued("b").await, 1);
        server.expect_ttls().await;
    }
    // Somebody waits for what ends, and has made a queue for that: it is made again.
    store.listen_finished().await.unwrap();
    server.run::<u64>("DEL tm:{finished}:queue").await;
    store.announce(&finished(3), false).await.unwrap();
    assert_eq!(queued("c").await, 1);
    server.expect_ttls().await;
}

#[tokio::test]
async fn a_reminder_that_is_looked_at_is_due_whatever_was_evicted() {
    let (server, store) = served();
    let change = async |expected, due| {
        let remind = Remind {
            key: "a".to_owned(),
            expected,
            value: Some(format!("{due}")),
            due,
            keep: LEASE,
            is_news: false,
        };
        store.remind(&remind).await.unwrap()
    };
    let due = async || {
        let due = store.due(9, LEASE, LEASE).await.unwrap();
        due.reminders.len()
    };
    let Reminded::Done { version, .. } = change(0, u64::MAX / 4096).await else {
        panic!("not made")
    };
    assert_eq!(due().await, 0);
    for is_change in [false, true] {
        server.run::<u64>("DEL tm:{reminders}:due").await;
        assert!(store.reminders().await.unwrap().is_empty());
        if is_change {
            // By somebody who knows another version.
            assert!(matches!(change(version + 1, 0).await, Reminded::Other { .. }));
        } else {
            store.recall(&["a".to_owned(), "b".to_owned()]).await.unwrap();
        }
        server.expect_ttls().await;
        assert_eq!(store.reminders().await.unwrap(), [("a".to_owned(), version)]);
        assert_eq!(due().await, 1);
        assert_eq!(due().await, 0, "handed out");
    }
    server.run::<u64>("DEL tm:{reminders}:versions").await;
    let Reminded::Done { version: next, .. } = change(version, 0).await else {
        panic!("not changed")
    };
    assert!(next > version, "no version is given twice");
    server.run::<u64>("DEL tm:{reminders}:of:a").await;
    assert_eq!(due().await, 0);
    assert!(store.reminders().await.unwrap().is_empty());
    server.expect_ttls().await;
}

#[tokio::test]
async fn g9_pieces_have_a_ttl_also_if_the_first_ones_were_evicted() {
    let (server, store, stream, a) = begun().await;
    let piece = |index| Piece {
        generation: a.generation,
        producer: a.producer,
        lease: a.lease,
        large: Reference {
            id: Ulid::from_parts(1, 1),
            ordinal: 1,
            kind: Kind::Bytes,
            length: 2 * PIECE,
        },
        index,
        data: vec![0; PIECE].into(),
    };
    for _ in 0..2 {
        for index in 0..2 {
            assert_eq!(store.put(&stream, &piece(index)).await.unwrap(), done(0));
            server.expect_ttls().await;
        }
        server.run::<u64>("DEL {tm:chat}:large:1").await;
        let later = store.put(&stream, &piece(1)).await.unwrap();
        assert_eq!(later, Appended::Incomplete);
    }
}

#[tokio::test]
async fn a_fork_is_not_opened_with_a_part_of_its_beginning() {
    let attempt = Ulid::new();
    let large = Reference {
        id: Ulid::new(),
        ordinal: 1,
        kind: Kind::Bytes,
        length: 3,
    };
    for (evicted, is_whole) in [("cursors", true), ("sealed", false), ("large:1", false)] {
        let server = Server::start();
        let (store, _) = open(&config(&server.url()));
        let log = id("log");
        let frame = SealedFrame::of(&[frame(&["x"]).at(1)], 6).unwrap();
        let (index, data) = (0, vec![1, 2, 3].into());
        let parts = [
            StagePart::Begin,
            StagePart::Frame { last: 1, frame },
            StagePart::Piece { large, index, data },
        ];
        for (step, part) in (0..).zip(parts) {
            let stage = Stage {
                id: attempt,
                step,
                part,
            };
            let staged = store.stage(&log, &stage).await.unwrap();
            assert_eq!(staged, Staged::Done { ordinal: 1 });
            server.expect_ttls().await;
        }
        server.run::<u64>(&format!("DEL {{tm:log}}:{evicted}")).await;
        let origin = Cursor {
            generation: Ulid::new(),
            seq: 1,
        };
        let mut open = log_write(1);
        if let Some(create) = &mut open.create {
            create.stage = Some(attempt);
            create.config.fork = Some(Fork {
                stream_id: "source".to_owned(),
                seq: 1,
                part: 0,
                origins: vec![origin],
            });
        }
        let outcome = write_log(&store, &log, &open).await.unwrap().outcome;
        assert_eq!(
            outcome != LogOutcome::Unstaged,
            is_whole,
            "without {evicted}: {outcome:?}"
        );
        server.expect_ttls().await;
    }
}

#[tokio::test]
async fn whoever_reads_or_writes_goes_on_without_any_one_key() {
    for key in ["meta", "log", "sealed", "cursors", "groups"] {
        let (server, store, stream, a) = begun().await;
        for number in 1..=3 {
            let batch = batch(&a, a.generation, number, Some(number - 1), &["x"]);
            append(&store, &stream, &batch).await;
        }
        server.run::<u64>(&format!("DEL {{tm:chat}}:{key}")).await;
        let mut fourth = append(&store, &stream, &batch(&a, a.generation, 4, Some(3), &["y"])).await;
        if key == "meta" {
            assert_eq!(fourth, Appended::Missing);
            // The rest of the log must not get in the way.
            store.restore(&stream, &restore(&a, 2)).await.unwrap();
            fourth = append(&store, &stream, &batch(&a, a.generation, 4, Some(2), &["x", "y"])).await;
        }
        assert_eq!(fourth, done(4), "without {key}");
        let page = read(&store, &stream, Position::Start, 999).await;
        assert_eq!(
            (page.head.seq, texts(&page).last().map(String::as_str)),
            (4, Some("y")),
            "without {key}"
        );
        let ended = append(&store, &stream, &end(&a, a.generation, 5, Outcome::Complete, "")).await;
        assert!(
            matches!(
                ended,
                Appended::Done {
                    terminal: Some(_),
                    ..
                }
            ),
            "without {key}"
        );
        server.expect_ttls().await;
    }
}
