//! How to connect to one server.

use std::{
    net::IpAddr,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, ErrorKind, Pipeline, RedisConnectionInfo, RedisResult, ServerErrorKind, Value,
    aio::{MultiplexedConnection, PubSub, PubSubSink, PubSubStream},
};
use tokio::task::AbortHandle;

use super::{
    dial::{self, Family, ServerAddress, Wire},
    failure::{Failure, advised, is_refusal, lacks_database, words},
    health::ConnectionHealth,
    optional_right::OptionalRight,
    script::Library,
    tls::Tls,
};

/// Commands that may wait in the connection's queue, beyond which senders wait in turn.
const QUEUE: usize = 1024;

/// The settings that all servers of a URL share.
#[derive(Clone)]
pub struct Access {
    pub tls: Option<Arc<Tls>>,
    pub family: Family,
    /// Whether the host is asked for user and password at each connection.
    pub asks: bool,
    pub library: &'static Library,
    pub health: Arc<ConnectionHealth>,
}

/// One server: its address, and the user.
#[derive(Clone)]
pub struct Server {
    at: ServerAddress,
    settings: RedisConnectionInfo,
    access: Access,
    address: String,
}

/// A connection for commands. It is closed when its last owner drops it, even with answers outstanding.
#[derive(Clone)]
pub struct Connection {
    inner: MultiplexedConnection,
    _driver: Arc<Driver>,
}

struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Deref for Connection {
    type Target = MultiplexedConnection;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.inner
    }
}

impl Server {
    pub fn new(at: ServerAddress, settings: RedisConnectionInfo, access: &Access) -> Self {
        let address = match &at {
            ServerAddress::Tcp { host, port } => address_of(host, *port),
            ServerAddress::Unix(path) => path.display().to_string(),
        };
        Self {
            at,
            settings,
            access: access.clone(),
            address,
        }
    }

    /// Another server with the same settings.
    pub fn at(&self, host: &str, port: u16) -> Self {
        let host = host.to_owned();
        Self::new(
            ServerAddress::Tcp { host, port },
            self.settings.clone(),
            &self.access,
        )
    }

