//! A large chunk that a reader has come to.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::AbortHandle;

use crate::{
    Cursor,
    engine::large::Large,
    model::frame::Reference,
    sse::{Body, Format},
};

/// A large chunk that is being fetched.
pub(crate) struct Load {
    pub of: Reference,
    pub task: AbortHandle,
    pub loaded: Option<Loaded>,
}

/// A large chunk as its reader gets it.
pub(crate) enum Loaded {
    Whole(Arc<Large>),
    Body(Arc<Body>),
}

/// The body of a large chunk that an event stream has begun with.
pub(crate) struct Tail {
    pub of: Reference,
    pub at: Cursor,
    pub sent: usize,
    /// The rest; nothing if it has to be fetched again.
    pub rest: Bytes,
}

impl Tail {
    pub fn is_dropped(&self) -> bool {
        self.rest.is_empty()
    }
}

/// A large chunk that a reader has reached.
pub(crate) struct Wanted {
    pub of: Reference,
    pub at: Cursor,
    /// For an event stream.
    pub format: Option<Format>,
    /// The client has seen it: it is only read because of later chunks.
    pub is_seen: bool,
}
