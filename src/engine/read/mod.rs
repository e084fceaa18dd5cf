//! Readers: how each gets every chunk once, in order, from its position.

mod ack_watch;
pub(super) mod acks;
mod attach;
mod delivery;
mod fetching;
pub(super) mod follower;
mod following;
pub(super) mod framed;
mod growth;
pub mod hub;
pub(super) mod hubs;
mod loading;
mod nodes;
mod page;
pub mod ring;
mod sharing;
mod state;
pub mod subscription;
pub mod window;

use std::sync::Arc;

use self::{
    follower::Follower,
    subscription::{Follow, Subscription},
};
use super::{
    Engine,
    events::{Event, Handle},
};
use crate::{
    Result, StreamId,
    store::{Ack, Need},
    util::sync::lock,
};

impl Engine {
    /// Opens a subscription; it always reports its end through [`Engine::drain`].
    pub fn subscribe(&self, stream: &StreamId, follow: Follow) -> Result<Handle> {
        self.context.check_open()?;
        let handle = self.context.next_handle();
        // The engine's thread may have something for it at once, and finds it here when all of it is there.
        let mut subscriptions = lock(&self.registry.subscriptions);
        let subscription = self.registry.hubs.with(stream, |hub| {
            let subscription = Arc::new(Subscription::new(handle, Arc::clone(hub), &self.context, &follow));
            let follower = Arc::clone(&subscription) as Arc<dyn Follower>;
            self.registry.hubs.join(hub, &self.context, handle, follower);
            subscription
        });
        subscriptions.insert(handle, Arc::clone(&subscription));
        if let Some(terms) = follow.ack.clone() {
            if let Some(consumer) = subscription.consumer() {
                self.registry.acks.join(stream, consumer, &subscription);
            }
            if terms.timeout.is_some() || terms.consumer.is_some() {
                let (reader, engine) = (Arc::downgrade(&subscription), Arc::downgrade(&self.context));
                let watch = self.context.spawn(ack_watch::watch(reader, engine, terms));
                subscription.set_watch(watch.abort_handle());
            }
        }
        let task = self.context.spawn(attach::attach(
            Arc::clone(&subscription),
            Arc::clone(&self.registry),
            follow,
        ));
        subscription.set_attaching(task.abort_handle());
        Ok(handle)
    }

    /// Lets a subscription deliver `cost` more.
    pub fn credit(&self, subscription: Handle, cost: u64) {
        let subscription = lock(&self.registry.subscriptions).get(&subscription).cloned();
        if let Some(subscription) = subscription {
            subscription.credit(cost);
        }
    }

    /// Everything up to `seq` needs not to be acknowledged any more.
    pub fn acknowledge(&self, subscription: Handle, seq: u64) {
        let subscription = lock(&self.registry.subscriptions).get(&subscription).cloned();
        if let Some(subscription) = subscription {
            subscription.acknowledge(seq);
        }
    }

    /// Ends a subscription; nothing of it becomes ready any more.
    pub fn cancel(&self, subscription: Handle) {
        self.registry.forget_subscription(subscription);
    }

    /// Moves a consumer's cursor forward; answered when that is stored, together with what comes from others. Who is not
    /// patient does not wait for a store that is known to be away.
    pub fn ack(&self, request: u32, stream: StreamId, owner: Option<String>, ack: Ack, is_patient: bool) {
        let outage = self.context.known_outage(Need::Answers, is_patient);
        match self.context.check_open().and(outage.map_or(Ok(()), Err)) {
            Ok(()) => self.registry.acks.add(request, stream, owner, ack),
            Err(error) => self.context.outbox.push(Event::Reply(request, Err(error))),
        }
    }
}
