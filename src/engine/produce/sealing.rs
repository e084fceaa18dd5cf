//! Sealing: open frames become one, compressed, while the stream lives and when it ends.
//!
//! A generation's only producer still has the chunks of the open part, and sends their sealed frame to the store when it
//! has nothing to write, or else with its next batch. A producer that cannot know all of them (one of several, or
//! one whose store has lost something) first reads the open part from the log. Either way the store compares where the sealed
//! part ends, so it does not matter who seals, or how often.

use std::{future::Future, mem, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::task::{JoinHandle, spawn_blocking};
use ulid::Ulid;

use super::producer::Producer;
use crate::{
    StreamId,
    engine::context::Context,
    model::frame::{Frame, SealedFrame},
    store::{OwnerCheck, Position, Read, Seal},
};

/// The open part is sealed when it has this many frames …
const OPEN_FRAMES: usize = 256;
/// … or bytes. A longer frame would save hardly more (`docs/adr/0009-sealing.md`).
const OPEN_BYTES: usize = 16 * 1024;
/// Past this, a producer waits for its sealing before it writes on: bytes …
const MOST_OPEN_BYTES: usize = 1 << 20;
/// … or frames, several times as many as are sealed at once.
const MOST_OPEN_FRAMES: usize = 2048;
/// The most bytes that are read from the log to be sealed.
const READ_BYTES: usize = 64 * 1024;
/// How long the end of a generation waits for that.
const PATIENCE: Duration = Duration::from_secs(1);
/// The level of compression while there is more to do than that: half of the time for a third more bytes, or for almost twice as many.
const HURRIED: u32 = 2;
/// Compressing more than this is left to another thread.
const INLINE_BYTES: usize = 4 * 1024;

/// One producer's sealing.
pub(crate) struct Sealing {
    context: Arc<Context>,
    producer: Arc<Producer>,
    open: OpenPart,
    /// How many open frames are sealed at once. The first limit is different for each stream: otherwise streams that started
    /// together would be sealed at the same moment, again and again.
    limit: usize,
    job: Option<JoinHandle<Option<Seal>>>,
}

/// The part of the log that is not sealed.
enum OpenPart {
    /// All of it: the frames that were accepted after this seq.
    Known {
        after: u64,
        frames: Vec<Frame>,
        bytes: usize,
    },
    /// It has to be read. `bytes` is what this producer has added since the last look.
    InLog { bytes: usize },
}

impl Sealing {
    /// The sealing of a generation that `producer` has just begun, or joined.
    pub fn new(context: Arc<Context>, producer: Arc<Producer>, after: u64) -> Self {
        let open = if producer.exclusive {
            OpenPart::Known {
                after,
                frames: Vec::new(),
                bytes: 0,
            }
        } else {
            OpenPart::InLog { bytes: 0 }
        };
        let among_others = producer.start.producer.random() % (OPEN_FRAMES as u128 / 2);
        Self {
            context,
            producer,
            open,
            limit: OPEN_FRAMES - usize::try_from(among_others).unwrap_or_default(),
            job: None,
        }
    }

    fn is_off(&self) -> bool {
        self.context.config().compression == 0
    }

    /// A frame was accepted.
    pub fn add(&mut self, frame: Frame) {
        if self.is_off() {
            return;
        }
        let is_due = match &mut self.open {
            OpenPart::Known { frames, bytes, .. } => {
                *bytes += frame.size();
                frames.push(frame);
                frames.len() >= self.limit || *bytes >= self.limit * OPEN_BYTES / OPEN_FRAMES
            }
            OpenPart::InLog { bytes } => {
                *bytes += frame.size();
                // Of several producers, the one whose chunk has a round number seals for all.
                let rounds = |seq: u64| seq / OPEN_FRAMES as u64;
                *bytes >= OPEN_BYTES || rounds(frame.last()) > rounds(frame.first() - 1)
            }
        };
        if is_due && self.job.is_none() {
            let work = self.work(None);
            let producer = Arc::clone(&self.producer);
            self.job = Some(self.context.spawn(async move {
                let seal = work.await;
                producer.notify.notify_one();
                seal
            }));
        }
    }

    /// Whether something can be sealed.
    pub fn is_ready(&self) -> bool {
        self.job.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// The seal that can go with the next batch.
    pub fn ready(&mut self) -> Option<Seal> {
        let done = self.job.take_if(|job| job.is_finished())?;
        done.now_or_never()?.ok()?
    }

    /// The seal that is being prepared, if nothing should be written before it is ready.
    pub fn overdue(&mut self) -> Option<JoinHandle<Option<Seal>>> {
        match &self.open {
            OpenPart::Known { bytes, frames, .. }
                if *bytes >= MOST_OPEN_BYTES || frames.len() >= MOST_OPEN_FRAMES =>
            {
                self.job.take()
            }
            _ => None,
        }
    }

    /// All that is open, with the producer's last frame if it is known where that will stand.
    pub fn rest(&mut self, last: Option<Frame>) -> impl Future<Output = Option<Seal>> + use<> {
        self.job = None;
        let work = (!self.is_off()).then(|| self.work(last));
        async move { tokio::time::timeout(PATIENCE, work?).await.ok()? }
    }

    /// The store has sealed this.
    pub fn sealed(&mut self, seal: &Seal) {
        self.limit = OPEN_FRAMES;
        if let OpenPart::Known { after, frames, bytes } = &mut self.open {
            *after = seal.last();
            frames.retain(|frame| frame.last() > seal.last());
            *bytes = frames.iter().map(Frame::size).sum();
        }
    }

    /// The store's sealed part may end elsewhere.
    pub fn lose_track(&mut self) {
        self.open = OpenPart::InLog { bytes: 0 };
        self.job = None;
    }

    /// How much work a seal is worth: less while chunks come faster than they are written.
    fn level(&self) -> u32 {
        let level = self.context.config().compression;
        let is_hurried = self.producer.is_behind() || self.context.rate().too_early().is_some();
        if is_hurried { level.min(HURRIED) } else { level }
    }

    fn work(&mut self, last: Option<Frame>) -> impl Future<Output = Option<Seal>> + use<> {
        let level = self.level();
        let context = Arc::clone(&self.context);
        let producer = Arc::clone(&self.producer);
        let known = match &mut self.open {
            OpenPart::Known { after, frames, .. } => Some((*after, frames.clone())),
            OpenPart::InLog { bytes } => {
                mem::take(bytes);
                None
            }
        };
        async move {
            let (after, mut frames) = match known {
                Some(known) => known,
                None => read(&context, &producer.stream, producer.start.generation).await?,
            };
            frames.extend(last.filter(|last| frames.last().map_or(after, Frame::last) + 1 == last.first()));
            compress(after, frames, level).await
        }
    }
}

/// The open part, or its beginning, of a generation without a producer.
pub(crate) async fn of_log(context: &Context, stream: &StreamId, generation: Ulid) -> Option<Seal> {
    if context.config().compression == 0 {
        return None;
    }
    let (after, frames) = read(context, stream, generation).await?;
    compress(after, frames, context.config().compression).await
}

/// The open part, or its beginning, from the log.
async fn read(context: &Context, stream: &StreamId, generation: Ulid) -> Option<(u64, Vec<Frame>)> {
    let read = Read {
        position: Position::AfterSealed,
        max_bytes: READ_BYTES,
        owner: OwnerCheck::Internal,
    };
    // If this fails, the log stays as it is.
    let page = context.store().read(stream, &read).await.ok()??;
    let mut next = page.after + 1;
    let follows = page.generation == generation
        && page
            .frames
            .iter()
            .all(|frame| mem::replace(&mut next, frame.last() + 1) == frame.first());
    follows.then_some((page.after, page.frames))
}

async fn compress(after: u64, frames: Vec<Frame>, level: u32) -> Option<Seal> {
    let size: usize = frames.iter().map(Frame::size).sum();
    let seal = move || {
        let frame = SealedFrame::of(&frames, level)?;
        let last = after + frame.count;
        let replaced = frames.iter().filter(|frame| frame.last() <= last);
        Some(Seal {
            after,
            replaced: replaced.map(Frame::size).sum(),
            frame,
        })
    };
    if size <= INLINE_BYTES {
        seal()
    } else {
        spawn_blocking(seal).await.ok()?
    }
}
