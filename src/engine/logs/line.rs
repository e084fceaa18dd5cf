//! This process's queue of appends to a log: one step at a time, each with all waiting appends that can go together.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex as Lock, atomic::AtomicU64},
};

use tokio::{
    sync::{Mutex, MutexGuard, oneshot},
    time::Instant,
};
use ulid::Ulid;

use super::{LogAppend, turn::Turn};
use crate::{
    Error, Result, StreamId,
    engine::context::Context,
    store::logs::{LogHead, LogWritten},
    util::{sync::lock, ulids::next_ulid},
};

/// The open part is sealed when it has this many entries.
const OPEN_ENTRIES: u64 = 256;

/// How many logs are remembered while nobody appends to them.
const REMEMBERED: usize = 1000;

/// The logs that this process appends to.
pub struct Lines {
    known: Lock<Known>,
    /// The id by which the store knows this engine.
    writer: Ulid,
    batches: Arc<AtomicU64>,
}

struct Known {
    lines: HashMap<StreamId, Arc<Line>>,
    /// With this many, those that nobody appends to are forgotten.
    most: usize,
}

/// The queue of one log. Whoever holds the turn writes.
pub(super) struct Line {
    turn: Mutex<Turn>,
    waiting: Lock<VecDeque<Waiting>>,
}

/// An append that was not written yet.
struct Waiting {
    append: LogAppend,
    since: Instant,
    answer: oneshot::Sender<Result<LogWritten>>,
}

/// The most appends in one step.
const TOGETHER: usize = 64;
/// The most bytes in one step, unless one append alone has more.
const TOGETHER_BYTES: usize = 256 * 1024;

impl Default for Lines {
    fn default() -> Self {
        Self {
            known: Lock::new(Known {
                lines: HashMap::new(),
                most: REMEMBERED,
            }),
            writer: next_ulid(),
            batches: Arc::default(),
        }
    }
}

impl Lines {
    pub(super) fn of(&self, stream: &StreamId) -> Arc<Line> {
        let mut known = lock(&self.known);
        if let Some(line) = known.lines.get(stream) {
            return Arc::clone(line);
        }
        if known.lines.len() >= known.most {
            known.lines.retain(|_, line| Arc::strong_count(line) > 1);
            // Where very many are in use, not all of them are looked at for each further one.
            known.most = REMEMBERED.max(2 * known.lines.len());
        }
        let turn = Turn::new(self.writer, Arc::clone(&self.batches));
        let line = Arc::new(Line {
            turn: Mutex::new(turn),
            waiting: Lock::default(),
        });
        known.lines.insert(stream.clone(), Arc::clone(&line));
        line
    }
}

impl Line {
    /// Waits for its turn, in the order of the calls.
    pub async fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().await
    }

    /// Writes an append after those that were called before it. Whoever holds the turn also writes for others that wait.
    pub async fn write(
        &self,
        context: &Arc<Context>,
        stream: &StreamId,
        append: LogAppend,
    ) -> Result<LogWritten> {
        let (answer, mut own) = oneshot::channel();
        let since = Instant::now();
        lock(&self.waiting).push_back(Waiting {
            append,
            since,
            answer,
        });
        let mut turn = self.turn().await;
        loop {
            match own.try_recv() {
                Ok(written) => return written,
                Err(oneshot::error::TryRecvError::Empty) => {}
                // The task that was writing it was dropped: the engine closes.
                Err(oneshot::error::TryRecvError::Closed) => return Err(Error::Closed),
            }
            let (appends, answers): (Vec<_>, Vec<_>) = self
                .next()
                .into_iter()
                .map(|Waiting { append, answer, .. }| (append, answer))
                .unzip();
            let begun = Instant::now();
            let written = turn.write_all(context, stream, appends).await;
            if let Err(error @ Error::Connection { .. }) = &written {
                self.refuse(begun, error);
            }
            for (index, answer) in answers.into_iter().enumerate() {
                let own = match &written {
                    Ok(written) => written.get(index).cloned().ok_or(Error::Closed),
                    Err(error) => Err(error.clone()),
                };
                // Its caller may be gone.
                let _ = answer.send(own);
            }
        }
    }

    /// There was no connection all the time since then: those that have waited for it no shorter do not wait once more each.
    fn refuse(&self, since: Instant, error: &Error) {
        let mut waiting = lock(&self.waiting);
        while waiting.front().is_some_and(|next| next.since <= since)
            && let Some(next) = waiting.pop_front()
        {
            // Its caller may be gone.
            let _ = next.answer.send(Err(error.clone()));
        }
    }

    /// Takes the appends of the next step from the queue.
    fn next(&self) -> Vec<Waiting> {
        let mut waiting = lock(&self.waiting);
        let mut step: Vec<Waiting> = waiting.pop_front().into_iter().collect();
        let mut bytes = step.first().map_or(0, |first| first.append.size());
        while let (Some(first), Some(next)) = (step.first(), waiting.front()) {
            bytes += next.append.size();
            let fits = step.len() < TOGETHER && bytes <= TOGETHER_BYTES;
            if !fits || !first.append.goes_with(&next.append) {
                break;
            }
            step.extend(waiting.pop_front());
        }
        step
    }
}

/// Seals the open part in a task of its own, if it has become long.
pub(super) fn seal_later(context: &Arc<Context>, line: &Arc<Line>, stream: &StreamId, head: &LogHead) {
    if head.open < OPEN_ENTRIES || head.terminal.is_some() {
        return;
    }
    let (context, line, stream) = (Arc::clone(context), Arc::clone(line), stream.clone());
    let spawner = Arc::clone(&context);
    spawner.spawn(async move {
        let mut turn = line.turn().await;
        if turn.open >= OPEN_ENTRIES {
            turn.seal(&context, &stream).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g7_only_logs_that_are_in_use_are_remembered_beyond_a_number() {
        let lines = Lines::default();
        let id = |number: usize| StreamId::new(&format!("log {number}")).unwrap();
        let held = lines.of(&id(0));
        for number in 1..=REMEMBERED {
            lines.of(&id(number));
        }
        assert_eq!(
            lock(&lines.known).lines.len(),
            2,
            "the last one, and the one in use"
        );
        assert!(Arc::ptr_eq(&held, &lines.of(&id(0))));
    }

    #[test]
    fn g9_where_very_many_logs_are_in_use_few_of_them_cause_a_look_at_all() {
        let lines = Lines::default();
        let id = |number: usize| StreamId::new(&format!("log {number}")).unwrap();
        let count = 8 * REMEMBERED;
        let mut held: Vec<_> = (0..count).map(|number| lines.of(&id(number))).collect();
        let most = lock(&lines.known).most;
        assert_eq!(most, count, "after a look at {} of them", count / 2);
        held.clear();
        lines.of(&id(count));
        let known = lock(&lines.known);
        assert_eq!(
            (known.lines.len(), known.most),
            (1, REMEMBERED),
            "what is forgotten makes room"
        );
    }
}
