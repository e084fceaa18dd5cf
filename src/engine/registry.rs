//! The live producers, readers and consumers of an engine. Only the engine itself and the store's listener hold it; what an engine's
//! parts need of each other is in the [`Context`].

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use tokio::{
    sync::{Notify, RwLock},
    task::JoinHandle,
};
use ulid::Ulid;

use super::{
    context::Context,
    events::Handle,
    groups::consumption::Consumption,
    logs::Lines,
    produce::{producer::Producer, producers::Producers, pump::Pump},
    read::{acks::Acks, follower::Follower, hub::Hub, hubs::Hubs, subscription::Subscription},
};
use crate::{
    Error, Result, StreamId,
    model::connection::{Credentials, CredentialsSender},
    store::{ControlMessage, FinishedNews},
    util::sync::lock,
};

/// Everything of one engine that messages of the store may be about.
pub(super) struct Registry {
    pub(super) context: Arc<Context>,
    pub(super) hubs: Arc<Hubs>,
    pub(super) subscriptions: Mutex<HashMap<Handle, Arc<Subscription>>>,
    pub(super) producers: Mutex<Producers>,
    /// Messages for generations that no producer here has, the latest last: a stop may overtake the answer to a start.
    pub(super) early: Mutex<VecDeque<(StreamId, ControlMessage)>>,
    pub(super) pump: Arc<Pump>,
    /// Somebody may believe that this engine is dead.
    pub(super) doubted: Arc<Notify>,
    pub(super) acks: Arc<Acks>,
    pub(super) lines: Lines,
    /// Held by the starts under way.
    pub(super) starting: RwLock<()>,
    pub(super) consumptions: Mutex<HashMap<Handle, Arc<Consumption>>>,
    /// Connections that wait for credentials.
    asks: Mutex<HashMap<u32, CredentialsSender>>,
    pub(super) background: Mutex<Vec<JoinHandle<()>>>,
}

impl Registry {
    pub(super) fn new(context: Arc<Context>) -> Self {
        let pump = Arc::new(Pump::new(context.config.write_interval()));
        Self {
            hubs: Arc::new(Hubs::new(&context.outbox)),
            context,
            subscriptions: Mutex::default(),
            producers: Mutex::default(),
            early: Mutex::default(),
            pump,
            doubted: Arc::default(),
            acks: Arc::default(),
            lines: Lines::default(),
            starting: RwLock::default(),
            consumptions: Mutex::default(),
            asks: Mutex::default(),
            background: Mutex::default(),
        }
    }

    /// Gives a question for credentials a number.
    pub(super) fn ask(&self, answer: CredentialsSender) -> u32 {
        let ask = self.context.next_handle();
        let mut asks = lock(&self.asks);
        asks.retain(|_, waiting| !waiting.is_closed());
        asks.insert(ask, answer);
        ask
    }

    /// Answers it; does nothing if the question was given up meanwhile.
    pub(super) fn answer(&self, ask: u32, answer: Result<Credentials, String>) {
        if let Some(waiting) = lock(&self.asks).remove(&ask) {
            let _ = waiting.send(answer);
        }
    }

    pub(super) fn forget_producer(&self, producer: &Arc<Producer>, hub: &Arc<Hub>) {
        lock(&self.producers).remove(producer.handle);
        let has_ended = lock(&producer.state).is_known_to_have_ended();
        let (stream, id) = (&producer.stream, producer.start.producer);
        self.context.store().release(stream, id, has_ended);
        self.hubs.without_writer(hub, producer.exclusive);
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

    /// Forgets one that is over; until then it knows which items are lost.
    pub(super) fn forget_consumption(&self, handle: Handle) {
        let mut consumptions = lock(&self.consumptions);
        if consumptions.get(&handle).is_some_and(|found| found.is_over()) {
            consumptions.remove(&handle);
        }
    }

    /// Whether a producer of this process would let this owner follow and stop the stream.
    pub(super) fn owns(&self, stream: &StreamId, owner: Option<&String>) -> bool {
        let producers = lock(&self.producers);
        producers
            .of(stream)
            .iter()
            .any(|producer| producer.is_open_to(stream, owner))
    }

    pub(super) fn shut(&self, producers: &[Arc<Producer>]) {
        lock(&self.asks).clear();
        for producer in producers {
            producer.close(&self.context, Err(Error::Closed));
        }
        let subscriptions: Vec<_> = lock(&self.subscriptions).values().cloned().collect();
        for subscription in subscriptions {
            subscription.fail(Error::Closed);
        }
        for (handle, consumption) in std::mem::take(&mut *lock(&self.consumptions)) {
            consumption.leave(handle);
        }
    }

    /// News of the finished generations, or that some may have been missed.
    pub(super) fn hear_finished(&self, news: Option<FinishedNews>) {
        for consumption in lock(&self.consumptions).values() {
            consumption.hear(news);
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
