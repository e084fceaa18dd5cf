//! Pages, and what is done with a record of many producers.

use redis::pipe;
use tidemark::{
    Error,
    model::{
        ending::Outcome,
        frame::{Frame, MAX_INLINE},
    },
    store::{
        Appended, IfActive, MAX_CONSUMERS, MAX_PAGE_FRAMES, MAX_PRODUCERS, OwnerCheck, Position, Renew, Start,
    },
};
use ulid::Ulid;

use super::{MOST_BYTES, Scene, acknowledged, bounded, chunk, crowd, crowded, page, write};
use crate::support::*;

#[tokio::test]
async fn g9_bounds_of_a_page_whatever_the_frames_look_like() {
    let mut scene = Scene::new().await;
    let a = scene.start(IfActive::Error).await;
    let long = chunk(MAX_INLINE);
    let append = async |scene: &Scene, number, frame| {
        let appended = scene.store.append(&scene.stream, &write(&a, number, frame)).await;
        assert!(matches!(appended, Ok(Appended::Done { .. })), "{appended:?}");
    };
    // First many short frames, then long ones.
    for number in 1..=300 {
        append(&scene, number, frame(&["token "])).await;
    }
    for number in 301..=332 {
        append(&scene, number, long.clone()).await;
    }
    for (what, after) in [("short frames and then long ones", 60), ("long frames", 305)] {
        let position = Position::After {
            generation: a.generation,
            seq: after,
        };
        let (page, cost) = bounded(
            &mut scene,
            what,
            async |_| (),
            async |store, stream, ()| store.read(stream, &page(position)).await.unwrap().unwrap(),
        )
        .await;
        assert_eq!((page.frames[0].first(), page.more), (after + 1, true));
        let bytes: usize = page.frames.iter().map(Frame::size).sum();
        assert!(bytes <= 256 * 1024 + long.bytes.len(), "{bytes}");
        assert!(cost.bytes < MOST_BYTES, "{what}: {} bytes", cost.bytes);
    }

    // A record of an older version has no `v`, and its sealed frames may have 4 MiB.
    let sealed = vec![0x55_u8; 4 << 20];
    let mut pipeline = pipe();
    pipeline.cmd("HDEL").arg("{tm:chat}:meta").arg("v");
    pipeline
        .cmd("HSET")
        .arg("{tm:chat}:meta")
        .arg("y")
        .arg(8)
        .arg("h")
        .arg(0)
        .arg("q")
        .arg(332);
    for last in 1..=8 {
        pipeline
            .cmd("XADD")
            .arg("{tm:chat}:sealed")
            .arg(format!("1-{last}"))
            .arg("f")
            .arg(&sealed[..])
            .arg("n")
            .arg(sealed.len());
    }
    scene.send(&pipeline).await;
    // Copying one of them takes long.
    let ((), cost) = scene
        .measure(async |store, stream| {
            let damaged = store.read(stream, &page(Position::Start)).await;
            assert!(
                matches!(damaged, Err(Error::Corrupt { seq: 1, .. })),
                "{damaged:?}"
            );
        })
        .await;
    assert!(cost.bytes < 2.0 * MOST_BYTES, "{} bytes", cost.bytes);
}

#[tokio::test]
async fn g9_bounds_of_a_page_of_many_frames() {
    for is_known in [true, false] {
        let mut scene = Scene::new().await;
        let start = scene.start(IfActive::Share).await;
        crowd(&mut scene, MAX_PRODUCERS - 1, 1).await;
        let empty = frame(&[""]);
        let mut pipeline = pipe();
        for last in 1..=2 * MAX_PAGE_FRAMES {
            pipeline
                .cmd("XADD")
                .arg("{tm:chat}:log")
                .arg(format!("1-{last}"))
                .arg("f")
                .arg(&empty.bytes[..]);
        }
        pipeline
            .cmd("HSET")
            .arg("{tm:chat}:meta")
            .arg("q")
            .arg(2 * MAX_PAGE_FRAMES);
        if !is_known {
            pipeline.cmd("HDEL").arg("{tm:chat}:meta").arg("v");
        }
        scene.send(&pipeline).await;
        let what = if is_known {
            "tiny frames"
        } else {
            "tiny frames of an older server"
        };
        let (page, _) = bounded(
            &mut scene,
            what,
            async |_| (),
            async |store, stream, ()| store.read(stream, &page(Position::Start)).await.unwrap().unwrap(),
        )
        .await;
        let most = if is_known { MAX_PAGE_FRAMES } else { 256 };
        assert_eq!((page.frames.len(), page.more), (most, true));
        // Further pages have all the others.
        let (mut seq, mut pages) = (0, 0);
        while seq < 2 * MAX_PAGE_FRAMES as u64 {
            let position = Position::After {
                generation: start.generation,
                seq,
            };
            let next = scene
                .store
                .read(&scene.stream, &super::page(position))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(next.frames[0].first(), seq + 1);
            seq = next.frames.last().unwrap().last();
            assert_eq!(next.more, seq < 2 * MAX_PAGE_FRAMES as u64);
            pages += 1;
        }
        assert!(pages <= 16, "{pages}");
    }
}

