//! Logs and their forks.

use redis::{Value, pipe};
use tidemark::{
    StreamId,
    model::frame::{EncodedFrame, Frame, Kind, MAX_CHUNK, MAX_INLINE, PIECE, Reference, SealedFrame},
    store::{
        Piece, Seal,
        forks::{ForkList, Forks, MAX_FORKS, Stage, StagePart, Staged},
        logs::{FOREVER, LogOutcome, LogProducer, LogWrite, MAX_WRITERS, NOBODY},
    },
};
use ulid::Ulid;

use super::{Scene, bounded, chunk, long};
use crate::support::*;

#[tokio::test]
async fn g9_bounds_of_logs() {
    let mut scene = Scene::new().await;
    let long = chunk(MAX_INLINE);
    let order = |last: char| Some("x".repeat(1023) + &last.to_string());
    let write = |number: usize, frame: EncodedFrame| LogWrite {
        producer: Some(LogProducer {
            id: long_name(number),
            epoch: 0,
            seq: 0,
        }),
        essence: Some("text/plain".to_owned()),
        frame: Some(frame),
        ..log_write(number as u64 + 1)
    };
    // As many writers as a log remembers, and 512 frames to seal.
    let crowded = async |scene: &mut Scene| {
        scene.clear().await;
        let mut frames = Vec::new();
        for number in 0..MAX_WRITERS - 1 {
            let mut write = write(number, chunk(500));
            if number >= 512 {
                write.frame = None;
            }
            if number == MAX_WRITERS - 2 {
                write.order = order('a');
            }
            frames.extend(write.frame.iter().map(|frame| frame.at(number as u64 + 1)));
            write_log(&scene.store, &scene.stream, &write).await.unwrap();
        }
        frames
    };
    let (written, _) = bounded(
        &mut scene,
        "a log's chunk and seal, of a writer too many",
        crowded,
        async |store, stream, frames: Vec<Frame>| {
            let seal = Seal {
                after: 0,
                frame: SealedFrame::of(&frames, 6).unwrap(),
                replaced: 1 << 18,
            };
            let write = LogWrite {
                order: order('b'),
                seal: Some(seal),
                close: true,
                ..write(MAX_WRITERS, long.clone())
            };
            write_log(store, stream, &write).await.unwrap()
        },
    )
    .await;
    assert_eq!(
        written.outcome,
        LogOutcome::Written {
            last: 513,
            is_new: false
        }
    );
    let left: usize = scene.run(&["HLEN", "{tm:chat}:writers"]).await;
    assert!(
        left <= MAX_WRITERS / 2 + 4,
        "half of them, and what else is noted: {left}"
    );

    // A write that is refused removes its pieces.
    let large = Reference {
        id: Ulid::new(),
        ordinal: 1,
        kind: Kind::Bytes,
        length: MAX_CHUNK,
    };
    let put = async |scene: &mut Scene| {
        scene.clear().await;
        let first = write_log(&scene.store, &scene.stream, &write(0, chunk(1)))
            .await
            .unwrap();
        let generation = first.head.unwrap().generation;
        for index in 0..large.pieces() {
            let piece = Piece {
                generation,
                producer: NOBODY,
                lease: FOREVER,
                large,
                index,
                data: vec![0; PIECE].into(),
            };
            scene.store.put(&scene.stream, &piece).await.unwrap();
        }
        generation
    };
    let (refused, _) = bounded(
        &mut scene,
        "a log's refusal of 32 MiB",
        put,
        async |store, stream, generation: Ulid| {
            let again = LogWrite {
                create: None,
                generation: Some(generation),
                large: Some(large),
                batch: 2,
                ..write(0, chunk(1))
            };
            write_log(store, stream, &again).await.unwrap()
        },
    )
    .await;
    assert_eq!(refused.outcome, LogOutcome::Duplicate { epoch: 0, seq: 0 });
}

#[tokio::test]
async fn g9_bounds_of_forks() {
    let mut scene = Scene::new().await;
    let id = Ulid::new();
    let begun = async |scene: &mut Scene| {
        scene.clear().await;
        let part = StagePart::Begin;
        let begin = Stage { id, step: 0, part };
        scene.store.stage(&scene.stream, &begin).await.unwrap();
    };
    let (staged, _) = bounded(
        &mut scene,
        "a step of a fork",
        begun,
        async |store, stream, ()| {
            let frame = SealedFrame::of(&[chunk(MAX_INLINE).at(1)], 6).unwrap();
            let part = StagePart::Frame { last: 1, frame };
            store.stage(stream, &Stage { id, step: 1, part }).await.unwrap()
        },
    )
    .await;
    assert_eq!(staged, Staged::Done { ordinal: 1 });

    let names: Vec<_> = (0..MAX_FORKS)
        .map(|number| format!("{number:4} {}", "x".repeat(StreamId::MAX_BYTES - 5)))
        .collect();
    let forked = async |scene: &mut Scene| {
        scene.clear().await;
        let mut redis = scene.redis.clone();
        let mut forks = pipe();
        for name in &names {
            forks
                .cmd("HSET")
                .arg("{tm:chat}:forks")
                .arg(format!("={name}"))
                .arg("1");
        }
        forks.cmd("HSET").arg("{tm:chat}:forks").arg("!").arg("1");
        let _: Value = forks.query_async(&mut redis).await.unwrap();
    };
    let (shown, _) = bounded(&mut scene, "1,000 forks", forked, async |store, stream, ()| {
        store.forks(stream, &ForkList::Show).await.unwrap()
    })
    .await;
    assert_eq!(shown.streams.len(), MAX_FORKS);
    let (dropped, _) = bounded(
        &mut scene,
        "1,000 forks are gone",
        forked,
        async |store, stream, ()| store.forks(stream, &ForkList::Drop(names.clone())).await.unwrap(),
    )
    .await;
    assert_eq!(dropped, Forks::default());
}

fn long_name(number: usize) -> String {
    long("producer", number)
}
