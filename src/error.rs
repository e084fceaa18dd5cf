//! Every way an operation can fail.
//!
//! The table of codes is here and, in the same order, in `ts/errors/errors.ts`; a test compares the two.

use thiserror::Error;

/// An error: what failed, for which stream, and what to do about it.
///
/// Messages never carry a password: a URL is reduced to its host and port before it gets here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// `ERR_INVALID_ARGUMENT`: an argument is invalid; nothing was done.
    #[error("{field}: {problem}")]
    InvalidArgument {
        /// The name of the field, as the caller knows it.
        field: String,
        /// What is wrong with it, and what is accepted.
        problem: String,
    },
    /// `ERR_SCHEMA`: an event does not fit its schema. Raised by the host: the engine does not look into chunks.
    #[error("{path}: {problem}")]
    Schema {
        /// The path of the field that does not fit, as in `parts[0].text`.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// `ERR_CONNECTION`: the store cannot be reached.
    #[error("cannot reach {address}: {reason}")]
    Connection {
        /// Host and port, never credentials.
        address: String,
        /// The operating system's or the server's words.
        reason: String,
        /// Trying again is useless: the credentials were refused, and never accepted before.
        permanent: bool,
    },
    /// `ERR_TIMEOUT`: no answer in time. The operation may have taken effect.
    #[error("{operation}: no answer within {milliseconds} ms")]
    Timeout {
        /// What was being done.
        operation: &'static str,
        /// The limit that was passed.
        milliseconds: u64,
    },
    /// `ERR_STORE`: the store refused a command (out of memory, read-only replica, missing rights …).
    #[error("the store refused {operation}: {reason}")]
    Store {
        /// What was being done.
        operation: &'static str,
        /// The server's words.
        reason: String,
        /// Whether the same call may succeed later.
        retryable: bool,
    },
    /// `ERR_ACTIVE`: the stream already has a live producer.
    #[error(
        "stream {stream:?} has a live producer; pass ifActive: 'takeover' to replace it, or 'share' on both sides"
    )]
    Active {
        /// The stream's id.
        stream: String,
    },
    /// `ERR_FENCED`: another producer took the stream over, or this one's lease expired. Nothing was written, unless
    /// `in_doubt`.
    #[error(
        "stream {stream:?}: this producer was replaced; {}",
        if *in_doubt { "its last chunks may have been written" } else { "its chunk was not written" }
    )]
    Fenced {
        /// The stream's id.
        stream: String,
        /// An answer was lost on the way, and its repetition met the new producer.
        in_doubt: bool,
    },
    /// `ERR_ENDED`: the generation has its terminal entry. Nothing was written.
    #[error("stream {stream:?} has ended as {outcome}; nothing can be written to this generation")]
    Ended {
        /// The stream's id.
        stream: String,
        /// How it ended.
        outcome: &'static str,
    },
    /// `ERR_CONFLICT`: a log is not as the caller takes it to be. Nothing was written. The host's to raise: the engine says how it is.
    #[error("stream {stream:?}: {problem}")]
    Conflict {
        /// The stream's id.
        stream: String,
        /// What is different.
        problem: String,
    },
    /// `ERR_STOPPED`: a stop was requested; the reason of the producer's `AbortSignal`.
    #[error("stream {stream:?} was stopped: {reason}")]
    Stopped {
        /// The stream's id.
        stream: String,
        /// The words of the one who stopped it.
        reason: String,
    },
    /// `ERR_BACKPRESSURE`: the producer's queue is full. The chunk was not taken.
    #[error(
        "stream {stream:?}: the queue holds {queued} of at most {limit} bytes, with what each chunk costs beside its own; \
         await producer.ready before writing on"
    )]
    Backpressure {
        /// The stream's id.
        stream: String,
        /// Bytes in the queue.
        queued: usize,
        /// `maxQueueBytes` of the engine.
        limit: usize,
    },
    /// `ERR_ACK_TIMEOUT`: the reader did not acknowledge its chunks in time.
    #[error(
        "stream {stream:?}: {chunks} chunks were delivered, and none acknowledged within {milliseconds} ms"
    )]
    AckTimeout {
        /// The stream's id.
        stream: String,
        /// The chunks that wait for an acknowledgement.
        chunks: u64,
        /// The limit that was passed.
        milliseconds: u64,
    },
    /// `ERR_NOT_FOUND`: the stream did not appear within the `wait` time.
    #[error("stream {stream:?} does not exist")]
    NotFound {
        /// The stream's id.
        stream: String,
    },
    /// `ERR_GAP`: entries that the cursor needs are gone.
    #[error("stream {stream:?}: {reason}; go on from {resume:?} to accept the loss")]
    Gap {
        /// The stream's id.
        stream: String,
        /// What is missing, and why.
        reason: String,
        /// The cursor from which everything is still there.
        resume: String,
    },
    /// `ERR_FORBIDDEN`: the stream has another owner.
    #[error("stream {stream:?} belongs to another owner")]
    Forbidden {
        /// The stream's id.
        stream: String,
    },
    /// `ERR_FAILED`: the producer ended the generation with an error.
    #[error("stream {stream:?} failed: {reason}")]
    Failed {
        /// The stream's id.
        stream: String,
        /// The producer's words.
        reason: String,
    },
    /// `ERR_INTERRUPTED`: the generation ended without its producer: it died, was replaced or lost its data.
    #[error("stream {stream:?} was interrupted: {reason}")]
    Interrupted {
        /// The stream's id.
        stream: String,
        /// `lease` (the producer died), `superseded`, `closed`, `deleted` or `lost` (the store lost the entries).
        reason: String,
    },
    /// `ERR_CORRUPT`: a stored frame cannot be decoded.
    #[error("stream {stream:?}, seq {seq}: {reason}")]
    Corrupt {
        /// The stream's id.
        stream: String,
        /// The last seq of the frame.
        seq: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// `ERR_CLOSED`: the engine is closed.
    #[error("the engine is closed")]
    Closed,
    /// `ERR_PLATFORM`: there is no native library here. The host's to raise: this is the library.
    #[error("there is no native library for {platform}")]
    Platform {
        /// Operating system and processor.
        platform: String,
    },
    /// `ERR_INTERNAL`: a defect in Tidemark.
    #[error("internal error: {reason}; please report it")]
    Internal {
        /// What was found.
        reason: String,
    },
}

