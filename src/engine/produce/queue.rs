//! The queue of a producer: chunks that are joined into frames, and between them large ones, each by itself.

use std::{collections::VecDeque, sync::Arc};

use tokio::time::Instant;

use crate::{
    engine::large::Large,
    model::{
        ending::Terminal,
        frame::{EncodedFrame, FrameBuilder, Kind},
    },
};

/// A frame of this many chunks …
pub(crate) const MAX_FRAME_CHUNKS: usize = 512;
/// … and bytes, lengths included, still travels in one pub/sub message (16 KiB), so that live readers need not read.
pub(crate) const MAX_FRAME_BYTES: usize = 15_000;

/// Chunks in the order in which they were written, that no batch has taken yet.
#[derive(Default)]
pub(crate) struct ChunkQueue {
    parts: VecDeque<Part>,
    chunks: usize,
    bytes: usize,
}

enum Part {
    Small(FrameBuilder),
    Large(Arc<Large>),
}

impl Part {
    fn chunks(&self) -> usize {
        match self {
            Self::Small(builder) => builder.count(),
            Self::Large(_) => 1,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Small(builder) => builder.payload_len(),
            Self::Large(large) => large.data.len(),
        }
    }
}

/// The part that leaves the queue, or may be looked at before.
pub(crate) struct QueuedFrame {
    pub frame: EncodedFrame,
    /// The large chunk that the frame refers to.
    pub large: Option<Arc<Large>>,
    /// The bytes of its chunks.
    pub bytes: usize,
}

impl QueuedFrame {
    fn small(frame: EncodedFrame) -> Self {
        Self {
            bytes: frame.payload_len,
            large: None,
            frame,
        }
    }

    fn large(large: &Arc<Large>) -> Option<Self> {
        Some(Self {
            frame: large.frame()?,
            bytes: large.data.len(),
            large: Some(Arc::clone(large)),
        })
    }
}

/// A batch that leaves the queue.
#[derive(Default)]
pub(crate) struct Batch {
    /// The chunks, if any.
    pub frame: Option<EncodedFrame>,
    /// The large chunk that the frame refers to: the frame holds nothing else.
    pub large: Option<Arc<Large>>,
    /// The end, when nothing follows.
    pub terminal: Option<Terminal>,
    /// Since when the oldest of the chunks waits.
    pub since: Option<Instant>,
}

/// Whether a batch can leave.
pub(crate) enum NextBatch {
    Ready(Batch),
    /// Its chunks gather until this time.
    At(Instant),
    /// Nothing waits to be sent.
    Nothing,
}

impl ChunkQueue {
    pub fn push(&mut self, kind: Kind, data: &[u8]) {
        self.chunks += 1;
        self.bytes += data.len();
        if let Some(Part::Small(builder)) = self.parts.back_mut() {
            builder.push(kind, data);
            return;
        }
        let mut builder = FrameBuilder::default();
        builder.push(kind, data);
        self.parts.push_back(Part::Small(builder));
    }

    pub fn push_large(&mut self, large: Arc<Large>) {
        self.chunks += 1;
        self.bytes += large.data.len();
        self.parts.push_back(Part::Large(large));
    }

    /// The number of chunks.
    pub fn count(&self) -> usize {
        self.chunks
    }

    /// The bytes of all chunks.
    pub fn payload_len(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.chunks == 0
    }

    /// Whether no more fits into the next frame.
    pub fn fills_a_frame(&self) -> bool {
        self.chunks >= MAX_FRAME_CHUNKS || self.bytes >= MAX_FRAME_BYTES
    }

    /// Takes one large chunk; or of others at most `max_count` and, past the first one, at most `max_bytes`.
    pub fn take(&mut self, max_count: usize, max_bytes: usize) -> Option<QueuedFrame> {
        // An empty builder stays for the next chunk, unless something is queued after it.
        while self.parts.len() > 1 && self.parts.front().is_some_and(|part| part.chunks() == 0) {
            self.parts.pop_front();
        }
        let taken = match self.parts.front_mut()? {
            Part::Small(builder) => builder.take(max_count, max_bytes).map(QueuedFrame::small),
            Part::Large(large) => {
                let taken = QueuedFrame::large(large);
                self.parts.pop_front();
                taken
            }
        }?;
        self.chunks -= usize::try_from(taken.frame.count).unwrap_or(usize::MAX);
        self.bytes -= taken.bytes;
        Some(taken)
    }

    /// The chunks after the first `skip_count`, which take `skip_bytes`: one large chunk, or all others up to the next large one.
    pub fn peek(&self, mut skip_count: usize, mut skip_bytes: usize) -> Option<QueuedFrame> {
        for part in &self.parts {
            if skip_count >= part.chunks() {
                skip_count -= part.chunks();
                skip_bytes -= part.bytes();
                continue;
            }
            return match part {
                Part::Small(builder) => builder.peek(skip_count, skip_bytes).map(QueuedFrame::small),
                Part::Large(large) => QueuedFrame::large(large),
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::frame::MAX_INLINE;

    fn large(byte: u8) -> Arc<Large> {
        Large::new(Kind::Bytes, &vec![byte; MAX_INLINE + 1], 1)
    }

    #[test]
    fn order_and_bounds_hold_around_large_chunks() {
        let mut queue = ChunkQueue::default();
        queue.push(Kind::Text, b"one");
        queue.push(Kind::Text, b"two");
        queue.push_large(large(1));
        queue.push_large(large(2));
        queue.push(Kind::Text, b"three");
        assert_eq!((queue.count(), queue.payload_len()), (5, 2 * MAX_INLINE + 13));

        let shape = |part: QueuedFrame| {
            (
                part.frame.count,
                part.large.map(|large| large.data[0]),
                part.bytes,
            )
        };
        let (mut at, mut bytes, mut seen) = (0, 0, Vec::new());
        while let Some(part) = queue.peek(at, bytes) {
            at += usize::try_from(part.frame.count).unwrap();
            bytes += part.bytes;
            seen.push(shape(part));
        }
        let mut taken = Vec::new();
        while let Some(part) = queue.take(9, 99) {
            taken.push(shape(part));
        }
        let expected = [
            (2, None, 6),
            (1, Some(1), MAX_INLINE + 1),
            (1, Some(2), MAX_INLINE + 1),
            (1, None, 5),
        ];
        assert_eq!((&seen[..], &taken[..]), (&expected[..], &expected[..]));
        assert!(queue.is_empty());
        assert_eq!((queue.count(), queue.payload_len()), (0, 0));
        queue.push(Kind::Text, b"four");
        assert_eq!(queue.take(9, 99).map(|part| part.frame.count), Some(1));
    }
}
