//! Failures: the server's message, and what it means.

use std::{sync::Arc, time::Duration};

use redis::{ErrorKind, RedisError};

use crate::Error;

/// Why an attempt to connect failed, without credentials.
#[derive(Debug, Clone)]
pub struct Failure {
    pub reason: String,
    /// The credentials, or the database, were refused: if they never were accepted, trying again does not help.
    pub permanent: bool,
}

impl Failure {
    /// A transient failure.
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

/// The message of an error, the server's own if it is known.
pub fn words(error: &RedisError) -> String {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return "the server refused the user name or the password".to_owned();
    }
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (_, Some(detail)) => detail.to_owned(),
        _ => error.to_string(),
    }
}

/// The message for a failed attempt to connect, with advice on the URL.
pub fn advised(error: &RedisError, has_tls: bool) -> String {
    let said = words(error);
    match error.kind() {
        // The parser's words are about single bytes.
        ErrorKind::Parse => "what answers there is no Redis server, or not at this port".to_owned(),
        _ if error.code() == Some("NOAUTH") => format!("{said} No password was given"),
        _ if lacks_database(error) => {
            "the server has no database of the number that the URL names".to_owned()
        }
        ErrorKind::Io if !has_tls && was_hung_up(error) => {
            format!("{said}; if the server speaks TLS, the URL begins with rediss://")
        }
        _ => said,
    }
}

/// Whether the server has no database of this number, or, as part of a cluster, one alone.
pub fn lacks_database(error: &RedisError) -> bool {
    let refusals = ["DB index", "SELECT is not allowed"];
    let said = error.detail().unwrap_or_default();
    refusals.iter().any(|refusal| said.contains(refusal))
}

fn was_hung_up(error: &RedisError) -> bool {
    use std::error::Error;
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<Arc<dyn Error + Send + Sync>>())
        .and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| {
        matches!(
            cause.kind(),
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
        )
    })
}

/// Whether the server has answered, and the connection is fine.
pub fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) && error.code() != Some("NOAUTH")
}

/// The error for a command that the server refused.
pub fn refused(operation: &'static str, error: &RedisError) -> Error {
    const PASSING: [&str; 9] = [
        "LOADING",
        "READONLY",
        "MASTERDOWN",
        "BUSY",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "OOM",
        "NOREPLICAS",
        "MISCONF",
    ];
    let mut reason = words(error);
    if error.code() == Some("MOVED") {
        reason.push_str("; this is a server of a cluster, which needs a redis+cluster:// URL");
    }
    if lacks_command(&reason) {
        reason.push_str("; Redis 6.2 or Valkey 7.2 is needed, with all its commands: npx tidemark doctor checks the server");
    }
    Error::Store {
        operation,
        reason,
        retryable: PASSING.iter().any(|code| says(error, code)),
    }
}

/// Whether a server says that it does not know a command, outside of scripts and in them.
pub fn lacks_command(said: &str) -> bool {
    ["unknown command", "Unknown Redis command"]
        .iter()
        .any(|words| said.contains(words))
}

/// Whether a server's message says that the user lacks a right. Inside scripts the message differs between versions.
pub fn is_refusal(said: &str) -> bool {
    const WORDS: [&str; 2] = ["The user executing the script", "ACL failure in script"];
    said.starts_with("NOPERM") || WORDS.iter().any(|words| said.contains(words))
}

/// Whether nothing was done because the keys of a script were of several slots.
pub fn is_split(error: &Error) -> bool {
    matches!(error, Error::Store { reason, .. } if reason.starts_with("CROSSSLOT"))
}

/// Whether the server gives this code. Redis 6.2 wraps what goes wrong inside a script:
/// `ERR Error running script …: -OOM command not allowed …`.
pub fn says(error: &RedisError, code: &str) -> bool {
    error.code() == Some(code)
        || error
            .detail()
            .is_some_and(|detail| detail.contains(&format!(": -{code} ")))
}

#[cfg(test)]
mod tests {
    use redis::ServerErrorKind;

    use super::*;

    #[test]
    fn a_missing_right_is_recognised_in_every_version() {
        for (said, expected) in [
            (
                "NOPERM this user has no permissions to run the 'hincrby' command or its subcommand",
                true,
            ),
            (
                "NOPERM User tm has no permissions to run the 'client|setname' command",
                true,
            ),
            (
                "@user_script: 1: The user executing the script can't run this command or subcommand",
                true,
            ),
            (
                "ERR Error running script (call to f_0a): @user_script:9: @user_script: 9: The user executing the script \
                 can't run this command or subcommand",
                true,
            ),
            (
                "ERR The user executing the script can't access at least one of the keys mentioned",
                true,
            ),
            (
                "ERR ACL failure in script: User tm has no permissions to run the 'hincrby' command",
                true,
            ),
            (
                "WRONGTYPE Operation against a key holding the wrong kind of value",
                false,
            ),
            ("NOAUTH Authentication required.", false),
        ] {
            assert_eq!(is_refusal(said), expected, "{said}");
        }
    }

    #[test]
    fn an_old_server_is_taken_for_one() {
        for (detail, is_old) in [
            (
                "Unknown Redis command called from script script: b613, on @user_script:423.",
                true,
            ),
            (
                "unknown command 'ZMSCORE', with args beginning with: 'index' 'a' ",
                true,
            ),
            (
                "Error running script (call to f_0a): @user_script: 9: Unknown Redis command called from Lua script",
                true,
            ),
            ("value is not an integer or out of range", false),
        ] {
            let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
            let error = refused("append", &(kind, "", detail.to_owned()).into());
            assert_eq!(
                error.to_string().contains("Redis 6.2 or Valkey 7.2 is needed"),
                is_old,
                "{error}"
            );
        }
    }

    #[test]
    fn a_passing_refusal_inside_a_script_of_redis_6_is_recognised() {
        for (detail, retryable) in [
            (
                "Error running script (call to f_0a): @user_script:9: @user_script: 9: -OOM command not allowed",
                true,
            ),
            (
                "Error running script (call to f_0a): @user_script:9: attempt to index a nil value",
                false,
            ),
        ] {
            let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
            let error = refused("append", &(kind, "", detail.to_owned()).into());
            assert_eq!(error.is_retryable(), retryable, "{error}");
        }
    }
}
