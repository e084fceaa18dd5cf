//! The entry of one stream id: the stream, and data that precedes or outlives it.

mod starting;

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use ulid::Ulid;

use super::{
    cursors::Cursors,
    forks::{ForkNames, Prefix},
    groups::Groups,
    kept_stops::KeptStops,
    stream::Stream,
    transaction::Transaction,
};
use crate::{
    Cursor, Error, Result,
    model::{
        ending::{InterruptReason, Terminal},
        frame::Reference,
    },
    store::{
        Ack, Append, Appended, Glance, LiveMessage, OwnerCheck, Piece, Read, Renew, StopResult, StreamStatus,
        Sweep, Swept, Tail,
        doubt::Look,
        forks::{ForkList, Forks},
        groups::{Dead, GroupStatus, Item, Resolve, Subject, Take, Taken},
        pages::RawPage,
    },
};

/// How long a producer's calls report that its stream was deleted.
const TOMBSTONE: Duration = Duration::from_secs(60);

/// A tombstone and a kept stop exist only while there is no stream, cursors and groups only while there is one.
#[derive(Default)]
pub(super) struct StreamEntry {
    stream: Option<Stream>,
    cursors: Cursors,
    groups: Groups,
    kept: KeptStops,
    tombstone: Option<Tombstone>,
    forks: ForkNames,
    prefix: Option<Prefix>,
}

/// The rest of a stream that was deleted while active.
struct Tombstone {
    generation: Ulid,
    ordinal: u64,
    expires: Instant,
}

impl StreamEntry {
    /// Drops what has expired; whether there is nothing left.
    pub fn prune(&mut self, now: Instant) -> bool {
        if self.stream.take_if(|stream| stream.expires() <= now).is_some() {
            self.forget_consumers();
            self.forks = ForkNames::default();
        }
        self.kept.prune(now);
        self.forks.prune(now);
        self.prefix.take_if(|prefix| prefix.is_over(now));
        self.tombstone.take_if(|tombstone| tombstone.expires <= now);
        self.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        let is_free = !self.forks.is_kept() && self.prefix.is_none();
        self.stream.is_none() && self.kept.is_empty() && self.tombstone.is_none() && is_free
    }

