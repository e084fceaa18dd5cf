//! Fast appends: as exact as others, and sent together.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tidemark::{
    Error,
    store::{Appended, IfActive, OwnerCheck, Position, Renew, Restore, Start},
};

use super::support::*;

#[tokio::test]
async fn g3_fast_appends_are_as_exact_as_others() {
    let (server, store, stream, a) = begun().await;
    let next = |number| nth(&a, number);
    let hot = async || server.run::<u64>("HGET {tm:chat}:meta h").await;

    append(&store, &stream, &next(1)).await;
    assert_ne!(hot().await, 0, "the next one may be fast");
    assert_eq!(append(&store, &stream, &next(2)).await, done(2));
    let after_two = hot().await;
    assert_eq!(after_two >> 22 & 0x7fff, 1, "chunks since: {after_two:x}");
    assert_eq!(after_two & 0x3f_ffff, 4, "their bytes: {after_two:x}");
    assert_eq!(append(&store, &stream, &next(2)).await, done(2), "repeated");
    assert_eq!(append(&store, &stream, &next(3)).await, done(3));
    assert_eq!(append(&store, &stream, &next(4)).await, done(4));

    // Reads see all of it and change nothing.
    let page = read(&store, &stream, Position::Start, 999).await;
    assert_eq!((page.head.seq, texts(&page).len()), (4, 4));
    assert_ne!(hot().await, 0);
    let status = store.status(&stream).await.unwrap().unwrap();
    assert_eq!((status.last_seq, status.bytes), (4, 4 * 4));

    // Scripts that change the record write it to its fields; a repeated batch is still recognised.
    let renew = Renew {
        generation: a.generation,
        producer: a.producer,
        lease: LEASE,
    };
    assert_eq!(store.renew(&stream, &renew).await.unwrap(), done(4));
    assert_eq!(hot().await, 0);
    let again = append(&store, &stream, &next(4)).await;
    assert_eq!(again, done(4), "repeated after a change");

    // The very next batch learns of a stop and of a takeover.
    append(&store, &stream, &next(5)).await;
    append(&store, &stream, &next(6)).await;
    let ask = OwnerCheck::Internal;
    store.stop(&stream, "enough", &ask, LEASE).await.unwrap();
    let stopping = Appended::Done {
        last: 7,
        stop: Some("enough".to_owned()),
        terminal: None,
        due: false,
        is_heard: true,
    };
    assert_eq!(append(&store, &stream, &next(7)).await, stopping);
    assert_eq!(hot().await, 0, "and none is fast after a stop");
    store.start(&stream, &start(IfActive::Takeover)).await.unwrap();
    assert_eq!(append(&store, &stream, &next(8)).await, Appended::Fenced);
    server.expect_ttls().await;

    // A log that has vanished is not created again without a TTL.
    let b = start(IfActive::Error);
    let stream = id("other");
    store.start(&stream, &b).await.unwrap();
    append(&store, &stream, &batch(&b, b.generation, 1, Some(0), &["x"])).await;
    server.run::<u64>("DEL {tm:other}:log").await;
    let second = batch(&b, b.generation, 2, Some(1), &["y"]);
    assert_eq!(append(&store, &stream, &second).await, done(2));
    server.expect_ttls().await;

    // Nor is a record that has vanished.
    server.run::<u64>("DEL {tm:other}:meta").await;
    let third = batch(&b, b.generation, 3, Some(2), &["z"]);
    assert_eq!(append(&store, &stream, &third).await, Appended::Missing);
    assert_eq!(server.run::<u64>("EXISTS {tm:other}:meta").await, 0);
}

/// Their counter has room for 4 MiB and 32,767 chunks: what follows is counted by the record again.
#[tokio::test]
async fn g1_fast_appends_count_right_however_many_follow_each_other() {
    for (chunks, batches) in [(vec!["x".repeat(15_000)], 600), (vec![String::new(); 1000], 80)] {
        let (_server, store, stream, a) = begun().await;
        let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
        let (count, frame) = (chunks.len() as u64, frame(&chunks));
        let mut last = 0;
        for _ in 0..batches {
            let next = batch(&a, a.generation, last + count, Some(last), &chunks);
            last += count;
            assert_eq!(append(&store, &stream, &next).await, done(last));
        }
        let status = store.status(&stream).await.unwrap().unwrap();
        let bytes = batches * frame.bytes.len() as u64;
        assert_eq!((status.last_seq, status.bytes), (last, bytes));
        let end = read(&store, &stream, Position::Now, 999).await;
        assert_eq!(end.head.seq, last);
    }
}

