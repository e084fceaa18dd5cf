//! Consumers, groups, and the queue of finished generations.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use redis::{Value, pipe};
use tidemark::{
    Cursor,
    model::ending::Outcome,
    store::{
        Ack, Append, IfActive, MAX_CONSUMERS, OwnerCheck, Position, Start, Sweep,
        groups::{Dead, Finished, ItemId, MAX_GROUPS, MAX_HELD, Resolution, Resolve, Subject, Take, Work},
    },
};
use ulid::Ulid;

use super::{Scene, acknowledged, bounded, long, write};
use crate::support::*;

#[tokio::test]
async fn g9_bounds_of_acknowledgements_of_strangers() {
    let mut scene = Scene::new().await;
    let full = async |scene: &mut Scene, gone: bool| {
        scene.clear().await;
        let start = scene.start(IfActive::Error).await;
        let first = write(&start, 1, frame(&["x"]));
        scene.store.append(&scene.stream, &first).await.unwrap();
        let generation = if gone { Ulid::new() } else { start.generation };
        acknowledged(scene, MAX_CONSUMERS, generation).await;
        start.generation
    };
    let strangers = |generation, round: usize| -> Vec<Ack> {
        let consumer = |number| long("stranger", 128 * round + number);
        let cursor = Cursor { generation, seq: 1 };
        (0..128)
            .map(|number| Ack {
                consumer: consumer(number),
                cursor,
            })
            .collect()
    };
    for (what, gone) in [
        ("strangers, and no room", false),
        ("strangers in the place of others", true),
    ] {
        bounded(
            &mut scene,
            what,
            async |scene| full(scene, gone).await,
            async |store, stream, generation| {
                let acks = strangers(generation, 0);
                let taken = store.ack(stream, &acks, &OwnerCheck::Internal).await.unwrap();
                assert_eq!(taken, vec![gone; 128]);
            },
        )
        .await;
    }
    // All consumers are looked at once in a generation, however many come.
    let generation = full(&mut scene, false).await;
    let ((), cost) = scene
        .measure(async |store, stream| {
            for round in 0..8 {
                store
                    .ack(stream, &strangers(generation, round), &OwnerCheck::Internal)
                    .await
                    .unwrap();
            }
        })
        .await;
    assert!(cost.commands < 8 * 140, "{} commands", cost.commands);
    let stats: String = scene.run(&["INFO", "commandstats"]).await;
    assert!(stats.contains("cmdstat_hgetall:calls=1,"), "{stats}");
}

fn take(group: usize, count: usize, claim_idle: Duration) -> Take {
    Take {
        group: long("group", group),
        consumer: long("consumer", 0),
        from: Position::Start,
        count,
        claim_idle,
        max_deliveries: 3,
        own: None,
        told: None,
        owner: OwnerCheck::Internal,
    }
}

