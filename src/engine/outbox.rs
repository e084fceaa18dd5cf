//! The events that are ready for the host, and the one wake that announces them.
//!
//! A wake costs the host more than the chunks that it brings. If chunks come one by one, those that follow a wake closely gather until
//! [`Config::delivery_interval`](crate::Config::delivery_interval) has passed since; a lone one is announced at once, and so is everything else.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

use super::{
    events::{Event, Handle},
    sink::Source,
};
use crate::util::{log::LogSink, sync::lock, turn::ready_ones_first};

/// How long after the last chunk was accepted the host learns that nothing keeps its process alive. Without this delay, steady
/// streams would wake it for every batch.
const REST: Duration = Duration::from_millis(100);

/// The most lines of the log that wait for the host. A host that is too slow is told how many it has missed.
const MOST_LINES: usize = 1000;

/// Bytes of streams that are worth a separate wake: half of a reader's credit.
const ENOUGH: usize = 32 * 1024;

/// So many that have something to deliver are worth one too: divided among them, it costs less than what it brings.
const COMPANY: usize = 8;

/// Collects events until the host drains them. At most one wake is in flight.
pub struct Outbox {
    wake: Box<dyn Fn() + Send + Sync>,
    /// How long after a wake the next one may be held back.
    pace: Duration,
    wake_in_flight: AtomicBool,
    turn_over: Notify,
    /// The wake in flight is not to be held back.
    is_urgent: AtomicBool,
    hurry: Notify,
    /// What there is to deliver since the last drain, in bytes, counting [`ENOUGH`] for a [`COMPANY`] that delivers it.
    gathered: AtomicUsize,
    settled: Notify,
    queues: Mutex<Queues>,
    /// Chunks that crossed and have neither been accepted nor refused.
    unsettled: AtomicUsize,
}

/// Who has something to deliver.
pub enum Ready {
    /// A subscription, for itself.
    Reader(Handle),
    /// A hub, for its readers.
    Hub(Arc<dyn Source>),
}

#[derive(Default)]
struct Queues {
    events: VecDeque<Event>,
    /// Since when each has something.
    ready: VecDeque<(Ready, Instant)>,
    /// Lines of the log among the events, and those that have been left out.
    lines: usize,
    missed: u64,
}

impl Outbox {
    /// `wake` is called on the engine's thread and must not block.
    pub fn new(wake: Box<dyn Fn() + Send + Sync>, pace: Duration) -> Self {
        Self {
            wake,
            pace,
            wake_in_flight: AtomicBool::new(false),
            turn_over: Notify::new(),
            is_urgent: AtomicBool::new(false),
            hurry: Notify::new(),
            gathered: AtomicUsize::new(0),
            settled: Notify::new(),
            queues: Mutex::default(),
            unsettled: AtomicUsize::new(0),
        }
    }

    /// Wakes the host at the end of a turn of the engine's thread, so that all events of one turn cross together.
    pub async fn run(self: Arc<Self>) {
        let mut due = Instant::now();
        loop {
            self.turn_over.notified().await;
            ready_ones_first().await;
            let urgent = async {
                while !self.is_urgent.load(Ordering::Acquire) {
                    self.hurry.notified().await;
                }
            };
            // Either way it is time.
            let _ = timeout_at(due, urgent).await;
            due = Instant::now() + self.pace;
            (self.wake)();
        }
    }

    /// Tells the host when everything that crossed has been settled for a while.
    pub async fn rest(self: Arc<Self>) {
        loop {
            self.settled.notified().await;
            // Looked at now and then: a timer for each chunk would cost more than the chunk.
            loop {
                sleep(REST).await;
                if self.settled.notified().now_or_never().is_none() {
                    break;
                }
            }
            if self.is_idle() {
                self.signal();
            }
        }
    }

    /// Adds an event.
    pub fn push(&self, event: Event) {
        lock(&self.queues).events.push_back(event);
        self.signal();
    }

    /// Adds somebody who has something to deliver. A drain follows [soon](Self::gather), or at [once](Self::signal),
    /// as the caller says next.
    pub fn push_ready(&self, who: Ready) {
        let now = Instant::now();
        lock(&self.queues).ready.push_back((who, now));
        self.gathered.fetch_add(ENOUGH / COMPANY, Ordering::AcqRel);
    }

    /// Puts back who could not deliver everything.
    pub fn push_unfinished(&self, who: Ready, since: Instant) {
        lock(&self.queues).ready.push_front((who, since));
    }

    /// Makes sure that a drain follows, at once.
    pub fn signal(&self) {
        let is_first = !self.wake_in_flight.swap(true, Ordering::AcqRel);
        self.is_urgent.store(true, Ordering::Release);
        if is_first {
            self.turn_over.notify_one();
        } else {
            self.hurry.notify_one();
        }
    }

    /// Makes sure that a drain follows soon, because a stream's readers have this many more bytes to be delivered.
    pub fn gather(&self, bytes: usize) {
        if self.gathered.fetch_add(bytes, Ordering::AcqRel) + bytes >= ENOUGH {
            self.signal();
        } else if !self.wake_in_flight.swap(true, Ordering::AcqRel) {
            self.turn_over.notify_one();
        }
    }

    /// A drain begins: events from now on need another wake.
    pub fn begin_drain(&self) {
        self.gathered.store(0, Ordering::Release);
        self.is_urgent.store(false, Ordering::Release);
        self.wake_in_flight.store(false, Ordering::Release);
    }

