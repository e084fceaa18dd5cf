//! `put` and `piece`: a large chunk is there as a whole, or not at all.

use bytes::Bytes;
use tidemark::{
    model::{
        ending::Outcome,
        frame::{EncodedFrame, FrameBuilder, Kind, PIECE, Reference},
    },
    store::{Append, Appended, Piece, Position, Start, StopResult},
};
use ulid::Ulid;

use crate::world::{Engine, Producer, SHORT, World, done, id, pass, share, start, takeover, terminal};

const LENGTH: usize = 5 * PIECE + 7;

fn reference(producer: &Producer<'_>) -> Reference {
    Reference {
        id: Ulid::new(),
        ordinal: producer.started.ordinal,
        kind: Kind::Bytes,
        length: LENGTH,
    }
}

fn frame(large: &Reference) -> Option<EncodedFrame> {
    let mut builder = FrameBuilder::default();
    builder.push(Kind::Large, &large.encode());
    builder.take(1, 0)
}

fn data(index: usize) -> Bytes {
    vec![u8::try_from(index).unwrap(); PIECE.min(LENGTH - index * PIECE)].into()
}

async fn put(producer: &Producer<'_>, large: Reference, index: usize) -> Appended {
    let piece = Piece {
        generation: producer.generation(),
        producer: producer.start.producer,
        lease: producer.start.lease,
        large,
        index,
        data: data(index),
    };
    let put = producer.engine.store.put(&producer.stream, &piece).await;
    put.unwrap()
}

async fn put_all(producer: &Producer<'_>, large: Reference) {
    for index in 0..large.pieces() {
        assert_eq!(
            put(producer, large, index).await,
            done(producer.seq),
            "piece {index}"
        );
    }
}

async fn append(producer: &mut Producer<'_>, large: Reference) -> Appended {
    let append = Append {
        frame: frame(&large),
        large: Some(large),
        ..producer.next()
    };
    producer.send(&append).await
}

async fn pieces(engine: &Engine, large: &Reference) -> usize {
    let mut found = 0;
    for index in 0..large.pieces() {
        let piece = engine.store.piece(&id("chat"), large, index).await.unwrap();
        if let Some(piece) = piece {
            assert_eq!(piece, data(index));
            found += 1;
        }
    }
    found
}

pub async fn a_large_chunk_is_written_in_pieces(world: &World) {
    let (engine, other) = (world.engine(), world.engine());
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["before"]).await;
    let before = engine.status(&id("chat")).await.unwrap().bytes;
    let large = reference(&producer);
    assert_eq!(pieces(&other, &large).await, 0);
    put_all(&producer, large).await;
    assert_eq!(
        append(&mut producer, large).await,
        done(2),
        "a seq of its own, and one"
    );
    assert_eq!(producer.write(&["after"]).await, 3);
    assert_eq!(pieces(&other, &large).await, 6);
    let page = other.page(&id("chat"), Position::Start).await;
    let chunks: Vec<_> = page
        .frames
        .iter()
        .flat_map(tidemark::model::frame::Frame::chunks)
        .collect();
    assert_eq!(chunks[1].kind, Kind::Large);
    assert_eq!(Reference::decode(chunks[1].data), Some(large));
    let bytes = engine.status(&id("chat")).await.unwrap().bytes - before;
    let length = LENGTH as u64;
    assert!(
        (length..length + 100).contains(&bytes),
        "{bytes} bytes are counted"
    );
    assert!(engine.store.memory(&id("chat")).await.unwrap() >= Some(length));
}

pub async fn pieces_are_written_once_and_in_their_order(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    let large = reference(&producer);
    assert_eq!(put(&producer, large, 1).await, Appended::Incomplete);
    assert_eq!(append(&mut producer, large).await, Appended::Incomplete);
    for index in [0, 0, 1, 0, 1, 2, 3, 4] {
        assert_eq!(put(&producer, large, index).await, done(0));
    }
    assert_eq!(
        append(&mut producer, large).await,
        Appended::Incomplete,
        "the last one is missing"
    );
    assert_eq!(put(&producer, large, 5).await, done(0));
    let batch = Append {
        frame: frame(&large),
        large: Some(large),
        ..producer.next()
    };
    for _ in 0..2 {
        assert_eq!(producer.send(&batch).await, done(1));
    }
    let bytes = engine.status(&id("chat")).await.unwrap().bytes;
    assert!(bytes < LENGTH as u64 + 100, "{bytes} bytes are counted");
}

