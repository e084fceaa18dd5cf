//! The engine: producers, hubs, subscriptions, leases, and the events for the host.
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

mod admin;
mod context;
pub mod events;
pub mod groups;
pub mod large;
mod listener;
mod load;
pub mod logs;
pub mod metrics;
pub mod outbox;
pub mod produce;
pub mod read;
mod registry;
mod reminders;
pub mod runtime;
pub mod sink;
mod stop;
mod upkeep;

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{FutureExt as _, future::join_all};

use context::Context;
use events::{Event, Reply};
use listener::StoreListener;
use metrics::{
    counted::Counted,
    snapshot::{Now, Snapshot},
};
use outbox::{Outbox, Ready};
use read::{acks, hubs};
use registry::Registry;
use runtime::panicked;
use sink::{Pulled, Sink, Waits};

use crate::{
    Config, Result, StreamId,
    model::ending::{InterruptReason, Terminal},
    store,
    util::{
        log::{self, LogSink},
        sync::lock,
        ulids::next_ulid,
    },
};

/// The most operations of a turn of the host that are one task: others get their turns in between.
const TOGETHER: usize = 64;

/// What a request runs.
pub type Operation = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

/// An engine. Cloning shares it.
#[derive(Clone)]
pub struct Engine {
    context: Arc<Context>,
    registry: Arc<Registry>,
}

/// How a closing engine's producers end.
fn closed() -> Terminal {
    Terminal::interrupted(InterruptReason::Closed)
}

impl Engine {
    /// Makes an engine on the store that the configuration names; connects to nothing yet. `wake` is called on the
    /// engine's thread when [`Engine::drain`] has something to deliver, at most once between two drains.
    pub fn open(config: Config, wake: Box<dyn Fn() + Send + Sync>) -> Result<Self> {
        let runtime = runtime::handle()?;
        let node = next_ulid();
        let pace = config.delivery_interval();
        let context = Arc::new(Context::new(config, runtime, Outbox::new(wake, pace)));
        let outbox: Arc<dyn LogSink> = context.outbox.clone();
        log::listen(context.config.log_level.into(), Arc::downgrade(&outbox));
        let registry = Arc::new(Registry::new(Arc::clone(&context)));
        let listener = Arc::new(StoreListener(Arc::downgrade(&registry)));
        let store = store::open(&context.config, node, listener)?;
        // Set once, here.
        let _ = context.store.set(store);
        let tasks = vec![
            context.spawn(Arc::clone(&context.outbox).run()),
            context.spawn(Arc::clone(&context.outbox).rest()),
            context.spawn(Arc::clone(&registry.pump).run()),
            context.spawn(upkeep::renew_leases(Arc::downgrade(&registry))),
            context.spawn(upkeep::vouch(Arc::downgrade(&registry))),
            context.spawn(upkeep::find_changed(Arc::downgrade(&registry))),
            context.spawn(hubs::look_at_nodes(
                Arc::downgrade(&registry.hubs),
                Arc::clone(&registry.hubs.nodes),
                Arc::downgrade(&context),
            )),
            context.spawn(acks::run(Arc::clone(&registry.acks), Arc::clone(&context))),
        ];
        *lock(&registry.background) = tasks;
        Ok(Self { context, registry })
    }

