//! The servers that the keys live on, as the operations and the subscriber see them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::try_join_all;
use redis::{Cmd, Value};
use tokio::{task::AbortHandle, time::Instant};

use super::{
    cluster::Cluster,
    commands::Commands,
    failure::{Failure, is_split, refused},
    health::{ConnectionHealth, Part},
    job::{Job, Timeouts},
    members::Members,
    primary::{Primary, Subscription},
    script::Call,
    slots::slot_of,
    target::{Target, Topology},
};
use crate::{Error, Result};

pub enum Servers {
    One {
        primary: Arc<Primary>,
        commands: Arc<Commands>,
        /// It is a proxy that hides a cluster.
        hides_slots: AtomicBool,
    },
    Cluster(Arc<Cluster>),
}

impl Servers {
    /// Starts the task that keeps the connections.
    pub fn new(
        target: &Target,
        health: &Arc<ConnectionHealth>,
        patience: Duration,
    ) -> (Arc<Self>, AbortHandle) {
        match &target.topology {
            Topology::Primary(primary) => {
                let part = Part::Commands(0);
                let commands = Commands::new(primary.clone(), target.address.clone(), health.clone(), part);
                let commands = Arc::new(commands);
                let keeper = tokio::spawn(commands.clone().keep(patience)).abort_handle();
                let primary = primary.clone();
                let servers = Self::One {
                    primary,
                    commands,
                    hides_slots: AtomicBool::new(false),
                };
                (Arc::new(servers), keeper)
            }
            Topology::Cluster(seeds) => {
                let members = Members::new(seeds.clone(), target.address.clone(), health.clone(), patience);
                let cluster = Arc::new(Cluster::new(members));
                let keeper = tokio::spawn(cluster.clone().keep()).abort_handle();
                (Arc::new(Self::Cluster(cluster)), keeper)
            }
        }
    }

    /// Runs a script.
    pub async fn call(&self, call: &Call, timeouts: Timeouts) -> Result<Value> {
        self.perform(Job::Script(call), timeouts).await
    }

    /// Runs a command on the server of a key.
    pub async fn run(
        &self,
        operation: &'static str,
        key: &str,
        command: &Cmd,
        timeouts: Timeouts,
    ) -> Result<Value> {
        let job = Job::Command {
            operation,
            key,
            command,
        };
        self.perform(job, timeouts).await
    }

    /// Runs a command on every server.
    pub async fn run_everywhere(
        &self,
        operation: &'static str,
        command: &Cmd,
        timeouts: Timeouts,
    ) -> Result<Vec<Value>> {
        let all = match self {
            Self::One { commands, .. } => vec![commands.clone()],
            Self::Cluster(cluster) => cluster.all(timeouts).await?,
        };
        let runs = all.iter().map(|commands| async move {
            let job = Job::Command {
                operation,
                key: "",
                command,
            };
            let reply = commands.perform(&job, false, timeouts).await?;
            reply.map_err(|error| refused(operation, &error))
        });
        try_join_all(runs).await
    }

    async fn perform(&self, job: Job<'_>, timeouts: Timeouts) -> Result<Value> {
        match self {
            Self::One {
                commands,
                hides_slots,
                ..
            } => {
                let reply = commands.perform(&job, false, timeouts).await?;
                reply.map_err(|error| {
                    let error = refused(job.operation(), &error);
                    if is_split(&error) {
                        hides_slots.store(true, Ordering::Relaxed);
                    }
                    error
                })
            }
            Self::Cluster(cluster) => cluster.perform(&job, timeouts).await,
        }
    }

    /// Keys with the same number can be in one script. For a server that has not said so yet, this may turn out
    /// [otherwise](is_split).
    pub fn slot(&self, key: &str) -> usize {
        match self {
            Self::One { hides_slots, .. } if !hides_slots.load(Ordering::Relaxed) => 0,
            _ => slot_of(key),
        }
    }

    /// Whether the reply to a `PUBLISH` counts all who receive the message: one of a cluster counts only its own.
    pub fn counts_receivers(&self) -> bool {
        matches!(self, Self::One { .. }) && self.are_known()
    }

    /// Whether all servers can be asked: a proxy that hides a cluster hides its servers.
    pub fn are_known(&self) -> bool {
        !matches!(self, Self::One { hides_slots, .. } if hides_slots.load(Ordering::Relaxed))
    }

    /// Waits until commands can be sent.
    pub async fn connect(&self, timeouts: Timeouts) -> Result<()> {
        match self {
            Self::One { commands, .. } => commands.connect(timeouts).await,
            Self::Cluster(cluster) => cluster.connect(timeouts).await,
        }
    }

    /// Finds out whether commands are answered.
    pub async fn prove(&self, timeouts: Timeouts) -> Result<()> {
        match self {
            Self::One { commands, .. } => commands.prove(timeouts).await,
            Self::Cluster(cluster) => cluster.connect(timeouts).await,
        }
    }

    /// Waits until commands for a key can be sent.
    pub async fn connect_for(&self, key: &str, timeouts: Timeouts) -> Result<()> {
        match self {
            Self::One { commands, .. } => commands.connect(timeouts).await,
            Self::Cluster(cluster) => cluster.connect_for(key, timeouts).await,
        }
    }

    /// A connection for subscriptions; it receives what is published on any server.
    pub async fn subscriber(&self, patience: Duration) -> Result<Subscription, Failure> {
        match self {
            Self::One { primary, .. } => primary.subscriber(patience).await,
            Self::Cluster(cluster) => cluster.subscriber(patience).await,
        }
    }

    /// Sets how many channels are listened to. While there are any, a lost connection is made again automatically.
    pub fn listened(&self, channels: usize) {
        match self {
            Self::One { commands, .. } => commands.listened(channels),
            Self::Cluster(cluster) => cluster.listened(channels),
        }
    }

    /// Closes the connections for good.
    pub fn close(&self) {
        match self {
            Self::One { commands, .. } => commands.close(),
            Self::Cluster(cluster) => cluster.close(),
        }
    }

    /// Whether commands are answered although something is away. Of a single server, that something is its messages, since `then`: it is of no
    /// use to who `hears`, and it must have answered since, for an unused connection proves nothing.
    pub fn are_of_use(&self, hears: bool, then: Instant) -> bool {
        match self {
            Self::One { commands, .. } => !hears && commands.has_answered_since(then),
            // It may be the one that has a key, even if others are down.
            Self::Cluster(cluster) => cluster.is_partly_up(),
        }
    }

    /// What errors name.
    pub fn address(&self) -> &str {
        match self {
            Self::One { commands, .. } => commands.address(),
            Self::Cluster(cluster) => cluster.address(),
        }
    }

    /// A retryable [`Error::Connection`].
    pub fn error(&self, reason: String) -> Error {
        match self {
            Self::One { commands, .. } => commands.error(reason),
            Self::Cluster(cluster) => cluster.error(reason),
        }
    }
}
