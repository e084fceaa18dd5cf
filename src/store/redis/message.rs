//! The messages that scripts publish.
//!
//! A stream's live channel, `␣` being a space:
//! ```text
//! f␣<generation>␣<last seq>\n<frame>                  a frame; the line alone when it is too large to be sent along
//! e␣<generation>␣<last seq>␣<outcome>␣<reason>        a generation ended
//! s␣<generation>␣<seq before it>                      a generation began
//! d                                                   the stream was deleted
//! ```
//! A node's control channel:
//! ```text
//! s␣<generation>\n<escaped stream id>\n<reason>            a stop was requested
//! e␣<generation>␣<outcome>\n<escaped stream id>\n<reason>  a generation was ended
//! c␣<generation>␣<producer>\n<escaped stream id>\n         another producer continues in its place
//! r␣<generation>\n<escaped stream id>\n                    its producers are suspected to be dead, and are to renew their lease
//! ```
//! The channel of the queue of finished generations:
//! ```text
//! f                                                        one was added
//! o                                                        one is open, and none was before
//! ```
//! A message that cannot be parsed was sent by another version and is ignored: the log has the same information.

use bytes::Bytes;
use ulid::Ulid;

use super::keys;
use crate::{
    StreamId,
    model::{
        ending::{Outcome, Terminal},
        frame::Frame,
    },
    store::{ControlMessage, FinishedNews, LiveMessage},
};

/// A message of a stream's live channel. A frame that cannot be decoded counts as not sent along.
pub(super) fn live(message: &Bytes) -> Option<LiveMessage> {
    if message.starts_with(b"f ") {
        let (line, frame) = match message.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&message[..at], Some(message.slice(at + 1..))),
            None => (&message[..], None),
        };
        let mut words = std::str::from_utf8(line).ok()?.split(' ').skip(1);
        let generation = ulid(words.next()?)?;
        let last = words.next()?.parse().ok()?;
        let frame = frame.and_then(|bytes| Frame::decode(last, bytes).ok());
        return Some(LiveMessage::Frame {
            generation,
            last,
            frame,
        });
    }
    let mut words = std::str::from_utf8(message).ok()?.splitn(5, ' ');
    match words.next()? {
        "e" => Some(LiveMessage::Ended {
            generation: ulid(words.next()?)?,
            last: words.next()?.parse().ok()?,
            terminal: terminal(words.next()?, words.next()?)?,
        }),
        "s" => Some(LiveMessage::Started {
            generation: ulid(words.next()?)?,
            base: words.next()?.parse().ok()?,
        }),
        "d" => Some(LiveMessage::Deleted),
        _ => None,
    }
}

/// A message of a node's control channel, and the stream it is about.
pub(super) fn control(message: &[u8]) -> Option<(StreamId, ControlMessage)> {
    let mut lines = std::str::from_utf8(message).ok()?.splitn(3, '\n');
    let mut words = lines.next()?.split(' ');
    let stream = keys::unescape(lines.next()?)?;
    let reason = lines.next()?;
    let kind = words.next()?;
    let generation = ulid(words.next()?)?;
    let message = match kind {
        "s" => ControlMessage::Stop {
            generation,
            reason: reason.to_owned(),
        },
        "e" => ControlMessage::Ended {
            generation,
            terminal: terminal(words.next()?, reason)?,
        },
        "c" => ControlMessage::Replaced {
            generation,
            producer: ulid(words.next()?)?,
        },
        "r" => ControlMessage::Suspected { generation },
        _ => return None,
    };
    Some((stream, message))
}

/// A message of the channel of finished generations.
pub(super) fn finished(message: &[u8]) -> Option<FinishedNews> {
    match message {
        b"f" => Some(FinishedNews::Added),
        b"o" => Some(FinishedNews::Opened),
        _ => None,
    }
}

fn ulid(text: &str) -> Option<Ulid> {
    Ulid::from_string(text).ok()
}

fn terminal(outcome: &str, reason: &str) -> Option<Terminal> {
    Some(Terminal {
        outcome: Outcome::parse(outcome)?,
        reason: reason.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::frame::{FrameBuilder, Kind};

    #[test]
    fn a_damaged_frame_counts_as_not_sent_along() {
        let mut builder = FrameBuilder::default();
        builder.push(Kind::Bytes, b"\n\n");
        let encoded = builder.take(1, 9).unwrap();
        let head = format!("f {} 7\n", Ulid::from_parts(1, 2));
        let whole = [head.as_bytes(), &encoded.bytes].concat();
        for (bytes, first) in [
            (&whole[..], Some(7)),
            (&whole[..whole.len() - 1], None),
            (head.trim_end().as_bytes(), None),
        ] {
            let Some(LiveMessage::Frame { last, frame, .. }) = live(&Bytes::copy_from_slice(bytes)) else {
                panic!("not a frame: {bytes:?}");
            };
            assert_eq!((last, frame.map(|frame| frame.first())), (7, first));
        }
    }

    #[test]
    fn a_reason_may_hold_anything() {
        let generation = Ulid::from_parts(1, 2);
        let text = format!("e {generation} 9 failed a b\nc");
        let Some(LiveMessage::Ended { last, terminal, .. }) = live(&Bytes::from(text)) else {
            panic!("not an end");
        };
        assert_eq!((last, terminal.reason.as_str()), (9, "a b\nc"));
        let (stream, message) = control(format!("s {generation}\na%0Ab c\nx\ny").as_bytes()).unwrap();
        assert_eq!(stream.as_str(), "a\nb c");
        assert_eq!(
            message,
            ControlMessage::Stop {
                generation,
                reason: "x\ny".to_owned()
            }
        );
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        for bytes in [&b""[..], b"z 1 2", b"f", b"f x 1\n", b"e 1", b"\xff", b"d\0"] {
            assert!(live(&Bytes::copy_from_slice(bytes)).is_none(), "{bytes:?}");
            assert!(control(bytes).is_none(), "{bytes:?}");
        }
    }
}
