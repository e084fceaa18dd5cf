//! Locking.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The guard of a mutex, whether or not a thread has panicked while it held it: every critical section of this crate
/// leaves the state consistent at each step.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
