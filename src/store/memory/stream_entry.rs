//! The entry of one stream id: the stream, and data that precedes or outlives it.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use ulid::Ulid;

use super::{
    cursors::Cursors,
    forks::{ForkNames, Prefix},
    groups::Groups,
    kept_stops::KeptStops,
    order::{following, is_later, later},
    stream::{Beginning, Stream},
    transaction::{Message, Transaction},
};
use crate::{
    Cursor, Error, Result,
    model::{
        ending::{InterruptReason, Terminal},
        frame::Reference,
    },
    store::{
        Ack, Append, Appended, FinishedNews, IfActive, IfEnded, LiveMessage, OwnerCheck, Piece, Read, Renew,
        Restore, Start, Started, StopResult, StreamStatus, Sweep, Swept,
        doubt::Look,
        forks::{ForkList, Forks, Stage, Staged},
        groups::{Dead, GroupStatus, Item, Resolve, Subject, Take, Taken},
        logs::{LogOutcome, LogWrite, LogWritten},
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

    pub fn start(&mut self, transaction: &mut Transaction, start: &Start) -> Look<Result<Started>> {
        let answer = self.try_start(transaction, start);
        let stream = self
            .stream
            .as_ref()
            .filter(|_| matches!(answer, Err(Error::Active { .. })));
        Look {
            again: stream.and_then(|stream| stream.again(transaction.now)),
            answer,
        }
    }

    fn try_start(&mut self, transaction: &mut Transaction, start: &Start) -> Result<Started> {
        if let Some(stream) = &mut self.stream {
            check_owner(transaction, stream, &OwnerCheck::Caller(start.owner.clone()))?;
            if let Some(started) = stream.started(start.producer) {
                return Ok(started);
            }
            // That the leases may have lapsed is no matter: nobody has been told of an end.
            if start.if_active == IfActive::Continue && stream.has_one_producer() {
                return Ok(stream.go_on(transaction, start));
            }
            stream.lapse(transaction);
            if stream.is_active() {
                match start.if_active {
                    IfActive::Share if stream.is_shared() && stream.again(transaction.now).is_none() => {
                        return stream.join(transaction, start);
                    }
                    IfActive::Takeover if stream.log_config().is_none() => stream.end(
                        transaction,
                        &Terminal::interrupted(InterruptReason::Superseded),
                        None,
                    ),
                    IfActive::Error | IfActive::Share | IfActive::Takeover | IfActive::Continue => {
                        return Err(Error::Active {
                            stream: transaction.stream.to_string(),
                        });
                    }
                }
            } else if start.if_ended == IfEnded::Error
                && let Some(outcome) = stream.outcome()
            {
                return Err(Error::Ended {
                    stream: transaction.stream.to_string(),
                    outcome: outcome.as_str(),
                });
            }
        }
        let mut start = start.clone();
        let beginning = match (self.stream.take(), self.tombstone.take()) {
            (Some(stream), _) => {
                start.generation = following(stream.generation(), start.generation);
                stream.into_beginning()
            }
            (None, Some(tombstone)) => {
                start.generation = following(tombstone.generation, start.generation);
                Beginning::new(tombstone.ordinal + 1, 0)
            }
            (None, None) => Beginning::new(1, 0),
        };
        let stream = self.begin(transaction, &start, beginning);
        transaction.tell(LiveMessage::Started {
            generation: stream.generation(),
            base: stream.base(),
        });
        transaction.messages.push(Message::Finished(FinishedNews::Opened));
        stream.started(start.producer).ok_or_else(|| Error::Internal {
            reason: "a generation without its producer".to_owned(),
        })
    }

    /// A new generation; kept stops are used up.
    fn begin(&mut self, transaction: &Transaction, start: &Start, beginning: Beginning) -> &mut Stream {
        let requested = std::mem::take(&mut self.kept).reason_for(start.owner.as_ref(), transaction.now);
        self.stream
            .insert(Stream::begin(transaction, start, beginning, requested))
    }

    pub fn restore(&mut self, transaction: &mut Transaction, restore: &Restore) -> Appended {
        let start = &restore.start;
        let renew = Renew {
            generation: start.generation,
            producer: start.producer,
            lease: start.lease,
        };
        let known = self
            .tombstone
            .as_ref()
            .map(|left| (left.ordinal, left.generation));
        let known = self.stream.as_ref().map(Stream::name).or(known);
        let own = (restore.ordinal, start.generation);
        let is_later = known.is_none_or(|known| known.1 != own.1 && is_later(own, known));
        if let Some(stream) = self.stream.as_mut().filter(|_| known == Some(own))
            && stream.go_on_again(transaction, restore)
        {
            self.stream = None;
            self.groups = Groups::default();
            self.begin(transaction, start, Beginning::restored(restore));
        }
        if is_later && self.tombstone.is_some() {
            return Appended::Ended(Terminal::interrupted(InterruptReason::Deleted));
        }
        if is_later {
            let beginning = Beginning::restored(restore);
            self.put_back(transaction, start, beginning);
        }
        self.renew(transaction, &renew)
    }

    /// Restores a generation; replaces an older one that was restored first.
    fn put_back(&mut self, transaction: &mut Transaction, start: &Start, mut beginning: Beginning) {
        let is_first = self.stream.is_none();
        if let Some(mut older) = self.stream.take() {
            if older.is_active() {
                older.end(
                    transaction,
                    &Terminal::interrupted(InterruptReason::Superseded),
                    None,
                );
            }
            beginning = beginning.after(older);
            if !beginning.has_previous() {
                self.groups = Groups::default();
            }
        }
        let stream = self.begin(transaction, start, beginning);
        if !is_first {
            transaction.tell(LiveMessage::Started {
                generation: stream.generation(),
                base: stream.base(),
            });
        }
    }

    pub fn append(&mut self, transaction: &mut Transaction, append: &Append) -> Appended {
        match &mut self.stream {
            Some(stream) => stream.append(transaction, append),
            None => self.missing(append.generation),
        }
    }

    /// Writes to a log, one after the other, and makes it first if that is asked for.
    pub fn log(&mut self, transaction: &mut Transaction, writes: &[LogWrite]) -> Result<Vec<LogWritten>> {
        let Some(write) = writes.first() else {
            return Ok(Vec::new());
        };
        let refused = |outcome| Ok(vec![LogWritten { outcome, head: None }; writes.len()]);
        if let Some(stream) = &mut self.stream {
            check_owner(transaction, stream, &write.owner)?;
            stream.lapse(transaction);
            return Ok(stream.write_all(transaction, writes, false));
        }
        let Some(create) = &write.create else {
            return refused(LogOutcome::Missing);
        };
        if self.forks.is_kept() {
            return refused(LogOutcome::Kept);
        }
        let ordinal = self.next_ordinal();
        let is_own = |prefix: &Prefix| create.stage == Some(prefix.id) && prefix.ordinal == ordinal;
        if create.config.fork.is_some() && !self.prefix.as_ref().is_some_and(is_own) {
            return refused(LogOutcome::Unstaged);
        }
        let prefix = self.prefix.take().filter(|_| create.config.fork.is_some());
        self.forks = ForkNames::default();
        let mut create = create.clone();
        let place = match self.tombstone.take() {
            Some(tombstone) => {
                create.generation = later(tombstone.generation, create.generation);
                Beginning::new(tombstone.ordinal + 1, 0)
            }
            None => Beginning::new(1, 0),
        };
        let stop = std::mem::take(&mut self.kept).reason_for(create.owner.as_ref(), transaction.now);
        let stream = Stream::log(transaction, &create, place, stop, prefix);
        let stream = self.stream.insert(stream);
        Ok(stream.write_all(transaction, writes, true))
    }

    /// The stop of a stream that does not exist yet.
    fn next_ordinal(&self) -> u64 {
        self.tombstone.as_ref().map_or(1, |left| left.ordinal + 1)
    }

    pub fn stage(&mut self, transaction: &Transaction, stage: &Stage) -> Staged {
        if self.stream.is_some() {
            return Staged::Taken;
        }
        let ordinal = self.next_ordinal();
        Prefix::stage(&mut self.prefix, transaction, stage, ordinal)
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
