//! Which generation comes after which.

use ulid::Ulid;

/// Whether a generation, named by its ordinal and its id, is later than another. The ordinals decide, unless counting
/// has started over since it began.
pub(super) fn is_later((ordinal, id): (u64, Ulid), than: (u64, Ulid)) -> bool {
    if ordinal == than.0 {
        return id > than.1;
    }
    ordinal > than.0 && id.timestamp_ms() >= than.1.timestamp_ms()
}

/// The id of a generation that follows another: however the servers' clocks differ, it names no earlier time.
pub(super) fn following(before: Ulid, id: Ulid) -> Ulid {
    Ulid::from_parts(id.timestamp_ms().max(before.timestamp_ms()), id.random())
}

/// The same so that its cursors are greater as texts, also within one millisecond.
pub(super) fn later(before: Ulid, id: Ulid) -> Ulid {
    Ulid::from_parts(id.timestamp_ms().max(before.timestamp_ms() + 1), id.random())
}
