//! Where chunks are kept: the [`Store`] trait and the values that cross it.
//!
//! The trait is the contract of both homes, [`memory`] and [`redis`]. Every operation on a stream is atomic. Time is the
//! store's own: the process' clock in memory, `TIME` in Redis.
//!
//! # What a stream is to a store
//!
//! * A *record* (`:meta` in Redis): the current generation and its state, the last seq, the live producers and their
//!   leases, a stop request, owner, metadata, TTLs, and where the current and the previous generation begin.
//! * A *log*: entries in the order `(ordinal, number)`. A frame's number is its last seq; a terminal entry's is the last
//!   seq + 1. The ordinal counts generations from 1, so seqs go on across generations without a hole and a
//!   generation's entries are one range. Frames of generations before the previous one are dropped at the next start.
//!   The log has a *sealed* part, of few large compressed frames, and after it an *open* one, as it was written.
//! * *Pieces* of chunks that are too large for a frame, which holds a reference in their place; they go with the entries of
//!   their generation.
//! * *Cursors* of consumers and the places of [`groups`], which live and go with the stream.
//!
//! # Ending
//!
//! Exactly one terminal entry ends a generation. It is appended by its producer ([`Append::terminal`]), by a takeover
//! (`interrupted`, reason `superseded`), or by whoever calls [`Store::read`], [`Store::take`], [`Store::start`],
//! [`Store::stop`] or [`Store::status`] when its producers are dead: `stopped` when a stop was requested, else `interrupted`
//! with reason `lease`. Whoever appends it tells the listeners in the same step.
//!
//! # Dead producers
//!
//! A lease that has lapsed is no proof: nobody can renew one while the store is away, stands still or refuses writes. So a
//! look at a generation whose last lease has less than [`GRACE`] left puts it under suspicion, and tells its producers
//! ([`ControlMessage::Suspected`]), who renew it at once. They are dead when every lease has lapsed, nothing was heard of them for
//! [`GRACE`], and the store was looked at, and could take note of that, all the while, with no pause longer than [`PAUSE`]. Looks that
//! show a suspicion say when the next one is due ([`Head::doubt`]); [`Store::start`], [`Store::status`] and
//! [`Store::sweep`] do not answer before they know, and so may take as long as [`GRACE`].

pub mod groups;
pub mod memory;
pub mod predecessor;
mod raw_page;
pub mod redis;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use ulid::Ulid;

use groups::{Dead, Finished, GroupStatus, Item, Open, Overdue, Resolve, Take, Taken, Work};

use bytes::Bytes;

use crate::{
    Cursor, Error, Result, StreamId,
    frame::{EncodedFrame, Frame, Reference, SealedFrame},
};

/// A stream keeps the cursors of this many consumers. Those in generations that are no longer kept make room.
pub const MAX_CONSUMERS: usize = 1000;

/// The stops of this many owners are kept for a stream that does not exist yet.
pub const MAX_KEPT_STOPS: usize = 1000;

/// So many of them are part of a stream's status.
pub const SHOWN_CONSUMERS: usize = 100;

/// For so long nothing is heard of a suspected producer before it counts as dead: longer than the longest pause between two
/// attempts to connect, and short enough for readers to be told within lease + 2 s.
pub const GRACE: Duration = Duration::from_millis(1750);

/// The longest pause between two looks that show the store to have been there in between.
pub const PAUSE: Duration = Duration::from_millis(1500);

/// So soon, at the latest, the next look at a suspected producer is due.
pub const AGAIN: Duration = Duration::from_millis(750);

/// A shared generation has at most this many producers. Those whose leases have lapsed make room.
pub const MAX_PRODUCERS: usize = 1000;

/// A page has at most this many frames.
pub const MAX_PAGE_FRAMES: usize = 1024;

/// What an asynchronous operation of a store returns.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// How a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The producer said it is done.
    Complete,
    /// The producer said what went wrong.
    Failed,
    /// A stop was requested and the producer ended, or died, after it.
    Stopped,
    /// The generation ended without its producer.
    Interrupted,
}

