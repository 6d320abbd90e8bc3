//! Stamp: properties that programs write on their own, and the times that some of them tell.

use crate::document::{Component, Property, SEQUENCE, VOLATILE};

/// Seconds since 1970 at which the item says that it was last changed: the REV of a vCard, the latest
/// LAST-MODIFIED of an iCalendar object's components. Counted in UTC without leap seconds.
///
/// `None`: it does not say so, not to the second or not in UTC, or it cannot be read. Whoever wrote
/// the item wrote the time: a member that lies, or whose clock is wrong, may say anything.
#[must_use]
pub fn last_changed(data: &[u8]) -> Option<i64> {
    let document = Component::read(data)?;
    if document.name == b"VCARD" {
        return latest(&document, b"REV");
    }
    let components = document.components().filter(|component| !component.is_time_zone());
    components.filter_map(|component| latest(component, b"LAST-MODIFIED")).max()
}

fn latest(component: &Component<'_>, name: &[u8]) -> Option<i64> {
    let lines = component.properties().filter(|property| property.base_name() == name);
    lines.filter_map(|property| seconds(property.line().value.trim_ascii())).max()
}

/// `20240101T120000Z` or `2024-01-01T12:00:00.5Z`, in seconds since 1970.
fn seconds(text: &[u8]) -> Option<i64> {
    let (date, time) = split_once(text.strip_suffix(b"Z")?, b'T')?;
    let [year, month, day] = numbers(date, b'-', [4, 2, 2])?;
    let time = split_once(time, b'.').map_or(Some(time), |(time, fraction)| {
        let is_number = !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit);
        is_number.then_some(time)
    })?;
    let [hour, minute, second] = numbers(time, b':', [2, 2, 2])?;
    // A minute may have 61 seconds.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let of_day = hour * 3600 + minute * 60 + second;
    days(year, month, day)?.checked_mul(86_400)?.checked_add(of_day)
}

fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == at)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Three numbers of so many digits, with the separator between all of them or none.
fn numbers(mut text: &[u8], separator: u8, digits: [usize; 3]) -> Option<[i64; 3]> {
    let separated = text.contains(&separator);
    let mut numbers = [0; 3];
    for (place, (number, digits)) in numbers.iter_mut().zip(digits).enumerate() {
        if separated && place > 0 {
            text = text.strip_prefix(&[separator])?;
        }
        let (head, rest) = text.split_at_checked(digits)?;
        *number = decimal(head)?;
        text = rest;
    }
    text.is_empty().then_some(numbers)
}

fn decimal(text: &[u8]) -> Option<i64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

/// Days since 1970 in the Gregorian calendar, also before it was in use.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let in_month = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=in_month).contains(&day) {
        return None;
    }
    // Years begin in March here, so that a leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468)
}

/// Whose stamps of one name are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Left,
    Right,
}

/// The stamps of that name that a merge takes: those of the side that changed them; of two sides the
/// later time or the higher number, and otherwise the left one's. `None`: both changed a SEQUENCE,
/// and not to numbers.
pub(crate) fn taken(
    name: &[u8],
    base: &Component<'_>,
    left: &Component<'_>,
    right: &Component<'_>,
) -> Option<Taken> {
    let [base, left, right] =
        [base, left, right].map(|component| stamps(component, name).collect::<Vec<_>>());
    let same = |a: &[&Property<'_>], b: &[&Property<'_>]| {
        a.iter().map(|p| p.normal()).eq(b.iter().map(|p| p.normal()))
    };
    if same(&left, &right) || same(&right, &base) {
        return Some(Taken::Left);
    }
    if same(&left, &base) {
        return Some(Taken::Right);
    }
    let is_later = match (rank(name, &left), rank(name, &right)) {
        (Some(left), Some(right)) => right > left,
        _ if name == SEQUENCE => return None,
        _ => false,
    };
    Some(if is_later { Taken::Right } else { Taken::Left })
}

/// The stamps of that name, whatever their group.
pub(crate) fn stamps<'c, 'a>(
    component: &'c Component<'a>,
    name: &[u8],
) -> impl Iterator<Item = &'c Property<'a>> {
    component.properties().filter(move |property| property.is_stamp() && property.base_name() == name)
}

/// The names of all stamps.
pub(crate) fn stamp_names() -> impl Iterator<Item = &'static [u8]> {
    VOLATILE.into_iter().chain([SEQUENCE])
}

