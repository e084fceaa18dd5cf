//! What the JavaScript implementation that this package replaces has left in Redis, under keys of its own.
//!
//! | key | type | content |
//! |---|---|---|
//! | `message-stream-<chat>:stream` | sorted set | the events as JSON, by seq from 0 (its first generation) |
//! | `message-stream-<chat>:stream` | stream | the same, in a field `event` (its second generation) |
//! | `message-stream-<chat>:events:<seq, 6 digits>` | string | a copy of each event, for an hour (the first) |
//! | `stop-stream:<chat>` | string | a stop, for five minutes |

pub mod left;

use serde::{Deserialize, Serialize};

use crate::store::Pending;

/// What one may ask of it. Every question touches a bounded number of entries; large answers come in pages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    tag = "ask",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Ask {
    /// A page of a chat's events.
    Events {
        /// Whose messages are read: part of the predecessor's keys.
        chat: String,
        /// The last page's `next`, or empty.
        after: String,
        /// Only events stored at or after this time, in milliseconds since 1970, where the time is known.
        since: u64,
    },
    /// What there is of a chat.
    Look {
        /// Whose keys are looked at.
        chat: String,
    },
    /// Whether a chat's stop flag is set.
    Flag {
        /// Whose flag is read.
        chat: String,
    },
    /// Sets or removes it.
    SetFlag {
        /// Whose flag is set.
        chat: String,
        /// Whether it is set.
        to: bool,
    },
    /// Removes a chat's keys.
    Clean {
        /// Whose keys go.
        chat: String,
    },
    /// A page of the chats that have a stream.
    Chats {
        /// The last page's `next`, or empty.
        after: String,
    },
}

/// The answer, by the kind of question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Left {
    /// To [`Ask::Events`].
    Events {
        /// JSON texts, oldest first.
        events: Vec<String>,
        /// Where to go on, now or when there is more.
        next: String,
        /// Whether there was more already.
        more: bool,
    },
    /// To [`Ask::Look`]; none when the chat has no events.
    Look(Option<Chat>),
    /// To [`Ask::Flag`]; to [`Ask::SetFlag`], how it is now.
    Flag(bool),
    /// To [`Ask::Clean`]: how many keys were removed.
    Removed(u64),
    /// To [`Ask::Chats`].
    Chats {
        /// Their ids; one may come twice.
        chats: Vec<String>,
        /// Where to go on; none at the end.
        next: Option<String>,
    },
}

/// What there is of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// How many events.
    pub events: u64,
    /// The first one's position: an entry id, or a seq.
    pub first: String,
    /// The last one's position.
    pub last: String,
    /// The last one, as JSON.
    pub last_event: String,
    /// For how long nothing was added, in milliseconds; at least an hour if that is not known.
    pub idle_ms: u64,
    /// When the first was added, in milliseconds since 1970, if that is known.
    pub since: Option<u64>,
    /// Until the stream expires, in milliseconds; none when it does not.
    pub ttl_ms: Option<u64>,
}

/// A store in which the predecessor may have left something.
pub trait Predecessor: Send + Sync + 'static {
    /// Looks at what it has left behind, or changes it; `None` where it never was. Fails as [`Store`](crate::store::Store) does.
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Option<Left>>;
}
