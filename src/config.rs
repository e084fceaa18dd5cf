//! The configuration of an engine.

use std::time::Duration;

use serde::Deserialize;
use tracing::level_filters::LevelFilter;

use crate::model::ttl::Ttl;

/// An engine's options, complete and checked by the caller (`ts/options/options.ts` for JavaScript, which documents them).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// A URL of Redis (see `ts/options/url.ts`) or `memory:`. `memory:` is one store per process, `memory:<name>` another.
    pub url: String,
    /// TLS options, for a URL with TLS; `None` trusts the well-known authorities.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The number of the host's function for user and password, if it has one; engines with the same number share connections.
    #[serde(default)]
    pub credentials: Option<u64>,
    /// What the process calls itself, for people who look at its producers; empty: nothing.
    #[serde(default)]
    pub process: String,
    /// Begins every key and channel.
    pub key_prefix: String,
    /// TTL of a live stream's keys, in milliseconds.
    pub ttl_active_ms: u64,
    /// TTL of a finished stream's keys, in milliseconds.
    pub ttl_done_ms: u64,
    /// How long a producer counts as alive after its last sign, in milliseconds.
    pub lease_ms: u64,
    /// How long a producer may write closing chunks after a stop, in milliseconds.
    pub stop_grace_ms: u64,
    /// How long an operation waits for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long an operation waits for an answer, in milliseconds.
    pub command_timeout_ms: u64,
    /// Extra time for chunks to gather before a batch leaves, in milliseconds; 0 sends at once.
    pub flush_interval_ms: u64,
    /// How long after some chunks were sent the following ones of all producers may gather, in milliseconds; 0 sends at once.
    pub write_interval_ms: u64,
    /// How long after some chunks were delivered further ones may gather before JavaScript is woken for them, in milliseconds;
    /// 0 wakes at once.
    pub delivery_interval_ms: u64,
    /// How long consumers' cursors gather before they are written, in milliseconds.
    pub ack_interval_ms: u64,
    /// A producer's queue is full at this many bytes.
    pub max_queue_bytes: usize,
    /// Level of gzip, 1 to 9; 0 leaves streams as they were written.
    pub compression: u32,
    /// The level of events that the host gets.
    #[serde(default)]
    pub log_level: LogLevel,
}

/// How grave an event of the log is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// No events.
    #[default]
    Off,
    /// Failures that lose something.
    Error,
    /// Events that an operator should look at.
    Warn,
    /// Changes: connections, takeovers, stops, expired leases.
    Info,
    /// Events of single streams, and repairs.
    Debug,
    /// The same, for each batch.
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::OFF,
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Whom to trust, and as whom to be seen. All certificates and keys are PEM.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// Trusted, as authorities or for themselves.
    pub ca: Vec<String>,
    /// The authorities that browsers know are trusted too.
    pub well_known: bool,
    /// The operating system's authorities are trusted too.
    pub system: bool,
    /// Everybody is trusted.
    pub insecure: bool,
    /// The client's certificate, followed by those between it and its authority, and its key, not encrypted.
    pub cert: Option<String>,
    /// See `cert`.
    pub key: Option<String>,
    /// The name to ask for and to be shown, if it is not the URL's host.
    pub server_name: Option<String>,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            ca: Vec::new(),
            well_known: true,
            system: false,
            insecure: false,
            cert: None,
            key: None,
            server_name: None,
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The rest holds a key.
        f.debug_struct("Tls")
            .field("insecure", &self.insecure)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The TTLs of streams that bring none of their own.
    pub fn ttl(&self) -> Ttl {
        Ttl {
            active: Duration::from_millis(self.ttl_active_ms),
            done: Duration::from_millis(self.ttl_done_ms),
        }
    }

    /// How long an operation waits for a connection.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// How long an operation waits for an answer.
    pub fn command_timeout(&self) -> Duration {
        Duration::from_millis(self.command_timeout_ms)
    }

    /// How long a producer may write after a stop.
    pub fn stop_grace(&self) -> Duration {
        Duration::from_millis(self.stop_grace_ms)
    }

    /// How long chunks may gather.
    pub fn flush_interval(&self) -> Duration {
        Duration::from_millis(self.flush_interval_ms)
    }

    /// How long after chunks were sent the following ones may gather.
    pub fn write_interval(&self) -> Duration {
        Duration::from_millis(self.write_interval_ms)
    }

    /// How long after a delivery chunks may gather for the next one.
    pub fn delivery_interval(&self) -> Duration {
        Duration::from_millis(self.delivery_interval_ms)
    }

    /// How long consumers' cursors gather.
    pub fn ack_interval(&self) -> Duration {
        Duration::from_millis(self.ack_interval_ms)
    }

    /// A producer is not ready while this many bytes wait.
    pub fn high_water_mark(&self) -> usize {
        self.max_queue_bytes / 4
    }

    /// The lease of every producer.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }
}