impl Outcome {
    /// The design's word, as stored and as shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
        }
    }

    /// The inverse of [`Outcome::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Complete, Self::Failed, Self::Stopped, Self::Interrupted]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The log's last entry of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// How it ended.
    pub outcome: Outcome,
    /// Why; empty when there is nothing to say.
    pub reason: String,
}

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

/// How long keys live, from the last write (`active`) and from the terminal entry (`done`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    /// While the generation has no terminal entry; refreshed by writes past half of it.
    pub active: Duration,
    /// After the terminal entry.
    pub done: Duration,
}

/// Begins a generation, or joins a shared one.
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
    /// The generation: the requested one, maybe under a later id, or the shared one that was joined.
    pub generation: Ulid,
    /// Its ordinal.
    pub ordinal: u64,
    /// The last seq at this moment: before the generation's first chunk, or wherever a shared one stands.
    pub seq: u64,
    /// The reason of a stop that was kept for this start, or that a shared generation has already received.
    pub stop: Option<String>,
}

/// Puts back a generation whose record the store has lost (a restart without persistence, a failover, an eviction).
///
/// If an older generation is there, because its producer, which was taken over, was faster to put it back, or because the
/// takeover itself was lost, that one is ended as `interrupted` / `superseded`. Of two generations the older one has the
/// lower ordinal, or with the same ordinal the lower id; but one whose id names a later time is not older, whatever its
/// ordinal: it began when there was nothing left to count on from.
///
/// Does nothing and answers as [`Store::append`] would when the generation itself, or a later one, is there after all.
#[derive(Debug, Clone)]
pub struct Restore {
    /// What the generation was started with; `if_active` and `if_ended` are ignored.
    pub start: Start,
    /// The generation's ordinal.
    pub ordinal: u64,
    /// The seq before the generation's first chunk.
    pub base: u64,
    /// The seq before the first chunk that the producer can still write again. Chunks between `base` and it are gone,
    /// which readers find out for themselves.
    pub seq: u64,
}

/// Appends one batch of one producer.
///
/// Exactly once: when `batch` is the producer's last accepted one, nothing is written and the stored answer returned.
#[derive(Debug, Clone)]
pub struct Append {
    /// The generation.
    pub generation: Ulid,
    /// The producer.
    pub producer: Ulid,
    /// Tells the producer's batches apart: each has a larger one than those before.
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
    /// What is sealed in the same step, after the chunks were appended and before the end.
    pub seal: Option<Seal>,
    /// The producer's lease begins anew.
    pub lease: Duration,
}

/// Puts one frame in the place of open ones.
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
    /// The generation.
    pub generation: Ulid,
    /// The producer.
    pub producer: Ulid,
    /// The producer's lease begins anew.
    pub lease: Duration,
    /// The chunk.
    pub large: Reference,
    /// Which piece of it, from 0.
    pub index: usize,
    /// The piece.
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
        /// The store has some upkeep to do with one of the producer's next appends. If that is one without chunks, none
        /// with chunks has to wait for it.
        due: bool,
    },
    /// The log ends before `expected`: the store has lost accepted entries. Nothing was written.
    Hole {
        /// The last seq that is left.
        seq: u64,
    },
    /// Pieces of a large chunk that come before are not there (any more). Nothing was written.
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

/// Prolongs a lease without writing; the answer's `last` is the log's last seq.
#[derive(Debug, Clone)]
pub struct Renew {
    /// The generation.
    pub generation: Ulid,
    /// The producer.
    pub producer: Ulid,
    /// The lease begins anew.
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
    Open,
    /// After `seq` of `generation`, which is the current or the previous one; any other is [`Page::lost`].
    After {
        /// The generation.
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
        /// Its last seq.
        seq: u64,
    },
}

/// Reads one page. Also ends the generation if every lease has lapsed (see the module's *Ending*).
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
    /// Its id.
    pub generation: Ulid,
    /// The seq before its first chunk.
    pub base: u64,
    /// The last seq.
    pub seq: u64,
    /// Its terminal entry.
    pub terminal: Option<Terminal>,
    /// Until the last of the live producers' leases lapses; zero when the generation has ended.
    pub lease_left: Duration,
    /// Some: the producers are suspected to be dead, and the next look is due within this.
    pub doubt: Option<Duration>,
}

