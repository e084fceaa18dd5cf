//! `append` and `restore`: exactly once, in order, or not at all.

use tidemark::{
    model::frame::{FrameBuilder, Kind},
    store::{Append, Appended, Position, Start},
};
use ulid::Ulid;

use crate::world::{LONG, Producer, World, chunks, done, frame, id, numbered, owned, share, start};

pub async fn an_append_takes_the_next_seqs(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    assert_eq!(producer.try_write(&["one"]).await, done(1));
    assert_eq!(producer.try_write(&["two", "three"]).await, done(3));
    let nothing = producer.next();
    assert_eq!(
        producer.send(&nothing).await,
        done(3),
        "without chunks, where the log ends"
    );
    assert_eq!(producer.renew(LONG).await, done(3));
    let page = engine.page(&id("chat"), Position::Start).await;
    assert_eq!(chunks(&page), numbered(&[(1, "one"), (2, "two"), (3, "three")]));
}

pub async fn a_batch_is_written_once(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    there.listen(&id("chat")).await;
    let mut producer = here.produce(&id("chat")).await;
    producer.write(&["zero"]).await;
    let batch = Append {
        frame: Some(frame(&["one", "two"])),
        ..producer.next()
    };
    for attempt in 0..3 {
        assert_eq!(producer.send(&batch).await, done(3), "attempt {attempt}");
    }
    assert_eq!(producer.write(&["three"]).await, 4);
    let page = here.page(&id("chat"), Position::Start).await;
    let written = numbered(&[(1, "zero"), (2, "one"), (3, "two"), (4, "three")]);
    assert_eq!(chunks(&page), written);
    let sizes: u64 = page.frames.iter().map(|frame| frame.size() as u64).sum();
    assert_eq!(
        here.status(&id("chat")).await.unwrap().bytes,
        sizes,
        "and counted once"
    );
}

pub async fn a_late_copy_of_an_older_batch_writes_nothing(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce_as(&id("chat"), share()).await;
    let first = Append {
        frame: Some(frame(&["one"])),
        ..producer.next()
    };
    producer.send(&first).await;
    producer.write(&["two"]).await;
    assert_eq!(producer.send(&first).await, Appended::Fenced);
    let page = engine.page(&id("chat"), Position::Start).await;
    assert_eq!(chunks(&page), numbered(&[(1, "one"), (2, "two")]));
}

pub async fn chunks_come_back_as_they_went_in(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    let large = vec![0xa7; 300 * 1024];
    let sent: [(Kind, &[u8]); 5] = [
        (Kind::Text, "héllo 🦀\r\n\0".as_bytes()),
        (Kind::Bytes, &[0, 255, 13, 10, 0]),
        (Kind::Text, b""),
        (Kind::Bytes, b""),
        (Kind::Bytes, &large),
    ];
    let mut builder = FrameBuilder::default();
    for (kind, data) in sent {
        builder.push(kind, data);
    }
    let append = Append {
        frame: builder.take(9, usize::MAX),
        ..producer.next()
    };
    assert_eq!(producer.send(&append).await, done(5));
    let page = engine.page(&id("chat"), Position::Start).await;
    let got: Vec<_> = page.frames[0]
        .chunks()
        .map(|chunk| (chunk.kind, chunk.data))
        .collect();
    assert_eq!(got, sent);
}

pub async fn a_hole_is_written_again(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["one", "two"]).await;
    // What a failover does to a log cannot be asked of a store; a producer that knows of more chunks is the same.
    let ahead = Append {
        expected: Some(5),
        frame: Some(frame(&["six"])),
        ..producer.next()
    };
    assert_eq!(producer.send(&ahead).await, Appended::Hole { seq: 2 });
    assert_eq!(
        producer.send(&ahead).await,
        Appended::Hole { seq: 2 },
        "asked again"
    );
    let nothing = Append {
        frame: None,
        ..ahead.clone()
    };
    assert_eq!(
        producer.send(&nothing).await,
        Appended::Hole { seq: 2 },
        "without chunks too"
    );
    assert_eq!(engine.head(&id("chat")).await.seq, 2, "nothing was written");

    assert_eq!(producer.try_write(&["three"]).await, done(3));
    assert_eq!(producer.try_write(&["four", "five"]).await, done(5));
    assert_eq!(producer.try_write(&["six"]).await, done(6));
    let page = engine.page(&id("chat"), Position::Start).await;
    let seqs: Vec<_> = chunks(&page).into_iter().map(|(seq, _)| seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
}

pub async fn a_stranger_is_fenced(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    let strangers = [
        (producer.generation(), Ulid::new()),
        (Ulid::new(), producer.start.producer),
    ];
    for (generation, stranger) in strangers {
        let append = Append {
            generation,
            producer: stranger,
            frame: Some(frame(&["lost"])),
            ..producer.next()
        };
        assert_eq!(producer.send(&append).await, Appended::Fenced);
    }
    assert_eq!(producer.write(&["one"]).await, 1, "nothing of it was written");
}

