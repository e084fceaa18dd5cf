//! How a subscription follows its hub.

use std::sync::atomic::Ordering;

use ulid::Ulid;

use super::{
    follower::{Follower, Takes},
    subscription::Subscription,
};
use crate::{
    Cursor, Error,
    model::{ending::End, frame::Frame},
    util::sync::lock,
};

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
            let reason = format!("chunks after {} were shown, but others go on there", to.seq);
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
