//! What an engine's parts share: the registries, and the few steps that touch more than one of them.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    task::JoinHandle,
    time::Instant,
};
use ulid::Ulid;

use super::{
    acks::Acks,
    finished,
    groups::Consumption,
    hub::{Hub, Member},
    large::Larges,
    metrics::Metrics,
    outbox::{Handle, Outbox},
    producer::Producer,
    producers::Producers,
    subscription::Subscription,
};
use crate::{
    Config, Error, Result, StreamId,
    backoff::Backoff,
    store::{self, Answer, ControlMessage, Credentials, FinishedNews, SharedStore},
    sync::lock,
};

/// This many messages for unknown generations are remembered.
const EARLY: usize = 64;

/// Of many small things, so many are done in one turn of the engine's thread.
const IN_A_TURN: usize = 256;

/// This many pages are read at the same time, so that ten thousand repairs after a reconnect do not flood the store.
const CONCURRENT_READS: usize = 64;

/// What an engine's parts share.
pub struct Inner {
    pub(super) config: Config,
    pub(super) store: OnceLock<SharedStore>,
    pub(super) runtime: &'static tokio::runtime::Handle,
    pub(super) outbox: Arc<Outbox>,
    pub(super) metrics: Metrics,
    pub(super) hubs: Mutex<HashMap<StreamId, Arc<Hub>>>,
    pub(super) larges: Larges,
    pub(super) subscriptions: Mutex<HashMap<Handle, Arc<Subscription>>>,
    pub(super) producers: Mutex<Producers>,
    /// Messages for generations that no producer here has, the latest last: a stop may overtake the answer to a start.
    pub(super) early: Mutex<VecDeque<(StreamId, ControlMessage)>>,
    /// Producers that were written to since the pump last ran.
    pub(super) written: Mutex<Vec<Arc<Producer>>>,
    pub(super) pump: Notify,
    pub(super) acks: Acks,
    /// Held by the starts under way.
    pub(super) starting: tokio::sync::RwLock<()>,
    /// Held by the announcements under way.
    pub(super) announcing: tokio::sync::RwLock<()>,
    pub(super) consumptions: Mutex<HashMap<Handle, Arc<Consumption>>>,
    next_handle: AtomicU32,
    reads: Semaphore,
    /// Bytes of pages that wait for readers without credit.
    held: Arc<AtomicUsize>,
    pub(super) closed: AtomicBool,
    /// Those that wait for credentials.
    asks: Mutex<HashMap<u32, Answer>>,
    pub(super) background: Mutex<Vec<JoinHandle<()>>>,
}

