//! Nodes: an engine shows that it lives by one key, for all of its producers, and looks at those of others (ADR 38).
//!
//! Only where all keys are on one server: a script that decides whether producers are dead reads the node's key there. In a cluster every producer
//! renews its own lease.

use std::time::Duration;

use futures_util::future::try_join;
use redis::Value;
use ulid::Ulid;

use super::{
    arguments::{millis, number},
    base::RedisStore,
    inboxes, optional_rights, scripts,
};
use crate::{Result, StreamId, redis::script::Call, store::Known};

/// A node's producers have to give a sign of their own within their lease and this: should one be gone without a word, its
/// generation ends then.
pub(super) const VOUCHED: Duration = Duration::from_secs(300);

/// Half of a shorter lease is over before its renewal, and what is left then is suspected: it would be no use.
const SHORTEST: Duration = Duration::from_secs(4);

impl RedisStore {
    /// While older servers are there, who count only what is written, producers renew what is written.
    pub(super) fn vouches_for(&self, lease: Duration) -> bool {
        self.vouches && lease >= SHORTEST && !self.older.are_there()
    }

    /// A lease as `prolong` in `lua/prelude.lua` takes it.
    pub(super) fn terms(&self, lease: Duration) -> String {
        if self.vouches_for(lease) {
            format!("{}{}", millis(lease), mark())
        } else {
            millis(lease).to_string()
        }
    }

    /// Listens to the control messages for this node; also to those for what servers before ADR 38 take for its name, if it vouches.
    pub(super) async fn listen_to_control(&self) -> Result<()> {
        let name = self.keys.node(self.node);
        let of_older = async {
            if !self.vouches {
                return Ok(());
            }
            let inbox = inboxes::control_of_older(&self.listener, &self.older);
            self.listen_to(name.clone() + &mark(), false, inbox).await
        };
        let control = inboxes::control(&self.listener);
        try_join(self.listen_to(name.clone(), false, control), of_older)
            .await
            .map(drop)
    }

    pub(super) async fn show_life(&self, lease: Duration) -> Result<()> {
        if !self.vouches || lease < SHORTEST {
            return Ok(());
        }
        let call = Call::new(&scripts::VOUCH)
            .key(self.keys.node(self.node))
            .show(millis(lease))
            .text(&self.process);
        self.call(call).await.map(drop)
    }

    pub(super) async fn life_of(&self, node: Ulid) -> Result<Duration> {
        let key = self.keys.node(node);
        let mut command = redis::cmd("PTTL");
        command.arg(&key);
        let left = self.run("vouched", &key, &command).await?;
        Ok(Duration::from_millis(number(&left)))
    }

    /// The producer is gone while this node lives.
    pub(super) fn stop_vouching(&self, stream: &StreamId, producer: Ulid) {
        if !self.vouches {
            return;
        }
        let call = self.on(&scripts::LEAVE, &self.keys.stream(stream)).show(producer);
        // Closed, the engine vouches for nobody.
        let _ = self.send_along(format!("leave {producer}"), optional_rights::LEAVE, call);
    }

    pub(super) async fn changed_streams(&self, streams: &[Known]) -> Result<Vec<usize>> {
        let call = Call::for_many(&scripts::CHANGED, streams.len(), 0);
        let call = streams.iter().fold(call, |call, known| {
            let more = if known.is_all { " +" } else { "" };
            let known_as = format_args!("{} {}{more}", known.generation, known.seq);
            call.key(self.keys.meta(&known.stream)).show(known_as)
        });
        let Value::Array(changed) = self.call(call).await? else {
            return Ok(Vec::new());
        };
        let places = changed.iter().map(number);
        Ok(places
            .filter_map(|place| usize::try_from(place).ok()?.checked_sub(1))
            .collect())
    }
}

fn mark() -> String {
    format!("L{}", VOUCHED.as_millis())
}
