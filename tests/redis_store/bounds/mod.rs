//! G9: what every script costs Redis at the most. Each case drives one to its worst; `docs/operations.md` has the results
//! (`cargo test --no-default-features bounds -- --nocapture`).

mod appending;
mod groups;
mod logs;
mod looking;
mod reading;
mod reminders;

use std::time::Duration;

use redis::{FromRedisValue, Pipeline, Value, aio::MultiplexedConnection, cmd, pipe};
use tidemark::{
    Cursor, StreamId,
    model::frame::{EncodedFrame, FrameBuilder, Kind},
    store::{Append, IfActive, MAX_PRODUCERS, OwnerCheck, Position, Read, SharedStore, Start},
};
use ulid::Ulid;

use super::support::*;

/// No script takes longer, …
const LONGEST: Duration = Duration::from_millis(10);
/// … and none that reads takes more of Redis' memory: the longest frame twice, in Lua and in the reply, and a page.
const MOST_BYTES: f64 = (12 << 20) as f64;

/// The quickest of this many runs counts, or of more if none was quick enough: other processes make runs slower, never faster.
const RUNS: usize = 3;
const MOST_RUNS: usize = 12;

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
    for run in 0..MOST_RUNS {
        if run >= RUNS && best.as_ref().is_some_and(|(_, best)| best.longest < LONGEST) {
            break;
        }
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

/// Adds producers to a shared generation, each of another engine that vouches for it: every one of them, or every `nth` alone,
/// while the others are dead.
async fn crowd(scene: &mut Scene, count: usize, nth: usize) {
    let time: Vec<u64> = scene.run(&["TIME"]).await;
    let lapsed = time[0] * 1000 - 1;
    let mut pipeline = pipe();
    for number in 0..count {
        let node = Ulid::new();
        pipeline
            .cmd("HSET")
            .arg("{tm:chat}:meta")
            .arg(format!("p:{}", Ulid::new()))
            .arg(format!("0 0 {lapsed} {node}L600000"));
        if number % nth == 0 {
            let name = format!("tm:node:{node}");
            pipeline.cmd("HSET").arg(&name).arg("v").arg(1);
            pipeline.cmd("PEXPIRE").arg(&name).arg(600_000);
        }
    }
    scene.send(&pipeline).await;
}

async fn crowded(scene: &mut Scene) -> Start {
    scene.clear().await;
    let start = scene.start(IfActive::Share).await;
    crowd(scene, MAX_PRODUCERS - 1, 1).await;
    start
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
