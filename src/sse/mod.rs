//! Server-sent events: a subscription as a `text/event-stream` (`docs/sse.md`).
//!
//! Only chunks carry an `id:` line, their cursor, so a client that reconnects always names the last chunk that it has seen.
//! The content of a chunk cannot end its event: a line feed begins another `data:` line, and content that such lines
//! cannot express (bytes, a carriage return, NUL) is sent encoded.

mod body;
mod delta;
mod events;
mod format;
mod framing;
mod merge;
mod merged;

pub use body::Body;
pub use events::{Events, Part};
pub use format::Format;
pub use framing::Framing;
pub use merged::Merged;
