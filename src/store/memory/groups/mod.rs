//! The unresolved items of the groups of a stream, or of the queue of finished generations.

pub(super) mod finished;

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;
use ulid::Ulid;

use crate::{
    Cursor, Result,
    model::ending::Terminal,
    store::{
        Position,
        groups::{
            Dead, GroupStatus, Item, ItemId, MAX_GROUPS, MAX_HELD, Resolution, Resolve, Subject, Take, Taken,
            full,
        },
    },
};

/// A generation of a stream, as far as it concerns groups.
pub(super) struct KeptGeneration {
    pub generation: Ulid,
    pub ordinal: u64,
    /// The seq before its first chunk.
    pub base: u64,
    /// The seq of its last chunk.
    pub last: u64,
    /// Nobody writes again what it has lost.
    pub is_log: bool,
}

impl KeptGeneration {
    fn start(&self) -> ItemId {
        ItemId(self.ordinal, self.base)
    }

    fn cursor(&self, seq: u64) -> Cursor {
        Cursor {
            generation: self.generation,
            seq,
        }
    }
}

/// The groups of one work.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<String, Group>);

#[derive(Default)]
struct Group {
    /// The last item that was handed out for the first time.
    at: ItemId,
    held: BTreeMap<ItemId, Held>,
    dead: BTreeMap<ItemId, u64>,
}

struct Held {
    consumer: String,
    since: Instant,
    deliveries: u64,
    /// It was given back.
    is_free: bool,
}

impl Groups {
    /// Hands out a stream's chunks. `kept` are its generations, the oldest first; the last one ended with `terminal`.
    pub fn take_chunks(
        &mut self,
        take: &Take,
        kept: &[KeptGeneration],
        terminal: Option<&Terminal>,
        now: Instant,
    ) -> Result<Taken> {
        let (Some(oldest), Some(current)) = (kept.first(), kept.last()) else {
            return Ok(Taken::default());
        };
        let mut lost = None;
        let group = self.get(&take.group, || match take.from {
            Position::Now => ItemId(current.ordinal, current.last),
            Position::After { generation, seq } => {
                if let Some(found) = kept.iter().find(|kept| kept.generation == generation) {
                    lost = (found.is_log && seq > found.last).then(|| found.cursor(found.last));
                    return ItemId(found.ordinal, seq.max(found.base).min(found.last));
                }
                lost = Some(current.cursor(current.base));
                current.start()
            }
            Position::Start | Position::AfterSealed | Position::Index(_) | Position::Next { .. } => {
                current.start()
            }
        })?;
        if group.at.0 < oldest.ordinal {
            if group.at.1 < oldest.base {
                lost = Some(oldest.cursor(oldest.base));
            }
            group.at = oldest.start();
        }
        if group.forget_before(ItemId(oldest.ordinal, 0)) {
            lost.get_or_insert(oldest.cursor(oldest.base));
        }
        if lost.is_some() {
            return Ok(Taken {
                lost,
                ..Taken::default()
            });
        }
        if let Some(Cursor { generation, seq }) = take.told
            && let Some(found) = kept.iter().find(|kept| kept.generation == generation)
            && found.ordinal == group.at.0
        {
            group.at.1 = group.at.1.max(seq.min(found.last));
        }
        let handed = group.chunks(take, kept, now);
        let at_end = group.at == ItemId(current.ordinal, current.last);
        let is_done = handed.is_empty() && at_end && group.held.is_empty();
        let items = handed.into_iter().filter_map(|(id, deliveries)| {
            let found = kept.iter().find(|kept| kept.ordinal == id.0)?;
            Some(Item {
                id,
                deliveries,
                subject: Subject::Chunk(found.cursor(id.1)),
            })
        });
        Ok(Taken {
            items: items.collect(),
            done: terminal.filter(|_| is_done).cloned(),
            lost: None,
        })
    }

    /// How many items each group has not acknowledged; `last` is the last one that there is.
    pub fn lags(&self, last: u64) -> impl Iterator<Item = u64> {
        self.0
            .values()
            .map(move |group| group.held.len() as u64 + last.saturating_sub(group.at.1))
    }

