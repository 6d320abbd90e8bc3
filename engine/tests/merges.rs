//! Merging two edits of one item: samples as programs write them, random edits, and hostile bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

#[path = "support/harness.rs"]
mod harness;
#[path = "support/items.rs"]
mod items;

use std::path::PathBuf;

use items::{APPLE, EVENT, OLD, PHONE, Sample, sample, samples};
use outrigger_engine::{Canonical, merge};
use proptest::prelude::*;

/// Replaces what must be there exactly once.
fn edit(data: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(data.to_owned(), |data, (from, to)| {
        assert_eq!(data.matches(from).count(), 1, "{from:?} in\n{data}");
        data.replace(from, to)
    })
}

/// What becomes of two sets of edits.
fn merged(base: &str, left: &[(&str, &str)], right: &[(&str, &str)]) -> Option<String> {
    let [left, right] = [left, right].map(|edits| edit(base, edits));
    let seed = [base, "----\n", &left, "----\n", &right].concat();
    harness::text(seed.as_bytes());
    let merged = merge(Some(base.as_bytes()), left.as_bytes(), right.as_bytes());
    merged.map(|data| String::from_utf8(data).unwrap())
}

#[track_caller]
fn together(base: &str, left: &[(&str, &str)], right: &[(&str, &str)]) {
    let both = edit(&edit(base, left), right);
    assert_eq!(merged(base, left, right).as_deref(), Some(both.as_str()));
}

#[track_caller]
fn apart(base: &str, left: &[(&str, &str)], right: &[(&str, &str)]) {
    assert_eq!(merged(base, left, right), None);
}

#[test]
fn lines_are_taken_with_their_folds_and_ends() {
    together(PHONE, &[("Anna Garc\u{ed}a", "Anna G.")], &[("NOTE:met", "NOTE:met \r\n ag\r\n ain, met")]);
    let lf = PHONE.replace("\r\n", "\n").replace("NOTE:met", "NOTE:seen");
    let crlf = PHONE.replace("FN:", "FN:Dr. ");
    let both = merge(Some(PHONE.as_bytes()), lf.as_bytes(), crlf.as_bytes()).unwrap();
    let both = String::from_utf8(both).unwrap();
    assert!(both.contains("\nFN:Dr. Anna Garc\u{ed}a\r\n"), "{both}");
    assert!(both.starts_with("BEGIN:VCARD\nVERSION:3.0\n") && both.contains("\nNOTE:seen"), "{both}");
}

#[test]
fn order_case_and_stamps_are_no_edits() {
    let left = edit(PHONE, &[("REV:20240101T120000Z\r\n", ""), ("END:", "rev:20240301T120000Z\r\nEND:")]);
    let right = edit(PHONE, &[("20240101T", "20240201T"), ("TYPE=CELL", "type=cell"), ("FN:", "FN:Dr. ")]);
    let both =
        String::from_utf8(merge(Some(PHONE.as_bytes()), left.as_bytes(), right.as_bytes()).unwrap()).unwrap();
    assert_eq!(both, left.replace("FN:", "FN:Dr. "));
    let other =
        String::from_utf8(merge(Some(PHONE.as_bytes()), right.as_bytes(), left.as_bytes()).unwrap()).unwrap();
    assert!(other.contains("rev:20240301T120000Z") && !other.contains("20240201"), "the later one\n{other}");
}

#[test]
fn telephones_of_both_survive_unless_both_touch_one() {
    const CELL: &str = "TEL;TYPE=CELL:+49 170 1\r\n";
    let added =
        merged(PHONE, &[(CELL, "TEL:1\r\nTEL;TYPE=CELL:+49 170 1\r\n")], &[("END:", "TEL:2\r\nEND:")])
            .unwrap();
    assert!(added.contains("TEL:1\r\n") && added.contains("TEL:2\r\n"), "{added}");
    together(PHONE, &[("+49 170 1", "+49 170 2")], &[("+49 30 1", "+49 30 2")]);
    together(PHONE, &[(CELL, "")], &[("+49 30 1", "+49 30 2")]);
    apart(PHONE, &[("+49 170 1", "+49 170 2")], &[("+49 170 1", "+49 170 3")]);
    apart(PHONE, &[(CELL, "")], &[("+49 170 1", "+49 170 3")]);
}

