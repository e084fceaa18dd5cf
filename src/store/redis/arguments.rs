//! The form of values in scripts' arguments and replies.

use std::time::Duration;

use redis::Value;
use ulid::Ulid;

use crate::{
    model::{cursor::MAX_SEQ, frame::Reference, ttl::Ttl},
    redis::script::Call,
    store::{OwnerCheck, Position, Seal},
    util::time,
};

pub(super) fn number(reply: &Value) -> u64 {
    match reply {
        Value::Int(number) => u64::try_from(*number).unwrap_or_default(),
        _ => 0,
    }
}

/// How scripts take text that may be absent.
pub(super) fn optional(text: Option<&String>) -> String {
    text.map_or_else(String::new, |text| format!("={text}"))
}

/// The caller, in the form for scripts.
pub(super) fn check(owner: &OwnerCheck) -> String {
    match owner {
        OwnerCheck::Internal => String::new(),
        OwnerCheck::Caller(None) => "-".to_owned(),
        OwnerCheck::Caller(Some(owner)) => format!("={owner}"),
    }
}

/// Whole milliseconds, at least one; a thousand years at most, which no expiry in Redis overflows.
pub(super) fn millis(duration: Duration) -> u64 {
    time::millis(duration).clamp(1, 1 << 45)
}

/// How scripts take a position: a word, a generation and a seq or an index.
pub(super) fn position(position: Position) -> (&'static str, Option<Ulid>, i64) {
    const MOST: i64 = MAX_SEQ.cast_signed();
    let bounded = |seq: u64| seq.min(MAX_SEQ).cast_signed();
    match position {
        Position::Start => ("start", None, 0),
        Position::Now => ("now", None, 0),
        Position::AfterSealed => ("open", None, 0),
        Position::Index(index) => ("index", None, index.clamp(-MOST, MOST)),
        Position::After { generation, seq } => ("after", Some(generation), bounded(seq)),
        Position::Next { generation, seq } => ("next", Some(generation), bounded(seq)),
    }
}

/// The large chunk that a frame refers to, if it does.
pub(super) fn with_large(call: Call, large: Option<Reference>) -> Call {
    match large {
        Some(large) => call.show(large.id).show(large.pieces()),
        None => call.text("").text(""),
    }
}

/// The arguments of a script that writes with a seal, else nothing; if others follow, see [`without_seal`].
pub(super) fn with_seal(call: Call, seal: Option<&Seal>) -> Call {
    let Some(seal) = seal else { return call };
    call.show(seal.after)
        .show(seal.last())
        .bytes(&seal.frame.bytes)
        .show(seal.frame.body_len)
        .show(seal.replaced)
}

/// What stands in the place of a seal, if something follows it.
pub(super) fn without_seal(call: Call) -> Call {
    (0..5).fold(call, |call, _| call.text(""))
}

/// How long the queue and the set of open generations live after the last use.
pub(super) fn queue_ttl(ttl: Ttl) -> u64 {
    2 * millis(ttl.active).max(millis(ttl.done))
}
