//! The reader of a stream, as its hub sees it.

use ulid::Ulid;

use crate::{Cursor, Error, model::frame::Frame};

/// A reader of a stream, which is notified of its news.
pub trait Follower: Send + Sync {
    /// There may be something new.
    fn poke(&self);
    /// A frame has come: says how it takes it.
    fn grow(&self) -> Takes {
        self.poke();
        Takes::ByItself
    }
    /// Takes a frame of this generation from its hub, if it stands right before it and has room for all of it. Otherwise it
    /// [looks](Self::look) for itself, as far as it needs to.
    fn take(&self, _generation: Ulid, _frame: &Frame) -> bool {
        false
    }
    /// What it has taken has cost this much.
    fn pay(&self, _cost: u64) {}
    /// During a drain: there may be something that the hub does not give it.
    fn look(&self) {}
    /// Whether it reads what comes after the end of a generation, too.
    fn goes_on(&self) -> bool {
        false
    }
    /// What was shown of a generation after this cursor was never written, or is lost, and something else may be written there.
    fn retract(&self, _to: Cursor) {}
    /// The store has lost the end of a log, which ends here now. What was shown is [retracted](Self::retract) besides.
    fn lose(&self, _to: Cursor) {}
    /// There cannot be anything any more.
    fn fail(&self, error: Error);
}

/// How a reader takes a frame that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// In its own time, or not at all.
    ByItself,
    /// With the next drain, for which it stands in the outbox.
    FromOutbox,
    /// With the next drain, from its hub.
    FromHub,
}
