//! Appends, seals, starts that drop old generations, and large chunks.

use redis::pipe;
use tidemark::{
    StreamId,
    model::frame::{Frame, Kind, MAX_CHUNK, MAX_INLINE, PIECE, Reference, SealedFrame},
    store::{Append, Appended, IfActive, OwnerCheck, Piece, Seal, SharedStore, Start},
};
use ulid::Ulid;

use super::{Scene, bounded, chunk, write};
use crate::support::*;

#[tokio::test]
async fn g9_bounds_of_appends_and_seals() {
    let mut scene = Scene::new().await;
    let long = chunk(MAX_INLINE);
    // 512 frames of an open part of 0.25 MiB, behind what the previous generation has left open.
    let open = async |scene: &mut Scene| {
        scene.clear().await;
        let first = scene.start(IfActive::Error).await;
        scene
            .store
            .append(&scene.stream, &write(&first, 1, frame(&["left open"])))
            .await
            .unwrap();
        let start = scene.start(IfActive::Takeover).await;
        let mut frames = Vec::new();
        for number in 1..=512 {
            let frame = chunk(500);
            let append = Append {
                expected: Some(number),
                ..write(&start, number, frame.clone())
            };
            let appended = scene.store.append(&scene.stream, &append).await.unwrap();
            assert!(matches!(appended, Appended::Done { .. }), "{appended:?}");
            frames.push(frame.at(number + 1));
        }
        (start, frames)
    };
    let (appended, _) = bounded(
        &mut scene,
        "a seal and a chunk",
        open,
        async |store, stream, (start, frames): (Start, Vec<Frame>)| {
            let seal = Seal {
                after: 1,
                frame: SealedFrame::of(&frames, 6).unwrap(),
                replaced: 1 << 18,
            };
            assert_eq!(seal.last(), 513);
            let append = Append {
                expected: Some(513),
                seal: Some(seal),
                ..write(&start, 2000, long.clone())
            };
            store.append(stream, &append).await.unwrap()
        },
    )
    .await;
    assert_eq!(appended, done(514));
    let left: usize = scene.run(&["XLEN", "{tm:chat}:log"]).await;
    assert_eq!(left, 3, "what was left open, its end, and the last chunk");

    let one = async |scene: &mut Scene| {
        scene.clear().await;
        let first = scene.start(IfActive::Error).await;
        let left_open = write(&first, 1, long.clone());
        scene.store.append(&scene.stream, &left_open).await.unwrap();
        let start = scene.start(IfActive::Takeover).await;
        let append = Append {
            expected: Some(1),
            ..write(&start, 1, long.clone())
        };
        scene.store.append(&scene.stream, &append).await.unwrap();
        start
    };
    let (appended, _) = bounded(
        &mut scene,
        "a seal of a long chunk",
        one,
        async |store, stream, start: Start| {
            let seal = Seal {
                after: 1,
                frame: SealedFrame::of(&[long.at(2)], 6).unwrap(),
                replaced: long.bytes.len(),
            };
            let append = Append {
                expected: Some(2),
                seal: Some(seal),
                ..batch(&start, start.generation, 2, None, &[])
            };
            store.append(stream, &append).await.unwrap()
        },
    )
    .await;
    assert_eq!(appended, done(2));
    let left: usize = scene.run(&["XLEN", "{tm:chat}:log"]).await;
    assert_eq!(left, 2, "what was left open, and its end");

    let lanes = async |scene: &mut Scene| {
        scene.clear().await;
        let mut streams = Vec::new();
        for number in 0..64 {
            let stream = id(&format!("lane {number}"));
            let start = start(IfActive::Error);
            scene.store.start(&stream, &start).await.unwrap();
            scene
                .store
                .append(&stream, &write(&start, 1, frame(&["x"])))
                .await
                .unwrap();
            streams.push((stream, start));
        }
        streams
    };
    let ((), cost) = bounded(
        &mut scene,
        "fast appends",
        lanes,
        async |store, _, streams: Vec<(StreamId, Start)>| {
            let appends: Vec<_> = streams
                .iter()
                .map(|(_, start)| write(start, 2, chunk(1000)))
                .collect();
            let calls = streams
                .iter()
                .zip(&appends)
                .map(|((stream, _), append)| store.append(stream, append));
            for appended in futures_util::future::join_all(calls).await {
                assert_eq!(unsaid(appended.unwrap()), done(2));
            }
        },
    )
    .await;
    assert!(cost.commands <= 3 * 64 + 4, "{} commands", cost.commands);
}

