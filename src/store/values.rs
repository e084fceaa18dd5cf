//! The values that cross the [`Store`](super::Store) trait.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::log_config::LogConfig;
use super::quiet::Vouched;
use crate::{
    Cursor, Error, StreamId,
    model::{
        ending::{Outcome, Terminal},
        frame::{EncodedFrame, Frame, Reference, SealedFrame},
        ttl::Ttl,
    },
};

/// A stream keeps the cursors of this many consumers. Those in generations that are no longer kept make room.
pub const MAX_CONSUMERS: usize = 1000;

/// The stops of this many owners are kept for a stream that does not exist yet.
pub const MAX_KEPT_STOPS: usize = 1000;

/// A stream's status shows this many consumers.
pub const SHOWN_CONSUMERS: usize = 100;

/// A shared generation has at most this many producers. Those whose leases have expired make room.
pub const MAX_PRODUCERS: usize = 1000;

/// A page has at most this many frames.
pub const MAX_PAGE_FRAMES: usize = 1024;

/// What to do when the stream already has a live producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IfActive {
    /// Refuse with [`crate::Error::Active`].
    #[default]
    Error,
    /// End the live generation as `interrupted` / `superseded` and start a new one.
    Takeover,
    /// Join the live generation if it was itself started to be shared, else refuse with [`crate::Error::Active`].
    Share,
    /// Take the place of the live generation's only producer, who is fenced, and go on after its last chunk; a generation
    /// whose leases have lapsed is live until somebody has ended it. Refuse a shared one and a log with [`crate::Error::Active`].
    Continue,
}

/// What to do when the stream has an ended generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IfEnded {
    /// Start another one.
    #[default]
    Restart,
    /// Refuse with [`crate::Error::Ended`].
    Error,
}

/// Begins a generation, joins a shared one, or continues one.
///
/// Idempotent by `producer`: the same request again returns the same answer as long as that producer is registered.
#[derive(Debug, Clone)]
pub struct Start {
    /// The id of the generation that begins; ignored when a shared one is joined. Its time is replaced by that of the
    /// generation before it, if that names a later one.
    pub generation: Ulid,
    /// The id of the producer.
    pub producer: Ulid,
    /// What to do about a live producer.
    pub if_active: IfActive,
    /// What to do about a generation that has ended.
    pub if_ended: IfEnded,
    /// Who may follow, stop and continue the stream. `None` on a stream without an owner.
    pub owner: Option<String>,
    /// The caller's metadata, a JSON text kept as it is.
    pub metadata: Option<String>,
    /// How long the producer counts as alive after its last write or renewal.
    pub lease: Duration,
    /// How long the keys live.
    pub ttl: Ttl,
}

/// The answer to [`Start`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The generation: the requested one, maybe under a later id, or the one that was joined or is gone on with.
    pub generation: Ulid,
    /// Counts the generations of the stream; the ids of its log begin with it.
    pub ordinal: u64,
    /// The seq before the generation's first chunk.
    pub base: u64,
    /// The last seq at this moment: the base, or wherever a generation stands that others have begun.
    pub seq: u64,
    /// How often the generation's only producer has been replaced by one that continues it.
    pub turn: u64,
    /// The reason of a stop that was kept for this start, or that the generation has already received.
    pub stop: Option<String>,
}

/// Appends one batch of one producer.
///
/// Exactly once: when `batch` is the producer's last accepted one, nothing is written and the stored answer returned.
#[derive(Debug, Clone)]
pub struct Append {
    /// The generation to write to, unless it has ended or was taken over.
    pub generation: Ulid,
    /// The producer that writes; fenced if it is no longer registered in the generation.
    pub producer: Ulid,
    /// The number of the batch: larger than those of the producer's earlier batches.
    pub batch: u64,
    /// The seq that the log must end with, as a generation's only producer knows it. In shared mode it may end later, but
    /// not before. `None`: wherever it ends.
    pub expected: Option<u64>,
    /// The chunks, if any.
    pub frame: Option<EncodedFrame>,
    /// The large chunk that the frame refers to, all of whose pieces have to be there.
    pub large: Option<Reference>,
    /// The end, if this is the producer's last batch. In shared mode `complete` ends the generation only when no other
    /// producer with a valid lease is left; every other outcome ends it at once. When a stop was requested, `complete`
    /// and `failed` are stored as `stopped` with the stop's reason.
    pub terminal: Option<Terminal>,
    /// The frames to seal in the same step, after the chunks are appended and before the end.
    pub seal: Option<Seal>,
    /// Starts the producer's lease again, for this long.
    pub lease: Duration,
}

