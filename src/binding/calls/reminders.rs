//! Reminders.

use std::time::Duration;

use serde::Deserialize;

use super::args::parse;
use crate::{Result, engine::Engine, store::reminders::Remind};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RemindArgs {
    key: String,
    expected: u64,
    value: Option<String>,
    due: u64,
    keep_ms: u64,
    is_news: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecallArgs {
    keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DueArgs {
    count: usize,
    pause_ms: u64,
    keep_ms: u64,
}

/// Starts an operation. Returns whether it is one of these.
pub fn start(engine: &Engine, request: u32, operation: &str, args: &str) -> Result<bool> {
    let target = engine.clone();
    match operation {
        "remind" => {
            let args: RemindArgs = parse(args)?;
            let remind = Remind {
                key: args.key,
                expected: args.expected,
                value: args.value,
                due: args.due,
                keep: Duration::from_millis(args.keep_ms),
                is_news: args.is_news,
            };
            engine.request(request, target.remind(remind));
        }
        "recall" => engine.request(request, target.recall(parse::<RecallArgs>(args)?.keys)),
        "due" => {
            let args: DueArgs = parse(args)?;
            let [pause, keep] = [args.pause_ms, args.keep_ms].map(Duration::from_millis);
            engine.request(request, target.due(args.count, pause, keep));
        }
        "reminders" => engine.request(request, target.reminders()),
        _ => return Ok(false),
    }
    Ok(true)
}
