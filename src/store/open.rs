//! Opens the home that a URL names. Nothing else knows both.

use std::sync::Arc;

use ulid::Ulid;

use super::{
    contract::{Listener, SharedStore},
    memory::MemoryStore,
    redis::RedisStore,
};
use crate::{Config, Result};

/// The store that the configuration's URL names.
pub fn open(config: &Config, node: Ulid, listener: Arc<dyn Listener>) -> Result<SharedStore> {
    match config.url.strip_prefix("memory:") {
        Some(name) => Ok(MemoryStore::open(
            name.trim_start_matches('/'),
            &config.key_prefix,
            node,
            listener,
        )),
        None => Ok(Arc::new(RedisStore::open(config, node, listener)?)),
    }
}