impl Inner {
    pub(super) fn new(config: Config, runtime: &'static tokio::runtime::Handle, outbox: Outbox) -> Self {
        Self {
            config,
            store: OnceLock::new(),
            runtime,
            outbox: Arc::new(outbox),
            metrics: Metrics::default(),
            hubs: Mutex::default(),
            subscriptions: Mutex::default(),
            producers: Mutex::default(),
            early: Mutex::default(),
            written: Mutex::default(),
            pump: Notify::new(),
            acks: Acks::default(),
            starting: tokio::sync::RwLock::default(),
            larges: Larges::default(),
            announcing: tokio::sync::RwLock::default(),
            consumptions: Mutex::default(),
            next_handle: AtomicU32::new(1),
            reads: Semaphore::new(CONCURRENT_READS),
            held: Arc::default(),
            closed: AtomicBool::new(false),
            asks: Mutex::default(),
            background: Mutex::default(),
        }
    }

    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.spawn(future)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    #[allow(
        clippy::expect_used,
        reason = "set before the engine is handed out; nothing else can reach it"
    )]
    pub(crate) fn store(&self) -> &SharedStore {
        self.store.get().expect("the store is set in Engine::open")
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn reads(&self) -> &Semaphore {
        &self.reads
    }

    /// Does something with each, a few in one turn of the thread: others get theirs in between.
    pub(super) fn in_turns<T: Send + 'static>(&self, all: Vec<T>, each: impl Fn(T) + Send + 'static) {
        self.spawn(async move {
            for (count, one) in (1..).zip(all) {
                each(one);
                if count % IN_A_TURN == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
    }

    pub(super) fn held(&self) -> &Arc<AtomicUsize> {
        &self.held
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    pub(super) fn next_handle(&self) -> Handle {
        self.next_handle.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives a question for credentials a number.
    pub(super) fn ask(&self, answer: Answer) -> u32 {
        let ask = self.next_handle();
        let mut asks = lock(&self.asks);
        asks.retain(|_, waiting| !waiting.is_closed());
        asks.insert(ask, answer);
        ask
    }

    /// Answers it; of no consequence when it was given up meanwhile.
    pub(super) fn answer(&self, ask: u32, answer: Result<Credentials, String>) {
        if let Some(waiting) = lock(&self.asks).remove(&ask) {
            let _ = waiting.send(answer);
        }
    }

    /// The stream's hub, made if there is none. What needs it must join it before the registry is unlocked.
    pub(super) fn with_hub<T>(&self, stream: &StreamId, join: impl FnOnce(&Arc<Hub>) -> T) -> T {
        let mut hubs = lock(&self.hubs);
        join(
            hubs.entry(stream.clone())
                .or_insert_with(|| Arc::new(Hub::new(stream.clone()))),
        )
    }

    pub(super) fn find_hub(&self, stream: &StreamId) -> Option<Arc<Hub>> {
        lock(&self.hubs).get(stream).cloned()
    }

    /// Whether the hub's task may end: nobody has joined it meanwhile.
    pub(crate) fn retire_hub(&self, hub: &Arc<Hub>) -> bool {
        let mut hubs = lock(&self.hubs);
        match hub.retire(self) {
            None => false,
            Some(unused) => {
                if unused {
                    hubs.remove(hub.stream());
                }
                true
            }
        }
    }

    pub(crate) fn forget_producer(&self, producer: &Arc<Producer>, hub: &Arc<Hub>) {
        lock(&self.producers).remove(producer.handle);
        self.store().release(producer.start.producer);
        let mut hubs = lock(&self.hubs);
        hub.writer_leaves();
        if hub.is_unused() {
            hubs.remove(hub.stream());
        }
    }

    pub(super) fn forget_subscription(&self, handle: Handle) {
        let subscription = lock(&self.subscriptions).remove(&handle);
        if let Some(subscription) = subscription {
            subscription.cancel();
            subscription.hub().leave(handle);
            if let Some(consumer) = subscription.consumer() {
                self.acks
                    .leave(subscription.hub().stream(), consumer, &subscription);
            }
        }
    }

    /// Whether a producer of this process would let this owner follow and stop the stream.
    pub(crate) fn owns(&self, stream: &StreamId, owner: Option<&String>) -> bool {
        let producers = lock(&self.producers);
        producers
            .of(stream)
            .iter()
            .any(|producer| producer.is_open_to(stream, owner))
    }

    pub(super) fn stop_local(&self, stream: &StreamId, reason: &str, owner: Option<&String>) -> bool {
        let producers: Vec<_> = {
            let producers = lock(&self.producers);
            producers
                .of(stream)
                .iter()
                .filter(|producer| producer.is_open_to(stream, owner))
                .cloned()
                .collect()
        };
        for producer in &producers {
            producer.stop(self, reason, self.config.stop_grace());
        }
        !producers.is_empty()
    }

    pub(super) fn shut(&self, producers: &[Arc<Producer>]) {
        lock(&self.asks).clear();
        for producer in producers {
            producer.close(self, Err(Error::Closed));
        }
        let subscriptions: Vec<_> = lock(&self.subscriptions).values().cloned().collect();
        for subscription in subscriptions {
            subscription.fail(Error::Closed);
        }
        for (handle, consumption) in std::mem::take(&mut *lock(&self.consumptions)) {
            consumption.leave(handle);
        }
    }

    /// Why the store cannot be reached, for those who do not wait for it.
    pub(super) fn known_outage(self: &Arc<Self>, is_patient: bool) -> Option<Error> {
        let outage = self.store().outage().filter(|_| !is_patient)?;
        // Somebody has to try: the next one may find it again.
        let engine = Arc::clone(self);
        self.spawn(async move { engine.store().connect().await });
        Some(outage)
    }

    /// Repeats what failed for a passing reason, for as long as a connection may take.
    pub(super) async fn retry<'a, T>(&'a self, operation: impl Fn() -> store::Pending<'a, T>) -> Result<T> {
        let deadline = Instant::now() + self.config.connect_timeout();
        let mut backoff = Backoff::default();
        loop {
            match operation().await {
                Err(error) if error.is_retryable() && Instant::now() < deadline => {
                    self.metrics.retries.one();
                    tokio::time::sleep(backoff.next_delay()).await;
                }
                done => return done,
            }
        }
    }

    /// News of the finished generations, or that some may have been missed.
    pub(super) fn hear_finished(&self, news: Option<FinishedNews>) {
        for consumption in lock(&self.consumptions).values() {
            consumption.hear(news);
        }
    }

    /// A message for producers of this process, or for one that is about to be known.
    pub(super) fn control(self: &Arc<Self>, stream: &StreamId, message: ControlMessage) {
        let (ControlMessage::Stop { generation, .. }
        | ControlMessage::Suspected { generation }
        | ControlMessage::Ended { generation, .. }) = &message;
        let producers = self.producers_of(stream, *generation);
        for producer in &producers {
            match &message {
                ControlMessage::Stop { reason, .. } => producer.stop(self, reason, self.config.stop_grace()),
                ControlMessage::Suspected { .. } => producer.renew_if_idle(Duration::ZERO),
                ControlMessage::Ended { terminal, .. } => producer.cut_off(self, terminal),
            }
        }
        if matches!(message, ControlMessage::Ended { .. }) && !producers.is_empty() {
            finished::check(self, (stream.clone(), *generation));
        }
        if producers.is_empty() && !matches!(message, ControlMessage::Suspected { .. }) {
            let mut early = lock(&self.early);
            if early.len() == EARLY {
                early.pop_front();
            }
            early.push_back((stream.clone(), message));
        }
    }

    /// Repeats what came for a generation before it was known.
    pub(super) fn recall(self: &Arc<Self>, stream: &StreamId) {
        let (theirs, rest) = std::mem::take(&mut *lock(&self.early))
            .into_iter()
            .partition::<VecDeque<_>, _>(|(of, _)| of == stream);
        *lock(&self.early) = rest;
        for (stream, message) in theirs {
            self.control(&stream, message);
        }
    }

    pub(super) fn producers_of(&self, stream: &StreamId, generation: Ulid) -> Vec<Arc<Producer>> {
        let producers = lock(&self.producers);
        let theirs = producers.of(stream).iter();
        theirs
            .filter(|producer| producer.start.generation == generation)
            .cloned()
            .collect()
    }
}
