//! Who uses the transport, as the transport sees it. Everything here is called on the runtime that drives the connections and
//! must not block.

use bytes::Bytes;

use crate::model::connection::{ConnectionState, CredentialsSender};

/// Takes what comes on a channel.
pub trait Inbox: Send + Sync + 'static {
    /// A message; all inboxes of the channel are given the same bytes.
    fn on_message(&self, payload: &Bytes);
}

/// Is notified of the state of the connections.
pub trait Observer: Send + Sync + 'static {
    /// The state changed. `reason` is empty or says why, without credentials.
    fn on_state(&self, state: ConnectionState, reason: &str);
    /// Messages may have been missed on every channel; all of them are listened to again.
    fn on_restored(&self);
    /// A connection is being made: as whom? Dropped, another observer is asked.
    fn on_credentials(&self, answer: CredentialsSender);
    /// Something works less well than it could, for a reason that the server's operator can remove.
    fn on_warning(&self, warning: &str);
}