/// Replaces open frames by one sealed frame.
#[derive(Debug, Clone)]
pub struct Seal {
    /// The seq that the sealed part ends with now.
    pub after: u64,
    /// The chunks that follow it, none of them later than the batch's last.
    pub frame: SealedFrame,
    /// The bytes of the frames that it replaces, as they were written.
    pub replaced: usize,
}

impl Seal {
    /// The seq that the sealed part ends with afterwards.
    pub fn last(&self) -> u64 {
        self.after + self.frame.count
    }
}

/// One piece of a large chunk: written in their order, before the frame that refers to the chunk.
///
/// Idempotent: the same piece again is there once.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The generation of the chunk.
    pub generation: Ulid,
    /// The producer that writes; fenced if it is no longer registered in the generation.
    pub producer: Ulid,
    /// Starts the producer's lease again, for this long.
    pub lease: Duration,
    /// The reference that the later frame will hold.
    pub large: Reference,
    /// Which piece of it, from 0.
    pub index: usize,
    /// Its part of the chunk's bytes.
    pub data: Bytes,
}

/// The answer to [`Append`], [`Piece`] and [`Renew`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Accepted.
    Done {
        /// The last seq of the batch; of the log when the batch held no chunks.
        last: u64,
        /// The reason of the stop that was requested.
        stop: Option<String>,
        /// The terminal entry that the batch has written.
        terminal: Option<Terminal>,
        /// The store has some upkeep to do with one of the producer's next appends. If the producer sends one without chunks, no append
        /// with chunks has to wait for it.
        due: bool,
        /// Somebody may have been sent the chunks. False only if the store knows that nobody has.
        is_heard: bool,
    },
    /// The log ends before `expected`: the store has lost accepted entries. Nothing was written.
    Hole {
        /// The last seq that is left.
        seq: u64,
    },
    /// Earlier pieces of a large chunk are missing. Nothing was written.
    Incomplete,
    /// The sealed part does not end where the batch's seal begins. Nothing was written.
    Unsealed,
    /// The producer is not (or no longer) registered in the stream's current generation. Nothing was written.
    Fenced,
    /// The generation has this terminal entry. Nothing was written.
    Ended(Terminal),
    /// The stream does not exist. Nothing was written.
    Missing,
}

/// Renews a lease without writing; the answer's `last` is the log's last seq.
#[derive(Debug, Clone)]
pub struct Renew {
    /// The producer's generation.
    pub generation: Ulid,
    /// The producer whose lease is renewed.
    pub producer: Ulid,
    /// Starts the lease again, for this long.
    pub lease: Duration,
}

/// Where to read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The first chunk of the current or last generation.
    Start,
    /// After its last chunk at this moment.
    Now,
    /// After its sealed part.
    AfterSealed,
    /// Before the chunk with this index: from 0, or from the end if it is negative, and then not before the first one.
    Index(i64),
    /// After `seq` of `generation`, which is the current or the previous one; any other is [`Page::lost`].
    After {
        /// The generation of the reader's cursor.
        generation: Ulid,
        /// The last seq seen.
        seq: u64,
    },
    /// The generation that follows `generation`, which was read up to its last seq: nothing yet when that is the current
    /// one. A generation that is no longer kept is followed by the one that begins after `seq`; [`Page::lost`] when
    /// neither the current nor the previous one does.
    Next {
        /// The generation that was read to its end.
        generation: Ulid,
        /// The seq that it ended with.
        seq: u64,
    },
}