/// The answer to [`Read`].
#[derive(Debug, Clone)]
pub struct Page {
    /// The current or last generation.
    pub head: Head,
    /// The generation that this page is of.
    pub generation: Ulid,
    /// The seq before that generation's first chunk.
    pub base: u64,
    /// The seq after which this page begins (resolved for `Start`, `Now` and `Open`).
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
}

/// What a stop request met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StopResult {
    /// A live generation has been marked and its producers told.
    Stopping,
    /// The stream does not exist; the stop is kept for its start, for the active TTL.
    Kept,
    /// The generation has already ended; nothing was done.
    Ended,
}

/// How far a consumer has got.
///
/// A cursor moves forward only: by the generation's ordinal, then by seq. One beyond the log's end counts as its end, and
/// one of a generation that is neither the current nor the previous one moves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The consumer.
    pub consumer: String,
    /// Everything up to here has been seen.
    pub cursor: Cursor,
}

/// A consumer's place, for [`StreamStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsumerStatus {
    /// The consumer.
    pub consumer: String,
    /// Its cursor.
    pub cursor: String,
    /// The chunks after its cursor, those that are gone included.
    pub lag: u64,
}

impl ConsumerStatus {
    fn new(consumer: String, cursor: Cursor, last_seq: u64) -> Self {
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
    /// Nobody has written to them for so long.
    pub quiet: Duration,
    /// They ended like this. A generation whose leases have lapsed counts as ended, as [`Store::read`] would end it.
    pub outcomes: Vec<Outcome>,
    /// Live ones too.
    pub force: bool,
    /// Nothing is done, only said.
    pub look: bool,
}

/// What a clean-up did, or would do, with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Swept {
    /// It does not exist; it has left the index.
    Gone,
    /// It is live.
    Live,
    /// It is too young, or ended otherwise.
    Kept,
    /// It is removed.
    Removed,
    /// Its record makes no sense, or something else stands in its place; it was left alone.
    Damaged,
}

/// What is found under a stream's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or a kept stop.
    Nothing,
    /// A stream.
    Stream(Box<StreamStatus>),
    /// A record that makes no sense, or something that is none: why.
    Damaged(String),
}

/// What is known of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    /// The stream.
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
    /// Encoded bytes that are kept of them: less, once they are sealed.
    pub stored_bytes: u64,
    /// Producers whose leases are valid.
    pub producers: u32,
    /// The reason of a stop that was requested.
    pub stop: Option<String>,
    /// The owner.
    pub owner: Option<String>,
    /// The JSON text given at the start.
    pub metadata: Option<String>,
    /// When the generation started, in milliseconds since 1970.
    pub started_at: u64,
    /// The last write, in milliseconds since 1970.
    pub updated_at: u64,
    /// Until the keys expire, in milliseconds.
    pub ttl_ms: u64,
    /// Its consumers, in no order; at most [`SHOWN_CONSUMERS`].
    pub consumers: Vec<ConsumerStatus>,
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

/// The state of the connection to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// Not used yet.
    Idle,
    /// The first connection is being made.
    Connecting,
    /// Commands and live messages flow.
    Ready,
    /// A connection was lost and is being made again.
    Reconnecting,
    /// Reconnecting has failed at least once: live answers go on from memory, writes queue up.
    Degraded,
    /// Closed for good.
    Closed,
}

/// Something happened on a stream that this engine listens to.
#[derive(Debug, Clone)]
pub enum LiveMessage {
    /// A frame was appended; `None` when it was too large to be sent along.
    Frame {
        /// Its generation.
        generation: Ulid,
        /// Its last seq.
        last: u64,
        /// The frame.
        frame: Option<Frame>,
    },
    /// A generation ended after `last`.
    Ended {
        /// The generation.
        generation: Ulid,
        /// Its last seq.
        last: u64,
        /// Its terminal entry.
        terminal: Terminal,
    },
    /// A generation began; its first chunk will be `base + 1`.
    Started {
        /// The generation.
        generation: Ulid,
        /// The last seq before it.
        base: u64,
    },
    /// The stream was deleted.
    Deleted,
}

