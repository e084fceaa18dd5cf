//! Asks the servers of a cluster which of them has which slots.

use std::time::Duration;

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use redis::{Cmd, Value};

use super::{
    commands::Commands,
    connect::Server,
    failure::{Failure, is_refusal, words},
    health::ConnectionHealth,
    job::{Job, Timeouts},
    optional_right::OptionalRight,
    slots::{Address, ranges},
};

/// How long a server may take to answer.
const READ_WITHIN: Duration = Duration::from_secs(1);

/// Slots, from and to, and the server that has them.
pub type Ranges = Vec<(usize, usize, Address)>;
/// A server is asked.
pub type Question<'a> = BoxFuture<'a, Result<Ranges, Failure>>;

/// The first good answer, or why there is none.
pub async fn first(mut questions: FuturesUnordered<Question<'_>>) -> Result<Ranges, Vec<Failure>> {
    let mut failures = Vec::new();
    while let Some(answer) = questions.next().await {
        match answer {
            Ok(ranges) => return Ok(ranges),
            Err(failure) => failures.push(failure),
        }
    }
    Err(failures)
}

/// Asks on an existing connection.
pub async fn ask(commands: &Commands, server: &Server, health: &ConnectionHealth) -> Result<Ranges, Failure> {
    let timeouts = Timeouts {
        connect: Duration::ZERO,
        command: READ_WITHIN,
    };
    let answer = async |command: &Cmd| {
        let job = Job::Command {
            operation: "table",
            key: "",
            command,
        };
        let reply = commands.perform(&job, false, timeouts).await;
        let reply = reply.map_err(|error| Failure::passing(error.to_string()))?;
        reply.map_err(|error| Failure::passing(words(&error)))
    };
    let [info, slots] = questions();
    let (info, slots) = if health.may(OptionalRight::CLUSTER_INFO) {
        tokio::join!(answer(&info), answer(&slots))
    } else {
        (Ok(Value::Nil), answer(&slots).await)
    };
    if let Err(Failure { reason, .. }) = &info
        && is_refusal(reason)
    {
        health.refused(OptionalRight::CLUSTER_INFO, server.address(), reason);
    }
    table(&info.unwrap_or(Value::Nil), slots?, server.host()).map_err(|failure| failure.of(server.address()))
}

/// Asks on a temporary connection.
pub async fn ask_server(server: &Server, patience: Duration) -> Result<Ranges, Failure> {
    let mut pipeline = redis::pipe();
    for question in questions() {
        pipeline.add_command(question);
    }
    let asked = async {
        let replies = server.ask(&pipeline, patience).await?;
        let [info, slots] = <[Value; 2]>::try_from(replies).unwrap_or([Value::Nil, Value::Nil]);
        let slots = slots.extract_error();
        table(
            &info,
            slots.map_err(|error| Failure::passing(alone(words(&error))))?,
            server.host(),
        )
    };
    asked.await.map_err(|failure| failure.of(server.address()))
}

/// What a server without a cluster says, with advice on the URL.
fn alone(mut said: String) -> String {
    if said.contains("cluster support disabled") {
        said.push_str("; for a single server the URL begins with redis://");
    }
    said
}

fn questions() -> [Cmd; 2] {
    ["INFO", "SLOTS"].map(|question| {
        let mut command = redis::cmd("CLUSTER");
        command.arg(question);
        command
    })
}

/// A server's view of the cluster. A server that has lost the others is out of date, and reports that.
fn table(info: &Value, slots: Value, host: &str) -> Result<Ranges, Failure> {
    let down = b"cluster_state:fail";
    if matches!(info, Value::BulkString(text) if text.windows(down.len()).any(|part| part == down)) {
        return Err(Failure::passing("its cluster is down"));
    }
    ranges(slots, host)
        .filter(|ranges| !ranges.is_empty())
        .ok_or_else(|| Failure::passing("it knows of no slots"))
}
