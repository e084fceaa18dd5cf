//! The servers that the keys live on, as the operations and the subscriber see them.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, Value};
use tokio::task::AbortHandle;

use super::{
    cluster::Cluster,
    commands::{Commands, Job, Limits},
    failure::{Failure, refused},
    health::{ConnectionHealth, Part},
    primary::{Primary, Subscription},
    script::Call,
    slots::slot_of,
    target::{Place, Target},
};
use crate::{Error, Result};

pub enum Servers {
    One {
        primary: Arc<Primary>,
        commands: Arc<Commands>,
    },
    Cluster(Arc<Cluster>),
}

impl Servers {
    /// Also starts the task that keeps the connections.
    pub fn new(
        target: &Target,
        health: &Arc<ConnectionHealth>,
        patience: Duration,
    ) -> (Arc<Self>, AbortHandle) {
        match &target.place {
            Place::Primary(primary) => {
                let part = Part::Commands(0);
                let commands = Commands::new(primary.clone(), target.address.clone(), health.clone(), part);
                let commands = Arc::new(commands);
                let keeper = tokio::spawn(commands.clone().keep(patience)).abort_handle();
                let primary = primary.clone();
                (Arc::new(Self::One { primary, commands }), keeper)
            }
            Place::Cluster(seeds) => {
                let cluster = Cluster::new(seeds.clone(), target.address.clone(), health.clone(), patience);
                let cluster = Arc::new(cluster);
                let keeper = tokio::spawn(cluster.clone().keep()).abort_handle();
                (Arc::new(Self::Cluster(cluster)), keeper)
            }
        }
    }

    /// Runs a script.
    pub async fn call(&self, call: &Call, limits: Limits) -> Result<Value> {
        self.perform(Job::Script(call), limits).await
    }

    /// Runs a command on what belongs to a key.
    pub async fn run(
        &self,
        operation: &'static str,
        key: &str,
        command: &Cmd,
        limits: Limits,
    ) -> Result<Value> {
        let job = Job::Command {
            operation,
            key,
            command,
        };
        self.perform(job, limits).await
    }

    async fn perform(&self, job: Job<'_>, limits: Limits) -> Result<Value> {
        match self {
            Self::One { commands, .. } => {
                let reply = commands.perform(&job, false, limits).await?;
                reply.map_err(|error| refused(job.operation(), &error))
            }
            Self::Cluster(cluster) => cluster.perform(&job, limits).await,
        }
    }

    /// Keys with the same number can be in one script.
    pub fn slot(&self, key: &str) -> usize {
        match self {
            Self::One { .. } => 0,
            Self::Cluster(_) => slot_of(key),
        }
    }

    /// Waits until commands can be sent.
    pub async fn connect(&self, limits: Limits) -> Result<()> {
        match self {
            Self::One { commands, .. } => commands.connect(limits).await,
            Self::Cluster(cluster) => cluster.connect(limits).await,
        }
    }

    /// Waits until commands for a key can be sent.
    pub async fn connect_for(&self, key: &str, limits: Limits) -> Result<()> {
        match self {
            Self::One { commands, .. } => commands.connect(limits).await,
            Self::Cluster(cluster) => cluster.connect_for(key, limits).await,
        }
    }

    /// A connection for subscriptions; it hears what is published on any server.
    pub async fn subscriber(&self, patience: Duration) -> Result<Subscription, Failure> {
        match self {
            Self::One { primary, .. } => primary.subscriber(patience).await,
            Self::Cluster(cluster) => cluster.subscriber(patience).await,
        }
    }

    /// Tells how many channels are listened to. While there are any, a lost connection is made again by itself.
    pub fn listened(&self, channels: usize) {
        match self {
            Self::One { commands, .. } => commands.listened(channels),
            Self::Cluster(cluster) => cluster.listened(channels),
        }
    }

    /// Gives the connections up for good.
    pub fn close(&self) {
        match self {
            Self::One { commands, .. } => commands.close(),
            Self::Cluster(cluster) => cluster.close(),
        }
    }

    /// What errors name.
    pub fn address(&self) -> &str {
        match self {
            Self::One { commands, .. } => commands.address(),
            Self::Cluster(cluster) => cluster.address(),
        }
    }

    /// An [`Error::Connection`] that may pass.
    pub fn error(&self, reason: String) -> Error {
        match self {
            Self::One { commands, .. } => commands.error(reason),
            Self::Cluster(cluster) => cluster.error(reason),
        }
    }
}
