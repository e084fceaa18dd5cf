//! One stream: its record and its log, as a state machine that knows neither locks nor listeners.

mod beginning;
mod generation;
mod large;
mod log;
mod producers;
mod replacing;
mod suspicion;
mod view;

use std::collections::HashMap;

use bytes::Bytes;
use tokio::time::Instant;
use ulid::Ulid;

use super::{groups::KeptGeneration, transaction::Transaction};
use crate::{
    Cursor,
    model::{
        ending::{Outcome, Terminal},
        frame::Frame,
        ttl::Ttl,
    },
    store::{
        Append, Appended, ControlMessage, IfActive, LiveMessage, OwnerCheck, Start, Started, groups::Finished,
    },
};

/// The current or last generation, what belongs to it alone, and the generation before it.
pub(super) struct Stream {
    current: Generation,
    previous: Option<Generation>,
    producers: Vec<Producer>,
    shared: bool,
    /// How often the only producer has been replaced.
    turn: u64,
    stop: Option<String>,
    owner: Option<String>,
    metadata: Option<String>,
    ttl: Ttl,
    bytes: u64,
    started_at: u64,
    updated_at: u64,
    expires: Instant,
    suspicion: Option<Suspicion>,
    log: Option<log::Log>,
}

/// The suspicion that the producers are dead, see `suspicion`.
#[derive(Clone, Copy)]
struct Suspicion {
    /// Their last lease and seq.
    sign: Sign,
    since: Instant,
    looked: Instant,
}

/// When the last lease ends, and the last seq.
type Sign = (Option<Instant>, u64);

/// One generation's part of the log.
struct Generation {
    id: Ulid,
    ordinal: u64,
    base: u64,
    seq: u64,
    sealed: Vec<Sealed>,
    /// The seq that the sealed part ends with.
    sealed_to: u64,
    /// The frames that are not sealed yet.
    frames: Vec<Frame>,
    /// Pieces of large chunks.
    pieces: HashMap<Ulid, Vec<Bytes>>,
    /// The bytes of all that.
    stored: usize,
    terminal: Option<Terminal>,
}

/// A frame of the sealed part, as it would be kept elsewhere.
struct Sealed {
    last: u64,
    body_len: usize,
    bytes: Bytes,
}

struct Producer {
    id: Ulid,
    node: Ulid,
    started: Started,
    lease_ends: Instant,
    /// The last accepted batch, for its retry.
    accepted: Option<Accepted>,
    /// It completed while other producers of the shared generation continued.
    done: bool,
}

struct Accepted {
    batch: u64,
    last: u64,
    terminal: Option<Terminal>,
}

impl Producer {
    fn is_live(&self, now: Instant) -> bool {
        !self.done && self.lease_ends > now
    }
}

impl Stream {
    /// Begins a generation, with the stop that was `requested` before it.
    pub fn begin(
        transaction: &Transaction,
        start: &Start,
        beginning: Beginning,
        requested: Option<String>,
    ) -> Self {
        let mut stream = Self {
            current: Generation {
                id: start.generation,
                ordinal: beginning.ordinal,
                base: beginning.base,
                seq: beginning.seq,
                sealed: Vec::new(),
                sealed_to: beginning.seq,
                frames: Vec::new(),
                pieces: HashMap::new(),
                stored: 0,
                terminal: None,
            },
            previous: beginning.previous,
            producers: Vec::new(),
            shared: start.if_active == IfActive::Share,
            turn: beginning.turn,
            stop: requested,
            owner: start.owner.clone(),
            metadata: start.metadata.clone(),
            ttl: start.ttl,
            bytes: 0,
            started_at: transaction.wall_ms,
            updated_at: transaction.wall_ms,
            expires: transaction.after(start.ttl.active),
            suspicion: None,
            log: None,
        };
        stream.register(transaction, start);
        stream
    }

    pub fn is_active(&self) -> bool {
        self.current.terminal.is_none()
    }

