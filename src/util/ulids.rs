//! ULIDs in order.

use std::sync::Mutex;

use ulid::Ulid;

use super::sync::lock;

/// A ULID, greater than all that this process has made before.
pub fn next_ulid() -> Ulid {
    static GENERATOR: Mutex<Option<ulid::Generator>> = Mutex::new(None);
    let mut generator = lock(&GENERATOR);
    // Overflow needs 2^80 ids within a millisecond; a random one is as unique.
    generator
        .get_or_insert_with(ulid::Generator::new)
        .generate()
        .unwrap_or_else(|_| Ulid::new())
}
