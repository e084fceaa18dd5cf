//! The state of an endpoint, put together from its two connections and shown to every store.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::{
    store::{ConnectionState, Listener},
    sync::lock,
};

/// One of the two connections.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Commands,
    Subscriber,
}

/// How a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Nobody needs it.
    Unused,
    /// It is being made for the first time.
    Connecting,
    Up,
    /// It was lost and is being made again.
    Lost,
    /// The last attempt to make it has failed.
    Failed,
}

/// Who listens, under the id of its store.
pub(super) type Member = (u64, Arc<dyn Listener>);

pub(super) struct Board(Mutex<Inner>);

struct Inner {
    parts: [Status; 2],
    state: ConnectionState,
    /// What went wrong last, since everything was well.
    reason: String,
    members: Vec<Member>,
}

impl Board {
    pub fn new() -> Self {
        Self(Mutex::new(Inner {
            parts: [Status::Unused; 2],
            state: ConnectionState::Idle,
            reason: String::new(),
            members: Vec::new(),
        }))
    }

    pub fn state(&self) -> ConnectionState {
        self.lock().state
    }

    /// What went wrong last; empty when everything is well.
    pub fn reason(&self) -> String {
        self.lock().reason.clone()
    }

    /// Shows a store the state from now on, beginning with the present one.
    pub fn join(&self, id: u64, listener: &Arc<dyn Listener>) {
        let state = {
            let mut inner = self.lock();
            inner.members.push((id, listener.clone()));
            inner.state
        };
        if state != ConnectionState::Idle {
            listener.on_state(state, "");
        }
    }

    pub fn leave(&self, id: u64) {
        self.lock().members.retain(|(member, _)| *member != id);
    }

    /// The first attempt begins; later ones leave the status as it is.
    pub fn begin(&self, part: Part) {
        let fresh = self.lock().parts[part as usize] == Status::Unused;
        if fresh {
            self.set(part, Status::Connecting, "");
        }
    }

    /// Notes a change and tells the stores if it makes a difference.
    pub fn set(&self, part: Part, status: Status, reason: &str) {
        let (state, members) = {
            let mut inner = self.lock();
            inner.parts[part as usize] = status;
            if !reason.is_empty() {
                reason.clone_into(&mut inner.reason);
            }
            let state = overall(inner.parts, inner.state);
            if state == inner.state {
                return;
            }
            inner.state = state;
            if state == ConnectionState::Ready {
                inner.reason.clear();
            }
            (state, inner.members.clone())
        };
        for (_, listener) in members {
            listener.on_state(state, reason);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0)
    }
}

fn overall(parts: [Status; 2], before: ConnectionState) -> ConnectionState {
    match parts {
        _ if parts.contains(&Status::Failed) => ConnectionState::Degraded,
        _ if parts.contains(&Status::Lost) => ConnectionState::Reconnecting,
        [Status::Up, Status::Up | Status::Unused] => ConnectionState::Ready,
        [Status::Unused, Status::Unused] => ConnectionState::Idle,
        // The first subscription of an engine that is at work is nothing to report.
        _ if before == ConnectionState::Ready => ConnectionState::Ready,
        _ => ConnectionState::Connecting,
    }
}
