//! What the readers of a stream share: a frame that comes is delivered once, to all that stand right before it.
//!
//! A reader that stands elsewhere, or has no room for all of the frame, gets it by itself, as every reader gets what comes in another way: its
//! first chunks, pages of the log, the end.

use std::sync::Arc;

use ulid::Ulid;

use super::follower::Follower;
use crate::{
    engine::{
        events::Handle,
        sink::{MOST_TOGETHER, Sink},
    },
    model::frame::{Frame, Kind},
};

/// Frames of more chunks are taken by each reader in its own time.
const MOST_CHUNKS: u64 = 256;

/// Where the readers of a hub stand.
#[derive(Default)]
pub(crate) struct Sharing {
    /// The hub stands in the outbox.
    pub(super) is_queued: bool,
    /// What follows this seq they have not been given yet. `None`: something else has happened, and each looks for itself.
    pub(super) after: Option<u64>,
}

impl Sharing {
    /// Each reader looks for itself.
    pub(super) fn part(&mut self) {
        self.after = None;
    }

    /// The hub goes back into the outbox; up to here it has been through.
    pub(super) fn goes_on(&mut self, seq: u64) {
        // More may have come meanwhile, for which it stands there already.
        let was_queued = std::mem::replace(&mut self.is_queued, true);
        self.after = self
            .after
            .map(|after| if was_queued { after.min(seq) } else { seq });
    }
}

pub(super) type Followers = [(Handle, Arc<dyn Follower>)];

/// Lets each look for itself.
pub(super) fn part(followers: &Followers) {
    for (_, follower) in followers {
        follower.look();
    }
}

/// Delivers a frame to all that stand right before it; false if the sink was full before that.
pub(super) fn deliver(generation: Ulid, frame: &Frame, followers: &Followers, sink: &mut dyn Sink) -> bool {
    let is_small = frame.last() - frame.first() < MOST_CHUNKS;
    if !is_small || frame.chunks().any(|chunk| chunk.kind == Kind::Large) {
        part(followers);
        return true;
    }
    for some in followers.chunks(MOST_TOGETHER) {
        if sink.is_full() {
            return false;
        }
        let takers: Vec<_> = some
            .iter()
            .filter(|(_, follower)| follower.take(generation, frame))
            .collect();
        let handles: Vec<_> = takers.iter().map(|(handle, _)| *handle).collect();
        if handles.is_empty() {
            continue;
        }
        let mut cost = 0;
        for (seq, chunk) in (frame.first()..).zip(frame.chunks()) {
            cost += sink.chunk(&handles, seq, chunk);
        }
        for (_, follower) in takers {
            follower.pay(cost);
        }
    }
    true
}