    /// `last` is the last item that there is.
    pub fn list(&self, last: u64) -> Vec<GroupStatus> {
        let listed = self.0.iter().map(|(name, group)| GroupStatus {
            group: name.clone(),
            held: group.held.len() as u64,
            dead: group.dead.len() as u64,
            behind: Some(last.saturating_sub(group.at.1)),
        });
        listed.collect()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The group; if there is none, it is created and begins after `at`.
    fn get(&mut self, name: &str, at: impl FnOnce() -> ItemId) -> Result<&mut Group> {
        if !self.0.contains_key(name) {
            if self.0.len() >= MAX_GROUPS {
                return Err(full());
            }
            let group = Group {
                at: at(),
                ..Group::default()
            };
            self.0.insert(name.to_owned(), group);
        }
        Ok(self.0.entry(name.to_owned()).or_default())
    }

    pub fn resolve(&mut self, resolve: &Resolve) {
        let Some(group) = self.0.get_mut(&resolve.group) else {
            return;
        };
        for (id, resolution) in &resolve.resolutions {
            group.resolve(*id, *resolution, &resolve.consumer);
        }
    }

    pub fn dead(&self, dead: &Dead, subject: impl Fn(ItemId) -> Option<Subject>) -> Vec<Item> {
        let Some(group) = self.0.get(&dead.group) else {
            return Vec::new();
        };
        let listed = group
            .dead
            .iter()
            .filter(|(id, _)| dead.after.is_none_or(|after| **id > after));
        let items = listed.take(dead.count).filter_map(|(id, deliveries)| {
            Some(Item {
                id: *id,
                deliveries: *deliveries,
                subject: subject(*id)?,
            })
        });
        items.collect()
    }
}

impl Group {
    /// Items that the consumer itself holds, or else items that others have held for too long.
    fn reclaim(&mut self, take: &Take, now: Instant) -> Vec<(ItemId, u64)> {
        let is_own = |id: &ItemId, held: &Held| {
            held.consumer == take.consumer && take.own.is_some_and(|own| *id > own)
        };
        let own = self.claim(take, now, is_own);
        if !own.is_empty() {
            return own;
        }
        let claim_idle: Duration = take.claim_idle;
        self.claim(take, now, |_, held| {
            held.is_free || now - held.since >= claim_idle
        })
    }

    fn claim(
        &mut self,
        take: &Take,
        now: Instant,
        wanted: impl Fn(&ItemId, &Held) -> bool,
    ) -> Vec<(ItemId, u64)> {
        let mut claimed = Vec::new();
        let mut poison = Vec::new();
        for (id, held) in &mut self.held {
            if claimed.len() == take.count {
                break;
            }
            if !wanted(id, held) {
                continue;
            }
            if held.deliveries >= take.max_deliveries {
                poison.push((*id, held.deliveries));
                continue;
            }
            *held = Held {
                consumer: take.consumer.clone(),
                since: now,
                deliveries: held.deliveries + 1,
                is_free: false,
            };
            claimed.push((*id, held.deliveries));
        }
        for (id, deliveries) in poison {
            self.held.remove(&id);
            self.dead.insert(id, deliveries);
        }
        claimed
    }

    /// Hands an item out for the first time.
    fn hand(&mut self, id: ItemId, take: &Take, now: Instant) {
        self.at = id;
        self.held.insert(
            id,
            Held {
                consumer: take.consumer.clone(),
                since: now,
                deliveries: 1,
                is_free: false,
            },
        );
    }

    /// Forgets all items before this one; returns whether some were not resolved.
    fn forget_before(&mut self, id: ItemId) -> bool {
        let kept = self.held.split_off(&id);
        self.dead = self.dead.split_off(&id);
        !std::mem::replace(&mut self.held, kept).is_empty()
    }

    /// Items that come again, then new ones.
    fn chunks(&mut self, take: &Take, kept: &[KeptGeneration], now: Instant) -> Vec<(ItemId, u64)> {
        let mut handed = self.reclaim(take, now);
        if take.own.is_some() && !handed.is_empty() {
            return handed;
        }
        for kept in kept {
            if self.at.0 < kept.ordinal {
                self.at = kept.start();
            }
            while self.at.0 == kept.ordinal && self.at.1 < kept.last {
                if handed.len() == take.count || self.held.len() >= MAX_HELD {
                    return handed;
                }
                let id = ItemId(kept.ordinal, self.at.1 + 1);
                self.hand(id, take, now);
                handed.push((id, 1));
            }
        }
        handed
    }

    fn resolve(&mut self, id: ItemId, resolution: Resolution, consumer: &str) {
        match resolution {
            Resolution::Done => {
                self.held.remove(&id);
                self.dead.remove(&id);
            }
            Resolution::Back => {
                let is_its = |held: &&mut Held| held.consumer == consumer && !held.is_free;
                let held = self.held.get_mut(&id).filter(is_its);
                if let Some(held) = held {
                    held.is_free = true;
                    held.deliveries -= 1;
                }
            }
            Resolution::Retry => {
                if self.dead.remove(&id).is_some() {
                    let held = Held {
                        consumer: String::new(),
                        since: Instant::now(),
                        deliveries: 0,
                        is_free: true,
                    };
                    self.held.insert(id, held);
                }
            }
            Resolution::Drop => {
                self.dead.remove(&id);
            }
        }
    }
}
