//! The state of an engine's connection, and the questions that a connection asks.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of the connection to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// Not used yet.
    Idle,
    /// The first connection is being made.
    Connecting,
    /// Commands and live messages flow.
    Ready,
    /// A connection was lost and is being made again.
    Reconnecting,
    /// Reconnecting has failed at least once: live answers go on from memory, writes queue up.
    Degraded,
    /// Closed for good.
    Closed,
}

/// As whom to connect.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// The URL's user if there is none.
    pub username: Option<String>,
    /// A password, or a token that stands for one.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Takes credentials, or the reason why there are none, which must contain no secrets.
pub type CredentialsSender = tokio::sync::oneshot::Sender<Result<Credentials, String>>;
