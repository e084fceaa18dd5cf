//! How a subscription reads the log: the next page, and when a page that is not taken is dropped.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{state::State, subscription::Subscription};
use crate::{
    Cursor, Error,
    engine::context::Context,
    model::ending::{End, InterruptReason, Outcome, Terminal},
    store::{Page, Position, Read},
    util::{backoff::Backoff, sync::lock},
};

/// The pause before a page without progress is requested again.
const IDLE_PAGE: Duration = Duration::from_millis(100);

impl Subscription {
    /// Reads the next page while a reader that takes its chunks has this one.
    pub(super) fn read_ahead(self: &Arc<Self>, state: &mut State) {
        if state.page.may_read_ahead() && !state.fetching && state.pace.has_asked() {
            self.fetch(state);
        }
    }

    /// Reads the page after what there is.
    pub(super) fn fetch(self: &Arc<Self>, state: &mut State) {
        let (Some(context), Some(cursor)) = (self.context.upgrade(), state.cursor) else {
            return;
        };
        state.fetching = true;
        state.page.more = false;
        let position = if state.between {
            Position::Next {
                generation: cursor.generation,
                seq: cursor.seq,
            }
        } else {
            Position::After {
                generation: cursor.generation,
                seq: state.page.reach(cursor.seq),
            }
        };
        let is_idle = state.page.idle;
        let read = Read {
            position,
            max_bytes: state.pace.bytes_after(&state.page, context.held()),
            owner: self.owner.clone(),
        };
        let task = context.spawn(fetch(Arc::clone(self), context.clone(), read, is_idle));
        state.task = Some(task.abort_handle());
    }

    /// Sees to it that a page does not wait for ever for a reader that stands still.
    pub(super) fn watch(self: &Arc<Self>, state: &mut State) {
        if state.is_light() {
            return;
        }
        let Some(context) = self.context.upgrade() else {
            return;
        };
        if !state.page.frames.is_empty() && !state.page.hold(context.held()) {
            state.drop_page();
        }
        if !state.pace.is_watched && !state.is_light() {
            state.pace.is_watched = true;
            context.spawn(let_go(Arc::downgrade(self)));
        }
    }

    /// How long to wait before the next look at whether it stands still; `None` when there is nothing to look after.
    pub(super) fn let_go(&self) -> Option<Duration> {
        let mut state = lock(&self.state);
        let patience = state.pace.patience(&state.page);
        if let Some(patience) = patience.filter(|_| !state.is_light()) {
            return Some(patience);
        }
        state.pace.is_watched = false;
        state.drop_page();
        state.drop_tail();
        None
    }

    pub(super) fn stop_fetching(&self, end: Option<End>) {
        let mut state = lock(&self.state);
        state.fetching = false;
        if let Some(end) = end {
            state.end.get_or_insert(end);
        }
        drop(state);
        self.queue();
    }
}

