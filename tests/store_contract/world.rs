//! What every case needs: stores with listeners that record, requests with defaults, and waiting with a deadline.

use std::{
    fmt::Debug,
    sync::Arc,
    time::{Duration, Instant},
};

use tidemark::{
    Result, StreamId,
    model::{
        ending::{Outcome, Terminal},
        frame::{EncodedFrame, FrameBuilder, Kind},
        ttl::Ttl,
    },
    store::{
        Append, Appended, Head, IfActive, IfEnded, ListCursor, Listener, OwnerCheck, Page, Position, Read,
        Renew, Restore, SharedStore, Start, Started, StopResult, StreamStatus,
        logs::{IfThere, LogConfig, LogCreate, LogWrite, LogWritten},
    },
};
use ulid::Ulid;

use crate::heard::Recorder;

/// Long enough for a loaded machine; only a failing test waits for it.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A lease or a TTL that a case waits out, and within which nothing else has to be done: a busy machine may stand still for longer.
pub const SHORT: Duration = Duration::from_millis(300);

/// A lease or a TTL that no case outlives.
pub const LONG: Duration = Duration::from_secs(60);

/// Opens a store: prefix, node, listener.
pub type OpenStore = fn(&str, Ulid, Arc<dyn Listener>) -> SharedStore;

/// A place for streams that no other case uses.
pub struct World {
    prefix: String,
    open: OpenStore,
}

impl World {
    pub fn new(open: OpenStore) -> Self {
        Self {
            prefix: format!("contract-{}", Ulid::new()),
            open,
        }
    }

    /// Another engine in this world.
    pub fn engine(&self) -> Engine {
        self.engine_at(&self.prefix)
    }

    /// An engine in a world of its own.
    pub fn stranger(&self) -> Engine {
        self.engine_at(&format!("contract-{}", Ulid::new()))
    }

    fn engine_at(&self, prefix: &str) -> Engine {
        let heard = Arc::new(Recorder::default());
        let store = (self.open)(prefix, Ulid::new(), heard.clone());
        Engine { store, heard }
    }
}

/// A store with its listener. The methods unwrap, and fill in the parts of a request that do not matter to the case.
pub struct Engine {
    pub store: SharedStore,
    pub heard: Arc<Recorder>,
}

impl Engine {
    /// Starts a stream with the defaults of [`start`] and returns its producer.
    pub async fn produce(&self, stream: &StreamId) -> Producer<'_> {
        self.produce_as(stream, start()).await
    }

    pub async fn produce_as(&self, stream: &StreamId, start: Start) -> Producer<'_> {
        let started = self.store.start(stream, &start).await.expect("start");
        Producer {
            engine: self,
            stream: stream.clone(),
            seq: started.seq,
            batch: 0,
            start,
            started,
        }
    }

    pub async fn page(&self, stream: &StreamId, position: Position) -> Page {
        let page = self.store.read(stream, &read(position)).await.expect("read");
        page.expect("the stream exists")
    }

    pub async fn head(&self, stream: &StreamId) -> Head {
        self.page(stream, Position::Now).await.head
    }

    pub async fn exists(&self, stream: &StreamId) -> bool {
        self.store
            .read(stream, &read(Position::Now))
            .await
            .expect("read")
            .is_some()
    }

    pub async fn status(&self, stream: &StreamId) -> Option<StreamStatus> {
        self.store.status(stream).await.expect("status")
    }

    /// A stop by the engine itself.
    pub async fn stop(&self, stream: &StreamId, reason: &str) -> StopResult {
        let stopped = self.store.stop(stream, reason, &OwnerCheck::Internal, LONG).await;
        stopped.expect("stop")
    }

    pub async fn memory(&self, stream: &StreamId) -> Option<u64> {
        self.store.memory(stream).await.expect("memory")
    }

    pub async fn delete(&self, stream: &StreamId) -> bool {
        self.store
            .remove(stream, &OwnerCheck::Internal)
            .await
            .expect("delete")
    }

    pub async fn listen(&self, stream: &StreamId) {
        self.store.listen(stream).await.expect("listen");
    }

    /// Has the store lose everything of a stream, however slow the machine is: what was written so far expires together with a
    /// generation that nobody writes to. `owner` is the stream's.
    pub async fn lose(&self, stream: &StreamId, owner: Option<&str>) {
        let mut last = takeover();
        last.owner = owner.map(str::to_owned);
        last.ttl.active = SHORT;
        self.produce_as(stream, last).await;
        pass(SHORT).await;
    }

    /// The whole index, page by page.
    pub async fn list(&self, count: usize) -> Vec<StreamId> {
        let mut streams = Vec::new();
        let mut from = ListCursor::default();
        for _ in 0..10_000 {
            let (page, next) = self.store.list(from, count).await.expect("list");
            streams.extend(page);
            match next {
                Some(next) => from = next,
                None => return streams,
            }
        }
        panic!("the list does not end");
    }
}

