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

/// The day, as in 2026-11-22, in UTC.
pub(crate) fn today() -> String {
    day(seconds() / 86_400)
}

/// A moment so many seconds after 1970 began, as in 2026-11-22 18:02 UTC.
pub(crate) fn moment(since: u64) -> String {
    let minutes = since % 86_400 / 60;
    format!("{} {:02}:{:02} UTC", day(since / 86_400), minutes / 60, minutes % 60)
}

/// The day so many days after 1970 began.
fn day(since: u64) -> String {
    let (mut year, mut left) = (1970, since);
    while left >= days_of(year) {
        left -= days_of(year);
        year += 1;
    }
    let february = days_of(year) - 337;
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < days {
            break;
        }
        left -= days;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", left + 1)
}

const fn days_of(year: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if is_leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_one_of_the_calendar() {
        let days = [0, 58, 59, 364, 365, 789, 790, 11_016, 11_017, 20_779];
        let names = [
            "1970-01-01",
            "1970-02-28",
            "1970-03-01",
            "1970-12-31",
            "1971-01-01",
            "1972-02-29",
            "1972-03-01",
            "2000-02-29",
            "2000-03-01",
            "2026-11-22",
        ];
        assert_eq!(days.map(day), names);
    }

    #[test]
    fn a_moment_is_told_to_the_minute() {
        assert_eq!(moment(0), "1970-01-01 00:00 UTC");
        assert_eq!(moment(20_779 * 86_400 + 86_399), "2026-11-22 23:59 UTC");
    }
}
