//! What is known of streams, how long they last, and which there are.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidemark::{
    StreamId,
    model::{ending::Outcome, ttl::Ttl},
    store::{
        Appended, ControlMessage, OwnerCheck, Position, Read, Start, StopResult, Tail,
        logs::{IfThere, LogOutcome, LogWrite},
    },
};
use ulid::Ulid;

use crate::{
    heard::Heard,
    logs::Writer,
    world::{
        LONG, SHORT, World, chunks, frame, id, log_create, numbered, owned, pass, read, start, terminal,
        until,
    },
};

fn wall_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn living(active: Duration, done: Duration) -> Start {
    Start {
        ttl: Ttl { active, done },
        ..start()
    }
}

pub async fn status_tells_what_is_known(world: &World) {
    // Clocks of store and test may differ by a little.
    let earliest = wall_ms() - 1_000;
    let engine = world.engine();
    assert!(engine.status(&id("chat")).await.is_none());
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["one", "two"]).await;
    producer.complete().await;

    let request = Start {
        owner: Some("alice".to_owned()),
        metadata: Some(r#"{ "title": "🦀", "n": 1.0 }"#.to_owned()),
        ..start()
    };
    let mut producer = engine.produce_as(&id("chat"), request).await;
    let fresh = engine.status(&id("chat")).await.unwrap();
    assert_eq!((fresh.first_seq, fresh.last_seq, fresh.bytes), (3, 2, 0));
    producer.write(&["three"]).await;

    let status = engine.status(&id("chat")).await.unwrap();
    assert_eq!(status.stream_id, "chat");
    assert_eq!((status.state.as_str(), status.reason), ("active", None));
    assert_eq!(status.generation, producer.generation().to_string());
    assert_eq!((status.first_seq, status.last_seq, status.producers), (3, 3, 1));
    assert_eq!(status.bytes, frame(&["three"]).bytes.len() as u64);
    assert_eq!((status.stop, status.owner.as_deref()), (None, Some("alice")));
    assert_eq!(
        status.metadata.as_deref(),
        Some(r#"{ "title": "🦀", "n": 1.0 }"#),
        "kept as it is"
    );
    let latest = wall_ms() + 1_000;
    assert!((earliest..=latest).contains(&status.started_at));
    assert!((status.started_at..=latest).contains(&status.updated_at));
    let ttl = Duration::from_millis(status.ttl_ms);
    assert!(ttl > LONG / 2 && ttl <= LONG, "{ttl:?}");
}

pub async fn ends_of_many_streams_are_told_at_once(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let mut live = here.produce_as(&id("live"), owned("alice")).await;
    for chunk in ["one", "two", "three"] {
        live.write(&[chunk]).await;
    }
    let mut over = here.produce(&id("over")).await;
    over.write(&["one"]).await;
    over.complete().await;
    let mut again = here.produce(&id("over")).await;
    let new = here.produce(&id("new")).await;
    here.produce(&id("gone")).await;
    assert!(here.delete(&id("gone")).await);
    assert_eq!(here.stop(&id("stopped"), "x").await, StopResult::Kept);

    let names = ["over", "gone", "live", "stopped", "new", "never", "live"].map(id);
    let tails = there.store.tails(&names).await.unwrap();
    let tail = |producer: Ulid, base, seq, owner: Option<&str>| {
        Some(Tail {
            generation: producer.to_string(),
            base,
            seq,
            owner: owner.map(str::to_owned),
            origins: Vec::new(),
        })
    };
    let of_live = tail(live.generation(), 0, 3, Some("alice"));
    let expected = [
        tail(again.generation(), 1, 1, None),
        None,
        of_live.clone(),
        None,
        tail(new.generation(), 0, 0, None),
        None,
        of_live,
    ];
    assert_eq!(tails, expected);
    assert_eq!(again.write(&["two"]).await, 2);
    let tails = there.store.tails(&[id("over")]).await.unwrap();
    assert_eq!(tails, [tail(again.generation(), 1, 2, None)]);
    assert!(there.store.tails(&[]).await.unwrap().is_empty());
}

pub async fn memory_is_measured(world: &World) {
    let engine = world.engine();
    assert_eq!(engine.memory(&id("chat")).await, None);
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&[&"x".repeat(5_000)]).await;
    producer.write(&[&"x".repeat(5_000)]).await;
    let bytes = engine.memory(&id("chat")).await.unwrap();
    assert!((10_000..20_000).contains(&bytes), "{bytes} bytes");
    producer.complete().await;
    assert!(engine.delete(&id("chat")).await);
    let left = engine.memory(&id("chat")).await.unwrap_or_default();
    assert!(left < 1_000, "{left} bytes");
}

