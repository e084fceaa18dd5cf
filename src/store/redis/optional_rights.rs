//! The optional rights of the store: without them it leaves a feature out.

use crate::{
    Error,
    redis::{endpoint::Endpoint, failure::is_refusal, optional_right::OptionalRight},
};

pub(super) const FAST_APPEND: OptionalRight = OptionalRight::of_user(
    0,
    "the short form of an append",
    "each append costs more than twice as much",
);
pub(super) const INDEX: OptionalRight = OptionalRight::of_user(
    1,
    "the index of streams",
    "streams() and cleanup() do not find new streams",
);
pub(super) const FORGET: OptionalRight = OptionalRight::of_user(
    2,
    "the index of streams",
    "ids of streams that are gone stay in it until cleanup()",
);
pub(super) const OPEN: OptionalRight = OptionalRight::of_user(
    3,
    "the list of open generations",
    "finished() is not told what becomes of those whose server dies",
);
pub(super) const ANNOUNCE: OptionalRight = OptionalRight::of_user(
    4,
    "the queue of finished generations",
    "finished() is not told of them",
);
pub(super) const OVERDUE: OptionalRight = OptionalRight::of_user(
    5,
    "the list of open generations",
    "finished() is not told what has become of those whose server died",
);
pub(super) const LEAVE: OptionalRight = OptionalRight::of_user(
    6,
    "the word of a producer that is gone",
    "readers of a producer that could not go on are told minutes later",
);
pub(super) const BOOKS: OptionalRight = OptionalRight::of_user(
    7,
    "the keys of the index or of finished generations",
    "the beginning and the end of an answer cost two commands more each",
);

pub(super) const LISTENERS: OptionalRight = OptionalRight::of_user(
    8,
    "the number of a channel's listeners",
    "the inspector does not tell which streams other processes read",
);

/// Notes something that can be done without, if it failed for a missing right.
pub(super) fn note_refusal(endpoint: &Endpoint, right: OptionalRight, error: &Error) -> bool {
    match error {
        Error::Store { reason, .. } if is_refusal(reason) => {
            endpoint.health.refused(right, endpoint.servers.address(), reason);
            true
        }
        _ => false,
    }
}