    /// Runs an operation on the engine's thread; its answer is drained as [`Event::Reply`] with this request number.
    pub fn request<F>(&self, request: u32, operation: F)
    where
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.context.spawn(self.answered(request, operation));
    }

    /// The same for operations of one turn of the host: the engine's thread is woken once for [`TOGETHER`] of them, and begins all in their
    /// order, before what is requested later.
    pub fn requests(&self, begun: Vec<(u32, Operation)>) {
        let mut answered = begun
            .into_iter()
            .map(|(request, operation)| self.answered(request, operation))
            .peekable();
        while answered.peek().is_some() {
            let some: Vec<_> = answered.by_ref().take(TOGETHER).collect();
            self.context.spawn(join_all(some));
        }
    }

    fn answered<F>(&self, request: u32, operation: F) -> impl Future<Output = ()> + use<F>
    where
        F: Future<Output = Result<Reply>>,
    {
        let outbox = Arc::clone(&self.context.outbox);
        self.guarded(request, async move {
            outbox.push(Event::Reply(request, Ok(operation.await?)));
            Ok(())
        })
    }

    /// Runs an operation that sends its own answer when it succeeds.
    fn run<F>(&self, request: u32, operation: F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.context.spawn(self.guarded(request, operation));
    }

    /// An operation whose error is its answer, and a panic too: locks that it leaves poisoned are opened by whoever comes next.
    fn guarded<F>(&self, request: u32, operation: F) -> impl Future<Output = ()> + use<F>
    where
        F: Future<Output = Result<()>>,
    {
        let outbox = Arc::clone(&self.context.outbox);
        async move {
            let outcome = AssertUnwindSafe(operation).catch_unwind().await;
            if let Err(error) = outcome.unwrap_or_else(|panic| Err(panicked(&*panic))) {
                outbox.push(Event::Reply(request, Err(error)));
            }
        }
    }

    /// Connects early.
    pub async fn connect(self) -> Result<Reply> {
        self.context.check_open()?;
        self.context.store().connect().await?;
        Ok(Reply::Unit)
    }

    /// Requests a stop. A producer of this very process learns of it even while the store is away.
    ///
    /// `keep` is how long it is kept for the start of a stream that does not exist yet; by default 10 s.
    pub async fn stop(
        self,
        stream: StreamId,
        reason: String,
        owner: Option<String>,
        keep: Option<Duration>,
    ) -> Result<Reply> {
        let stopped = stop::request(&self.registry, &stream, &reason, owner.as_ref(), keep).await?;
        Ok(Reply::Stop(stopped))
    }

    /// Ends producers (everything written first, for at most the command timeout, in which those that are being started end
    /// too; then, for as long, what consumers have seen and what has finished is stored), subscriptions and connections.
    pub async fn close(self) -> Result<Reply> {
        if self.context.closed.swap(true, Ordering::AcqRel) {
            return Ok(Reply::Unit);
        }
        let producers = lock(&self.registry.producers).all();
        let endings = producers.iter().map(|producer| producer.finish(closed()));
        // Producers that do not finish in time get an error below; readers elsewhere notice when their leases expire.
        let endings = async { tokio::join!(join_all(endings), self.registry.starting.write()) };
        let ended = tokio::time::timeout(self.context.config.command_timeout(), endings).await;
        if ended.is_err() {
            tracing::warn!(
                producers = producers.len(),
                "closed before everything was written"
            );
        }
        self.registry.shut(&producers);
        let rest = async {
            self.registry.acks.flush(&self.context, None).await;
            drop(self.context.announcing.write().await);
        };
        let _ = tokio::time::timeout(self.context.config.command_timeout(), rest).await;
        self.context.store().close().await?;
        Ok(Reply::Unit)
    }

    /// Drops everything at once, for a host that goes away.
    pub fn dispose(&self) {
        self.context.closed.store(true, Ordering::Release);
        let producers = lock(&self.registry.producers).all();
        self.registry.shut(&producers);
        let handles: Vec<_> = lock(&self.registry.subscriptions).keys().copied().collect();
        for handle in handles {
            self.registry.forget_subscription(handle);
        }
        for task in lock(&self.registry.background).drain(..) {
            task.abort();
        }
        let registry = Arc::clone(&self.registry);
        self.context.spawn(async move {
            let context = &registry.context;
            let _ = tokio::time::timeout(context.config.command_timeout(), registry.starting.write()).await;
            log::dropped(
                context.store().close().await,
                "the store was not closed in good order",
            );
        });
    }

    /// Delivers everything that is ready, until the sink is full; returns whether something is left. Anything that comes later
    /// causes another wake.
    pub fn drain(&self, sink: &mut dyn Sink, waits: &mut Waits) -> bool {
        self.context.outbox.begin_drain();
        self.gather(sink, waits);
        self.context.metrics.waited(waits);
        !self.context.outbox.is_empty()
    }

    /// Causes another wake, for what a drain has left.
    pub fn wake(&self) {
        self.context.outbox.signal();
    }

    /// Puts everything that is ready into a sink that the host gets with its next drain.
    pub fn gather(&self, sink: &mut dyn Sink, waits: &mut Waits) {
        let outbox = &self.context.outbox;
        let mut sink = Counted::new(sink, &self.context.metrics);
        while !sink.is_full() {
            let Some(event) = outbox.pop_event() else { break };
            sink.event(event);
        }
        while !sink.is_full() {
            let Some((who, since)) = outbox.pop_ready() else {
                break;
            };
            let before = sink.chunks();
            let pulled = self.pull(&who, &mut sink);
            if sink.chunks() > before {
                waits.push(since);
            }
            if pulled == Pulled::Full {
                outbox.push_unfinished(who, since);
                break;
            }
        }
    }

    fn pull(&self, who: &Ready, sink: &mut dyn Sink) -> Pulled {
        let handle = match who {
            Ready::Hub(hub) => return hub.pull(sink),
            Ready::Reader(handle) => *handle,
        };
        let subscription = lock(&self.registry.subscriptions).get(&handle).cloned();
        let pulled = subscription.map_or(Pulled::Dry, |subscription| subscription.pull(sink));
        if pulled == Pulled::Over {
            self.registry.forget_subscription(handle);
        }
        pulled
    }

    /// Whether every chunk that crossed has been accepted or refused.
    pub fn is_idle(&self) -> bool {
        self.context.outbox.is_idle()
    }

    /// The engine's counters, and current values.
    pub fn metrics(&self) -> Snapshot {
        let producers = lock(&self.registry.producers).all();
        self.context.metrics.snapshot(Now {
            state: self.context.store().state(),
            producers: producers.len(),
            readers: lock(&self.registry.subscriptions).len(),
            streams: self.registry.hubs.len(),
            queued_bytes: producers.iter().map(|producer| producer.queued()).sum(),
            longest_queue_bytes: producers
                .iter()
                .map(|producer| producer.depth())
                .max()
                .unwrap_or_default(),
            undelivered: self.context.outbox.len(),
        })
    }
}