pub async fn a_deleted_stream_is_gone(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    assert!(!here.delete(&id("chat")).await, "there was none");
    let mut producer = here.produce(&id("chat")).await;
    producer.write(&["one"]).await;
    assert!(there.delete(&id("chat")).await);
    assert!(!there.delete(&id("chat")).await, "it is gone");
    assert!(!here.exists(&id("chat")).await);
    assert!(here.status(&id("chat")).await.is_none());
    assert!(!here.list(10).await.contains(&id("chat")));

    let over = Appended::Ended(terminal(Outcome::Interrupted, "deleted"));
    assert_eq!(producer.try_write(&["two"]).await, over);
    assert_eq!(producer.complete().await, over);
    assert_eq!(producer.renew(LONG).await, over);
    assert_eq!(producer.restore(0).await, over, "a producer cannot bring it back");
    assert!(!here.exists(&id("chat")).await);
}

pub async fn a_finished_stream_is_deleted(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["one"]).await;
    producer.complete().await;
    assert!(engine.delete(&id("chat")).await);
    assert!(!engine.delete(&id("chat")).await);
    assert!(!engine.exists(&id("chat")).await);
    assert!(engine.list(10).await.is_empty());
}

pub async fn a_deleted_stream_starts_anew(world: &World) {
    let engine = world.engine();
    let mut old = engine.produce_as(&id("chat"), owned("alice")).await;
    old.write(&["one", "two"]).await;
    engine.delete(&id("chat")).await;
    let mut new = engine.produce(&id("chat")).await;
    assert_eq!(
        (new.started.ordinal, new.started.seq),
        (2, 0),
        "no owner, no seqs, but the next ordinal"
    );
    assert_eq!(old.try_write(&["lost"]).await, Appended::Fenced);
    assert_eq!(new.write(&["three"]).await, 1);
    let page = engine.page(&id("chat"), Position::Start).await;
    assert_eq!(chunks(&page), numbered(&[(1, "three")]));
    let since = Position::After {
        generation: old.generation(),
        seq: 0,
    };
    assert!(engine.page(&id("chat"), since).await.lost);
}

pub async fn an_active_stream_expires(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce_as(&id("chat"), living(5 * SHORT, LONG)).await;
    producer.write(&["one"]).await;
    until("the stream has expired", async || {
        engine.status(&id("chat")).await.is_none().then_some(())
    })
    .await;
    assert!(!engine.exists(&id("chat")).await);
    assert_eq!(producer.try_write(&["two"]).await, Appended::Missing);
    assert_eq!(producer.renew(LONG).await, Appended::Missing);
    assert!(!engine.delete(&id("chat")).await);
    let new = engine.produce(&id("chat")).await;
    assert_eq!((new.started.ordinal, new.started.seq), (1, 0));
}

pub async fn a_finished_stream_expires(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce_as(&id("chat"), living(LONG, SHORT)).await;
    producer.write(&["one"]).await;
    let status = engine.status(&id("chat")).await.unwrap();
    assert!(status.ttl_ms > 30_000, "the longer TTL while active");
    producer.complete().await;
    until("the stream has expired", async || {
        engine.status(&id("chat")).await.is_none().then_some(())
    })
    .await;
    assert!(!engine.exists(&id("chat")).await);
}

pub async fn a_log_that_is_closed_ends_at_the_time_that_was_set(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    let mut made = log_create(IfThere::Write);
    made.config.expires_at = Some(wall_ms() + u64::try_from(LONG.as_millis()).unwrap());
    let write = LogWrite {
        create: Some(made),
        ..writer.next(&["one"])
    };
    writer.send(&write).await;
    pass(SHORT * 2).await;
    let close = LogWrite {
        close: true,
        ..writer.next(&["two"])
    };
    writer.send(&close).await;
    let status = engine.status(&id("log")).await.unwrap();
    let left = Duration::from_millis(status.ttl_ms);
    assert_eq!(status.state, "complete");
    assert!(left + SHORT < LONG && left > LONG / 2, "{left:?}");
}

pub async fn whoever_reads_or_compares_a_log_uses_it_but_the_engine(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    let compare = LogWrite {
        create: Some(log_create(IfThere::Compare)),
        frame: None,
        ..writer.next(&[""])
    };
    writer.send(&compare).await;
    let left = async || Duration::from_millis(engine.status(&id("log")).await.unwrap().ttl_ms);
    let by_caller = Read {
        owner: OwnerCheck::Caller(None),
        ..read(Position::Start)
    };
    for is_read in [true, false] {
        pass(SHORT * 2).await;
        engine.page(&id("log"), Position::Start).await;
        let since = Instant::now();
        let before = left().await;
        assert!(before + SHORT < LONG, "{before:?}");
        if is_read {
            engine.store.read(&id("log"), &by_caller).await.unwrap();
        } else {
            let again = LogWrite {
                batch: compare.batch + 1,
                ..compare.clone()
            };
            assert_eq!(writer.outcome(&again).await, LogOutcome::Exists);
        }
        let after = left().await;
        assert!(
            after + since.elapsed() > before + SHORT,
            "{before:?}, then {after:?}"
        );
    }
}

