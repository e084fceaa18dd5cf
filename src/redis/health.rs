//! The state of an endpoint, put together from its connections and shown to every store.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{observer::Observer, optional_right::OptionalRight};
use crate::{
    model::connection::{ConnectionState, Credentials},
    util::sync::lock,
};

/// The connections from whose states the endpoint's state follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A command connection, by a number of its own.
    Commands(u64),
    Subscriber,
}

/// How a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
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

/// How long a refused right is left out.
const LEFT_OUT: Duration = Duration::from_secs(60);

/// An observer of changes, with its id.
type KnownObserver = (u64, Arc<dyn Observer>);

pub struct ConnectionHealth {
    state: Mutex<Inner>,
    /// A connection was silent for long and is needed now: the one for live messages has to prove that it is alive.
    pub doubted: Notify,
    proof: Proof,
    /// The rights that are left out, a bit for each, until their time is over.
    left_out: AtomicU32,
}

/// Rights that the server has granted: it must grant them again after a reconnect.
#[derive(Default)]
pub struct Proof {
    /// A script was run for this key.
    pub key: OnceLock<String>,
    /// Something was published on this channel.
    pub channel: OnceLock<String>,
}

struct Inner {
    /// The connections that were ever needed.
    parts: BTreeMap<Part, Status>,
    state: ConnectionState,
    /// The last error since everything was well.
    reason: String,
    /// There was a connection.
    has_worked: bool,
    /// When the messages were found to be away.
    deaf_since: Instant,
    observers: Vec<KnownObserver>,
    /// The rights that were refused, and when they were last refused.
    refused: BTreeMap<u32, Instant>,
}

impl ConnectionHealth {
    pub fn new() -> Self {
        Self {
            doubted: Notify::new(),
            state: Mutex::new(Inner {
                parts: BTreeMap::new(),
                state: ConnectionState::Idle,
                reason: String::new(),
                has_worked: false,
                deaf_since: Instant::now(),
                observers: Vec::new(),
                refused: BTreeMap::new(),
            }),
            proof: Proof::default(),
            left_out: AtomicU32::new(0),
        }
    }

    pub fn state(&self) -> ConnectionState {
        self.lock().state
    }

    /// The last error; empty when everything is well.
    pub fn reason(&self) -> String {
        self.lock().reason.clone()
    }

    /// Whether there ever was a connection: if so, a refusal may be temporary.
    pub fn has_worked(&self) -> bool {
        self.lock().has_worked
    }

    /// When the messages were found to be away, if they are.
    pub fn deaf_since(&self) -> Instant {
        self.lock().deaf_since
    }

    /// The rights that the server is known to grant.
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// Notifies a store of the state from now on, beginning with the present one.
    pub fn join(&self, id: u64, observer: &Arc<dyn Observer>) {
        let state = {
            let mut inner = self.lock();
            inner.observers.push((id, observer.clone()));
            inner.state
        };
        if state != ConnectionState::Idle {
            observer.on_state(state, "");
        }
    }

    pub fn leave(&self, id: u64) {
        self.lock().observers.retain(|(known, _)| *known != id);
    }

    /// The first attempt begins; later ones leave the status as it is.
    pub fn begin(&self, part: Part) {
        let status = self.lock().parts.get(&part).copied();
        if matches!(status, None | Some(Status::Unused)) {
            self.set(part, Status::Connecting, "");
        }
    }

    /// Notes a change, and notifies the stores if the state changes.
    pub fn set(&self, part: Part, status: Status, reason: &str) {
        {
            let mut inner = self.lock();
            inner.has_worked |= status == Status::Up;
            let is_known = inner.parts.get(&part) == Some(&Status::Failed);
            if part == Part::Subscriber && status == Status::Failed && !is_known {
                inner.deaf_since = Instant::now();
            }
        }
        self.change(reason, |parts| {
            parts.insert(part, status);
        });
    }

    /// There is no such connection any more.
    pub fn remove(&self, part: Part) {
        self.change("", |parts| {
            parts.remove(&part);
        });
    }

    fn change(&self, reason: &str, change: impl FnOnce(&mut BTreeMap<Part, Status>)) {
        let (state, observers) = {
            let mut inner = self.lock();
            change(&mut inner.parts);
            if !reason.is_empty() {
                reason.clone_into(&mut inner.reason);
            }
            let state = overall(&inner.parts, inner.state);
            if state == inner.state {
                return;
            }
            inner.state = state;
            if state == ConnectionState::Ready {
                inner.reason.clear();
            }
            (state, inner.observers.clone())
        };
        for (_, observer) in observers {
            observer.on_state(state, reason);
        }
    }

    /// Tells these observers that messages may have been missed.
    pub fn restored(&self, ids: &HashSet<u64>) {
        let observers = self.lock().observers.clone();
        for (_, observer) in observers.iter().filter(|(id, _)| ids.contains(id)) {
            observer.on_restored();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.state)
    }

    /// As whom to connect, in the words of the first engine that answers.
    pub async fn credentials(&self) -> Result<Credentials, String> {
        let observers = self.lock().observers.clone();
        for (_, observer) in observers {
            let (answer, answered) = oneshot::channel();
            observer.on_credentials(answer);
            if let Ok(answer) = answered.await {
                return answer;
            }
        }
        Err("there is nobody left to ask for the credentials".to_owned())
    }

    /// Whether something may be tried: not so for a while after it was refused.
    pub fn may(&self, right: OptionalRight) -> bool {
        let bit = right.bit();
        if self.left_out.load(Ordering::Relaxed) & bit == 0 {
            return true;
        }
        let refused = self.lock().refused.get(&bit).copied();
        let is_over = refused.is_none_or(|at| at.elapsed() > LEFT_OUT);
        if is_over {
            self.left_out.fetch_and(!bit, Ordering::Relaxed);
        }
        is_over
    }

    /// Notes that the server has refused this user a right, and notifies the stores the first time.
    pub fn refused(&self, right: OptionalRight, by: &str, said: &str) {
        let observers = {
            let mut inner = self.lock();
            self.left_out.fetch_or(right.bit(), Ordering::Relaxed);
            if inner.refused.insert(right.bit(), Instant::now()).is_some() {
                return;
            }
            inner.observers.clone()
        };
        let OptionalRight { what, without, .. } = right;
        let warning = format!(
            "{by} does not allow this user {what} ({said}): {without}. `npx tidemark doctor` tries all rights"
        );
        for (_, observer) in observers {
            observer.on_warning(&warning);
        }
    }
}

fn overall(parts: &BTreeMap<Part, Status>, before: ConnectionState) -> ConnectionState {
    let any = |status| parts.values().any(|part| *part == status);
    let commands_up = || {
        let mut commands = parts.iter().filter(|(part, _)| **part != Part::Subscriber);
        commands.any(|(_, status)| *status == Status::Up)
    };
    if any(Status::Failed) {
        ConnectionState::Degraded
    } else if any(Status::Lost) {
        ConnectionState::Reconnecting
    } else if !any(Status::Connecting) && commands_up() {
        ConnectionState::Ready
    } else if !any(Status::Connecting) && !any(Status::Up) {
        ConnectionState::Idle
    } else {
        match before {
            // The first subscription of an engine that is at work is nothing to report.
            ConnectionState::Ready => ConnectionState::Ready,
            // Another server takes a lost one's place.
            ConnectionState::Reconnecting | ConnectionState::Degraded => ConnectionState::Reconnecting,
            _ => ConnectionState::Connecting,
        }
    }
}
