//! G9: what every script costs Redis at the most. Each case drives one to its worst; `docs/operations.md` has the results
//! (`cargo test --no-default-features bounds -- --nocapture`).

use std::time::Duration;

use redis::{FromRedisValue, Pipeline, Value, aio::MultiplexedConnection, cmd, pipe};
use tidemark::{
    Cursor, Error, StreamId,
    model::{
        ending::Outcome,
        frame::{
            EncodedFrame, Frame, FrameBuilder, Kind, MAX_CHUNK, MAX_INLINE, PIECE, Reference, SealedFrame,
        },
    },
    store::{
        Ack, Append, Appended, IfActive, MAX_CONSUMERS, MAX_PAGE_FRAMES, MAX_PRODUCERS, OwnerCheck, Piece,
        Position, Read, Renew, Seal, SharedStore, Start, Sweep,
        forks::{ForkList, Forks, MAX_FORKS, Stage, StagePart, Staged},
        groups::{Dead, Finished, ItemId, MAX_GROUPS, MAX_HELD, Resolve, Subject, Take, Verdict, Work},
        logs::{
            FOREVER, IfThere, LogConfig, LogCreate, LogOutcome, LogProducer, LogWrite, MAX_WRITERS, NOBODY,
        },
    },
};
use ulid::Ulid;

use super::support::*;

/// No script takes longer, …
const LONGEST: Duration = Duration::from_millis(10);
/// … and none that reads takes more of Redis' memory: the longest frame twice, in Lua and in the reply, and a page.
const MOST_BYTES: f64 = (12 << 20) as f64;

/// The quickest of this many runs counts: other processes make runs slower, never faster.
const RUNS: usize = 3;

/// The longest names that are allowed.
fn long(kind: &str, number: usize) -> String {
    format!("{kind} {number:4} {}", "x".repeat(256 - kind.len() - 6))
}

struct Scene {
    server: Server,
    redis: MultiplexedConnection,
    store: SharedStore,
    stream: StreamId,
}

/// What scripts cost: the longest of them, and all commands inside them.
struct Cost {
    longest: Duration,
    commands: u64,
    bytes: f64,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::start();
        let (store, _) = open(&config(&server.url()));
        let mut redis = server.connection().await;
        // Preparing a case sends much at once.
        redis.set_response_timeout(DEADLINE * 6);
        let () = cmd("CONFIG")
            .arg(&["SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "10000"])
            .query_async(&mut redis)
            .await
            .unwrap();
        Self {
            server,
            redis,
            store,
            stream: id("chat"),
        }
    }

    async fn run<T: FromRedisValue>(&mut self, words: &[&str]) -> T {
        let (name, arguments) = words.split_first().unwrap();
        let mut command = cmd(name);
        for argument in arguments {
            command.arg(*argument);
        }
        command.query_async(&mut self.redis).await.unwrap()
    }

    async fn send(&mut self, pipeline: &Pipeline) {
        let () = pipeline.query_async(&mut self.redis).await.unwrap();
    }

    async fn clear(&mut self) {
        let () = self.run(&["FLUSHALL"]).await;
    }

    /// Keeps a copy of all keys, for [`Scene::again`].
    async fn keep(&mut self) {
        let keys: Vec<String> = self.run(&["KEYS", "*"]).await;
        let mut pipeline = pipe();
        for key in keys {
            pipeline.cmd("COPY").arg(&key).arg(&key).arg("DB").arg(1);
        }
        self.send(&pipeline).await;
    }

    /// Restores it.
    async fn again(&mut self) {
        let () = self.run(&["FLUSHDB"]).await;
        let () = self.run(&["SELECT", "1"]).await;
        let keys: Vec<String> = self.run(&["KEYS", "*"]).await;
        let mut pipeline = pipe();
        for key in keys {
            pipeline.cmd("COPY").arg(&key).arg(&key).arg("DB").arg(0);
        }
        pipeline.cmd("SELECT").arg(0);
        self.send(&pipeline).await;
    }

    async fn start(&self, if_active: IfActive) -> Start {
        let mut start = start(if_active);
        start.generation = self.store.start(&self.stream, &start).await.unwrap().generation;
        start
    }

    /// A number of a section of `INFO`.
    async fn info(&mut self, section: &str, name: &str) -> f64 {
        let text: String = self.run(&["INFO", section]).await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().parse().unwrap()
    }

    /// The commands inside scripts since the last reset.
    async fn commands(&mut self) -> u64 {
        let own = ["evalsha", "eval", "config", "slowlog", "info", "ping", "script"];
        let stats: String = self.run(&["INFO", "commandstats"]).await;
        let calls = stats.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let name = name.split('|').next()?;
            let calls = rest.split(',').next()?.parse::<u64>().ok()?;
            (!own.contains(&name)).then_some(calls)
        });
        calls.sum()
    }

    /// What the scripts of `work` cost.
    async fn measure<T>(&mut self, work: impl AsyncFnOnce(&SharedStore, &StreamId) -> T) -> (T, Cost) {
        let used = self.info("memory", "used_memory").await;
        let () = self.run(&["CONFIG", "RESETSTAT"]).await;
        let () = self.run(&["SLOWLOG", "RESET"]).await;
        let before = self.server.busy();
        let done = work(&self.store, &self.stream).await;
        let busy = self.server.busy().saturating_sub(before);
        let slow: Vec<Vec<Value>> = self.run(&["SLOWLOG", "GET", "-1"]).await;
        let scripts: Vec<i64> = slow.iter().filter_map(|entry| script_time(entry)).collect();
        let longest = scripts.iter().max().copied().unwrap_or_default();
        let longest = Duration::from_micros(u64::try_from(longest).unwrap());
        let cost = Cost {
            // The machine may be busy, but a script takes no longer than the server was at work.
            longest: longest.min(busy),
            commands: self.commands().await,
            bytes: (self.info("memory", "used_memory_peak").await - used).max(0.0),
        };
        (done, cost)
    }
}

