//! Whether the producers of a generation are dead, see [`crate::store`].

use std::time::Duration;

use tokio::time::Instant;

use super::{Sign, Stream, Suspicion};
use crate::{
    model::ending::{InterruptReason, Outcome, Terminal},
    store::{AGAIN, ControlMessage, GRACE, PAUSE, memory::transaction::Transaction},
};

impl Stream {
    /// Ends the generation if its producers are dead; suspects them if their leases are about to expire.
    pub fn lapse(&mut self, transaction: &mut Transaction) {
        self.examine(transaction);
        if let Some(terminal) = self.lapsed(transaction.now) {
            self.end(transaction, &terminal, None);
        }
    }

    /// Looks at the leases: notes a suspicion, and notifies the producers of a new one.
    pub fn examine(&mut self, transaction: &mut Transaction) {
        let sign = self.sign();
        let is_suspect = self.is_active() && sign.0.is_none_or(|ends| ends <= transaction.now + GRACE);
        let known = self.suspicion.take().filter(|suspicion| {
            suspicion.sign == sign && transaction.now.saturating_duration_since(suspicion.looked) <= PAUSE
        });
        if !is_suspect {
            return;
        }
        self.suspicion = Some(Suspicion {
            sign,
            since: known.map_or(transaction.now, |suspicion| suspicion.since),
            looked: transaction.now,
        });
        if known.is_none() {
            let generation = self.current.id;
            self.tell_producers(transaction, &ControlMessage::Suspected { generation }, None);
        }
    }

    fn sign(&self) -> Sign {
        let live = self.producers.iter().filter(|producer| !producer.done);
        (live.map(|producer| producer.lease_ends).max(), self.current.seq)
    }

    /// When the producers count as dead, if they are suspected and nothing is heard of them.
    fn dead_at(&self) -> Option<Instant> {
        let suspicion = self.suspicion.filter(|suspicion| suspicion.sign == self.sign())?;
        let (ends, _) = suspicion.sign;
        Some(ends.map_or(suspicion.since, |ends| ends.max(suspicion.since + GRACE)))
    }

    /// How soon to look again at suspected producers.
    pub(super) fn doubt(&self, now: Instant) -> Option<Duration> {
        let dead_at = self.dead_at().filter(|_| self.is_active())?;
        Some(dead_at.saturating_duration_since(now).min(AGAIN))
    }

    /// The same, if every lease has expired.
    pub fn again(&self, now: Instant) -> Option<Duration> {
        let is_live = self.producers.iter().any(|producer| producer.is_live(now));
        self.doubt(now).filter(|_| !is_live)
    }

    /// How the generation has to end, its producers being dead.
    pub(super) fn lapsed(&self, now: Instant) -> Option<Terminal> {
        if !self.is_active() || self.dead_at().is_none_or(|at| at > now) {
            return None;
        }
        Some(match &self.stop {
            Some(reason) => Terminal {
                outcome: Outcome::Stopped,
                reason: reason.clone(),
            },
            None => Terminal::interrupted(InterruptReason::Lease),
        })
    }
}
