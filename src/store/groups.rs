//! Work that the consumers of a group share: its items and their resolution.
//!
//! Every item of the work is handed to one consumer of the group. It stays that consumer's until it is resolved; one that
//! was held for longer than [`Take::claim_idle`] goes to the next consumer that takes items. An item that was handed out
//! [`Take::max_deliveries`] times and never resolved is a *dead letter*: nobody gets it until it is retried.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{OwnerCheck, Position};
use crate::{
    Cursor, Error, StreamId,
    model::ending::{Outcome, Terminal},
};

/// A stream, and the queue of finished generations, has at most this many groups.
pub const MAX_GROUPS: usize = 100;

/// A group gets no new items while it holds this many that are neither resolved nor given up.
pub const MAX_HELD: usize = 10_000;

/// About so many finished generations are remembered.
pub const MAX_FINISHED: usize = 1 << 16;

/// What a group works through.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// The chunks of a stream: of the generations that are kept, from where the group began.
    Stream(&'a StreamId),
    /// The generations that have finished, of all streams, since any group first asked.
    Finished,
}

/// A generation that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Where its chunks are.
    pub stream: StreamId,
    /// Its id and its last seq.
    pub cursor: Cursor,
    /// How it ended.
    pub terminal: Terminal,
}

/// Names an item within its work: a chunk's ordinal and seq, or the queue's own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ItemId(pub u64, pub u64);

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

impl From<ItemId> for String {
    fn from(id: ItemId) -> Self {
        id.to_string()
    }
}

impl FromStr for ItemId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let halves = text.split_once('-');
        halves
            .and_then(|(first, second)| Some(Self(first.parse().ok()?, second.parse().ok()?)))
            .ok_or_else(|| Error::invalid("id", "is not an item's"))
    }
}

impl TryFrom<String> for ItemId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

/// Asks for items.
#[derive(Debug, Clone)]
pub struct Take {
    /// The group, which is made by its first take.
    pub group: String,
    /// Who takes.
    pub consumer: String,
    /// Where a new group begins: [`Position::Start`], [`Position::Now`] or after a cursor.
    pub from: Position,
    /// At most so many items at once, 1 or more.
    pub count: usize,
    /// Items that others have held for so long are theirs no more.
    pub claim_idle: Duration,
    /// Items that were handed out so often are dead letters.
    pub max_deliveries: u64,
    /// The items after this one that the consumer itself holds, from a life before; only when there are none, others.
    pub own: Option<ItemId>,
    /// Who asks.
    pub owner: OwnerCheck,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The chunk at a cursor.
    Chunk(Cursor),
    /// That a generation has ended, in the queue of finished ones.
    Finished(Finished),
}

/// One item of the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// By which it is acknowledged, and counted.
    pub id: ItemId,
    /// How often it was handed out, this time included.
    pub deliveries: u64,
    /// What it is.
    pub subject: Subject,
}

/// The answer to [`Take`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// In the order of the work, those that come again first.
    pub items: Vec<Item>,
    /// The last generation has ended, and the group has resolved or given up everything.
    pub done: Option<Terminal>,
    /// Items that were not resolved are gone with their generation; the group continues from here. Reported once.
    pub lost: Option<Cursor>,
}

/// The resolution of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is done.
    Done,
    /// Whoever takes next may have it, as if it had not been handed out; ignored unless the consumer holds it.
    Back,
    /// A dead letter is handed out again.
    Retry,
    /// A dead letter is given up.
    Drop,
}

impl Verdict {
    /// As it is stored.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Back => "back",
            Self::Retry => "retry",
            Self::Drop => "drop",
        }
    }
}

/// Says what becomes of items; what the group does not hold (any more) is ignored.
#[derive(Debug, Clone)]
pub struct Resolve {
    /// Whose items are resolved.
    pub group: String,
    /// Who says so.
    pub consumer: String,
    /// What becomes of which.
    pub verdicts: Vec<(ItemId, Verdict)>,
    /// Who asks.
    pub owner: OwnerCheck,
}

/// Asks for dead letters.
#[derive(Debug, Clone)]
pub struct Dead {
    /// Whose dead letters are meant.
    pub group: String,
    /// Those after this one.
    pub after: Option<ItemId>,
    /// At most so many of them, 1 or more.
    pub count: usize,
    /// Who asks.
    pub owner: OwnerCheck,
}

/// A group, as [`Store::groups`](super::Store::groups) lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupStatus {
    /// As `consume` was given it.
    pub group: String,
    /// Items that were delivered and neither resolved nor given up.
    pub held: u64,
    /// Dead letters.
    pub dead: u64,
    /// Items that were never delivered; `None` if the store does not know.
    pub behind: Option<u64>,
}

/// A generation that began and has not been announced as finished.
pub type OpenGeneration = (StreamId, Ulid);

/// The answer to [`Store::overdue`](super::Store::overdue).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overdue {
    /// What is to be looked at now.
    pub open: Vec<OpenGeneration>,
    /// When something is to be looked at next; `None` while nothing is open.
    pub next: Option<Duration>,
}

/// The error for a group too many.
pub(super) fn full() -> Error {
    Error::Store {
        operation: "take",
        reason: format!("there are {MAX_GROUPS} groups already"),
        retryable: false,
    }
}

impl Finished {
    /// From its parts, as they are stored.
    pub(super) fn parse(stream: &str, cursor: &str, outcome: &str, reason: &str) -> Option<Self> {
        Some(Self {
            stream: StreamId::new(stream).ok()?,
            cursor: cursor.parse().ok()?,
            terminal: Terminal {
                outcome: Outcome::parse(outcome)?,
                reason: reason.to_owned(),
            },
        })
    }
}