#[test]
fn a_line_that_is_there_twice_counts_twice() {
    let base = edit(PHONE, &[("EMAIL:a@example.org\r\n", "EMAIL:a@x\r\nEMAIL:a@x\r\nEMAIL:a@x\r\n")]);
    let once = edit(PHONE, &[("EMAIL:a@example.org", "EMAIL:a@x")]);
    for right in [&base, &once] {
        assert_eq!(merge(Some(base.as_bytes()), once.as_bytes(), right.as_bytes()).unwrap(), once.as_bytes());
        assert_eq!(merge(Some(base.as_bytes()), right.as_bytes(), once.as_bytes()).unwrap(), once.as_bytes());
    }
}

#[test]
fn one_property_changed_twice_waits_for_a_person() {
    apart(PHONE, &[("FN:Anna", "FN:Ann")], &[("FN:Anna", "FN:Anne")]);
    apart(PHONE, &[("END:", "BDAY:1\r\nEND:")], &[("END:", "BDAY:2\r\nEND:")]);
    let once = merged(PHONE, &[("END:", "BDAY:1\r\nEND:")], &[("END:", "bday:1\r\nEND:")]).unwrap();
    assert_eq!(once, edit(PHONE, &[("END:", "BDAY:1\r\nEND:")]));
}

#[test]
fn a_label_goes_with_what_it_labels() {
    together(
        APPLE,
        &[("item1.X-ABLabel:Club", "item1.X-ABLabel:Pub")],
        &[("item2.URL:http", "item2.URL:https")],
    );
    apart(APPLE, &[("item1.X-ABLabel:Club", "item1.X-ABLabel:Pub")], &[("item1.TEL:1", "item1.TEL:2")]);
    let new = |kind: &str| format!("item3.{kind}:3\r\nitem3.X-ABLabel:{kind}\r\nEND:");
    apart(APPLE, &[("END:", &new("TEL"))], &[("END:", &new("EMAIL"))]);
}

#[test]
fn an_old_card_is_merged_with_its_soft_breaks() {
    together(OLD, &[("=C3=BCller;", "=C3=B6ller;")], &[("ADR;HOME:;;A", "ADR;HOME:;;B")]);
    together(OLD, &[("=0D=0A=\r\nzwei", "=0D=0A=\r\ndrei=\r\n vier")], &[("TEL;CELL:1", "TEL;CELL:2")]);
    apart(OLD, &[("VERSION:2.1", "VERSION:3.0"), ("CELL:1", "CELL:2")], &[("ADR;HOME:;;A", "ADR;HOME:;;B")]);
    let newer = merged(OLD, &[], &[("VERSION:2.1", "VERSION:3.0"), ("CELL:1", "CELL:2")]).unwrap();
    assert!(newer.starts_with("BEGIN:VCARD\r\nVERSION:3.0\r\n"), "an edited line stays in its place");
}

#[test]
fn an_event_is_merged_within_its_occurrences() {
    together(EVENT, &[("SUMMARY:Team", "SUMMARY:Teams")], &[("LOCATION:Room 1", "LOCATION:Room 2")]);
    together(EVENT, &[("SUMMARY:Moved", "SUMMARY:Put off")], &[("LOCATION:Room 1", "LOCATION:Room 2")]);
    together(EVENT, &[("SUMMARY:Moved", "SUMMARY:Put off")], &[("DESCRIPTION:later", "DESCRIPTION:earlier")]);
    together(
        EVENT,
        &[("B;PARTSTAT=NEEDS-ACTION", "B;PARTSTAT=ACCEPTED")],
        &[("C;PARTSTAT=NEEDS-ACTION", "C;PARTSTAT=DECLINED")],
    );
    apart(
        EVENT,
        &[("B;PARTSTAT=NEEDS-ACTION", "B;PARTSTAT=ACCEPTED")],
        &[("B;PARTSTAT=NEEDS-ACTION", "B;PARTSTAT=DECLINED")],
    );
    apart(EVENT, &[("SUMMARY:Moved", "SUMMARY:Put off")], &[("SUMMARY:Moved", "SUMMARY:Cancelled")]);
}

#[test]
fn alarms_are_compared_whole() {
    const ALARM: &str = "BEGIN:VALARM\nACTION:DISPLAY\nTRIGGER:-PT5M\nEND:VALARM\n";
    together(EVENT, &[("-PT15M", "-PT10M")], &[("SUMMARY:Team", "SUMMARY:Teams")]);
    together(EVENT, &[("-PT15M", "-PT10M")], &[("END:VALARM\n", &["END:VALARM\n", ALARM].concat())]);
    apart(EVENT, &[("-PT15M", "-PT10M")], &[("-PT15M", "-PT20M")]);
    apart(EVENT, &[("-PT15M", "-PT10M")], &[("ACTION:AUDIO", "ACTION:DISPLAY")]);
}

