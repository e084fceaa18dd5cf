//! What the product is: producers, hubs, subscriptions, leases, and what the host has to be told.
//!
//! ```text
//! host ── write ──► Producer ── Writer ──► Store ──► log
//!                                 │           │ live messages
//!                                 └──► Hub ◄──┘
//! host ◄── drain ── Outbox ◄── Subscription (a cursor)
//! ```
//!
//! The host calls synchronous methods from its own thread; everything asynchronous runs on [`runtime`]'s. Locks are held
//! for moments, in the order registry → subscription → hub, and never across an `await`.

mod acks;
mod attach;
mod ear;
mod finished;
pub mod groups;
pub mod hub;
mod inner;
pub mod large;
pub mod metrics;
pub mod outbox;
mod page;
pub mod producer;
mod producers;
mod queue;
pub mod ring;
pub mod runtime;
mod sealing;
pub mod subscription;
pub mod window;
mod writer;

use std::{
    future::Future,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{sync::Notify, time::Instant};
use ulid::Ulid;

pub use inner::Inner;

use crate::{
    Config, Cursor, Error, Result, StreamId,
    frame::Kind,
    store::{
        self, Ack, Append, Appended, ConnectionState, Credentials, IfActive, IfEnded, ListCursor, Outcome,
        OwnerCheck, Start, StopResult, StreamStatus, Sweep, Terminal, Ttl, predecessor::Ask,
    },
    sync::lock,
};
use ear::{Ear, pump, renew_leases};
use hub::Member;
use metrics::{Counted, Now, Snapshot};
use outbox::{Event, Handle, Outbox, Reply, Sink, Waits};
use producer::Producer;
use subscription::{Follow, Pulled, Subscription};

/// How long a stop is kept for a start that it may have overtaken: one that is meant for a stream that has long been gone must
/// not end the next.
const KEEP_STOP: Duration = Duration::from_secs(10);

/// What a producer is started with.
#[derive(Debug, Clone)]
pub struct Produce {
    /// The stream's owner.
    pub owner: Option<String>,
    /// A JSON text.
    pub metadata: Option<String>,
    /// What to do about a live producer.
    pub if_active: IfActive,
    /// What to do about a generation that has ended.
    pub if_ended: IfEnded,
    /// How long the keys live.
    pub ttl: Ttl,
    /// How long chunks may gather before a batch leaves; else the engine's.
    pub flush_interval: Option<Duration>,
    /// Whether to wait for a store that cannot be reached; else the start fails at once while that is known.
    pub is_patient: bool,
}

/// An engine. Cloning shares it.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

/// How a closing engine's producers end.
fn closed() -> Terminal {
    Terminal {
        outcome: Outcome::Interrupted,
        reason: "closed".into(),
    }
}

fn internal(panic: &tokio::task::JoinError) -> Error {
    Error::Internal {
        reason: panic.to_string(),
    }
}

/// A ULID, greater than all that this process has made before.
pub fn next_ulid() -> Ulid {
    static GENERATOR: Mutex<Option<ulid::Generator>> = Mutex::new(None);
    let mut generator = lock(&GENERATOR);
    // Overflow needs 2^80 ids within a millisecond; a random one is as unique.
    generator
        .get_or_insert_with(ulid::Generator::new)
        .generate()
        .unwrap_or_else(|_| Ulid::new())
}

impl Engine {
    /// Makes an engine on the store that the configuration names; connects to nothing yet. `wake` is called on the
    /// engine's thread when [`Engine::drain`] has something to deliver, at most once between two drains.
    pub fn open(config: Config, wake: Box<dyn Fn() + Send + Sync>) -> Result<Self> {
        let runtime = runtime::handle()?;
        let node = next_ulid();
        let inner = Arc::new(Inner::new(config, runtime, Outbox::new(wake)));
        let listener = Arc::new(Ear(Arc::downgrade(&inner)));
        let store = store::open(&inner.config, node, listener)?;
        // Set once, here.
        let _ = inner.store.set(store);
        let tasks = vec![
            inner.spawn(Arc::clone(&inner.outbox).run()),
            inner.spawn(Arc::clone(&inner.outbox).rest()),
            inner.spawn(pump(Arc::clone(&inner))),
            inner.spawn(renew_leases(Arc::downgrade(&inner))),
            inner.spawn(acks::run(Arc::clone(&inner))),
        ];
        *lock(&inner.background) = tasks;
        Ok(Self { inner })
    }

    /// Runs an operation on the engine's thread; its answer is drained as [`Event::Reply`] with this request number.
    pub fn request<F>(&self, request: u32, operation: F)
    where
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        let outbox = Arc::clone(&self.inner.outbox);
        self.run(request, async move {
            outbox.push(Event::Reply(request, Ok(operation.await?)));
            Ok(())
        });
    }

    /// Runs an operation that answers by itself when it succeeds.
    fn run<F>(&self, request: u32, operation: F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        self.inner.spawn(async move {
            // In a task of its own, so that a panic is an answer too.
            let outcome = inner.runtime.spawn(operation).await;
            let outcome = outcome.unwrap_or_else(|error| Err(internal(&error)));
            if let Err(error) = outcome {
                inner.outbox.push(Event::Reply(request, Err(error)));
            }
        });
    }

    /// Connects early.
    pub async fn connect(self) -> Result<Reply> {
        self.inner.check_open()?;
        self.inner.store().connect().await?;
        Ok(Reply::Unit)
    }

    /// Starts a producer; answered by [`Reply::Produced`], before anything else is said of it.
    pub fn produce(&self, request: u32, stream: StreamId, options: Produce) {
        self.run(request, self.clone().start(request, stream, options));
    }

    async fn start(self, request: u32, stream: StreamId, options: Produce) -> Result<()> {
        let inner = &self.inner;
        let _under_way = inner.starting.read().await;
        inner.check_open()?;
        if let Some(outage) = inner.known_outage(options.is_patient) {
            return Err(outage);
        }
        let requested = next_ulid();
        let mut start = Start {
            generation: requested,
            producer: next_ulid(),
            if_active: options.if_active,
            if_ended: options.if_ended,
            owner: options.owner,
            metadata: options.metadata,
            lease: inner.config.lease(),
            ttl: options.ttl,
        };
        let started = inner.retry(|| inner.store().start(&stream, &start)).await?;
        start.generation = started.generation;
        // Its time may be another.
        let has_joined = started.generation.random() != requested.random();
        let producer = Arc::new(Producer {
            handle: inner.next_handle(),
            stream: stream.clone(),
            exclusive: start.if_active != IfActive::Share,
            flush_interval: options
                .flush_interval
                .unwrap_or_else(|| inner.config.flush_interval()),
            start,
            ordinal: started.ordinal,
            notify: Notify::new(),
            state: Mutex::default(),
        });
        let hub = inner.with_hub(&stream, |hub| {
            hub.writer_joins(started.generation, started.seq);
            Arc::clone(hub)
        });
        let reply = Reply::Produced {
            producer: producer.handle,
            generation: started.generation,
            stop: started.stop.clone(),
        };
        let is_open = {
            // Whoever has news of the producer finds it here, and so after its host has been told of it.
            let mut producers = lock(&inner.producers);
            let is_open = inner.check_open().is_ok();
            if is_open {
                inner.outbox.push(Event::Reply(request, Ok(reply)));
                producers.insert(Arc::clone(&producer));
            }
            is_open
        };
        if !is_open {
            inner.forget_producer(&producer, &hub);
            self.take_back(&producer, has_joined).await;
            return Err(Error::Closed);
        }
        inner.recall(&stream);
        let writer = inner.spawn(writer::run(
            Arc::clone(&producer),
            hub,
            Arc::clone(inner),
            started,
        ));
        let inner = Arc::clone(inner);
        self.inner.spawn(async move {
            if let Err(error) = writer.await {
                producer.close(&inner, Err(internal(&error)));
            }
        });
        Ok(())
    }

    /// Ends what was started while the engine was closed: nobody knows of the producer. One that has joined others only
    /// leaves them.
    async fn take_back(&self, producer: &Producer, has_joined: bool) {
        let inner = &self.inner;
        let terminal = if has_joined {
            Terminal {
                outcome: Outcome::Complete,
                reason: String::new(),
            }
        } else {
            closed()
        };
        let append = Append {
            generation: producer.start.generation,
            producer: producer.start.producer,
            batch: 1,
            expected: None,
            frame: None,
            large: None,
            terminal: Some(terminal),
            seal: None,
            lease: producer.start.lease,
        };
        // Should it fail, the lease tells the rest of the world.
        let ended = inner
            .retry(|| inner.store().append(&producer.stream, &append))
            .await;
        if let Ok(Appended::Done {
            last,
            terminal: Some(terminal),
            ..
        }) = ended
        {
            let end = Cursor {
                generation: producer.start.generation,
                seq: last,
            };
            finished::announce(inner, &producer.stream, end, terminal);
        }
    }

    /// Queues a chunk of a producer and returns the bytes in its queue. Call [`Engine::written`] after the last one.
    pub fn write(&self, producer: Handle, kind: Kind, data: &[u8], wants_ack: bool) -> usize {
        let handle = producer;
        let Some(producer) = self.producer(handle) else {
            // Its host has been told why, or has made the handle up: it must not wait for an answer.
            self.inner.outbox.push(Event::Broken(handle, Error::Closed));
            return 0;
        };
        let depth = producer.write(&self.inner, kind, data, wants_ack);
        let mut written = lock(&self.inner.written);
        if written.last().is_none_or(|last| !Arc::ptr_eq(last, &producer)) {
            written.push(producer);
        }
        depth
    }

    /// Sends what was queued.
    pub fn written(&self) {
        self.inner.pump.notify_one();
    }

    /// Bytes in a producer's queue.
    pub fn depth(&self, producer: Handle) -> usize {
        self.producer(producer).map_or(0, |producer| producer.depth())
    }

    /// Resolves when a producer's queue is below the high-water mark.
    pub async fn ready(self, producer: Handle) -> Result<Reply> {
        let producer = self.known(producer)?;
        producer.ready(self.inner.config.high_water_mark()).await?;
        Ok(Reply::Unit)
    }

    /// Resolves when everything written so far has been accepted.
    pub async fn flush(self, producer: Handle) -> Result<Reply> {
        self.known(producer)?.flush().await?;
        Ok(Reply::Unit)
    }

    /// Ends a producer's generation.
    pub async fn finish(self, producer: Handle, terminal: Terminal) -> Result<Reply> {
        let terminal = self.known(producer)?.finish(terminal).await?;
        Ok(Reply::Finished {
            outcome: terminal.outcome,
            reason: terminal.reason,
        })
    }

    /// Opens a subscription; it reports its end through [`Engine::drain`], whatever happens.
    pub fn subscribe(&self, stream: &StreamId, follow: Follow) -> Result<Handle> {
        let inner = &self.inner;
        inner.check_open()?;
        let handle = inner.next_handle();
        // The engine's thread may have something for it at once, and finds it here when all of it is there.
        let mut subscriptions = lock(&inner.subscriptions);
        let subscription = inner.with_hub(stream, |hub| {
            let subscription = Arc::new(Subscription::new(handle, Arc::clone(hub), inner, &follow));
            hub.join(inner, handle, Arc::clone(&subscription) as Arc<dyn Member>);
            subscription
        });
        subscriptions.insert(handle, Arc::clone(&subscription));
        if let Some(limits) = follow.limits.clone() {
            if let Some(consumer) = subscription.consumer() {
                inner.acks.join(stream, consumer, &subscription);
            }
            if limits.timeout.is_some() || limits.consumer.is_some() {
                let (reader, engine) = (Arc::downgrade(&subscription), Arc::downgrade(inner));
                let watch = inner.spawn(window::watch(reader, engine, limits));
                subscription.set_watch(watch.abort_handle());
            }
        }
        let task = inner.spawn(attach::attach(
            Arc::clone(&subscription),
            Arc::clone(inner),
            follow,
        ));
        subscription.set_task(task.abort_handle());
        Ok(handle)
    }

    /// Lets a subscription deliver `cost` more.
    pub fn credit(&self, subscription: Handle, cost: u64) {
        let subscription = lock(&self.inner.subscriptions).get(&subscription).cloned();
        if let Some(subscription) = subscription {
            subscription.credit(cost);
        }
    }

    /// Everything up to `seq` needs not to be acknowledged any more.
    pub fn acknowledge(&self, subscription: Handle, seq: u64) {
        let subscription = lock(&self.inner.subscriptions).get(&subscription).cloned();
        if let Some(subscription) = subscription {
            subscription.acknowledge(seq);
        }
    }

    /// Ends a subscription; nothing of it becomes ready any more.
    pub fn cancel(&self, subscription: Handle) {
        self.inner.forget_subscription(subscription);
    }

    /// Moves a consumer's cursor forward; answered when that is stored, together with what comes from others.
    pub fn ack(&self, request: u32, stream: StreamId, owner: Option<String>, ack: Ack) {
        match self.inner.check_open() {
            Ok(()) => self.inner.acks.add(request, stream, owner, ack),
            Err(error) => self.inner.outbox.push(Event::Reply(request, Err(error))),
        }
    }

    /// Requests a stop. A producer of this very process learns of it even while the store is away.
    ///
    /// `keep` is how long it is kept for the start of a stream that does not exist yet; by default [`KEEP_STOP`].
    pub async fn stop(
        self,
        stream: StreamId,
        reason: String,
        owner: Option<String>,
        keep: Option<Duration>,
    ) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        if inner.store().state() != ConnectionState::Ready
            && inner.stop_local(&stream, &reason, owner.as_ref())
        {
            return Ok(Reply::Stop(StopResult::Stopping));
        }
        let check = OwnerCheck::Caller(owner.clone());
        let keep = keep.unwrap_or(KEEP_STOP);
        let asked = Instant::now();
        let result = inner
            .retry(|| inner.store().stop(&stream, &reason, &check, keep))
            .await;
        if result.is_ok() {
            inner.metrics.stop_request.observe(asked.elapsed());
        }
        match result {
            Err(error) if error.is_retryable() && inner.stop_local(&stream, &reason, owner.as_ref()) => {
                Ok(Reply::Stop(StopResult::Stopping))
            }
            other => other.map(Reply::Stop),
        }
    }

    /// What is known of a stream.
    pub async fn status(self, stream: StreamId) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        let status: Option<StreamStatus> = inner.retry(|| inner.store().status(&stream)).await?;
        Ok(Reply::Status(status.map(Box::new)))
    }

    /// What is found under the names of streams.
    pub async fn inspect(self, streams: Vec<StreamId>) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        let found = streams
            .iter()
            .map(|stream| inner.retry(|| inner.store().inspect(stream)));
        Ok(Reply::Found(
            join_all(found).await.into_iter().collect::<Result<_>>()?,
        ))
    }

    /// Looks at what the predecessor has left behind, or changes it.
    pub async fn predecessor(self, ask: Ask) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        let answer = inner.retry(|| inner.store().predecessor(&ask)).await?;
        Ok(Reply::Predecessor(answer))
    }

    /// A page of stream ids.
    pub async fn list(self, from: ListCursor, count: usize) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        let (ids, next) = inner.retry(|| inner.store().list(from, count)).await?;
        Ok(Reply::List(ids, next))
    }

    /// What a stream takes of the store's memory.
    pub async fn memory(self, stream: StreamId) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        Ok(Reply::Memory(
            inner.retry(|| inner.store().memory(&stream)).await?,
        ))
    }

    /// What the store's server says of itself.
    pub async fn info(self) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        Ok(Reply::Info(inner.retry(|| inner.store().info()).await?))
    }

    /// Answers an [`Event::Ask`](outbox::Event::Ask): with credentials, or with why there are none.
    #[allow(clippy::unused_async, reason = "a request like all others")]
    pub async fn credentials(self, ask: u32, answer: Result<Credentials, String>) -> Result<Reply> {
        self.inner.answer(ask, answer);
        Ok(Reply::Unit)
    }

    /// What the store's server allows.
    pub async fn rights(self) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        Ok(Reply::Rights(inner.retry(|| inner.store().rights()).await?))
    }

    /// How many ids the index holds.
    pub async fn count(self) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        Ok(Reply::Count(inner.retry(|| inner.store().count()).await?))
    }

    /// Removes some of these streams.
    pub async fn sweep(self, streams: Vec<StreamId>, rule: Sweep) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        Ok(Reply::Swept(
            inner.retry(|| inner.store().sweep(&streams, &rule)).await?,
        ))
    }

    /// Removes a stream.
    pub async fn delete(self, stream: StreamId) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        Ok(Reply::Deleted(
            inner.retry(|| inner.store().delete(&stream)).await?,
        ))
    }

    /// Ends producers (everything written first, for at most the command timeout, in which those that are being started end
    /// too; then, for as long, what consumers have seen and what has finished is stored), subscriptions and connections.
    pub async fn close(self) -> Result<Reply> {
        let inner = &self.inner;
        if inner.closed.swap(true, Ordering::AcqRel) {
            return Ok(Reply::Unit);
        }
        let producers = lock(&inner.producers).all();
        let endings = producers.iter().map(|producer| producer.finish(closed()));
        // Those that do not make it are told below; their leases tell the rest of the world.
        let endings = async { tokio::join!(join_all(endings), inner.starting.write()) };
        let _ = tokio::time::timeout(inner.config.command_timeout(), endings).await;
        inner.shut(&producers);
        let rest = async {
            inner.acks.flush(inner, None).await;
            drop(inner.announcing.write().await);
        };
        let _ = tokio::time::timeout(inner.config.command_timeout(), rest).await;
        inner.store().close().await?;
        Ok(Reply::Unit)
    }

    /// Drops everything at once, for a host that goes away.
    pub fn dispose(&self) {
        let inner = &self.inner;
        inner.closed.store(true, Ordering::Release);
        let producers = lock(&inner.producers).all();
        inner.shut(&producers);
        let handles: Vec<_> = lock(&inner.subscriptions).keys().copied().collect();
        for handle in handles {
            inner.forget_subscription(handle);
        }
        for task in lock(&inner.background).drain(..) {
            task.abort();
        }
        let inner = Arc::clone(inner);
        self.inner.spawn(async move {
            let _ = tokio::time::timeout(inner.config.command_timeout(), inner.starting.write()).await;
            // Nobody is left to be told of a failure.
            let _ = inner.store().close().await;
        });
    }

    /// Delivers what is ready until the sink is full; whether something is left. What comes from now on is worth a wake of
    /// its own.
    pub fn drain(&self, sink: &mut dyn Sink, waits: &mut Waits) -> bool {
        self.inner.outbox.begin_drain();
        self.gather(sink, waits);
        self.inner.metrics.waited(waits);
        !self.inner.outbox.is_empty()
    }

    /// Puts what is ready into a sink that the host will be given with its next drain.
    pub fn gather(&self, sink: &mut dyn Sink, waits: &mut Waits) {
        let outbox = &self.inner.outbox;
        let mut sink = Counted::new(sink, &self.inner.metrics);
        while !sink.is_full() {
            let Some(event) = outbox.pop_event() else { break };
            sink.event(event);
        }
        while !sink.is_full() {
            let Some((handle, since)) = outbox.pop_ready() else {
                break;
            };
            let subscription = lock(&self.inner.subscriptions).get(&handle).cloned();
            let Some(subscription) = subscription else {
                continue;
            };
            let before = sink.chunks();
            let pulled = subscription.pull(&mut sink);
            if sink.chunks() > before {
                waits.push(since);
            }
            match pulled {
                Pulled::Dry => {}
                Pulled::Full => {
                    outbox.push_unfinished(handle, since);
                    break;
                }
                Pulled::Over => self.inner.forget_subscription(handle),
            }
        }
    }

    /// Whether every chunk that crossed has been accepted or refused.
    pub fn is_idle(&self) -> bool {
        self.inner.outbox.is_idle()
    }

    /// What the engine has counted, and what there is now.
    pub fn metrics(&self) -> Snapshot {
        let inner = &self.inner;
        let producers = lock(&inner.producers).all();
        inner.metrics.snapshot(Now {
            state: inner.store().state(),
            producers: producers.len(),
            readers: lock(&inner.subscriptions).len(),
            streams: lock(&inner.hubs).len(),
            queued_bytes: producers.iter().map(|producer| producer.queued()).sum(),
            longest_queue_bytes: producers
                .iter()
                .map(|producer| producer.depth())
                .max()
                .unwrap_or_default(),
            undelivered: inner.outbox.len(),
        })
    }

    fn producer(&self, handle: Handle) -> Option<Arc<Producer>> {
        lock(&self.inner.producers).get(handle).cloned()
    }

    fn known(&self, handle: Handle) -> Result<Arc<Producer>> {
        // The host forgets a producer when it is told of its end; a call that crossed with that news finds none.
        self.producer(handle).ok_or(Error::Closed)
    }
}
