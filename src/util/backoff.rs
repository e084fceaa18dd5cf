//! How long to wait before a retry: to connect, to write, to read.

use std::time::Duration;

use ulid::Ulid;

/// Doubles from 25 ms to 1 s, each time spread over ±25 % so that a fleet does not knock at once.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait before the next attempt; each call counts as a failure.
    pub fn next_delay(&mut self) -> Duration {
        let base = Duration::from_millis(25) * 2_u32.pow(self.failures.min(5));
        self.failures += 1;
        jitter(base.min(Duration::from_secs(1)))
    }
}

/// The duration, spread over ±25 %.
pub fn jitter(duration: Duration) -> Duration {
    // A ULID's low bits are random; no further crate is needed for a jitter.
    #[expect(clippy::cast_precision_loss, reason = "ten bits")]
    let unit = (Ulid::new().random() & 0x3ff) as f64 / 1024.0;
    duration.mul_f64(0.75 + unit / 2.0)
}
