//! How a stream comes to be, or a next generation of it: started, restored, or made as a log.

use super::{StreamEntry, check_owner};
use crate::{
    Error, Result,
    model::ending::{InterruptReason, Terminal},
    store::{
        Appended, FinishedNews, IfActive, IfEnded, LiveMessage, OwnerCheck, Renew, Restore, Start, Started,
        doubt::Look,
        forks::{Stage, Staged},
        logs::{LogOutcome, LogWrite, LogWritten},
        memory::{
            forks::{ForkNames, Prefix},
            groups::Groups,
            order::{following, is_later, later},
            stream::{Beginning, Stream},
            transaction::{Message, Transaction},
        },
    },
};

impl StreamEntry {
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
        stream
            .started(start.producer)
            .ok_or_else(|| Error::internal("a generation without its producer"))
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
        let beginning = match self.tombstone.take() {
            Some(tombstone) => {
                create.generation = later(tombstone.generation, create.generation);
                Beginning::new(tombstone.ordinal + 1, 0)
            }
            None => Beginning::new(1, 0),
        };
        let stop = std::mem::take(&mut self.kept).reason_for(create.owner.as_ref(), transaction.now);
        let stream = Stream::log(transaction, &create, beginning, stop, prefix);
        let stream = self.stream.insert(stream);
        Ok(stream.write_all(transaction, writes, true))
    }

    /// The ordinal of the first generation that begins where there is no stream.
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
}