#[tokio::test]
async fn g9_bounds_of_a_record_of_many_producers() {
    let mut scene = Scene::new().await;
    bounded(&mut scene, "join", crowded, async |store, stream, _| {
        let refused = store.start(stream, &start(IfActive::Share)).await;
        assert!(
            matches!(&refused, Err(Error::Store { retryable: false, reason, .. }) if reason.contains("producers already")),
            "{refused:?}"
        );
    })
    .await;
    // All but one of the nodes are dead, or all of them.
    for (what, nth) in [
        ("a lapse of all leases but one", 997),
        ("a lapse of all leases", 0),
    ] {
        let lapsed = async |scene: &mut Scene| {
            scene.clear().await;
            let start = scene.start(IfActive::Share).await;
            crowd(scene, MAX_PRODUCERS - 1, nth.max(1)).await;
            let own = format!("p:{}", start.producer);
            let () = scene.run(&["HSET", "{tm:chat}:meta", &own, "0 0 1 X"]).await;
            if nth == 0 {
                let nodes: Vec<String> = scene.run(&["KEYS", "tm:node:*"]).await;
                let mut pipeline = pipe();
                for node in nodes {
                    pipeline.cmd("DEL").arg(node);
                }
                scene.send(&pipeline).await;
            }
        };
        let (page, cost) = bounded(&mut scene, what, lapsed, async |store, stream, ()| {
            store.read(stream, &page(Position::Start)).await.unwrap().unwrap()
        })
        .await;
        assert_eq!(page.head.doubt.is_some(), nth == 0, "{what}");
        assert!(cost.commands < 1100, "{what}: {} commands", cost.commands);
    }
    // Dead ones make room, wherever they are among those that live.
    for nth in [2, 100] {
        let mixed = async |scene: &mut Scene| {
            scene.clear().await;
            scene.start(IfActive::Share).await;
            crowd(scene, MAX_PRODUCERS - 1, nth).await;
        };
        let what = format!("join, where one of {nth} lives");
        let (_, cost) = bounded(&mut scene, &what, mixed, async |store, stream, ()| {
            store.start(stream, &start(IfActive::Share)).await.unwrap()
        })
        .await;
        assert!(cost.commands < 200, "{what}: {} commands", cost.commands);
    }
    bounded(&mut scene, "takeover", crowded, async |store, stream, _| {
        store.start(stream, &start(IfActive::Takeover)).await.unwrap()
    })
    .await;
    bounded(&mut scene, "stop", crowded, async |store, stream, _| {
        store
            .stop(stream, "enough", &OwnerCheck::Internal, LEASE)
            .await
            .unwrap()
    })
    .await;
    bounded(
        &mut scene,
        "renew",
        crowded,
        async |store, stream, start: Start| {
            let renew = Renew {
                generation: start.generation,
                producer: start.producer,
                lease: LEASE,
            };
            assert_eq!(store.renew(stream, &renew).await.unwrap(), done(0));
        },
    )
    .await;
    bounded(
        &mut scene,
        "an end of many",
        crowded,
        async |store, stream, start: Start| {
            let failed = end(&start, start.generation, 1, Outcome::Failed, "out of memory");
            store.append(stream, &failed).await.unwrap()
        },
    )
    .await;
    bounded(&mut scene, "delete", crowded, async |store, stream, _| {
        store.remove(stream, &OwnerCheck::Internal).await.unwrap()
    })
    .await;
    let consumers = async |scene: &mut Scene| {
        crowded(scene).await;
        acknowledged(scene, MAX_CONSUMERS, Ulid::new()).await;
        let metadata = "x".repeat(64 * 1024);
        let () = scene.run(&["HSET", "{tm:chat}:meta", "d", &metadata]).await;
    };
    bounded(&mut scene, "status", consumers, async |store, stream, ()| {
        store.status(stream).await.unwrap().unwrap()
    })
    .await;
}
