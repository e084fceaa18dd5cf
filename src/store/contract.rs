//! The contract of a store: the [`Store`] trait, and the [`Listener`] that a store notifies.
//!
//! # What a stream is to a store
//!
//! * A *record* (`:meta` in Redis): the current generation and its state, the last seq, the live producers and their
//!   leases, a stop request, owner, metadata, TTLs, and where the current and the previous generation begin.
//! * A *log*: entries in the order `(ordinal, number)`. A frame's number is its last seq; a terminal entry's is the last
//!   seq + 1. The ordinal counts generations from 1, so seqs continue across generations without a hole, and a
//!   generation's entries are one range. Frames of generations before the previous one are dropped at the next start.
//!   The log has a *sealed* part, of few large compressed frames, and after it an *open* one, as it was written.
//! * *Pieces* of chunks that are too large for a frame, which holds a reference to them; they are dropped with the entries of
//!   their generation.
//! * *Cursors* of consumers and the places of [`groups`](super::groups), which live and go with the stream.
//!
//! [`reminders`](super::reminders) belong to no stream.
//!
//! # Ending
//!
//! Exactly one terminal entry ends a generation. It is appended by its producer ([`Append::terminal`]), by a takeover
//! (`interrupted`, reason `superseded`), or by the caller of [`Store::read`], [`Store::take`], [`Store::start`],
//! [`Store::stop`], [`Store::status`] or [`Store::glances`] when its producers are dead: `stopped` when a stop was requested, else `interrupted`
//! with reason `lease`. The listeners are notified in the same step.
//!
//! # Dead producers
//!
//! An expired lease is no proof: nobody can renew one while the store is away, stands still or refuses writes. So a
//! look at a generation whose last lease has less than [`GRACE`](super::GRACE) left puts it under suspicion, and notifies its producers
//! ([`ControlMessage::Suspected`]), who renew it at once. They are dead when every lease has expired, nothing was heard of them for
//! [`GRACE`](super::GRACE), and during this time looks at the generation were noted in the store, with no pause longer than [`PAUSE`](super::PAUSE). A
//! look that shows a suspicion says when the next one is due ([`Head::doubt`](super::Head::doubt)); [`Store::start`], [`Store::status`], [`Store::glances`] and
//! [`Store::sweep`] do not answer before they are sure, and so may take as long as [`GRACE`](super::GRACE).

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use ulid::Ulid;

use super::{
    forks::{ForkList, Forks, Stage, Staged},
    glances::Glance,
    groups::{
        Dead, Finished, GroupStatus, Item, OpenGeneration, Overdue, Repeat, Repeated, Resolve, Take, Taken,
        Work,
    },
    logs::{LogWrite, LogWritten},
    quiet::Known,
    reminders::{Due, Recalled, Remind, Reminded},
    restore::Restore,
    rights::Rights,
    tails::Tail,
    values::{
        Ack, Append, Appended, Found, ListCursor, OwnerCheck, Page, Piece, Read, Renew, Start, Started,
        StopResult, StreamStatus, Sweep, Swept,
    },
};
use crate::{
    Cursor, Error, Result, StreamId,
    model::{
        connection::{ConnectionState, CredentialsSender},
        ending::Terminal,
        frame::{Frame, Reference},
    },
};

/// The most streams of one [`Store::changed`] or [`Store::tails`].
pub const MOST_LOOKS: usize = 256;

/// What an asynchronous operation of a store returns.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// An event of a stream that this engine listens to.
#[derive(Debug, Clone)]
pub enum LiveMessage {
    /// A frame was appended.
    Frame {
        /// The generation that has grown.
        generation: Ulid,
        /// The seq that the frame ends with.
        last: u64,
        /// `None`: it is too large to be sent along, and has to be read.
        frame: Option<Frame>,
    },
    /// A generation ended after `last`.
    Ended {
        /// The generation that has ended.
        generation: Ulid,
        /// The seq of its last chunk.
        last: u64,
        /// How it ended.
        terminal: Terminal,
    },
    /// A generation began, of which the first chunk is `base + 1`; or another producer continues it.
    Started {
        /// Which one it is.
        generation: Ulid,
        /// The last seq before it.
        base: u64,
    },
    /// The stream was deleted.
    Deleted,
}

