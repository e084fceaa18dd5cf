//! Another producer continues a generation, in the place of its only one.

use super::{Stream, Transaction};
use crate::store::{ControlMessage, LiveMessage, Restore, Start, Started, memory::transaction::Message};

impl Stream {
    /// Whether a producer may take the place of the one that is there.
    pub fn has_one_producer(&self) -> bool {
        self.is_active() && !self.shared && self.log.is_none()
    }

    /// Another one takes its place, and it is told.
    pub fn go_on(&mut self, transaction: &mut Transaction, start: &Start) -> Started {
        let started = self.replace(transaction, start, self.turn + 1);
        transaction.tell(LiveMessage::Started {
            generation: started.generation,
            base: started.base,
        });
        started
    }

    /// The same for one that did so before the store has lost that; whether the generation has to begin again, since what follows in
    /// the log is not its own.
    pub fn go_on_again(&mut self, transaction: &mut Transaction, restore: &Restore) -> bool {
        if !self.has_one_producer() || self.turn >= restore.turn {
            return false;
        }
        self.replace(transaction, &restore.start, restore.turn);
        self.current.seq > restore.own_after
    }

    fn replace(&mut self, transaction: &mut Transaction, start: &Start, turn: u64) -> Started {
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
}
