//! How a subscription finds its starting position.
//!
//! Its first page is read at once, while the hub begins to listen: that would take another round trip. If news did not arrive yet when the
//! page was asked for, the hub looks once more when they do (ADR 61).

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{
    follower::Follower,
    subscription::{Follow, Subscription},
};
use crate::{
    Cursor, Error,
    engine::registry::Registry,
    model::connection::ConnectionState,
    store::{Need, OwnerCheck, Page, Position, Read},
    util::{backoff::Backoff, time::millis},
};

/// Runs until the subscription has its place or has ended with the reason why not.
pub async fn attach(subscription: Arc<Subscription>, registry: Arc<Registry>, mut follow: Follow) {
    let seen = follow.position;
    follow.position = subscription.read_after(seen);
    match find(&subscription, &registry, &follow, seen).await {
        Ok(()) => {}
        Err(error) => subscription.fail(error),
    }
    subscription.is_attached();
}

/// `seen` is where the reader has come; where it joins chunks, it reads from before that.
async fn find(
    subscription: &Arc<Subscription>,
    registry: &Registry,
    follow: &Follow,
    seen: Position,
) -> Result<(), Error> {
    let hub = subscription.hub();
    let is_resume = matches!(follow.position, Position::After { .. });
    let deadline = Instant::now() + follow.wait;
    let patience = deadline.max(Instant::now() + registry.context.config().connect_timeout());
    let mut changes = hub.changes();
    let mut backoff = Backoff::default();
    loop {
        if let Some(cursor) = cursor_in_ring(registry, subscription, follow) {
            if is_resume {
                registry.context.metrics().resume_hits.one();
            }
            subscription.begin_at(cursor);
            return Ok(());
        }
        if let Some(outage) = registry.context.known_outage(Need::Messages, follow.is_patient) {
            return Err(outage);
        }
        match registry.context.store().connect().await {
            Ok(()) => break,
            Err(error) => pause(registry, error, patience, &mut backoff).await?,
        }
    }
    if is_resume {
        registry.context.metrics().resume_misses.one();
    }
    loop {
        let is_early = !hub.is_informed();
        let permit = registry.context.reads().acquire().await;
        let page = first_page(registry, subscription, follow, seen).await;
        drop(permit);
        match page {
            Ok(Some(page)) => {
                let is_over = page.head.terminal.is_some() && !subscription.goes_on();
                hub.observe(&page);
                hub.admit(page.head.generation, subscription.owner());
                subscription.accept(page);
                if !is_early || is_over {
                    return Ok(());
                }
                hub.begin_early();
                let mut listening = hub.listening();
                let news = timeout_at(patience, listening.wait_for(|listening| *listening));
                // An error of the hub's would mean that it is gone, and the subscription holds it.
                if news.await.is_ok() || hub.is_informed() {
                    return Ok(());
                }
                return Err(unheard(registry, subscription, follow).await);
            }
            Ok(None) => {
                // What began before news arrived is found by the look that follows them.
                let is_deaf = is_early && !follow.wait.is_zero();
                let until = if is_deaf { patience } else { deadline };
                if timeout_at(until, changes.changed()).await.is_ok() {
                    continue;
                }
                if is_deaf {
                    return Err(unheard(registry, subscription, follow).await);
                }
                return Err(Error::NotFound {
                    stream: hub.stream().to_string(),
                });
            }
            Err(error) => pause(registry, error, patience, &mut backoff).await?,
        }
    }
}

fn cursor_in_ring(registry: &Registry, subscription: &Subscription, follow: &Follow) -> Option<Cursor> {
    if registry.context.store().state() != ConnectionState::Ready {
        return local_place(registry, subscription, follow);
    }
    let Position::After { generation, seq } = follow.position else {
        return None;
    };
    let resumes = subscription.hub().resumes(generation, seq, subscription.owner());
    resumes.then_some(Cursor { generation, seq })
}

/// The page at the reader's position. A consumer's position is its cursor or, if that generation is no longer kept but was read to its
/// end, the beginning of the next one. An event stream whose position is gone starts over, and says so.
async fn first_page(
    registry: &Registry,
    subscription: &Subscription,
    follow: &Follow,
    mut seen: Position,
) -> Result<Option<Page>, Error> {
    let (stream, store) = (subscription.hub().stream(), registry.context.store());
    let mut read = Read {
        position: follow.position,
        max_bytes: subscription.page_bytes(),
        owner: subscription.owner().clone(),
    };
    let mut stored = None;
    if let Some(consumer) = &follow.resume {
        registry.acks.flush(&registry.context, Some(stream)).await;
        stored = store.cursor(stream, consumer).await?;
    }
    if let Some(Cursor { generation, seq }) = stored {
        seen = Position::After { generation, seq };
        read.position = subscription.read_after(seen);
    }
    let mut page = store.read(stream, &read).await?;
    if let Some(Cursor { generation, seq }) = stored
        && page.as_ref().is_some_and(|page| page.lost)
    {
        seen = Position::Next { generation, seq };
        read.position = seen;
        page = store.read(stream, &read).await?;
    }
    let Some(page) = page else { return Ok(None) };
    let end = page.check_end(seen, stream);
    if (page.lost || end.is_err()) && subscription.reset() {
        read.position = Position::Start;
        return store.read(stream, &read).await;
    }
    end.map(|()| Some(page))
}

/// Why nothing was heard of the store in time: what others get while it is away, whether or not anything has noticed that so far.
async fn unheard(registry: &Registry, subscription: &Subscription, follow: &Follow) -> Error {
    let context = &registry.context;
    if let Some(outage) = context.store().outage(Need::Messages) {
        return outage;
    }
    let look = Read {
        position: Position::Now,
        max_bytes: 0,
        owner: subscription.owner().clone(),
    };
    let permit = context.reads().acquire().await;
    let answer = context.store().read(subscription.hub().stream(), &look).await;
    drop(permit);
    match answer {
        Err(error) => context.store().outage(Need::Messages).unwrap_or(error),
        Ok(_) => Error::Timeout {
            operation: "listening",
            milliseconds: millis(follow.wait.max(context.config().connect_timeout())),
        },
    }
}

/// While the store is away, a stream that is produced here can still be followed from memory.
fn local_place(registry: &Registry, subscription: &Subscription, follow: &Follow) -> Option<Cursor> {
    let hub = subscription.hub();
    if follow.resume.is_some() {
        return None;
    }
    let (generation, base) = hub.local_generation()?;
    let OwnerCheck::Caller(owner) = subscription.owner() else {
        return None;
    };
    if !registry.owns(hub.stream(), owner.as_ref()) {
        return None;
    }
    let seq = match follow.position {
        Position::Start => base,
        Position::Now => hub.tail()?,
        Position::After {
            generation: wanted,
            seq,
        } if wanted == generation => seq.max(base),
        Position::AfterSealed | Position::Index(_) | Position::After { .. } | Position::Next { .. } => {
            return None;
        }
    };
    Some(Cursor { generation, seq })
}

/// Waits before the next try, or gives the error up to the reader.
async fn pause(
    registry: &Registry,
    error: Error,
    patience: Instant,
    backoff: &mut Backoff,
) -> Result<(), Error> {
    if !error.is_retryable() || Instant::now() >= patience {
        return Err(error);
    }
    registry.context.metrics().retries.one();
    tokio::time::sleep(backoff.next_delay()).await;
    Ok(())
}