/// The microseconds of a slow log's entry, if it is a script.
fn script_time(entry: &[Value]) -> Option<i64> {
    let [_, _, Value::Int(micros), Value::Array(words), ..] = entry else {
        return None;
    };
    let name: String = redis::from_redis_value(words.first()?.clone()).ok()?;
    name.starts_with("EVAL").then_some(*micros)
}

/// The quickest of some runs, each after `prepare`, is quick enough.
async fn bounded<T, S>(
    scene: &mut Scene,
    what: &str,
    mut prepare: impl AsyncFnMut(&mut Scene) -> S,
    mut work: impl AsyncFnMut(&SharedStore, &StreamId, S) -> T,
) -> (T, Cost) {
    let mut best: Option<(T, Cost)> = None;
    for _ in 0..RUNS {
        let state = prepare(scene).await;
        let (done, cost) = scene
            .measure(async |store, stream| work(store, stream, state).await)
            .await;
        if best.as_ref().is_none_or(|(_, best)| cost.longest < best.longest) {
            best = Some((done, cost));
        }
    }
    let best = best.unwrap();
    println!(
        "{what}: {} µs, {} commands, {:.0} KiB",
        best.1.longest.as_micros(),
        best.1.commands,
        best.1.bytes / 1024.0
    );
    assert!(best.1.longest < LONGEST, "{what}: {:?}", best.1.longest);
    best
}

fn chunk(length: usize) -> EncodedFrame {
    // Bytes that gzip cannot make shorter.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let data: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(length)
    .collect();
    let mut builder = FrameBuilder::default();
    builder.push(Kind::Bytes, &data);
    builder.take(1, usize::MAX).unwrap()
}

fn write(start: &Start, number: u64, frame: EncodedFrame) -> Append {
    Append {
        frame: Some(frame),
        ..batch(start, start.generation, number, Some(number - 1), &[])
    }
}

fn page(position: Position) -> Read {
    Read {
        position,
        max_bytes: 256 * 1024,
        owner: OwnerCheck::Internal,
    }
}

/// Adds live producers, each of another engine, to a shared generation.
async fn crowd(scene: &mut Scene, count: usize) {
    let mut pipeline = pipe();
    for _ in 0..count {
        let producer = format!("0 0 9999999999999 {}", Ulid::new());
        pipeline
            .cmd("HSET")
            .arg("{tm:chat}:meta")
            .arg(format!("p:{}", Ulid::new()))
            .arg(producer);
    }
    scene.send(&pipeline).await;
}

async fn crowded(scene: &mut Scene) -> Start {
    scene.clear().await;
    let start = scene.start(IfActive::Share).await;
    crowd(scene, MAX_PRODUCERS - 1).await;
    start
}

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
        crowd(&mut scene, MAX_PRODUCERS - 1).await;
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
        assert!(page.frames.len() <= MAX_PAGE_FRAMES && page.more);
        // Further pages have all the others.
        let (mut seq, mut pages) = (0, 0);
        while seq < 2 * MAX_PAGE_FRAMES as u64 {
            let position = Position::After {
                generation: start.generation,
                seq,
            };
            let next = scene
                .store
                .read(&scene.stream, &super::bounds::page(position))
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
            matches!(refused, Err(Error::Store { retryable: false, .. })),
            "{refused:?}"
        );
    })
    .await;
    let lapsed = async |scene: &mut Scene| {
        crowded(scene).await;
        let fields: Vec<String> = scene.run(&["HKEYS", "{tm:chat}:meta"]).await;
        let mut pipeline = pipe();
        for field in fields.iter().filter(|field| field.starts_with("p:")) {
            let lapsed = format!("0 0 1 {}L300000", Ulid::new());
            pipeline.cmd("HSET").arg("{tm:chat}:meta").arg(field).arg(lapsed);
        }
        scene.send(&pipeline).await;
    };
    bounded(
        &mut scene,
        "a lapse of all leases",
        lapsed,
        async |store, stream, ()| store.read(stream, &page(Position::Start)).await.unwrap(),
    )
    .await;
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
        store.delete(stream).await.unwrap()
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

