//! What the kit writes: items that are easily damaged, in the formats that a sink takes.

use outrigger_protocol::{CommitItem, CommitKind, Href, OperationId, RawDigest, Revision, Sink};

/// One item of the kit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) data: Vec<u8>,
}

/// A kind of item that the kit can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Vcard,
    Icalendar,
    Text,
}

/// Names, notes and values that parsers stumble over.
const DIFFICULT: [&str; 10] = [
    "Anna García",
    "山田 健二",
    "Ελένη Παπαδοπούλου",
    "שרה כהן",
    "o\u{301}\u{323} combining, in no normal order",
    "👩\u{200d}👧 joined",
    "semicolon\\; comma\\, backslash\\\\ newline\\n",
    "trailing blanks   ",
    "\"quoted\" <tags> &amp; 100 %",
    "",
];

impl Format {
    /// The first format of the sink that the kit can write; any, if the sink takes any.
    pub(crate) fn of(sink: &Sink) -> Option<Self> {
        let known = |name: &String| match name.as_str() {
            "vcard" => Some(Self::Vcard),
            "icalendar" => Some(Self::Icalendar),
            "text" | "plain" => Some(Self::Text),
            _ => None,
        };
        if sink.formats.is_empty() { Some(Self::Vcard) } else { sink.formats.iter().find_map(known) }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vcard => "vcard",
            Self::Icalendar => "icalendar",
            Self::Text => "text",
        }
    }

    const fn object_type(self) -> &'static str {
        match self {
            Self::Vcard => "contact",
            Self::Icalendar => "event",
            Self::Text => "note",
        }
    }

    /// The item of a number. Each of the first fifty has another difficulty.
    pub(crate) fn item(self, number: usize) -> Item {
        let key = format!("outrigger-check-{number}");
        let value = DIFFICULT[number % DIFFICULT.len()];
        let eol = if number % 7 == 3 { "\n" } else { "\r\n" };
        let long = if number % 5 == 4 { "äöü ".repeat(300) } else { String::new() };
        let lines = match self {
            Self::Vcard => vcard(&key, value, &long, number),
            Self::Icalendar => icalendar(&key, value, &long, number),
            Self::Text => vec![key.clone(), value.to_owned(), long],
        };
        let mut text: String = lines.iter().map(|line| format!("{line}{eol}")).collect();
        if number % 11 == 6 {
            text.truncate(text.trim_end().len()); // no end of line at the end
        }
        Item { key, data: text.into_bytes() }
    }

    /// The first `count` items.
    pub(crate) fn items(self, count: usize) -> Vec<Item> {
        (0..count).map(|number| self.item(number)).collect()
    }

    /// A write of this format.
    pub(crate) fn write(
        self,
        kind: CommitKind,
        item: &Item,
        href: &Href,
        expected: Option<&Revision>,
    ) -> CommitItem<'static> {
        let data = if kind == CommitKind::Delete { Vec::new() } else { item.data.clone() };
        CommitItem {
            operation: OperationId(uuid::Uuid::now_v7()),
            kind,
            href: href.clone(),
            expected: expected.cloned(),
            expected_digest: None,
            key: item.key.clone().into_bytes().into(),
            object_type: self.object_type().into(),
            format: self.name().into(),
            digest: RawDigest::of(&data),
            data: data.into(),
        }
    }

    /// A create; the member chooses the name.
    pub(crate) fn create(self, item: &Item) -> CommitItem<'static> {
        self.write(CommitKind::Create, item, &Href::default(), None)
    }
}

fn vcard(key: &str, value: &str, long: &str, number: usize) -> Vec<String> {
    let version = if number.is_multiple_of(2) { "3.0" } else { "4.0" };
    let mut lines = vec!["BEGIN:VCARD".into(), format!("VERSION:{version}"), format!("UID:{key}")];
    lines.push(format!("FN:{value}"));
    lines.push(format!("N:{value};;;;"));
    lines.push(format!("X-UNHEARD-OF;X-PARAMETER=\"a;b:c\":{number}"));
    lines.push("item1.TEL;TYPE=CELL,VOICE:+49 170 1".into());
    lines.push("item1.X-ABLabel:_$!<Other>!$_".into());
    if !long.is_empty() {
        lines.push(format!("NOTE:{long}")); // far beyond 75 octets, not folded
        lines.push("NOTE:folded in the mid".into());
        lines.push(" dle of a word".into());
    }
    lines.push("END:VCARD".into());
    lines
}

fn icalendar(key: &str, value: &str, long: &str, number: usize) -> Vec<String> {
    let mut lines =
        vec!["BEGIN:VCALENDAR".into(), "VERSION:2.0".into(), "PRODID:-//Outrigger//check//EN".into()];
    lines.push("BEGIN:VEVENT".into());
    lines.push(format!("UID:{key}"));
    lines.push("DTSTAMP:20260101T000000Z".into());
    lines.push(format!("DTSTART;VALUE=DATE:202601{:02}", 1 + number % 28));
    lines.push(format!("SUMMARY:{value}"));
    lines.push(format!("X-UNHEARD-OF;X-PARAMETER=\"a;b:c\":{number}"));
    if !long.is_empty() {
        lines.push(format!("DESCRIPTION:{long}"));
        lines.push("COMMENT:folded in the mid".into());
        lines.push(" dle of a word".into());
    }
    lines.extend(["END:VEVENT".into(), "END:VCALENDAR".into()]);
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn fifty_items_are_fifty_different_ones() {
        for format in [Format::Vcard, Format::Icalendar, Format::Text] {
            let items = format.items(50);
            assert_eq!(items.iter().map(|item| &item.data).collect::<BTreeSet<_>>().len(), 50);
            assert!(items.iter().any(|item| !item.data.is_ascii()));
            assert!(items.iter().any(|item| !item.data.ends_with(b"\n")));
        }
    }
}
