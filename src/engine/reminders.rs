//! Reminders, for the host: what they mean is its own.

use std::time::Duration;

use super::{Engine, events::Reply};
use crate::{
    Error, Result,
    store::reminders::{MAX_RECALLED, Remind},
};

impl Engine {
    /// Makes, changes or removes a reminder.
    pub async fn remind(self, remind: Remind) -> Result<Reply> {
        let reminded = self.context.ask(|store| store.remind(&remind)).await?;
        Ok(Reply::Reminded(reminded))
    }

    /// The reminders with these keys.
    pub async fn recall(self, keys: Vec<String>) -> Result<Reply> {
        if keys.len() > MAX_RECALLED {
            return Err(Error::invalid("keys", format!("must be at most {MAX_RECALLED}")));
        }
        let recalled = self.context.ask(|store| store.recall(&keys)).await?;
        Ok(Reply::Recalled(recalled))
    }

    /// Some of the reminders that are due, which nobody else gets for a while.
    pub async fn due(self, count: usize, pause: Duration, keep: Duration) -> Result<Reply> {
        let due = self
            .context
            .ask_unless_away(|store| store.due(count, pause, keep))
            .await?;
        Ok(Reply::Due(due))
    }

    /// The keys and versions of all reminders.
    pub async fn reminders(self) -> Result<Reply> {
        let all = self.context.ask_unless_away(|store| store.reminders()).await?;
        Ok(Reply::Reminders(all))
    }
}
