//! A command for a server, and how long to wait for it.

use std::time::Duration;

use redis::Cmd;

use super::script::Call;

/// How long an operation waits.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For an answer.
    pub command: Duration,
}

/// What a server is to do, with what belongs to one key.
pub enum Job<'a> {
    Script(&'a Call),
    Command {
        operation: &'static str,
        key: &'a str,
        command: &'a Cmd,
    },
}

impl Job<'_> {
    /// For errors.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Script(call) => call.script.operation,
            Self::Command { operation, .. } => operation,
        }
    }

    /// Says which server of a cluster it is for.
    pub fn key(&self) -> &str {
        match self {
            Self::Script(call) => call.first_key(),
            Self::Command { key, .. } => key,
        }
    }
}