/// Something a producer of this engine has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlMessage {
    /// A stop was requested for this generation.
    Stop {
        /// The generation.
        generation: Ulid,
        /// Why.
        reason: String,
    },
    /// The producers are suspected to be dead: they have to renew their lease.
    Suspected {
        /// The generation.
        generation: Ulid,
    },
    /// The generation was ended by somebody else: taken over, deleted, or its lease had lapsed.
    Ended {
        /// The generation.
        generation: Ulid,
        /// Its terminal entry.
        terminal: Terminal,
    },
}

/// What becomes of [`Work::Finished`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishedNews {
    /// A generation was added to it.
    Added,
    /// A generation is open, and none was before.
    Open,
}

/// Who is told. Called on the engine's thread; must not block.
pub trait Listener: Send + Sync + 'static {
    /// A message of a stream that is listened to.
    fn on_live(&self, stream: &StreamId, message: LiveMessage);
    /// A message for the producers of this engine.
    fn on_control(&self, stream: &StreamId, message: ControlMessage);
    /// News of the finished generations.
    fn on_finished(&self, news: FinishedNews);
    /// Messages may have been missed on every stream; all of them are listened to again.
    fn on_restored(&self);
    /// The connection's state changed. `reason` is empty or says why, without credentials.
    fn on_state(&self, state: ConnectionState, reason: &str);
    /// A connection is being made, as whom the engine's host has to say; dropped, another engine is asked.
    fn on_credentials(&self, _answer: Answer) {}
    /// Something works less well than it could, for a reason that whoever runs the store can remove.
    fn on_warning(&self, _warning: &str) {}
}

/// As whom to connect.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// The URL's user if there is none.
    pub username: Option<String>,
    /// A password, or a token that stands for one.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Takes credentials, or why there are none: words that may be shown to anybody.
pub type Answer = tokio::sync::oneshot::Sender<Result<Credentials, String>>;

/// What a user of the store's server was tried for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rights {
    /// How many rights were tried.
    pub tried: usize,
    /// Those that it lacks.
    pub lacking: Vec<Lack>,
}

/// A right that the user lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// What for, a word of `src/store/redis/rights.txt`.
    pub need: String,
    /// As `ACL SETUSER` takes it.
    pub right: String,
    /// Host and port of those that do not give it.
    pub servers: Vec<String>,
}

