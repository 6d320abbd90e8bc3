//! Idle times: how long a side waits without a sign of life in the calls that it makes, as it says
//! in HELLO (decisions W3). A method that is not named has the time of the table, see
//! [`crate::MethodRules::idle`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::call::Method;
use crate::limits::MAX_IDLE_TIMES;

/// The idle times of one side where they are not those of the table: method number to
/// milliseconds. At worst a peer makes this side keep what fits a HELLO, until that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdleTimes(BTreeMap<u16, u32>);

impl IdleTimes {
    /// Those of a broker that waits no longer than `limit` in any call.
    #[must_use]
    pub fn at_most(limit: Duration) -> Self {
        let calls = Method::ALL.iter().copied().filter(|method| !method.is_of_plugins());
        calls.filter(|method| method.rules_or_default().idle > limit).map(|method| (method, limit)).collect()
    }

    /// How long a call of the method may stay silent.
    #[must_use]
    pub fn of(&self, method: Method) -> Duration {
        let named = self.0.get(&method.0).map(|millis| Duration::from_millis(u64::from(*millis)));
        named.unwrap_or_else(|| method.rules_or_default().idle)
    }

    /// Whether none differs from the table.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a call can live with them: none is zero, and they are few enough to keep.
    pub(crate) fn are_possible(&self) -> bool {
        self.0.len() <= MAX_IDLE_TIMES && self.0.values().all(|millis| *millis > 0)
    }
}

impl FromIterator<(Method, Duration)> for IdleTimes {
    /// In whole milliseconds, at least one and at most 49 days.
    fn from_iter<I: IntoIterator<Item = (Method, Duration)>>(times: I) -> Self {
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1);
        Self(times.into_iter().map(|(method, time)| (method.0, millis(time))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn w3_only_what_is_shortened_is_named() {
        let times = IdleTimes::at_most(30 * S);
        assert_eq!(times.of(Method::COMMIT), 30 * S);
        assert_eq!(times.of(Method::CONNECT), 30 * S, "as the table has it");
        assert!(times.0.contains_key(&Method::COMMIT.0) && !times.0.contains_key(&Method::CONNECT.0));
        assert!(!times.0.contains_key(&Method::ASK.0), "a broker does not make it");
        assert!(IdleTimes::at_most(60 * S).is_empty());
        assert_eq!(times.of(Method(60_000)), 60 * S);
    }

    #[test]
    fn w3_a_time_below_a_millisecond_is_not_none() {
        let times = IdleTimes::at_most(Duration::from_nanos(1));
        assert_eq!(times.of(Method::COMMIT), Duration::from_millis(1));
        assert!(times.are_possible());
    }
}
