//! A cluster: a command connection to each of its primaries.
//!
//! The client library's cluster connection is not used: it mixes subscriptions with commands. Every operation is for one
//! slot, so little is left to do: send it to the slot's server, and follow redirections.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use redis::Value;
use tokio::time::timeout;
use ulid::Ulid;

use super::{
    commands::Commands,
    failure::{Failure, refused},
    job::{Job, Timeouts},
    members::{Member, Members, Table},
    primary::Subscription,
    slots::{Redirection, redirection, slot_of},
};
use crate::{Error, Result};

/// How long the other servers get to connect once one is connected: they may be as near, but a server that is down must not delay.
const SOON: Duration = Duration::from_millis(100);
/// After more redirections of one operation, the servers must disagree; the caller retries later.
const REDIRECTIONS: usize = 5;

pub struct Cluster {
    members: Members,
}

impl Cluster {
    pub fn new(members: Members) -> Self {
        Self { members }
    }

    /// Does a job on the server that has its key.
    pub async fn perform(&self, job: &Job<'_>, timeouts: Timeouts) -> Result<Value> {
        self.members.used();
        let slot = slot_of(job.key());
        let mut member = self.members.owner(slot, timeouts.connect).await?;
        let mut asking = false;
        for _ in 0..=REDIRECTIONS {
            let reply = tokio::select! {
                reply = member.commands.perform(job, asking, timeouts) => reply,
                // The caller repeats the command; if this server has executed it, it still counts only once.
                () = self.members.reassigned(slot, &member), if !asking => {
                    Err(self.error(format!("{} gave way to another server", member.server.address())))
                }
            };
            let error = match reply {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => error,
                Err(error) => {
                    self.members.refresh();
                    return Err(error);
                }
            };
            (member, asking) = match redirection(&error, &member.at.0) {
                Some(Redirection::Moved(at)) => (self.members.moved(slot, &at)?, false),
                Some(Redirection::Ask(at)) => (self.members.member(&at)?, true),
                None => {
                    let error = refused(job.operation(), &error);
                    if error.is_retryable() {
                        self.members.refresh();
                    }
                    return Err(error);
                }
            };
        }
        Err(self.error("its servers disagree about who has the key".to_owned()))
    }

    /// Waits for a connection to one server, and for those to the others if they come soon.
    pub async fn connect(&self, timeouts: Timeouts) -> Result<()> {
        let members = self.members.find(Table::all, timeouts.connect).await?;
        let attempts = members.iter().map(|member| member.commands.connect(timeouts));
        let mut attempts: FuturesUnordered<_> = attempts.collect();
        let mut connected = attempts.next().await.unwrap_or(Ok(()));
        loop {
            let patience = if connected.is_ok() { SOON } else { timeouts.connect };
            match timeout(patience, attempts.next()).await {
                Ok(Some(attempt)) => connected = connected.or(attempt),
                _ => return connected,
            }
        }
    }

    /// Waits for a connection to the server that has a key.
    pub async fn connect_for(&self, key: &str, timeouts: Timeouts) -> Result<()> {
        let member = self.members.owner(slot_of(key), timeouts.connect).await?;
        member.commands.connect(timeouts).await
    }

    /// The connections to all servers.
    pub async fn all(&self, timeouts: Timeouts) -> Result<Vec<Arc<Commands>>> {
        let members = self.members.find(Table::all, timeouts.connect).await?;
        Ok(members.iter().map(|member| member.commands.clone()).collect())
    }

    /// A connection for subscriptions to any of the servers: all servers receive what is published on one.
    pub async fn subscriber(&self, patience: Duration) -> Result<Subscription, Failure> {
        let members = self.members.look_up(Table::all, patience).await?;
        let (up, down): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| member.commands.is_up());
        let member = any(&up).or(any(&down));
        let member = member.ok_or_else(|| Failure::passing("it has no servers"))?;
        let connection = member.server.subscriber(patience).await;
        let (sink, messages) = connection.map_err(|failure| failure.of(member.server.address()))?;
        Ok((sink, messages, self.members.lease(member.at.clone())))
    }

    /// Sets how many channels are listened to. While there are any, lost connections are made again automatically.
    pub fn listened(&self, channels: usize) {
        self.members.listened(channels);
    }

    /// Closes the connections for good.
    pub fn close(&self) {
        self.members.close();
    }

    /// Whether some server is connected.
    pub fn is_partly_up(&self) -> bool {
        self.members.is_partly_up()
    }

    /// The address in errors.
    pub fn address(&self) -> &str {
        self.members.address()
    }

    /// A retryable [`Error::Connection`].
    pub fn error(&self, reason: String) -> Error {
        self.members.error(reason)
    }

    /// Keeps the table of the servers up to date for as long as it is needed.
    pub async fn keep(self: Arc<Self>) {
        self.members.keep().await;
    }
}

fn any(members: &[Arc<Member>]) -> Option<&Arc<Member>> {
    let random = usize::try_from(Ulid::new().random() & 0xffff).unwrap_or(0);
    members.get(random % members.len().max(1))
}
