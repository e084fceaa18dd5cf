//! The state of an endpoint, put together from its connections and shown to every store.

use std::{
    collections::BTreeMap,
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

use crate::{
    model::connection::{ConnectionState, Credentials},
    store::Listener,
    util::sync::lock,
};

/// What the state is put together from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// A command connection, by a number of its own.
    Commands(u64),
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

/// Something that can be done without, where the server does not allow it to this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spare {
    Quick,
    Name,
    Load,
    Ping,
    Unsubscribe,
    Role,
    ClusterInfo,
    SentinelMaster,
    Index,
    Forget,
    Open,
    Announce,
    Overdue,
}

impl Spare {
    /// What it is, and what is missing without it.
    fn words(self) -> [&'static str; 2] {
        match self {
            Self::Quick => [
                "the short form of an append",
                "each append costs more than twice as much",
            ],
            Self::Name => ["CLIENT SETNAME", "its connections have no name in CLIENT LIST"],
            Self::Load => ["SCRIPT LOAD", "each script is sent whole when it is first needed"],
            Self::Ping => ["PING", "chunks reach readers a little later"],
            Self::Unsubscribe => [
                "UNSUBSCRIBE",
                "channels that nobody listens to any more stay subscribed",
            ],
            Self::Role => [
                "ROLE",
                "a replica is taken for the primary until it refuses a write",
            ],
            Self::ClusterInfo => ["CLUSTER INFO", "a server that has lost its cluster is believed"],
            Self::SentinelMaster => [
                "SENTINEL MASTER",
                "a sentinel that has missed a failover is believed",
            ],
            Self::Index => [
                "the index of streams",
                "streams() and cleanup() do not find new streams",
            ],
            Self::Forget => [
                "the index of streams",
                "ids of streams that are gone stay in it until cleanup()",
            ],
            Self::Open => [
                "the list of open generations",
                "finished() is not told what becomes of those whose server dies",
            ],
            Self::Announce => [
                "the queue of finished generations",
                "finished() is not told of them",
            ],
            Self::Overdue => [
                "the list of open generations",
                "finished() is not told what has become of those whose server died",
            ],
        }
    }
}

/// What was refused is left out for so long.
const LEFT_OUT: Duration = Duration::from_secs(60);

/// Who listens, under the id of its store.
pub(super) type Member = (u64, Arc<dyn Listener>);

pub(super) struct Board {
    state: Mutex<Inner>,
    /// A connection was silent for long, and is wanted now: the one for live messages has to prove that it is alive.
    pub doubted: Notify,
    proof: Proof,
    /// What is left out, a bit for each; a look at the clock may end it.
    left_out: AtomicU32,
}

/// What the server has let us do: the first time that something was done, and so what it must let us do again.
#[derive(Default)]
pub(super) struct Proof {
    /// A script was run for this key.
    pub key: OnceLock<String>,
    /// Something was published on this channel.
    pub channel: OnceLock<String>,
}

struct Inner {
    /// Those that were ever needed.
    parts: BTreeMap<Part, Status>,
    state: ConnectionState,
    /// What went wrong last, since everything was well.
    reason: String,
    /// There was a connection.
    has_worked: bool,
    members: Vec<Member>,
    /// What was refused, and when it was last.
    refused: BTreeMap<Spare, Instant>,
}

impl Board {
    pub fn new() -> Self {
        Self {
            doubted: Notify::new(),
            state: Mutex::new(Inner {
                parts: BTreeMap::new(),
                state: ConnectionState::Idle,
                reason: String::new(),
                has_worked: false,
                members: Vec::new(),
                refused: BTreeMap::new(),
            }),
            proof: Proof::default(),
            left_out: AtomicU32::new(0),
        }
    }

    pub fn state(&self) -> ConnectionState {
        self.lock().state
    }

    /// What went wrong last; empty when everything is well.
    pub fn reason(&self) -> String {
        self.lock().reason.clone()
    }

    /// Whether there ever was a connection: then whatever is refused now may be accepted again.
    pub fn has_worked(&self) -> bool {
        self.lock().has_worked
    }

    /// What the server is known to let us do.
    pub fn proof(&self) -> &Proof {
        &self.proof
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
        let status = self.lock().parts.get(&part).copied();
        if matches!(status, None | Some(Status::Unused)) {
            self.set(part, Status::Connecting, "");
        }
    }

    /// Notes a change and tells the stores if it makes a difference.
    pub fn set(&self, part: Part, status: Status, reason: &str) {
        if status == Status::Up {
            self.lock().has_worked = true;
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
        let (state, members) = {
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
            (state, inner.members.clone())
        };
        for (_, listener) in members {
            listener.on_state(state, reason);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.state)
    }

    /// As whom to connect, in the words of the first engine that answers.
    pub async fn credentials(&self) -> Result<Credentials, String> {
        let members = self.lock().members.clone();
        for (_, listener) in members {
            let (answer, answered) = oneshot::channel();
            listener.on_credentials(answer);
            if let Ok(answer) = answered.await {
                return answer;
            }
        }
        Err("there is nobody left to ask for the credentials".to_owned())
    }

    /// Whether something may be tried: not so for a while after it was refused.
    pub fn may(&self, spare: Spare) -> bool {
        let bit = 1 << spare as u32;
        if self.left_out.load(Ordering::Relaxed) & bit == 0 {
            return true;
        }
        let refused = self.lock().refused.get(&spare).copied();
        let is_over = refused.is_none_or(|at| at.elapsed() > LEFT_OUT);
        if is_over {
            self.left_out.fetch_and(!bit, Ordering::Relaxed);
        }
        is_over
    }

    /// Notes that the server has refused something to this user, and tells the stores when it is the first time.
    pub fn refused(&self, spare: Spare, by: &str, said: &str) {
        let members = {
            let mut inner = self.lock();
            self.left_out.fetch_or(1 << spare as u32, Ordering::Relaxed);
            if inner.refused.insert(spare, Instant::now()).is_some() {
                return;
            }
            inner.members.clone()
        };
        let [what, without] = spare.words();
        let warning = format!(
            "{by} does not allow this user {what} ({said}): {without}. `npx tidemark doctor` tries all rights"
        );
        for (_, listener) in members {
            listener.on_warning(&warning);
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
