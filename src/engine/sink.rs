//! The interface through which the host takes events.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use ulid::Ulid;

use super::{
    events::{Event, Handle},
    large::Large,
};
use crate::model::{ending::End, frame::Chunk};

/// The most subscriptions that are given a chunk in one.
pub const MOST_TOGETHER: usize = 512;

/// Takes events, in the host's own form.
pub trait Sink {
    /// Whether there is no room for another chunk or event.
    fn is_full(&self) -> bool;
    /// The generation of the subscription's following chunks.
    fn generation(&mut self, subscription: Handle, generation: Ulid);
    /// A chunk for each of these subscriptions, [`MOST_TOGETHER`] at most; returns its cost in the credit of each.
    fn chunk(&mut self, subscriptions: &[Handle], seq: u64, chunk: Chunk<'_>) -> u64;
    /// A large chunk; returns its cost in the subscription's credit.
    fn large(&mut self, subscription: Handle, seq: u64, large: Arc<Large>) -> u64;
    /// A piece of the subscription's event stream, appended by `write`; returns its cost in the credit. `chunk` is
    /// the length of the chunk from which it was made, if there is one.
    fn piece(
        &mut self,
        subscription: Handle,
        chunk: Option<usize>,
        write: &mut dyn FnMut(&mut Vec<u8>),
    ) -> u64;
    /// A piece that others may be given too, made of so many chunks with so many bytes; returns its cost in the credit.
    fn shared(&mut self, subscription: Handle, chunks: (u64, u64), piece: Bytes) -> u64;
    /// The subscription is over.
    fn end(&mut self, subscription: Handle, end: End);
    /// Something else.
    fn event(&mut self, event: Event);
}

/// What delivers something to several subscriptions in one.
pub trait Source: Send + Sync {
    /// Delivers what has come, as far as the sink has room.
    fn pull(&self, sink: &mut dyn Sink) -> Pulled;
}

/// Whether a pull came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulled {
    /// Nothing more to deliver now.
    Dry,
    /// The sink is full.
    Full,
    /// The subscription is over.
    Over,
}

/// Since when each thing was ready that has been put into a sink and not been given to the host yet.
pub type Waits = Vec<Instant>;
