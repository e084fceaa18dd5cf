//! Opens the store that a URL names. Nothing else knows both stores.

use std::sync::Arc;

use ulid::Ulid;

use super::{
    contract::{Listener, SharedStore},
    memory::MemoryStore,
    redis::RedisStore,
};
use crate::{Config, Result, legacy::Predecessor};

/// A store, and the same as one in which the predecessor may have left something, if it is one.
pub struct Opened {
    /// What the URL names, shared by all engines of the process that name the same.
    pub store: SharedStore,
    /// Where the predecessor was.
    pub predecessor: Option<Arc<dyn Predecessor>>,
}

/// The store that the configuration's URL names.
pub fn open(config: &Config, node: Ulid, listener: Arc<dyn Listener>) -> Result<Opened> {
    if let Some(name) = config.url.strip_prefix("memory:") {
        let name = name.trim_start_matches('/');
        return Ok(Opened {
            store: MemoryStore::open(name, &config.key_prefix, node, listener),
            predecessor: None,
        });
    }
    let store = Arc::new(RedisStore::open(config, node, listener)?);
    Ok(Opened {
        store: Arc::clone(&store) as SharedStore,
        predecessor: Some(store),
    })
}