    /// How the current generation ended, once it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.current.terminal.as_ref().map(|terminal| terminal.outcome)
    }

    pub fn generation(&self) -> Ulid {
        self.current.id
    }

    pub fn ordinal(&self) -> u64 {
        self.current.ordinal
    }

    /// The order of the current generation among earlier and later ones: its ordinal and its id.
    pub fn name(&self) -> (u64, Ulid) {
        (self.current.ordinal, self.current.id)
    }

    pub fn base(&self) -> u64 {
        self.current.base
    }

    pub fn expires(&self) -> Instant {
        self.expires
    }

    pub fn admits(&self, check: &OwnerCheck) -> bool {
        match (check, &self.owner) {
            (OwnerCheck::Internal, _) | (_, None) => true,
            (OwnerCheck::Caller(caller), owner) => caller == owner,
        }
    }

    /// The generations that are kept, the oldest first.
    pub fn kept(&self) -> Vec<KeptGeneration> {
        let kept = self.previous.iter().chain([&self.current]);
        kept.map(|generation| KeptGeneration {
            generation: generation.id,
            ordinal: generation.ordinal,
            base: generation.base,
            last: generation.seq,
            is_log: self.log.is_some(),
        })
        .collect()
    }

    pub fn terminal(&self) -> Option<&Terminal> {
        self.current.terminal.as_ref()
    }

    /// Writes the terminal entry; notifies the readers, and every producer but the one that ended it.
    pub fn end(&mut self, transaction: &mut Transaction, terminal: &Terminal, by: Option<Ulid>) {
        self.current.terminal = Some(terminal.clone());
        self.expires = transaction.after(self.ttl.done);
        self.updated_at = transaction.wall_ms;
        transaction.tell(LiveMessage::Ended {
            generation: self.current.id,
            last: self.current.seq,
            terminal: terminal.clone(),
        });
        self.tell_ended(transaction, terminal, by);
        transaction.finished.push(Finished {
            stream: transaction.stream.clone(),
            cursor: Cursor {
                generation: self.current.id,
                seq: self.current.seq,
            },
            terminal: terminal.clone(),
        });
    }

    pub fn append(&mut self, transaction: &mut Transaction, append: &Append) -> Appended {
        let seq = self.current.seq;
        let Some(producer) = self.sign_of_life(transaction, append.generation, append.producer, append.lease)
        else {
            return Appended::Fenced;
        };
        if let Some(accepted) = &producer.accepted {
            if accepted.batch == append.batch {
                return Appended::Done {
                    last: accepted.last,
                    terminal: accepted.terminal.clone(),
                    stop: self.stop.clone(),
                    due: false,
                    is_heard: true,
                };
            }
            // A copy of an older batch that was late; its caller has had the answer.
            if accepted.batch > append.batch {
                return Appended::Fenced;
            }
        }
        if let Some(refusal) = self.refusal(append.producer) {
            return refusal;
        }
        match append.expected {
            Some(expected) if seq < expected => return Appended::Hole { seq },
            // Somebody else has written after this producer's last chunk, so it is not the only one any more.
            Some(expected) if seq > expected && !self.shared => return Appended::Fenced,
            _ => {}
        }
        if append.large.is_some_and(|large| !self.current.has(&large)) {
            return Appended::Incomplete;
        }
        let last = seq + append.frame.as_ref().map_or(0, |frame| frame.count);
        if let Some(seal) = &append.seal
            && (seal.after != self.current.sealed_to || seal.last() > last)
        {
            return Appended::Unsealed;
        }
        if let Some(frame) = &append.frame {
            self.push(transaction, frame.at(seq + 1));
        }
        if let Some(seal) = &append.seal {
            self.current.seal(seal);
        }
        self.touch(transaction);
        let terminal = append
            .terminal
            .as_ref()
            .and_then(|asked| self.finish(transaction, append.producer, asked));
        let last = self.current.seq;
        if let Some(producer) = self.producer(append.producer) {
            producer.accepted = Some(Accepted {
                batch: append.batch,
                last,
                terminal: terminal.clone(),
            });
        }
        Appended::Done {
            last,
            stop: self.stop.clone(),
            terminal,
            due: false,
            is_heard: true,
        }
    }

    fn push(&mut self, transaction: &mut Transaction, frame: Frame) {
        self.current.seq = frame.last();
        self.bytes += frame.size() as u64;
        self.updated_at = transaction.wall_ms;
        transaction.tell(LiveMessage::Frame {
            generation: self.current.id,
            last: frame.last(),
            frame: Some(frame.clone()),
        });
        self.current.stored += frame.size();
        self.current.frames.push(frame);
    }

    fn touch(&mut self, transaction: &Transaction) {
        self.expires = transaction.after(self.ttl.active);
    }

    /// Ends a producer, and with it the generation, unless other producers of a shared one continue.
    fn finish(&mut self, transaction: &mut Transaction, id: Ulid, asked: &Terminal) -> Option<Terminal> {
        let others = self
            .producers
            .iter()
            .any(|other| other.id != id && other.is_live(transaction.now));
        if asked.outcome == Outcome::Complete && others {
            self.producer(id)?.done = true;
            return None;
        }
        let terminal = match (&self.stop, asked.outcome) {
            (Some(reason), Outcome::Complete | Outcome::Failed) => Terminal {
                outcome: Outcome::Stopped,
                reason: reason.clone(),
            },
            _ => asked.clone(),
        };
        self.end(transaction, &terminal, Some(id));
        Some(terminal)
    }

    /// Marks a live generation; the first reason stays, the producers are notified again.
    pub fn request_stop(&mut self, transaction: &mut Transaction, reason: &str) {
        let reason = self.stop.get_or_insert_with(|| reason.to_owned()).clone();
        let message = ControlMessage::Stop {
            generation: self.current.id,
            reason,
        };
        self.tell_producers(transaction, &message, None);
    }
}

/// Where a generation begins.
pub(super) struct Beginning {
    ordinal: u64,
    base: u64,
    seq: u64,
    turn: u64,
    previous: Option<Generation>,
}
