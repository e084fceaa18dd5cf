//! Reminders in memory.

use std::{
    collections::BTreeMap,
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

use crate::{
    store::reminders::{Due, MAX_DUE_BYTES, MAX_REMINDERS, Recalled, Remind, Reminded, Reminder},
    util::time::millis,
};

/// The reminders of one prefix.
#[derive(Default)]
pub(super) struct Reminders {
    kept: BTreeMap<String, Kept>,
    last_version: u64,
    news: u64,
}

struct Kept {
    reminder: Reminder,
    due: u64,
    until: u64,
}

/// Milliseconds since 1970, of a clock that only goes forward.
fn now() -> u64 {
    static START: LazyLock<(Instant, Duration)> = LazyLock::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        (Instant::now(), since.unwrap_or_default())
    });
    millis(START.1 + START.0.elapsed())
}

impl Reminders {
    /// The time; nothing that has expired by then is left.
    fn prune(&mut self) -> u64 {
        let now = now();
        self.kept.retain(|_, kept| kept.until > now);
        now
    }

    pub fn change(&mut self, remind: &Remind) -> Reminded {
        let now = self.prune();
        let found = self.kept.get(&remind.key).map(|kept| &kept.reminder);
        let version = found.map_or(0, |found| found.version);
        if version != remind.expected {
            if found.map(|found| &found.value) == remind.value.as_ref() {
                return Reminded::Done { now, version };
            }
            let reminder = found.cloned();
            return Reminded::Other { now, reminder };
        }
        let Some(value) = remind.value.clone() else {
            if self.kept.remove(&remind.key).is_some() {
                self.count(remind.is_news);
            }
            return Reminded::Done { now, version: 0 };
        };
        if found.is_none() && self.kept.len() >= MAX_REMINDERS {
            return Reminded::Full { now };
        }
        let version = self.count(remind.is_news);
        let reminder = Reminder {
            key: remind.key.clone(),
            version,
            value,
        };
        let kept = Kept {
            reminder,
            due: remind.due,
            until: now.saturating_add(millis(remind.keep)),
        };
        self.kept.insert(remind.key.clone(), kept);
        Reminded::Done { now, version }
    }

    fn count(&mut self, is_news: bool) -> u64 {
        self.last_version += 1;
        if is_news {
            self.news = self.last_version;
        }
        self.last_version
    }

    pub fn recall(&mut self, keys: &[String]) -> Recalled {
        let now = self.prune();
        let known = |key: &String| Some(self.kept.get(key)?.reminder.clone());
        let reminders = keys.iter().map(known).collect();
        Recalled { now, reminders }
    }

    pub fn due(&mut self, count: usize, pause: Duration, keep: Duration) -> Due {
        let now = self.prune();
        let mut due: Vec<&mut Kept> = self.kept.values_mut().filter(|kept| kept.due <= now).collect();
        due.sort_by_key(|kept| kept.due);
        let (mut reminders, mut bytes) = (Vec::new(), 0);
        for kept in due.into_iter().take(count) {
            if bytes > MAX_DUE_BYTES {
                break;
            }
            kept.due = now.saturating_add(millis(pause));
            kept.until = now.saturating_add(millis(keep));
            bytes += kept.reminder.value.len();
            reminders.push(kept.reminder.clone());
        }
        Due {
            now,
            news: self.news,
            next: self.kept.values().map(|kept| kept.due).min(),
            reminders,
        }
    }

    pub fn all(&mut self) -> Vec<(String, u64)> {
        self.prune();
        let all = self.kept.values().map(|kept| &kept.reminder);
        all.map(|reminder| (reminder.key.clone(), reminder.version))
            .collect()
    }
}
