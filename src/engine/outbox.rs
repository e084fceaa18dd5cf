//! What is ready for the host, and the one wake that tells it so.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use ulid::Ulid;

use super::{groups::Handed, large::Large};
use crate::{
    Error, Result, StreamId,
    frame::Chunk,
    store::{
        ConnectionState, Found, ListCursor, Outcome, Rights, StopResult, StreamStatus, Swept,
        groups::GroupStatus, predecessor::Left,
    },
    sync::lock,
};

/// The host's name for a producer or a subscription; never used twice by one engine.
pub type Handle = u32;

/// Something that happened, in the order in which the host must learn of it.
#[derive(Debug)]
pub enum Event {
    /// The answer to a request.
    Reply(u32, Result<Reply>),
    /// Chunks whose acknowledgement was asked for, by the seq each was given, oldest first.
    Settled(Handle, Vec<u64>),
    /// A stop was requested: the producer may still write closing chunks.
    Stopped(Handle, String),
    /// The producer can write no more.
    Broken(Handle, Error),
    /// The connection's state changed.
    State(ConnectionState, String),
    /// Something that whoever runs the store should know.
    Warning(String),
    /// As whom to connect is to be said, under this number.
    Ask(u32),
}

/// The answer to a request.
#[derive(Debug)]
pub enum Reply {
    /// Done.
    Unit,
    /// A producer has started.
    Produced {
        /// Its handle.
        producer: Handle,
        /// Its generation.
        generation: Ulid,
        /// The reason of a stop that came first.
        stop: Option<String>,
    },
    /// A producer has ended.
    Finished {
        /// How.
        outcome: Outcome,
        /// Why.
        reason: String,
    },
    /// The answer to a stop.
    Stop(StopResult),
    /// The answer to a status request.
    Status(Option<Box<StreamStatus>>),
    /// To [`Engine::inspect`](super::Engine::inspect).
    Found(Vec<Found>),
    /// A page of stream ids.
    List(Vec<StreamId>, Option<ListCursor>),
    /// Items for a consumer of a group, or dead letters.
    Handed(Handed),
    /// The groups of a stream, if there is one, or those that wait for finished generations.
    Groups(Option<Vec<GroupStatus>>),
    /// The bytes that a stream takes of the store's memory.
    Memory(Option<u64>),
    /// What the store's server says of itself.
    Info(Option<String>),
    /// What the store's server allows.
    Rights(Option<Rights>),
    /// How many streams there are, about.
    Count(u64),
    /// What a clean-up did with each stream.
    Swept(Vec<Swept>),
    /// Whether there was something to delete.
    Deleted(bool),
    /// What the predecessor has left behind.
    Predecessor(Option<Left>),
}

/// How a subscription ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With the generation.
    Terminal {
        /// How it ended.
        outcome: Outcome,
        /// Why.
        reason: String,
    },
    /// With an error of its own.
    Error(Error),
}

