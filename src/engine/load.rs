//! Large chunks, joined for their readers.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::task::spawn_blocking;

use super::{
    context::Context,
    large::{Large, join},
    runtime::internal,
};
use crate::{
    Error, Result, StreamId,
    model::frame::Reference,
    sse::{Body, Format},
    util::sync::lock,
};

/// The most pieces of one chunk that are requested at once.
const AT_ONCE: usize = 4;

/// A large chunk; `None` when pieces of it are gone.
///
/// # Errors
/// The store's, and [`Error::Corrupt`] for text that is none.
pub async fn whole(
    context: &Context,
    stream: &StreamId,
    reference: Reference,
    seq: u64,
) -> Result<Option<Arc<Large>>> {
    let entry = context.larges.entry(reference.id);
    let _turn = entry.joining.lock().await;
    let known = lock(&entry.whole).upgrade();
    if known.is_some() {
        return Ok(known);
    }
    // Closed with the engine at the earliest.
    let _permit = context.larges.loads.acquire().await;
    let Some(pieces) = fetch(context, stream, &reference).await? else {
        return Ok(None);
    };
    let joined = spawn_blocking(move || join(&pieces, &reference)).await;
    let data = joined
        .map_err(|panic| internal(&panic))?
        .map_err(|reason| Error::Corrupt {
            stream: stream.to_string(),
            seq,
            reason: reason.to_owned(),
        })?;
    let large = Arc::new(Large { reference, data });
    *lock(&entry.whole) = Arc::downgrade(&large);
    Ok(Some(large))
}

/// A large chunk in the form for event streams; `None` when pieces of it are gone.
///
/// # Errors
/// As those of [`whole`].
pub async fn body(
    context: &Context,
    stream: &StreamId,
    reference: Reference,
    seq: u64,
    format: Format,
) -> Result<Option<Arc<Body>>> {
    let entry = context.larges.entry(reference.id);
    let _turn = entry.framing.lock().await;
    let known = lock(&entry.bodies).get(&format).and_then(Weak::upgrade);
    if known.is_some() {
        return Ok(known);
    }
    let Some(large) = whole(context, stream, reference, seq).await? else {
        return Ok(None);
    };
    let framed = spawn_blocking(move || Body::of(format, reference.kind, &large.data)).await;
    let body = Arc::new(framed.map_err(|panic| internal(&panic))?);
    lock(&entry.bodies).insert(format, Arc::downgrade(&body));
    Ok(Some(body))
}

async fn fetch(context: &Context, stream: &StreamId, reference: &Reference) -> Result<Option<Vec<Bytes>>> {
    let mut pieces = Vec::with_capacity(reference.pieces());
    while pieces.len() < reference.pieces() {
        let end = reference.pieces().min(pieces.len() + AT_ONCE);
        let wanted = (pieces.len()..end).map(|index| async move {
            let _permit = context.reads().acquire().await;
            context.store().piece(stream, reference, index).await
        });
        for piece in try_join_all(wanted).await? {
            let Some(piece) = piece else { return Ok(None) };
            pieces.push(piece);
        }
    }
    Ok(Some(pieces))
}
