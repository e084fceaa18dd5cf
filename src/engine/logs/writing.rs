//! How an append gets into the store.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;
use ulid::Ulid;

use super::turn::Turn;
use crate::{
    Cursor, Error, Result, StreamId,
    engine::{context::Context, large::Large, produce::sealing},
    model::frame::{EncodedFrame, FrameBuilder, Kind, MAX_CHUNK, MAX_INLINE},
    store::{
        Appended, OwnerCheck, Piece,
        logs::{
            FOREVER, IfThere, LogConfig, LogCreate, LogOutcome, LogProducer, LogWrite, LogWritten, NOBODY,
            essence,
        },
    },
    util::ulids::next_ulid,
};

/// How often a large chunk is stored again, if its log was recreated meanwhile or the store has lost its pieces.
const ATTEMPTS: usize = 8;

/// Creates a log.
#[derive(Debug, Clone)]
pub struct LogOpen {
    /// The options with which it is created.
    pub config: LogConfig,
    /// How long its keys live after the last access, unless it ends at a set time.
    pub keep: Duration,
    /// A JSON text.
    pub metadata: Option<String>,
    /// What to do if it exists.
    pub if_there: IfThere,
    /// Of a fork: the attempt that has staged its beginning.
    pub stage: Option<Ulid>,
}

/// Operations on a log in one atomic step.
#[derive(Debug, Clone)]
pub struct LogAppend {
    /// Creates it first, if it does not exist.
    pub create: Option<LogOpen>,
    /// The caller, who also owns the log if it is created.
    pub owner: Option<String>,
    /// The numbered producer for whom the append is made.
    pub producer: Option<LogProducer>,
    /// Must be greater, byte by byte, than the previous append's.
    pub order: Option<String>,
    /// The content type that the log must have.
    pub content_type: Option<String>,
    /// The generation that the log must have. If it has another one, nothing is written: [`LogOutcome::Renewed`].
    pub generation: Option<Ulid>,
    /// Several of at most 1 MiB together, or one of at most 32 MiB.
    pub chunks: Vec<(Kind, Bytes)>,
    /// Whether it is closed.
    pub close: bool,
    /// Whether to wait while the store cannot be reached. Otherwise a known outage fails the append at once.
    pub is_patient: bool,
}

impl LogAppend {
    pub(super) fn size(&self) -> usize {
        self.chunks.iter().map(|(_, data)| data.len()).sum()
    }

    /// Whether both can be written in one step.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        let is_plain = |append: &Self| {
            let makes = append.create.as_ref();
            !append.close && makes.is_none_or(|open| open.if_there == IfThere::Write)
        };
        let makes = |append: &Self| {
            append
                .create
                .as_ref()
                .map(|open| (open.config.clone(), open.metadata.clone()))
        };
        is_plain(self)
            && is_plain(other)
            && self.generation == other.generation
            && self.owner == other.owner
            && makes(self) == makes(other)
    }

    fn frame(&self) -> Option<EncodedFrame> {
        let mut builder = FrameBuilder::default();
        for (kind, data) in &self.chunks {
            builder.push(*kind, data);
        }
        builder.take(usize::MAX, usize::MAX)
    }
}

impl Turn {
    /// Writes appends that go together, in one step.
    pub(super) async fn write_all(
        &mut self,
        context: &Arc<Context>,
        stream: &StreamId,
        mut appends: Vec<LogAppend>,
    ) -> Result<Vec<LogWritten>> {
        if appends.len() <= 1 {
            let Some(append) = appends.pop() else {
                return Ok(Vec::new());
            };
            return Ok(vec![self.write(context, stream, append).await?]);
        }
        let writes: Vec<_> = appends
            .iter()
            .map(|append| LogWrite {
                frame: append.frame(),
                ..self.request(append)
            })
            .collect();
        self.send_all(context, stream, writes, None).await
    }

