//! How to connect to one server.

use std::{
    sync::{Arc, Once},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, Pipeline, ProtocolVersion,
    RedisError, RedisResult, ServerErrorKind, Value,
    aio::{MultiplexedConnection, PubSubSink, PubSubStream},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

use super::{
    board::{Board, Spare},
    commands::is_refusal,
    scripts,
};

/// Commands that may wait in the connection's queue, beyond which senders wait in turn.
const QUEUE: usize = 1024;

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// One server: where to connect to, and as whom.
#[derive(Clone)]
pub(super) struct Server {
    client: Client,
    address: String,
    board: Arc<Board>,
}

/// Why an attempt to connect failed, without credentials.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub reason: String,
    /// The credentials were refused: if they never were accepted, trying again does not help.
    pub permanent: bool,
}

impl Failure {
    /// One that may pass.
    pub fn passing(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            permanent: false,
        }
    }

    /// No connection in time.
    pub fn late(patience: Duration) -> Self {
        Self::passing(format!("no connection within {} ms", patience.as_millis()))
    }

    /// That of one of several servers.
    pub fn of(self, server: &str) -> Self {
        Self {
            reason: format!("{server}: {}", self.reason),
            ..self
        }
    }

    /// That of all of them.
    pub fn all(failures: Vec<Self>) -> Self {
        Self {
            permanent: !failures.is_empty() && failures.iter().all(|failure| failure.permanent),
            reason: failures
                .into_iter()
                .map(|failure| failure.reason)
                .collect::<Vec<_>>()
                .join("; "),
        }
    }
}

impl Server {
    pub fn new(info: ConnectionInfo, board: &Arc<Board>) -> RedisResult<Self> {
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                address_of(host, *port)
            }
            other => other.to_string(),
        };
        let settings = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP2)
            // Redis knows the command since 7.2 alone, so that no list of rights would fit all versions.
            .set_skip_set_lib_name();
        let info = info.set_tcp_settings(tcp()).set_redis_settings(settings);
        Ok(Self {
            client: Client::open(info)?,
            address,
            board: Arc::clone(board),
        })
    }

    /// Another server that is spoken to in the same way.
    pub fn at(&self, host: &str, port: u16) -> RedisResult<Self> {
        let host = host.to_owned();
        let info = self.client.get_connection_info();
        let addr = match info.addr() {
            ConnectionAddr::TcpTls {
                insecure, tls_params, ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        Self::new(info.clone().set_addr(addr), &self.board)
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn host(&self) -> &str {
        match self.client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
            _ => "",
        }
    }

    /// The same text for the same connection. Holds the credentials: not to be shown.
    pub fn identity(&self) -> String {
        let info = self.client.get_connection_info();
        let settings = info.redis_settings();
        format!(
            "{:?} {} {:?} {:?}",
            info.addr(),
            settings.db(),
            settings.username(),
            settings.password()
        )
    }

    /// A connection for commands, with the scripts loaded; `as_primary` refuses a replica.
    pub async fn commands(
        &self,
        patience: Duration,
        as_primary: bool,
    ) -> Result<MultiplexedConnection, Failure> {
        self.attempt(patience, async {
            let mut connection = self.connection().await?;
            let mut name = redis::cmd("CLIENT");
            name.arg("SETNAME").arg("tidemark");
            // By itself: a server that wants a password says so, but hangs up on those who send it a long script before.
            if self.board.may(Spare::Name) {
                self.usable(Spare::Name, connection.send_packed_command(&name).await?)?;
            }
            let mut pipeline = redis::pipe();
            let mut sent = Vec::new();
            if as_primary && self.board.may(Spare::Role) {
                pipeline.cmd("ROLE");
                sent.push(Spare::Role);
            }
            if self.board.may(Spare::Load) {
                for script in scripts::all() {
                    pipeline.cmd("SCRIPT").arg("LOAD").arg(script.source);
                    sent.push(Spare::Load);
                }
            }
            if pipeline.is_empty() {
                return Ok(connection);
            }
            let replies = connection
                .send_packed_commands(&pipeline, 0, pipeline.len())
                .await?;
            for (spare, reply) in sent.into_iter().zip(replies) {
                if is_replica(&reply) {
                    let reason = "this server is a replica".to_owned();
                    return Err((ErrorKind::Server(ServerErrorKind::ReadOnly), "", reason).into());
                }
                self.usable(spare, reply)?;
            }
            Ok(connection)
        })
        .await
    }

    /// A connection for subscriptions.
    pub async fn subscriber(&self, patience: Duration) -> Result<(PubSubSink, PubSubStream), Failure> {
        self.attempt(patience, async {
            let (mut sink, stream) = self.client.get_async_pubsub().await?.split();
            self.usable(Spare::Ping, sink.ping().await?)?;
            Ok((sink, stream))
        })
        .await
    }

    /// Asks something on a connection that is closed after it.
    pub async fn ask(&self, questions: &Pipeline, patience: Duration) -> Result<Vec<Value>, Failure> {
        self.attempt(patience, async {
            let mut connection = self.connection().await?;
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

    /// A missing right to name the connection or to load scripts is no obstacle; a server that refuses everything is.
    fn usable(&self, spare: Spare, reply: Value) -> RedisResult<()> {
        self.heed(spare, &reply);
        refusing_everything(reply)
    }

    /// Notes what can be done without, if that is what a server has refused.
    pub fn heed(&self, spare: Spare, reply: &Value) {
        if let Err(error) = reply.clone().extract_error() {
            let said = words(&error);
            if is_refusal(&said) {
                self.board.refused(spare, &self.address, &said);
            }
        }
    }

    /// Whether something may be tried that can be done without.
    pub fn may(&self, spare: Spare) -> bool {
        self.board.may(spare)
    }

    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        // The operations bring their own time limits, which also count the wait in the queue.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    async fn attempt<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, Failure> {
        if let ConnectionAddr::TcpTls { .. } = self.client.get_connection_info().addr() {
            static PROVIDER: Once = Once::new();
            // Fails when the process has one already, which serves as well.
            PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        }
        match tokio::time::timeout(patience, work).await {
            Ok(outcome) => outcome.map_err(|error| Failure {
                permanent: error.kind() == ErrorKind::AuthenticationFailed || error.code() == Some("NOAUTH"),
                reason: words(&error),
            }),
            Err(_) => Err(Failure::late(patience)),
        }
    }
}

/// Host and port as they are shown.
pub(super) fn address_of(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Whether this is ROLE's reply of a replica. A server that does not tell counts as a primary: it refuses writes itself.
fn is_replica(role: &Value) -> bool {
    matches!(role, Value::Array(fields) if matches!(fields.first(), Some(Value::BulkString(name)) if name == b"slave"))
}

/// What an error says, in the server's words if they are known.
pub(super) fn words(error: &RedisError) -> String {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return "the server refused the user name or the password".to_owned();
    }
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (_, Some(detail)) => detail.to_owned(),
        _ => error.to_string(),
    }
}

/// An error if that is what the server says to everything.
fn refusing_everything(reply: Value) -> RedisResult<()> {
    match reply.extract_error() {
        Err(error) if matches!(error.code(), Some("NOAUTH" | "LOADING" | "MASTERDOWN")) => Err(error),
        _ => Ok(()),
    }
}

fn tcp() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10));
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(UNACKNOWLEDGED);
    settings
}
