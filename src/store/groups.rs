//! Work that the consumers of a group share: its items and their resolution.
//!
//! Every item of the work is delivered to one consumer of the group. It stays that consumer's until it is resolved; one that
//! was held for longer than [`Take::claim_idle`] goes to the next consumer that takes items. An item that was delivered
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

/// About this many finished generations are remembered.
pub const MAX_FINISHED: usize = 1 << 16;

/// The work of a group.
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
    /// The stream that has its chunks.
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
    /// The group; its first take creates it.
    pub group: String,
    /// The consumer that takes items.
    pub consumer: String,
    /// Where a new group begins: [`Position::Start`], [`Position::Now`] or after a cursor; at the end of a log that ends before that, as one
    /// that has lost something.
    pub from: Position,
    /// The most items at once, 1 or more.
    pub count: usize,
    /// Items that others have held for this long may be taken from them.
    pub claim_idle: Duration,
    /// Items that were delivered this often become dead letters.
    pub max_deliveries: u64,
    /// Takes first the items after this one that the consumer itself holds already; others only when there are none.
    pub own: Option<ItemId>,
    /// Up to here the consumer knows that everything is lost, because an answer has said so ([`Taken::lost`]) or because the chunks
    /// cannot be found: the group continues after it.
    pub told: Option<Cursor>,
    /// Who asks.
    pub owner: OwnerCheck,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The chunk at a cursor.
    Chunk(Cursor),
    /// A generation that has ended, in the queue of finished ones.
    Finished(Finished),
}

/// One item of the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The id by which it is acknowledged and counted.
    pub id: ItemId,
    /// How often it was delivered, including this time.
    pub deliveries: u64,
    /// What it is.
    pub subject: Subject,
}

/// The answer to [`Take`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// In the order of the work; redelivered items come first.
    pub items: Vec<Item>,
    /// The last generation has ended, and the group has resolved or given up everything.
    pub done: Option<Terminal>,
    /// Items that were not resolved are gone with their generation, or a log has lost what a new group was to begin after; the group continues
    /// from here. Reported until a take says that
    /// it was ([`Take::told`]), or once by a store whose answers are never lost.
    pub lost: Option<Cursor>,
}

/// The resolution of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resolution {
    /// It is done.
    Done,
    /// Gives it to the next consumer that takes items, as if it had not been delivered; ignored unless the consumer holds it.
    Back,
    /// Delivers a dead letter again.
    Retry,
    /// Removes a dead letter.
    Drop,
}

impl Resolution {
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

/// Resolves items; those that the group does not hold (any more) are ignored.
#[derive(Debug, Clone)]
pub struct Resolve {
    /// The group whose items are resolved.
    pub group: String,
    /// The consumer that resolves them.
    pub consumer: String,
    /// The items and their resolutions.
    pub resolutions: Vec<(ItemId, Resolution)>,
    /// Who asks.
    pub owner: OwnerCheck,
}

/// Asks once more for items that were delivered, by a consumer that may not have heard of it.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// The group.
    pub group: String,
    /// The consumer that holds them.
    pub consumer: String,
    /// Those after this one; the default for all.
    pub after: ItemId,
    /// The most items that are looked at, 1 or more.
    pub count: usize,
    /// As in [`Take`]: what is held for longer comes with the next take.
    pub claim_idle: Duration,
    /// Who asks.
    pub owner: OwnerCheck,
}

/// The answer to [`Repeat`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repeated {
    /// What the consumer holds, in the order of the work.
    pub items: Vec<Item>,
    /// Where to continue, if there may be more.
    pub after: Option<ItemId>,
}

/// Asks for dead letters.
#[derive(Debug, Clone)]
pub struct Dead {
    /// The group whose dead letters are listed.
    pub group: String,
    /// Those after this one.
    pub after: Option<ItemId>,
    /// The most letters, 1 or more.
    pub count: usize,
    /// Who asks.
    pub owner: OwnerCheck,
}

/// A group, as [`Store::groups`](super::Store::groups) lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupStatus {
    /// The name given to `consume`.
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
    /// The generations to look at now.
    pub open: Vec<OpenGeneration>,
    /// When to look next; `None` while nothing is open.
    pub next: Option<Duration>,
}

/// The error when there are too many groups.
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
