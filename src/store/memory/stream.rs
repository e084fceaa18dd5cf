//! One stream: its record and its log, as a state machine that knows neither locks nor listeners.

mod beginning;
mod generation;
mod large;
mod log;
mod suspicion;
mod view;

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use ulid::Ulid;

use super::{
    groups::KeptGeneration,
    transaction::{Message, Transaction},
};
use crate::{
    Cursor, Result,
    model::{
        ending::{Outcome, Terminal},
        frame::Frame,
        ttl::Ttl,
    },
    store::{
        Append, Appended, ControlMessage, IfActive, LiveMessage, MAX_PRODUCERS, OwnerCheck, Start, Started,
        groups::Finished, values::crowded,
    },
};

/// With more producers than this, those whose leases have expired are forgotten.
const REMEMBERED: usize = 64;

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

/// That the producers are dead, see `suspicion`.
#[derive(Clone, Copy)]
struct Suspicion {
    /// What was last heard of them.
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
    /// What has not been sealed yet.
    frames: Vec<Frame>,
    /// Of large chunks.
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

    /// Adds another producer to the current generation, if there is room.
    pub fn join(&mut self, transaction: &Transaction, start: &Start) -> Result<Started> {
        // Nobody repeats a request longer than a lease: those who are done need not be remembered any more, and those
        // who are dead not when there are many.
        let is_crowded = self.producers.len() >= REMEMBERED;
        self.producers
            .retain(|producer| producer.lease_ends > transaction.now || !producer.done && !is_crowded);
        if self.producers.len() >= MAX_PRODUCERS {
            return Err(crowded());
        }
        Ok(self.register(transaction, start))
    }

    /// Puts another one in the place of the only producer, who is told.
    pub fn replace(&mut self, transaction: &mut Transaction, start: &Start, turn: u64) -> Started {
        for producer in std::mem::take(&mut self.producers) {
            let message = ControlMessage::Replaced {
                generation: self.current.id,
                producer: producer.id,
            };
            transaction
                .messages
                .push(Message::Control(producer.node, message));
        }
        self.turn = turn;
        self.suspicion = None;
        self.touch(transaction);
        self.register(transaction, start)
    }

    fn register(&mut self, transaction: &Transaction, start: &Start) -> Started {
        let started = Started {
            generation: self.current.id,
            ordinal: self.current.ordinal,
            base: self.current.base,
            seq: self.current.seq,
            turn: self.turn,
            stop: self.stop.clone(),
        };
        self.producers.push(Producer {
            id: start.producer,
            node: transaction.node,
            started: started.clone(),
            lease_ends: transaction.after(start.lease),
            accepted: None,
            done: false,
        });
        started
    }

    /// The answer that a registered producer's start has had.
    pub fn started(&self, producer: Ulid) -> Option<Started> {
        let producer = self.producers.iter().find(|known| known.id == producer)?;
        Some(producer.started.clone())
    }

    /// Whether a producer may take the place of the one that is there.
    pub fn has_one_producer(&self) -> bool {
        self.is_active() && !self.shared && self.log.is_none()
    }

    /// How often that has been done.
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// Whether a producer that comes with `share` may join.
    pub fn is_shared(&self) -> bool {
        self.shared
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

    pub fn seq(&self) -> u64 {
        self.current.seq
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

    /// Tells every producer but one that the generation is over.
    pub fn tell_ended(&self, transaction: &mut Transaction, terminal: &Terminal, by: Option<Ulid>) {
        self.tell_producers(
            transaction,
            &ControlMessage::Ended {
                generation: self.current.id,
                terminal: terminal.clone(),
            },
            by,
        );
    }

    fn tell_producers(&self, transaction: &mut Transaction, message: &ControlMessage, except: Option<Ulid>) {
        let concerned = self
            .producers
            .iter()
            .filter(|producer| !producer.done && Some(producer.id) != except);
        let nodes: BTreeSet<Ulid> = concerned.map(|producer| producer.node).collect();
        transaction.messages.extend(
            nodes
                .into_iter()
                .map(|node| Message::Control(node, message.clone())),
        );
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
        }
    }

    /// A lease's renewal; also what a restore meets when the record is there after all.
    pub fn renew(
        &mut self,
        transaction: &Transaction,
        generation: Ulid,
        producer: Ulid,
        lease: Duration,
    ) -> Appended {
        if self
            .sign_of_life(transaction, generation, producer, lease)
            .is_none()
        {
            return Appended::Fenced;
        }
        if let Some(refusal) = self.refusal(producer) {
            return refusal;
        }
        // A live answer that is silent for long must not lose its beginning.
        self.touch(transaction);
        Appended::Done {
            last: self.current.seq,
            stop: self.stop.clone(),
            terminal: None,
            due: false,
        }
    }

    fn producer(&mut self, id: Ulid) -> Option<&mut Producer> {
        self.producers.iter_mut().find(|producer| producer.id == id)
    }

    fn sign_of_life(
        &mut self,
        transaction: &Transaction,
        generation: Ulid,
        id: Ulid,
        lease: Duration,
    ) -> Option<&mut Producer> {
        if generation != self.current.id {
            return None;
        }
        let producer = self.producer(id)?;
        producer.lease_ends = transaction.after(lease);
        Some(producer)
    }

    /// Why a registered producer cannot write any more.
    fn refusal(&mut self, producer: Ulid) -> Option<Appended> {
        if let Some(terminal) = &self.current.terminal {
            return Some(Appended::Ended(terminal.clone()));
        }
        self.producer(producer)?.done.then_some(Appended::Fenced)
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

    /// A producer's end: the generation's too, unless others of a shared one go on.
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
