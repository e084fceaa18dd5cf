//! Reminders: hashes, and a sorted set of when they are due, all in one slot.

use std::time::Duration;

use super::{arguments::millis, base::RedisStore, scripts};
use crate::{
    Result,
    redis::{fields::Fields, script::Call},
    store::reminders::{Due, MAX_DUE_BYTES, MAX_REMINDERS, Recalled, Remind, Reminded, Reminder},
};

impl RedisStore {
    pub(super) async fn change_reminder(&self, remind: &Remind) -> Result<Reminded> {
        remind.check()?;
        let call = Call::new(&scripts::REMIND)
            .key(self.keys.reminders() + &remind.key)
            .key(self.keys.reminders_due())
            .key(self.keys.reminder_versions())
            .text(&remind.key)
            .show(remind.expected)
            .message(
                if remind.value.is_some() { "=" } else { "" },
                remind.value.as_deref().unwrap_or_default().as_bytes(),
            )
            .show(remind.due)
            .show(millis(remind.keep))
            .text(if remind.is_news { "1" } else { "0" })
            .show(MAX_REMINDERS);
        let mut fields = Fields::new("remind", self.call(call).await?)?;
        let outcome = fields.text()?;
        let now = fields.number()?;
        match outcome.as_str() {
            "done" => Ok(Reminded::Done {
                now,
                version: fields.number()?,
            }),
            "other" => Ok(Reminded::Other {
                now,
                reminder: reminder(&mut fields, &remind.key)?,
            }),
            "full" => Ok(Reminded::Full { now }),
            _ => Err(fields.malformed()),
        }
    }

    pub(super) async fn recall_reminders(&self, keys: &[String]) -> Result<Recalled> {
        if keys.is_empty() {
            return Ok(Recalled::default());
        }
        let prefix = self.keys.reminders();
        let call = keys.iter().fold(Call::new(&scripts::RECALL), |call, key| {
            call.key(prefix.clone() + key).text(key)
        });
        let call = call.key(self.keys.reminders_due());
        let mut fields = Fields::new("recall", self.call(call).await?)?;
        let now = fields.number()?;
        let reminders = keys.iter().map(|key| reminder(&mut fields, key));
        let reminders = reminders.collect::<Result<_>>()?;
        Ok(Recalled { now, reminders })
    }

    pub(super) async fn due_reminders(&self, count: usize, pause: Duration, keep: Duration) -> Result<Due> {
        let call = Call::new(&scripts::DUE)
            .key(self.keys.reminders_due())
            .key(self.keys.reminder_versions())
            .text(self.keys.reminders())
            .show(count)
            .show(millis(pause))
            .show(millis(keep))
            .show(MAX_DUE_BYTES);
        let mut fields = Fields::new("due", self.call(call).await?)?;
        let now = fields.number()?;
        let news = fields.option()?.and_then(|news| news.parse().ok());
        let next = fields.option()?.and_then(|next| next.parse().ok());
        let mut reminders = Vec::new();
        while !fields.is_empty() {
            let key = fields.text()?;
            reminders.extend(reminder(&mut fields, &key)?);
        }
        Ok(Due {
            now,
            news: news.unwrap_or_default(),
            next,
            reminders,
        })
    }

    pub(super) async fn list_reminders(&self) -> Result<Vec<(String, u64)>> {
        let call = Call::new(&scripts::REMINDERS)
            .key(self.keys.reminders_due())
            .text(self.keys.reminders())
            .show(MAX_REMINDERS);
        let mut fields = Fields::new("reminders", self.call(call).await?)?;
        let mut all = Vec::with_capacity(fields.len() / 2);
        while !fields.is_empty() {
            let (key, version) = (fields.text()?, fields.option()?);
            all.extend(version.and_then(|version| Some((key, version.parse().ok()?))));
        }
        Ok(all)
    }
}

fn reminder(fields: &mut Fields, key: &str) -> Result<Option<Reminder>> {
    let (version, value) = (fields.option()?, fields.option()?);
    let known = version.and_then(|version| version.parse().ok()).zip(value);
    Ok(known.map(|(version, value)| Reminder {
        key: key.to_owned(),
        version,
        value,
    }))
}