impl State {
    /// Checks that the page continues where the reader stands: a hole is an error, never a silent skip.
    pub(super) fn take_page(&mut self, page: Page, stream: &str) -> Result<(), Error> {
        let gap = |reason: String, generation, seq| {
            tracing::warn!(stream, %generation, seq, cause = reason, "a reader is told of a gap");
            Error::Gap {
                stream: stream.into(),
                reason,
                resume: Cursor { generation, seq }.to_string(),
            }
        };
        if page.lost {
            return Err(gap(
                "the cursor's generation is gone, or the cursor is another stream's".into(),
                page.head.generation,
                page.head.base,
            ));
        }
        let cursor = match self.cursor {
            Some(cursor) if cursor.generation == page.generation => {
                if self.between {
                    return Ok(());
                }
                cursor
            }
            _ => {
                let begin = page.after.max(page.base);
                if let Some(seen) = self.cursor.filter(|seen| seen.seq > begin) {
                    let reason = format!(
                        "the store has lost chunks {} to {}, which were shown",
                        begin + 1,
                        seen.seq
                    );
                    return Err(gap(reason, page.generation, begin));
                }
                self.outdated = (page.generation != page.head.generation).then_some(page.generation);
                Cursor {
                    generation: page.generation,
                    // `<generation>.0` means its beginning, wherever that is.
                    seq: begin,
                }
            }
        };
        self.between = false;
        self.cursor = Some(cursor);
        let mut reach = self.page.reach(cursor.seq);
        if page.after > reach {
            // It was to follow frames that have been dropped meanwhile.
            self.page.more = true;
            return Ok(());
        }
        self.page.idle = page.frames.is_empty() && page.terminal.is_none();
        self.page.since = Some(Instant::now());
        self.page.newest = page.frames.len();
        let end = page.end().seq;
        for frame in page.frames {
            if frame.first() > reach + 1 {
                self.page.more = false;
                let reason = format!("chunks {} to {} are gone", reach + 1, frame.first() - 1);
                return Err(gap(reason, page.generation, frame.first() - 1));
            }
            reach = reach.max(frame.last());
            self.page.frames.push_back(frame);
        }
        self.page.more = page.more;
        if page.more {
            return Ok(());
        }
        let is_current = page.generation == page.head.generation;
        if reach < end {
            let reason = format!("chunks {} to {end} are gone", reach + 1);
            return Err(gap(reason, page.generation, end));
        }
        self.page.end = page.terminal;
        if self.page.end.is_none() && !is_current {
            // The previous generation always has a terminal entry, unless the store has lost it.
            self.page.end = Some(Terminal::interrupted(InterruptReason::Lost));
        }
        Ok(())
    }
}

/// Drops the rest of a page once its reader has stood still for long enough.
async fn let_go(subscription: Weak<Subscription>) {
    loop {
        let Some(patience) = subscription.upgrade().and_then(|reader| reader.let_go()) else {
            return;
        };
        tokio::time::sleep(patience).await;
    }
}

/// Waits before a page that follows one without progress, and never otherwise: a timer of no time is one of up to a millisecond.
async fn pause(is_idle: bool) {
    if is_idle {
        tokio::time::sleep(IDLE_PAGE).await;
    }
}

async fn fetch(subscription: Arc<Subscription>, context: Arc<Context>, read: Read, is_idle: bool) {
    let mut backoff = Backoff::default();
    pause(is_idle).await;
    let patience = Instant::now() + context.config().lease();
    loop {
        let permit = context.reads().acquire().await;
        let page = context.store().read(subscription.hub.stream(), &read).await;
        drop(permit);
        match page {
            // The store has lost the generation, and the producer of an older one was the first to restore its own. The
            // producer of the later one may follow.
            Ok(Some(page)) if is_older(&page, read.position) && Instant::now() < patience => {}
            Ok(Some(page)) => {
                subscription.hub.observe(&page);
                if let Err(error) = page.check_end(read.position, subscription.hub.stream()) {
                    return subscription.stop_fetching(Some(End::Error(error)));
                }
                return subscription.accept(page);
            }
            // Its producer may put it back; the hub says when that is no longer expected. However the generation
            // ended: the rest of it cannot be read any more.
            Ok(None) => {
                if let Some(terminal) = subscription.hub.terminal() {
                    let is_deleted = terminal.is_interrupted(InterruptReason::Deleted);
                    let reason = if is_deleted {
                        InterruptReason::Deleted
                    } else {
                        InterruptReason::Lost
                    };
                    return subscription.stop_fetching(Some(End::Terminal {
                        outcome: Outcome::Interrupted,
                        reason: reason.as_str().into(),
                    }));
                }
            }
            Err(error) if error.is_retryable() => {}
            Err(error) => return subscription.stop_fetching(Some(End::Error(error))),
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

fn is_older(page: &Page, position: Position) -> bool {
    match position {
        Position::After { generation, .. } | Position::Next { generation, .. } => {
            page.lost && page.head.generation < generation
        }
        Position::Start | Position::Now | Position::AfterSealed | Position::Index(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn only_a_page_that_follows_one_without_progress_waits() {
        assert!(pause(false).now_or_never().is_some());
        assert!(pause(true).now_or_never().is_none());
    }
}
