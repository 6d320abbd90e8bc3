//! The time of day, for what is written down with its date. What waits uses [`std::time::Instant`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Since 1970 began; zero on a machine whose clock is set before that.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The same in whole seconds.
pub(crate) fn seconds() -> u64 {
    now().as_secs()
}