pub async fn writes_keep_a_stream(world: &World) {
    let engine = world.engine();
    let ttl = Duration::from_secs(6);
    let mut producer = engine.produce_as(&id("chat"), living(ttl, LONG)).await;
    // What follows may be shorter, but not for longer than that.
    producer.write(&["zero"]).await;
    let left = async || engine.status(&id("chat")).await.expect("it lives").ttl_ms;
    until("half of the TTL has passed", async || {
        (left().await < 2_900).then_some(())
    })
    .await;
    assert_eq!(producer.write(&["one"]).await, 2);
    let left = left().await;
    assert!((3_000..=6_000).contains(&left), "{left} ms");
}

pub async fn the_list_is_complete(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    assert_eq!(here.list(10).await, []);
    let mut expected: Vec<StreamId> = (0..60).map(|number| id(&format!("chat {number}"))).collect();
    for (number, stream) in expected.iter().enumerate() {
        let engine = if number % 2 == 0 { &here } else { &there };
        let mut producer = engine.produce(stream).await;
        if number % 3 == 0 {
            producer.complete().await;
        }
    }
    expected.sort();
    for count in [1, 7, 1_000] {
        let mut listed = here.list(count).await;
        listed.sort();
        listed.dedup();
        assert_eq!(listed, expected, "{count} at a time");
    }
    for gone in expected.drain(..20) {
        assert!(there.delete(&gone).await);
    }
    let mut listed = here.list(7).await;
    listed.sort();
    listed.dedup();
    assert_eq!(listed, expected);
}

pub async fn a_stream_that_is_gone_leaves_the_list(world: &World) {
    let engine = world.engine();
    engine.produce_as(&id("gone"), living(SHORT, SHORT)).await;
    engine.produce(&id("here")).await;
    until("the stream has expired", async || {
        engine.status(&id("gone")).await.is_none().then_some(())
    })
    .await;
    until("the list has forgotten it", async || {
        (engine.list(10).await == [id("here")]).then_some(())
    })
    .await;
    assert_eq!(engine.store.count().await, Ok(1));
}

pub async fn prefixes_are_apart(world: &World) {
    let (engine, stranger) = (world.engine(), world.stranger());
    stranger.listen(&id("chat")).await;
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["one"]).await;
    assert!(!stranger.exists(&id("chat")).await);
    assert!(stranger.list(10).await.is_empty());
    let theirs = stranger.produce(&id("chat")).await;
    let started = Heard::Started(theirs.generation(), 0);
    assert_eq!(stranger.heard.wait(&id("chat"), &started).await, [started]);
    assert!(stranger.delete(&id("chat")).await);
    assert_eq!(producer.write(&["two"]).await, 2);
}

pub async fn any_text_is_a_stream_id(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let long = "é".repeat(StreamId::MAX_BYTES / 2);
    let texts = [
        "{",
        "}",
        "{}",
        "}{",
        "a{b}c",
        "%",
        "%7B",
        "%257B",
        "a\nb",
        "a\r\n",
        "\0",
        "a\0b",
        " ",
        "🦀 🇩🇪",
        ":meta",
        "a:log",
        "a",
        "a:",
        "*",
        "\\",
        "\u{7f}\u{85}\u{200b}",
        "'\"",
        &long,
    ];
    let reason = "user\nsaid\0";
    for text in texts {
        there.listen(&id(text)).await;
        let mut producer = here.produce(&id(text)).await;
        producer.write(&[text]).await;
        assert_eq!(there.stop(&id(text), reason).await, StopResult::Stopping);
        let stop = Heard::Control(ControlMessage::Stop {
            generation: producer.generation(),
            reason: reason.to_owned(),
        });
        assert_eq!(here.heard.wait(&id(text), &stop).await, [stop], "{text:?}");
    }
    for text in texts {
        let page = there.page(&id(text), Position::Start).await;
        assert_eq!(
            chunks(&page),
            numbered(&[(1, text)]),
            "{text:?} holds its own chunk alone"
        );
        let status = there.status(&id(text)).await.unwrap();
        assert_eq!(
            (status.stream_id.as_str(), status.stop.as_deref()),
            (text, Some(reason))
        );
        let frame = Heard::Frame(page.generation, 1, vec![text.to_owned()]);
        let heard = there.heard.wait(&id(text), &frame).await;
        assert_eq!(heard, [Heard::Started(page.generation, 0), frame], "{text:?}");
    }
    let mut listed = there.list(5).await;
    listed.sort();
    listed.dedup();
    let mut expected: Vec<_> = texts.iter().map(|text| id(text)).collect();
    expected.sort();
    assert_eq!(listed, expected);
    for text in texts {
        assert!(here.delete(&id(text)).await, "{text:?}");
    }
    assert_eq!(here.list(5).await, []);
}
