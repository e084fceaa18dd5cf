//! The rights that the URL's user needs, and how to check them. `rights.txt` is the list.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use redis::{Cmd, RedisResult, Value};

use crate::{
    Result,
    redis::{
        commands::Commands,
        connect::Server,
        failure::{is_refusal, words},
        job::{Job, Timeouts},
        primary::{Primary, Sentinels},
        servers::Servers,
    },
    store::{MissingRight, Rights},
};

const LIST: &str = include_str!("rights.txt");

/// A line of the list.
struct Right {
    need: &'static str,
    name: &'static str,
    call: &'static str,
}

/// The names in the calls, which nobody else uses, and the patterns that allow them.
pub(super) struct Scene {
    /// Of a stream …
    pub key: String,
    pub channel: String,
    pub stream_pattern: String,
    /// … of what belongs to all streams …
    pub plain: String,
    pub plain_pattern: String,
    /// … and of the predecessor.
    pub old: String,
    pub old_pattern: String,
}

fn list() -> impl Iterator<Item = Right> {
    let lines = LIST.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| {
        let (need, rest) = line.split_once(' ')?;
        let (name, call) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        let call = call.trim();
        Some(Right { need, name, call })
    })
}

impl Right {
    /// The call that tries it.
    fn command(&self, scene: &Scene) -> Option<Cmd> {
        if self.call == "-" {
            return None;
        }
        let mut command = Cmd::new();
        for word in self.name.split('|') {
            command.arg(word.to_ascii_uppercase());
        }
        for word in self.call.split_whitespace() {
            match word {
                "KEY" => command.arg(&scene.key),
                "CHANNEL" => command.arg(&scene.channel),
                "OLD" => command.arg(&scene.old),
                word => command.arg(word),
            };
        }
        Some(command)
    }

    /// The pattern that allows the names of its call.
    fn pattern<'a>(&self, scene: &'a Scene) -> &'a str {
        if self.call.contains("OLD") {
            &scene.old_pattern
        } else {
            &scene.stream_pattern
        }
    }
}

