//! Stops that came before the start.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::transaction::Transaction;
use crate::{
    Result,
    store::{MAX_KEPT_STOPS, OwnerCheck, values::too_many_stops},
};

/// The last one, and beside it each owner's own.
#[derive(Default)]
pub(super) struct KeptStops {
    last: Option<Last>,
    own: HashMap<String, Own>,
}

struct Last {
    reason: String,
    by: OwnerCheck,
    /// No earlier than any of the others.
    expires: Instant,
}

struct Own {
    reason: String,
    expires: Instant,
}

impl KeptStops {
    pub fn keep(
        &mut self,
        transaction: &Transaction,
        reason: &str,
        by: &OwnerCheck,
        keep: Duration,
    ) -> Result<()> {
        let expires = transaction.after(keep);
        if let OwnerCheck::Caller(Some(owner)) = by {
            if !self.own.contains_key(owner) && self.own.len() >= MAX_KEPT_STOPS {
                self.own.retain(|_, own| own.expires > transaction.now);
                if self.own.len() >= MAX_KEPT_STOPS {
                    return Err(too_many_stops(transaction.stream));
                }
            }
            let own = Own {
                reason: reason.to_owned(),
                expires,
            };
            self.own.insert(owner.clone(), own);
        }
        let before = self.last.as_ref().map_or(expires, |last| last.expires);
        self.last = Some(Last {
            reason: reason.to_owned(),
            by: by.clone(),
            expires: expires.max(before),
        });
        Ok(())
    }

    pub fn prune(&mut self, now: Instant) {
        if self.last.take_if(|last| last.expires <= now).is_some() {
            self.own.clear();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// The reason of the one that was kept for a start.
    pub fn reason_for(mut self, owner: Option<&String>, now: Instant) -> Option<String> {
        let last = self.last?;
        let own = owner.and_then(|owner| self.own.remove(owner));
        let is_own = matches!(&last.by, OwnerCheck::Caller(by) if by.as_ref() == owner);
        match own {
            Some(own) if own.expires > now => return Some(own.reason),
            Some(_) if is_own => return None,
            _ => {}
        }
        let may_stop = matches!(last.by, OwnerCheck::Internal) || owner.is_none() || is_own;
        may_stop.then_some(last.reason)
    }
}
