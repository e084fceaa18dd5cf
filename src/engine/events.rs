//! The events that the host gets.

use std::sync::Arc;

use ulid::Ulid;

use super::large::Large;
use crate::{
    Error, Result, StreamId,
    legacy::Left,
    model::{
        connection::ConnectionState,
        ending::{Outcome, Terminal},
        frame::Kind,
    },
    store::{
        Found, Glance, ListCursor, Rights, StopResult, StreamStatus, Swept, Tail,
        groups::{GroupStatus, Item},
        logs::{LogConfig, LogWritten},
        reminders::{Due, Recalled, Reminded},
    },
};

/// The host's name for a producer or a subscription; never used twice by one engine.
pub type Handle = u32;

/// An event, in the order in which the host must get it.
#[derive(Debug)]
pub enum Event {
    /// The answer to a request.
    Reply(u32, Result<Reply>),
    /// Acknowledged appends, by the seq of each, oldest first.
    Settled(Handle, Vec<u64>),
    /// A stop was requested: the producer may still write closing chunks.
    Stopped(Handle, String),
    /// The producer can write no more.
    Broken(Handle, Error),
    /// The connection's state changed.
    State(ConnectionState, String),
    /// A warning for the operator of the store.
    Warning(String),
    /// Asks the host for user and password; the number identifies the question.
    Ask(u32),
    /// A line of the log: see [`LogSink`](crate::util::log::LogSink).
    Log(String),
}

/// The answer to a request.
#[derive(Debug)]
pub enum Reply {
    /// Done.
    Unit,
    /// A producer has started.
    Produced {
        /// By which the host names the producer in later calls and in its events.
        producer: Handle,
        /// What it writes to: one of its own, or the one that it has joined or continues.
        generation: Ulid,
        /// The seq of the last chunk that others have written to it before, if there is one.
        continued: Option<u64>,
        /// The reason of a stop that came first.
        stop: Option<String>,
    },
    /// A producer has ended.
    Finished {
        /// How.
        outcome: Outcome,
        /// Why.
        reason: String,
    },
    /// The answer to a stop.
    Stop(StopResult),
    /// The answer to a status request.
    Status(Option<Box<StreamStatus>>),
    /// To `Engine::inspect`.
    Found(Vec<Found>),
    /// A page of stream ids.
    List(Vec<StreamId>, Option<ListCursor>),
    /// The same, with a glance at each.
    Glances(Vec<StreamId>, Vec<Found<Glance>>, Option<ListCursor>),
    /// To `Engine::glance`.
    Glanced(Vec<Found<Glance>>),
    /// To a write to a log.
    Log(LogWritten),
    /// Whether the name of a log is kept for its forks.
    Kept(bool),
    /// A page of a stream, if there is one.
    Page(Option<Box<LogPage>>),
    /// Items for a consumer of a group, or dead letters.
    Handed(Handed),
    /// The groups of a stream, if there is one, or those that wait for finished generations.
    Groups(Option<Vec<GroupStatus>>),
    /// The bytes that a stream takes of the store's memory.
    Memory(Option<u64>),
    /// The `INFO` of the store's server.
    Info(Option<String>),
    /// The rights on the store's server.
    Rights(Option<Rights>),
    /// How many streams there are, about.
    Count(u64),
    /// What a clean-up did with each stream.
    Swept(Vec<Swept>),
    /// To a change of a reminder.
    Reminded(Reminded),
    /// Reminders.
    Recalled(Recalled),
    /// The reminders that are due.
    Due(Due),
    /// The keys and versions of all reminders.
    Reminders(Vec<(String, u64)>),
    /// Where streams end.
    Tails(Vec<Option<Tail>>),
    /// Whether there was something to delete.
    Deleted(bool),
    /// The keys that the predecessor has left behind.
    Predecessor(Option<Left>),
}

/// An item with its data.
#[derive(Debug)]
pub struct Loaded {
    /// The group's item.
    pub item: Item,
    /// A chunk's data, if it can still be read.
    pub data: Option<Data>,
}

/// A chunk's data.
#[derive(Debug)]
pub enum Data {
    /// As a frame holds it: text or bytes.
    Small(Kind, Vec<u8>),
    /// Kept in pieces.
    Large(Arc<Large>),
}

impl Data {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Small(_, data) => data.len(),
            Self::Large(large) => large.data.len(),
        }
    }
}

/// The items that a consumer gets at once.
#[derive(Debug, Default)]
pub struct Handed {
    /// In the order of the group; none when the wait was over.
    pub items: Vec<Loaded>,
    /// There will be no more: the last generation has ended like this.
    pub done: Option<Terminal>,
}

/// Chunks that follow each other.
#[derive(Debug)]
pub struct LogPage {
    /// The generation that they are of.
    pub generation: Ulid,
    /// The seq before its first chunk.
    pub base: u64,
    /// The seq before the page's first chunk.
    pub after: u64,
    /// The length of each chunk in bytes, and whether it is text.
    pub chunks: Vec<(usize, bool)>,
    /// All chunks, one after the other.
    pub data: Vec<u8>,
    /// Whether nothing follows at this moment.
    pub is_last: bool,
    /// How the generation ended, if it has and nothing follows.
    pub terminal: Option<Terminal>,
    /// The options with which the stream was created, if it is a log.
    pub log: Option<LogConfig>,
}
