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

/// The most writers that a log remembers, engines and producers together. When one more comes, the half that has written last is kept.
pub const MAX_WRITERS: usize = 1000;

/// The part of a media type that counts when two are compared: in lower case, without parameters.
pub fn essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// What a write that creates a log does if the log exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfThere {
    /// Compares its configuration with that of the new one, and writes nothing.
    Compare,
    /// Writes to it.
    Write,
}

/// Creates a log.
#[derive(Debug, Clone)]
pub struct LogCreate {
    /// The id of its generation. Its time is replaced by that of the one before it, if that names a later one.
    pub generation: Ulid,
    /// The options that it keeps.
    pub config: LogConfig,
    /// How long its keys live after the last access, unless it ends at a set time.
    pub keep: Duration,
    /// Who may read, write and close it.
    pub owner: Option<String>,
    /// The caller's metadata, a JSON text kept as it is.
    pub metadata: Option<String>,
    /// What to do if it exists.
    pub if_there: IfThere,
    /// Its first chunk, and its close, come with a later write: here [`LogWrite::close`] is only compared.
    pub is_first_part: bool,
    /// Of a fork: the attempt whose staged beginning it is to have ([`Stage`](super::forks::Stage)). It is created with all of that or not at all, and
    /// never compared.
    pub stage: Option<Ulid>,
}

/// A writer that numbers what it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogProducer {
    /// The producer's name, 1 to 256 bytes.
    pub id: String,
    /// A later epoch fences the earlier ones.
    pub epoch: u64,
    /// The number of the append: 0, 1, 2 …
    pub seq: u64,
}

/// Writes to a log. Exactly once: when `batch` is the writer's last accepted one, the stored answer is returned.
#[derive(Debug, Clone)]
pub struct LogWrite {
    /// Creates the log first, if it does not exist.
    pub create: Option<LogCreate>,
    /// Who writes; checked if the log exists.
    pub owner: OwnerCheck,
    /// The engine that writes.
    pub writer: Ulid,
    /// The number of its batch, larger than those before.
    pub batch: u64,
    /// The last chunk that the engine knows of. A log that ends before it has lost chunks, whose seqs are not assigned again.
    pub known: Option<Cursor>,
    /// The generation that the log must have: that of the pieces of `large`, or the one that the caller names.
    pub generation: Option<Ulid>,
    /// The numbered producer that writes.
    pub producer: Option<LogProducer>,
    /// Must be greater, byte by byte, than the previous write's.
    pub order: Option<String>,
    /// Must equal the essence of the log's content type.
    pub essence: Option<String>,
    /// The chunks, if any.
    pub frame: Option<EncodedFrame>,
    /// The large chunk that the frame refers to. All of its pieces must be there; a refusal drops them.
    pub large: Option<Reference>,
    /// Closes the log.
    pub close: bool,
    /// The frames to seal in the same step, after the chunks are appended and before the end.
    pub seal: Option<Seal>,
}

/// The outcome of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutcome {
    /// Accepted.
    Written {
        /// The last seq that was written; the log's last seq if nothing was.
        last: u64,
        /// Whether this write created the log.
        is_new: bool,
    },
    /// It exists, with the same configuration.
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
    /// It exists, with another configuration.
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
    /// The log has another generation than it must have: it was recreated.
    Renewed,
    /// The sealed part does not end where the seal begins.
    Unsealed,
    /// A later batch of the same engine has been accepted.
    Late,
    /// It was deleted, and the name is kept for its forks.
    Kept,
    /// What was staged for the fork is gone, or the stream exists.
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
    /// Whether it was written, or why not.
    pub outcome: LogOutcome,
    /// The log, if there is one.
    pub head: Option<LogHead>,
}
