//! Producers: they take chunks and write them to the store.

mod keeping;
mod kept;
pub mod producer;
pub(super) mod producers;
pub(super) mod pump;
mod queue;
pub(super) mod rate;
mod recovery;
mod renewing;
pub(super) mod sealing;
mod upload;
mod writer;

use std::{
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use tokio::sync::Notify;

use self::producer::Producer;
use super::{
    Engine, closed,
    events::{Event, Handle, Reply},
    groups::finished,
    read::hub::Hub,
    registry::Registry,
    runtime::internal,
    stop,
};
use crate::{
    Cursor, Error, Result, StreamId,
    model::{
        connection::ConnectionState,
        ending::{Outcome, Terminal},
        frame::Kind,
        ttl::Ttl,
    },
    store::{Append, Appended, IfActive, IfEnded, Need, Start, Started},
    util::{sync::lock, ulids::next_ulid},
};

/// The options of a producer.
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

/// The least grace period of a stop with which chunks may gather for 64 ms (`ts/native/writes.ts`).
const LEAST_GRACE: Duration = Duration::from_millis(250);

/// What the host learns of a producer by a write.
#[derive(Debug, Default, Clone, Copy)]
pub struct Queued {
    /// Bytes in its queue.
    pub depth: usize,
    /// Nobody reads what it writes, as far as is known: the next chunks may gather before they cross.
    pub may_wait: bool,
}

/// A producer that is known to its engine, as long as it has a writer: also one that panics comes to an end.
struct Known {
    producer: Arc<Producer>,
    hub: Arc<Hub>,
    registry: Arc<Registry>,
}

impl Drop for Known {
    fn drop(&mut self) {
        self.registry.forget_producer(&self.producer, &self.hub);
    }
}

impl Engine {
    /// Starts a producer; answered by [`Reply::Produced`], before any other event of it.
    pub fn produce(&self, request: u32, stream: StreamId, options: Produce) {
        self.run(request, self.clone().start(request, stream, options));
    }

    async fn start(self, request: u32, stream: StreamId, options: Produce) -> Result<()> {
        let _under_way = self.registry.starting.read().await;
        self.context.check_open()?;
        if let Some(outage) = self.context.known_outage(Need::Start, options.is_patient) {
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
            lease: self.context.config.lease(),
            ttl: options.ttl,
        };
        let started = self.context.ask(|store| store.start(&stream, &start)).await?;
        tracing::debug!(%stream, generation = %started.generation, seq = started.seq, if_active = ?start.if_active, "producer started");
        start.generation = started.generation;
        // Its time may be another. One that continues alone leaves nobody behind.
        let has_joined =
            started.generation.random() != requested.random() && start.if_active == IfActive::Share;
        let producer = Arc::new(Producer {
            handle: self.context.next_handle(),
            stream: stream.clone(),
            exclusive: start.if_active != IfActive::Share,
            flush_interval: options
                .flush_interval
                .unwrap_or_else(|| self.context.config.flush_interval()),
            start,
            ordinal: started.ordinal,
            is_unheard: AtomicBool::new(false),
            notify: Notify::new(),
            state: Mutex::default(),
        });
        let hub = self.registry.hubs.with(&stream, |hub| {
            hub.producer_joins(started.generation, started.base, started.seq, producer.exclusive);
            Arc::clone(hub)
        });
        let reply = Reply::Produced {
            producer: producer.handle,
            generation: started.generation,
            continued: (started.seq > started.base).then_some(started.seq),
            stop: started.stop.clone(),
        };
        if !self.register(&producer, request, reply) {
            // In this order: one that is forgotten without an end ends as if its lease had expired.
            self.take_back(&producer, has_joined).await;
            self.registry.forget_producer(&producer, &hub);
            return Err(Error::Closed);
        }
        stop::recall(&self.registry, &stream);
        self.set_to_work(producer, hub, started);
        Ok(())
    }

    /// Writes what a producer is given, until it has ended.
    fn set_to_work(&self, producer: Arc<Producer>, hub: Arc<Hub>, started: Started) {
        let known = Known {
            producer: Arc::clone(&producer),
            hub: Arc::clone(&hub),
            registry: Arc::clone(&self.registry),
        };
        let work = writer::run(Arc::clone(&producer), hub, Arc::clone(&self.context), started);
        let writer = self.context.spawn(async move {
            let _known = known;
            work.await;
        });
        let context = Arc::clone(&self.context);
        self.context.spawn(async move {
            if let Err(error) = writer.await {
                producer.close(&context, Err(internal(&error)));
            }
        });
    }

    /// Answers the request and makes the producer known, unless the engine is closed.
    fn register(&self, producer: &Arc<Producer>, request: u32, reply: Reply) -> bool {
        // News of the producer can only reach it once it is registered here, so after the host has the reply.
        let mut producers = lock(&self.registry.producers);
        let is_open = self.context.check_open().is_ok();
        if is_open {
            self.context.outbox.push(Event::Reply(request, Ok(reply)));
            producers.insert(Arc::clone(producer));
        }
        is_open
    }

    /// Ends a generation whose start was answered after the engine was closed: the host does not know the producer. A producer that
    /// has joined others only leaves them.
    async fn take_back(&self, producer: &Producer, has_joined: bool) {
        let terminal = if has_joined {
            Terminal {
                outcome: Outcome::Complete,
                reason: String::new(),
            }
        } else {
            closed()
        };
        let append = Append {
            terminal: Some(terminal),
            ..producer.batch(1)
        };
        // If this fails, readers notice when the lease expires.
        let ended = self
            .context
            .retry(|| self.context.store().append(&producer.stream, &append))
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
            finished::announce(&self.context, &producer.stream, end, terminal);
        }
    }

    /// Queues a chunk of a producer. Call [`Engine::written`] after the last one.
    pub fn write(&self, producer: Handle, kind: Kind, data: &[u8], wants_ack: bool) -> Queued {
        let handle = producer;
        let Some(producer) = self.producer(handle) else {
            // The host knows why, or has invented the handle: it must not wait for an answer.
            self.context.outbox.push(Event::Broken(handle, Error::Closed));
            return Queued::default();
        };
        let (depth, is_news) = producer.write(&self.context, kind, data, wants_ack);
        let may_wait = producer.is_unheard() && self.may_gather();
        self.registry.pump.add(producer, data.len(), wants_ack, is_news);
        Queued { depth, may_wait }
    }

    /// Whether chunks that nobody reads may gather before they cross: not while readers here are shown what cannot be written (G8), nor where
    /// a stop ends a producer sooner than they come.
    fn may_gather(&self) -> bool {
        let config = &self.context.config;
        !config.write_interval().is_zero()
            && config.stop_grace() >= LEAST_GRACE
            && self.context.store().state() == ConnectionState::Ready
    }

    /// Sends the queued chunks, so many.
    pub fn written(&self, chunks: usize) {
        let is_away = self.context.store().state() != ConnectionState::Ready;
        self.registry.pump.crossed(chunks, is_away);
    }

    /// Bytes in a producer's queue.
    pub fn depth(&self, producer: Handle) -> usize {
        self.producer(producer).map_or(0, |producer| producer.depth())
    }

    /// Resolves when a producer's queue is below the high-water mark.
    pub async fn ready(self, producer: Handle) -> Result<Reply> {
        let producer = self.known(producer)?;
        self.registry.pump.release();
        producer.ready(self.context.config.high_water_mark()).await?;
        Ok(Reply::Unit)
    }

    /// Resolves when everything written so far has been accepted.
    pub async fn flush(self, producer: Handle) -> Result<Reply> {
        let producer = self.known(producer)?;
        self.registry.pump.release();
        producer.flush().await?;
        Ok(Reply::Unit)
    }

    /// Ends a producer's generation.
    pub async fn finish(self, producer: Handle, terminal: Terminal) -> Result<Reply> {
        let producer = self.known(producer)?;
        // Also that of other producers, whose generation this end may be.
        self.registry.pump.release();
        let terminal = producer.finish(terminal).await?;
        Ok(Reply::Finished {
            outcome: terminal.outcome,
            reason: terminal.reason,
        })
    }

    fn producer(&self, handle: Handle) -> Option<Arc<Producer>> {
        lock(&self.registry.producers).get(handle).cloned()
    }

    fn known(&self, handle: Handle) -> Result<Arc<Producer>> {
        // The host forgets a producer when it gets its end; a call that crosses with that event finds none.
        self.producer(handle).ok_or(Error::Closed)
    }
}