/// Reads one page. Also ends the generation if every lease has expired (see the module's *Ending*).
#[derive(Debug, Clone)]
pub struct Read {
    /// Where from.
    pub position: Position,
    /// Frames are added until their sizes, inflated, reach this, or until there are [`MAX_PAGE_FRAMES`]; one is always
    /// returned if there is one. 0 reads none.
    pub max_bytes: usize,
    /// Compared with the stream's owner, if it has one. `None`: the engine itself reads, nothing is compared.
    pub owner: OwnerCheck,
}

/// Whether a caller has to be the stream's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnerCheck {
    /// The engine's own repair and audit.
    Internal,
    /// A caller, with the owner it gave. A stream without an owner is open to everyone.
    Caller(Option<String>),
}

/// The current or last generation of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The stream's latest generation.
    pub generation: Ulid,
    /// The seq before its first chunk.
    pub base: u64,
    /// The seq of its last chunk; its base if it has none.
    pub seq: u64,
    /// How it ended; `None` while it is active.
    pub terminal: Option<Terminal>,
    /// Until the last of the live producers' leases expires; zero when the generation has ended.
    pub lease_left: Duration,
    /// Some: the producers are suspected to be dead, and the next look is due within this.
    pub doubt: Option<Duration>,
    /// Some: the leases need no look as long as the node lives.
    pub vouched: Option<Vouched>,
}

/// The answer to [`Read`].
#[derive(Debug, Clone)]
pub struct Page {
    /// The current or last generation.
    pub head: Head,
    /// The generation of this page.
    pub generation: Ulid,
    /// The seq before that generation's first chunk.
    pub base: u64,
    /// The seq after which this page begins (resolved for `Start`, `Now` and `AfterSealed`).
    pub after: u64,
    /// Frames that hold a seq greater than `after`, ascending. The first may begin at or before `after`. The caller
    /// checks that they are contiguous: a store returns what it has.
    pub frames: Vec<Frame>,
    /// The generation's terminal entry, if everything before it is in this page.
    pub terminal: Option<Terminal>,
    /// Whether the page was full before the generation's last chunk.
    pub more: bool,
    /// The position's generation is neither the current nor the previous one; the page is otherwise empty.
    pub lost: bool,
    /// The options with which the stream was created, if it is a log.
    pub log: Option<LogConfig>,
}

impl Page {
    /// The end of its generation at this moment.
    pub fn end(&self) -> Cursor {
        let is_current = self.generation == self.head.generation;
        Cursor {
            generation: self.generation,
            seq: if is_current { self.head.seq } else { self.head.base },
        }
    }

    /// The end of a log that ends before this cursor: the store has lost what was read there, and other chunks may get those seqs. `None` for
    /// a producer's generation, whose producer writes the chunks again.
    pub fn set_back(&self, seen: Position) -> Option<Cursor> {
        let Head { generation, seq, .. } = self.head;
        let is_beyond =
            matches!(seen, Position::After { generation: of, seq: at } if of == generation && at > seq);
        (is_beyond && self.log.is_some()).then_some(Cursor { generation, seq })
    }

    /// The same as an error.
    pub fn check_end(&self, seen: Position, stream: &StreamId) -> Result<(), Error> {
        let Some(end) = self.set_back(seen) else {
            return Ok(());
        };
        Err(Error::Gap {
            stream: stream.to_string(),
            reason: format!(
                "the log ends before the cursor: chunks after {} are gone",
                end.seq
            ),
            resume: end.to_string(),
        })
    }
}

/// The result of a stop request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StopResult {
    /// A live generation has been marked and its producers notified.
    Stopping,
    /// The stream does not exist; the stop is kept for its start, for as long as the request says.
    Kept,
    /// The generation has already ended; nothing was done.
    Ended,
}

