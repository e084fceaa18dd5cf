//! Where chunks are kept: the [`Store`] trait and the values that cross it.
//!
//! The trait ([`contract`]) is the contract of both stores, [`memory`] and [`redis`]. Every operation on a stream is atomic. Time is
//! the store's own: the process' clock in memory, `TIME` in Redis.

pub mod contract;
mod doubt;
pub mod forks;
mod glances;
pub mod groups;
mod inflated;
mod log_config;
pub mod logs;
pub mod memory;
mod open;
mod pages;
mod quiet;
pub mod redis;
pub mod reminders;
mod restore;
mod rights;
mod tails;
pub mod values;

pub use contract::{
    ControlMessage, FinishedNews, Listener, LiveMessage, MOST_LOOKS, Need, Pending, SharedStore, Store,
};
pub use doubt::{AGAIN, GRACE, PAUSE};
pub use glances::{Glance, Readers};
pub use open::{Opened, open};
pub use quiet::{Known, Vouched};
pub use restore::Restore;
pub use rights::{MissingRight, Rights};
pub use tails::Tail;
pub use values::{
    Ack, Append, Appended, ConsumerStatus, Found, Head, IfActive, IfEnded, ListCursor, MAX_CONSUMERS,
    MAX_KEPT_STOPS, MAX_PAGE_FRAMES, MAX_PRODUCERS, OwnerCheck, Page, Piece, Position, Read, Renew,
    SHOWN_CONSUMERS, Seal, Start, Started, StopResult, StreamStatus, Sweep, Swept,
};
