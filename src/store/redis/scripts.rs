//! The Lua scripts. Each is one operation; what they share stands in front of them.

use std::{io::Write as _, sync::LazyLock};

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

    /// Whether it sends chunks to readers. Redis writes to the connection that was given something last first; after a
    /// `PING`, that is the readers' and not the one that waits for the script's reply (ADR 19).
    pub fn publishes(&self) -> bool {
        self.operation == "append"
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
    PIECE "piece" = "prelude.lua" "piece.lua";
    RENEW "renew" = "prelude.lua" "renew.lua";
    READ "read" = "prelude.lua" "read.lua";
    STOP "stop" = "prelude.lua" "stop.lua";
    ACK "ack" = "prelude.lua" "ack.lua";
    STATUS "status" = "prelude.lua" "inspect.lua" "status.lua";
    DELETE "delete" = "prelude.lua" "inspect.lua" "remove.lua" "delete.lua";
    SWEEP "cleanup" = "prelude.lua" "inspect.lua" "remove.lua" "sweep.lua";
    TAKE "take" = "prelude.lua" "chunks.lua" "group.lua" "take.lua";
    RESOLVE "resolve" = "prelude.lua" "chunks.lua" "group.lua" "resolve.lua";
    DEAD "dead" = "prelude.lua" "chunks.lua" "group.lua" "dead.lua";
    TAKE_FINISHED "take" = "queue.lua" "group.lua" "take_finished.lua";
    RESOLVE_FINISHED "resolve" = "queue.lua" "group.lua" "resolve.lua";
    DEAD_FINISHED "dead" = "queue.lua" "group.lua" "dead.lua";
    GROUPS "groups" = "prelude.lua" "groups.lua";
    GROUPS_FINISHED "groups" = "queue.lua" "groups_finished.lua";
    ANNOUNCE "announce" = "queue.lua" "announce.lua";
    ENTER "enter" = "queue.lua" "enter.lua";
    OVERDUE "overdue" = "queue.lua" "overdue.lua";
    INDEX "index" = "index.lua";
    UNLIST "unlist" = "unlist.lua";
}

/// A script with its keys and arguments.
pub(super) struct Call {
    pub script: &'static Script,
    keys: Parts,
    args: Parts,
}

impl Call {
    pub fn new(script: &'static Script) -> Self {
        Self {
            script,
            keys: Parts::with_capacity(6, 256),
            args: Parts::with_capacity(16, 256),
        }
    }

    /// With room for the keys and arguments of that many streams, whose frames have that many bytes.
    pub fn for_many(script: &'static Script, streams: usize, bytes: usize) -> Self {
        Self {
            script,
            keys: Parts::with_capacity(2 * streams, 64 * streams),
            args: Parts::with_capacity(5 * streams, 128 * streams + bytes),
        }
    }

    pub fn key(mut self, key: impl AsRef<str>) -> Self {
        self.keys.push(key.as_ref().as_bytes());
        self
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.args.push(bytes);
        self
    }

    pub fn text(self, text: impl AsRef<str>) -> Self {
        self.bytes(text.as_ref().as_bytes())
    }

    /// Anything with a text form, `format_args!` among it.
    pub fn show(mut self, value: impl std::fmt::Display) -> Self {
        self.args.show(value);
        self
    }

    /// One argument of a head and bytes that follow it.
    pub fn message(mut self, head: impl std::fmt::Display, bytes: &[u8]) -> Self {
        self.args.show(head);
        self.args.lengthen(bytes);
        self
    }

    /// All keys of a call have its hash tag.
    pub fn first_key(&self) -> &str {
        // It was a `str` when it came.
        std::str::from_utf8(self.keys.iter().next().unwrap_or_default()).unwrap_or_default()
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
        let (keys, args) = (&self.keys, &self.args);
        let bytes = script.len() + keys.bytes.len() + args.bytes.len();
        let mut command = Cmd::with_capacity(3 + keys.ends.len() + args.ends.len(), bytes + 16);
        command.arg(name).arg(script).arg(keys.ends.len());
        for part in keys.iter().chain(args.iter()) {
            command.arg(part);
        }
        command
    }
}

/// Byte strings in one piece of memory: a call has hundreds of short ones.
struct Parts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Parts {
    fn with_capacity(count: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(count),
        }
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
        self.ends.push(self.bytes.len());
    }

    fn show(&mut self, part: impl std::fmt::Display) {
        // Writing to memory cannot fail.
        let _ = write!(self.bytes, "{part}");
        self.ends.push(self.bytes.len());
    }

    /// Adds to the last part.
    fn lengthen(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if let Some(end) = self.ends.last_mut() {
            *end = self.bytes.len();
        }
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends
            .iter()
            .map(move |end| &self.bytes[std::mem::replace(&mut start, *end)..*end])
    }
}
