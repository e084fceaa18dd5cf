//! How ended generations get into the queue of finished ones: the engines of their producers announce them, and the workers
//! that wait at the queue look for those whose engines died before they could.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::consumption::Consumption;
use crate::{
    Cursor, StreamId,
    engine::context::Context,
    model::{
        cursor::MAX_SEQ,
        ending::{InterruptReason, Terminal},
    },
    store::{
        Found, GRACE, OwnerCheck, Position, Read,
        groups::{Finished, OpenGeneration, Overdue},
    },
    util::{
        backoff::{Backoff, jitter},
        log::dropped,
    },
};

/// The pause between two looks, at least, …
const LOOK: Duration = Duration::from_secs(1);
/// … and while nothing is open that could end. Whoever opens something says so.
const REST: Duration = Duration::from_secs(60);
/// One that is still alive is looked at again after this.
const AGAIN: Duration = Duration::from_secs(5);
/// Looked at together.
const AT_ONCE: usize = 64;

/// A producer of this process has ended its generation. Should the process die before this is done, the audit does it.
pub(crate) fn announce(context: &Arc<Context>, stream: &StreamId, cursor: Cursor, terminal: Terminal) {
    let finished = Finished {
        stream: stream.clone(),
        cursor,
        terminal,
    };
    let engine = Arc::clone(context);
    context.spawn(async move {
        let _under_way = engine.announcing.read().await;
        let outcome = engine.retry(|| engine.store().announce(&finished, false)).await;
        dropped(outcome, "an end was not announced; the audit will");
    });
}

/// Another process has ended the generation of a producer here, and may not have announced the end.
pub(crate) fn check(context: &Arc<Context>, open: OpenGeneration) {
    let engine = Arc::clone(context);
    context.spawn(async move {
        let _under_way = engine.announcing.read().await;
        dropped(
            look(&engine, open).await,
            "an end was not announced; the audit will",
        );
    });
}

/// Looks for ends that were not announced, for as long as the consumer exists.
pub(crate) async fn audit(context: Weak<Context>, consumer: Weak<Consumption>) {
    let is_told = listen(&context, &consumer).await;
    let rest = if is_told { REST } else { LOOK };
    while let (Some(engine), Some(waiting)) = (context.upgrade(), consumer.upgrade()) {
        // After a failure the next look finds it.
        let found = engine.store().overdue(AT_ONCE, AGAIN).await;
        let is_known = found.is_ok();
        let Overdue { open, next } = found.unwrap_or_default();
        let is_all = open.len() < AT_ONCE;
        join_all(open.into_iter().map(|open| look(&engine, open))).await;
        drop(engine);
        if is_all {
            let pause = match next {
                Some(next) => next.clamp(LOOK, AGAIN),
                None if is_known => rest,
                None => LOOK,
            };
            tokio::time::sleep(jitter(LOOK)).await;
            tokio::select! {
                () = tokio::time::sleep(jitter(pause.saturating_sub(LOOK))) => {}
                () = waiting.opened.notified() => {}
            }
        }
    }
}

/// Listens to the news, for as long as the consumer exists; returns whether that is possible.
async fn listen(context: &Weak<Context>, consumer: &Weak<Consumption>) -> bool {
    let mut backoff = Backoff::default();
    while let (Some(engine), Some(waiting)) = (context.upgrade(), consumer.upgrade()) {
        match engine.store().listen_finished().await {
            Ok(()) => {
                waiting.told();
                return true;
            }
            Err(error) if error.is_retryable() => {}
            // Without the right to listen, it has to look.
            Err(_) => return false,
        }
        drop((engine, waiting));
        tokio::time::sleep(backoff.next_delay()).await;
    }
    false
}

/// Looks at a generation. One whose record makes no sense has no end that could be announced, and is not looked at again.
async fn look(context: &Context, open: OpenGeneration) -> crate::Result<()> {
    let outcome = announce_end(context, &open).await;
    if let Err(error) = &outcome
        && !error.is_retryable()
        && let Found::Damaged(_) = context.store().inspect(&open.0).await?
    {
        return context.store().forget_open(&open).await;
    }
    outcome
}

/// Reading a generation ends it, if its lease has expired.
async fn announce_end(context: &Context, open: &OpenGeneration) -> crate::Result<()> {
    let (stream, generation) = &open;
    let read = Read {
        position: Position::After {
            generation: *generation,
            seq: MAX_SEQ,
        },
        max_bytes: 0,
        owner: OwnerCheck::Internal,
    };
    let deadline = Instant::now() + 2 * GRACE;
    let page = loop {
        let permit = context.reads().acquire().await;
        let page = context.store().read(stream, &read).await?;
        drop(permit);
        let Some(page) = page.filter(|page| !page.lost) else {
            return context.store().forget_open(open).await;
        };
        match page.head.doubt {
            Some(doubt) if Instant::now() < deadline => tokio::time::sleep(doubt).await,
            _ => break page,
        }
    };
    let Some(terminal) = page.terminal else {
        return Ok(());
    };
    let is_current = page.generation == page.head.generation;
    let seq = if is_current { page.head.seq } else { page.head.base };
    let finished = Finished {
        stream: stream.clone(),
        cursor: Cursor {
            generation: *generation,
            seq,
        },
        terminal,
    };
    if finished.terminal.is_interrupted(InterruptReason::Lease) {
        tracing::info!(%stream, %generation, seq, "a lease has lapsed");
    }
    context.store().announce(&finished, true).await
}
