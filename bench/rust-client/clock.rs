//! The machine's monotonic clock, which all processes of a run share, and this process' time at work.

use std::mem::MaybeUninit;

use serde_json::{Value, json};

/// Milliseconds, as `now()` of `bench/lib/measure.mjs`.
pub fn now() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it fills in the one value that it is given a pointer to.
    let failure = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    assert_eq!(failure, 0);
    precise(time.tv_sec) * 1e3 + precise(time.tv_nsec) / 1e6
}

/// Counters of the system, far below 2^53.
#[allow(clippy::cast_precision_loss, reason = "they are far below 2^53")]
pub fn precise(count: i64) -> f64 {
    count as f64
}

/// Time at work, of user and system, in microseconds.
fn at_work_us() -> f64 {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: it fills in the one value that it is given a pointer to, whole if it succeeds.
    let usage = unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()), 0);
        usage.assume_init()
    };
    [usage.ru_utime, usage.ru_stime]
        .iter()
        .map(|time| precise(time.tv_sec) * 1e6 + precise(time.tv_usec))
        .sum()
}

/// What has been used since it was made.
pub struct Used {
    at: f64,
    us: f64,
}

impl Used {
    pub fn new() -> Self {
        Self {
            at: now(),
            us: at_work_us(),
        }
    }

    /// There is no main thread that an application would miss.
    pub fn so_far(&self) -> Value {
        json!({ "mainUs": null, "processUs": at_work_us() - self.us, "wallMs": now() - self.at })
    }
}
