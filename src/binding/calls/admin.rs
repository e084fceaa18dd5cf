//! The engine as a whole, and streams by their names.

use std::time::Duration;

use serde::Deserialize;

use super::args::parse;
use crate::{
    Error, Result, StreamId,
    engine::Engine,
    model::{connection::Credentials, ending::Outcome},
    store::{ListCursor, Sweep},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StopArgs {
    stream_id: StreamId,
    reason: String,
    owner: Option<String>,
    keep_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StreamArgs {
    stream_id: StreamId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeleteArgs {
    stream_id: StreamId,
    owner: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StreamsArgs {
    stream_ids: Vec<StreamId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArgs {
    shard: u8,
    old: bool,
    /// A text: Redis' positions are 64 bits wide.
    scan: String,
    count: usize,
}

impl ListArgs {
    fn from(&self) -> Result<ListCursor> {
        let scan = self.scan.parse();
        Ok(ListCursor {
            shard: self.shard,
            old: self.old,
            scan: scan.map_err(|_| Error::invalid("scan", "must be a number"))?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SweepArgs {
    stream_ids: Vec<StreamId>,
    older_than_ms: u64,
    outcomes: Vec<Outcome>,
    force: bool,
    dry_run: bool,
}

impl SweepArgs {
    fn rule(self) -> (Vec<StreamId>, Sweep) {
        let rule = Sweep {
            older_than: Duration::from_millis(self.older_than_ms),
            outcomes: self.outcomes,
            force: self.force,
            dry_run: self.dry_run,
        };
        (self.stream_ids, rule)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CredentialsArgs {
    ask: u32,
    given: Option<Credentials>,
    failure: Option<String>,
}

impl CredentialsArgs {
    fn answer(self) -> Result<Credentials, String> {
        self.given.ok_or_else(|| self.failure.unwrap_or_default())
    }
}

/// Starts an operation; whether it is one of these.
pub fn start(engine: &Engine, request: u32, operation: &str, args: &str) -> Result<bool> {
    let target = engine.clone();
    match operation {
        "connect" => engine.request(request, target.connect()),
        "stop" => {
            let args: StopArgs = parse(args)?;
            let keep = args.keep_ms.map(Duration::from_millis);
            engine.request(
                request,
                target.stop(args.stream_id, args.reason, args.owner, keep),
            );
        }
        "inspect" => engine.request(request, target.inspect(streams(args)?)),
        "glance" => engine.request(request, target.glance(streams(args)?)),
        "tails" => engine.request(request, target.tails(streams(args)?)),
        "status" => engine.request(request, target.status(stream(args)?)),
        "list" => {
            let args: ListArgs = parse(args)?;
            engine.request(request, target.list(args.from()?, args.count));
        }
        "glances" => {
            let args: ListArgs = parse(args)?;
            engine.request(request, target.glances(args.from()?, args.count));
        }
        "memory" => engine.request(request, target.memory(stream(args)?)),
        "info" => engine.request(request, target.info()),
        "credentials" => {
            let args: CredentialsArgs = parse(args)?;
            engine.request(request, target.credentials(args.ask, args.answer()));
        }
        "rights" => engine.request(request, target.rights()),
        "count" => engine.request(request, target.count()),
        "sweep" => {
            let (streams, rule) = parse::<SweepArgs>(args)?.rule();
            engine.request(request, target.sweep(streams, rule));
        }
        "kept" => engine.request(request, target.is_kept(stream(args)?)),
        "delete" => {
            let args: DeleteArgs = parse(args)?;
            engine.request(request, target.delete(args.stream_id, args.owner));
        }
        "predecessor" => engine.request(request, target.predecessor(parse(args)?)),
        "close" => engine.request(request, target.close()),
        _ => return Ok(false),
    }
    Ok(true)
}

fn streams(args: &str) -> Result<Vec<StreamId>> {
    Ok(parse::<StreamsArgs>(args)?.stream_ids)
}

fn stream(args: &str) -> Result<StreamId> {
    Ok(parse::<StreamArgs>(args)?.stream_id)
}
