//! Logs.

use std::{future::ready, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use serde::Deserialize;
use ulid::Ulid;

use super::args::{parse, position};
use crate::{
    Error, Result, StreamId,
    binding::shared::PAGE,
    engine::{
        Engine, Operation,
        logs::{LogAppend, LogFork, LogOpen},
    },
    model::frame::Kind,
    store::logs::{IfThere, LogConfig, LogProducer},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AppendArgs {
    stream_id: StreamId,
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
    source: StreamId,
    owner: Option<String>,
    at: Option<String>,
    part: u64,
    has_type: bool,
}

impl ForkArgs {
    fn fork(self) -> Result<LogFork> {
        Ok(LogFork {
            source: self.source,
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
    stream_id: StreamId,
    from: String,
    max_bytes: usize,
    limit: usize,
    owner: Option<String>,
}

/// Begins the appends and pages of one turn: `begin` in `ts/native/native.ts` says how they are given.
pub fn begin(engine: &Engine, words: &[u32], args: &str, arena: &[u8]) -> Result<()> {
    let (mut words, mut data) = (words, arena);
    let mut begun = Vec::new();
    for args in args.lines() {
        let [request, kind, rest @ ..] = words else {
            return Err(beyond());
        };
        words = rest;
        let operation = if *kind == PAGE {
            page(engine, args)
        } else {
            let (tags, rest) = words.split_at_checked((*kind - 1) as usize).ok_or_else(beyond)?;
            words = rest;
            append(engine, args, chunks(tags, &mut data)?)
        };
        // What is wrong with one of them is its own answer.
        begun.push((
            *request,
            operation.unwrap_or_else(|error| ready(Err(error)).boxed()),
        ));
    }
    engine.requests(begun);
    Ok(())
}

fn beyond() -> Error {
    Error::internal("an operation beyond its words")
}

/// Takes the chunks of an append from the beginning of the arena.
fn chunks(tags: &[u32], arena: &mut &[u8]) -> Result<Vec<(Kind, Bytes)>> {
    let take = |tag: &u32| {
        let (data, rest) = arena.split_at_checked((*tag >> 1) as usize).ok_or_else(beyond)?;
        *arena = rest;
        Ok((Kind::of(*tag & 1 != 0, data), Bytes::copy_from_slice(data)))
    };
    tags.iter().map(take).collect()
}

fn page(engine: &Engine, args: &str) -> Result<Operation> {
    let args: PageArgs = parse(args)?;
    let limits = (args.max_bytes, args.limit);
    let page = engine
        .clone()
        .page(args.stream_id, position(&args.from)?, limits, args.owner);
    Ok(page.boxed())
}

fn append(engine: &Engine, args: &str, chunks: Vec<(Kind, Bytes)>) -> Result<Operation> {
    let args: AppendArgs = parse(args)?;
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
    let engine = engine.clone();
    Ok(match args.fork {
        Some(fork) => engine.fork(args.stream_id, fork.fork()?, append).boxed(),
        None => engine.log(args.stream_id, append).boxed(),
    })
}

fn generation(text: &str) -> Result<Ulid> {
    Ulid::from_string(text).map_err(|_| Error::invalid("generation", "must be the id of a generation"))
}
