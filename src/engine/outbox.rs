//! What is ready for the host, and the one wake that tells it so.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::events::{Event, Handle};
use crate::util::{log::LogSink, sync::lock};

/// How long after the last chunk was accepted the host is told that nothing holds its process. Told at once, steady streams
/// would wake it for every batch.
const REST: Duration = Duration::from_millis(20);

/// So many lines of the log wait for the host. A host that is slower than what happens is told how many it has missed.
const MOST_LINES: usize = 1000;

/// Collects what is ready until the host drains it. At most one wake is in flight.
pub struct Outbox {
    wake: Box<dyn Fn() + Send + Sync>,
    wake_in_flight: AtomicBool,
    turn_over: Notify,
    settled: Notify,
    queues: Mutex<Queues>,
    /// Chunks that crossed and have neither been accepted nor refused.
    unsettled: AtomicUsize,
}

#[derive(Default)]
struct Queues {
    events: VecDeque<Event>,
    /// Since when each has something.
    ready: VecDeque<(Handle, Instant)>,
    /// Lines of the log among the events, and those that have been left out.
    lines: usize,
    missed: u64,
}

impl Outbox {
    /// `wake` is called on the engine's thread and must not block.
    pub fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            wake,
            wake_in_flight: AtomicBool::new(false),
            turn_over: Notify::new(),
            settled: Notify::new(),
            queues: Mutex::default(),
            unsettled: AtomicUsize::new(0),
        }
    }

    /// Wakes the host at the end of a turn of the engine's thread, so that what one turn brings crosses at once.
    pub async fn run(self: Arc<Self>) {
        loop {
            self.turn_over.notified().await;
            tokio::task::yield_now().await;
            (self.wake)();
        }
    }

    /// Tells the host when everything that crossed has been settled for a while.
    pub async fn rest(self: Arc<Self>) {
        loop {
            self.settled.notified().await;
            while timeout(REST, self.settled.notified()).await.is_ok() {}
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

    /// Adds a subscription that has something to deliver.
    pub fn push_ready(&self, subscription: Handle) {
        let now = Instant::now();
        lock(&self.queues).ready.push_back((subscription, now));
        self.signal();
    }

    /// Puts back a subscription that could not deliver everything.
    pub fn push_unfinished(&self, subscription: Handle, since: Instant) {
        lock(&self.queues).ready.push_front((subscription, since));
    }

    /// Makes sure that a drain follows.
    pub fn signal(&self) {
        if !self.wake_in_flight.swap(true, Ordering::AcqRel) {
            self.turn_over.notify_one();
        }
    }

    /// A drain begins: what comes from now on needs a wake of its own.
    pub fn begin_drain(&self) {
        self.wake_in_flight.store(false, Ordering::Release);
    }

    /// The next event.
    pub fn pop_event(&self) -> Option<Event> {
        let mut queues = lock(&self.queues);
        let event = queues.events.pop_front();
        if matches!(event, Some(Event::Log(_))) {
            queues.lines -= 1;
        }
        event
    }

    /// The next subscription that has something to deliver, and since when.
    pub fn pop_ready(&self) -> Option<(Handle, Instant)> {
        lock(&self.queues).ready.pop_front()
    }

    /// Whether nothing is left to drain.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is left to drain: events, and subscriptions that have something to deliver.
    pub fn len(&self) -> usize {
        let queues = lock(&self.queues);
        queues.events.len() + queues.ready.len()
    }

    /// Chunks have crossed.
    pub fn add_unsettled(&self, chunks: usize) {
        self.unsettled.fetch_add(chunks, Ordering::AcqRel);
    }

    /// Chunks were accepted or refused; the host is told, by and by, when none is left.
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
        // What cannot be read fast enough is not there, and that is said in the line after it.
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
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_host_is_told_of_rest_once_and_not_while_a_stream_is_steady() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&wakes);
        let outbox = Arc::new(Outbox::new(Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        })));
        tokio::spawn(Arc::clone(&outbox).run());
        tokio::spawn(Arc::clone(&outbox).rest());
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
}
