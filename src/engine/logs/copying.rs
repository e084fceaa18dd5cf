//! Copies the beginning of a fork to its stream, where nobody sees it until the fork is opened.

use bytes::Bytes;
use tokio::task::spawn_blocking;
use ulid::Ulid;

use crate::{
    Cursor, Error, Result, StreamId,
    engine::{context::Context, large::Large, load, runtime::internal},
    model::frame::{Chunk, FrameBuilder, Kind, MAX_INLINE, Reference, SealedFrame},
    store::{
        OwnerCheck, Position, Read,
        forks::{Stage, StagePart, Staged},
    },
    util::ulids::next_ulid,
};

/// Bytes that are read from the source at once.
const PAGE_BYTES: usize = 256 * 1024;
/// The most bytes in a frame of the copy, unless one chunk alone has more.
const FRAME_BYTES: usize = 256 * 1024;
/// The most chunks in a frame of the copy.
const FRAME_CHUNKS: usize = 1 << 16;

/// The part of the source that is copied.
pub(super) struct Extent<'a> {
    pub source: &'a StreamId,
    pub generation: Ulid,
    pub owner: Option<String>,
    /// The seq before its first chunk.
    pub base: u64,
    /// The last chunk that is copied whole.
    pub seq: u64,
    /// The bytes of the next one that are copied.
    pub bytes: u64,
}

/// The result of a copy.
pub(super) enum Copied {
    /// The copy is complete.
    Done {
        attempt: Ulid,
        /// False if the last chunk was cut.
        is_whole: bool,
    },
    /// The target was created, another attempt has begun, or the source is gone: the caller looks again.
    Disturbed,
    /// The chunk to be cut is shorter than that.
    NoPlace,
}

/// Why a copy was abandoned.
enum Stop {
    Disturbed,
    NoPlace,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

struct Copy<'a> {
    context: &'a Context,
    target: &'a StreamId,
    attempt: Ulid,
    step: u64,
    ordinal: u64,
    builder: FrameBuilder,
    /// The last chunk that was copied, into this frame or an earlier one.
    last: u64,
}

/// Copies a part of one log to another stream, where nobody sees it yet.
pub(super) async fn copy(context: &Context, extent: &Extent<'_>, target: &StreamId) -> Result<Copied> {
    let mut copy = Copy {
        context,
        target,
        attempt: next_ulid(),
        step: 0,
        ordinal: 0,
        builder: FrameBuilder::default(),
        last: extent.base,
    };
    match copy.all(extent).await {
        Ok(is_whole) => Ok(Copied::Done {
            attempt: copy.attempt,
            is_whole,
        }),
        Err(Stop::Disturbed) => Ok(Copied::Disturbed),
        Err(Stop::NoPlace) => Ok(Copied::NoPlace),
        Err(Stop::Failed(error)) => Err(error),
    }
}

