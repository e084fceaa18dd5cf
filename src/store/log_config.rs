//! The options with which a log was created.

use serde::Serialize;

use super::forks::Fork;

/// The options of a log: set when it is created, and the same ever after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogConfig {
    /// A media type, as it was given.
    pub content_type: String,
    /// How long it lives after the last time that it was read or written, in milliseconds, if that was asked for.
    pub ttl_ms: Option<u64>,
    /// When it ends, in milliseconds since 1970, if that was asked for.
    pub expires_at: Option<u64>,
    /// Where it comes from, if it is a fork.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fork: Option<Fork>,
}