/// A producer that was replaced may still have permission for fast appends, as long as the record has the number that it was given.
#[tokio::test]
async fn g4_a_restored_record_has_a_number_that_none_of_its_producers_has_had() {
    let (server, store, stream, first) = begun().await;
    let generation = first.generation;
    let number = async || server.run::<u64>("HGET {tm:chat}:meta hn").await;
    assert_eq!(
        append(&store, &stream, &batch(&first, generation, 1, Some(0), &["x"])).await,
        done(1)
    );
    let old = number().await;
    let next = start(IfActive::Continue);
    let started = store.start(&stream, &next).await.unwrap();
    assert_eq!(
        (started.generation, started.seq, started.turn),
        (generation, 1, 1)
    );
    // How far the number is from the first producer's, each time after another full append.
    let mut ahead = Vec::new();
    for sent in 1..5 {
        if sent > 1 {
            server.run::<String>("FLUSHALL").await;
            let lost = Restore {
                start: Start {
                    generation,
                    ..next.clone()
                },
                turn: 1,
                own_after: 1,
                ..restore(&next, sent)
            };
            assert_eq!(store.restore(&stream, &lost).await.unwrap(), done(sent));
        }
        let appended = append(
            &store,
            &stream,
            &batch(&next, generation, sent, Some(sent), &["x"]),
        )
        .await;
        assert_eq!(appended, done(sent + 1));
        ahead.push((number().await + 0xffff - old) % 0xffff);
    }
    assert!(ahead.is_sorted_by(|one, other| one < other), "{ahead:?}");
    assert!(ahead[0] > 0 && ahead[3] < 0x8000 + 9, "{ahead:?}");
}

#[tokio::test]
async fn a_fast_append_says_whether_anybody_listens() {
    let (server, writing, stream, a) = begun().await;
    let (reading, _) = open(&config(&server.url()));
    let mut number = 0;
    let mut is_heard = async || {
        number += 1;
        let next = batch(&a, a.generation, number, Some(number - 1), &["x"]);
        match writing.append(&stream, &next).await.unwrap() {
            Appended::Done { is_heard, .. } => is_heard,
            other => panic!("{other:?}"),
        }
    };
    assert!(is_heard().await, "the whole script does not know");
    assert!(!is_heard().await);
    reading.listen(&stream).await.unwrap();
    assert!(is_heard().await);
    assert!(is_heard().await);
}

/// A whole append grants fast ones for so long, unless lease or TTLs are due sooner; when the last of them came is not recorded.
#[tokio::test]
async fn the_last_write_is_known_to_a_minute_and_a_half() {
    let (server, store, stream, a) = begun().await;
    let next = |number| nth(&a, number);
    append(&store, &stream, &next(1)).await;
    let whole = server.run::<u64>("HGET {tm:chat}:meta u").await - 3_600_000;
    let updated = async || store.status(&stream).await.unwrap().unwrap().updated_at;
    server
        .run::<u64>(&format!("HSET {{tm:chat}}:meta u {whole}"))
        .await;
    assert_eq!(updated().await, whole, "nothing has come since");
    assert_eq!(append(&store, &stream, &next(2)).await, done(2));
    assert_eq!(updated().await, whole + 90_000);
}

#[tokio::test]
async fn g9_a_long_frame_is_not_appended_the_fast_way() {
    let (server, store, stream, a) = begun().await;
    let long = "x".repeat(20_000);
    for (number, chunk) in [(1, "x"), (2, "x"), (3, &*long), (4, "x")] {
        let next = batch(&a, a.generation, number, Some(number - 1), &[chunk]);
        assert_eq!(append(&store, &stream, &next).await, done(number));
    }
    // By this a page knows how many frames it may ask for at once.
    let longest: usize = server.run("HGET {tm:chat}:meta v").await;
    assert!(longest > 20_000, "{longest}");
}

#[tokio::test]
async fn g7_nothing_is_kept_for_a_producer_that_has_ended() {
    let (server, store, stream, a) = begun().await;
    let next = |number| nth(&a, number);
    let whole = async |number| {
        append(&store, &stream, &next(number)).await;
        let hot = server.run::<u64>("HGET {tm:chat}:meta h").await;
        let chunks = hot / (1 << 22) % (1 << 15);
        // append.lua leaves none there.
        chunks == 0
    };
    assert!(whole(1).await);
    assert!(!whole(2).await);
    store.release(&stream, a.producer, true);
    assert!(
        whole(3).await,
        "it is not known any more that this one may be fast"
    );
    assert!(!whole(4).await);
}

