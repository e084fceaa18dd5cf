//! What Redis alone can show of a stream: its keys, their TTLs, damaged entries, and what is left out of messages.

use std::time::Duration;

use tidemark::{
    Cursor, Error, StreamId,
    model::{ending::Outcome, frame::Frame},
    store::{IfActive, LiveMessage, OwnerCheck, Position, Read, Renew, logs::LogWrite},
};

use super::support::*;

#[tokio::test]
async fn ttls_are_set_anew_past_half_of_their_time() {
    let (server, store) = served();
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
async fn a_damaged_entry_is_told_apart_from_a_missing_one() {
    let (server, store, stream, a) = begun().await;
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
async fn a_large_frame_is_only_announced() {
    let server = Server::start();
    let (store, heard) = open(&config(&server.url()));
    let stream = id("chat");
    store.listen(&stream).await.unwrap();
    let a = start(IfActive::Error);
    store.start(&stream, &a).await.unwrap();
    let large = "x".repeat(20_000);
    append(&store, &stream, &batch(&a, a.generation, 1, Some(0), &[&large])).await;
    let bare = heard
        .wait(|event| match event {
            Event::Live(LiveMessage::Frame { last: 1, frame, .. }) => Some(frame.is_none()),
            _ => None,
        })
        .await;
    assert!(bare);
}

#[tokio::test]
async fn g4_those_who_share_are_put_back_into_one_generation() {
    let (_server, store) = served();
    let stream = id("chat");
    let (a, mut b) = (start(IfActive::Share), start(IfActive::Share));
    b.generation = a.generation;
    assert_eq!(store.restore(&stream, &restore(&a, 7)).await.unwrap(), done(7));
    assert_eq!(
        store.restore(&stream, &restore(&b, 9)).await.unwrap(),
        done(7),
        "the second joins the first"
    );
    assert_eq!(
        append(&store, &stream, &batch(&b, a.generation, 3, None, &["x"])).await,
        done(8)
    );
}

#[tokio::test]
async fn a_deleted_stream_leaves_no_keys_of_its_own() {
    let (server, store, stream, a) = begun().await;
    append(&store, &stream, &batch(&a, a.generation, 1, Some(0), &["a"])).await;
    append(&store, &stream, &end(&a, a.generation, 2, Outcome::Complete, "")).await;
    server.expect_ttls().await;
    assert!(store.remove(&stream, &OwnerCheck::Internal).await.unwrap());
    assert_eq!(server.run::<u64>("EXISTS {tm:chat}:meta {tm:chat}:log").await, 0);
}

#[tokio::test]
async fn g1_a_log_gives_no_seq_twice_that_its_writers_know_of() {
    let (server, store) = served();
    let log = id("log");
    let write = |batch, known| LogWrite {
        known,
        ..log_write(batch)
    };
    let mut known = None;
    for batch in 1..=3 {
        let head = write_log(&store, &log, &write(batch, known))
            .await
            .unwrap()
            .head
            .unwrap();
        assert_eq!(head.seq, batch);
        known = Some(Cursor {
            generation: head.generation,
            seq: head.seq,
        });
    }
    // The server comes back without the last two.
    server.run::<u64>("HSET {tm:log}:meta q 1").await;
    server.run::<u64>("XDEL {tm:log}:log 1-2 1-3").await;
    server.run::<u64>("DEL {tm:log}:writers").await;
    let written = write_log(&store, &log, &write(4, known)).await.unwrap();
    assert_eq!(written.head.unwrap().seq, 4);
    let page = read(&store, &log, Position::Start, 999).await;
    let seqs: Vec<_> = page.frames.iter().map(Frame::first).collect();
    assert_eq!(seqs, [1, 4]);
}

#[tokio::test]
async fn a_damaged_record_does_not_spoil_the_look_at_others() {
    let (server, store) = served();
    let names = ["whole", "number", "fork", "other"].map(id);
    for stream in &names[..3] {
        store.start(stream, &start(IfActive::Error)).await.unwrap();
    }
    let meta = |stream: &StreamId| format!("{{tm:{stream}}}:meta");
    let () = server.run(&format!("HSET {} b 1.5", meta(&names[1]))).await;
    let () = server.run(&format!("HSET {} ff x", meta(&names[2]))).await;
    let () = server.run(&format!("SET {} x EX 600", meta(&names[3]))).await;
    let tails = store.tails(&names).await.unwrap();
    let found: Vec<_> = tails.iter().map(Option::is_some).collect();
    assert_eq!(found, [true, false, false, false]);
}