/// Where chunks are kept. See the module for the model.
///
/// Errors: [`crate::Error::Connection`] (within the connect timeout), [`crate::Error::Timeout`],
/// [`crate::Error::Store`], [`crate::Error::Closed`]; further ones are named at the operation. A store does not
/// retry: the engine does, since it knows what is safe to repeat (everything here is).
pub trait Store: Send + Sync + 'static {
    /// Connects, if there is something to connect to. Every other operation does so by itself.
    fn connect(&self) -> Pending<'_, ()>;
    /// Begins or joins a generation; the stream enters the index. Producers' control messages are listened to before.
    /// Errors: [`crate::Error::Active`], [`crate::Error::Forbidden`], [`crate::Error::Store`] for more than
    /// [`MAX_PRODUCERS`] producers.
    fn start<'a>(&'a self, stream: &'a StreamId, start: &'a Start) -> Pending<'a, Started>;
    /// Puts back what was lost.
    fn restore<'a>(&'a self, stream: &'a StreamId, restore: &'a Restore) -> Pending<'a, Appended>;
    /// Appends a batch.
    fn append<'a>(&'a self, stream: &'a StreamId, append: &'a Append) -> Pending<'a, Appended>;
    /// Puts down a piece of a large chunk. The answer's `last` is the log's last seq.
    fn put<'a>(&'a self, stream: &'a StreamId, piece: &'a Piece) -> Pending<'a, Appended>;
    /// A piece of a large chunk, if it is there. Whoever was given the reference may read the pieces.
    fn piece<'a>(
        &'a self,
        stream: &'a StreamId,
        large: &'a Reference,
        index: usize,
    ) -> Pending<'a, Option<Bytes>>;
    /// Prolongs a lease.
    fn renew<'a>(&'a self, stream: &'a StreamId, renew: &'a Renew) -> Pending<'a, Appended>;
    /// A producer of this engine has ended, whether or not the store has heard of it: nothing that was noted here to write
    /// for it is of use any more.
    fn release(&self, _producer: Ulid) {}
    /// Reads a page; `None` when the stream does not exist (or holds nothing but a kept stop).
    /// Errors: [`crate::Error::Forbidden`], [`crate::Error::Corrupt`].
    fn read<'a>(&'a self, stream: &'a StreamId, read: &'a Read) -> Pending<'a, Option<Page>>;
    /// Requests a stop; `keep` is how long it is kept for a stream that does not exist yet. Each owner's own is kept apart from
    /// those of others, of whom there are at most [`MAX_KEPT_STOPS`]; beside these the last one by anybody. A start is stopped
    /// by its owner's own, or by the last one if that was by somebody who may stop it.
    /// Errors: [`crate::Error::Forbidden`], [`crate::Error::Store`] for too many owners.
    fn stop<'a>(
        &'a self,
        stream: &'a StreamId,
        reason: &'a str,
        owner: &'a OwnerCheck,
        keep: Duration,
    ) -> Pending<'a, StopResult>;
    /// Moves the cursors of consumers, which live as long as the stream. The answer says for each whether there was room:
    /// a new consumer is refused when there are [`MAX_CONSUMERS`].
    /// Errors: [`crate::Error::NotFound`], [`crate::Error::Forbidden`].
    fn ack<'a>(
        &'a self,
        stream: &'a StreamId,
        acks: &'a [Ack],
        owner: &'a OwnerCheck,
    ) -> Pending<'a, Vec<bool>>;
    /// A consumer's cursor, whose generation may no longer be kept.
    fn cursor<'a>(&'a self, stream: &'a StreamId, consumer: &'a str) -> Pending<'a, Option<Cursor>>;
    /// What is found under a stream's name, as part of a list: what is damaged is no error here.
    fn inspect<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, Found>;
    /// What is known of a stream. Errors: [`crate::Error::Store`] for a damaged one.
    fn status<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, Option<StreamStatus>> {
        Box::pin(async move {
            match self.inspect(stream).await? {
                Found::Nothing => Ok(None),
                Found::Stream(status) => Ok(Some(*status)),
                Found::Damaged(why) => Err(Error::Store {
                    operation: "status",
                    reason: format!("stream {:?} is damaged, delete it: {why}", stream.as_str()),
                    retryable: false,
                }),
            }
        })
    }
    /// The bytes that the store's memory holds of a stream, about; `None` when it does not exist.
    fn memory<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, Option<u64>>;
    /// Removes a stream, or whatever stands in its place, and ends its readers and producers; whether there was one.
    fn delete<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, bool>;
    /// Removes those of these streams that the rule is about, each atomically as [`Store::delete`] does it, and takes
    /// what is gone from the index, unless it has been started meanwhile.
    fn sweep<'a>(&'a self, streams: &'a [StreamId], rule: &'a Sweep) -> Pending<'a, Vec<Swept>>;
    /// What the server says of itself (`INFO`), of a cluster one of them; `None` when there is no server.
    fn info(&self) -> Pending<'_, Option<String>>;
    /// Tries everything that the server has to allow; `None` when there is no server.
    fn rights(&self) -> Pending<'_, Option<Rights>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    /// How many ids the index holds, gone ones included.
    fn count(&self) -> Pending<'_, u64>;
    /// About `count` ids of the index, which may name streams that are gone and, within a shard, an id twice; and where
    /// to go on. A stream is listed from its start on for as long as it is there.
    fn list(&self, from: ListCursor, count: usize) -> Pending<'_, (Vec<StreamId>, Option<ListCursor>)>;
    /// Hands items to a consumer; `None` when the stream does not exist.
    /// Errors: [`crate::Error::Forbidden`], [`crate::Error::Store`] for more than [`groups::MAX_GROUPS`] groups.
    fn take<'a>(&'a self, work: Work<'a>, take: &'a Take) -> Pending<'a, Option<Taken>>;
    /// Says what becomes of items. Errors: [`crate::Error::Forbidden`].
    fn resolve<'a>(&'a self, work: Work<'a>, resolve: &'a Resolve) -> Pending<'a, ()>;
    /// Lists dead letters, in the order of the work. Errors: [`crate::Error::Forbidden`].
    fn dead<'a>(&'a self, work: Work<'a>, dead: &'a Dead) -> Pending<'a, Vec<Item>>;
    /// Lists groups, in no order; `None` when the stream does not exist.
    fn groups<'a>(&'a self, work: Work<'a>) -> Pending<'a, Option<Vec<GroupStatus>>>;
    /// Adds a generation to [`Work::Finished`], if a group has ever asked for it; with `if_open` only if nobody has
    /// announced it yet. A store that sees every end by itself has nothing to do here.
    fn announce<'a>(&'a self, finished: &'a Finished, if_open: bool) -> Pending<'a, ()>;
    /// An open generation is not there any more, and will not be announced.
    fn forget_open<'a>(&'a self, open: &'a Open) -> Pending<'a, ()>;
    /// Some of the generations that are open although their leases should have been renewed or their ends announced;
    /// nobody else is told of them for the length of the pause.
    fn overdue(&self, count: usize, pause: Duration) -> Pending<'_, Overdue>;
    /// Listens to news of [`Work::Finished`] from now on, for as long as the store is open.
    fn listen_finished(&self) -> Pending<'_, ()>;
    /// Looks at what the [`predecessor`] has left behind, or changes it; `None` where it never was.
    fn predecessor<'a>(&'a self, _ask: &'a predecessor::Ask) -> Pending<'a, Option<predecessor::Left>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    /// Listens to a stream until [`Store::unlisten`]; resolves once messages published from now on will arrive.
    fn listen<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, ()>;
    /// Stops listening.
    fn unlisten(&self, stream: &StreamId);
    /// Why the store cannot be reached, while it is known that it cannot: the last attempt to connect has failed.
    fn outage(&self) -> Option<crate::Error> {
        None
    }
    /// The state of the connection.
    fn state(&self) -> ConnectionState;
    /// Gives up the connections; operations after it fail with [`crate::Error::Closed`].
    fn close(&self) -> Pending<'_, ()>;
}

