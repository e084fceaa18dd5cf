//! Which node the keys live on, and how to connect to it.
//!
//! There is one node here. Sentinel and Cluster change this file: the connections it hands out are all that the rest
//! of the module knows of a server.

use std::{sync::Once, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo as _, ProtocolVersion,
    RedisError, RedisResult, Value,
    aio::{MultiplexedConnection, PubSubSink, PubSubStream},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

use super::scripts;
use crate::{Error, Result};

/// Commands that may wait in the connection's queue, beyond which senders wait in turn.
const QUEUE: usize = 1024;

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// Where to connect to, and as whom.
pub(super) struct Target {
    client: Client,
    address: String,
}

/// Why an attempt to connect failed, without credentials.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub reason: String,
    /// Trying again does not help: the credentials are wrong.
    pub permanent: bool,
}

impl Target {
    /// Takes a URL apart. The error does not repeat it: it may hold a password.
    pub fn parse(url: &str) -> Result<Self> {
        let refused = || {
            Error::invalid(
                "url",
                "must be redis://, rediss:// (TLS) or redis+unix://, as in redis://[user:password@]host[:port][/db]; \
                 percent-encode special characters",
            )
        };
        let info = url.into_connection_info().map_err(|_| refused())?;
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }
                if host.contains(':') =>
            {
                format!("[{host}]:{port}")
            }
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                format!("{host}:{port}")
            }
            ConnectionAddr::Unix(path) => path.display().to_string(),
            _ => return Err(refused()),
        };
        let settings = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP2)
            .set_lib_name("tidemark", env!("CARGO_PKG_VERSION"));
        let info = info.set_tcp_settings(tcp()).set_redis_settings(settings);
        Ok(Self {
            client: Client::open(info).map_err(|_| refused())?,
            address,
        })
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
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

    /// A connection for commands, with the scripts loaded.
    pub async fn commands(&self, patience: Duration) -> Result<MultiplexedConnection, Failure> {
        self.attempt(patience, async {
            // The operations bring their own time limits, which also count the wait in the queue.
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None)
                .set_pipeline_buffer_size(QUEUE);
            let mut connection = self
                .client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            let mut pipeline = redis::pipe();
            pipeline.cmd("CLIENT").arg("SETNAME").arg("tidemark");
            for script in scripts::all() {
                pipeline.cmd("SCRIPT").arg("LOAD").arg(script.source);
            }
            for reply in connection
                .send_packed_commands(&pipeline, 0, pipeline.len())
                .await?
            {
                usable(reply)?;
            }
            Ok(connection)
        })
        .await
    }

    /// A connection for subscriptions.
    pub async fn subscriber(&self, patience: Duration) -> Result<(PubSubSink, PubSubStream), Failure> {
        self.attempt(patience, async {
            let (mut sink, stream) = self.client.get_async_pubsub().await?.split();
            usable(sink.ping().await?)?;
            Ok((sink, stream))
        })
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
            Err(_) => Err(Failure {
                reason: format!("no connection within {} ms", patience.as_millis()),
                permanent: false,
            }),
        }
    }
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

/// A missing right to name the connection or to load scripts is no obstacle; a server that refuses everything is.
fn usable(reply: Value) -> RedisResult<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_without_showing_the_password() {
        for (url, address) in [
            ("redis://host", "host:6379"),
            ("redis://bob:sesame@host:1/2", "host:1"),
            ("rediss://:sesame@[::1]:7000", "[::1]:7000"),
        ] {
            assert_eq!(Target::parse(url).unwrap().address(), address);
        }
        for url in [
            "redis://:sesame@",
            "http://:sesame@host",
            "sesame",
            "redis://:sesame@h/db",
        ] {
            let error = Target::parse(url).err().unwrap();
            assert_eq!(error.code(), "ERR_INVALID_ARGUMENT", "{url}");
            assert!(!error.to_string().contains("sesame"), "{error}");
        }
    }

    #[test]
    fn only_the_same_settings_have_the_same_identity() {
        let identity = |url| Target::parse(url).unwrap().identity();
        assert_eq!(identity("redis://host"), identity("redis://host:6379/0"));
        for other in [
            "redis://host/1",
            "redis://:a@host",
            "redis://host:1",
            "rediss://host",
        ] {
            assert_ne!(identity("redis://host"), identity(other), "{other}");
        }
    }
}
