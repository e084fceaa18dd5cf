//! The one server that takes the commands: named by the URL, or found by asking the sentinels for each connection.

use std::{pin::Pin, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use redis::{
    Value,
    aio::{PubSubSink, PubSubStream},
};
use tokio::sync::watch;

use super::{
    connect::{Connection, Server},
    failure::{Failure, lacks_command, words},
    optional_right::OptionalRight,
    script::Library,
};

pub enum Primary {
    Fixed(Server),
    Watched(Sentinels),
}

/// Ends when another server has taken over, and the connection it came with is to be given up.
pub type PrimaryLease = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection for subscriptions.
pub type Subscription = (PubSubSink, PubSubStream, PrimaryLease);

impl Primary {
    /// The servers that the URL names.
    pub fn named(&self) -> &[Server] {
        match self {
            Self::Fixed(server) => std::slice::from_ref(server),
            Self::Watched(sentinels) => &sentinels.servers,
        }
    }

    /// Which of them it is: the same text for the same one. Holds the credentials: not to be shown.
    pub fn identity(&self) -> String {
        match self {
            Self::Fixed(_) => "server".to_owned(),
            Self::Watched(sentinels) => format!("{} {}", sentinels.name, sentinels.primary.identity()),
        }
    }

    /// A connection for commands, with the scripts loaded.
    pub async fn commands(&self, patience: Duration) -> Result<(Connection, PrimaryLease), Failure> {
        match self {
            Self::Fixed(server) => Ok((server.commands(patience, false).await?, forever())),
            Self::Watched(sentinels) => sentinels.commands(patience).await,
        }
    }

    pub async fn subscriber(&self, patience: Duration) -> Result<Subscription, Failure> {
        match self {
            Self::Fixed(server) => {
                let (sink, stream) = server.subscriber(patience).await?;
                Ok((sink, stream, forever()))
            }
            Self::Watched(sentinels) => sentinels.subscriber(patience).await,
        }
    }

    /// The scripts that it is given.
    pub fn library(&self) -> &'static Library {
        match self {
            Self::Fixed(server) => server.library(),
            Self::Watched(sentinels) => sentinels.primary.library(),
        }
    }

    /// Looks whether another server has taken over, which ends the leases.
    pub async fn look(&self, patience: Duration) {
        if let Self::Watched(sentinels) = self {
            sentinels.look(patience).await;
        }
    }
}

fn forever() -> PrimaryLease {
    Box::pin(std::future::pending())
}

/// Sentinels, and the name under which they watch a primary.
pub struct Sentinels {
    servers: Vec<Server>,
    name: String,
    /// How the primary is spoken to; its address is what the sentinels say.
    primary: Server,
    /// The address of the primary that was found last.
    found: watch::Sender<String>,
}

/// What one sentinel says.
struct WatchedPrimary {
    host: String,
    port: u16,
    /// Grows with each failover.
    epoch: u64,
}

impl Sentinels {
    pub fn new(servers: Vec<Server>, name: String, primary: Server) -> Self {
        Self {
            servers,
            name,
            primary,
            found: watch::Sender::default(),
        }
    }

    async fn commands(&self, patience: Duration) -> Result<(Connection, PrimaryLease), Failure> {
        let primary = self.find(patience).await?;
        let connection = primary.commands(patience, true).await;
        let connection = connection.map_err(|failure| failure.of(primary.address()))?;
        Ok((connection, self.lease(&primary)))
    }

    async fn subscriber(&self, patience: Duration) -> Result<Subscription, Failure> {
        let primary = self.find(patience).await?;
        let connection = primary.subscriber(patience).await;
        let (sink, stream) = connection.map_err(|failure| failure.of(primary.address()))?;
        Ok((sink, stream, self.lease(&primary)))
    }

    /// Ends all other leases, which were of another server.
    fn lease(&self, primary: &Server) -> PrimaryLease {
        let address = primary.address().to_owned();
        self.found.send_replace(address.clone());
        let mut found = self.found.subscribe();
        Box::pin(async move { drop(found.wait_for(|found| *found != address).await) })
    }

    async fn look(&self, patience: Duration) {
        let Ok(primary) = self.find(patience).await else {
            return;
        };
        // Sentinels that were cut off are behind the times; the server itself knows better.
        if *self.found.borrow() != primary.address() && primary.commands(patience, true).await.is_ok() {
            self.found.send_replace(primary.address().to_owned());
        }
    }

    /// The primary, in the words of the sentinel that has seen the latest failover. Once most of them have answered, the
    /// others are not waited for.
    async fn find(&self, patience: Duration) -> Result<Server, Failure> {
        let mut asked: FuturesUnordered<_> = self
            .servers
            .iter()
            .map(|sentinel| async move { (sentinel, self.ask(sentinel, patience).await) })
            .collect();
        let (mut answers, mut failures) = (Vec::new(), Vec::new());
        while let Some((sentinel, outcome)) = asked.next().await {
            match outcome {
                Ok(answer) => answers.push(answer),
                Err(failure) => {
                    failures.push(failure.of(&format!("sentinel {}", sentinel.address())));
                }
            }
            if answers.len() > self.servers.len() / 2 {
                break;
            }
        }
        if let Some(WatchedPrimary { host, port, .. }) = answers.iter().max_by_key(|answer| answer.epoch) {
            return Ok(self.primary.at(host, *port));
        }
        Err(Failure::all(failures))
    }

    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    async fn ask(&self, sentinel: &Server, patience: Duration) -> Result<WatchedPrimary, Failure> {
        let mut questions = redis::pipe();
        let all = ["GET-MASTER-ADDR-BY-NAME", "MASTER"];
        let asked = if sentinel.may(OptionalRight::SENTINEL_MASTER) {
            &all[..]
        } else {
            &all[..1]
        };
        for question in asked {
            questions.cmd("SENTINEL").arg(question).arg(&self.name);
        }
        let replies = sentinel.ask(&questions, patience).await?;
        if let Some(master) = replies.get(1) {
            sentinel.note_refusal(OptionalRight::SENTINEL_MASTER, master);
        }
        if let Some(Err(error)) = replies.first().cloned().map(Value::extract_error) {
            let said = words(&error);
            return Err(Failure::passing(if lacks_command(&said) {
                "it is no sentinel; for a single server the URL begins with redis://".to_owned()
            } else {
                said
            }));
        }
        answer(replies).ok_or_else(|| Failure::passing(format!("it does not know {:?}", self.name)))
    }
}

fn answer(replies: Vec<Value>) -> Option<WatchedPrimary> {
    let mut replies = replies.into_iter();
    let (host, port) = redis::from_redis_value(replies.next()?).ok()?;
    // Services that stand in for sentinels may know the first question alone.
    let fields: Vec<String> = replies
        .next()
        .and_then(|fields| redis::from_redis_value(fields).ok())
        .unwrap_or_default();
    let epoch = fields
        .chunks_exact(2)
        .find(|field| field[0] == "config-epoch")
        .and_then(|field| field[1].parse().ok())
        .unwrap_or(0);
    Some(WatchedPrimary { host, port, epoch })
}