impl Copy<'_> {
    async fn all(&mut self, extent: &Extent<'_>) -> std::result::Result<bool, Stop> {
        self.put(StagePart::Begin).await?;
        let end = extent.seq + u64::from(extent.bytes > 0);
        let mut is_whole = true;
        while self.last < end {
            let read = Read {
                position: Position::After {
                    generation: extent.generation,
                    seq: self.last,
                },
                max_bytes: PAGE_BYTES,
                owner: OwnerCheck::Caller(extent.owner.clone()),
            };
            let permit = self.context.reads().acquire().await;
            let page = self
                .context
                .retry(|| self.context.store().read(extent.source, &read))
                .await;
            drop(permit);
            let page = page?.filter(|page| !page.lost && page.generation == extent.generation);
            let page = page.ok_or(Stop::Disturbed)?;
            for frame in &page.frames {
                for (seq, chunk) in (frame.first()..).zip(frame.chunks()) {
                    if seq <= self.last || seq > end {
                        continue;
                    }
                    if seq != self.last + 1 {
                        return Err(gap(extent, self.last, seq - 1).into());
                    }
                    let cut = (seq > extent.seq).then_some(extent.bytes);
                    is_whole &= self.chunk(extent.source, seq, chunk, cut).await?;
                }
            }
            if !page.more && self.last < end {
                return Err(gap(extent, self.last, end).into());
            }
        }
        self.flush().await?;
        Ok(is_whole)
    }

    /// Copies a chunk, or its first `cut` bytes. Returns whether that was all of it.
    async fn chunk(
        &mut self,
        source: &StreamId,
        seq: u64,
        chunk: Chunk<'_>,
        cut: Option<u64>,
    ) -> std::result::Result<bool, Stop> {
        let reference = Reference::decode(chunk.data).filter(|_| chunk.kind == Kind::Large);
        let length = reference.map_or(chunk.data.len(), |reference| reference.length);
        let wanted = cut.map_or(Some(length), |cut| usize::try_from(cut).ok());
        let wanted = wanted.filter(|wanted| *wanted <= length).ok_or(Stop::NoPlace)?;
        match reference {
            None => self.add(chunk.kind, &chunk.data[..wanted]).await?,
            Some(reference) => {
                let whole = load::whole(self.context, source, reference, seq).await?;
                let whole = whole.ok_or(Stop::Disturbed)?;
                let data = whole.data.slice(..wanted);
                if wanted <= MAX_INLINE {
                    self.add(reference.kind, &data).await?;
                } else {
                    self.large(reference.kind, &data).await?;
                }
            }
        }
        self.last = seq;
        Ok(wanted == length)
    }

    async fn add(&mut self, kind: Kind, data: &[u8]) -> std::result::Result<(), Stop> {
        let is_full = self.builder.payload_len() + data.len() > FRAME_BYTES;
        if is_full || self.builder.count() >= FRAME_CHUNKS {
            self.flush().await?;
        }
        self.builder.push(kind_of(kind, data), data);
        Ok(())
    }

    async fn large(&mut self, kind: Kind, data: &Bytes) -> std::result::Result<(), Stop> {
        let large = Large::new(kind_of(kind, data), data, self.ordinal);
        for index in 0..large.reference.pieces() {
            let data = large.piece(index);
            self.put(StagePart::Piece {
                large: large.reference,
                index,
                data,
            })
            .await?;
        }
        self.add(Kind::Large, &large.reference.encode()).await
    }

    async fn flush(&mut self) -> std::result::Result<(), Stop> {
        let Some(encoded) = self.builder.take(usize::MAX, usize::MAX) else {
            return Ok(());
        };
        let (last, level) = (self.last, self.context.config().compression);
        let frame = encoded.at(last + 1 - encoded.count);
        let sealed = spawn_blocking(move || SealedFrame::of(&[frame], level)).await;
        let Some(frame) = sealed.map_err(|panic| internal(&panic))? else {
            return Ok(());
        };
        self.put(StagePart::Frame { last, frame }).await
    }

    async fn put(&mut self, part: StagePart) -> std::result::Result<(), Stop> {
        let stage = Stage {
            id: self.attempt,
            step: self.step,
            part,
        };
        let (context, target) = (self.context, self.target);
        match context.retry(|| context.store().stage(target, &stage)).await? {
            Staged::Done { ordinal } => self.ordinal = ordinal,
            Staged::Taken | Staged::Lost => return Err(Stop::Disturbed),
        }
        self.step += 1;
        Ok(())
    }
}

/// The kind of a chunk that may have been cut: a text that ends in the middle of a character is bytes. Other kinds stay.
fn kind_of(kind: Kind, data: &[u8]) -> Kind {
    if kind == Kind::Text && std::str::from_utf8(data).is_err() {
        Kind::Bytes
    } else {
        kind
    }
}

fn gap(extent: &Extent<'_>, after: u64, to: u64) -> Error {
    let cursor = Cursor {
        generation: extent.generation,
        seq: to,
    };
    Error::Gap {
        stream: extent.source.to_string(),
        reason: format!("chunks {} to {to} are gone", after + 1),
        resume: cursor.to_string(),
    }
}