pub async fn g4_whoever_knows_less_than_there_is_is_fenced(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["one"]).await;
    producer.write(&["two"]).await;
    let append = Append {
        frame: Some(frame(&["lost"])),
        expected: Some(1),
        ..producer.next()
    };
    assert_eq!(producer.send(&append).await, Appended::Fenced);
    let page = engine.page(&id("chat"), Position::Start).await;
    assert_eq!(chunks(&page), numbered(&[(1, "one"), (2, "two")]));
}

pub async fn nothing_is_written_to_a_missing_stream(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce_as(&id("chat"), start()).await;
    producer.stream = id("another");
    assert_eq!(producer.try_write(&["lost"]).await, Appended::Missing);
    assert_eq!(producer.complete().await, Appended::Missing);
    assert_eq!(producer.renew(LONG).await, Appended::Missing);
    assert!(!engine.exists(&id("another")).await);
}

pub async fn a_lost_record_is_put_back(world: &World) {
    let engine = world.engine();
    let request = Start {
        metadata: Some(r#"{"model":"x"}"#.to_owned()),
        ..owned("alice")
    };
    let mut producer = engine.produce_as(&id("chat"), request).await;
    producer.write(&["one", "two", "three"]).await;
    engine.lose(&id("chat"), Some("alice")).await;
    assert_eq!(producer.try_write(&["four"]).await, Appended::Missing);

    // The producer can write three and four again.
    assert_eq!(producer.restore(2).await, done(2));
    assert_eq!(producer.restore(2).await, done(2), "asked again");
    producer.seq = 3;
    assert_eq!(producer.try_write(&["four"]).await, Appended::Hole { seq: 2 });
    producer.seq = 2;
    assert_eq!(producer.try_write(&["three"]).await, done(3));
    assert_eq!(producer.try_write(&["four"]).await, done(4));

    let page = engine.page(&id("chat"), Position::Start).await;
    assert_eq!(
        (page.generation, page.base, page.after),
        (producer.generation(), 0, 0),
        "a reader from the start can see that one and two are gone"
    );
    assert_eq!(chunks(&page), numbered(&[(3, "three"), (4, "four")]));
    let status = engine.status(&id("chat")).await.unwrap();
    assert_eq!((status.owner.as_deref(), status.producers), (Some("alice"), 1));
    assert_eq!(status.metadata.as_deref(), Some(r#"{"model":"x"}"#));
    assert!(
        engine.list(10).await.contains(&id("chat")),
        "and it is in the index again"
    );

    producer.complete().await;
    let next = engine.produce_as(&id("chat"), owned("alice")).await;
    assert_eq!((next.started.ordinal, next.started.seq), (2, 4));
}

pub async fn a_record_that_is_there_is_not_put_back(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["one", "two"]).await;
    assert_eq!(producer.restore(1).await, done(2));
    assert_eq!(producer.write(&["three"]).await, 3);
    producer.complete().await;
    let over = producer.restore(1).await;
    assert!(matches!(over, Appended::Ended(_)), "{over:?}");
    let page = engine.page(&id("chat"), Position::Start).await;
    assert_eq!(chunks(&page).len(), 3);
}

pub async fn shared_producers_interleave(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let mut left = here.produce_as(&id("chat"), share()).await;
    let mut right = there.produce_as(&id("chat"), share()).await;
    let batch = Append {
        frame: Some(frame(&["l1"])),
        ..left.next()
    };
    assert_eq!(left.send(&batch).await, done(1));
    assert_eq!(right.try_write(&["r1", "r2"]).await, done(3));
    assert_eq!(
        left.send(&batch).await,
        done(1),
        "its own last batch, whatever came since"
    );
    assert_eq!(left.try_write(&["l2"]).await, done(4));
    let page = here.page(&id("chat"), Position::Start).await;
    assert_eq!(
        chunks(&page),
        numbered(&[(1, "l1"), (2, "r1"), (3, "r2"), (4, "l2")])
    );
}

pub async fn g1_what_is_shared_does_not_go_on_where_chunks_were_lost(world: &World) {
    let engine = world.engine();
    let mut left = engine.produce_as(&id("chat"), share()).await;
    let mut right = engine.produce_as(&id("chat"), share()).await;
    left.write(&["l1"]).await;
    right.write(&["r1"]).await;
    // What a failover does to a log cannot be asked of a store; a producer that knows of more chunks is the same.
    let after = |producer: &mut Producer<'_>, expected| Append {
        expected: Some(expected),
        frame: Some(frame(&["x"])),
        ..producer.next()
    };
    let ahead = after(&mut left, 3);
    for append in [ahead.clone(), Append { frame: None, ..ahead }] {
        assert_eq!(left.send(&append).await, Appended::Hole { seq: 2 });
    }
    assert_eq!(engine.head(&id("chat")).await.seq, 2, "nothing was written");
    for expected in [1, 3] {
        let append = after(&mut left, expected);
        let last = if expected == 1 { 3 } else { 4 };
        assert_eq!(
            left.send(&append).await,
            done(last),
            "others may have written since"
        );
        assert_eq!(left.send(&append).await, done(last), "and it is written once");
    }
}