/// What is compared of the only stamp of its name; two that say the same have an order too. No stamp
/// is less than any.
fn rank<'p>(name: &[u8], stamps: &[&'p Property<'_>]) -> Option<(i64, &'p [u8])> {
    let stamp = match stamps {
        [] => return Some((i64::MIN, b"")),
        [stamp] => stamp,
        _ => return None,
    };
    let value = stamp.line().value.trim_ascii();
    let rank = if name == SEQUENCE { decimal(value)? } else { seconds(value)? };
    Some((rank, stamp.normal()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(rev: &str) -> Option<i64> {
        last_changed(format!("BEGIN:VCARD\nREV:{rev}\nEND:VCARD\n").as_bytes())
    }

    #[test]
    fn the_forms_of_a_revision_are_read() {
        assert_eq!(card("19700101T000000Z"), Some(0));
        assert_eq!(card("20240229T120000Z"), Some(1_709_208_000));
        assert_eq!(card("2024-02-29T12:00:00Z"), Some(1_709_208_000));
        assert_eq!(card("2024-02-29T12:00:00.999Z"), Some(1_709_208_000));
        assert_eq!(card("19691231T235959Z"), Some(-1));
        assert_eq!(card("00000101T000000Z"), Some(-62_167_219_200));
        assert_eq!(card("99991231T235959Z"), Some(253_402_300_799));
        assert_eq!(card("20161231T235960Z"), card("20170101T000000Z"), "a leap second");
    }

    #[test]
    fn what_is_no_time_in_utc_is_none() {
        for text in [
            "",
            "Z",
            "T",
            "TZ",
            "20240101",
            "20240101Z",
            "20240101T120000",
            "20240101T120000+0100",
            "20230229T000000Z",
            "19000229T000000Z",
            "20241301T000000Z",
            "20240001T000000Z",
            "20240100T000000Z",
            "20240101T240000Z",
            "20240101T006000Z",
            "20240101T000061Z",
            "2024-0101T000000Z",
            "20240101T0000Z",
            "20240101T000000.Z",
            "20240101T000000.xZ",
            "+0240101T000000Z",
            "920240101T000000Z",
            "2024-01-01T12:00:00:00Z",
        ] {
            assert_eq!(card(text), None, "{text}");
        }
    }

    #[test]
    fn of_a_calendar_the_latest_of_its_items_counts() {
        let data = b"BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nLAST-MODIFIED:20300101T000000Z\nEND:VTIMEZONE\n\
            BEGIN:VEVENT\nLAST-MODIFIED:19700101T000002Z\nEND:VEVENT\nBEGIN:VEVENT\nLAST-MODIFIED:19700101T000001Z\n\
            END:VEVENT\nBEGIN:VEVENT\nEND:VEVENT\nEND:VCALENDAR";
        assert_eq!(last_changed(data), Some(2));
        assert_eq!(last_changed(b"BEGIN:VCALENDAR\nREV:19700101T000002Z\nEND:VCALENDAR"), None);
        assert_eq!(last_changed(b"no card"), None);
    }

    fn take(name: &str, [base, left, right]: [&str; 3]) -> Option<Taken> {
        let texts = [base, left, right].map(|values| {
            let lines: String = values.split_whitespace().map(|value| format!("{name}:{value}\n")).collect();
            format!("BEGIN:X\n{lines}END:X\n")
        });
        let [base, left, right] = [0, 1, 2].map(|at| Component::read(texts[at].as_bytes()).unwrap());
        taken(name.as_bytes(), &base, &left, &right)
    }

    #[test]
    fn the_side_that_stamped_is_taken_and_of_two_the_later() {
        assert_eq!(take("PRODID", ["a", "a", "b"]), Some(Taken::Right));
        assert_eq!(take("PRODID", ["a", "b", "c"]), Some(Taken::Left));
        assert_eq!(take("SEQUENCE", ["3", "3", "1"]), Some(Taken::Right), "the only change");
        assert_eq!(take("SEQUENCE", ["3", "9", "10"]), Some(Taken::Right));
        assert_eq!(take("SEQUENCE", ["3", "10", "9"]), Some(Taken::Left));
        assert_eq!(take("SEQUENCE", ["3", "", "4"]), Some(Taken::Right));
        assert_eq!(take("SEQUENCE", ["3", "x", "4"]), None);
        assert_eq!(take("SEQUENCE", ["3", "4 4", "5"]), None);
        assert_eq!(take("REV", ["", "20240101T000000Z", "20240102T000000Z"]), Some(Taken::Right));
        assert_eq!(take("REV", ["", "20240102T000000Z", "20240101T000000Z"]), Some(Taken::Left));
        assert_eq!(take("REV", ["", "yesterday", "20240101T000000Z"]), Some(Taken::Left));
    }

    #[test]
    fn each_day_is_one_more_than_the_day_before() {
        let dates = (1580..2410).flat_map(|year| (1..=12).map(move |month| (year, month)));
        let all: Vec<i64> =
            dates.flat_map(|(year, month)| (0..=32).filter_map(move |day| days(year, month, day))).collect();
        assert!(all.windows(2).all(|pair| pair[1] == pair[0] + 1));
        assert_eq!(all.len(), 830 * 365 + 202, "with the leap days of these years");
    }
}
