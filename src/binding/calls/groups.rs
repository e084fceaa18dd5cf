//! Groups.

use std::time::Duration;

use serde::Deserialize;

use super::args::{parse, position};
use crate::{
    Result, StreamId,
    engine::{Engine, events::Handle, groups::consumption::Consume},
    store::{
        OwnerCheck,
        groups::{Dead, ItemId, Resolution, Resolve, Take},
    },
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConsumeArgs {
    stream_id: Option<StreamId>,
    group: String,
    consumer: String,
    from: String,
    batch: usize,
    claim_idle_ms: u64,
    max_deliveries: u64,
    owner: Option<String>,
    wait_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TakeArgs {
    consumer: Handle,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaveArgs {
    consumer: Handle,
    untouched: Vec<ItemId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResolveArgs {
    stream_id: Option<StreamId>,
    group: String,
    consumer: String,
    resolutions: Vec<(ItemId, Resolution)>,
    owner: Option<String>,
    handle: Option<Handle>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeadArgs {
    stream_id: Option<StreamId>,
    group: String,
    after: Option<ItemId>,
    count: usize,
    owner: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GroupsArgs {
    stream_id: Option<StreamId>,
}

/// Starts an operation; whether it is one of these.
pub fn start(engine: &Engine, request: u32, operation: &str, args: &str) -> Result<bool> {
    let target = engine.clone();
    match operation {
        "take" => engine.request(request, target.take(parse::<TakeArgs>(args)?.consumer)),
        "leave" => {
            let args: LeaveArgs = parse(args)?;
            engine.request(request, target.leave(args.consumer, args.untouched));
        }
        "resolve" => {
            let args: ResolveArgs = parse(args)?;
            let resolve = Resolve {
                group: args.group,
                consumer: args.consumer,
                resolutions: args.resolutions,
                owner: OwnerCheck::Caller(args.owner),
            };
            engine.request(request, target.resolve(args.stream_id, resolve, args.handle));
        }
        "dead" => {
            let args: DeadArgs = parse(args)?;
            let dead = Dead {
                group: args.group,
                after: args.after,
                count: args.count,
                owner: OwnerCheck::Caller(args.owner),
            };
            engine.request(request, target.dead(args.stream_id, dead));
        }
        "groups" => {
            let args: GroupsArgs = parse(args)?;
            engine.request(request, target.groups(args.stream_id));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Joins a group.
pub fn consume(engine: &Engine, args: &str) -> Result<Handle> {
    let args: ConsumeArgs = parse(args)?;
    engine.consume(Consume {
        stream: args.stream_id,
        take: Take {
            group: args.group,
            consumer: args.consumer,
            from: position(&args.from)?,
            count: args.batch,
            claim_idle: Duration::from_millis(args.claim_idle_ms),
            max_deliveries: args.max_deliveries,
            own: None,
            told: None,
            owner: OwnerCheck::Caller(args.owner),
        },
        wait: Duration::from_millis(args.wait_ms),
    })
}
