//! How generations and subscriptions end.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// How a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The producer said it is done.
    Complete,
    /// The producer said what went wrong.
    Failed,
    /// A stop was requested and the producer ended, or died, after it.
    Stopped,
    /// The generation ended without its producer.
    Interrupted,
}

impl Outcome {
    /// The design's word, as stored and as shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
        }
    }

    /// The inverse of [`Outcome::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Complete, Self::Failed, Self::Stopped, Self::Interrupted]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The log's last entry of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// How it ended.
    pub outcome: Outcome,
    /// Why; empty when there is nothing to say.
    pub reason: String,
}

/// Why a generation was interrupted, where it is not for its producer to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterruptReason {
    /// Its producers' leases have expired.
    Lease,
    /// Another generation has taken its place.
    Superseded,
    /// The stream was deleted.
    Deleted,
    /// The store has lost it.
    Lost,
    /// The engine that it was produced with was closed.
    Closed,
}

impl InterruptReason {
    /// The word, as stored and as shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Superseded => "superseded",
            Self::Deleted => "deleted",
            Self::Lost => "lost",
            Self::Closed => "closed",
        }
    }
}

impl Terminal {
    /// The end of a generation that was interrupted.
    pub fn interrupted(reason: InterruptReason) -> Self {
        Self {
            outcome: Outcome::Interrupted,
            reason: reason.as_str().to_owned(),
        }
    }

    /// Whether it was interrupted for this reason.
    pub fn is_interrupted(&self, reason: InterruptReason) -> bool {
        self.outcome == Outcome::Interrupted && self.reason == reason.as_str()
    }
}

/// How a subscription ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With the generation.
    Terminal {
        /// How it ended.
        outcome: Outcome,
        /// Why.
        reason: String,
    },
    /// With an error of its own.
    Error(Error),
}