/// Takes what is ready, in the host's own form.
pub trait Sink {
    /// Whether there is no room for another chunk or event.
    fn is_full(&self) -> bool;
    /// The generation of the subscription's following chunks.
    fn generation(&mut self, subscription: Handle, generation: Ulid);
    /// A chunk; returns what it costs of the subscription's credit.
    fn chunk(&mut self, subscription: Handle, seq: u64, chunk: Chunk<'_>) -> u64;
    /// A large chunk; returns what it costs of the subscription's credit.
    fn large(&mut self, subscription: Handle, seq: u64, large: Arc<Large>) -> u64;
    /// A piece of the subscription's event stream, appended by `write`; returns what it costs of its credit. `chunk` is
    /// the length of the chunk that it is made of, if it is.
    fn piece(
        &mut self,
        subscription: Handle,
        chunk: Option<usize>,
        write: &mut dyn FnMut(&mut Vec<u8>),
    ) -> u64;
    /// The subscription is over.
    fn end(&mut self, subscription: Handle, end: End);
    /// Something else.
    fn event(&mut self, event: Event);
}

/// Since when each thing was ready that has been put into a sink and not been given to the host yet.
pub type Waits = Vec<Instant>;

/// How long after the last chunk was accepted the host is told that nothing holds its process. Told at once, steady streams
/// would wake it for every batch.
const REST: Duration = Duration::from_millis(20);

/// Collects what is ready until the host drains it. At most one wake is in flight.
pub struct Outbox {
    wake: Box<dyn Fn() + Send + Sync>,
    wake_in_flight: AtomicBool,
    turn_over: Notify,
    settled: Notify,
    queues: Mutex<Queues>,
    /// Chunks that crossed and have neither been accepted nor refused.
    unsettled: AtomicUsize,
}

#[derive(Default)]
struct Queues {
    events: VecDeque<Event>,
    /// Since when each has something.
    ready: VecDeque<(Handle, Instant)>,
}

impl Outbox {
    /// `wake` is called on the engine's thread and must not block.
    pub fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            wake,
            wake_in_flight: AtomicBool::new(false),
            turn_over: Notify::new(),
            settled: Notify::new(),
            queues: Mutex::default(),
            unsettled: AtomicUsize::new(0),
        }
    }

    /// Wakes the host at the end of a turn of the engine's thread, so that what one turn brings crosses at once.
    pub async fn run(self: Arc<Self>) {
        loop {
            self.turn_over.notified().await;
            tokio::task::yield_now().await;
            (self.wake)();
        }
    }

    /// Tells the host when everything that crossed has been settled for a while.
    pub async fn rest(self: Arc<Self>) {
        loop {
            self.settled.notified().await;
            while timeout(REST, self.settled.notified()).await.is_ok() {}
            if self.is_idle() {
                self.signal();
            }
        }
    }

    /// Adds an event.
    pub fn push(&self, event: Event) {
        lock(&self.queues).events.push_back(event);
        self.signal();
    }

    /// Adds a subscription that has something to deliver.
    pub fn push_ready(&self, subscription: Handle) {
        let now = Instant::now();
        lock(&self.queues).ready.push_back((subscription, now));
        self.signal();
    }

    /// Puts back a subscription that could not deliver everything.
    pub fn push_unfinished(&self, subscription: Handle, since: Instant) {
        lock(&self.queues).ready.push_front((subscription, since));
    }

    /// Makes sure that a drain follows.
    pub fn signal(&self) {
        if !self.wake_in_flight.swap(true, Ordering::AcqRel) {
            self.turn_over.notify_one();
        }
    }

    /// A drain begins: what comes from now on needs a wake of its own.
    pub fn begin_drain(&self) {
        self.wake_in_flight.store(false, Ordering::Release);
    }

    /// The next event.
    pub fn pop_event(&self) -> Option<Event> {
        lock(&self.queues).events.pop_front()
    }

    /// The next subscription that has something to deliver, and since when.
    pub fn pop_ready(&self) -> Option<(Handle, Instant)> {
        lock(&self.queues).ready.pop_front()
    }

    /// Whether nothing is left to drain.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is left to drain: events, and subscriptions that have something to deliver.
    pub fn len(&self) -> usize {
        let queues = lock(&self.queues);
        queues.events.len() + queues.ready.len()
    }

    /// Chunks have crossed.
    pub fn add_unsettled(&self, chunks: usize) {
        self.unsettled.fetch_add(chunks, Ordering::AcqRel);
    }

    /// Chunks were accepted or refused; the host is told, by and by, when none is left.
    pub fn settle(&self, chunks: usize) {
        if chunks > 0 && self.unsettled.fetch_sub(chunks, Ordering::AcqRel) == chunks {
            self.settled.notify_one();
        }
    }

    /// Whether every chunk that crossed has been accepted or refused.
    pub fn is_idle(&self) -> bool {
        self.unsettled.load(Ordering::Acquire) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_host_is_told_of_rest_once_and_not_while_a_stream_is_steady() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&wakes);
        let outbox = Arc::new(Outbox::new(Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        })));
        tokio::spawn(Arc::clone(&outbox).run());
        tokio::spawn(Arc::clone(&outbox).rest());
        for _ in 0..100 {
            outbox.add_unsettled(1);
            outbox.settle(1);
            tokio::time::sleep(REST / 2).await;
        }
        assert_eq!(wakes.load(Ordering::Relaxed), 0);
        tokio::time::sleep(REST * 3).await;
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        assert!(outbox.is_idle());
    }
}
