//! A stream that is a log: its writers, and the outcome of a write.

use std::collections::HashMap;

use ulid::Ulid;

use super::{Beginning, Sealed, Stream};
use crate::{
    model::{
        ending::{Outcome, Terminal},
        ttl::Ttl,
    },
    store::{
        IfActive, IfEnded, LiveMessage, Seal, Start,
        logs::{
            FOREVER, IfThere, LogConfig, LogCreate, LogHead, LogOutcome, LogProducer, LogWrite, LogWritten,
            MAX_WRITERS, NOBODY, essence,
        },
        memory::{forks::Prefix, transaction::Transaction},
    },
};

/// The data of a log beside its chunks.
pub(super) struct Log {
    pub config: LogConfig,
    /// Counts the writes, to know which writers have written last.
    writes: u64,
    engines: HashMap<Ulid, Written>,
    producers: HashMap<String, Numbered>,
    order: Option<String>,
    closed_by: Option<LogProducer>,
}

/// The last accepted batch of an engine.
struct Written {
    when: u64,
    batch: u64,
    /// The outcome of each of its writes, and the log's last seq after it.
    outcomes: Vec<(LogOutcome, u64)>,
}

/// The last accepted number of a producer.
struct Numbered {
    when: u64,
    epoch: u64,
    seq: u64,
}

impl Log {
    fn new(config: LogConfig) -> Self {
        Self {
            config,
            writes: 0,
            engines: HashMap::new(),
            producers: HashMap::new(),
            order: None,
            closed_by: None,
        }
    }

    fn note(&mut self, write: &LogWrite, outcome: &LogOutcome, last: u64) {
        self.writes += 1;
        let when = self.writes;
        let written = Written {
            when,
            batch: write.batch,
            outcomes: vec![(outcome.clone(), last)],
        };
        self.engines.insert(write.writer, written);
        if let Some(LogProducer { id, epoch, seq }) = &write.producer {
            let (epoch, seq) = (*epoch, *seq);
            self.producers.insert(id.clone(), Numbered { when, epoch, seq });
        }
        if write.order.is_some() {
            self.order.clone_from(&write.order);
        }
        if write.close {
            self.closed_by.clone_from(&write.producer);
        }
        if self.engines.len() + self.producers.len() > MAX_WRITERS {
            let times = self.engines.values().map(|written| written.when);
            let mut times: Vec<_> = times
                .chain(self.producers.values().map(|known| known.when))
                .collect();
            times.sort_unstable();
            let from = times[times.len() - MAX_WRITERS / 2];
            self.engines.retain(|_, written| written.when >= from);
            self.producers.retain(|_, known| known.when >= from);
        }
    }

    /// Why a producer's write is not accepted, if it is not.
    fn refuses(&self, LogProducer { id, epoch, seq }: &LogProducer) -> Option<LogOutcome> {
        let Some(known) = self.producers.get(id) else {
            return (*seq > 0).then_some(LogOutcome::Skipped { expected: 0 });
        };
        if *epoch < known.epoch {
            return Some(LogOutcome::Stale { epoch: known.epoch });
        }
        if *epoch > known.epoch {
            return (*seq > 0).then_some(LogOutcome::Begin);
        }
        if *seq <= known.seq {
            return Some(LogOutcome::Duplicate {
                epoch: known.epoch,
                seq: known.seq,
            });
        }
        (*seq > known.seq + 1).then_some(LogOutcome::Skipped {
            expected: known.seq + 1,
        })
    }
}

impl Stream {
    /// Creates a log, and notifies readers that wait for the stream.
    pub fn log(
        transaction: &mut Transaction,
        create: &LogCreate,
        beginning: Beginning,
        stop: Option<String>,
        prefix: Option<Prefix>,
    ) -> Self {
        let start = Start {
            generation: create.generation,
            producer: NOBODY,
            if_active: IfActive::Error,
            if_ended: IfEnded::Error,
            owner: create.owner.clone(),
            metadata: create.metadata.clone(),
            lease: FOREVER,
            ttl: Ttl {
                active: create.keep,
                done: create.keep,
            },
        };
        let mut stream = Self::begin(transaction, &start, beginning, stop);
        stream.log = Some(Log::new(create.config.clone()));
        if let Some(prefix) = prefix {
            stream.inherit(prefix);
        }
        transaction.tell(LiveMessage::Started {
            generation: stream.current.id,
            // Readers read a fork's beginning: no message contains it.
            base: stream.current.seq,
        });
        stream
    }