pub async fn producers_that_share_do_not_mix_their_pieces(world: &World) {
    let engine = world.engine();
    let mut one = engine.produce_as(&id("chat"), share()).await;
    let mut two = engine.produce_as(&id("chat"), share()).await;
    let (first, second) = (reference(&one), reference(&two));
    for index in 0..first.pieces() {
        put(&one, first, index).await;
        put(&two, second, index).await;
    }
    assert_eq!(append(&mut two, second).await, done(1));
    assert_eq!(append(&mut one, first).await, done(2));
    assert_eq!(pieces(&engine, &first).await + pieces(&engine, &second).await, 12);
}

pub async fn whoever_may_not_append_puts_no_pieces(world: &World) {
    let engine = world.engine();
    let owner = engine.produce(&id("chat")).await;
    let large = reference(&owner);
    put(&owner, large, 0).await;
    let mut next = engine.produce_as(&id("chat"), takeover()).await;
    assert_eq!(put(&owner, large, 1).await, Appended::Fenced);
    next.end(Outcome::Failed, "no more").await;
    let own = reference(&next);
    assert_eq!(
        put(&next, own, 0).await,
        Appended::Ended(terminal(Outcome::Failed, "no more"))
    );
    engine.delete(&id("chat")).await;
    assert_eq!(put(&next, own, 0).await, Appended::Missing);
    assert_eq!(pieces(&engine, &large).await + pieces(&engine, &own).await, 0);
}

pub async fn a_piece_is_a_sign_of_life_and_tells_of_a_stop(world: &World) {
    let engine = world.engine();
    // All pieces together take longer than the lease, each of them much less.
    let lease = 5 * SHORT;
    let short = Start { lease, ..start() };
    let producer = engine.produce_as(&id("chat"), short).await;
    let large = reference(&producer);
    for index in 0..large.pieces() {
        pass(lease / 4).await;
        assert_eq!(put(&producer, large, index).await, done(0));
        assert_eq!(engine.status(&id("chat")).await.unwrap().producers, 1);
    }
    assert_eq!(engine.stop(&id("chat"), "enough").await, StopResult::Stopping);
    match put(&producer, large, 0).await {
        Appended::Done { stop, .. } => assert_eq!(stop.as_deref(), Some("enough")),
        other => panic!("{other:?}"),
    }
}

pub async fn pieces_go_with_their_generation(world: &World) {
    let engine = world.engine();
    let mut all = Vec::new();
    for round in 0..4 {
        let mut producer = engine.produce(&id("chat")).await;
        let large = reference(&producer);
        put_all(&producer, large).await;
        append(&mut producer, large).await;
        producer.complete().await;
        all.push(large);
        for (at, large) in all.iter().enumerate() {
            let expected = if at + 2 > round { 6 } else { 0 };
            assert_eq!(pieces(&engine, large).await, expected, "of {at} after {round}");
        }
    }
    engine.delete(&id("chat")).await;
    for large in &all {
        assert_eq!(pieces(&engine, large).await, 0);
    }
}

pub async fn a_record_that_is_put_back_takes_pieces_anew(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["gone"]).await;
    let large = reference(&producer);
    put_all(&producer, large).await;
    engine.lose(&id("chat"), None).await;
    assert_eq!(put(&producer, large, 0).await, Appended::Missing);
    assert_eq!(pieces(&engine, &large).await, 0, "they expire with their stream");
    assert_eq!(producer.restore(1).await, done(1));
    assert_eq!(append(&mut producer, large).await, Appended::Incomplete);
    put_all(&producer, large).await;
    assert_eq!(append(&mut producer, large).await, done(2));
    assert_eq!(pieces(&engine, &large).await, 6);
}
