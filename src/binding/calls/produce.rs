//! Producers.

use std::time::Duration;

use serde::Deserialize;

use super::args::parse;
use crate::{
    Result, StreamId,
    engine::{Engine, events::Handle, produce::Produce},
    model::{
        ending::{Outcome, Terminal},
        ttl::Ttl,
    },
    store::{IfActive, IfEnded},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProduceArgs {
    stream_id: StreamId,
    owner: Option<String>,
    metadata: Option<String>,
    if_active: IfActive,
    if_ended: IfEnded,
    ttl_active_ms: u64,
    ttl_done_ms: u64,
    flush_interval_ms: Option<u64>,
    is_patient: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProducerArgs {
    producer: Handle,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FinishArgs {
    producer: Handle,
    outcome: Outcome,
    reason: String,
}

/// Starts an operation; whether it is one of these.
pub fn start(engine: &Engine, request: u32, operation: &str, args: &str) -> Result<bool> {
    let target = engine.clone();
    match operation {
        "produce" => {
            let args: ProduceArgs = parse(args)?;
            let options = Produce {
                owner: args.owner,
                metadata: args.metadata,
                if_active: args.if_active,
                if_ended: args.if_ended,
                ttl: Ttl {
                    active: Duration::from_millis(args.ttl_active_ms),
                    done: Duration::from_millis(args.ttl_done_ms),
                },
                flush_interval: args.flush_interval_ms.map(Duration::from_millis),
                is_patient: args.is_patient,
            };
            engine.produce(request, args.stream_id, options);
        }
        "ready" => engine.request(request, target.ready(parse::<ProducerArgs>(args)?.producer)),
        "flush" => engine.request(request, target.flush(parse::<ProducerArgs>(args)?.producer)),
        "finish" => {
            let args: FinishArgs = parse(args)?;
            let terminal = Terminal {
                outcome: args.outcome,
                reason: args.reason,
            };
            engine.request(request, target.finish(args.producer, terminal));
        }
        _ => return Ok(false),
    }
    Ok(true)
}
