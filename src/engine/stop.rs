//! Stops: all the ways in which one arrives. Each of them calls [`Producer::stop`].
//!
//! 1. With the answer to a start: it was kept for this start, or the producers that it joins were stopped ([`answered`]).
//! 2. With the answer to a write or to the renewal of a lease ([`answered`]).
//! 3. As a message of the store ([`control`]), …
//! 4. … which may overtake the answer to the start, and is then applied after it ([`recall`]).
//! 5. From this process itself, while the store is away ([`request`]).
//! 6. By the clock: if a producer has not ended itself when its grace period is over, the engine ends it
//!    ([`State::take`](super::produce::producer::State::take)).

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{context::Context, groups::finished, produce::producer::Producer, registry::Registry};
use crate::{
    Result, StreamId,
    model::{
        connection::ConnectionState,
        ending::{InterruptReason, Terminal},
    },
    store::{ControlMessage, OwnerCheck, StopResult},
    util::sync::lock,
};

/// How long a stop is kept for a start that it may have overtaken: one that is meant for a stream that has long been gone must
/// not end the next.
const KEEP: Duration = Duration::from_secs(10);

/// This many messages for unknown generations are remembered.
const EARLY: usize = 64;

fn deliver(context: &Context, producer: &Producer, reason: &str) {
    producer.stop(context, reason, context.config.stop_grace());
}

/// An answer of the store to this producer may name a stop.
pub(super) fn answered(context: &Context, producer: &Producer, stop: Option<String>) {
    if let Some(reason) = stop {
        deliver(context, producer, &reason);
    }
}

/// A message for producers of this process, or for one that is about to be known.
pub(super) fn control(registry: &Registry, stream: &StreamId, message: ControlMessage) {
    let context = &registry.context;
    let (ControlMessage::Stop { generation, .. }
    | ControlMessage::Suspected { generation }
    | ControlMessage::Replaced { generation, .. }
    | ControlMessage::Ended { generation, .. }) = &message;
    let producers = registry.producers_of(stream, *generation);
    for producer in &producers {
        match &message {
            ControlMessage::Stop { reason, .. } => deliver(context, producer, reason),
            ControlMessage::Suspected { .. } => {
                registry.doubted.notify_one();
                producer.renew();
            }
            ControlMessage::Replaced { producer: id, .. } if producer.start.producer != *id => {}
            ControlMessage::Replaced { .. } => {
                producer.cut_off(context, &Terminal::interrupted(InterruptReason::Superseded));
            }
            ControlMessage::Ended { terminal, .. } => producer.cut_off(context, terminal),
        }
    }
    // Readers here may hear of it in no other way while they are fed by a producer.
    if let ControlMessage::Ended { terminal, .. } = &message
        && terminal.is_interrupted(InterruptReason::Deleted)
        && let Some(hub) = registry.hubs.find(stream)
        && hub.generation() == Some(*generation)
    {
        hub.abandon(InterruptReason::Deleted);
    }
    if matches!(message, ControlMessage::Ended { .. }) && !producers.is_empty() {
        finished::check(context, (stream.clone(), *generation));
    }
    if producers.is_empty() && !matches!(message, ControlMessage::Suspected { .. }) {
        let mut early = lock(&registry.early);
        if early.len() == EARLY {
            early.pop_front();
        }
        early.push_back((stream.clone(), message));
    }
}

/// Applies messages that came for a generation before its producer was registered.
pub(super) fn recall(registry: &Registry, stream: &StreamId) {
    let theirs: Vec<_> = {
        let mut early = lock(&registry.early);
        let (theirs, rest) = std::mem::take(&mut *early)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(of, _)| of == stream);
        *early = rest;
        theirs.into()
    };
    for (stream, message) in theirs {
        control(registry, &stream, message);
    }
}

/// Asks the store for a stop. While it is away, the producers of this process are stopped nevertheless.
pub(super) async fn request(
    registry: &Registry,
    stream: &StreamId,
    reason: &str,
    owner: Option<&String>,
    keep: Option<Duration>,
) -> Result<StopResult> {
    let context = &registry.context;
    context.check_open()?;
    if context.store().state() != ConnectionState::Ready && locally(registry, stream, reason, owner) {
        return Ok(StopResult::Stopping);
    }
    let check = OwnerCheck::Caller(owner.cloned());
    let keep = keep.unwrap_or(KEEP);
    let asked = Instant::now();
    let result = context
        .ask_unless_away(|store| store.stop(stream, reason, &check, keep))
        .await;
    if let Ok(result) = &result {
        tracing::info!(%stream, ?result, "stop requested");
        context.metrics.stop_request.observe(asked.elapsed());
    }
    match result {
        Err(error) if error.is_retryable() && locally(registry, stream, reason, owner) => {
            Ok(StopResult::Stopping)
        }
        other => other,
    }
}

/// Stops the producers of this process that the owner may stop; whether there are any.
fn locally(registry: &Registry, stream: &StreamId, reason: &str, owner: Option<&String>) -> bool {
    let producers: Vec<Arc<Producer>> = {
        let producers = lock(&registry.producers);
        let theirs = producers.of(stream).iter();
        theirs
            .filter(|producer| producer.is_open_to(stream, owner))
            .cloned()
            .collect()
    };
    for producer in &producers {
        deliver(&registry.context, producer, reason);
    }
    !producers.is_empty()
}