#[tokio::test]
async fn g9_bounds_of_groups() {
    let mut scene = Scene::new().await;
    let chunks = |to: usize| frame(&vec!["x"; to]);
    let make = async |scene: &mut Scene| {
        scene.clear().await;
        let start = scene.start(IfActive::Error).await;
        let all = write(&start, 20_000, chunks(20_000));
        let all = Append {
            expected: Some(0),
            ..all
        };
        scene.store.append(&scene.stream, &all).await.unwrap();
        for group in 0..MAX_GROUPS {
            let one = take(group, 1, LEASE);
            take_from(&scene.store, Work::Stream(&scene.stream), &one).await;
        }
        loop {
            let more = take(0, 1000, LEASE);
            let more = take_from(&scene.store, Work::Stream(&scene.stream), &more).await;
            if more.items.is_empty() {
                scene.keep().await;
                break start;
            }
        }
    };
    let start = make(&mut scene).await;
    let held = async |scene: &mut Scene| {
        scene.again().await;
        start.clone()
    };
    let (taken, _) = bounded(
        &mut scene,
        "take, all of them held",
        held,
        async |store, stream, _| take_from(store, Work::Stream(stream), &take(0, 100, LEASE)).await,
    )
    .await;
    assert_eq!(taken.items, [], "a group holds no more");
    let summary: (usize, String, String, Value) = {
        let work = format!("{{tm:chat}}:work:{}", long("group", 0));
        scene
            .run(&["XPENDING", &work, &format!("g {}", long("group", 0))])
            .await
    };
    assert_eq!(summary.0, MAX_HELD);
    bounded(
        &mut scene,
        "take, all of them free",
        held,
        async |store, stream, _| {
            let free = take(0, 100, Duration::from_millis(1));
            let items = take_from(store, Work::Stream(stream), &free).await.items;
            assert_eq!(items.len(), 100);
        },
    )
    .await;
    bounded(
        &mut scene,
        "take, all of them poison",
        held,
        async |store, stream, _| {
            let poison = Take {
                max_deliveries: 1,
                ..take(0, 100, Duration::from_millis(1))
            };
            take_from(store, Work::Stream(stream), &poison).await
        },
    )
    .await;
    bounded(&mut scene, "take, new ones", held, async |store, stream, _| {
        let items = take_from(store, Work::Stream(stream), &take(1, 100, LEASE))
            .await
            .items;
        assert_eq!(items.len(), 100);
    })
    .await;
    let later = async |scene: &mut Scene| {
        held(scene).await;
        let next = scene.start(IfActive::Takeover).await;
        let all = Append {
            expected: Some(20_000),
            ..write(&next, 2000, chunks(200))
        };
        scene.store.append(&scene.stream, &all).await.unwrap();
        // The position moves into the next generation, which then becomes the oldest one.
        let place = [&*long("group", 0), "2-20001"];
        let () = scene.run(&["HSET", "{tm:chat}:groups", place[0], place[1]]).await;
        scene.start(IfActive::Takeover).await;
        take_from(&scene.store, Work::Stream(&scene.stream), &take(0, 100, LEASE))
            .await
            .lost
    };
    let (lost, _) = bounded(
        &mut scene,
        "take, all of them lost",
        later,
        async |store, stream, lost| {
            let told = Take {
                told: lost,
                ..take(0, 100, LEASE)
            };
            let taken = take_from(store, Work::Stream(stream), &told).await;
            assert_eq!(taken.lost, lost);
            lost
        },
    )
    .await;
    assert!(lost.is_some());
    let resolutions = |resolution| -> Resolve {
        Resolve {
            group: long("group", 0),
            consumer: long("consumer", 0),
            resolutions: (1..=100).map(|seq| (ItemId(1, seq), resolution)).collect(),
            owner: OwnerCheck::Internal,
        }
    };
    for (what, resolution) in [
        ("resolve, done", Resolution::Done),
        ("resolve, back", Resolution::Back),
    ] {
        bounded(&mut scene, what, held, async |store, stream, _| {
            store
                .resolve(Work::Stream(stream), &resolutions(resolution))
                .await
                .unwrap();
        })
        .await;
    }
    let dead = async |scene: &mut Scene| {
        held(scene).await;
        for _ in 0..13 {
            let poison = Take {
                max_deliveries: 1,
                ..take(0, 100, Duration::from_millis(1))
            };
            take_from(&scene.store, Work::Stream(&scene.stream), &poison).await;
        }
    };
    for (what, resolution) in [
        ("resolve, retry", Resolution::Retry),
        ("resolve, drop", Resolution::Drop),
    ] {
        bounded(&mut scene, what, dead, async |store, stream, ()| {
            store
                .resolve(Work::Stream(stream), &resolutions(resolution))
                .await
                .unwrap();
        })
        .await;
    }
    bounded(&mut scene, "dead letters", dead, async |store, stream, ()| {
        let ask = Dead {
            group: long("group", 0),
            after: None,
            count: 100,
            owner: OwnerCheck::Internal,
        };
        assert_eq!(store.dead(Work::Stream(stream), &ask).await.unwrap().len(), 100);
    })
    .await;
    bounded(&mut scene, "list of groups", dead, async |store, stream, ()| {
        let groups = store.groups(Work::Stream(stream)).await.unwrap().unwrap();
        assert!(groups.iter().any(|group| group.dead > 0));
    })
    .await;
    bounded(
        &mut scene,
        "delete, with groups",
        held,
        async |store, stream, _| store.remove(stream, &OwnerCheck::Internal).await.unwrap(),
    )
    .await;
    let rule = Sweep {
        older_than: Duration::ZERO,
        outcomes: vec![],
        force: true,
        dry_run: false,
    };
    bounded(
        &mut scene,
        "clean-up, with groups",
        held,
        async |store, stream, _| store.sweep(std::slice::from_ref(stream), &rule).await.unwrap(),
    )
    .await;
    bounded(
        &mut scene,
        "an end, with groups",
        held,
        async |store, stream, start: Start| {
            let end = end(&start, start.generation, 30_000, Outcome::Complete, "");
            let end = Append {
                expected: Some(20_000),
                ..end
            };
            store.append(stream, &end).await.unwrap()
        },
    )
    .await;
}

