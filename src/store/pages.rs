//! A page as a store finds it, before its frames are decoded.

use bytes::Bytes;

use super::{Page, inflated};
use crate::{Error, Result, StreamId, model::frame::inflates_to};

/// Inflating more than this is left to another thread, and so is looking through many times as much.
const INLINE_BYTES: usize = 32 * 1024;

/// A page whose frames may still have to be inflated.
pub(super) struct RawPage {
    /// With the frames that need no decoding; they come after the others.
    pub page: Page,
    /// Frames as they are kept, each with its last seq.
    pub kept: Vec<(u64, Bytes)>,
}

impl RawPage {
    /// A page without frames to decode.
    pub fn plain(page: Page) -> Self {
        let kept = Vec::new();
        Self { page, kept }
    }

    /// The page. A frame that cannot be decoded ends it there; as the first one it is the reader's error.
    pub async fn decode(self, stream: &StreamId) -> Result<Page> {
        let work = self.kept.iter().map(|(last, bytes)| {
            let is_at_hand = inflated::is_at_hand(*last, bytes);
            bytes.len() / 16 + if is_at_hand { 0 } else { inflates_to(bytes) }
        });
        if work.sum::<usize>() <= INLINE_BYTES {
            return self.decode_here(stream);
        }
        let stream = stream.clone();
        let decoded = tokio::task::spawn_blocking(move || self.decode_here(&stream)).await;
        decoded.unwrap_or_else(|panic| Err(Error::internal(panic.to_string())))
    }

    fn decode_here(self, stream: &StreamId) -> Result<Page> {
        let mut page = self.page;
        let mut frames = Vec::with_capacity(self.kept.len() + page.frames.len());
        for (last, bytes) in self.kept {
            match inflated::decode(last, bytes) {
                Ok(frame) => frames.push(frame),
                Err(reason) if frames.is_empty() => {
                    return Err(Error::Corrupt {
                        stream: stream.to_string(),
                        seq: last,
                        reason: reason.to_owned(),
                    });
                }
                Err(_) => {
                    page.frames = frames;
                    page.more = true;
                    page.terminal = None;
                    return Ok(page);
                }
            }
        }
        frames.append(&mut page.frames);
        page.frames = frames;
        Ok(page)
    }
}
