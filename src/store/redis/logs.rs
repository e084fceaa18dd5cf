//! Writes to logs.

use super::{
    arguments::{check, millis, optional, with_large, with_seal},
    base::RedisStore,
    log_reply, scripts,
};
use crate::{
    Result, StreamId,
    redis::script::Call,
    store::{
        forks::{ForkList, Forks, MAX_FORKS, Stage, StagePart, Staged},
        logs::{FOREVER, IfThere, LogWrite, LogWritten, NOBODY, essence},
    },
};

impl RedisStore {
    pub(super) async fn write_log(&self, stream: &StreamId, writes: &[LogWrite]) -> Result<Vec<LogWritten>> {
        let [write, more @ ..] = writes else {
            return Ok(Vec::new());
        };
        let keys = self.keys.stream(stream);
        let create = write.create.as_ref();
        let config = create.map(|create| &create.config);
        let keep = create.map_or(1, |create| millis(create.keep));
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let producer = write.producer.as_ref();
        let frame = write.frame.as_ref();
        let mut call = self
            .on(&scripts::LOG, &keys)
            .key(&keys.stops)
            .show(create.map_or(NOBODY, |create| create.generation))
            .show(NOBODY)
            .show(NOBODY)
            .text("log")
            .text(optional(create.and_then(|create| create.owner.as_ref())))
            .text(optional(create.and_then(|create| create.metadata.as_ref())))
            .show(millis(FOREVER))
            .show(keep)
            .show(keep)
            .text(create.map_or("", |create| match create.if_there {
                IfThere::Compare => "compare",
                IfThere::Write => "write",
            }))
            .text(config.map_or("", |config| &config.content_type))
            .text(config.map_or_else(String::new, |config| essence(&config.content_type)))
            .text(optional(config.and_then(|config| number(config.ttl_ms)).as_ref()))
            .text(optional(
                config.and_then(|config| number(config.expires_at)).as_ref(),
            ))
            .text(flag(create.is_some_and(|create| create.is_first_part)))
            .text(check(&write.owner))
            .show(write.writer)
            .show(writes.last().map_or(0, |last| last.batch))
            .text(
                write
                    .known
                    .map_or_else(String::new, |known| known.generation.to_string()),
            )
            .text(number(write.known.map(|known| known.seq)).unwrap_or_default())
            .text(
                write
                    .generation
                    .map_or_else(String::new, |generation| generation.to_string()),
            )
            .text(optional(producer.map(|producer| &producer.id)))
            .text(number(producer.map(|producer| producer.epoch)).unwrap_or_default())
            .text(number(producer.map(|producer| producer.seq)).unwrap_or_default())
            .text(optional(write.order.as_ref()))
            .text(flag(write.close))
            .show(frame.map_or(0, |frame| frame.count))
            .bytes(frame.map_or(&[], |frame| &frame.bytes));
        call = with_large(call, write.large);
        call = call.text(write.essence.as_deref().unwrap_or_default());
        let fork = config.and_then(|config| config.fork.as_ref());
        call = call.text(optional(fork.map(ToString::to_string).as_ref())).text(
            create
                .and_then(|create| create.stage)
                .map_or_else(String::new, |stage| stage.to_string()),
        );
        call = with_more(call, more);
        call = with_seal(call, write.seal.as_ref());
        let written = log_reply::written(stream, self.call(call).await?)?;
        let head = written.last().and_then(|(written, _)| written.head.as_ref());
        if let Some(head) = head {
            let index_ttl = written.iter().map(|(_, index_ttl)| *index_ttl).max();
            self.extend(stream, head.generation, index_ttl.unwrap_or_default(), false)?;
        }
        let mut written: Vec<_> = written.into_iter().map(|(written, _)| written).collect();
        // A single answer, such as a refusal of the caller, is every write's.
        if let [one] = written.as_slice() {
            written = vec![one.clone(); writes.len()];
        }
        Ok(written)
    }

    pub(super) async fn stage_fork(&self, stream: &StreamId, stage: &Stage) -> Result<Staged> {
        let keys = self.keys.stream(stream);
        let call = self.on(&scripts::STAGE, &keys).show(stage.id).show(stage.step);
        let call = match &stage.part {
            StagePart::Begin => call.text("begin"),
            StagePart::Frame { last, frame } => call
                .text("frame")
                .show(last)
                .bytes(&frame.bytes)
                .show(frame.body_len),
            StagePart::Piece { large, index, data } => {
                call.text("piece").show(large.id).show(index).bytes(data)
            }
        };
        log_reply::staged(self.call(call).await?)
    }

    pub(super) async fn list_forks(&self, stream: &StreamId, list: &ForkList) -> Result<Forks> {
        let keys = self.keys.stream(stream);
        let call = self.on(&scripts::FORKS, &keys);
        let call = match list {
            ForkList::Add { generation, fork } => {
                call.text("add").show(generation).show(MAX_FORKS).text(fork)
            }
            ForkList::Drop(forks) => forks.iter().fold(call.text("drop").text("").text(""), Call::text),
            ForkList::Show => call.text("show"),
        };
        log_reply::forks(self.call(call).await?)
    }
}

/// The further writes of the same step.
fn with_more(call: Call, more: &[LogWrite]) -> Call {
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    more.iter().fold(call.show(more.len()), |call, write| {
        let (producer, frame) = (write.producer.as_ref(), write.frame.as_ref());
        call.text(optional(producer.map(|producer| &producer.id)))
            .text(number(producer.map(|producer| producer.epoch)))
            .text(number(producer.map(|producer| producer.seq)))
            .text(optional(write.order.as_ref()))
            .show(frame.map_or(0, |frame| frame.count))
            .bytes(frame.map_or(&[], |frame| &frame.bytes))
            .text(write.essence.as_deref().unwrap_or_default())
    })
}

/// A flag, as scripts take it.
fn flag(is_set: bool) -> &'static str {
    if is_set { "1" } else { "" }
}
