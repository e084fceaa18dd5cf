//! One Redis, as seen by all stores of the process that use it: a connection for commands to each server, and one for
//! subscriptions.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, Weak},
};

use tokio::{
    runtime::{Handle, Id},
    sync::mpsc,
    task::AbortHandle,
    time::timeout,
};

use super::{
    failure::Failure,
    health::ConnectionHealth,
    job::Timeouts,
    request::{PendingSubscribe, Recipient, Request},
    servers::Servers,
    subscriber::Subscriber,
    target::Target,
};
use crate::{Error, Result, model::connection::ConnectionState, util::sync::lock};

/// By connection settings, and by the runtime that drives the connections.
type Registry = HashMap<(String, Id), Weak<Endpoint>>;

static ENDPOINTS: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);

/// Closed when the last store lets go of it.
pub struct Endpoint {
    pub servers: Arc<Servers>,
    pub health: Arc<ConnectionHealth>,
    requests: mpsc::UnboundedSender<Request>,
    tasks: [AbortHandle; 2],
}

impl Endpoint {
    /// The endpoint for these settings. Its tasks run on the current runtime; the first store's `timeouts` bound each
    /// attempt to connect.
    pub fn of(target: &Arc<Target>, timeouts: Timeouts) -> Arc<Self> {
        let runtime = Handle::current();
        let mut endpoints = lock(&ENDPOINTS);
        endpoints.retain(|_, endpoint| endpoint.strong_count() > 0);
        let key = (target.identity.clone(), runtime.id());
        if let Some(endpoint) = endpoints.get(&key).and_then(Weak::upgrade) {
            return endpoint;
        }
        let health = target.health.clone();
        let (servers, keeper) = Servers::new(target, &health, timeouts.connect);
        let (requests, receiver) = mpsc::unbounded_channel();
        let subscriber = Subscriber::new(servers.clone(), health.clone(), receiver);
        let tasks = [
            keeper,
            runtime.spawn(subscriber.run(timeouts.connect)).abort_handle(),
        ];
        let endpoint = Arc::new(Self {
            servers,
            health,
            requests,
            tasks,
        });
        endpoints.insert(key, Arc::downgrade(&endpoint));
        endpoint
    }

    /// Listens to a channel for a store, whose id is the one that it has among the observers. One that `is_urgent` is listened to over
    /// a connection that is tried more often.
    pub async fn listen(
        &self,
        channel: String,
        is_urgent: bool,
        recipient: Recipient,
        timeouts: Timeouts,
    ) -> Result<()> {
        let pending = PendingSubscribe::new(self.requests.clone(), channel, is_urgent, recipient);
        match timeout(timeouts.connect, pending.fulfilled()).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Err(self
                .servers
                .error("the stream is no longer listened to".to_owned())),
            Err(_) => {
                let reason = Some(self.health.reason()).filter(|reason| !reason.is_empty());
                let reason = reason.unwrap_or_else(|| Failure::late(timeouts.connect).reason);
                Err(self.servers.error(reason))
            }
        }
    }

    pub fn unlisten(&self, channel: String, store: u64) {
        let _ = self.requests.send(Request::Unlisten { channel, store });
    }

    /// Why it is of no use, while that is known: to who `hears` messages, or to who needs answers alone.
    pub fn outage(&self, hears: bool) -> Option<Error> {
        let is_away = self.health.state() == ConnectionState::Degraded;
        let is_useless = is_away && !self.servers.are_of_use(hears, self.health.deaf_since());
        is_useless.then(|| self.servers.error(self.health.reason()))
    }

    /// Forgets a store.
    pub fn leave(&self, store: u64) {
        self.health.leave(store);
        let _ = self.requests.send(Request::Leave { store });
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.servers.close();
        for task in &self.tasks {
            task.abort();
        }
    }
}
