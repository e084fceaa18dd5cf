//! Reminders: small values that are changed under a condition, and that are due at a time (`docs/adr/0049-reminders.md`).
//!
//! A reminder has a key, a version and a value. Whoever changes it names the version that the change is meant for, and gets the
//! present one if that is another. The store knows nothing of what values mean. Those that are due are handed out to one
//! caller at a time. All times are the store's own, which every answer carries.

use std::time::Duration;

use serde::Serialize;

use crate::{Error, Result};

/// The most reminders of one prefix.
pub const MAX_REMINDERS: usize = 1000;
/// The longest value, in bytes.
pub const MAX_REMINDER: usize = 256 * 1024;
/// The longest key, in bytes.
pub const MAX_REMINDER_KEY: usize = 1024;
/// The most keys of one [`Store::recall`](super::Store::recall).
pub const MAX_RECALLED: usize = 4;
/// The values of one [`Store::due`](super::Store::due) end with the one that passes this, in bytes.
pub const MAX_DUE_BYTES: usize = 1 << 20;

/// A reminder as it is in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reminder {
    /// Its name.
    pub key: String,
    /// Never given to another value of any reminder.
    pub version: u64,
    /// What it says.
    pub value: String,
}

/// Makes, changes or removes a reminder.
#[derive(Debug, Clone)]
pub struct Remind {
    /// Its name, 1 to [`MAX_REMINDER_KEY`] bytes.
    pub key: String,
    /// The version that it must have; 0: there must be none.
    pub expected: u64,
    /// Its new value; `None` removes it.
    pub value: Option<String>,
    /// When it is due, in milliseconds since 1970.
    pub due: u64,
    /// How long it is kept if nobody changes it or is handed it.
    pub keep: Duration,
    /// Whether those who remember reminders should look at all of them again ([`Due::news`]).
    pub is_news: bool,
}

impl Remind {
    /// Refuses what no store takes.
    pub fn check(&self) -> Result<()> {
        let length = self.value.as_ref().map_or(0, String::len);
        if self.key.is_empty() || self.key.len() > MAX_REMINDER_KEY {
            return Err(Error::invalid(
                "key",
                format!("must have 1 to {MAX_REMINDER_KEY} bytes"),
            ));
        }
        if length > MAX_REMINDER {
            return Err(Error::invalid(
                "value",
                format!("must have at most {MAX_REMINDER} bytes, got {length}"),
            ));
        }
        Ok(())
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum Reminded {
    /// It has the new value, or is removed: by this change or an earlier one, so that a change may be repeated.
    Done {
        /// The store's time, in milliseconds since 1970.
        now: u64,
        /// Its version; 0 once it is removed.
        version: u64,
    },
    /// It has another version.
    Other {
        /// The store's time, in milliseconds since 1970.
        now: u64,
        /// As it is, if it is.
        reminder: Option<Reminder>,
    },
    /// There are [`MAX_REMINDERS`].
    Full {
        /// The store's time, in milliseconds since 1970.
        now: u64,
    },
}

/// Reminders, and the time at which they were like that.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Recalled {
    /// The store's time, in milliseconds since 1970.
    pub now: u64,
    /// One for each key, in their order.
    pub reminders: Vec<Option<Reminder>>,
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Due {
    /// The store's time, in milliseconds since 1970.
    pub now: u64,
    /// The version of the last change that is news; 0: there was none.
    pub news: u64,
    /// When the next one is due that is not handed out here, in milliseconds since 1970.
    pub next: Option<u64>,
    /// Those that are due.
    pub reminders: Vec<Reminder>,
}
