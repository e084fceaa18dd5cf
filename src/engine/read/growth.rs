//! How a hub's readers get what has come, in one: see [`sharing`](super::sharing).

use std::sync::{Arc, MutexGuard};

use super::{
    follower::Takes,
    hub::{Hub, State},
    ring::Next,
    sharing::{Sharing, deliver, part},
};
use crate::{
    engine::{
        outbox::{Outbox, Ready},
        sink::{Pulled, Sink, Source},
    },
    util::sync::lock,
};

impl Hub {
    /// Frames have come after this seq: lets the readers have them, and `announce`s that if a drain is needed for it.
    pub(super) fn grow(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        seq: u64,
        announce: impl FnOnce(&Outbox),
    ) {
        if state.followers.is_empty() {
            return;
        }
        let (mut is_wanted, mut is_shared) = (false, false);
        for follower in state.followers.values() {
            let takes = follower.grow();
            is_wanted |= takes != Takes::ByItself;
            is_shared |= takes == Takes::FromHub;
        }
        let joins = is_shared && !state.sharing.is_queued;
        if joins {
            state.sharing = Sharing {
                is_queued: true,
                after: Some(seq),
            };
        }
        drop(state);
        self.changes_now();
        if let Some(outbox) = self.outbox.upgrade().filter(|_| is_wanted) {
            if joins {
                outbox.push_ready(Ready::Hub(Arc::clone(self) as Arc<dyn Source>));
            }
            announce(&outbox);
        }
    }
}

impl Source for Hub {
    /// Delivers what has come. Called when the hub leaves the outbox.
    fn pull(&self, sink: &mut dyn Sink) -> Pulled {
        let (generation, after, followers) = {
            let mut state = lock(&self.state);
            state.sharing.is_queued = false;
            let followers: Vec<_> = state
                .followers
                .iter()
                .map(|(handle, follower)| (*handle, Arc::clone(follower)))
                .collect();
            (state.ring.generation(), state.sharing.after, followers)
        };
        let (Some(generation), Some(mut seq)) = (generation, after) else {
            part(&followers);
            return Pulled::Dry;
        };
        loop {
            let (frame, is_newest) = match self.next(generation, seq) {
                Next::Frame(frame) => (frame, false),
                Next::Newest(frame) => (frame, true),
                Next::Wait | Next::Terminal(_) => break,
                Next::Log => {
                    part(&followers);
                    break;
                }
            };
            if !deliver(generation, &frame, &followers, sink) {
                lock(&self.state).sharing.goes_on(seq);
                return Pulled::Full;
            }
            seq = frame.last();
            if is_newest {
                break;
            }
        }
        Pulled::Dry
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        time::Duration,
    };

    use bytes::Bytes;
    use ulid::Ulid;

    use super::*;
    use crate::{
        Error, StreamId,
        engine::{
            events::{Event, Handle},
            large::Large,
            read::follower::Follower,
            sink::MOST_TOGETHER,
        },
        model::{
            ending::End,
            frame::{Chunk, Frame, FrameBuilder, Kind},
        },
    };

    const LEASE: Duration = Duration::from_secs(10);

    /// A reader that takes what follows its seq, and looks for itself where that is not what comes.
    struct Reader {
        seq: AtomicU64,
        looks: AtomicU64,
        paid: AtomicU64,
    }

    impl Follower for Reader {
        fn poke(&self) {}

        fn grow(&self) -> Takes {
            Takes::FromHub
        }

        fn take(&self, _: Ulid, frame: &Frame) -> bool {
            let seq = self.seq.load(Ordering::Relaxed);
            let takes = seq + 1 == frame.first();
            if takes {
                self.seq.store(frame.last(), Ordering::Relaxed);
            } else if seq < frame.last() {
                self.look();
            }
            takes
        }

        fn pay(&self, cost: u64) {
            self.paid.fetch_add(cost, Ordering::Relaxed);
        }

        fn look(&self) {
            self.looks.fetch_add(1, Ordering::Relaxed);
        }

        fn fail(&self, _: Error) {}
    }

    /// Notes who gets what, and has room for so many notes.
    struct Notes {
        taken: Vec<(usize, u64)>,
        room: usize,
    }

    impl Sink for Notes {
        fn is_full(&self) -> bool {
            self.taken.len() >= self.room
        }

        fn generation(&mut self, _: Handle, _: Ulid) {}

        fn chunk(&mut self, subscriptions: &[Handle], seq: u64, _: Chunk<'_>) -> u64 {
            self.taken.push((subscriptions.len(), seq));
            7
        }

        fn large(&mut self, _: Handle, _: u64, _: Arc<Large>) -> u64 {
            0
        }

        fn piece(&mut self, _: Handle, _: Option<usize>, _: &mut dyn FnMut(&mut Vec<u8>)) -> u64 {
            0
        }

        fn shared(&mut self, _: Handle, _: (u64, u64), _: Bytes) -> u64 {
            0
        }

        fn end(&mut self, _: Handle, _: End) {}

        fn event(&mut self, _: Event) {}
    }

