//! Operations by name, with JSON arguments.

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Cursor, Error, Result, StreamId,
    engine::{Engine, Produce, groups::Consume, outbox::Handle, subscription::Follow, window::Limits},
    sse::{Format, Framing},
    store::{
        Ack, Credentials, IfActive, IfEnded, ListCursor, Outcome, OwnerCheck, Position, Sweep, Terminal, Ttl,
        groups::{Dead, ItemId, Resolve, Take, Verdict},
    },
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProduceArgs {
    stream_id: String,
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AckArgs {
    stream_id: String,
    consumer: String,
    cursor: String,
    owner: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConsumeArgs {
    stream_id: Option<String>,
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
    stream_id: Option<String>,
    group: String,
    consumer: String,
    verdicts: Vec<(ItemId, Verdict)>,
    owner: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeadArgs {
    stream_id: Option<String>,
    group: String,
    after: Option<ItemId>,
    count: usize,
    owner: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GroupsArgs {
    stream_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StopArgs {
    stream_id: String,
    reason: String,
    owner: Option<String>,
    keep_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StreamArgs {
    stream_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InspectArgs {
    stream_ids: Vec<String>,
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SweepArgs {
    stream_ids: Vec<String>,
    older_than_ms: u64,
    outcomes: Vec<Outcome>,
    force: bool,
    dry_run: bool,
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

impl SweepArgs {
    fn rule(self) -> Sweep {
        Sweep {
            quiet: Duration::from_millis(self.older_than_ms),
            outcomes: self.outcomes,
            force: self.force,
            look: self.dry_run,
        }
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubscribeArgs {
    stream_id: String,
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
}

/// Starts an operation.
pub fn start(engine: &Engine, request: u32, operation: &str, args: &str) -> Result<()> {
    let target = engine.clone();
    match operation {
        "connect" => engine.request(request, target.connect()),
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
            engine.produce(request, StreamId::new(&args.stream_id)?, options);
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
        "ack" => {
            let args: AckArgs = parse(args)?;
            let ack = Ack {
                consumer: args.consumer,
                cursor: args.cursor.parse()?,
            };
            engine.ack(request, StreamId::new(&args.stream_id)?, args.owner, ack);
        }
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
                verdicts: args.verdicts,
                owner: OwnerCheck::Caller(args.owner),
            };
            engine.request(request, target.resolve(optional(args.stream_id)?, resolve));
        }
        "dead" => {
            let args: DeadArgs = parse(args)?;
            let dead = Dead {
                group: args.group,
                after: args.after,
                count: args.count,
                owner: OwnerCheck::Caller(args.owner),
            };
            engine.request(request, target.dead(optional(args.stream_id)?, dead));
        }
        "groups" => engine.request(request, target.groups(of_work(args)?)),
        "stop" => {
            let args: StopArgs = parse(args)?;
            let keep = args.keep_ms.map(Duration::from_millis);
            let stream = StreamId::new(&args.stream_id)?;
            engine.request(request, target.stop(stream, args.reason, args.owner, keep));
        }
        "inspect" => {
            let args: InspectArgs = parse(args)?;
            engine.request(request, target.inspect(ids(&args.stream_ids)?));
        }
        "status" => engine.request(request, target.status(stream(args)?)),
        "list" => {
            let args: ListArgs = parse(args)?;
            engine.request(request, target.list(args.from()?, args.count));
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
            let args: SweepArgs = parse(args)?;
            engine.request(request, target.sweep(ids(&args.stream_ids)?, args.rule()));
        }
        "delete" => engine.request(request, target.delete(stream(args)?)),
        "predecessor" => engine.request(request, target.predecessor(parse(args)?)),
        "close" => engine.request(request, target.close()),
        _ => return Err(Error::invalid("operation", "unknown")),
    }
    Ok(())
}

/// Opens a subscription.
pub fn subscribe(engine: &Engine, args: &str) -> Result<Handle> {
    let args: SubscribeArgs = parse(args)?;
    let position = args.from.as_deref().map_or(Ok(Position::Start), position)?;
    let limits = Limits {
        window: args.window,
        timeout: args.ack_timeout_ms.map(Duration::from_millis),
        consumer: args.consumer.clone(),
    };
    let counts = limits.window.is_some() || limits.timeout.is_some();
    let follow = Follow {
        position,
        resume: args.consumer.filter(|_| args.from.is_none()),
        limits: counts.then_some(limits),
        owner: args.owner,
        wait: Duration::from_millis(args.wait_ms),
        is_patient: args.is_patient,
        all: args.follow_all,
        credit: args.credit,
        framing: args
            .sse
            .map(|sse| Framing::new(sse.format, Duration::from_millis(sse.retry_ms), sse.is_merged)),
    };
    engine.subscribe(&StreamId::new(&args.stream_id)?, follow)
}

/// Joins a group.
pub fn consume(engine: &Engine, args: &str) -> Result<Handle> {
    let args: ConsumeArgs = parse(args)?;
    engine.consume(Consume {
        stream: optional(args.stream_id)?,
        take: Take {
            group: args.group,
            consumer: args.consumer,
            from: position(&args.from)?,
            count: args.batch,
            claim_idle: Duration::from_millis(args.claim_idle_ms),
            max_deliveries: args.max_deliveries,
            own: None,
            owner: OwnerCheck::Caller(args.owner),
        },
        wait: Duration::from_millis(args.wait_ms),
    })
}

fn position(from: &str) -> Result<Position> {
    Ok(match from {
        "start" => Position::Start,
        "now" => Position::Now,
        cursor => {
            let Cursor { generation, seq } = cursor.parse()?;
            Position::After { generation, seq }
        }
    })
}

/// The stream whose groups are meant; none for those of finished generations.
fn of_work(args: &str) -> Result<Option<StreamId>> {
    optional(parse::<GroupsArgs>(args)?.stream_id)
}

fn ids(names: &[String]) -> Result<Vec<StreamId>> {
    names.iter().map(|name| StreamId::new(name)).collect()
}

fn optional(stream_id: Option<String>) -> Result<Option<StreamId>> {
    stream_id.map(|id| StreamId::new(&id)).transpose()
}

fn parse<T: DeserializeOwned>(args: &str) -> Result<T> {
    serde_json::from_str(args).map_err(|error| Error::invalid("args", error.to_string()))
}

fn stream(args: &str) -> Result<StreamId> {
    StreamId::new(&parse::<StreamArgs>(args)?.stream_id)
}