#[tokio::test]
async fn g9_bounds_of_the_queue() {
    let mut scene = Scene::new().await;
    let finished = |number: usize| Finished {
        stream: id(&format!("{number:5}{}", "x".repeat(500))),
        cursor: Cursor {
            generation: Ulid::new(),
            seq: 1,
        },
        terminal: terminal(Outcome::Failed, &"x".repeat(1024)),
    };
    let queue = async |scene: &mut Scene| {
        scene.clear().await;
        for group in 0..MAX_GROUPS {
            scene
                .store
                .take(Work::Finished, &take(group, 1, LEASE))
                .await
                .unwrap();
        }
        let all = (0..MAX_HELD + 200).map(finished).collect::<Vec<_>>();
        for part in all.chunks(500) {
            let calls = part.iter().map(|finished| scene.store.announce(finished, false));
            futures_util::future::join_all(calls).await;
        }
        while !take_from(&scene.store, Work::Finished, &take(0, 1000, LEASE))
            .await
            .items
            .is_empty()
        {}
    };
    queue(&mut scene).await;
    let nothing = async |_: &mut Scene| ();
    for (what, group, idle, count) in [
        ("take of the queue, all held", 0, LEASE, 0),
        ("take of the queue, all free", 0, Duration::from_millis(1), 100),
        ("take of the queue, new ones", 1, LEASE, 100),
    ] {
        let (taken, _) = bounded(&mut scene, what, nothing, async |store, _, ()| {
            take_from(store, Work::Finished, &take(group, 100, idle)).await
        })
        .await;
        assert_eq!(taken.items.len(), count, "{what}");
        if count > 0 {
            let Subject::Finished(first) = &taken.items[0].subject else {
                panic!("{taken:?}")
            };
            assert_eq!(first.terminal.reason.len(), 1024);
        }
    }
    bounded(&mut scene, "announce", nothing, async |store, _, ()| {
        store.announce(&finished(1), false).await.unwrap();
    })
    .await;
    let begun = async |scene: &mut Scene| {
        let mut pipeline = pipe();
        for number in 0..1000 {
            let member = format!("{} {}", Ulid::new(), finished(number).stream);
            pipeline.cmd("ZADD").arg("tm:{finished}:open").arg(1).arg(member);
        }
        scene.send(&pipeline).await;
    };
    bounded(&mut scene, "overdue", begun, async |store, _, ()| {
        assert_eq!(store.overdue(64, LEASE).await.unwrap().open.len(), 64);
    })
    .await;
    bounded(
        &mut scene,
        "start, with enter",
        begun,
        async |store, stream, ()| store.start(stream, &start(IfActive::Takeover)).await.unwrap(),
    )
    .await;
}

/// A take lists the consumers of its group now and then, and their names may change with each restart.
#[tokio::test]
async fn g9_consumers_of_the_queue_that_hold_nothing_are_forgotten() {
    let scene = Scene::new().await;
    let consumer = |number: usize, claim_idle| Take {
        consumer: long("consumer", number),
        ..take(0, 1, claim_idle)
    };
    let store = &scene.store;
    // The first request makes the queue.
    take_from(store, Work::Finished, &consumer(0, LEASE)).await;
    let busy = (0..400).map(|number| async move {
        let finished = Finished {
            stream: id("chat"),
            cursor: Cursor {
                generation: Ulid::new(),
                seq: 1,
            },
            terminal: terminal(Outcome::Complete, ""),
        };
        store.announce(&finished, false).await.unwrap();
        let take = consumer(number, LEASE);
        let items = take_from(store, Work::Finished, &take).await.items;
        let resolve = Resolve {
            group: take.group,
            consumer: take.consumer,
            resolutions: items.iter().map(|item| (item.id, Resolution::Done)).collect(),
            owner: OwnerCheck::Internal,
        };
        store.resolve(Work::Finished, &resolve).await.unwrap();
    });
    futures_util::future::join_all(busy).await;
    let known = async || {
        let groups: Vec<Vec<Value>> = scene.server.run("XINFO GROUPS tm:{finished}:queue").await;
        let is_count = |field: &&[Value]| field[0] == Value::BulkString(b"consumers".to_vec());
        let counts = groups.iter().filter_map(|group| group.chunks(2).find(is_count));
        counts
            .map(|field| {
                if let Value::Int(count) = field[1] {
                    count
                } else {
                    0
                }
            })
            .max()
    };
    assert!(known().await >= Some(300), "{:?}", known().await);
    until("most are forgotten", async || {
        let taken = take_from(
            &scene.store,
            Work::Finished,
            &consumer(0, Duration::from_millis(1)),
        )
        .await;
        taken.items.is_empty() && known().await < Some(100)
    })
    .await;
}

#[tokio::test]
async fn what_a_consumer_of_the_queue_holds_is_not_forgotten_with_it() {
    let scene = Scene::new().await;
    let store = &scene.store;
    let consumer = |number: usize, claim_idle| Take {
        consumer: format!("{number}"),
        ..take(0, 1, claim_idle)
    };
    let count = 100;
    take_from(store, Work::Finished, &consumer(0, LEASE)).await;
    for number in 1..=count {
        store.announce(&finished(number), false).await.unwrap();
        let items = take_from(store, Work::Finished, &consumer(number, LEASE))
            .await
            .items;
        assert_eq!(items.len(), 1);
    }
    // Now and then those that hold nothing are forgotten.
    let idle = Duration::from_millis(50);
    tokio::time::sleep(2 * idle).await;
    let mut found = BTreeSet::new();
    let deadline = Instant::now() + DEADLINE;
    while found.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} came again", found.len());
        let items = take_from(store, Work::Finished, &consumer(0, idle)).await.items;
        found.extend(items.iter().map(|item| item.id));
    }
}