#[tokio::test]
async fn g9_bounds_of_a_start_that_drops_old_generations() {
    let mut scene = Scene::new().await;
    for (what, count, length) in [
        ("a start after short frames", 12_000, 60),
        ("a start after long frames", 256, MAX_INLINE),
    ] {
        let frame = chunk(length);
        let old = async |scene: &mut Scene| {
            scene.clear().await;
            scene.start(IfActive::Error).await;
            scene.start(IfActive::Takeover).await;
            let () = scene.run(&["DEL", "{tm:chat}:log"]).await;
            let longest = if length > 16_384 { length } else { 0 };
            let () = scene
                .run(&["HSET", "{tm:chat}:meta", "pv", &longest.to_string()])
                .await;

            for part in 0..count / 64 {
                let mut pipeline = pipe();
                for number in 1..=64 {
                    pipeline
                        .cmd("XADD")
                        .arg("{tm:chat}:log")
                        .arg(format!("1-{}", 64 * part + number))
                        .arg("f")
                        .arg(&frame.bytes[..]);
                }
                scene.send(&pipeline).await;
            }
        };
        bounded(&mut scene, what, old, async |store, stream, ()| {
            store.start(stream, &start(IfActive::Takeover)).await.unwrap()
        })
        .await;
    }
    // The next batches drop what a start has left.
    let b = scene.start(IfActive::Takeover).await;
    let (mut number, mut left) = (0, usize::MAX);
    while left > 2 {
        assert!(number < 10, "{left} are left");
        number += 1;
        let append = write(&b, number, frame(&["x"]));
        let expected = Some(number - 1);
        let append = Append { expected, ..append };
        scene.store.append(&scene.stream, &append).await.unwrap();
        let () = scene.run(&["HSET", "{tm:chat}:meta", "h", "1"]).await;
        left = scene.run(&["XLEN", "{tm:chat}:log"]).await;
        left -= usize::try_from(number).unwrap();
    }
}

#[tokio::test]
async fn g9_bounds_of_large_chunks() {
    let mut scene = Scene::new().await;
    let piece = |start: &Start, large, index| Piece {
        generation: start.generation,
        producer: start.producer,
        lease: start.lease,
        large,
        index,
        data: vec![7; PIECE].into(),
    };
    let reference = |length| Reference {
        id: Ulid::new(),
        ordinal: 1,
        kind: Kind::Bytes,
        length,
    };
    // Redis frees a hash of 64 fields itself, and leaves a longer one to a thread.
    for (what, length) in [
        ("63 pieces", 63 * PIECE),
        ("64 pieces", 64 * PIECE),
        ("the largest chunk", MAX_CHUNK),
    ] {
        let large = reference(length);
        let put = async |scene: &mut Scene| {
            scene.clear().await;
            let start = scene.start(IfActive::Error).await;
            for index in 0..large.pieces() - 1 {
                let put = scene.store.put(&scene.stream, &piece(&start, large, index)).await;
                assert!(matches!(put, Ok(Appended::Done { .. })), "{put:?}");
            }
            piece(&start, large, large.pieces() - 1)
        };
        let last =
            async |store: &SharedStore, stream: &StreamId, last| store.put(stream, &last).await.unwrap();
        bounded(&mut scene, &format!("{what}, the last one"), put, last).await;
        let over = async |scene: &mut Scene| {
            put(scene).await;
            scene.start(IfActive::Takeover).await;
        };
        bounded(
            &mut scene,
            &format!("{what}, dropped by a start"),
            over,
            async |store, stream, ()| store.start(stream, &start(IfActive::Takeover)).await.unwrap(),
        )
        .await;
        let gone = async |scene: &mut Scene| drop(put(scene).await);
        bounded(
            &mut scene,
            &format!("{what}, deleted"),
            gone,
            async |store, stream, ()| store.remove(stream, &OwnerCheck::Internal).await.unwrap(),
        )
        .await;
    }
}
