//! A listener that records what it receives, and waiting for it.

use std::{pin::pin, sync::Mutex};

use tidemark::{
    StreamId,
    model::{connection::ConnectionState, ending::Terminal},
    store::{ControlMessage, FinishedNews, Listener, LiveMessage},
};
use tokio::sync::Notify;
use ulid::Ulid;

use crate::world::{DEADLINE, id};

/// The name under which news of the queue of finished generations is recorded.
pub const QUEUE: &str = "(finished)";

/// A message, in a form that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Frame(Ulid, u64, Vec<String>),
    Ended(Ulid, u64, Terminal),
    Started(Ulid, u64),
    Deleted,
    Control(ControlMessage),
    Finished(FinishedNews),
}

/// Records what it receives.
#[derive(Default)]
pub struct Recorder {
    /// News of the queue is under its name.
    messages: Mutex<Vec<(StreamId, Heard)>>,
    more: Notify,
}

impl Recorder {
    /// The messages about a stream so far.
    pub fn about(&self, stream: &StreamId) -> Vec<Heard> {
        let messages = self.messages.lock().unwrap();
        messages
            .iter()
            .filter(|(about, _)| about == stream)
            .map(|(_, heard)| heard.clone())
            .collect()
    }

    /// Waits for a message about a stream; returns all messages about it up to this one.
    pub async fn wait(&self, stream: &StreamId, expected: &Heard) -> Vec<Heard> {
        let heard = async {
            loop {
                let mut more = pin!(self.more.notified());
                more.as_mut().enable();
                let about = self.about(stream);
                if about.contains(expected) {
                    return about;
                }
                more.await;
            }
        };
        let about = tokio::time::timeout(DEADLINE, heard).await;
        about.unwrap_or_else(|_| {
            panic!(
                "not told {expected:?} about {stream:?}, but {:?}",
                self.about(stream)
            )
        })
    }

    fn note(&self, stream: &StreamId, heard: Heard) {
        self.messages.lock().unwrap().push((stream.clone(), heard));
        self.more.notify_waiters();
    }
}

impl Listener for Recorder {
    fn on_live(&self, stream: &StreamId, message: LiveMessage) {
        let heard = match message {
            LiveMessage::Frame {
                generation,
                last,
                frame,
            } => {
                let frame = frame.expect("a small frame is sent along");
                assert_eq!(frame.last(), last);
                let texts = frame
                    .chunks()
                    .map(|chunk| String::from_utf8_lossy(chunk.data).into_owned());
                Heard::Frame(generation, last, texts.collect())
            }
            LiveMessage::Ended {
                generation,
                last,
                terminal,
            } => Heard::Ended(generation, last, terminal),
            LiveMessage::Started { generation, base } => Heard::Started(generation, base),
            LiveMessage::Deleted => Heard::Deleted,
        };
        self.note(stream, heard);
    }

    fn on_control(&self, stream: &StreamId, message: ControlMessage) {
        self.note(stream, Heard::Control(message));
    }

    fn on_finished(&self, news: FinishedNews) {
        self.note(&id(QUEUE), Heard::Finished(news));
    }

    fn on_restored(&self) {}

    fn on_state(&self, _state: ConnectionState, _reason: &str) {}
}
