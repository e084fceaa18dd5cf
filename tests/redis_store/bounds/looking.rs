//! Looks at many streams at once, and a producer that leaves many others.

use redis::pipe;
use tidemark::{
    StreamId,
    store::{
        IfActive, Known, MAX_PRODUCERS, MOST_LOOKS, SharedStore, Start,
        forks::{Fork, MAX_ORIGINS},
    },
};
use ulid::Ulid;

use super::{MOST_BYTES, Scene, bounded, crowded, long};
use crate::support::*;

#[tokio::test]
async fn g9_bounds_of_looks_at_many_streams() {
    let mut scene = Scene::new().await;
    let streams: Vec<_> = (0..MOST_LOOKS)
        .map(|number| id(&long("stream", number)))
        .collect();
    let origin = tidemark::Cursor {
        generation: Ulid::new(),
        seq: u64::from(u32::MAX),
    };
    let fork = Fork {
        stream_id: long("source", 0),
        seq: 1,
        part: 0,
        origins: vec![origin; MAX_ORIGINS],
    };
    let many = async |scene: &mut Scene| {
        scene.clear().await;
        let (mut known, mut pipeline) = (Vec::new(), pipe());
        for stream in &streams {
            let request = Start {
                owner: Some("o".repeat(512)),
                ..start(IfActive::Error)
            };
            let started = scene.store.start(stream, &request).await.unwrap();
            known.push(Known {
                stream: stream.clone(),
                generation: started.generation,
                seq: started.seq,
                is_all: true,
            });
            pipeline
                .cmd("HSET")
                .arg(format!("{{tm:{stream}}}:meta"))
                .arg("ff")
                .arg(fork.to_string());
        }
        scene.send(&pipeline).await;
        known
    };
    let (changed, cost) = bounded(
        &mut scene,
        "a look at quiet streams",
        many,
        async |store, _, known: Vec<Known>| store.changed(&known).await.unwrap(),
    )
    .await;
    assert!(changed.is_empty(), "{changed:?}");
    assert!(
        cost.commands <= MOST_LOOKS as u64 + 4,
        "{} commands",
        cost.commands
    );
    let (tails, cost) = bounded(&mut scene, "ends of streams", many, async |store, _, _| {
        store.tails(&streams).await.unwrap()
    })
    .await;
    assert!(
        tails
            .iter()
            .flatten()
            .all(|tail| tail.origins.len() == MAX_ORIGINS)
    );
    assert_eq!(tails.iter().flatten().count(), MOST_LOOKS);
    assert!(
        cost.commands <= MOST_LOOKS as u64 + 4,
        "{} commands",
        cost.commands
    );
    assert!(cost.bytes < MOST_BYTES, "{} bytes", cost.bytes);
}

#[tokio::test]
async fn g9_bounds_of_a_producer_that_leaves_many_others() {
    let mut scene = Scene::new().await;
    let leave = async |store: &SharedStore, stream: &StreamId, start: Start| {
        store.release(stream, start.producer, false);
        until("it has left", || async {
            let status = store.status(stream).await.unwrap().unwrap();
            status.producers as usize == MAX_PRODUCERS - 1
        })
        .await;
    };
    bounded(&mut scene, "a producer that leaves", crowded, leave).await;
}