#[tokio::test]
async fn g3_fast_appends_count_as_far_as_their_number_goes() {
    let (server, store, stream, a) = begun().await;
    // 8 times 1,000,002 bytes, more than 2^22; 80 times 500 chunks, more than 2^15.
    let large = "x".repeat(1_000_000);
    let many = ["y"; 500];
    let (mut number, mut bytes) = (0, 0);
    for chunks in std::iter::repeat_n(&[&*large][..], 8).chain(std::iter::repeat_n(&many[..], 80)) {
        let expected = Some(number);
        number += chunks.len() as u64;
        let append = batch(&a, a.generation, number, expected, chunks);
        bytes += append.frame.as_ref().unwrap().bytes.len() as u64;
        assert_eq!(self::append(&store, &stream, &append).await, done(number));
    }
    let status = store.status(&stream).await.unwrap().unwrap();
    assert_eq!((status.last_seq, status.bytes), (8 + 80 * 500, bytes));
    let report: String = server.run("INFO commandstats").await;
    assert!(
        report.contains("cmdstat_hincrby"),
        "most of them were fast: {report}"
    );
}

#[tokio::test]
async fn g3_fast_appends_of_one_turn_travel_together_and_stand_alone() {
    let (server, store) = served();
    let starts: Vec<_> = (0..100).map(|_| start(IfActive::Error)).collect();
    let streams: Vec<_> = (0..100).map(|n| id(&format!("s{n}"))).collect();
    for (stream, a) in streams.iter().zip(&starts) {
        store.start(stream, a).await.unwrap();
        append(&store, stream, &batch(a, a.generation, 1, Some(0), &["a"])).await;
    }
    // One log has vanished, one record is no record, one stream has been stopped, and one batch comes twice.
    server.run::<u64>("DEL {tm:s1}:log").await;
    server.run::<u64>("DEL {tm:s2}:meta").await;
    server.run::<u64>("LPUSH {tm:s2}:meta x").await;
    let ask = OwnerCheck::Internal;
    store.stop(&streams[3], "enough", &ask, LEASE).await.unwrap();

    server.run::<String>("CONFIG RESETSTAT").await;
    let seconds: Vec<_> = starts
        .iter()
        .map(|a| batch(a, a.generation, 2, Some(1), &["b"]))
        .collect();
    let twice = streams.iter().zip(&seconds).chain([(&streams[4], &seconds[4])]);
    let answers = join_all(twice.map(|(stream, append)| store.append(stream, append))).await;
    let report: String = server.run("INFO commandstats").await;
    let calls = |name: &str| -> u64 {
        let line = report
            .lines()
            .find(|line| line.starts_with(&format!("cmdstat_{name}:")));
        line.and_then(|line| line.split(['=', ',']).nth(1))
            .map_or(0, |calls| calls.parse().unwrap())
    };
    // Two for all that are right, and one whole script for each of those that are not.
    assert_eq!(calls("evalsha"), 2 + 3, "{report}");
    assert_eq!(
        calls("ping"),
        2,
        "one in front of each that carries many (ADR 19): {report}"
    );

    for (n, answer) in answers.into_iter().enumerate() {
        match n {
            2 => assert!(matches!(answer, Err(Error::Store { .. })), "{answer:?}"),
            3 => assert!(
                matches!(
                    answer,
                    Ok(Appended::Done {
                        last: 2,
                        stop: Some(_),
                        ..
                    })
                ),
                "{answer:?}"
            ),
            _ => assert_eq!(unsaid(answer.unwrap()), done(2), "stream {n}"),
        }
    }
    for (n, stream) in streams.iter().enumerate().filter(|(n, _)| ![1, 2].contains(n)) {
        let page = read(&store, stream, Position::Start, 999).await;
        assert_eq!(texts(&page), ["a", "b"], "stream {n}");
    }
}

#[tokio::test]
async fn upkeep_is_asked_for_in_time_and_needs_no_chunk() {
    let (server, store) = served();
    let stream = id("chat");
    let mut a = start(IfActive::Error);
    // Fast appends continue until half of it is over.
    a.ttl.active = Duration::from_secs(12);
    store.start(&stream, &a).await.unwrap();
    let counted = async || server.run::<u64>("HGET {tm:chat}:meta h").await & 0x1f_ffff_ffff;
    let numbered =
        |number: u64, expected: u64, chunks: &[&str]| batch(&a, a.generation, number, Some(expected), chunks);

    // The first one is whole, and what follows is fast until upkeep is due; that is said while that is still possible.
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut last = 0;
    loop {
        let append = numbered(last + 1, last, &["x"]);
        let answer = store.append(&stream, &append).await.unwrap();
        last += 1;
        let Appended::Done { due, .. } = answer else {
            panic!("{answer:?}")
        };
        if due {
            break;
        }
        assert!(Instant::now() < deadline, "upkeep is never asked for");
    }
    assert_ne!(counted().await, 0, "the one that asked was fast");

    let bare = numbered(last + 1, last, &[]);
    assert_eq!(append(&store, &stream, &bare).await, done(last));
    assert_eq!(counted().await, 0, "it begins to count anew");
    let next = numbered(last + 2, last, &["x"]);
    assert_eq!(append(&store, &stream, &next).await, done(last + 1));
    assert_eq!(counted().await, 1 << 22 | 4, "and the next one is fast");
}
