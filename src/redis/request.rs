//! The requests of stores to the task that keeps the subscriber connection.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::observer::Inbox;
use crate::Result;

/// Who listens, under its id among the observers.
pub type Recipient = (u64, Arc<dyn Inbox>);

/// What a store asks of the task.
pub enum Request {
    /// Answered once messages will arrive; may be repeated.
    Listen {
        channel: String,
        /// Its messages may not be missed for long.
        is_urgent: bool,
        recipient: Recipient,
        done: oneshot::Sender<Result<()>>,
    },
    Unlisten {
        channel: String,
        store: u64,
    },
    /// The store is closed.
    Leave {
        store: u64,
    },
}

/// A request to listen, taken back when it is dropped before it came true.
pub struct PendingSubscribe {
    requests: mpsc::UnboundedSender<Request>,
    unlisten: Option<Request>,
    answer: oneshot::Receiver<Result<()>>,
}

impl PendingSubscribe {
    pub fn new(
        requests: mpsc::UnboundedSender<Request>,
        channel: String,
        is_urgent: bool,
        recipient: Recipient,
    ) -> Self {
        let (done, answer) = oneshot::channel();
        let unlisten = Request::Unlisten {
            channel: channel.clone(),
            store: recipient.0,
        };
        // When the task is gone, so is `done`, and the answer says it.
        let _ = requests.send(Request::Listen {
            channel,
            is_urgent,
            recipient,
            done,
        });
        Self {
            requests,
            unlisten: Some(unlisten),
            answer,
        }
    }

    /// Waits until messages will arrive; `None` when the channel was given up meanwhile.
    pub async fn fulfilled(mut self) -> Option<Result<()>> {
        let outcome = (&mut self.answer).await.ok();
        if let Some(Ok(())) = outcome {
            self.unlisten = None;
        }
        outcome
    }
}

impl Drop for PendingSubscribe {
    fn drop(&mut self) {
        if let Some(request) = self.unlisten.take() {
            let _ = self.requests.send(request);
        }
    }
}