/// An acknowledgement: moves a consumer's cursor.
///
/// A cursor moves forward only: by the generation's ordinal, then by seq. One beyond the log's end counts as its end, and
/// one of a generation that is neither the current nor the previous one moves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The reader's name for itself, the same after each reconnection.
    pub consumer: String,
    /// Everything up to here has been seen.
    pub cursor: Cursor,
}

/// A consumer's position, for [`StreamStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsumerStatus {
    /// The name given to `subscribe`.
    pub consumer: String,
    /// Everything up to here has been acknowledged.
    pub cursor: String,
    /// The chunks after its cursor, those that are gone included.
    pub lag: u64,
}

impl ConsumerStatus {
    pub(super) fn new(consumer: String, cursor: Cursor, last_seq: u64) -> Self {
        Self {
            consumer,
            cursor: cursor.to_string(),
            lag: last_seq.saturating_sub(cursor.seq),
        }
    }
}

/// Which streams a clean-up removes.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// They have not been written to for this long.
    pub older_than: Duration,
    /// The outcomes to match. A generation whose leases have expired counts as ended, as [`Store::read`](super::Store::read) would end it.
    pub outcomes: Vec<Outcome>,
    /// Also removes live streams.
    pub force: bool,
    /// Only reports what would be removed.
    pub dry_run: bool,
}

/// What a clean-up did, or would do, with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Swept {
    /// It does not exist; it has left the index.
    Gone,
    /// It is live.
    Live,
    /// It is too recent, or ended with another outcome.
    Kept,
    /// It is removed.
    Removed,
    /// Its record is damaged, or something else is in its place; it was left alone.
    Damaged,
}

/// The result of a look at a stream's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T = StreamStatus> {
    /// Nothing, or a kept stop.
    Nothing,
    /// A stream, at this moment.
    Stream(Box<T>),
    /// A damaged record, or something that is not a record; says why.
    Damaged(String),
}

/// The status of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    /// The unescaped id.
    pub stream_id: String,
    /// `active`, or the outcome.
    pub state: String,
    /// Why it ended; null while active or when there is nothing to say.
    pub reason: Option<String>,
    /// The current or last generation.
    pub generation: String,
    /// The first seq of the generation, whether or not it has been written.
    pub first_seq: u64,
    /// The last seq of the stream.
    pub last_seq: u64,
    /// Encoded bytes appended in this generation.
    pub bytes: u64,
    /// Bytes that are kept of these: fewer, once they are sealed.
    pub stored_bytes: u64,
    /// Producers whose leases are valid.
    pub producers: u32,
    /// The reason of a stop that was requested.
    pub stop: Option<String>,
    /// Given at the start: readers and stops have to give the same.
    pub owner: Option<String>,
    /// The JSON text given at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// When the generation started, in milliseconds since 1970.
    pub started_at: u64,
    /// The last write, in milliseconds since 1970.
    pub updated_at: u64,
    /// Until the keys expire, in milliseconds.
    pub ttl_ms: u64,
    /// Its consumers, in no order; at most [`SHOWN_CONSUMERS`].
    pub consumers: Vec<ConsumerStatus>,
    /// The options with which it was created, if it is a log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogConfig>,
}

/// A place in the list of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListCursor {
    /// The index shard, 0–15.
    pub shard: u8,
    /// Whether it is the set that versions before ADR 24 keep.
    pub old: bool,
    /// The position within it.
    pub scan: u64,
}

/// The error when too many stops are kept.
pub(super) fn too_many_stops(stream: &StreamId) -> Error {
    Error::Store {
        operation: "stop",
        reason: format!(
            "stops of {MAX_KEPT_STOPS} owners are kept for stream {stream:?} already",
            stream = stream.as_str()
        ),
        retryable: false,
    }
}

/// The error when there are too many producers.
pub(super) fn crowded() -> Error {
    Error::Store {
        operation: "start",
        reason: format!("the generation has {MAX_PRODUCERS} producers already"),
        retryable: false,
    }
}