    /// Host and port, or the path of a socket.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn host(&self) -> &str {
        match &self.at {
            ServerAddress::Tcp { host, .. } => host,
            ServerAddress::Unix(_) => "",
        }
    }

    /// Whether it runs on this machine, as far as its address says.
    pub fn is_here(&self) -> bool {
        match &self.at {
            ServerAddress::Tcp { host, .. } => {
                host.eq_ignore_ascii_case("localhost")
                    || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            ServerAddress::Unix(_) => true,
        }
    }

    /// The scripts to load on it.
    pub fn library(&self) -> &'static Library {
        self.access.library
    }

    /// The same text for the same connection. Holds the credentials: not to be shown.
    pub fn identity(&self) -> String {
        let settings = &self.settings;
        format!(
            "{:?} {} {:?} {:?}",
            self.at,
            settings.db(),
            settings.username(),
            settings.password()
        )
    }

    /// A connection for commands, with the scripts loaded; `as_primary` refuses a replica.
    pub async fn commands(&self, patience: Duration, as_primary: bool) -> Result<Connection, Failure> {
        self.attempt(patience, async {
            let mut connection = self.connection(patience).await?;
            let mut name = redis::cmd("CLIENT");
            name.arg("SETNAME").arg("tidemark");
            // Sent alone: a server that wants a password says so, but closes the connection if it gets a long script first.
            if self.access.health.may(OptionalRight::NAME) {
                self.usable(OptionalRight::NAME, connection.send_packed_command(&name).await?)?;
            }
            let mut pipeline = redis::pipe();
            let mut sent = Vec::new();
            if as_primary && self.access.health.may(OptionalRight::ROLE) {
                pipeline.cmd("ROLE");
                sent.push(OptionalRight::ROLE);
            }
            if self.access.health.may(OptionalRight::LOAD) {
                for script in &self.access.library.scripts {
                    pipeline.cmd("SCRIPT").arg("LOAD").arg(script.source);
                    sent.push(OptionalRight::LOAD);
                }
            }
            if pipeline.is_empty() {
                return Ok(connection);
            }
            let replies = connection
                .send_packed_commands(&pipeline, 0, pipeline.len())
                .await?;
            for (right, reply) in sent.into_iter().zip(replies) {
                if is_replica(&reply) {
                    let reason = "this server is a replica".to_owned();
                    return Err((ErrorKind::Server(ServerErrorKind::ReadOnly), "", reason).into());
                }
                self.usable(right, reply)?;
            }
            tracing::debug!(scripts = self.access.library.scripts.len(), "scripts loaded");
            Ok(connection)
        })
        .await
    }

    /// A connection for subscriptions.
    pub async fn subscriber(&self, patience: Duration) -> Result<(PubSubSink, PubSubStream), Failure> {
        self.attempt(patience, async {
            let (settings, wire) = self.open(patience).await?;
            let (mut sink, stream) = PubSub::new(&settings, wire).await?.split();
            self.usable(OptionalRight::PING, sink.ping().await?)?;
            Ok((sink, stream))
        })
        .await
    }

    /// Sends a command on a connection that is closed afterwards.
    pub async fn ask(&self, questions: &Pipeline, patience: Duration) -> Result<Vec<Value>, Failure> {
        self.attempt(patience, async {
            let mut connection = self.connection(patience).await?;
            let replies = connection
                .send_packed_commands(questions, 0, questions.len())
                .await?;
            for reply in &replies {
                refusing_everything(reply.clone())?;
            }
            Ok(replies)
        })
        .await
    }

    /// A missing right to name the connection or to load scripts does not matter; a server that refuses everything does.
    fn usable(&self, right: OptionalRight, reply: Value) -> RedisResult<()> {
        self.note_refusal(right, &reply);
        refusing_everything(reply)
    }

    /// Notes that an optional right is refused, if that is the server's reply.
    pub fn note_refusal(&self, right: OptionalRight, reply: &Value) {
        if let Err(error) = reply.clone().extract_error() {
            let said = words(&error);
            if is_refusal(&said) {
                self.access.health.refused(right, &self.address, &said);
            }
        }
    }

    /// Whether an optional right may be tried.
    pub fn may(&self, right: OptionalRight) -> bool {
        self.access.health.may(right)
    }

    async fn connection(&self, patience: Duration) -> RedisResult<Connection> {
        // The operations bring their own time limits, which also count the wait in the queue.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        let (settings, wire) = self.open(patience).await?;
        let (inner, driver) = MultiplexedConnection::new_with_config(&settings, wire, config).await?;
        let driver = tokio::spawn(driver).abort_handle();
        Ok(Connection {
            inner,
            _driver: Arc::new(Driver(driver)),
        })
    }

    /// A connection on which nothing was sent yet, and the settings to send first.
    async fn open(&self, patience: Duration) -> RedisResult<(RedisConnectionInfo, Wire)> {
        let settings = if self.access.asks {
            // Before the connection is opened, since servers close connections that are silent for long.
            let given = self.access.health.credentials().await;
            let given = given.map_err(|reason| (ErrorKind::Io, "credentials", reason))?;
            as_user(
                self.settings.clone(),
                given.username.as_deref().unwrap_or_default(),
                &given.password,
            )
        } else {
            self.settings.clone()
        };
        let tls = self.access.tls.as_deref();
        let wire = dial::open(&self.at, self.access.family, tls, patience).await?;
        Ok((settings, wire))
    }

    async fn attempt<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(patience, work).await {
            Ok(outcome) => outcome.map_err(|error| {
                let refused =
                    error.kind() == ErrorKind::AuthenticationFailed || error.code() == Some("NOAUTH");
                Failure {
                    // The function may return other credentials next time.
                    permanent: refused && !self.access.asks || lacks_database(&error),
                    reason: advised(&error, self.access.tls.is_some()),
                }
            }),
            Err(_) => Err(Failure::late(patience)),
        }
    }
}

/// Host and port in the form for messages.
pub fn address_of(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Whether this is ROLE's reply of a replica. A server that does not answer ROLE counts as a primary: a replica refuses writes itself.
fn is_replica(role: &Value) -> bool {
    matches!(role, Value::Array(fields) if matches!(fields.first(), Some(Value::BulkString(name)) if name == b"slave"))
}

/// An error if that is what the server says to everything.
fn refusing_everything(reply: Value) -> RedisResult<()> {
    match reply.extract_error() {
        Err(error) if matches!(error.code(), Some("NOAUTH" | "LOADING" | "MASTERDOWN")) => Err(error),
        _ => Ok(()),
    }
}

/// No user, if both are empty.
pub fn as_user(settings: RedisConnectionInfo, user: &str, password: &str) -> RedisConnectionInfo {
    match (user, password) {
        ("", "") => settings,
        ("", password) => settings.set_password(password),
        (user, password) => settings.set_username(user).set_password(password),
    }
}
