//! The producers of a generation: which ones it has, how long their leases run, and what they are told.

use std::{collections::BTreeSet, time::Duration};

use ulid::Ulid;

use super::{Producer, Stream, Transaction};
use crate::{
    Result,
    model::ending::Terminal,
    store::{
        Appended, ControlMessage, MAX_PRODUCERS, Start, Started, memory::transaction::Message,
        values::crowded,
    },
};

/// With more producers than this, those whose leases have expired are forgotten.
const REMEMBERED: usize = 64;

impl Stream {
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

    pub(super) fn register(&mut self, transaction: &Transaction, start: &Start) -> Started {
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

    /// Whether a producer that comes with `share` may join.
    pub fn is_shared(&self) -> bool {
        self.shared
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

    pub(super) fn tell_producers(
        &self,
        transaction: &mut Transaction,
        message: &ControlMessage,
        except: Option<Ulid>,
    ) {
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

    /// Renews a lease; also the result of a restore if the record is there after all.
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
            is_heard: true,
        }
    }

    pub(super) fn producer(&mut self, id: Ulid) -> Option<&mut Producer> {
        self.producers.iter_mut().find(|producer| producer.id == id)
    }

    pub(super) fn sign_of_life(
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
    pub(super) fn refusal(&mut self, producer: Ulid) -> Option<Appended> {
        if let Some(terminal) = &self.current.terminal {
            return Some(Appended::Ended(terminal.clone()));
        }
        self.producer(producer)?.done.then_some(Appended::Fenced)
    }
}
