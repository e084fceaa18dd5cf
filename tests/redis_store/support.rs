//! A Redis server for each test, a listener that records connections too, and what only these tests need.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use redis::{FromRedisValue, aio::MultiplexedConnection};
use tidemark::{
    Config, Cursor, StreamId,
    config::LogLevel,
    model::{
        connection::ConnectionState,
        ending::{Outcome, Terminal},
        ttl::Ttl,
    },
    store::{
        Append, Appended, ControlMessage, FinishedNews, IfActive, Listener, LiveMessage, OwnerCheck, Page,
        Position, Read, Restore, SharedStore, Start,
        groups::{Finished, Take, Taken, Work},
        logs::{IfThere, LogConfig, LogCreate, LogWrite},
        redis::RedisStore,
    },
};
use tokio::sync::Notify;
use ulid::Ulid;

use crate::{
    rights::{self, USER_INFO},
    world,
};

pub use crate::world::{DEADLINE, LONG as LEASE, done, frame, id, terminal};

/// A server that lives as long as the test.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        Self {
            child: spawn(port),
            port,
        }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn revive(&mut self) {
        self.child = spawn(self.port);
    }

    /// For a store: as a user that has the documented rights and no others.
    pub fn url(&self) -> String {
        format!("redis://{USER_INFO}127.0.0.1:{}", self.port)
    }

    pub async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// The server's processor time.
    pub fn busy(&self) -> Duration {
        let mut clock = 0;
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: both calls fill in the one value that they are given a pointer to.
        unsafe {
            assert_eq!(
                libc::clock_getcpuclockid(self.child.id().cast_signed(), &raw mut clock),
                0
            );
            assert_eq!(libc::clock_gettime(clock, &raw mut time), 0);
        }
        Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
    }

    /// Runs a command given as words.
    pub async fn run<T: FromRedisValue>(&self, words: &str) -> T {
        let mut command = redis::Cmd::new();
        for word in words.split(' ') {
            command.arg(word);
        }
        command.query_async(&mut self.connection().await).await.unwrap()
    }

    /// Tidemark's connections: their ids and whether they subscribe.
    pub async fn clients(&self) -> Vec<(String, bool)> {
        let list: String = self.run("CLIENT LIST").await;
        let own = |line: &&str| line.contains(" name=tidemark ") || !line.contains(" sub=0 ");
        list.lines()
            .filter(own)
            .map(|line| {
                let id = line
                    .split(' ')
                    .next()
                    .unwrap()
                    .trim_start_matches("id=")
                    .to_owned();
                (id, !line.contains(" sub=0 "))
            })
            .collect()
    }

    pub async fn expect_ttls(&self) {
        let mut connection = self.connection().await;
        let keys: Vec<Vec<u8>> = {
            let mut keys = Vec::new();
            let mut cursor = 0;
            loop {
                let (next, page): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
                    .arg(cursor)
                    .query_async(&mut connection)
                    .await
                    .unwrap();
                keys.extend(page);
                cursor = next;
                if cursor == 0 {
                    break keys;
                }
            }
        };
        for key in keys {
            let ttl: i64 = redis::cmd("PTTL")
                .arg(&key)
                .query_async(&mut connection)
                .await
                .unwrap();
            assert!(
                ttl > 0,
                "{} has no TTL: {ttl}",
                String::from_utf8_lossy(&key).escape_debug()
            );
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16) -> Child {
    let mut child = Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .args(rights::user(&["tm"]))
        .stdout(Stdio::null())
        .spawn()
        .expect("these tests need redis-server (6.2 or newer) in the PATH");
    let deadline = Instant::now() + DEADLINE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "redis-server did not start");
        assert!(Instant::now() < deadline, "redis-server does not answer");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// What a listener has received.
#[derive(Debug, Clone)]
pub enum Event {
    Live(LiveMessage),
    Control(#[allow(dead_code, reason = "shown when a test fails")] ControlMessage),
    Restored,
    /// The state, and why.
    State(
        ConnectionState,
        #[allow(dead_code, reason = "shown when a test fails")] String,
    ),
}

#[derive(Default)]
pub struct Recorder {
    events: Mutex<Vec<Event>>,
    news: Notify,
}

impl Recorder {
    fn push(&self, event: Event) {
        self.events.lock().unwrap().push(event);
        self.news.notify_one();
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    pub fn clear(&self) {
        self.events.lock().unwrap().clear();
    }

    /// Waits until one of the events is wanted.
    pub async fn wait<T>(&self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = self.events().iter().find_map(&wanted) {
                    return found;
                }
                self.news.notified().await;
            }
        };
        let Ok(found) = tokio::time::timeout(DEADLINE, found).await else {
            panic!("not told in time; told were {:?}", self.events());
        };
        found
    }

    pub async fn wait_state(&self, state: ConnectionState) {
        self.wait(|event| matches!(event, Event::State(s, _) if *s == state).then_some(()))
            .await;
    }

    /// Waits for the end of a generation, as told on the live channel.
    pub async fn wait_end(&self, ended: Ulid) -> (u64, Terminal) {
        self.wait(|event| match event {
            Event::Live(LiveMessage::Ended {
                generation,
                last,
                terminal,
            }) if *generation == ended => Some((*last, terminal.clone())),
            _ => None,
        })
        .await
    }
}

impl Listener for Recorder {
    fn on_live(&self, _stream: &StreamId, message: LiveMessage) {
        self.push(Event::Live(message));
    }
    fn on_control(&self, _stream: &StreamId, message: ControlMessage) {
        self.push(Event::Control(message));
    }
    fn on_finished(&self, _news: FinishedNews) {}
    fn on_restored(&self) {
        self.push(Event::Restored);
    }
    fn on_state(&self, state: ConnectionState, reason: &str) {
        self.push(Event::State(state, reason.to_owned()));
    }
}

pub fn config(url: &str) -> Config {
    Config {
        url: url.to_owned(),
        tls: None,
        credentials: None,
        process: String::new(),
        key_prefix: "tm".to_owned(),
        ttl_active_ms: 3_600_000,
        ttl_done_ms: 3_600_000,
        lease_ms: 60_000,
        stop_grace_ms: 5_000,
        connect_timeout_ms: 5_000,
        command_timeout_ms: 5_000,
        flush_interval_ms: 0,
        write_interval_ms: 0,
        delivery_interval_ms: 2,
        ack_interval_ms: 250,
        max_queue_bytes: 1 << 20,
        compression: 6,
        log_level: LogLevel::Off,
    }
}

pub fn open(config: &Config) -> (SharedStore, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let store = RedisStore::open(config, Ulid::new(), recorder.clone()).unwrap();
    (Arc::new(store), recorder)
}

/// With TTLs that are longer than any measurement.
pub fn start(if_active: IfActive) -> Start {
    Start {
        if_active,
        ttl: Ttl {
            active: Duration::from_secs(3600),
            done: Duration::from_secs(600),
        },
        ..world::start()
    }
}

/// A batch of chunks.
/// A server, a store on it, and a generation of the stream `chat` that has begun.
pub async fn begun() -> (Server, SharedStore, StreamId, Start) {
    let server = Server::start();
    let (store, _) = open(&config(&server.url()));
    let stream = id("chat");
    let begun = start(IfActive::Error);
    store.start(&stream, &begun).await.unwrap();
    (server, store, stream, begun)
}

pub fn batch(start: &Start, generation: Ulid, batch: u64, expected: Option<u64>, chunks: &[&str]) -> Append {
    Append {
        generation,
        producer: start.producer,
        batch,
        expected,
        frame: (!chunks.is_empty()).then(|| frame(chunks)),
        large: None,
        terminal: None,
        seal: None,
        lease: LEASE,
    }
}

/// A last batch without chunks.
/// The batch of this number where each batch so far had one chunk.
pub fn nth(start: &Start, number: u64) -> Append {
    batch(start, start.generation, number, Some(number - 1), &["x"])
}

pub fn end(start: &Start, generation: Ulid, number: u64, outcome: Outcome, reason: &str) -> Append {
    Append {
        terminal: Some(terminal(outcome, reason)),
        ..batch(start, generation, number, None, &[])
    }
}

pub fn restore(start: &Start, seq: u64) -> Restore {
    Restore {
        start: start.clone(),
        ordinal: 1,
        base: 0,
        seq,
        turn: 0,
        own_after: 0,
    }
}

/// A write of a chunk to a log, which is made if it is not there. All are of one engine.
pub fn a_log_write(batch: u64) -> LogWrite {
    LogWrite {
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
        batch,
        known: None,
        generation: None,
        producer: None,
        order: None,
        essence: None,
        frame: Some(frame(&["x"])),
        large: None,
        close: false,
        seal: None,
    }
}

/// The end of a generation of a stream of its own.
pub fn finished(number: usize) -> Finished {
    Finished {
        stream: id(&number.to_string()),
        cursor: Cursor {
            generation: Ulid::new(),
            seq: 1,
        },
        terminal: terminal(Outcome::Complete, ""),
    }
}

pub async fn append(store: &SharedStore, stream: &StreamId, append: &Append) -> Appended {
    unsaid(store.append(stream, append).await.unwrap())
}

/// The answer without what it says of readers.
pub fn unsaid(mut answer: Appended) -> Appended {
    if let Appended::Done { is_heard, .. } = &mut answer {
        *is_heard = true;
    }
    answer
}

pub async fn take_from(store: &SharedStore, work: Work<'_>, take: &Take) -> Taken {
    let taken = store.take(work, take).await.unwrap();
    taken.expect("the stream exists")
}

pub async fn read(store: &SharedStore, stream: &StreamId, position: Position, max_bytes: usize) -> Page {
    let read = Read {
        position,
        max_bytes,
        owner: OwnerCheck::Internal,
    };
    store.read(stream, &read).await.unwrap().unwrap()
}

/// The chunks of a page after its `after`.
pub fn texts(page: &Page) -> Vec<String> {
    let mut texts = Vec::new();
    for frame in &page.frames {
        for (seq, chunk) in (frame.first()..).zip(frame.chunks()) {
            if seq > page.after {
                texts.push(String::from_utf8(chunk.data.to_vec()).unwrap());
            }
        }
    }
    texts
}

/// Waits until a condition holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