#[test]
fn occurrences_come_and_go_on_one_side() {
    let (from, to) = (EVENT.rfind("BEGIN:VEVENT").unwrap(), EVENT.rfind("END:VCALENDAR").unwrap());
    let moved = &EVENT[from..to];
    together(EVENT, &[(moved, "")], &[("SUMMARY:Team", "SUMMARY:Teams")]);
    apart(EVENT, &[(moved, "")], &[("SUMMARY:Moved", "SUMMARY:Put off")]);
    let other = moved.replace("20240108", "20240115");
    let with = |occurrence: &str| [moved, occurrence].concat();
    together(EVENT, &[("SUMMARY:Team", "SUMMARY:Teams")], &[(moved, &with(&other))]);
    apart(EVENT, &[(moved, &with(&other))], &[(moved, &with(&other.replace("later", "never")))]);
    let elsewhere = other.replace("RECURRENCE-ID;TZID=Europe/Berlin", "RECURRENCE-ID");
    // The same occurrence, or another one: who knows.
    apart(EVENT, &[(moved, &with(&other))], &[(moved, &with(&elsewhere))]);
    let third = moved.replace("20240108", "20240122");
    let both = merged(EVENT, &[(moved, &with(&other))], &[(moved, &with(&third))]).unwrap();
    assert_eq!(both, edit(EVENT, &[(moved, &[moved, &other, &third].concat())]));
}

#[test]
fn a_series_is_not_moved_under_its_exceptions() {
    const START: (&str, &str) =
        ("DTSTART;TZID=Europe/Berlin:20240101T09", "DTSTART;TZID=Europe/Berlin:20240101T10");
    const EXCEPTION: (&str, &str) = ("RRULE", "EXDATE;TZID=Europe/Berlin:20240115T090000\nRRULE");
    together(EVENT, &[START], &[("SUMMARY:Team", "SUMMARY:Teams")]);
    apart(EVENT, &[START], &[EXCEPTION]);
    apart(
        EVENT,
        &[START],
        &[("DTEND;TZID=Europe/Berlin:20240101T10", "DTEND;TZID=Europe/Berlin:20240101T11")],
    );
    apart(EVENT, &[START], &[("SUMMARY:Moved", "SUMMARY:Put off")]);
    let second = (EXCEPTION.0, "EXDATE;TZID=Europe/Berlin:20240122T090000\nRRULE");
    let both = merged(EVENT, &[EXCEPTION], &[second]).unwrap();
    assert!(both.contains("20240115T090000\n") && both.contains("20240122T090000\n"), "{both}");
}

#[test]
fn time_zones_are_kept_and_never_mixed() {
    const OTHER: &str = "BEGIN:VTIMEZONE\nTZID:X\nEND:VTIMEZONE\nBEGIN:VEVENT\nUID:e1\nSUMMARY:Team";
    together(
        EVENT,
        &[("BEGIN:VEVENT\nUID:e1\nSUMMARY:Team", OTHER)],
        &[("SUMMARY:Moved", "SUMMARY:Put off")],
    );
    let (from, to) = (EVENT.find("BEGIN:VTIMEZONE").unwrap(), EVENT.find("BEGIN:VEVENT").unwrap());
    let kept = merged(EVENT, &[(&EVENT[from..to], "")], &[("SUMMARY:Moved", "SUMMARY:Put off")]).unwrap();
    assert!(kept.find("BEGIN:VTIMEZONE").unwrap() < kept.find("BEGIN:VEVENT").unwrap(), "{kept}");
    together(EVENT, &[("TZOFFSETTO:+0100", "TZOFFSETTO:+0200")], &[("SUMMARY:Moved", "SUMMARY:Put off")]);
    apart(EVENT, &[("TZOFFSETTO:+0100", "TZOFFSETTO:+0200")], &[("TZOFFSETTO:+0100", "TZOFFSETTO:+0300")]);
}

#[test]
fn revisions_of_an_event_are_counted_on() {
    let (left, right) =
        ([("SEQUENCE:1", "SEQUENCE:9"), ("SUMMARY:Team", "SUMMARY:Teams")], [("SEQUENCE:1", "SEQUENCE:10")]);
    let both = merged(EVENT, &left, &right).unwrap();
    assert_eq!(both, edit(EVENT, &[("SEQUENCE:1", "SEQUENCE:10"), left[1]]));
    assert_eq!(merged(EVENT, &right, &left).unwrap(), both);
}