/// Adds consumers with cursors in this generation.
async fn acknowledged(scene: &mut Scene, count: usize, generation: Ulid) {
    let mut pipeline = pipe();
    for number in 0..count {
        let cursor = Cursor { generation, seq: 1 };
        pipeline
            .cmd("HSET")
            .arg("{tm:chat}:cursors")
            .arg(long("consumer", number))
            .arg(cursor.to_string());
    }
    pipeline.cmd("PEXPIRE").arg("{tm:chat}:cursors").arg(3_600_000);
    scene.send(&pipeline).await;
}

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
            scene
                .store
                .take(Work::Stream(&scene.stream), &one)
                .await
                .unwrap()
                .unwrap();
        }
        loop {
            let more = take(0, 1000, LEASE);
            let more = scene
                .store
                .take(Work::Stream(&scene.stream), &more)
                .await
                .unwrap()
                .unwrap();
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
        async |store, stream, _| {
            store
                .take(Work::Stream(stream), &take(0, 100, LEASE))
                .await
                .unwrap()
                .unwrap()
        },
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
            let items = store
                .take(Work::Stream(stream), &free)
                .await
                .unwrap()
                .unwrap()
                .items;
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
            store.take(Work::Stream(stream), &poison).await.unwrap().unwrap()
        },
    )
    .await;
    bounded(&mut scene, "take, new ones", held, async |store, stream, _| {
        let items = store
            .take(Work::Stream(stream), &take(1, 100, LEASE))
            .await
            .unwrap()
            .unwrap()
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
    };
    let (taken, _) = bounded(
        &mut scene,
        "take, all of them lost",
        later,
        async |store, stream, ()| {
            store
                .take(Work::Stream(stream), &take(0, 100, LEASE))
                .await
                .unwrap()
                .unwrap()
        },
    )
    .await;
    assert!(taken.lost.is_some());
    let verdicts = |verdict| -> Resolve {
        Resolve {
            group: long("group", 0),
            consumer: long("consumer", 0),
            verdicts: (1..=100).map(|seq| (ItemId(1, seq), verdict)).collect(),
            owner: OwnerCheck::Internal,
        }
    };
    for (what, verdict) in [("resolve, done", Verdict::Done), ("resolve, back", Verdict::Back)] {
        bounded(&mut scene, what, held, async |store, stream, _| {
            store
                .resolve(Work::Stream(stream), &verdicts(verdict))
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
            scene
                .store
                .take(Work::Stream(&scene.stream), &poison)
                .await
                .unwrap()
                .unwrap();
        }
    };
    for (what, verdict) in [
        ("resolve, retry", Verdict::Retry),
        ("resolve, drop", Verdict::Drop),
    ] {
        bounded(&mut scene, what, dead, async |store, stream, ()| {
            store
                .resolve(Work::Stream(stream), &verdicts(verdict))
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
        async |store, stream, _| store.delete(stream).await.unwrap(),
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
        while !scene
            .store
            .take(Work::Finished, &take(0, 1000, LEASE))
            .await
            .unwrap()
            .unwrap()
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
            store
                .take(Work::Finished, &take(group, 100, idle))
                .await
                .unwrap()
                .unwrap()
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
                assert_eq!(appended.unwrap(), done(2));
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
            async |store, stream, ()| store.delete(stream).await.unwrap(),
        )
        .await;
    }
}

#[tokio::test]
async fn g9_bounds_of_logs() {
    let mut scene = Scene::new().await;
    let long = chunk(MAX_INLINE);
    let order = |last: char| Some("x".repeat(1023) + &last.to_string());
    let write = |number: usize, frame: EncodedFrame| LogWrite {
        create: Some(LogCreate {
            generation: Ulid::new(),
            config: LogConfig {
                content_type: "text/plain".to_owned(),
                ttl_ms: None,
                expires_at: None,
                fork: None,
            },
            keep: DEADLINE,
            owner: None,
            metadata: None,
            if_there: IfThere::Write,
            is_first_part: false,
            stage: None,
        }),
        owner: OwnerCheck::Internal,
        writer: Ulid::from_parts(1, 0),
        batch: number as u64 + 1,
        known: None,
        generation: None,
        producer: Some(LogProducer {
            id: long_name(number),
            epoch: 0,
            seq: 0,
        }),
        order: None,
        essence: Some("text/plain".to_owned()),
        frame: Some(frame),
        large: None,
        close: false,
        seal: None,
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
            scene.store.log(&scene.stream, &write).await.unwrap();
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
            store.log(stream, &write).await.unwrap()
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
        let first = scene.store.log(&scene.stream, &write(0, chunk(1))).await.unwrap();
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
            store.log(stream, &again).await.unwrap()
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
