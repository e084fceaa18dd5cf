//! Counts what a drain delivers.

use std::sync::Arc;

use bytes::Bytes;
use ulid::Ulid;

use super::{Delivered, Metrics};
use crate::{
    Error,
    engine::{
        events::{Event, Handle},
        large::Large,
        sink::Sink,
    },
    model::{ending::End, frame::Chunk},
};

/// A sink that counts what it passes on, and adds it to the metrics once.
pub(in crate::engine) struct Counted<'a> {
    sink: &'a mut dyn Sink,
    metrics: &'a Delivered,
    chunks: u64,
    bytes: u64,
}

impl<'a> Counted<'a> {
    pub fn new(sink: &'a mut dyn Sink, metrics: &'a Metrics) -> Self {
        Self {
            sink,
            metrics: &metrics.delivered,
            chunks: 0,
            bytes: 0,
        }
    }

    /// Chunks delivered so far.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if self.chunks > 0 {
            self.metrics.chunks.add(self.chunks);
            self.metrics.bytes.add(self.bytes);
        }
    }
}

impl Sink for Counted<'_> {
    fn is_full(&self) -> bool {
        self.sink.is_full()
    }

    fn generation(&mut self, subscription: Handle, generation: Ulid) {
        self.sink.generation(subscription, generation);
    }

    fn chunk(&mut self, subscriptions: &[Handle], seq: u64, chunk: Chunk<'_>) -> u64 {
        let times = subscriptions.len() as u64;
        self.chunks += times;
        self.bytes += times * chunk.data.len() as u64;
        self.sink.chunk(subscriptions, seq, chunk)
    }

    fn large(&mut self, subscription: Handle, seq: u64, large: Arc<Large>) -> u64 {
        self.chunks += 1;
        self.bytes += large.data.len() as u64;
        self.sink.large(subscription, seq, large)
    }

    fn piece(
        &mut self,
        subscription: Handle,
        chunk: Option<usize>,
        write: &mut dyn FnMut(&mut Vec<u8>),
    ) -> u64 {
        if let Some(length) = chunk {
            self.chunks += 1;
            self.bytes += length as u64;
        }
        self.sink.piece(subscription, chunk, write)
    }

    fn shared(&mut self, subscription: Handle, (chunks, bytes): (u64, u64), piece: Bytes) -> u64 {
        self.chunks += chunks;
        self.bytes += bytes;
        self.sink.shared(subscription, (chunks, bytes), piece)
    }

    fn end(&mut self, subscription: Handle, end: End) {
        if matches!(end, End::Error(Error::Gap { .. })) {
            self.metrics.gaps.one();
        }
        self.sink.end(subscription, end);
    }

    fn event(&mut self, event: Event) {
        self.sink.event(event);
    }
}
