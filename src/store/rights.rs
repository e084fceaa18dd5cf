//! The rights of the store's user on its server.

use serde::Serialize;

/// What a user of the store's server was tried for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rights {
    /// How many rights were tried.
    pub tried: usize,
    /// Those that it lacks.
    pub lacking: Vec<MissingRight>,
}

/// A right that the user lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissingRight {
    /// What for, a word of `src/store/redis/rights.txt`.
    pub need: String,
    /// As `ACL SETUSER` takes it.
    pub right: String,
    /// Host and port of those that do not give it.
    pub servers: Vec<String>,
}
