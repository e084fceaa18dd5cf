//! Logs.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use ulid::Ulid;

use super::args::{parse, position};
use crate::{
    Error, Result, StreamId,
    engine::{
        Engine,
        logs::{LogAppend, LogFork, LogOpen},
    },
    model::frame::Kind,
    store::logs::{IfThere, LogConfig, LogProducer},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AppendArgs {
    stream_id: String,
    owner: Option<String>,
    create: Option<CreateArgs>,
    producer: Option<ProducerArgs>,
    order: Option<String>,
    content_type: Option<String>,
    generation: Option<String>,
    close: bool,
    is_patient: bool,
    fork: Option<ForkArgs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateArgs {
    content_type: String,
    ttl_ms: Option<u64>,
    expires_at: Option<u64>,
    keep_ms: u64,
    metadata: Option<String>,
    is_compared: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ForkArgs {
    source: String,
    owner: Option<String>,
    at: Option<String>,
    part: u64,
    has_type: bool,
}

impl ForkArgs {
    fn fork(self) -> Result<LogFork> {
        Ok(LogFork {
            source: StreamId::new(&self.source)?,
            owner: self.owner,
            at: self.at.as_deref().map(position).transpose()?,
            part: self.part,
            has_type: self.has_type,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProducerArgs {
    id: String,
    epoch: u64,
    seq: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PageArgs {
    stream_id: String,
    from: String,
    max_bytes: usize,
    limit: usize,
    owner: Option<String>,
}

/// Starts an operation. Returns whether it is one of these.
pub fn start(engine: &Engine, request: u32, operation: &str, args: &str) -> Result<bool> {
    match operation {
        "page" => {
            let args: PageArgs = parse(args)?;
            let stream = StreamId::new(&args.stream_id)?;
            let limits = (args.max_bytes, args.limit);
            engine.request(
                request,
                engine
                    .clone()
                    .page(stream, position(&args.from)?, limits, args.owner),
            );
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Appends to a log, whose chunks are one after the other in the arena.
pub fn append(engine: &Engine, request: u32, args: &str, tags: &[u32], arena: &[u8]) -> Result<()> {
    let args: AppendArgs = parse(args)?;
    let mut at = 0;
    let mut chunks = Vec::with_capacity(tags.len());
    for tag in tags {
        let length = (*tag >> 1) as usize;
        let data = arena.get(at..at + length).ok_or_else(|| Error::Internal {
            reason: "an append beyond its arena".into(),
        })?;
        at += length;
        let is_text = *tag & 1 != 0 && std::str::from_utf8(data).is_ok();
        let kind = if is_text { Kind::Text } else { Kind::Bytes };
        chunks.push((kind, Bytes::copy_from_slice(data)));
    }
    let generation = args.generation.as_deref().map(generation).transpose()?;
    let append = LogAppend {
        create: args.create.map(|create| LogOpen {
            config: LogConfig {
                content_type: create.content_type,
                ttl_ms: create.ttl_ms,
                expires_at: create.expires_at,
                fork: None,
            },
            keep: Duration::from_millis(create.keep_ms),
            metadata: create.metadata,
            if_there: if create.is_compared {
                IfThere::Compare
            } else {
                IfThere::Write
            },
            stage: None,
        }),
        owner: args.owner,
        producer: args
            .producer
            .map(|ProducerArgs { id, epoch, seq }| LogProducer { id, epoch, seq }),
        order: args.order,
        content_type: args.content_type,
        generation,
        chunks,
        close: args.close,
        is_patient: args.is_patient,
    };
    let stream = StreamId::new(&args.stream_id)?;
    match args.fork {
        Some(fork) => engine.request(request, engine.clone().fork(stream, fork.fork()?, append)),
        None => engine.request(request, engine.clone().log(stream, append)),
    }
    Ok(())
}

fn generation(text: &str) -> Result<Ulid> {
    Ulid::from_string(text).map_err(|_| Error::invalid("generation", "must be the id of a generation"))
}