/// A producer that counts as the engine's does.
pub struct Producer<'a> {
    pub engine: &'a Engine,
    pub stream: StreamId,
    pub start: Start,
    pub started: Started,
    /// The last batch that was sent.
    pub batch: u64,
    /// The last seq that was accepted.
    pub seq: u64,
}

impl Producer<'_> {
    pub fn generation(&self) -> Ulid {
        self.started.generation
    }

    /// The next batch, with nothing in it.
    pub fn next(&mut self) -> Append {
        self.batch += 1;
        Append {
            generation: self.started.generation,
            producer: self.start.producer,
            batch: self.batch,
            expected: (self.start.if_active != IfActive::Share).then_some(self.seq),
            frame: None,
            large: None,
            terminal: None,
            seal: None,
            lease: self.start.lease,
        }
    }

    pub async fn send(&mut self, append: &Append) -> Appended {
        let mut appended = self
            .engine
            .store
            .append(&self.stream, append)
            .await
            .expect("append");
        if let Appended::Done { last, is_heard, .. } = &mut appended {
            self.seq = *last;
            // What a store knows of readers differs.
            *is_heard = true;
        }
        appended
    }

    pub async fn try_write(&mut self, chunks: &[&str]) -> Appended {
        let append = Append {
            frame: Some(frame(chunks)),
            ..self.next()
        };
        self.send(&append).await
    }

    /// Writes one frame that has to be accepted; its last seq.
    pub async fn write(&mut self, chunks: &[&str]) -> u64 {
        match self.try_write(chunks).await {
            Appended::Done {
                last, terminal: None, ..
            } => last,
            other => panic!("not written: {other:?}"),
        }
    }

    pub async fn end(&mut self, outcome: Outcome, reason: &str) -> Appended {
        let append = Append {
            terminal: Some(terminal(outcome, reason)),
            ..self.next()
        };
        self.send(&append).await
    }

    pub async fn complete(&mut self) -> Appended {
        self.end(Outcome::Complete, "").await
    }

    pub fn renewal(&self, lease: Duration) -> Renew {
        Renew {
            generation: self.started.generation,
            producer: self.start.producer,
            lease,
        }
    }

    pub async fn renew(&self, lease: Duration) -> Appended {
        let renewed = self.engine.store.renew(&self.stream, &self.renewal(lease)).await;
        renewed.expect("renew")
    }

    pub fn restoral(&self, seq: u64) -> Restore {
        Restore {
            start: Start {
                generation: self.started.generation,
                ..self.start.clone()
            },
            ordinal: self.started.ordinal,
            base: self.started.base,
            seq,
            turn: self.started.turn,
            own_after: self.started.seq,
        }
    }

    pub async fn restore(&self, seq: u64) -> Appended {
        let restored = self.engine.store.restore(&self.stream, &self.restoral(seq)).await;
        restored.expect("restore")
    }

    /// Lets the lease expire. This can only wait for the time to pass: any look at the stream would end it.
    pub async fn die(&self) {
        assert!(matches!(self.renew(SHORT).await, Appended::Done { .. }));
        pass(SHORT).await;
    }
}

/// Waits until a lease, a TTL or a kept stop of that length is over.
pub async fn pass(duration: Duration) {
    tokio::time::sleep(duration + Duration::from_millis(50)).await;
}

/// Two producers of a stream, the second in the first one's place after two chunks, of which the store has lost everything.
pub async fn lost<'a>(
    engines: [&'a Engine; 2],
    stream: &StreamId,
    [first, second]: [Start; 2],
) -> (Producer<'a>, Producer<'a>) {
    let mut old = engines[0].produce_as(stream, first).await;
    old.write(&["one", "two"]).await;
    let mut new = engines[1].produce_as(stream, second).await;
    new.write(&["three"]).await;
    engines[1].lose(stream, None).await;
    for producer in [&old, &new] {
        assert_eq!(producer.renew(LONG).await, Appended::Missing);
    }
    (old, new)
}

