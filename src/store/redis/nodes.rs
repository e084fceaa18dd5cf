//! Nodes: an engine shows that it lives by one key, for all of its producers, and looks at those of others (ADR 38).
//!
//! Only where all keys are on one server: a script that judges a stream reads the node's key there. In a cluster every producer
//! renews its own lease.

use std::time::Duration;

use redis::Value;
use ulid::Ulid;

use super::{
    arguments::{millis, number},
    base::RedisStore,
    scripts, spares,
};
use crate::{Result, StreamId, redis::script::Call, store::Known};

/// A node's producers have to give a sign of their own within their lease and this: should one be gone without a word, its
/// generation ends then.
pub(super) const VOUCHED: Duration = Duration::from_secs(300);

/// Half of a shorter lease is over before its renewal, and what is left then is suspected: it would be no use.
const SHORTEST: Duration = Duration::from_secs(4);

impl RedisStore {
    pub(super) fn vouches_for(&self, lease: Duration) -> bool {
        self.vouches && lease >= SHORTEST
    }

    /// A lease as `prolong` in `lua/prelude.lua` takes it.
    pub(super) fn terms(&self, lease: Duration) -> String {
        if self.vouches_for(lease) {
            format!("{}{}", millis(lease), mark())
        } else {
            millis(lease).to_string()
        }
    }

    /// Where control messages arrive; the second one is what versions before ADR 38 take for the name of a node that vouches.
    pub(super) fn control_channels(&self) -> Vec<String> {
        let own = self.keys.node(self.node);
        let marked = self.vouches.then(|| own.clone() + &mark());
        [Some(own), marked].into_iter().flatten().collect()
    }

    pub(super) async fn show_life(&self, lease: Duration) -> Result<()> {
        if !self.vouches_for(lease) {
            return Ok(());
        }
        let call = Call::new(&scripts::VOUCH)
            .key(self.keys.node(self.node))
            .show(millis(lease));
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
        let _ = self.send_along(format!("leave {producer}"), spares::LEAVE, call);
    }

    pub(super) async fn changed_streams(&self, streams: &[Known]) -> Result<Vec<usize>> {
        let call = Call::for_many(&scripts::CHANGED, streams.len(), 0);
        let call = streams.iter().fold(call, |call, known| {
            let more = if known.is_all { " +" } else { "" };
            let known_as = format_args!("{} {}{more}", known.generation, known.seq);
            call.key(self.keys.stream(&known.stream).meta).show(known_as)
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
