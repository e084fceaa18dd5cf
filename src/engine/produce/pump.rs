//! Wakes the writers of the chunks that have crossed.
//!
//! To wake this thread, and to send a command, costs more than the chunks. So chunks that follow others closely gather until
//! [`Config::write_interval`](crate::Config::write_interval) has passed since, those of all producers together; a lone one is sent at once. While
//! they keep coming so, a timer wakes the thread and no crossing has to. A writer that has chunks to write already is not woken for more.
//!
//! What nobody reads has gathered before it crosses (ADR 51, `ts/native/writes.ts`).

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::producer::{CHUNK_COST, Producer};
use crate::util::sync::lock;

/// As much as this is worth a wake: half of what a frame takes at most.
const ENOUGH: usize = 8 * 1024;
/// A turn of the host that has more chunks crosses in pieces of so many (`ts/native/writes.ts`): it is sent as a whole.
const PIECE: usize = 16;

/// See the module.
pub(crate) struct Pump {
    /// How long after a wake the next one may be held back.
    pace: Duration,
    written: Mutex<Written>,
    /// The writers are about to be woken; nobody need see to it.
    is_coming: AtomicBool,
    begin: Notify,
    hurry: Notify,
}

#[derive(Default)]
struct Written {
    producers: Vec<Arc<Producer>>,
    /// Those of this crossing that need not be woken, unless the store is away: then their readers here want what has come (G8).
    others: Vec<Arc<Producer>>,
    cost: usize,
    /// Something has come with the present crossing.
    is_new: bool,
    /// It is not to be held back.
    is_urgent: bool,
    /// The next crossing is likely to be of the same turn as the last one.
    goes_on: bool,
}

impl Pump {
    pub fn new(pace: Duration) -> Self {
        Self {
            pace,
            written: Mutex::default(),
            is_coming: AtomicBool::new(false),
            begin: Notify::new(),
            hurry: Notify::new(),
        }
    }

    /// A producer was given a chunk of so many bytes, whose acknowledgement may be awaited, and which may be news to its writer.
    /// [`Pump::crossed`] follows.
    pub fn add(&self, producer: Arc<Producer>, bytes: usize, is_awaited: bool, is_news: bool) {
        let mut written = lock(&self.written);
        written.is_new = true;
        written.cost += bytes + CHUNK_COST as usize;
        written.is_urgent |= is_awaited || written.cost >= ENOUGH;
        let those = if is_news || is_awaited {
            &mut written.producers
        } else {
            &mut written.others
        };
        if those.last().is_none_or(|last| !Arc::ptr_eq(last, &producer)) {
            those.push(producer);
        }
    }

    /// Sees to it that the writers of this crossing, of so many chunks, are woken. `is_away`: the store.
    pub fn crossed(&self, chunks: usize, is_away: bool) {
        let is_urgent = {
            let mut written = lock(&self.written);
            let Written {
                producers, others, ..
            } = &mut *written;
            if is_away {
                producers.append(others);
            }
            others.clear();
            let is_needed = !producers.is_empty();
            let goes_on = chunks >= PIECE;
            let went_on = std::mem::replace(&mut written.goes_on, goes_on);
            if !std::mem::take(&mut written.is_new) {
                return;
            }
            written.is_urgent |= went_on || goes_on;
            if !is_needed {
                written.cost = 0;
                written.is_urgent = false;
                return;
            }
            written.is_urgent
        };
        if !self.is_coming.swap(true, Ordering::AcqRel) {
            self.begin.notify_one();
        } else if is_urgent {
            self.hurry.notify_one();
        }
    }

    /// Wakes the writers of all that has gathered now: what comes after it is not to overtake it.
    pub fn release(&self) {
        for producer in self.take() {
            producer.notify.notify_one();
        }
    }

    fn take(&self) -> Vec<Arc<Producer>> {
        let mut written = lock(&self.written);
        written.cost = 0;
        written.is_urgent = false;
        std::mem::take(&mut written.producers)
    }

    /// Wakes the writers, once for all that has come. Ends with `Engine::dispose`.
    pub async fn run(self: Arc<Self>) {
        let mut due = Instant::now();
        loop {
            self.begin.notified().await;
            while self.wake_at(&mut due).await {
                // More is likely to follow.
                self.is_coming.store(true, Ordering::Release);
            }
        }
    }