/// Asks again until the answer is `Some`.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(since.elapsed() < DEADLINE, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn id(text: &str) -> StreamId {
    StreamId::new(text).expect("a stream id")
}

/// A start with fresh ids, without an owner, with a long lease and long TTLs.
pub fn start() -> Start {
    Start {
        generation: Ulid::new(),
        producer: Ulid::new(),
        if_active: IfActive::Error,
        if_ended: IfEnded::Restart,
        owner: None,
        metadata: None,
        lease: LONG,
        ttl: Ttl {
            active: LONG,
            done: LONG,
        },
    }
}

pub fn takeover() -> Start {
    Start {
        if_active: IfActive::Takeover,
        ..start()
    }
}

pub fn share() -> Start {
    Start {
        if_active: IfActive::Share,
        ..start()
    }
}

pub fn owned(owner: &str) -> Start {
    Start {
        owner: Some(owner.to_owned()),
        ..start()
    }
}

pub fn caller(owner: &str) -> OwnerCheck {
    OwnerCheck::Caller(Some(owner.to_owned()))
}

pub fn read(position: Position) -> Read {
    Read {
        position,
        max_bytes: 1 << 20,
        owner: OwnerCheck::Internal,
    }
}

pub fn frame(chunks: &[&str]) -> EncodedFrame {
    frame_of(chunks).expect("at least one chunk")
}

/// The frame of these chunks, if there are any.
pub fn frame_of(chunks: &[&str]) -> Option<EncodedFrame> {
    let mut builder = FrameBuilder::default();
    for chunk in chunks {
        builder.push(Kind::Text, chunk.as_bytes());
    }
    builder.take(usize::MAX, usize::MAX)
}

pub fn log_config() -> LogConfig {
    LogConfig {
        content_type: "Text/Plain; charset=utf-8".to_owned(),
        ttl_ms: None,
        expires_at: None,
        fork: None,
    }
}

pub fn log_create(if_there: IfThere) -> LogCreate {
    LogCreate {
        generation: Ulid::new(),
        config: log_config(),
        keep: LONG,
        owner: None,
        metadata: None,
        if_there,
        is_first_part: false,
        stage: None,
    }
}

/// A write of a chunk to a log, which is made if it is not there. All are of one engine.
pub fn log_write(batch: u64) -> LogWrite {
    LogWrite {
        create: Some(log_create(IfThere::Write)),
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

/// Sends one write to a log.
pub async fn write_log(store: &SharedStore, log: &StreamId, write: &LogWrite) -> Result<LogWritten> {
    let mut written = store.log_all(log, std::slice::from_ref(write)).await?;
    Ok(written.pop().expect("an answer to each write"))
}

pub fn terminal(outcome: Outcome, reason: &str) -> Terminal {
    Terminal {
        outcome,
        reason: reason.to_owned(),
    }
}

/// The answer to a batch that was accepted and changed nothing else.
pub fn done(last: u64) -> Appended {
    Appended::Done {
        last,
        stop: None,
        terminal: None,
        due: false,
        is_heard: true,
    }
}

/// The answer to a batch that has ended its generation.
pub fn ended(last: u64, outcome: Outcome, reason: &str) -> Appended {
    Appended::Done {
        last,
        stop: None,
        terminal: Some(terminal(outcome, reason)),
        due: false,
        is_heard: true,
    }
}

/// The chunks of a page, each with its seq.
pub fn chunks(page: &Page) -> Vec<(u64, String)> {
    let frames = page.frames.iter().flat_map(|frame| {
        let seqs = frame.first()..;
        seqs.zip(frame.chunks()).collect::<Vec<_>>()
    });
    frames
        .map(|(seq, chunk)| (seq, String::from_utf8(chunk.data.to_vec()).expect("UTF-8")))
        .collect()
}

/// [`chunks`], from literals.
pub fn numbered(chunks: &[(u64, &str)]) -> Vec<(u64, String)> {
    chunks
        .iter()
        .map(|(seq, text)| (*seq, (*text).to_owned()))
        .collect()
}

/// The code of an operation that has to fail.
pub fn code<T: Debug>(result: tidemark::Result<T>) -> &'static str {
    result.expect_err("the operation has to be refused").code()
}
