//! Watches how long a reader's chunks have been waiting to be acknowledged.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    subscription::Subscription,
    window::{AckTerms, Window},
};
use crate::{Error, StreamId, engine::context::Context, util::time::millis};

/// Acknowledgements that other processes have taken are looked for this often while a reader waits for one.
const LOOK: Duration = Duration::from_millis(500);

/// Watches a reader's window for as long as the reader exists: finds acknowledgements of other processes, and ends the reader
/// when `ackTimeoutMs` is over.
pub(crate) async fn watch(reader: Weak<Subscription>, context: Weak<Context>, ack: AckTerms) {
    let AckTerms {
        timeout, consumer, ..
    } = ack;
    loop {
        let Some(pause) = reader
            .upgrade()
            .map(|reader| pause(&reader, timeout, consumer.is_some()))
        else {
            return;
        };
        tokio::time::sleep(pause).await;
        let (Some(reader), Some(context)) = (reader.upgrade(), context.upgrade()) else {
            return;
        };
        let (is_full, since) = reader.with_window(|window| (window.is_full(), window.waiting_since()));
        let late = timeout.filter(|timeout| since.is_some_and(|since| since.elapsed() >= *timeout));
        if let Some(consumer) = &consumer
            && (is_full || late.is_some())
            && look(&reader, &context, consumer).await
        {
            continue;
        }
        if let Some(timeout) = late {
            reader.give_up(Error::AckTimeout {
                stream: reader.hub().stream().to_string(),
                chunks: reader.with_window(Window::unacknowledged),
                milliseconds: millis(timeout),
            });
            return;
        }
    }
}

/// The time until the next look. Chunks that are delivered meanwhile have the full timeout from then on.
fn pause(reader: &Arc<Subscription>, timeout: Option<Duration>, has_consumer: bool) -> Duration {
    let since = reader.with_window(Window::waiting_since);
    let left = timeout.map(|timeout| {
        let waited = since.map(|since| since.elapsed()).unwrap_or_default();
        timeout.saturating_sub(waited)
    });
    match (left, has_consumer) {
        (Some(left), true) => left.min(LOOK),
        (Some(left), false) => left,
        (None, _) => LOOK,
    }
}

/// Whether the consumer has acknowledged more meanwhile, somewhere.
async fn look(reader: &Subscription, context: &Context, consumer: &str) -> bool {
    let stream: &StreamId = reader.hub().stream();
    match context.store().cursor(stream, consumer).await {
        Ok(Some(cursor)) => reader.acknowledge(cursor.seq),
        // While the store is away, only the timeout counts.
        _ => false,
    }
}
