//! Looks at streams that may prove wrong a little later.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

use crate::Result;

/// For so long nothing is heard of a suspected producer before it counts as dead: longer than the longest pause between two
/// attempts to connect, and short enough for readers to be told within lease + 2 s.
pub const GRACE: Duration = Duration::from_millis(1750);

/// The longest pause between two looks that show the store to have been there in between.
pub const PAUSE: Duration = Duration::from_millis(1500);

/// So soon, at the latest, the next look at a suspected producer is due.
pub const AGAIN: Duration = Duration::from_millis(750);

/// The answer of a look at a stream, and how soon to look again: leases have expired, and the next look will show whether
/// the producers are dead.
pub(super) struct Look<T> {
    pub answer: T,
    pub again: Option<Duration>,
}

impl<T> Look<T> {
    pub fn sure(answer: T) -> Self {
        Self { answer, again: None }
    }
}

/// Looks until there is no doubt left; for twice [`GRACE`] at most, where looks take too long to prove anything.
pub(super) async fn beyond_doubt<T, F>(look: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<Look<T>>>,
{
    let deadline = Instant::now() + 2 * GRACE;
    loop {
        let Look { answer, again } = look().await?;
        match again {
            Some(pause) if Instant::now() + pause < deadline => tokio::time::sleep(pause).await,
            _ => return Ok(answer),
        }
    }
}
