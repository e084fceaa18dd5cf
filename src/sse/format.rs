//! The formats of events.

use std::io::Write as _;

use serde::Deserialize;

/// The form of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Events by name: chunks as messages, `bytes` and `text`, then `reset` and `end`.
    Events,
    /// The AI SDK's UI message stream: every chunk is a JSON text, the end is `[DONE]`.
    UiMessages,
}

pub(super) fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing into memory does not fail.
    let _ = out.write_fmt(text);
}

/// Writes the line with a chunk's cursor, which begins with `prefix`.
pub(super) fn put_id(out: &mut Vec<u8>, prefix: &str, seq: u64) {
    out.extend_from_slice(prefix.as_bytes());
    put(out, format_args!("{seq}\n"));
}