/// The rights by their form in `ACL SETUSER`: what needs each, and which server refuses it.
#[derive(Default)]
struct RightsReport(BTreeMap<String, (&'static str, Vec<String>)>);

impl RightsReport {
    /// Notes the answer of a server to a call. `pattern` allows the names in it. An error other than a missing right
    /// counts as allowed.
    fn note(&mut self, need: &'static str, name: &str, pattern: &str, at: &str, answer: &RedisResult<Value>) {
        let said = answer.as_ref().err().map(words).unwrap_or_default();
        let is_refused = is_refusal(&said);
        let mut add = |what: String, is_refused: bool| {
            let (_, servers) = self.0.entry(what).or_insert_with(|| (need, Vec::new()));
            if is_refused && !servers.iter().any(|server| server == at) {
                servers.push(at.to_owned());
            }
        };
        let is_command = said.contains(" to run the ");
        add(format!("+{name}"), is_refused && is_command);
        if is_refused && !is_command {
            let kind = if said.contains("channel") { '&' } else { '~' };
            add(format!("{kind}{pattern}"), true);
        }
    }

    fn outcome(self) -> Rights {
        let tried = self.0.len();
        let lacking = self.0.into_iter().filter(|(_, (_, servers))| !servers.is_empty());
        let lacking = lacking.map(|(right, (need, servers))| MissingRight {
            need: need.to_owned(),
            right,
            servers,
        });
        Rights {
            tried,
            lacking: lacking.collect(),
        }
    }
}

/// Tries every right on every server.
pub(super) async fn lacking(servers: &Servers, scene: &Scene, timeouts: Timeouts) -> Result<Rights> {
    let mut trial = RightsReport::default();
    let (members, place) = match servers {
        Servers::Cluster(cluster) => (cluster.all(timeouts).await?, "cluster"),
        Servers::One {
            primary, commands, ..
        } => match &**primary {
            Primary::Watched(sentinels) => {
                try_sentinels(&mut trial, sentinels, timeouts.connect).await;
                (vec![commands.clone()], "sentinel")
            }
            Primary::Fixed(_) => (vec![commands.clone()], ""),
        },
    };
    let is_wanted = |right: &Right| match right.need {
        "sentinel" | "cluster" => right.need == place,
        _ => true,
    };
    let rights: Vec<_> = list().filter(is_wanted).collect();
    for commands in &members {
        try_server(&mut trial, commands, &rights, scene, timeouts).await?;
    }
    if let Ok((mut sink, _messages, _)) = servers.subscriber(timeouts.connect).await {
        let at = servers.address();
        for channel in [&scene.channel, &scene.plain] {
            let pattern = if channel == &scene.plain {
                &scene.plain_pattern
            } else {
                &scene.stream_pattern
            };
            let done = sink.subscribe(channel).await.map(|()| Value::Nil);
            trial.note("always", "subscribe", pattern, at, &done);
        }
        let done = sink.unsubscribe(&scene.channel).await.map(|()| Value::Nil);
        trial.note("always", "unsubscribe", &scene.stream_pattern, at, &done);
    }
    Ok(trial.outcome())
}

async fn try_server(
    trial: &mut RightsReport,
    commands: &Commands,
    rights: &[Right],
    scene: &Scene,
    timeouts: Timeouts,
) -> Result<()> {
    let ask = async |command: &Cmd| {
        let job = Job::Command {
            operation: "rights",
            key: "",
            command,
        };
        commands.perform(&job, false, timeouts).await
    };
    // One after the other, in the list's order: the last ones take everything back.
    for right in rights {
        if let Some(command) = right.command(scene) {
            let answer = ask(&command).await?;
            trial.note(
                right.need,
                right.name,
                right.pattern(scene),
                commands.address(),
                &answer,
            );
        }
    }
    let mut command = redis::cmd("PTTL");
    let answer = ask(command.arg(&scene.plain)).await?;
    trial.note(
        "always",
        "pttl",
        &scene.plain_pattern,
        commands.address(),
        &answer,
    );
    Ok(())
}

async fn try_sentinels(trial: &mut RightsReport, sentinels: &Sentinels, patience: Duration) {
    let rights: Vec<_> = list().filter(|right| right.need == "sentinels").collect();
    let mut questions = redis::pipe();
    for right in &rights {
        let question = right.name.trim_start_matches("sentinel|");
        questions.cmd("SENTINEL").arg(question).arg(sentinels.name());
    }
    let ask = async |sentinel: &Server| sentinel.ask(&questions, patience).await.unwrap_or_default();
    let answers = join_all(sentinels.servers().iter().map(ask)).await;
    for (sentinel, replies) in sentinels.servers().iter().zip(answers) {
        for (right, reply) in rights.iter().zip(replies) {
            trial.note(
                right.need,
                right.name,
                "",
                sentinel.address(),
                &reply.extract_error(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_right_is_listed_once_with_a_call_that_can_be_sent() {
        let scene = Scene {
            key: "a key".to_owned(),
            channel: "a channel".to_owned(),
            stream_pattern: String::new(),
            plain: String::new(),
            plain_pattern: String::new(),
            old: "an old key".to_owned(),
            old_pattern: String::new(),
        };
        let mut names: Vec<_> = list().map(|right| right.name).collect();
        assert!(names.len() > 40);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), list().count());
        let packed = |name: &str| {
            let right = list().find(|right| right.name == name).unwrap();
            let command = right.command(&scene);
            command.map(|command| command.get_packed_command())
        };
        let mut expected = redis::cmd("XADD");
        expected
            .arg("a key")
            .arg("NOMKSTREAM")
            .arg("1-1")
            .arg("field")
            .arg("value");
        assert_eq!(packed("xadd"), Some(expected.get_packed_command()));
        assert_eq!(packed("ping"), Some(redis::cmd("PING").get_packed_command()));
        assert_eq!(packed("select"), None);
    }

    #[test]
    fn what_is_missing_is_told_from_the_words_of_every_version() {
        for (said, missing) in [
            (
                "NOPERM this user has no permissions to run the 'hkeys' command or its subcommand",
                "+hkeys",
            ),
            (
                "NOPERM User tm has no permissions to run the 'hkeys' command",
                "+hkeys",
            ),
            (
                "NOPERM this user has no permissions to access one of the keys used as arguments",
                "~{a:*",
            ),
            ("NOPERM No permissions to access a key", "~{a:*"),
            (
                "NOPERM this user has no permissions to access one of the channels used as arguments",
                "&{a:*",
            ),
            ("NOPERM No permissions to access a channel", "&{a:*"),
        ] {
            let (code, detail) = said.split_once(' ').unwrap();
            assert_eq!(code, "NOPERM");
            let kind = redis::ErrorKind::Server(redis::ServerErrorKind::NoPerm);
            let mut trial = RightsReport::default();
            trial.note(
                "always",
                "hkeys",
                "{a:*",
                "host:1",
                &Err((kind, "", detail.to_owned()).into()),
            );
            let lacking: Vec<_> = trial
                .outcome()
                .lacking
                .into_iter()
                .map(|lack| lack.right)
                .collect();
            assert_eq!(lacking, [missing], "{said}");
        }
    }
}
