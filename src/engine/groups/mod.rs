//! Groups: consumers that share the chunks of a stream, or all finished generations.

pub mod consumption;
pub(super) mod finished;
mod reader;

use std::sync::Arc;

use self::{
    consumption::{AT_ONCE, Consume, Consumption},
    reader::Reader,
};
use super::{
    Engine,
    events::{Data, Handed, Handle, Loaded, Reply},
    read::{follower::Follower, hub::PAGE_BYTES},
};
use crate::{
    Error, Result, StreamId,
    store::groups::{Dead, ItemId, Resolve, Subject, Work},
    util::sync::lock,
};

impl Engine {
    /// Joins a group; [`Engine::take`] gets its items.
    pub fn consume(&self, consume: Consume) -> Result<Handle> {
        self.context.check_open()?;
        let handle = self.context.next_handle();
        let stream = consume.stream.clone();
        let make = |hub| Arc::new(Consumption::new(consume, hub));
        let consumption = if let Some(stream) = stream {
            self.registry.hubs.with(&stream, |hub| {
                let consumption = make(Some(Arc::clone(hub)));
                let follower = Arc::clone(&consumption) as Arc<dyn Follower>;
                self.registry.hubs.join(hub, &self.context, handle, follower);
                consumption
            })
        } else {
            let consumption = make(None);
            self.context.spawn(finished::audit(
                Arc::downgrade(&self.context),
                Arc::downgrade(&consumption),
            ));
            consumption
        };
        lock(&self.registry.consumptions).insert(handle, consumption);
        Ok(handle)
    }

    /// Waits for a consumer's next items.
    pub async fn take(self, consumer: Handle) -> Result<Reply> {
        let consumption = lock(&self.registry.consumptions).get(&consumer).cloned();
        // The host asks no more once it has left.
        let consumption = consumption.ok_or(Error::Closed)?;
        consumption.next(&self.context).await.map(Reply::Handed)
    }

    /// Ends a consumer: items that it got but has not begun are delivered to others.
    pub async fn leave(self, consumer: Handle, mut untouched: Vec<ItemId>) -> Result<Reply> {
        let consumption = lock(&self.registry.consumptions).get(&consumer).cloned();
        if let Some(consumption) = consumption {
            consumption.leave(consumer);
            let spare = std::mem::take(&mut lock(&consumption.state).spare);
            untouched.extend(spare.into_iter().map(|item| item.id));
            let (lost, rest): (Vec<_>, _) = untouched.into_iter().partition(|id| consumption.has_lost(*id));
            consumption.resolved(lost.into_iter());
            self.registry.forget_consumption(consumer);
            consumption.give_back(&self.context, rest).await;
        }
        Ok(Reply::Unit)
    }

    /// Resolves items of a group; `handle` is the consumer's that was given them, if it is here. What it knows to be lost is left out.
    pub async fn resolve(
        self,
        stream: Option<StreamId>,
        resolve: Resolve,
        handle: Option<Handle>,
    ) -> Result<Reply> {
        self.context.check_open()?;
        let consumption = handle.and_then(|handle| lock(&self.registry.consumptions).get(&handle).cloned());
        let work = stream.as_ref().map_or(Work::Finished, Work::Stream);
        let has_lost = |id| consumption.as_ref().is_some_and(|found| found.has_lost(id));
        let (lost, rest): (Vec<_>, Vec<_>) =
            resolve.resolutions.into_iter().partition(|(id, _)| has_lost(*id));
        for part in rest.chunks(AT_ONCE) {
            let part = Resolve {
                group: resolve.group.clone(),
                consumer: resolve.consumer.clone(),
                resolutions: part.to_vec(),
                owner: resolve.owner.clone(),
            };
            // A call that has begun is finished, also while the engine closes.
            self.context
                .retry(|| self.context.store().resolve(work, &part))
                .await?;
            if let Some(consumption) = &consumption {
                consumption.resolved(part.resolutions.iter().map(|(id, _)| *id));
            }
        }
        if let (Some(handle), Some(consumption)) = (handle, &consumption) {
            consumption.resolved(lost.into_iter().map(|(id, _)| id));
            self.registry.forget_consumption(handle);
        }
        Ok(Reply::Unit)
    }

    /// The groups of a stream, or those that wait for finished generations.
    pub async fn groups(self, stream: Option<StreamId>) -> Result<Reply> {
        let work = stream.as_ref().map_or(Work::Finished, Work::Stream);
        let groups = self.context.ask(|store| store.groups(work)).await?;
        Ok(Reply::Groups(groups))
    }

    /// A page of a group's dead letters.
    pub async fn dead(self, stream: Option<StreamId>, dead: Dead) -> Result<Reply> {
        let work = stream.as_ref().map_or(Work::Finished, Work::Stream);
        let items = self.context.ask(|store| store.dead(work, &dead)).await?;
        let mut reader = Reader::default();
        let mut handed = Handed::default();
        let mut bytes = 0;
        for item in items {
            let data = match (&stream, &item.subject) {
                // One that cannot be read is a dead letter nevertheless.
                (Some(stream), Subject::Chunk(cursor)) => reader
                    .chunk(&self.context, stream, *cursor)
                    .await
                    .unwrap_or_default(),
                _ => None,
            };
            bytes += data.as_ref().map_or(0, Data::len);
            handed.items.push(Loaded { item, data });
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        Ok(Reply::Handed(handed))
    }
}
