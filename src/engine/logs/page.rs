//! A page of a stream for the host.

use tokio::time::Instant;

use crate::{
    Cursor, Error, Result, StreamId,
    engine::{context::Context, events::LogPage, load},
    model::frame::{Kind, Reference},
    store::{Need, OwnerCheck, Position, Read},
};

/// Reads a page of at most `max_chunks` chunks, to which none is added after `max_bytes` bytes; `None` when there is no such stream.
pub(super) async fn read(
    context: &Context,
    stream: &StreamId,
    position: Position,
    (max_bytes, max_chunks): (usize, usize),
    owner: OwnerCheck,
) -> Result<Option<LogPage>> {
    let read = Read {
        position,
        max_bytes,
        owner,
    };
    let since = Instant::now();
    let permit = context.reads().acquire().await;
    // Others that waited for a connection were first: this one has waited for as long.
    if since.elapsed() >= context.config().connect_timeout()
        && let Some(outage) = context.store().outage(Need::Answers)
    {
        return Err(outage);
    }
    let found = context.retry(|| context.store().read(stream, &read)).await;
    drop(permit);
    let Some(found) = found? else { return Ok(None) };
    let gap = |reason: String, seq: u64| Error::Gap {
        stream: stream.to_string(),
        reason,
        resume: Cursor {
            generation: found.generation,
            seq,
        }
        .to_string(),
    };
    if found.lost {
        let reason = "the cursor's generation is gone, or the cursor is another stream's";
        return Err(gap(reason.to_owned(), found.base));
    }
    found.check_end(position, stream)?;
    let after = match position {
        // It may be beyond the end, after which no cursor of a log stands.
        Position::Index(_) => found.after.min(found.end().seq),
        _ => found.after,
    };
    let after = after.max(found.base);
    let mut page = LogPage {
        generation: found.generation,
        base: found.base,
        after,
        chunks: Vec::new(),
        data: Vec::new(),
        is_last: false,
        terminal: None,
        log: found.log.clone(),
    };
    let mut next = page.after + 1;
    for frame in &found.frames {
        if frame.first() > next {
            if page.chunks.is_empty() {
                let reason = format!("chunks {next} to {} are gone", frame.first() - 1);
                return Err(gap(reason, frame.first() - 1));
            }
            return Ok(Some(page));
        }
        for (seq, chunk) in (frame.first()..).zip(frame.chunks()) {
            if seq < next {
                continue;
            }
            if page.chunks.len() >= max_chunks || !page.chunks.is_empty() && page.data.len() >= max_bytes {
                return Ok(Some(page));
            }
            match Reference::decode(chunk.data).filter(|_| chunk.kind == Kind::Large) {
                None => page.add(chunk.kind, chunk.data),
                Some(_) if !page.chunks.is_empty() => return Ok(Some(page)),
                Some(reference) => match load::whole(context, stream, reference, seq).await? {
                    Some(large) => page.add(reference.kind, &large.data),
                    None => return Err(gap(format!("chunk {seq} is gone"), seq)),
                },
            }
            next = seq + 1;
        }
    }
    let end = found.end().seq;
    if !found.more && next <= end {
        if page.chunks.is_empty() {
            return Err(gap(format!("chunks {next} to {end} are gone"), end));
        }
        return Ok(Some(page));
    }
    page.is_last = !found.more && max_bytes > 0;
    page.terminal = found.terminal.clone().filter(|_| page.is_last);
    Ok(Some(page))
}

impl LogPage {
    fn add(&mut self, kind: Kind, data: &[u8]) {
        self.chunks.push((data.len(), kind == Kind::Text));
        self.data.extend_from_slice(data);
    }
}