/// A message for a producer of this engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlMessage {
    /// A stop was requested for this generation.
    Stop {
        /// The generation whose producers are to stop.
        generation: Ulid,
        /// Why.
        reason: String,
    },
    /// The producers are suspected to be dead: they have to renew their lease.
    Suspected {
        /// The generation whose producers are suspected to be dead; a renewal shows that they are alive.
        generation: Ulid,
    },
    /// A producer was replaced by another one, who continues its generation.
    Replaced {
        /// What it may not write to any more.
        generation: Ulid,
        /// Who is fenced.
        producer: Ulid,
    },
    /// Another process ended the generation: it was taken over or deleted, or its lease had expired.
    Ended {
        /// The generation that was ended.
        generation: Ulid,
        /// How it ended, for its producers.
        terminal: Terminal,
    },
}

/// A change of [`Work::Finished`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishedNews {
    /// A generation was added to it.
    Added,
    /// A generation is open, and none was before.
    Opened,
}

/// Receives a store's messages. Called on the engine's thread; must not block.
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
    /// A connection needs user and password from the engine's host. If the sender is dropped, another engine is asked.
    fn on_credentials(&self, _answer: CredentialsSender) {}
    /// Something works less well than it could, for a reason that the store's operator can remove.
    fn on_warning(&self, _warning: &str) {}
}

