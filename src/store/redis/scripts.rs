//! The Lua scripts. Each is one operation; what they share stands in front of them.

use std::{borrow::Cow, sync::LazyLock};

use redis::Cmd;

/// One script, under the hash by which Redis knows it.
#[derive(Debug)]
pub(super) struct Script {
    /// The operation, for errors.
    pub operation: &'static str,
    pub source: &'static str,
    hash: String,
}

impl Script {
    fn new(operation: &'static str, source: &'static str) -> Self {
        Self {
            operation,
            source,
            hash: redis::Script::new(source).get_hash().to_owned(),
        }
    }
}

macro_rules! scripts {
    ($($name:ident $operation:literal = $($file:literal)+;)+) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new($operation, concat!($(include_str!(concat!("lua/", $file))),+)));)+

        /// All of them, to be loaded on a new connection.
        pub(super) fn all() -> impl Iterator<Item = &'static Script> {
            [$(&*$name),+].into_iter()
        }
    };
}

scripts! {
    START "start" = "prelude.lua" "create.lua" "start.lua";
    RESTORE "restore" = "prelude.lua" "create.lua" "restore.lua";
    APPEND "append" = "prelude.lua" "append.lua";
    QUICK "append" = "quick.lua";
    RENEW "renew" = "prelude.lua" "renew.lua";
    READ "read" = "prelude.lua" "read.lua";
    STOP "stop" = "prelude.lua" "stop.lua";
    ACK "ack" = "prelude.lua" "ack.lua";
    STATUS "status" = "prelude.lua" "status.lua";
    DELETE "delete" = "prelude.lua" "remove.lua" "delete.lua";
    SWEEP "cleanup" = "prelude.lua" "remove.lua" "sweep.lua";
    TAKE "take" = "prelude.lua" "chunks.lua" "group.lua" "take.lua";
    RESOLVE "resolve" = "prelude.lua" "chunks.lua" "group.lua" "resolve.lua";
    DEAD "dead" = "prelude.lua" "chunks.lua" "group.lua" "dead.lua";
    TAKE_FINISHED "take" = "queue.lua" "group.lua" "take_finished.lua";
    RESOLVE_FINISHED "resolve" = "queue.lua" "group.lua" "resolve.lua";
    DEAD_FINISHED "dead" = "queue.lua" "group.lua" "dead.lua";
    ANNOUNCE "announce" = "queue.lua" "announce.lua";
    ENTER "enter" = "queue.lua" "enter.lua";
    OVERDUE "overdue" = "queue.lua" "overdue.lua";
    INDEX "index" = "index.lua";
}

/// A script with its keys and arguments.
pub(super) struct Call<'a> {
    pub script: &'static Script,
    keys: Vec<Cow<'a, str>>,
    args: Vec<Cow<'a, [u8]>>,
}

impl<'a> Call<'a> {
    pub fn new(script: &'static Script) -> Self {
        Self {
            script,
            keys: Vec::with_capacity(4),
            args: Vec::with_capacity(16),
        }
    }

    pub fn key(mut self, key: impl Into<Cow<'a, str>>) -> Self {
        self.keys.push(key.into());
        self
    }

    pub fn bytes(mut self, bytes: &'a [u8]) -> Self {
        self.args.push(bytes.into());
        self
    }

    pub fn text(mut self, text: impl Into<Cow<'a, str>>) -> Self {
        self.args.push(match text.into() {
            Cow::Borrowed(text) => text.as_bytes().into(),
            Cow::Owned(text) => text.into_bytes().into(),
        });
        self
    }

    /// Anything with a short text form.
    pub fn show(self, value: impl std::fmt::Display) -> Self {
        self.text(value.to_string())
    }

    /// All keys of a call have its hash tag.
    pub fn first_key(&self) -> &str {
        self.keys.first().map_or("", |key| key)
    }

    /// The command for a server that has the script.
    pub fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    /// The command for any server; from then on it has the script. Needs no right to `SCRIPT LOAD`.
    pub fn by_source(&self) -> Cmd {
        self.command("EVAL", self.script.source)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let bytes: usize = self.keys.iter().map(|key| key.len()).sum::<usize>()
            + self.args.iter().map(|arg| arg.len()).sum::<usize>();
        let mut command =
            Cmd::with_capacity(3 + self.keys.len() + self.args.len(), script.len() + bytes + 16);
        command.arg(name).arg(script).arg(self.keys.len());
        for key in &self.keys {
            command.arg(key.as_bytes());
        }
        for arg in &self.args {
            command.arg(&**arg);
        }
        command
    }
}