    pub(super) async fn write(
        &mut self,
        context: &Arc<Context>,
        stream: &StreamId,
        append: LogAppend,
    ) -> Result<LogWritten> {
        let write = self.request(&append);
        let total = append.size();
        match append.chunks.as_slice() {
            [(_, data)] if data.len() > MAX_CHUNK => Err(Error::invalid(
                "chunks[0]",
                format!("must be at most {MAX_CHUNK} bytes, got {}", data.len()),
            )),
            [_] if total > MAX_INLINE => self.write_large(context, stream, append, write).await,
            _ if total > MAX_INLINE => Err(Error::invalid(
                "chunks",
                format!("must be at most {MAX_INLINE} bytes together, or one chunk alone; got {total}"),
            )),
            _ => {
                let frame = append.frame();
                if append.close {
                    self.seal(context, stream).await;
                }
                self.send(context, stream, LogWrite { frame, ..write }, None)
                    .await
            }
        }
    }

    fn request(&self, append: &LogAppend) -> LogWrite {
        LogWrite {
            create: append.create.clone().map(|open| LogCreate {
                generation: generation_of(&open.config),
                config: open.config,
                keep: open.keep,
                owner: append.owner.clone(),
                metadata: open.metadata,
                if_there: open.if_there,
                is_first_part: false,
                stage: open.stage,
            }),
            owner: OwnerCheck::Caller(append.owner.clone()),
            producer: append.producer.clone(),
            order: append.order.clone(),
            essence: append.content_type.as_deref().map(essence),
            generation: append.generation,
            close: append.close,
            ..self.nothing()
        }
    }

    fn nothing(&self) -> LogWrite {
        LogWrite {
            create: None,
            owner: OwnerCheck::Internal,
            writer: self.writer,
            batch: 0,
            known: None,
            generation: None,
            producer: None,
            order: None,
            essence: None,
            frame: None,
            large: None,
            close: false,
            seal: None,
        }
    }

    /// Stores the pieces, then appends the frame that refers to them.
    async fn write_large(
        &mut self,
        context: &Arc<Context>,
        stream: &StreamId,
        append: LogAppend,
        write: LogWrite,
    ) -> Result<LogWritten> {
        let Some((kind, data)) = append.chunks.first() else {
            return Err(Error::invalid("chunks", "is empty"));
        };
        let mut has_made = false;
        for _ in 0..ATTEMPTS {
            if write.create.is_some() || self.known.is_none() {
                let is_compared = write
                    .create
                    .as_ref()
                    .is_some_and(|create| create.if_there == IfThere::Compare && !has_made);
                let mut create = write.create.clone();
                if let Some(create) = &mut create {
                    create.is_first_part = true;
                    if has_made {
                        create.if_there = IfThere::Write;
                    }
                }
                let first = LogWrite {
                    create,
                    owner: write.owner.clone(),
                    essence: write.essence.clone(),
                    generation: write.generation,
                    close: write.close && is_compared,
                    ..self.nothing()
                };
                let written = self.send(context, stream, first, None).await?;
                match written.outcome {
                    LogOutcome::Written { is_new, .. } => has_made |= is_new,
                    // The append may be a repetition of the one that has closed it, which the store recognises below.
                    LogOutcome::Closed => {}
                    _ => return Ok(written),
                }
            }
            let Some(Cursor { generation, .. }) = self.known else {
                return Err(Error::internal("a log without its generation"));
            };
            let large = Large::new(*kind, data, self.ordinal);
            context.larges.know(&large);
            upload(context, stream, generation, &large).await?;
            let whole = LogWrite {
                create: None,
                generation: write.generation.or(Some(generation)),
                frame: large.frame(),
                large: Some(large.reference),
                ..write.clone()
            };
            let mut written = self.send(context, stream, whole, Some(data.len())).await?;
            match &mut written.outcome {
                LogOutcome::Renewed if write.generation.is_some() => return Ok(written),
                LogOutcome::Renewed | LogOutcome::Incomplete => self.known = None,
                LogOutcome::Written { is_new, .. } => {
                    *is_new |= has_made;
                    return Ok(written);
                }
                _ => return Ok(written),
            }
        }
        Err(Error::Store {
            operation: "log",
            reason: "the store does not keep the pieces of a large chunk".to_owned(),
            retryable: true,
        })
    }

