//! Token bucket: how often a peer is listened to that speaks unasked.

use std::time::Duration;

/// Allows `burst` at once and `rate` a second. Time is handed in.
#[derive(Debug)]
pub(super) struct TokenBucket {
    rate: u32,
    burst: u32,
    tokens: u32,
    /// Up to when tokens were given out.
    filled: Duration,
}

impl TokenBucket {
    pub(super) const fn new(rate: u32, burst: u32) -> Self {
        Self { rate, burst, tokens: burst, filled: Duration::ZERO }
    }

    /// Whether one more is within the rate; takes its token.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let one = Duration::from_secs(1) / self.rate;
        let due = now.saturating_sub(self.filled).as_nanos() / one.as_nanos();
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        if due > 0 {
            self.tokens = self.tokens.saturating_add(due).min(self.burst);
            self.filled = if self.tokens == self.burst { now } else { self.filled + one * due };
        }
        let left = self.tokens.checked_sub(1);
        self.tokens = left.unwrap_or(0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut TokenBucket, tries: u32, now: Duration) -> usize {
        (0..tries).filter(|_| bucket.take(now)).count()
    }

    /// Holds S49.
    #[test]
    fn w6_a_burst_then_the_rate_whatever_the_clock_begins_at() {
        let start = Duration::from_secs(1_000_000);
        let mut bucket = TokenBucket::new(1000, 2000);
        assert_eq!(taken(&mut bucket, 5000, start), 2000);
        assert_eq!(taken(&mut bucket, 5000, start + Duration::from_millis(10)), 10);
        assert_eq!(taken(&mut bucket, 5000, start + Duration::from_micros(10_500)), 0);
        assert_eq!(taken(&mut bucket, 5000, start + Duration::from_millis(11)), 1, "no token is lost");
        assert_eq!(taken(&mut bucket, 5000, start + Duration::from_secs(3600)), 2000);
    }
}
