//! The queue of finished generations.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::Groups;
use crate::{
    Result,
    store::{
        Position,
        groups::{
            Dead, Finished, GroupStatus, Item, ItemId, MAX_FINISHED, MAX_HELD, Resolve, Subject, Take, Taken,
        },
    },
};

/// The finished generations of all streams.
#[derive(Default)]
pub(in crate::store::memory) struct FinishedQueue {
    groups: Groups,
    entries: VecDeque<Finished>,
    /// The number of the first entry.
    first: u64,
}

impl FinishedQueue {
    /// Adds a generation, if any group has ever asked.
    pub fn push(&mut self, finished: Finished) {
        if self.groups.is_empty() {
            return;
        }
        if self.entries.len() == MAX_FINISHED {
            self.entries.pop_front();
            self.first += 1;
        }
        self.entries.push_back(finished);
    }

    pub fn take(&mut self, take: &Take) -> Result<Taken> {
        let now = Instant::now();
        let (first, next) = (self.first, self.first + self.entries.len() as u64);
        // Entries are numbered from 1 on, so that a group can stand before the first one.
        let begins = if take.from == Position::Now { next } else { first };
        let group = self.groups.get(&take.group, || ItemId(0, begins))?;
        group.forget_before(ItemId(0, first + 1));
        let mut items = group.reclaim(take, now);
        if take.own.is_none() || items.is_empty() {
            while items.len() < take.count && group.held.len() < MAX_HELD && group.at.1.max(first) < next {
                let id = ItemId(0, group.at.1.max(first) + 1);
                group.hand(id, take, now);
                items.push((id, 1));
            }
        }
        let items = items.into_iter().filter_map(|(id, deliveries)| {
            Some(Item {
                id,
                deliveries,
                subject: self.subject(id)?,
            })
        });
        Ok(Taken {
            items: items.collect(),
            ..Taken::default()
        })
    }

    pub fn list(&self) -> Vec<GroupStatus> {
        self.groups.list(self.first + self.entries.len() as u64)
    }

    fn subject(&self, id: ItemId) -> Option<Subject> {
        let at = id.1.checked_sub(self.first + 1)?;
        let entry = self.entries.get(usize::try_from(at).ok()?)?;
        Some(Subject::Finished(entry.clone()))
    }

    pub fn resolve(&mut self, resolve: &Resolve) {
        self.groups.resolve(resolve);
    }

    pub fn dead(&self, dead: &Dead) -> Vec<Item> {
        self.groups.dead(dead, |id| self.subject(id))
    }
}
