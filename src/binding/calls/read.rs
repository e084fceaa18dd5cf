//! Readers, and their acknowledgements.

use std::time::Duration;

use serde::Deserialize;

use super::args::{parse, position};
use crate::{
    Result, StreamId,
    engine::{
        Engine,
        events::Handle,
        read::{subscription::Follow, window::AckTerms},
    },
    sse::{Format, Framing},
    store::{Ack, Position},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AckArgs {
    stream_id: StreamId,
    consumer: String,
    cursor: String,
    owner: Option<String>,
    is_patient: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubscribeArgs {
    stream_id: StreamId,
    from: Option<String>,
    consumer: Option<String>,
    owner: Option<String>,
    wait_ms: u64,
    is_patient: bool,
    follow_all: bool,
    window: Option<u64>,
    ack_timeout_ms: Option<u64>,
    credit: u64,
    sse: Option<SseArgs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SseArgs {
    format: Format,
    retry_ms: u64,
    is_merged: bool,
    bare_after: Option<u64>,
}

/// Starts an operation; whether it is one of these.
pub fn start(engine: &Engine, request: u32, operation: &str, args: &str) -> Result<bool> {
    match operation {
        "ack" => {
            let args: AckArgs = parse(args)?;
            let ack = Ack {
                consumer: args.consumer,
                cursor: args.cursor.parse()?,
            };
            engine.ack(request, args.stream_id, args.owner, ack, args.is_patient);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Opens a subscription.
pub fn subscribe(engine: &Engine, args: &str) -> Result<Handle> {
    let args: SubscribeArgs = parse(args)?;
    let position = args.from.as_deref().map_or(Ok(Position::Start), position)?;
    let ack = AckTerms {
        window: args.window,
        timeout: args.ack_timeout_ms.map(Duration::from_millis),
        consumer: args.consumer.clone(),
    };
    let counts = ack.window.is_some() || ack.timeout.is_some();
    let follow = Follow {
        position,
        resume: args.consumer.filter(|_| args.from.is_none()),
        ack: counts.then_some(ack),
        owner: args.owner,
        wait: Duration::from_millis(args.wait_ms),
        is_patient: args.is_patient,
        all: args.follow_all,
        credit: args.credit,
        framing: args.sse.map(|sse| match sse.bare_after {
            Some(skip) => Framing::bare(sse.format, skip),
            None => Framing::new(sse.format, Duration::from_millis(sse.retry_ms), sse.is_merged),
        }),
    };
    engine.subscribe(&args.stream_id, follow)
}
