//! The reader of a stream, as its hub sees it.

use std::sync::atomic::Ordering;

use ulid::Ulid;

use super::subscription::Subscription;
use crate::{
    Cursor, Error,
    model::{ending::End, frame::Frame},
    util::sync::lock,
};

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
    /// What was shown of a generation after this cursor was never written, and something else is.
    fn retract(&self, _to: Cursor) {}
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

impl Follower for Subscription {
    /// There may be something to deliver.
    fn poke(&self) {
        if !self.stalled.load(Ordering::Acquire) {
            self.queue();
        }
    }

    fn grow(&self) -> Takes {
        if self.stalled.load(Ordering::Acquire) {
            return Takes::ByItself;
        }
        if !self.is_framed {
            return Takes::FromHub;
        }
        self.look();
        Takes::FromOutbox
    }

    fn take(&self, generation: Ulid, frame: &Frame) -> bool {
        let (takes, has_it) = {
            let mut state = lock(&self.state);
            (state.take(generation, frame), state.has(generation, frame.last()))
        };
        if !has_it {
            self.look();
        }
        takes
    }

    fn pay(&self, cost: u64) {
        lock(&self.state).pay(cost);
    }

    fn look(&self) {
        if !self.stalled.load(Ordering::Acquire)
            && let Some(context) = self.context.upgrade()
        {
            self.stand_in(&context);
        }
    }

    fn goes_on(&self) -> bool {
        self.all || self.resumes
    }

    /// Whoever has seen it is told of the gap; the others go on with what was written.
    fn retract(&self, to: Cursor) {
        let is_ahead = {
            let state = lock(&self.state);
            state
                .cursor
                .is_some_and(|at| at.generation == to.generation && at.seq > to.seq)
        };
        if is_ahead {
            let stream = self.hub.stream().to_string();
            let reason = format!(
                "chunks after {} were shown, but another producer has gone on there",
                to.seq
            );
            tracing::warn!(stream, generation = %to.generation, seq = to.seq, cause = reason, "a reader is told of a gap");
            self.give_up(Error::Gap {
                stream,
                reason,
                resume: to.to_string(),
            });
        }
    }

    /// Ends it with an error, after what it has.
    fn fail(&self, error: Error) {
        lock(&self.state).end.get_or_insert(End::Error(error));
        self.queue();
    }
}
