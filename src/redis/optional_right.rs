//! Optional rights: features that Tidemark can do without.

/// An optional right: Tidemark does without it if the server does not grant it to this user.
#[derive(Debug, Clone, Copy)]
pub struct OptionalRight {
    number: u8,
    /// What it is.
    pub what: &'static str,
    /// What is missing without it.
    pub without: &'static str,
}

impl OptionalRight {
    pub const NAME: Self = Self::own(0, "CLIENT SETNAME", "its connections have no name in CLIENT LIST");
    pub const LOAD: Self = Self::own(
        1,
        "SCRIPT LOAD",
        "each script is sent whole when it is first needed",
    );
    pub const PING: Self = Self::own(2, "PING", "chunks reach readers a little later");
    pub const UNSUBSCRIBE: Self = Self::own(
        3,
        "UNSUBSCRIBE",
        "channels that nobody listens to any more stay subscribed",
    );
    pub const ROLE: Self = Self::own(
        4,
        "ROLE",
        "a replica is taken for the primary until it refuses a write",
    );
    pub const CLUSTER_INFO: Self = Self::own(
        5,
        "CLUSTER INFO",
        "a server that has lost its cluster is believed",
    );
    pub const SENTINEL_MASTER: Self = Self::own(
        6,
        "SENTINEL MASTER",
        "a sentinel that has missed a failover is believed",
    );

    const fn own(number: u8, what: &'static str, without: &'static str) -> Self {
        Self {
            number,
            what,
            without,
        }
    }

    /// An optional right of the transport's user; `number`, 0 to 15, identifies it.
    pub const fn of_user(number: u8, what: &'static str, without: &'static str) -> Self {
        assert!(number < 16);
        Self::own(16 + number, what, without)
    }

    /// A bit that no other one has.
    pub const fn bit(self) -> u32 {
        1 << self.number
    }
}