    fn frame(seq: u64) -> Frame {
        let mut builder = FrameBuilder::default();
        builder.push(Kind::Text, b"chunk");
        builder.take(1, usize::MAX).unwrap().at(seq)
    }

    struct Scene {
        outbox: Arc<Outbox>,
        hub: Arc<Hub>,
        readers: Vec<Arc<Reader>>,
    }

    impl Scene {
        fn new(count: u32) -> Self {
            let outbox = Arc::new(Outbox::new(Box::new(|| ()), Duration::ZERO));
            let stream = StreamId::new("stream").unwrap();
            let hub = Arc::new(Hub::new(stream, Arc::default(), Arc::downgrade(&outbox)));
            hub.producer_joins(Ulid::nil(), 0, 0, false);
            let readers = (0..count).map(|handle| {
                let reader = Arc::new(Reader {
                    seq: AtomicU64::default(),
                    looks: AtomicU64::default(),
                    paid: AtomicU64::default(),
                });
                hub.join(handle, Arc::clone(&reader) as Arc<dyn Follower>);
                reader
            });
            let readers = readers.collect();
            Self { outbox, hub, readers }
        }

        fn grow(&self, seq: u64) {
            self.hub.offer(Ulid::nil(), seq, Some(frame(seq)), LEASE);
        }

        /// Drains as the engine does, with so much room.
        fn drain(&self, room: usize) -> Vec<(usize, u64)> {
            let mut notes = Notes {
                taken: Vec::new(),
                room,
            };
            while let Some((who, since)) = self.outbox.pop_ready() {
                let Ready::Hub(hub) = &who else {
                    panic!("a reader stands in the outbox")
                };
                if hub.pull(&mut notes) == Pulled::Full {
                    self.outbox.push_unfinished(who, since);
                    break;
                }
            }
            notes.taken
        }

        fn looks(&self) -> Vec<u64> {
            let looks = self.readers.iter().map(|reader| &reader.looks);
            looks.map(|looks| looks.load(Ordering::Relaxed)).collect()
        }
    }

    #[test]
    fn a_frame_is_given_once_to_all_that_stand_before_it_and_the_others_look_for_themselves() {
        let scene = Scene::new(4);
        scene.readers[0].seq.store(2, Ordering::Relaxed);
        scene.grow(1);
        scene.grow(2);
        assert_eq!(scene.drain(usize::MAX), [(3, 1), (3, 2)]);
        scene.readers[1].seq.store(1, Ordering::Relaxed);
        scene.grow(3);
        assert_eq!(scene.drain(usize::MAX), [(3, 3)]);
        assert_eq!(scene.looks(), [0, 1, 0, 0]);
        let paid = scene
            .readers
            .iter()
            .map(|reader| reader.paid.load(Ordering::Relaxed));
        assert_eq!(paid.collect::<Vec<_>>(), [7, 14, 21, 21]);
    }

    #[test]
    fn g1_a_full_drain_goes_on_where_it_was_whatever_comes_meanwhile() {
        let many = u32::try_from(MOST_TOGETHER).unwrap() + 10;
        let scene = Scene::new(many);
        scene.grow(1);
        scene.grow(2);
        assert_eq!(scene.drain(1), [(MOST_TOGETHER, 1)]);
        scene.grow(3);
        assert_eq!(scene.drain(1), [(10, 1)]);
        assert_eq!(scene.drain(3), [(MOST_TOGETHER, 2), (10, 2), (MOST_TOGETHER, 3)]);
        assert_eq!(scene.drain(usize::MAX), [(10, 3)]);
        scene.grow(4);
        assert_eq!(scene.drain(usize::MAX), [(MOST_TOGETHER, 4), (10, 4)]);
        assert!(scene.looks().iter().all(|looks| *looks == 0));
    }

    #[test]
    fn what_comes_while_a_pull_is_under_way_is_not_lost() {
        let mut sharing = Sharing::default();
        for (meanwhile, at, goes_on) in [(None, 5, Some(5)), (Some(3), 5, Some(3)), (Some(7), 5, Some(5))] {
            // The pull has begun.
            sharing.is_queued = false;
            sharing.after = Some(2);
            if let Some(seq) = meanwhile {
                sharing.is_queued = true;
                sharing.after = Some(seq);
            }
            sharing.goes_on(at);
            assert_eq!((sharing.is_queued, sharing.after), (true, goes_on));
        }
        sharing.part();
        sharing.goes_on(9);
        assert_eq!(sharing.after, None, "each looks for itself");
    }

    #[test]
    fn after_anything_else_each_reader_looks_for_itself() {
        let scene = Scene::new(3);
        scene.grow(1);
        scene.hub.repair();
        scene.grow(2);
        assert_eq!(scene.drain(usize::MAX), []);
        assert_eq!(scene.looks(), [1, 1, 1]);
        for reader in &scene.readers {
            reader.seq.store(2, Ordering::Relaxed);
        }
        scene.grow(3);
        assert_eq!(scene.drain(usize::MAX), [(3, 3)]);
    }
}
