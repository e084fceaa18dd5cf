//! Lua scripts and calls of them. The user of the transport defines the scripts.

use std::io::Write as _;

use redis::Cmd;

/// A channel, by a key.
pub type ChannelOf = fn(&str) -> String;

/// The scripts that a server is given.
#[derive(Debug)]
pub struct Library {
    /// Loaded on each new connection.
    pub scripts: Vec<&'static Script>,
    /// One of them that costs little and does nothing when it is called with one key and no arguments.
    pub probe: &'static Script,
}

/// One script, under the hash by which Redis knows it.
#[derive(Debug)]
pub struct Script {
    /// The operation, for errors.
    pub operation: &'static str,
    pub source: &'static str,
    hash: String,
    publishes: Option<ChannelOf>,
}

impl Script {
    pub fn new(operation: &'static str, source: &'static str) -> Self {
        Self {
            operation,
            source,
            hash: redis::Script::new(source).get_hash().to_owned(),
            publishes: None,
        }
    }

    /// The same script as one that publishes, on this channel of its first key.
    pub fn publishing(self, channel_of: ChannelOf) -> Self {
        Self {
            publishes: Some(channel_of),
            ..self
        }
    }
}

/// Keys of a script that has so much to do that its caller is busy with the reply for a while: two for each stream.
const MUCH: usize = 16;

/// A script with its keys and arguments.
pub struct Call {
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

    /// Whether readers wait for what it publishes, while its caller is busy with the reply. Redis writes first to the connection that
    /// got output last; after a `PING`, that is the subscribers' connection and not the caller's (ADR 19).
    pub fn publishes_much(&self) -> bool {
        self.script.publishes.is_some() && self.keys.ends.len() >= MUCH
    }

    /// The channel that the script publishes on, if it does.
    pub fn channel(&self) -> Option<String> {
        self.script
            .publishes
            .map(|channel_of| channel_of(self.first_key()))
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
