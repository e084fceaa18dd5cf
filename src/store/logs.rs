//! Logs: generations without a leased producer (`docs/adr/0035-an-open-log.md`).
//!
//! Any process appends, any process closes, and nothing is interrupted: instead of a producer a log has [`NOBODY`], whose lease
//! never expires. Keys, frames, messages and ends are those of every other generation.

use std::time::Duration;

use ulid::Ulid;

pub use super::log_config::LogConfig;
use super::values::{OwnerCheck, Seal};
use crate::{
    Cursor,
    model::{
        ending::Terminal,
        frame::{EncodedFrame, Reference},
    },
};

/// The producer of every log.
pub const NOBODY: Ulid = Ulid::nil();

/// Its lease: longer than any log lives.
pub const FOREVER: Duration = Duration::from_secs(1000 * 365 * 24 * 3600);

/// A log remembers so many writers, engines and their callers' producers together; one more, and the half that has written last is kept.
pub const MAX_WRITERS: usize = 1000;

/// The part of a media type that counts when two are compared: in lower case, without parameters.
pub fn essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// What to do about a log that is not there, or is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfThere {
    /// A log that is there has to be as the new one would be, and nothing is written to it.
    Compare,
    /// It is written to.
    Write,
}

/// Makes a log.
#[derive(Debug, Clone)]
pub struct LogCreate {
    /// The id of its generation. Its time is replaced by that of the one before it, if that names a later one.
    pub generation: Ulid,
    /// What it is made with.
    pub config: LogConfig,
    /// How long its keys live after the last access, unless it ends at a set time.
    pub keep: Duration,
    /// Who may read, write and close it.
    pub owner: Option<String>,
    /// The caller's metadata, a JSON text kept as it is.
    pub metadata: Option<String>,
    /// What if it is there.
    pub if_there: IfThere,
    /// What it begins with follows by another write, and its close with that: [`LogWrite::close`] is compared, not done.
    pub is_first_part: bool,
    /// A fork is made of what this attempt has put down ([`Stage`](super::forks::Stage)): of nothing else, and only if it is not there.
    pub stage: Option<Ulid>,
}

/// A writer that numbers what it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogProducer {
    /// Tells those apart who number what they append; 1 to 256 bytes.
    pub id: String,
    /// A later epoch fences the earlier ones.
    pub epoch: u64,
    /// From 0, by one.
    pub seq: u64,
}

/// Writes to a log. Exactly once: when `batch` is the writer's last accepted one, the stored answer is returned.
#[derive(Debug, Clone)]
pub struct LogWrite {
    /// Makes the log first, if it is not there.
    pub create: Option<LogCreate>,
    /// Who writes, for a log that is there.
    pub owner: OwnerCheck,
    /// The engine that writes.
    pub writer: Ulid,
    /// Tells its batches apart: each has a larger one than those before.
    pub batch: u64,
    /// The last chunk that the engine knows of. A log that ends before it has lost something: that seq is not given to another chunk.
    pub known: Option<Cursor>,
    /// The generation that the log has to be: the one that the pieces of `large` are in, or that the caller knows.
    pub generation: Option<Ulid>,
    /// On whose behalf.
    pub producer: Option<LogProducer>,
    /// Has to be greater, byte by byte, than that of the write before.
    pub order: Option<String>,
    /// The essence of a content type that the log's has to equal.
    pub essence: Option<String>,
    /// The chunks, if any.
    pub frame: Option<EncodedFrame>,
    /// The large chunk that the frame refers to, all of whose pieces have to be there. They are dropped with a refusal.
    pub large: Option<Reference>,
    /// Whether it is closed.
    pub close: bool,
    /// What is sealed in the same step, after the chunks were appended and before the end.
    pub seal: Option<Seal>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutcome {
    /// Accepted.
    Written {
        /// The last seq of what was written; of the log when that was nothing.
        last: u64,
        /// Whether the log was made.
        is_new: bool,
    },
    /// It is there, as it would have been made.
    Exists,
    /// The producer has written this before, in this epoch and up to this seq.
    Duplicate {
        /// The highest epoch that was accepted from it.
        epoch: u64,
        /// The last seq accepted of it.
        seq: u64,
    },
    /// There is no such log.
    Missing,
    /// There is a stream of another kind.
    Other,
    /// It was made differently.
    Conflict,
    /// It is closed.
    Closed,
    /// It has another content type.
    ContentType,
    /// The producer has been replaced by a later epoch.
    Stale {
        /// That epoch.
        epoch: u64,
    },
    /// A new epoch has to begin with seq 0.
    Begin,
    /// A write of the producer is missing before this one.
    Skipped {
        /// The seq that has to come next.
        expected: u64,
    },
    /// `order` is not greater than that of the write before.
    Disorder,
    /// Pieces of the large chunk are not there (any more).
    Incomplete,
    /// The log is not of the generation that it has to be: it has been made anew.
    Renewed,
    /// The sealed part does not end where the seal begins.
    Unsealed,
    /// A later batch of the same engine has been accepted.
    Late,
    /// It was deleted, and the name is kept for its forks.
    Kept,
    /// What was put down for the fork is gone, or there is a stream.
    Unstaged,
    /// There is no log to be forked.
    NoSource,
    /// The log to be forked was deleted, and has forks.
    SourceKept,
    /// The log to be forked has [`MAX_FORKS`](super::forks::MAX_FORKS).
    Crowded,
    /// The log to be forked has no such place.
    NoPlace,
}

/// A log as it is after a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHead {
    /// Which log of this id it is: a later one has a later ULID.
    pub generation: Ulid,
    /// The generation's ordinal.
    pub ordinal: u64,
    /// The seq before its first chunk.
    pub base: u64,
    /// The seq of its last chunk; its base if it has none.
    pub seq: u64,
    /// Its end, once it is closed.
    pub terminal: Option<Terminal>,
    /// The reason of a stop that was requested.
    pub stop: Option<String>,
    /// How many open entries there are.
    pub open: u64,
    /// Of a fork: see [`Fork::origins`](super::forks::Fork::origins).
    pub origins: Vec<Cursor>,
}

/// The answer to [`LogWrite`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogWritten {
    /// What became of it.
    pub outcome: LogOutcome,
    /// The log, if there is one.
    pub head: Option<LogHead>,
}