/// Where chunks are kept. See the module for the model.
///
/// Errors: [`crate::Error::Connection`] (within the connect timeout, after the one for commands if it was lost without notice),
/// [`crate::Error::Timeout`] (it can be reached, but there was no answer in time), [`crate::Error::Store`],
/// [`crate::Error::Closed`]; further ones are named at the operation. A store does not
/// retry: the engine does, since it knows what is safe to repeat (everything here is).
pub trait Store: Send + Sync + 'static {
    /// Connects, if there is something to connect to. Every other operation does so by itself.
    fn connect(&self) -> Pending<'_, ()>;
    /// Finds out whether the store can be reached, for [`Store::outage`].
    fn prove(&self) -> Pending<'_, ()> {
        self.connect()
    }
    /// Begins or joins a generation, or continues it; the stream enters the index. Producers' control messages are listened to before.
    /// Errors: [`crate::Error::Active`], [`crate::Error::Forbidden`], [`crate::Error::Store`] for more than
    /// [`MAX_PRODUCERS`](super::MAX_PRODUCERS) producers.
    fn start<'a>(&'a self, stream: &'a StreamId, start: &'a Start) -> Pending<'a, Started>;
    /// Restores a generation that the store has lost.
    fn restore<'a>(&'a self, stream: &'a StreamId, restore: &'a Restore) -> Pending<'a, Appended>;
    /// Appends a batch.
    fn append<'a>(&'a self, stream: &'a StreamId, append: &'a Append) -> Pending<'a, Appended>;
    /// Stores a piece of a large chunk. The answer's `last` is the log's last seq.
    fn put<'a>(&'a self, stream: &'a StreamId, piece: &'a Piece) -> Pending<'a, Appended>;
    /// Returns a piece of a large chunk, if it is there. A caller that has got the reference may read the pieces.
    fn piece<'a>(
        &'a self,
        stream: &'a StreamId,
        large: &'a Reference,
        index: usize,
    ) -> Pending<'a, Option<Bytes>>;
    /// Writes to a log, and creates it first if requested; then it enters the index. See [`logs`](super::logs). Several writes are one after
    /// the other, in one step: of one engine and one owner, they make the same log if they make one. If there are several, none has a large
    /// chunk, a seal or a close. What becomes of one is told by what it would be alone; repeated, they have to be the same ones again.
    /// Errors: [`crate::Error::Forbidden`].
    fn log_all<'a>(&'a self, stream: &'a StreamId, writes: &'a [LogWrite]) -> Pending<'a, Vec<LogWritten>>;
    /// Puts down a part of what a fork is to begin with; nobody sees it before the fork is opened.
    fn stage<'a>(&'a self, stream: &'a StreamId, stage: &'a Stage) -> Pending<'a, Staged>;
    /// The forks of a log, after something was done about them.
    fn forks<'a>(&'a self, stream: &'a StreamId, list: &'a ForkList) -> Pending<'a, Forks>;
    /// Prolongs a lease.
    fn renew<'a>(&'a self, stream: &'a StreamId, renew: &'a Renew) -> Pending<'a, Appended>;
    /// A producer of this engine is gone: nothing that was noted here to write for it is of use any more. `has_ended`: and the
    /// store knows it. Else nobody vouches for it from now on.
    fn release(&self, _stream: &StreamId, _producer: Ulid, _has_ended: bool) {}
    /// Shows that this engine lives, for so long, on behalf of all producers that it has: one call in the place of a renewal for each.
    /// Nothing where the store does not take that for a sign of them ([`Store::vouched_lease`]).
    fn vouch(&self, _lease: Duration) -> Pending<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// For how long a producer that has appended or renewed is alive without another sign of its own, while its engine vouches
    /// for it; `None` where that does not count.
    fn vouched_lease(&self, _lease: Duration) -> Option<Duration> {
        None
    }
    /// For how long the engine that this node is has shown that it lives.
    fn vouched(&self, _node: Ulid) -> Pending<'_, Duration> {
        Box::pin(std::future::ready(Ok(Duration::ZERO)))
    }
    /// Which of these streams are not as they are known, by their places: a look that costs next to nothing. No more than
    /// [`MOST_LOOKS`](super::MOST_LOOKS).
    fn changed<'a>(&'a self, _streams: &'a [Known]) -> Pending<'a, Vec<usize>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    /// Reads a page; `None` when the stream does not exist (or holds nothing but a kept stop).
    /// Errors: [`crate::Error::Forbidden`], [`crate::Error::Corrupt`].
    fn read<'a>(&'a self, stream: &'a StreamId, read: &'a Read) -> Pending<'a, Option<Page>>;
    /// Requests a stop; `keep` is how long it is kept for a stream that does not exist yet. The stop of each owner is kept separately,
    /// for at most [`MAX_KEPT_STOPS`](super::MAX_KEPT_STOPS) owners, and in addition the last one by anybody. A start is stopped by its owner's stop,
    /// or by the last one if its sender may stop the stream.
    /// Errors: [`crate::Error::Forbidden`], [`crate::Error::Store`] for too many owners.
    fn stop<'a>(
        &'a self,
        stream: &'a StreamId,
        reason: &'a str,
        owner: &'a OwnerCheck,
        keep: Duration,
    ) -> Pending<'a, StopResult>;
    /// Moves the cursors of consumers, which live as long as the stream. The answer says for each whether there was room:
    /// a new consumer is refused when there are [`MAX_CONSUMERS`](super::MAX_CONSUMERS).
    /// Errors: [`crate::Error::NotFound`], [`crate::Error::Forbidden`].
    fn ack<'a>(
        &'a self,
        stream: &'a StreamId,
        acks: &'a [Ack],
        owner: &'a OwnerCheck,
    ) -> Pending<'a, Vec<bool>>;
    /// A consumer's cursor, whose generation may no longer be kept.
    fn cursor<'a>(&'a self, stream: &'a StreamId, consumer: &'a str) -> Pending<'a, Option<Cursor>>;
    /// Looks up a stream's name, as part of a list: a damaged record is not an error here.
    fn inspect<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, Found>;
    /// Looks up the names of many streams in the same way, for less: in few steps, and without what may be large.
    fn glances<'a>(&'a self, streams: &'a [StreamId]) -> Pending<'a, Vec<Found<Glance>>>;
    /// How many processes this store sends each stream's messages to, this one among them; `None` where that is not known. A process
    /// whose own producer is the only one of a stream listens to none for it.
    fn listeners<'a>(&'a self, _streams: &'a [StreamId]) -> Pending<'a, Option<Vec<u64>>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    /// Where streams end, no more than [`MOST_LOOKS`](super::MOST_LOOKS); `None` where there is none, or something else is in its place. This
    /// costs next to nothing, and ends no generation whose producers are dead.
    fn tails<'a>(&'a self, streams: &'a [StreamId]) -> Pending<'a, Vec<Option<Tail>>>;
    /// The status of a stream. Errors: [`crate::Error::Store`] for a damaged one.
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
    /// The approximate memory of a stream in the store, in bytes; `None` when it does not exist.
    fn memory<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, Option<u64>>;
    /// Removes a stream, or anything else in its place, and ends its readers and producers; returns whether there was one. Stops that are
    /// kept for a stream that does not exist are only removed for [`OwnerCheck::Internal`].
    /// Errors: [`crate::Error::Forbidden`].
    fn remove<'a>(&'a self, stream: &'a StreamId, owner: &'a OwnerCheck) -> Pending<'a, bool>;
    /// Removes those of these streams that match the rule, each atomically as [`Store::remove`] does, and drops
    /// streams that are gone from the index, unless they have been started meanwhile.
    fn sweep<'a>(&'a self, streams: &'a [StreamId], rule: &'a Sweep) -> Pending<'a, Vec<Swept>>;
    /// The server's `INFO`, in a cluster that of one server; `None` when there is no server.
    fn info(&self) -> Pending<'_, Option<String>>;
    /// Checks all rights that the server has to grant; `None` when there is no server.
    fn rights(&self) -> Pending<'_, Option<Rights>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    /// How many ids the index holds, gone ones included.
    fn count(&self) -> Pending<'_, u64>;
    /// About `count` ids of the index, which may include streams that are gone and, within a shard, an id twice; and where
    /// to continue. A stream is listed from its start for as long as it exists.
    fn list(&self, from: ListCursor, count: usize) -> Pending<'_, (Vec<StreamId>, Option<ListCursor>)>;
    /// Delivers items to a consumer; `None` when the stream does not exist.
    /// Errors: [`crate::Error::Forbidden`], [`crate::Error::Store`] for more than [`MAX_GROUPS`](super::groups::MAX_GROUPS) groups.
    fn take<'a>(&'a self, work: Work<'a>, take: &'a Take) -> Pending<'a, Option<Taken>>;
    /// What was delivered to a consumer that it has not resolved. It is held for as long again, and does not count as delivered again.
    /// A store whose answers are never lost has nothing to do here. Errors: [`crate::Error::Forbidden`].
    fn repeat<'a>(&'a self, _work: Work<'a>, _repeat: &'a Repeat) -> Pending<'a, Repeated> {
        Box::pin(std::future::ready(Ok(Repeated::default())))
    }
    /// Resolves items. Errors: [`crate::Error::Forbidden`].
    fn resolve<'a>(&'a self, work: Work<'a>, resolve: &'a Resolve) -> Pending<'a, ()>;
    /// Lists dead letters, in the order of the work. Errors: [`crate::Error::Forbidden`].
    fn dead<'a>(&'a self, work: Work<'a>, dead: &'a Dead) -> Pending<'a, Vec<Item>>;
    /// Lists groups, in no order; `None` when the stream does not exist.
    fn groups<'a>(&'a self, work: Work<'a>) -> Pending<'a, Option<Vec<GroupStatus>>>;
    /// Adds a generation to [`Work::Finished`], if a group has ever asked for items; with `if_open` only if nobody has
    /// announced it yet. A store that sees every end by itself has nothing to do here.
    fn announce<'a>(&'a self, finished: &'a Finished, if_open: bool) -> Pending<'a, ()>;
    /// Removes the note of an open generation that no longer exists and will not be announced.
    fn forget_open<'a>(&'a self, open: &'a OpenGeneration) -> Pending<'a, ()>;
    /// Some of the generations that are still open although their leases should have been renewed or their ends announced;
    /// no other caller gets them for the length of the pause.
    fn overdue(&self, count: usize, pause: Duration) -> Pending<'_, Overdue>;
    /// Makes, changes or removes a reminder. See [`reminders`](super::reminders).
    /// Errors: [`crate::Error::InvalidArgument`] for a key or value that is too long.
    fn remind<'a>(&'a self, remind: &'a Remind) -> Pending<'a, Reminded>;
    /// The reminders with these keys, no more than [`MAX_RECALLED`](super::reminders::MAX_RECALLED).
    fn recall<'a>(&'a self, keys: &'a [String]) -> Pending<'a, Recalled>;
    /// Some of the reminders that are due, the longest due first; no other caller gets them for the length of the pause, unless they
    /// are changed. They are kept for so long from now on.
    fn due(&self, count: usize, pause: Duration, keep: Duration) -> Pending<'_, Due>;
    /// The keys and versions of all reminders, in no order.
    fn reminders(&self) -> Pending<'_, Vec<(String, u64)>>;
    /// Listens to news of [`Work::Finished`] from now on, for as long as the store is open.
    fn listen_finished(&self) -> Pending<'_, ()>;
    /// Listens to a stream until [`Store::unlisten`]; resolves once messages published from now on will arrive.
    fn listen<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, ()>;
    /// Stops listening.
    fn unlisten(&self, stream: &StreamId);
    /// Why the store has nothing for such a need, while that is known: the last attempt to connect has failed.
    fn outage(&self, _need: Need) -> Option<crate::Error> {
        None
    }
    /// The state of the connection.
    fn state(&self) -> ConnectionState;
    /// Gives up the connections; operations after it fail with [`crate::Error::Closed`].
    fn close(&self) -> Pending<'_, ()>;
}

/// What is needed of a store that may be away in part: its answers may come while its messages do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Answers.
    Answers,
    /// To begin a generation: answers and, for this engine's first one, messages.
    Start,
    /// Answers and messages.
    Messages,
}

/// A store, shared.
pub type SharedStore = Arc<dyn Store>;
