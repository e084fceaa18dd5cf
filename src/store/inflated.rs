//! The frames that were inflated last, for those who read the same: a hundred readers come back to one stream at once, and each reads its log.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock},
};

use bytes::Bytes;

use crate::{
    model::frame::{Frame, inflates_to},
    util::sync::lock,
};

/// What they may take together, for all engines of the process; a frame above half of it is not kept.
const MOST: usize = 1 << 20;
/// A shorter one is inflated as soon as it is found.
const LEAST: usize = 4 * 1024;

/// Where a frame is, or will be once the first who wants it has inflated it.
type Place = Arc<OnceLock<Result<Frame, &'static str>>>;

struct Entry {
    last: u64,
    kept: Bytes,
    place: Place,
}

impl Entry {
    fn is(&self, last: u64, kept: &Bytes) -> bool {
        self.last == last && self.kept == *kept
    }

    fn size(&self) -> usize {
        self.kept.len() + inflates_to(&self.kept)
    }
}

/// The oldest first.
static ENTRIES: Mutex<VecDeque<Entry>> = Mutex::new(VecDeque::new());

/// Whether a frame has been inflated already.
pub(super) fn is_at_hand(last: u64, kept: &Bytes) -> bool {
    is_kept(kept)
        && lock(&ENTRIES)
            .iter()
            .any(|entry| entry.is(last, kept) && entry.place.get().is_some())
}

fn is_kept(kept: &Bytes) -> bool {
    (LEAST..=MOST / 2).contains(&inflates_to(kept))
}

/// What [`Frame::decode`] says. Those who want the same frame meanwhile wait for it.
pub(super) fn decode(last: u64, kept: Bytes) -> Result<Frame, &'static str> {
    if !is_kept(&kept) {
        return Frame::decode(last, kept);
    }
    let place = place(last, &kept);
    place.get_or_init(|| Frame::decode(last, kept)).clone()
}

fn place(last: u64, kept: &Bytes) -> Place {
    let mut entries = lock(&ENTRIES);
    if let Some(entry) = entries.iter().find(|entry| entry.is(last, kept)) {
        return Arc::clone(&entry.place);
    }
    let place = Place::default();
    entries.push_back(Entry {
        last,
        kept: kept.clone(),
        place: Arc::clone(&place),
    });
    let mut all: usize = entries.iter().map(Entry::size).sum();
    while all > MOST {
        all -= entries.pop_front().map_or(all, |oldest| oldest.size());
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::frame::{FrameBuilder, Kind, SealedFrame};

    /// A sealed frame of so many chunks, which are different for each `seed`.
    fn sealed(seed: usize, chunks: usize) -> (u64, Bytes) {
        let mut builder = FrameBuilder::default();
        for chunk in 0..chunks {
            builder.push(Kind::Text, format!("chunk {chunk} of {seed}").as_bytes());
        }
        let frame = builder.take(usize::MAX, usize::MAX).unwrap().at(1);
        (frame.last(), SealedFrame::of(&[frame], 6).unwrap().bytes)
    }

    #[test]
    fn the_same_frame_is_inflated_once_and_others_are_their_own() {
        let text = |frame: &Frame| {
            frame
                .chunks()
                .map(|chunk| chunk.data.to_vec())
                .collect::<Vec<_>>()
        };
        let frames: Vec<_> = (0..200).map(|seed| sealed(seed, 1_000)).collect();
        let first = |frame: &Frame| frame.chunks().next().unwrap().data.as_ptr();
        for (last, kept) in &frames {
            let [one, two] = [(); 2].map(|()| decode(*last, kept.clone()).unwrap());
            assert_eq!(first(&one), first(&two), "the same memory");
            assert!(is_at_hand(*last, kept));
            assert_eq!(text(&one), text(&Frame::decode(*last, kept.clone()).unwrap()));
            let elsewhere = decode(last + 1, kept.clone()).unwrap();
            assert_eq!((elsewhere.first(), elsewhere.last()), (2, last + 1));
        }
        let kept: usize = lock(&ENTRIES).iter().map(Entry::size).sum();
        assert!(kept <= MOST, "{kept} bytes");
    }

    #[test]
    fn a_damaged_frame_is_one_for_everybody() {
        let (last, kept) = sealed(1_000, 1_000);
        let mut damaged = kept.to_vec();
        let end = damaged.len() - 1;
        damaged[end] ^= 1;
        for _ in 0..2 {
            assert!(decode(last, damaged.clone().into()).is_err());
        }
        assert!(decode(last, kept).is_ok());
    }
}