    /// Returns whether something had gathered until it was time.
    async fn wake_at(&self, due: &mut Instant) -> bool {
        let is_early = Instant::now() < *due;
        if is_early {
            let urgent = async {
                while !lock(&self.written).is_urgent {
                    self.hurry.notified().await;
                }
            };
            // Either way it is time.
            let _ = timeout_at(*due, urgent).await;
        }
        self.is_coming.store(false, Ordering::Release);
        let producers = self.take();
        if producers.is_empty() {
            return false;
        }
        *due = Instant::now() + self.pace;
        for producer in producers {
            producer.notify.notify_one();
        }
        is_early
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::{
        StreamId,
        model::ttl::Ttl,
        store::{IfActive, IfEnded, Start},
        util::ulids::next_ulid,
    };

    const PACE: Duration = Duration::from_millis(2);

    fn producer() -> Arc<Producer> {
        let second = Duration::from_secs(1);
        Arc::new(Producer {
            handle: 1,
            stream: StreamId::new("pumped").unwrap(),
            start: Start {
                generation: next_ulid(),
                producer: next_ulid(),
                if_active: IfActive::Error,
                if_ended: IfEnded::Restart,
                owner: None,
                metadata: None,
                lease: second,
                ttl: Ttl {
                    active: second,
                    done: second,
                },
            },
            ordinal: 1,
            exclusive: true,
            flush_interval: Duration::ZERO,
            is_unheard: AtomicBool::new(false),
            notify: Notify::new(),
            state: Mutex::default(),
        })
    }

    /// A pump at work, and a producer whose writer can say whether it was woken.
    fn at_work() -> (Arc<Pump>, Arc<Producer>) {
        let pump = Arc::new(Pump::new(PACE));
        tokio::spawn(Arc::clone(&pump).run());
        (pump, producer())
    }

    async fn is_woken(producer: &Producer) -> bool {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        tokio::time::timeout(Duration::ZERO, producer.notify.notified())
            .await
            .is_ok()
    }

    fn write(pump: &Pump, producer: &Arc<Producer>, bytes: usize, is_awaited: bool) {
        pump.add(Arc::clone(producer), bytes, is_awaited, true);
        pump.crossed(1, false);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lone_chunk_is_sent_at_once_and_those_behind_it_gather() {
        let (pump, producer) = at_work();
        for _ in 0..3 {
            write(&pump, &producer, 10, false);
            assert!(is_woken(&producer).await);
            // While they keep coming, each pace is one wake.
            for _ in 0..5 {
                for _ in 0..5 {
                    write(&pump, &producer, 10, false);
                    assert!(!is_woken(&producer).await);
                }
                sleep(PACE).await;
                assert!(is_woken(&producer).await);
            }
            sleep(3 * PACE).await;
            assert!(!is_woken(&producer).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn neither_what_is_awaited_nor_much_is_held_back() {
        let (pump, producer) = at_work();
        for (bytes, is_awaited) in [(10, true), (ENOUGH, false)] {
            for _ in 0..3 {
                write(&pump, &producer, 10, false);
                is_woken(&producer).await;
                write(&pump, &producer, 10, false);
                assert!(!is_woken(&producer).await);
                write(&pump, &producer, bytes, is_awaited);
                assert!(is_woken(&producer).await);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_gathered_can_be_released() {
        let (pump, producer) = at_work();
        let other = self::producer();
        for _ in 0..3 {
            write(&pump, &producer, 10, false);
            is_woken(&producer).await;
            write(&pump, &producer, 10, false);
            write(&pump, &other, 10, false);
            pump.release();
            assert!(is_woken(&producer).await);
            assert!(is_woken(&other).await);
            write(&pump, &other, 10, false);
            assert!(!is_woken(&other).await, "it gathers again");
            sleep(PACE).await;
            assert!(is_woken(&other).await);
            sleep(3 * PACE).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_crosses_in_pieces_is_sent_as_a_whole() {
        let (pump, producer) = at_work();
        for _ in 0..3 {
            for chunks in [PIECE, PIECE, 3] {
                for _ in 0..chunks {
                    pump.add(Arc::clone(&producer), 10, false, true);
                }
                pump.crossed(chunks, false);
                assert!(is_woken(&producer).await);
            }
            write(&pump, &producer, 10, false);
            assert!(!is_woken(&producer).await, "of another turn");
            sleep(PACE).await;
            assert!(is_woken(&producer).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_that_has_chunks_is_woken_for_more_only_while_the_store_is_away() {
        let (pump, producer) = at_work();
        let more = |is_away| {
            pump.add(Arc::clone(&producer), 10, false, false);
            pump.crossed(1, is_away);
        };
        more(false);
        assert!(!is_woken(&producer).await);
        sleep(3 * PACE).await;
        assert!(!is_woken(&producer).await, "not later either");
        more(true);
        assert!(is_woken(&producer).await);
        sleep(3 * PACE).await;
        write(&pump, &producer, 10, false);
        assert!(is_woken(&producer).await);
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_interval_every_crossing_is_sent_at_once() {
        let pump = Arc::new(Pump::new(Duration::ZERO));
        tokio::spawn(Arc::clone(&pump).run());
        let producer = producer();
        for _ in 0..10 {
            write(&pump, &producer, 10, false);
            assert!(is_woken(&producer).await);
        }
    }
}