    /// Begins with the staged beginning of a fork.
    fn inherit(&mut self, prefix: Prefix) {
        let current = &mut self.current;
        for (last, frame) in prefix.frames {
            current.seq = last;
            current.stored += frame.bytes.len();
            current.sealed.push(Sealed {
                last,
                body_len: frame.body_len,
                bytes: frame.bytes,
            });
        }
        current.sealed_to = current.seq;
        current.pieces = prefix.pieces;
        let pieces = current.pieces.values().flatten();
        current.stored += pieces.map(bytes::Bytes::len).sum::<usize>();
        self.bytes = current.stored as u64;
    }

    pub fn log_config(&self) -> Option<&LogConfig> {
        self.log.as_ref().map(|log| &log.config)
    }

    /// A log that was read or written lives for its TTL from now on.
    pub fn slide(&mut self, transaction: &Transaction) {
        let is_fixed = self
            .log_config()
            .is_some_and(|config| config.expires_at.is_some());
        if self.log.is_some() && !is_fixed {
            self.expires = transaction.after(self.ttl.active);
        }
    }

    /// Writes to a log, one after the other; it was made for the first of them if it `is_new`.
    pub fn write_all(
        &mut self,
        transaction: &mut Transaction,
        writes: &[LogWrite],
        is_new: bool,
    ) -> Vec<LogWritten> {
        if let Some(repeated) = self.repeated(writes) {
            return repeated;
        }
        let mut has_made = !is_new;
        let all: Vec<_> = writes
            .iter()
            .map(|write| {
                let written = self.write(transaction, write, !has_made);
                has_made |= matches!(written.outcome, LogOutcome::Written { .. });
                written
            })
            .collect();
        if let (Some(last), Some(log)) = (writes.last(), &mut self.log)
            && let Some(own) = log.engines.get_mut(&last.writer)
            && writes.iter().any(|write| write.batch == own.batch)
        {
            own.batch = last.batch;
            own.outcomes = all
                .iter()
                .map(|one| (one.outcome.clone(), one.head.as_ref().map_or(0, |head| head.seq)))
                .collect();
        }
        all
    }

    /// The answers that the same writes got before, if they are the last batch of their engine.
    fn repeated(&self, writes: &[LogWrite]) -> Option<Vec<LogWritten>> {
        let (last, log) = (writes.last()?, self.log.as_ref()?);
        let own = log.engines.get(&last.writer)?;
        let is_same = own.batch == last.batch && own.outcomes.len() == writes.len();
        is_same.then(|| {
            let told = own.outcomes.iter().map(|(outcome, seq)| LogWritten {
                outcome: outcome.clone(),
                head: Some(LogHead {
                    seq: *seq,
                    ..self.log_head()
                }),
            });
            told.collect()
        })
    }

    fn log_head(&self) -> LogHead {
        LogHead {
            generation: self.current.id,
            ordinal: self.current.ordinal,
            base: self.current.base,
            seq: self.current.seq,
            terminal: self.current.terminal.clone(),
            stop: self.stop.clone(),
            open: self.current.frames.len() as u64,
            origins: self
                .log_config()
                .and_then(|config| config.fork.as_ref())
                .map_or_else(Vec::new, |fork| fork.origins.clone()),
        }
    }

    fn write(&mut self, transaction: &mut Transaction, write: &LogWrite, is_new: bool) -> LogWritten {
        let outcome = self.try_write(transaction, write, is_new);
        let is_done = matches!(
            outcome,
            LogOutcome::Written { .. } | LogOutcome::Renewed | LogOutcome::Incomplete | LogOutcome::Late
        );
        if let Some(large) = write.large.filter(|_| !is_done)
            && let Some(pieces) = self.current.pieces.remove(&large.id)
        {
            self.current.stored -= pieces.iter().map(bytes::Bytes::len).sum::<usize>();
        }
        LogWritten {
            outcome,
            head: Some(self.log_head()),
        }
    }