/// The error for a kept stop too many.
fn too_many_stops(stream: &StreamId) -> Error {
    Error::Store {
        operation: "stop",
        reason: format!(
            "stops of {MAX_KEPT_STOPS} owners are kept for stream {stream:?} already",
            stream = stream.as_str()
        ),
        retryable: false,
    }
}

/// What a look at a stream says, and how soon another one may say something else: leases have lapsed, and it will show whether
/// the producers are dead.
struct Look<T> {
    answer: T,
    again: Option<Duration>,
}

impl<T> Look<T> {
    fn sure(answer: T) -> Self {
        Self { answer, again: None }
    }
}

/// Looks until there is no doubt left; for twice [`GRACE`] at most, where looks take too long to prove anything.
async fn beyond_doubt<T, F>(look: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<Look<T>>>,
{
    let deadline = Instant::now() + 2 * GRACE;
    loop {
        let Look { answer, again } = look().await?;
        match again {
            Some(pause) if Instant::now() + pause < deadline => tokio::time::sleep(pause).await,
            _ => return Ok(answer),
        }
    }
}

/// A store, shared.
pub type SharedStore = Arc<dyn Store>;

/// The error for a producer too many.
fn crowded() -> Error {
    Error::Store {
        operation: "start",
        reason: format!("the generation has {MAX_PRODUCERS} producers already"),
        retryable: false,
    }
}

/// The store that the configuration's URL names.
pub fn open(config: &crate::Config, node: Ulid, listener: Arc<dyn Listener>) -> Result<SharedStore> {
    match config.url.strip_prefix("memory:") {
        Some(name) => Ok(memory::MemoryStore::open(
            name.trim_start_matches('/'),
            &config.key_prefix,
            node,
            listener,
        )),
        None => redis::RedisStore::open(config, node, listener),
    }
}