#[test]
fn what_cannot_be_one_item_is_not_merged() {
    let other = edit(PHONE, &[("UID:p1", "UID:p2")]);
    let damaged = edit(PHONE, &[("NOTE:", "NOTE")]);
    let large = edit(PHONE, &[("NOTE:", &format!("NOTE:{}", "a".repeat(1 << 20)))]);
    let unnamed = edit(PHONE, &[("UID:p1\r\n", "")]);
    let twice = edit(EVENT, &[("SUMMARY:Moved", "SUMMARY:Moved\nEND:VEVENT\nBEGIN:VEVENT\nUID:e1")]);
    for (base, right) in [
        (PHONE, &other),
        (PHONE, &damaged),
        (PHONE, &large),
        (PHONE, &unnamed),
        (PHONE, &EVENT.into()),
        (EVENT, &twice),
    ] {
        for [base, left, right] in [[base, base, right], [base, right, base], [right, base, base]] {
            assert_eq!(merge(Some(base.as_bytes()), left.as_bytes(), right.as_bytes()), None);
        }
    }
    assert_eq!(merge(None, PHONE.as_bytes(), PHONE.as_bytes()), None);
    let named = edit(&unnamed, &[("FN:", "FN:Dr. ")]);
    assert!(
        merge(Some(unnamed.as_bytes()), unnamed.as_bytes(), named.as_bytes()).is_some(),
        "none has a UID"
    );
}

#[test]
fn many_lines_are_merged_in_time() {
    let lines = |range: std::ops::Range<u32>| range.map(|n| format!("TEL:{n}\r\n")).collect::<String>();
    let card = |lines: String| format!("BEGIN:VCARD\r\n{lines}END:VCARD\r\n").into_bytes();
    let [base, left, right] = [0..40_000, 0..45_000, 5000..40_000].map(|range| card(lines(range)));
    let merged = merge(Some(&base), &left, &right).unwrap();
    assert_eq!(Canonical::of("vcard", &merged), Canonical::of("vcard", &card(lines(5000..45_000))));
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/text")
}

/// What the fuzzer begins with, and what it found.
#[test]
#[expect(clippy::disallowed_methods, reason = "the seeds are files")]
fn every_seed_is_survived() {
    let mut count = 0;
    for entry in std::fs::read_dir(directory()).unwrap() {
        harness::text(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= samples().len(), "{count} seeds");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the seeds are files")]
fn the_samples_are_seeds() {
    for (name, bytes) in samples() {
        let path = directory().join(name);
        if std::env::var_os("OUTRIGGER_WRITE_VECTORS").is_some() {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(
            std::fs::read(&path).is_ok_and(|seed| seed == bytes),
            "{name}; write it with OUTRIGGER_WRITE_VECTORS=1"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is edited where: what only one touched is there, what both touched differently is refused.
    #[test]
    fn edits_of_different_properties_merge_and_of_one_do_not(base in sample(), left in sample(), right in sample()) {
        let [left, right] = [left, right].map(|edits: Sample| base.edited(&edits));
        let data = [&base, &left, &right].map(Sample::written);
        harness::text(&data.join(harness::SEPARATOR));
        let found = merge(Some(&data[0]), &data[1], &data[2]).map(|data| Canonical::of("vcard", &data).content.digest);
        let meant = Sample::merged(&base, &left, &right).map(|meant| Canonical::of("vcard", &meant.written()).content.digest);
        prop_assert_eq!(found, meant);
    }

    #[test]
    fn no_damage_panics(
        which in 0usize..100,
        edits in proptest::collection::vec((any::<u16>(), any::<u8>(), 0u8..4), 0..12),
    ) {
        let samples = samples();
        let mut data = samples[which % samples.len()].1.clone();
        for (at, byte, how) in edits {
            let at = at as usize % (data.len() + 1);
            match how {
                0 => data.insert(at, byte),
                1 => data.insert(at, b"\r\n :;=,\"\t"[byte as usize % 9]),
                2 if at < data.len() => { data.remove(at); }
                _ => {
                    let to = data.len().min(at + byte as usize);
                    let part = data[at..to].to_vec();
                    data.extend(part);
                }
            }
        }
        harness::text(&data);
    }
}