    /// Whether the list names it.
    pub fn is_stream(&self, now: Instant) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.expires() > now)
    }

    pub fn append(&mut self, transaction: &mut Transaction, append: &Append) -> Appended {
        match &mut self.stream {
            Some(stream) => stream.append(transaction, append),
            None => self.missing(append.generation),
        }
    }

    pub fn forks(&mut self, transaction: &Transaction, list: &ForkList) -> Forks {
        let mut is_added = false;
        match list {
            ForkList::Add { generation, fork } => {
                let own = self
                    .stream
                    .as_ref()
                    .filter(|stream| stream.log_config().is_some());
                is_added = own.is_some_and(|own| own.generation() == *generation) && self.forks.add(fork);
            }
            ForkList::Drop(forks) => self.forks.remove(forks),
            ForkList::Show => {}
        }
        self.forks.show(transaction, is_added)
    }

    pub fn put(&mut self, transaction: &mut Transaction, piece: &Piece) -> Appended {
        match &mut self.stream {
            Some(stream) => stream.put(transaction, piece),
            None => self.missing(piece.generation),
        }
    }

    pub fn piece(&self, large: &Reference, index: usize) -> Option<Bytes> {
        self.stream.as_ref()?.piece(large, index)
    }

    pub fn renew(&mut self, transaction: &mut Transaction, renew: &Renew) -> Appended {
        match &mut self.stream {
            Some(stream) => stream.renew(transaction, renew.generation, renew.producer, renew.lease),
            None => self.missing(renew.generation),
        }
    }

    /// A tombstone must not answer `Missing`: the producer would put the deleted stream back.
    fn missing(&self, generation: Ulid) -> Appended {
        match &self.tombstone {
            Some(tombstone) if tombstone.generation == generation => {
                Appended::Ended(Terminal::interrupted(InterruptReason::Deleted))
            }
            Some(_) => Appended::Fenced,
            None => Appended::Missing,
        }
    }

    pub fn read(&mut self, transaction: &mut Transaction, read: &Read) -> Result<Option<RawPage>> {
        let Some(stream) = &mut self.stream else {
            return Ok(None);
        };
        check_owner(transaction, stream, &read.owner)?;
        stream.lapse(transaction);
        // The engine itself does not count as a reader.
        if read.owner != OwnerCheck::Internal {
            stream.slide(transaction);
        }
        Ok(Some(stream.read(transaction, read)))
    }

    pub fn stop(
        &mut self,
        transaction: &mut Transaction,
        reason: &str,
        owner: &OwnerCheck,
        keep: Duration,
    ) -> Result<StopResult> {
        let Some(stream) = &mut self.stream else {
            self.kept.keep(transaction, reason, owner, keep)?;
            return Ok(StopResult::Kept);
        };
        check_owner(transaction, stream, owner)?;
        stream.lapse(transaction);
        if !stream.is_active() {
            return Ok(StopResult::Ended);
        }
        stream.request_stop(transaction, reason);
        Ok(StopResult::Stopping)
    }

    fn forget_consumers(&mut self) {
        self.cursors = Cursors::default();
        self.groups = Groups::default();
    }

    /// Ends the generation if its producers are dead; returns whether it continues.
    pub fn lapse(&mut self, transaction: &mut Transaction) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        stream.lapse(transaction);
        stream.is_active()
    }

    pub fn take(&mut self, transaction: &mut Transaction, take: &Take) -> Result<Option<Taken>> {
        let Some(stream) = &mut self.stream else {
            return Ok(None);
        };
        check_owner(transaction, stream, &take.owner)?;
        stream.lapse(transaction);
        let taken = self
            .groups
            .take_chunks(take, &stream.kept(), stream.terminal(), transaction.now)?;
        Ok(Some(taken))
    }

    pub fn resolve(&mut self, transaction: &Transaction, resolve: &Resolve) -> Result<()> {
        if let Some(stream) = &self.stream {
            check_owner(transaction, stream, &resolve.owner)?;
        }
        self.groups.resolve(resolve);
        Ok(())
    }

    pub fn dead(&self, transaction: &Transaction, dead: &Dead) -> Result<Vec<Item>> {
        let Some(stream) = &self.stream else {
            return Ok(Vec::new());
        };
        check_owner(transaction, stream, &dead.owner)?;
        let kept = stream.kept();
        Ok(self.groups.dead(dead, |id| {
            let found = kept.iter().find(|kept| kept.ordinal == id.0)?;
            Some(Subject::Chunk(Cursor {
                generation: found.generation,
                seq: id.1,
            }))
        }))
    }

    pub fn groups(&self) -> Option<Vec<GroupStatus>> {
        let stream = self.stream.as_ref()?;
        let last = stream.kept().last().map_or(0, |kept| kept.last);
        Some(self.groups.list(last))
    }

    pub fn ack(&mut self, transaction: &Transaction, acks: &[Ack], owner: &OwnerCheck) -> Result<Vec<bool>> {
        let Some(stream) = &self.stream else {
            return Err(Error::NotFound {
                stream: transaction.stream.to_string(),
            });
        };
        check_owner(transaction, stream, owner)?;
        Ok(acks.iter().map(|ack| self.cursors.ack(stream, ack)).collect())
    }

    pub fn cursor(&self, consumer: &str) -> Option<Cursor> {
        self.cursors.get(consumer)
    }

    pub fn status(&mut self, transaction: &mut Transaction) -> Look<Option<StreamStatus>> {
        let Some(stream) = &mut self.stream else {
            return Look::sure(None);
        };
        stream.lapse(transaction);
        let status = stream.status(transaction);
        Look {
            answer: Some(StreamStatus {
                consumers: self.cursors.show(status.last_seq),
                ..status
            }),
            again: stream.again(transaction.now),
        }
    }

    pub fn glance(&mut self, transaction: &mut Transaction) -> Look<Option<Glance>> {
        let Some(stream) = &mut self.stream else {
            return Look::sure(None);
        };
        stream.lapse(transaction);
        let glance = stream.glance(transaction);
        let last = glance.last_seq;
        Look {
            answer: Some(Glance {
                lag: self.cursors.lags(last).chain(self.groups.lags(last)).max(),
                ..glance
            }),
            again: stream.again(transaction.now),
        }
    }

    pub fn tail(&self) -> Option<Tail> {
        self.stream.as_ref().map(Stream::tail)
    }

    pub fn memory(&self) -> Option<u64> {
        self.stream.as_ref().map(Stream::memory)
    }

    pub fn sweep(&mut self, transaction: &mut Transaction, rule: &Sweep) -> Look<Swept> {
        let Some(stream) = &mut self.stream else {
            return Look::sure(Swept::Gone);
        };
        stream.examine(transaction);
        let swept = stream.assess(transaction, rule);
        let again = stream.again(transaction.now).filter(|_| swept == Swept::Live);
        if swept == Swept::Removed && !rule.dry_run {
            self.delete(transaction);
        }
        Look { answer: swept, again }
    }

    pub fn remove(&mut self, transaction: &mut Transaction, owner: &OwnerCheck) -> Result<bool> {
        match &self.stream {
            Some(stream) => check_owner(transaction, stream, owner)?,
            None if *owner != OwnerCheck::Internal => return Ok(false),
            None => {}
        }
        Ok(self.delete(transaction))
    }

    pub fn delete(&mut self, transaction: &mut Transaction) -> bool {
        self.kept = KeptStops::default();
        let Some(stream) = self.stream.take() else {
            return false;
        };
        self.forget_consumers();
        self.forks.keep(transaction);
        if stream.is_active() {
            stream.tell_ended(
                transaction,
                &Terminal::interrupted(InterruptReason::Deleted),
                None,
            );
            self.tombstone = Some(Tombstone {
                generation: stream.generation(),
                ordinal: stream.ordinal(),
                expires: transaction.after(TOMBSTONE),
            });
        }
        transaction.tell(LiveMessage::Deleted);
        true
    }
}

fn check_owner(transaction: &Transaction, stream: &Stream, check: &OwnerCheck) -> Result<()> {
    if stream.admits(check) {
        return Ok(());
    }
    Err(Error::Forbidden {
        stream: transaction.stream.to_string(),
    })
}