/// The result of every fallible operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($variant:ident = $code:literal;)*) => {
        impl Error {
            /// All codes, in the order of the variants.
            pub const CODES: &[&str] = &[$($code),*];

            /// The text by which programs distinguish errors; unlike messages, it never changes.
            pub fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $code,)*
                }
            }
        }
    };
}

codes! {
    InvalidArgument = "ERR_INVALID_ARGUMENT";
    Schema = "ERR_SCHEMA";
    Connection = "ERR_CONNECTION";
    Timeout = "ERR_TIMEOUT";
    Store = "ERR_STORE";
    Active = "ERR_ACTIVE";
    Fenced = "ERR_FENCED";
    Ended = "ERR_ENDED";
    Conflict = "ERR_CONFLICT";
    Stopped = "ERR_STOPPED";
    Backpressure = "ERR_BACKPRESSURE";
    AckTimeout = "ERR_ACK_TIMEOUT";
    NotFound = "ERR_NOT_FOUND";
    Gap = "ERR_GAP";
    Forbidden = "ERR_FORBIDDEN";
    Failed = "ERR_FAILED";
    Interrupted = "ERR_INTERRUPTED";
    Corrupt = "ERR_CORRUPT";
    Closed = "ERR_CLOSED";
    Platform = "ERR_PLATFORM";
    Internal = "ERR_INTERNAL";
}

impl Error {
    /// Whether the same call may succeed later without any change by the caller.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection { permanent, .. } => !permanent,
            Self::Timeout { .. } | Self::Backpressure { .. } => true,
            Self::Store { retryable, .. } => *retryable,
            _ => false,
        }
    }

    /// Whether it is certain that the failed operation changed nothing.
    ///
    /// A lost connection or a timeout leaves that open: the command may have run.
    pub fn has_no_side_effects(&self) -> bool {
        !matches!(
            self,
            Self::Connection { .. }
                | Self::Timeout { .. }
                | Self::Internal { .. }
                | Self::Fenced { in_doubt: true, .. }
        )
    }

    /// An [`Error::Internal`].
    pub fn internal(reason: impl Into<String>) -> Self {
        Self::Internal {
            reason: reason.into(),
        }
    }

    /// An [`Error::InvalidArgument`].
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::InvalidArgument {
            field: field.into(),
            problem: problem.into(),
        }
    }
}