    /// Writes, and repeats the write until its outcome is known: the store recognises a repeated batch.
    async fn send(
        &mut self,
        context: &Arc<Context>,
        stream: &StreamId,
        write: LogWrite,
        large: Option<usize>,
    ) -> Result<LogWritten> {
        let mut written = self.send_all(context, stream, vec![write], large).await?;
        written
            .pop()
            .ok_or_else(|| Error::internal("a write to a log without an answer"))
    }

    async fn send_all(
        &mut self,
        context: &Arc<Context>,
        stream: &StreamId,
        mut writes: Vec<LogWrite>,
        large: Option<usize>,
    ) -> Result<Vec<LogWritten>> {
        for write in &mut writes {
            write.batch = self.next_batch();
            write.known = self.known;
        }
        let begun = Instant::now();
        let all = context.retry(|| context.store().log_all(stream, &writes)).await?;
        match all.last().and_then(|written| written.head.as_ref()) {
            Some(head) => {
                self.known = Some(Cursor {
                    generation: head.generation,
                    seq: head.seq,
                });
                (self.ordinal, self.open) = (head.ordinal, head.open);
            }
            None => self.known = None,
        }
        let mut has_frames = false;
        for (write, written) in writes.iter().zip(&all) {
            let is_written = matches!(written.outcome, LogOutcome::Written { .. });
            if let Some(frame) = write.frame.as_ref().filter(|_| is_written) {
                context.metrics().accepted(frame, large, Some(begun.elapsed()));
                has_frames = true;
            }
            if let Some(seal) = write.seal.as_ref().filter(|_| is_written) {
                context.metrics().sealed(seal);
            }
        }
        if has_frames {
            context.metrics().batch();
        }
        Ok(all)
    }

    /// Seals the open part, or its beginning. If that fails, the log stays as it is.
    pub(super) async fn seal(&mut self, context: &Arc<Context>, stream: &StreamId) {
        let Some(Cursor { generation, .. }) = self.known.filter(|_| self.open > 1) else {
            return;
        };
        if let Some(seal) = sealing::of_log(context, stream, generation).await {
            let write = LogWrite {
                seal: Some(seal),
                ..self.nothing()
            };
            let _ = self.send(context, stream, write, None).await;
        }
    }
}

/// A new generation. The cursors of a fork sort after those of the logs before it, however far apart the clocks of their engines are.
fn generation_of(config: &LogConfig) -> Ulid {
    let own = next_ulid();
    let origins = config.fork.iter().flat_map(|fork| &fork.origins);
    let before = origins.map(|origin| origin.generation.timestamp_ms() + 1).max();
    Ulid::from_parts(own.timestamp_ms().max(before.unwrap_or_default()), own.random())
}

/// Stops at the first piece that is refused: the append that refers to the pieces then gets the reason.
async fn upload(context: &Arc<Context>, stream: &StreamId, generation: Ulid, large: &Large) -> Result<()> {
    for index in 0..large.reference.pieces() {
        let piece = Piece {
            generation,
            producer: NOBODY,
            lease: FOREVER,
            large: large.reference,
            index,
            data: large.piece(index),
        };
        let put = context.retry(|| context.store().put(stream, &piece)).await?;
        if !matches!(put, Appended::Done { .. }) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::forks::Fork;

    #[test]
    fn a_fork_is_later_than_the_logs_before_it_whatever_the_clocks() {
        let later = next_ulid().timestamp_ms() + 1_000_000;
        let origins = [(later, u128::MAX), (1, 0)].map(|(time, random)| Cursor {
            generation: Ulid::from_parts(time, random),
            seq: 1,
        });
        let config = LogConfig {
            content_type: "text/plain".to_owned(),
            ttl_ms: None,
            expires_at: None,
            fork: Some(Fork {
                stream_id: "source".to_owned(),
                seq: 1,
                part: 0,
                origins: origins.to_vec(),
            }),
        };
        assert!(
            origins
                .iter()
                .all(|origin| generation_of(&config) > origin.generation)
        );
        let own = generation_of(&LogConfig { fork: None, ..config });
        assert!(own < origins[0].generation && own > origins[1].generation);
    }
}
