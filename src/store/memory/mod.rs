//! Streams in the memory of this process: for development, tests and single-process servers.
//!
//! [`MemoryStore`] is the [`Store`] trait; `keyspace` is what the stores of one process share; `stream_entry` and `stream` are the
//! state machine of one stream id; `transaction` is their input and output.

mod cursors;
mod forks;
mod groups;
mod kept_stops;
mod keyspace;
mod order;
mod reminders;
mod stream;
mod stream_entry;
#[cfg(test)]
mod tests;
mod transaction;

use std::{
    future::ready,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use ulid::Ulid;

use self::{
    groups::finished::FinishedQueue,
    keyspace::{Keyspace, Namespace},
    reminders::Reminders,
    stream_entry::StreamEntry,
    transaction::Transaction,
};
use super::{
    AGAIN, Ack, Append, Appended, Found, Glance, ListCursor, Listener, OwnerCheck, Page, Pending, Piece,
    Read, Renew, Restore, SharedStore, Start, Started, StopResult, Store, Sweep, Swept, Tail,
    doubt::beyond_doubt,
    forks::{ForkList, Forks, Stage, Staged},
    groups::{Dead, Finished, GroupStatus, Item, OpenGeneration, Overdue, Resolve, Take, Taken, Work},
    logs::{LogWrite, LogWritten},
    reminders::{Due, Recalled, Remind, Reminded},
};
use crate::{
    Cursor, Error, Result, StreamId,
    model::{connection::ConnectionState, frame::Reference},
    util::sync::lock,
};

/// The store of engines without Redis.
pub struct MemoryStore {
    node: Ulid,
    /// `None` once closed.
    registration: Mutex<Option<Registration>>,
}

/// A store's part in a namespace.
#[derive(Clone)]
struct Registration {
    /// Keeps the whole keyspace alive, the streams of other prefixes too.
    _space: Arc<Keyspace>,
    namespace: Arc<Namespace>,
    participant: Ulid,
}

impl MemoryStore {
    /// Opens a store in the process-wide keyspace called `name`, for the streams under `prefix`.
    ///
    /// Stores with the same name and prefix see each other's streams and messages, as processes see each other's through
    /// Redis; `node` distinguishes them. A keyspace ends with its last store: by [`Store::close`] or by dropping it.
    ///
    /// A listener is called on the thread of whichever operation delivers, before that operation settles: another
    /// engine's thread, if several share the keyspace.
    pub fn open(name: &str, prefix: &str, node: Ulid, listener: Arc<dyn Listener>) -> SharedStore {
        let keyspace = Keyspace::named(name);
        let namespace = keyspace.namespace(prefix);
        let participant = namespace.join(node, listener);
        Arc::new(Self {
            node,
            registration: Mutex::new(Some(Registration {
                _space: keyspace,
                namespace,
                participant,
            })),
        })
    }

    fn registration(&self) -> Result<Registration> {
        let registration = lock(&self.registration);
        registration.clone().ok_or(Error::Closed)
    }

    fn run<'a, T: Send + 'a>(
        &'a self,
        stream: &'a StreamId,
        operation: impl FnOnce(&mut StreamEntry, &mut Transaction) -> Result<T> + Send + 'a,
    ) -> Pending<'a, T> {
        Box::pin(async move { self.registration()?.namespace.run(self.node, stream, operation) })
    }

    fn on_finished<'a, T: Send + 'a>(
        &'a self,
        operation: impl FnOnce(&mut FinishedQueue) -> Result<T> + Send + 'a,
    ) -> Pending<'a, T> {
        Box::pin(async move { self.registration()?.namespace.with_finished(operation) })
    }

    fn on_reminders<'a, T: Send + 'a>(
        &'a self,
        operation: impl FnOnce(&mut Reminders) -> T + Send + 'a,
    ) -> Pending<'a, T> {
        Box::pin(async move { Ok(self.registration()?.namespace.with_reminders(operation)) })
    }

    fn leave(&self) {
        let registration = lock(&self.registration).take();
        if let Some(registration) = registration {
            registration.namespace.leave(registration.participant);
        }
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Store for MemoryStore {
    fn connect(&self) -> Pending<'_, ()> {
        Box::pin(ready(self.registration().map(drop)))
    }

    fn start<'a>(&'a self, stream: &'a StreamId, start: &'a Start) -> Pending<'a, Started> {
        Box::pin(async move {
            beyond_doubt(|| self.run(stream, |entry, transaction| Ok(entry.start(transaction, start))))
                .await?
        })
    }

    fn restore<'a>(&'a self, stream: &'a StreamId, restore: &'a Restore) -> Pending<'a, Appended> {
        self.run(stream, |entry, transaction| {
            Ok(entry.restore(transaction, restore))
        })
    }

    fn append<'a>(&'a self, stream: &'a StreamId, append: &'a Append) -> Pending<'a, Appended> {
        self.run(stream, |entry, transaction| Ok(entry.append(transaction, append)))
    }

    fn put<'a>(&'a self, stream: &'a StreamId, piece: &'a Piece) -> Pending<'a, Appended> {
        self.run(stream, |entry, transaction| Ok(entry.put(transaction, piece)))
    }

    fn piece<'a>(
        &'a self,
        stream: &'a StreamId,
        large: &'a Reference,
        index: usize,
    ) -> Pending<'a, Option<Bytes>> {
        self.run(stream, move |entry, _| Ok(entry.piece(large, index)))
    }

    fn log_all<'a>(&'a self, stream: &'a StreamId, writes: &'a [LogWrite]) -> Pending<'a, Vec<LogWritten>> {
        self.run(stream, |entry, transaction| entry.log(transaction, writes))
    }

    fn stage<'a>(&'a self, stream: &'a StreamId, stage: &'a Stage) -> Pending<'a, Staged> {
        self.run(stream, |entry, transaction| Ok(entry.stage(transaction, stage)))
    }

    fn forks<'a>(&'a self, stream: &'a StreamId, list: &'a ForkList) -> Pending<'a, Forks> {
        self.run(stream, |entry, transaction| Ok(entry.forks(transaction, list)))
    }

    fn renew<'a>(&'a self, stream: &'a StreamId, renew: &'a Renew) -> Pending<'a, Appended> {
        self.run(stream, |entry, transaction| Ok(entry.renew(transaction, renew)))
    }

    fn read<'a>(&'a self, stream: &'a StreamId, read: &'a Read) -> Pending<'a, Option<Page>> {
        Box::pin(async move {
            match self
                .run(stream, |entry, transaction| entry.read(transaction, read))
                .await?
            {
                Some(page) => page.decode(stream).await.map(Some),
                None => Ok(None),
            }
        })
    }

    fn stop<'a>(
        &'a self,
        stream: &'a StreamId,
        reason: &'a str,
        owner: &'a OwnerCheck,
        keep: Duration,
    ) -> Pending<'a, StopResult> {
        self.run(stream, move |entry, transaction| {
            entry.stop(transaction, reason, owner, keep)
        })
    }

    fn ack<'a>(
        &'a self,
        stream: &'a StreamId,
        acks: &'a [Ack],
        owner: &'a OwnerCheck,
    ) -> Pending<'a, Vec<bool>> {
        self.run(stream, move |entry, transaction| {
            entry.ack(transaction, acks, owner)
        })
    }

    fn cursor<'a>(&'a self, stream: &'a StreamId, consumer: &'a str) -> Pending<'a, Option<Cursor>> {
        self.run(stream, move |entry, _| Ok(entry.cursor(consumer)))
    }

    fn inspect<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, Found> {
        Box::pin(async move {
            let look = || self.run(stream, |entry, transaction| Ok(entry.status(transaction)));
            let status = beyond_doubt(look).await?;
            Ok(status.map_or(Found::Nothing, |status| Found::Stream(Box::new(status))))
        })
    }

    fn glances<'a>(&'a self, streams: &'a [StreamId]) -> Pending<'a, Vec<Found<Glance>>> {
        Box::pin(async move {
            let looks = streams.iter().map(|stream| {
                beyond_doubt(move || self.run(stream, |entry, transaction| Ok(entry.glance(transaction))))
            });
            let found = join_all(looks).await.into_iter();
            let found = found
                .map(|glance| Ok(glance?.map_or(Found::Nothing, |glance| Found::Stream(Box::new(glance)))));
            found.collect()
        })
    }

    /// All who read are in this process.
    fn listeners<'a>(&'a self, streams: &'a [StreamId]) -> Pending<'a, Option<Vec<u64>>> {
        Box::pin(ready(Ok(Some(vec![0; streams.len()]))))
    }

    fn tails<'a>(&'a self, streams: &'a [StreamId]) -> Pending<'a, Vec<Option<Tail>>> {
        let tails = streams
            .iter()
            .map(|stream| self.run(stream, |entry, _| Ok(entry.tail())));
        Box::pin(async move { join_all(tails).await.into_iter().collect() })
    }

    fn memory<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, Option<u64>> {
        self.run(stream, |entry, _| Ok(entry.memory()))
    }

    fn remove<'a>(&'a self, stream: &'a StreamId, owner: &'a OwnerCheck) -> Pending<'a, bool> {
        self.run(stream, |entry, transaction| entry.remove(transaction, owner))
    }

    fn sweep<'a>(&'a self, streams: &'a [StreamId], rule: &'a Sweep) -> Pending<'a, Vec<Swept>> {
        Box::pin(async move {
            let sweeps = streams.iter().map(|stream| {
                beyond_doubt(move || {
                    self.run(stream, |entry, transaction| Ok(entry.sweep(transaction, rule)))
                })
            });
            join_all(sweeps).await.into_iter().collect()
        })
    }

    fn info(&self) -> Pending<'_, Option<String>> {
        Box::pin(ready(self.registration().map(|_| None)))
    }

    fn count(&self) -> Pending<'_, u64> {
        Box::pin(ready(
            self.registration()
                .map(|registration| registration.namespace.count()),
        ))
    }

    fn list(&self, from: ListCursor, count: usize) -> Pending<'_, (Vec<StreamId>, Option<ListCursor>)> {
        Box::pin(async move { Ok(self.registration()?.namespace.list(from, count)) })
    }

    fn take<'a>(&'a self, work: Work<'a>, take: &'a Take) -> Pending<'a, Option<Taken>> {
        match work {
            Work::Stream(stream) => self.run(stream, |entry, transaction| entry.take(transaction, take)),
            Work::Finished => self.on_finished(|queue| queue.take(take).map(Some)),
        }
    }

    fn resolve<'a>(&'a self, work: Work<'a>, resolve: &'a Resolve) -> Pending<'a, ()> {
        match work {
            Work::Stream(stream) => {
                self.run(stream, |entry, transaction| entry.resolve(transaction, resolve))
            }
            Work::Finished => self.on_finished(|queue| {
                queue.resolve(resolve);
                Ok(())
            }),
        }
    }

    fn dead<'a>(&'a self, work: Work<'a>, dead: &'a Dead) -> Pending<'a, Vec<Item>> {
        match work {
            Work::Stream(stream) => self.run(stream, |entry, transaction| entry.dead(transaction, dead)),
            Work::Finished => self.on_finished(|queue| Ok(queue.dead(dead))),
        }
    }

    fn groups<'a>(&'a self, work: Work<'a>) -> Pending<'a, Option<Vec<GroupStatus>>> {
        match work {
            Work::Stream(stream) => self.run(stream, |entry, _| Ok(entry.groups())),
            Work::Finished => self.on_finished(|queue| Ok(Some(queue.list()))),
        }
    }

    fn announce<'a>(&'a self, _finished: &'a Finished, _if_open: bool) -> Pending<'a, ()> {
        Box::pin(ready(Ok(())))
    }

    fn forget_open<'a>(&'a self, _open: &'a OpenGeneration) -> Pending<'a, ()> {
        Box::pin(ready(Ok(())))
    }

    /// Looking at a stream ends it if it is overdue, so this looks at all.
    fn overdue(&self, _count: usize, pause: Duration) -> Pending<'_, Overdue> {
        Box::pin(async move {
            let (mut next, mut is_open) = (Some(0), false);
            while let Some(from) = next {
                let (is_active, after) = self.registration()?.namespace.lapse(self.node, from);
                is_open |= is_active;
                next = after;
                tokio::task::yield_now().await;
            }
            Ok(Overdue {
                open: Vec::new(),
                next: is_open.then_some(pause.min(AGAIN)),
            })
        })
    }

    fn remind<'a>(&'a self, remind: &'a Remind) -> Pending<'a, Reminded> {
        Box::pin(async move {
            remind.check()?;
            self.on_reminders(|reminders| reminders.change(remind)).await
        })
    }

    fn recall<'a>(&'a self, keys: &'a [String]) -> Pending<'a, Recalled> {
        self.on_reminders(|reminders| reminders.recall(keys))
    }

    fn due(&self, count: usize, pause: Duration, keep: Duration) -> Pending<'_, Due> {
        self.on_reminders(move |reminders| reminders.due(count, pause, keep))
    }

    fn reminders(&self) -> Pending<'_, Vec<(String, u64)>> {
        self.on_reminders(Reminders::all)
    }

    fn listen_finished(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            let registration = self.registration()?;
            registration.namespace.listen_finished(registration.participant);
            Ok(())
        })
    }

    fn listen<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, ()> {
        Box::pin(async move {
            let registration = self.registration()?;
            registration.namespace.listen(registration.participant, stream);
            Ok(())
        })
    }

    fn unlisten(&self, stream: &StreamId) {
        if let Ok(registration) = self.registration() {
            registration.namespace.unlisten(registration.participant, stream);
        }
    }

    fn state(&self) -> ConnectionState {
        match self.registration() {
            Ok(_) => ConnectionState::Ready,
            Err(_) => ConnectionState::Closed,
        }
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.leave();
            Ok(())
        })
    }
}
