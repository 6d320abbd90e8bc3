//! Items as programs write them, and items with random properties.
#![allow(unreachable_pub, missing_docs, reason = "support of tests")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

pub const PHONE: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//x\r\nUID:p1\r\nFN:Anna Garc\u{ed}a\r\n\
    N:Garc\u{ed}a;Anna;;;\r\nTEL;TYPE=CELL:+49 170 1\r\nTEL;TYPE=HOME,VOICE:+49 30 1\r\nEMAIL:a@example.org\r\n\
    NOTE:met\\, long ag\r\n o\r\nX-EVOLUTION-FILE-AS:Garc\u{ed}a\\, Anna\r\nREV:20240101T120000Z\r\nEND:VCARD\r\n";

pub const APPLE: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:p2\r\nFN:Ben\r\nitem1.TEL:1\r\nitem1.X-ABLabel:Club\r\n\
    item2.URL:http\\://example.org\r\nitem2.X-ABLabel:_$!<HomePage>!$_\r\nPHOTO;ENCODING=b;TYPE=JPEG:AAAA\r\n  BBBB\r\n\
    END:VCARD\r\n";

pub const OLD: &str = "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;\r\n\
    TEL;CELL:1\r\nADR;HOME:;;A\r\nNOTE;ENCODING=QUOTED-PRINTABLE:eins=0D=0A=\r\nzwei\r\nPHOTO;BASE64:\r\n AAAA\r\n\r\n\
    END:VCARD\r\n";

pub const EVENT: &str = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x\nBEGIN:VTIMEZONE\nTZID:Europe/Berlin\n\
    BEGIN:STANDARD\nDTSTART:19701025T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nEND:STANDARD\nEND:VTIMEZONE\n\
    BEGIN:VEVENT\nUID:e1\nSUMMARY:Team\nDTSTAMP:20240101T000000Z\nSEQUENCE:1\n\
    DTSTART;TZID=Europe/Berlin:20240101T090000\nDTEND;TZID=Europe/Berlin:20240101T100000\nRRULE:FREQ=WEEKLY\n\
    LOCATION:Room 1\nATTENDEE;CN=B;PARTSTAT=NEEDS-ACTION:mailto:b@x\nATTENDEE;CN=C;PARTSTAT=NEEDS-ACTION:mailto:c@x\n\
    BEGIN:VALARM\nACTION:AUDIO\nTRIGGER:-PT15M\nEND:VALARM\nEND:VEVENT\nBEGIN:VEVENT\nUID:e1\n\
    RECURRENCE-ID;TZID=Europe/Berlin:20240108T090000\nDTSTART;TZID=Europe/Berlin:20240108T110000\nSUMMARY:Moved\n\
    DESCRIPTION:later\nEND:VEVENT\nEND:VCALENDAR\n";

/// Seeds: what each of two made of an item.
pub fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let seed = |base: &str, left: [&str; 2], right: [&str; 2]| {
        let [left, right] = [left, right].map(|[from, to]| base.replacen(from, to, 1));
        [base, &left, &right].join("----\n").into_bytes()
    };
    vec![
        ("phone", seed(PHONE, ["170 1", "170 2"], ["a@example.org", "anna@example.net"])),
        ("apple", seed(APPLE, ["Club", "Pub"], ["END:", "item3.EMAIL:a@x\r\nEND:"])),
        ("old", seed(OLD, ["eins=0D", "1=\r\n\t=0D"], ["TEL;CELL:1\r\n", ""])),
        (
            "event",
            seed(EVENT, ["RRULE", "EXDATE:1\nRRULE"], ["END:VEVENT\nBEGIN", "SUMMARY:x\nEND:VEVENT\nBEGIN"]),
        ),
        ("alarm", seed(EVENT, ["-PT15M", "-PT5M"], ["SUMMARY:Moved", "SUMMARY;LANGUAGE=en:Moved"])),
        (
            "marked",
            seed(
                &format!("\u{feff}\r{PHONE}"),
                ["REV:20240101T", "REV:20250101T"],
                ["FN:", "\r\nfn;x=\":\":"],
            ),
        ),
    ]
}

/// Properties of which there is one.
const SINGLE: [&str; 6] = ["FN", "N", "NOTE", "BDAY", "X-EXTRA", "ORG"];

/// A card: what it holds, and how it is written.
#[derive(Debug, Clone)]
pub struct Sample {
    pub single: BTreeMap<&'static str, u8>,
    pub several: BTreeSet<u8>,
    fold: usize,
    line_end: &'static str,
    reversed: bool,
}

pub fn sample() -> impl Strategy<Value = Sample> {
    let single = proptest::collection::btree_map(proptest::sample::select(&SINGLE[..]), 0u8..3, 0..4);
    let several = proptest::collection::btree_set(0u8..8, 0..4);
    let line_end = proptest::sample::select(&["\n", "\r\n", "\r"][..]);
    (single, several, 3usize..40, line_end, any::<bool>()).prop_map(
        |(single, several, fold, line_end, reversed)| Sample { single, several, fold, line_end, reversed },
    )
}

impl Sample {
    /// With these edits, as their writer writes: 0 removes a property, telephones come and go.
    pub fn edited(&self, edits: &Self) -> Self {
        let mut edited = Self { single: self.single.clone(), several: self.several.clone(), ..edits.clone() };
        for (name, text) in &edits.single {
            match text {
                0 => edited.single.remove(name),
                text => edited.single.insert(name, *text),
            };
        }
        edited.several = self.several.symmetric_difference(&edits.several).copied().collect();
        edited
    }

    pub fn written(&self) -> Vec<u8> {
        let single = self.single.iter().map(|(name, text)| format!("{name}:text {text} and more"));
        let mut lines: Vec<String> =
            single.chain(self.several.iter().map(|n| format!("TEL;TYPE=home:{n}"))).collect();
        if self.reversed {
            lines.reverse();
        }
        let fold = |line: String| {
            let parts: Vec<&str> =
                line.as_bytes().chunks(self.fold).map(|part| str::from_utf8(part).unwrap()).collect();
            parts.join(&format!("{} ", self.line_end)) + self.line_end
        };
        let ends = ["BEGIN:VCARD", "END:VCARD"].map(|line| [line, self.line_end].concat());
        [&ends[0], lines.into_iter().map(fold).collect::<String>().as_str(), &ends[1]].concat().into_bytes()
    }

    /// What must come of two edits: worked out from what they hold, not from lines.
    pub fn merged(base: &Self, left: &Self, right: &Self) -> Option<Self> {
        let mut merged = base.clone();
        for name in SINGLE {
            let [base, left, right] = [base, left, right].map(|sample| sample.single.get(name));
            let text = match () {
                () if left == right || right == base => left,
                () if left == base => right,
                () => return None,
            };
            merged.single.remove(name);
            text.map(|text| merged.single.insert(name, *text));
        }
        merged.several = several([base, left, right].map(|sample| &sample.several))?;
        Some(merged)
    }
}

/// Numbers are added and removed by each; what both removed may be an edit if one of them adds others too.
fn several([base, left, right]: [&BTreeSet<u8>; 3]) -> Option<BTreeSet<u8>> {
    let (left_gone, right_gone) = (base - left, base - right);
    let (left_new, right_new) = (left - base, right - base);
    let is_doubtful = left != right
        && !left_gone.is_disjoint(&right_gone)
        && !(left_new.is_empty() && right_new.is_empty());
    let kept: BTreeSet<u8> = base - &(&left_gone | &right_gone);
    (!is_doubtful).then(|| &kept | &(&left_new | &right_new))
}
