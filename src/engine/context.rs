//! What every part of an engine gets: the configuration, the store, the outbox and the metrics.

use std::{
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
};

use tokio::{
    sync::{RwLock, Semaphore},
    task::JoinHandle,
    time::Instant,
};

use super::{
    events::Handle, large::Larges, metrics::Metrics, outbox::Outbox, produce::rate::Rate,
    read::framed::Framed,
};
use crate::{
    Config, Error, Result,
    legacy::Predecessor,
    store::{self, Need, Opened, SharedStore},
    util::backoff::Backoff,
};

/// How many small steps one turn of the engine's thread takes.
pub(super) const IN_A_TURN: usize = 256;

/// The most pages that are read at the same time, so that ten thousand repairs after a reconnect do not flood the store.
const CONCURRENT_READS: usize = 64;

/// What the parts of one engine share.
pub struct Context {
    pub(super) config: Config,
    pub(super) store: OnceLock<Opened>,
    pub(super) runtime: &'static tokio::runtime::Handle,
    pub(super) outbox: Arc<Outbox>,
    pub(super) metrics: Metrics,
    pub(super) larges: Larges,
    framed: Framed,
    rate: Rate,
    /// Held by the announcements under way.
    pub(super) announcing: RwLock<()>,
    next_handle: AtomicU32,
    reads: Semaphore,
    /// Bytes of pages that wait for readers without credit.
    held: Arc<AtomicUsize>,
    pub(super) closed: AtomicBool,
}

impl Context {
    pub(super) fn new(config: Config, runtime: &'static tokio::runtime::Handle, outbox: Outbox) -> Self {
        Self {
            config,
            store: OnceLock::new(),
            runtime,
            outbox: Arc::new(outbox),
            metrics: Metrics::default(),
            larges: Larges::default(),
            framed: Framed::default(),
            rate: Rate::default(),
            announcing: RwLock::default(),
            next_handle: AtomicU32::new(1),
            reads: Semaphore::new(CONCURRENT_READS),
            held: Arc::default(),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.spawn(future)
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    #[expect(
        clippy::expect_used,
        reason = "set before the engine is handed out; nothing else can reach it"
    )]
    fn opened(&self) -> &Opened {
        self.store.get().expect("the store is set in Engine::open")
    }

    pub(super) fn store(&self) -> &SharedStore {
        &self.opened().store
    }

    pub(super) fn predecessor(&self) -> Option<&Arc<dyn Predecessor>> {
        self.opened().predecessor.as_ref()
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn framed(&self) -> &Framed {
        &self.framed
    }

    pub(super) fn rate(&self) -> &Rate {
        &self.rate
    }

    pub(super) fn reads(&self) -> &Semaphore {
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

    /// Why the store has nothing for such a need, for those who do not wait for it.
    pub(super) fn known_outage(self: &Arc<Self>, need: Need, is_patient: bool) -> Option<Error> {
        let outage = self.store().outage(need).filter(|_| !is_patient)?;
        // Somebody has to try: the next one may find it again.
        let context = Arc::clone(self);
        self.spawn(async move { context.store().prove().await });
        Some(outage)
    }

    pub(super) fn next_handle(&self) -> Handle {
        self.next_handle.fetch_add(1, Ordering::Relaxed)
    }

    /// Calls the store, unless the engine is closed; retries as [`Self::retry`] does.
    pub(super) async fn ask<'a, T>(
        &'a self,
        operation: impl Fn(&'a SharedStore) -> store::Pending<'a, T>,
    ) -> Result<T> {
        self.check_open()?;
        self.retry(|| operation(self.store())).await
    }

    /// The same, but fails at once while the store is known to be away: for calls that a user waits for.
    pub(super) async fn ask_unless_away<'a, T>(
        self: &'a Arc<Self>,
        operation: impl Fn(&'a SharedStore) -> store::Pending<'a, T>,
    ) -> Result<T> {
        match self.known_outage(Need::Answers, false) {
            Some(outage) => Err(outage),
            None => self.ask(operation).await,
        }
    }

    /// Retries transient failures, for as long as a connection may take.
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
}