    /// Takes the oldest event that the host has not been given; lines of the log make room for others.
    pub fn pop_event(&self) -> Option<Event> {
        let mut queues = lock(&self.queues);
        let event = queues.events.pop_front();
        if matches!(event, Some(Event::Log(_))) {
            queues.lines -= 1;
        }
        event
    }

    /// The next one who has something to deliver, and since when.
    pub fn pop_ready(&self) -> Option<(Ready, Instant)> {
        lock(&self.queues).ready.pop_front()
    }

    /// Whether nothing is left to drain.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much is left to drain: events, and those who have something to deliver.
    pub fn len(&self) -> usize {
        let queues = lock(&self.queues);
        queues.events.len() + queues.ready.len()
    }

    /// Chunks have crossed.
    pub fn add_unsettled(&self, chunks: usize) {
        self.unsettled.fetch_add(chunks, Ordering::AcqRel);
    }

    /// Chunks were accepted or refused; when none is left, the host learns of it after a while.
    pub fn settle(&self, chunks: usize) {
        if chunks > 0 && self.unsettled.fetch_sub(chunks, Ordering::AcqRel) == chunks {
            self.settled.notify_one();
        }
    }

    /// Whether every chunk that crossed has been accepted or refused.
    pub fn is_idle(&self) -> bool {
        self.unsettled.load(Ordering::Acquire) == 0
    }
}

impl LogSink for Outbox {
    fn log(&self, line: &str) {
        let mut queues = lock(&self.queues);
        if queues.lines >= MOST_LINES {
            queues.missed += 1;
            return;
        }
        queues.lines += 1;
        let missed = std::mem::take(&mut queues.missed);
        // Lines that are not read fast enough are dropped, and the next line says how many.
        let line = match line.strip_suffix('}') {
            Some(open) if missed > 0 => format!("{open},\"missed\":{missed}}}"),
            _ => line.to_owned(),
        };
        queues.events.push_back(Event::Log(line));
        drop(queues);
        self.signal();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;

    const PACE: Duration = Duration::from_millis(2);

    /// An outbox at work, and how often it has woken its host, which drains at once.
    fn at_work() -> (Arc<Outbox>, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&wakes);
        let outbox = Arc::new_cyclic(|outbox: &Weak<Outbox>| {
            let outbox = outbox.clone();
            let wake = move || {
                counted.fetch_add(1, Ordering::Relaxed);
                outbox.upgrade().inspect(|outbox| outbox.begin_drain());
            };
            Outbox::new(Box::new(wake), PACE)
        });
        tokio::spawn(Arc::clone(&outbox).run());
        tokio::spawn(Arc::clone(&outbox).rest());
        (outbox, wakes)
    }

    /// Lets the outbox do its pending work now.
    async fn a_moment() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lone_chunk_is_told_of_at_once_and_those_behind_it_gather() {
        let (outbox, wakes) = at_work();
        let told = |at: usize| assert_eq!(wakes.load(Ordering::Relaxed), at);
        for round in 0..3 {
            outbox.gather(10);
            a_moment().await;
            told(2 * round + 1);
            for _ in 0..5 {
                outbox.gather(10);
                a_moment().await;
            }
            told(2 * round + 1);
            tokio::time::sleep(PACE).await;
            a_moment().await;
            told(2 * round + 2);
            tokio::time::sleep(PACE).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn neither_an_event_nor_much_nor_many_are_held_back() {
        let (outbox, wakes) = at_work();
        let mut told = 0;
        for _ in 0..3 {
            outbox.gather(10);
            a_moment().await;
            outbox.gather(10);
            a_moment().await;
            outbox.push(Event::Ask(1));
            a_moment().await;
            outbox.gather(ENOUGH);
            a_moment().await;
            for handle in (0..).take(COMPANY) {
                outbox.push_ready(Ready::Reader(handle));
                outbox.gather(1);
            }
            a_moment().await;
            told += 4;
            assert_eq!(wakes.load(Ordering::Relaxed), told);
            tokio::time::sleep(2 * PACE).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_host_is_told_of_rest_once_and_not_while_a_stream_is_steady() {
        let (outbox, wakes) = at_work();
        for _ in 0..100 {
            outbox.add_unsettled(1);
            outbox.settle(1);
            tokio::time::sleep(REST / 2).await;
        }
        assert_eq!(wakes.load(Ordering::Relaxed), 0);
        tokio::time::sleep(REST * 3).await;
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        assert!(outbox.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_neither_accepted_nor_refused_is_no_rest() {
        let (outbox, wakes) = at_work();
        outbox.add_unsettled(2);
        outbox.settle(2);
        a_moment().await;
        outbox.add_unsettled(1);
        tokio::time::sleep(REST * 3).await;
        assert_eq!(wakes.load(Ordering::Relaxed), 0);
        assert!(!outbox.is_idle());
    }

    #[test]
    fn lines_of_the_log_are_bounded_and_those_left_out_are_counted() {
        let outbox = Outbox::new(Box::new(|| ()), PACE);
        for _ in 0..MOST_LINES + 5 {
            outbox.log("{}");
        }
        assert_eq!(outbox.len(), MOST_LINES);
        let next = || match outbox.pop_event() {
            Some(Event::Log(line)) => line,
            _ => panic!("no line of the log"),
        };
        next();
        outbox.log("{\"line\":1}");
        outbox.log("{}");
        let lines: Vec<_> = (0..MOST_LINES).map(|_| next()).collect();
        assert_eq!(lines.last().unwrap(), "{\"line\":1,\"missed\":5}");
        assert!(outbox.is_empty());
        outbox.log("{\"line\":2}");
        assert_eq!(next(), "{\"line\":2,\"missed\":1}");
    }
}
