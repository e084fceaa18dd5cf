//! Looks at many streams at once, and a producer that leaves many others.

use redis::pipe;
use tidemark::{
    StreamId,
    store::{
        Found, IfActive, Known, MAX_CONSUMERS, MAX_PRODUCERS, MOST_LOOKS, SharedStore, Start,
        forks::{Fork, MAX_ORIGINS},
        groups::MAX_GROUPS,
    },
};
use ulid::Ulid;

use super::{MOST_BYTES, Scene, acknowledged, bounded, crowded, long};
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

/// Streams of as many producers, consumers and groups as there may be, which list first, and as many plain ones as a script takes.
#[tokio::test]
async fn g9_bounds_of_glances() {
    let mut scene = Scene::new().await;
    let names: Vec<_> = (0..64).map(|number| id(&long("stream", number))).collect();
    let many = async |scene: &mut Scene| {
        let crowd = crowded(scene).await;
        acknowledged(scene, MAX_CONSUMERS, crowd.generation).await;
        let mut pipeline = pipe();
        let (crowded, plain) = names.split_at(4);
        for group in (0..MAX_GROUPS).map(|number| long("group", number)) {
            pipeline
                .cmd("HSET")
                .arg("{tm:chat}:groups")
                .arg(&group)
                .arg("1-0");
            for name in crowded {
                let work = format!("{{tm:{name}}}:work:{group}");
                for half in ["g", "d"].map(|half| format!("{half} {group}")) {
                    pipeline
                        .cmd("XGROUP")
                        .arg("CREATE")
                        .arg(&work)
                        .arg(half)
                        .arg(0)
                        .arg("MKSTREAM");
                }
            }
        }
        pipeline
            .cmd("HSET")
            .arg("{tm:chat}:meta")
            .arg("d")
            .arg("x".repeat(64 << 10));
        for name in crowded {
            for part in ["meta", "cursors", "groups"] {
                let [from, to] = ["chat", name.as_str()].map(|stream| format!("{{tm:{stream}}}:{part}"));
                pipeline.cmd("COPY").arg(from).arg(to);
            }
        }
        scene.send(&pipeline).await;
        for name in plain {
            scene.store.start(name, &start(IfActive::Error)).await.unwrap();
        }
    };
    let (found, cost) = bounded(&mut scene, "glances", many, async |store, _, ()| {
        store.glances(&names).await.unwrap()
    })
    .await;
    let found = found.iter().filter(|found| matches!(found, Found::Stream(_)));
    assert_eq!(found.count(), names.len());
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