    fn try_write(&mut self, transaction: &mut Transaction, write: &LogWrite, is_new: bool) -> LogOutcome {
        // The order of these checks is a part of the contract.
        if let Some(earlier) = self.earlier(write) {
            return earlier;
        }
        let wanted = write.create.as_ref().filter(|_| !is_new);
        if let Some(wanted) = wanted.filter(|create| create.if_there == IfThere::Compare) {
            let outcome = self.compared(&wanted.config, write.close);
            if outcome == LogOutcome::Exists {
                self.slide(transaction);
            }
            return outcome;
        }
        let last = self.current.seq + write.frame.as_ref().map_or(0, |frame| frame.count);
        if let Some(refusal) = self.refused(write, is_new, last) {
            return refusal;
        }
        let outcome = LogOutcome::Written { last, is_new };
        if let Some(log) = &mut self.log {
            log.note(write, &outcome, last);
        }
        if let Some(frame) = &write.frame {
            self.push(transaction, frame.at(self.current.seq + 1));
        }
        if let Some(seal) = &write.seal {
            self.current.seal(seal);
        }
        let is_part = write.create.as_ref().is_some_and(|create| create.is_first_part);
        if write.close && !is_part {
            self.close(transaction);
        }
        self.slide(transaction);
        outcome
    }

    /// The answer to a write that is no log's, or that came before; a late copy of an older one gets none of its own.
    fn earlier(&self, write: &LogWrite) -> Option<LogOutcome> {
        let Some(log) = &self.log else {
            return Some(LogOutcome::Other);
        };
        let own = log.engines.get(&write.writer)?;
        if own.batch == write.batch {
            let outcome = own.outcomes.last().map(|(outcome, _)| outcome.clone());
            return Some(outcome.unwrap_or(LogOutcome::Late));
        }
        (own.batch > write.batch).then_some(LogOutcome::Late)
    }

    /// Whether the log is as somebody wants to create it.
    fn compared(&self, wanted: &LogConfig, is_closed: bool) -> LogOutcome {
        if wanted.fork.is_some() {
            return LogOutcome::Unstaged;
        }
        let is_same = self.log_config().is_some_and(|kept| {
            essence(&kept.content_type) == essence(&wanted.content_type)
                && (kept.ttl_ms, kept.expires_at) == (wanted.ttl_ms, wanted.expires_at)
                && kept.fork.is_none()
        });
        if is_same && is_closed != self.is_active() {
            LogOutcome::Exists
        } else {
            LogOutcome::Conflict
        }
    }

    /// Why a write is not accepted; or, if the log is closed, that there is nothing left to do. `last` is its last seq.
    fn refused(&self, write: &LogWrite, is_new: bool, last: u64) -> Option<LogOutcome> {
        let log = self.log.as_ref()?;
        let is_nothing = write.close && write.frame.is_none();
        if !self.is_active() {
            let seq = self.current.seq;
            return Some(match &write.producer {
                None if is_nothing => LogOutcome::Written { last: seq, is_new },
                Some(producer) if write.close && log.closed_by.as_ref() == Some(producer) => {
                    LogOutcome::Duplicate {
                        epoch: producer.epoch,
                        seq: producer.seq,
                    }
                }
                _ => LogOutcome::Closed,
            });
        }
        let is_other_type = |asked: &String| !is_nothing && essence(&log.config.content_type) != *asked;
        if write.essence.as_ref().is_some_and(is_other_type) {
            return Some(LogOutcome::ContentType);
        }
        if let Some(refusal) = write.producer.as_ref().and_then(|producer| log.refuses(producer)) {
            return Some(refusal);
        }
        if write.order.is_some() && log.order.is_some() && write.order <= log.order {
            return Some(LogOutcome::Disorder);
        }
        if write
            .generation
            .is_some_and(|generation| generation != self.current.id)
        {
            return Some(LogOutcome::Renewed);
        }
        if write.large.is_some_and(|large| !self.current.has(&large)) {
            return Some(LogOutcome::Incomplete);
        }
        let does_not_fit = |seal: &Seal| seal.after != self.current.sealed_to || seal.last() > last;
        write
            .seal
            .as_ref()
            .is_some_and(does_not_fit)
            .then_some(LogOutcome::Unsealed)
    }

    /// Ends the log; it expires when it would have expired.
    fn close(&mut self, transaction: &mut Transaction) {
        let expires = self.expires;
        let terminal = match &self.stop {
            Some(reason) => Terminal {
                outcome: Outcome::Stopped,
                reason: reason.clone(),
            },
            None => Terminal {
                outcome: Outcome::Complete,
                reason: String::new(),
            },
        };
        self.end(transaction, &terminal, Some(NOBODY));
        self.expires = expires;
    }
}
