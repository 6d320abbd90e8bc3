//! Keep both: the second of two contents as an item of its own.

use crate::canonical::Canonical;
use crate::document::{Component, Part, Property};
use crate::lines::split_unquoted;
use crate::parameters::Parameters;
use crate::pieces::is_quoted_printable;

/// Octets of a line before it is folded, without its end (RFC 5545 3.1, RFC 6350 3.2).
const FOLD: usize = 75;

/// A copy of `data` under another UID, with ` (mark)` behind its title: FN of a vCard, SUMMARY of each
/// component of an iCalendar object that has a UID. All other lines keep their bytes. An item without a
/// title stays without one; `uid` and `mark` are plain text and are escaped here. What the item's
/// character set may lack becomes `?`.
///
/// `None`: the item has no UID or several, is not plainly understood or grows beyond what an item may
/// be, its title is no text, or `uid` is empty or has white space around it or control characters in it.
#[must_use]
pub fn keep_both_copy(data: &[u8], uid: &str, mark: &str) -> Option<Vec<u8>> {
    let document = Component::read(data)?;
    Canonical::of("vcard", data).key?;
    let title = match document.name.as_slice() {
        b"VCARD" => &b"FN"[..],
        b"VCALENDAR" => b"SUMMARY",
        _ => return None,
    };
    if uid.is_empty() || uid.trim() != uid || uid.contains(char::is_control) {
        return None;
    }
    let is_plain = document.property(b"VERSION").is_some_and(|line| is_plain(line.line().value));
    let mut copy = Copy { title, uid, mark, is_plain, output: Vec::with_capacity(data.len() + 256) };
    copy.document(&document)?;
    (Canonical::of("vcard", &copy.output).key == copy.key()).then_some(copy.output)
}

/// vCard 2.1 and vCalendar 1.0 know no escapes in a title, and fold at white space only.
fn is_plain(version: &[u8]) -> bool {
    [&b"2.1"[..], b"1.0"].contains(&version.trim_ascii())
}

struct Copy<'a> {
    title: &'a [u8],
    uid: &'a str,
    mark: &'a str,
    is_plain: bool,
    output: Vec<u8>,
}

impl Copy<'_> {
    fn document(&mut self, document: &Component<'_>) -> Option<()> {
        if document.name == b"VCARD" {
            return self.item(document);
        }
        self.output.extend_from_slice(document.begin);
        for part in &document.parts {
            match part {
                Part::Component(inner) if inner.uid().is_some() && !inner.is_time_zone() => {
                    self.item(inner)?
                }
                _ => self.output.extend_from_slice(part.raw()),
            }
        }
        self.output.extend_from_slice(document.end);
        Some(())
    }

    fn item(&mut self, item: &Component<'_>) -> Option<()> {
        self.output.extend_from_slice(item.begin);
        for part in &item.parts {
            match part {
                Part::Property(line) if line.name() == b"UID" => self.named(line),
                Part::Property(line) if line.base_name() == self.title => self.titled(line)?,
                _ => self.output.extend_from_slice(part.raw()),
            }
        }
        self.output.extend_from_slice(item.end);
        Some(())
    }

    /// Parameters speak of the old value.
    fn named(&mut self, line: &Property<'_>) {
        let text = [line.line().name, b":", self.text(self.uid).as_bytes()].concat();
        self.write(&text, line.raw);
    }

    fn titled(&mut self, line: &Property<'_>) -> Option<()> {
        let parts = line.line();
        if Parameters::default().read(parts.parameters) {
            return None;
        }
        let mark = if is_utf8(parts.parameters) { self.mark.to_owned() } else { ascii(self.mark) };
        let tail = format!(" ({mark})");
        if is_quoted_printable(line.text()) {
            self.quoted(line.raw, &tail);
        } else {
            let text = [line.text(), self.text(&tail).as_bytes()].concat();
            self.write(&text, line.raw);
        }
        Some(())
    }

    fn text(&self, text: &str) -> String {
        if self.is_plain { text.replace(char::is_control, " ") } else { escaped(text) }
    }

    /// A line with the end that the old one had.
    fn write(&mut self, text: &[u8], old: &[u8]) {
        let end = line_end(old);
        let mut rest = text;
        if !self.is_plain {
            let mut length = FOLD;
            while rest.len() > length {
                let (head, tail) = rest.split_at(fold_at(rest, length));
                self.output.extend_from_slice(head);
                self.output.extend_from_slice(end);
                self.output.push(b' ');
                (rest, length) = (tail, FOLD - 1);
            }
        }
        self.output.extend_from_slice(rest);
        self.output.extend_from_slice(end);
    }

    /// The old line stays as it is, and goes on after a soft break.
    fn quoted(&mut self, old: &[u8], tail: &str) {
        let end = line_end(old);
        self.output.extend_from_slice(old.trim_ascii_end());
        for (place, byte) in tail.replace(char::is_control, " ").bytes().enumerate() {
            // Three octets each, and one for the break.
            if place % (FOLD / 3 - 1) == 0 {
                self.output.push(b'=');
                self.output.extend_from_slice(end);
            }
            self.output.extend_from_slice(format!("={byte:02X}").as_bytes());
        }
        self.output.extend_from_slice(end);
    }

    /// What the copy must be called.
    fn key(&self) -> Option<crate::row::Key> {
        let card = format!("BEGIN:VCARD\nUID:{}\nEND:VCARD\n", self.text(self.uid));
        Canonical::of("vcard", card.as_bytes()).key
    }
}

/// The first line end in it.
fn line_end(raw: &[u8]) -> &[u8] {
    let end = raw.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(raw.len());
    let rest = raw.get(end..).unwrap_or_default();
    let length = if rest.starts_with(b"\r\n") { 2 } else { 1 };
    rest.get(..length).unwrap_or(b"\r\n")
}

/// At most `length`, and not within a character.
fn fold_at(text: &[u8], length: usize) -> usize {
    let is_start = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0xc0 != 0x80);
    (length.saturating_sub(3)..=length).rev().find(is_start).unwrap_or(length)
}

/// As TEXT of RFC 5545 3.3.11 and RFC 6350 3.4.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.replace("\r\n", "\n").chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\\' | ',' | ';' => escaped.extend(['\\', character]),
            _ if character.is_control() => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}

fn ascii(text: &str) -> String {
    text.chars().map(|character| if character.is_ascii() { character } else { '?' }).collect()
}

/// Nothing else is said of its character set.
fn is_utf8(parameters: &[u8]) -> bool {
    split_unquoted(parameters, b';').all(|parameter| {
        let lower = parameter.to_ascii_lowercase();
        lower.strip_prefix(b"charset=").is_none_or(|set| set == b"utf-8")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn copy(data: &str, mark: &str) -> Option<String> {
        keep_both_copy(data.as_bytes(), "new", mark).map(|copy| String::from_utf8(copy).unwrap())
    }

    #[test]
    fn a_card_gets_another_uid_and_a_mark() {
        let card = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID;X=1:a\r\n b\r\nitem1.FN:An\r\n na\r\nNOTE:a\r\n b\r\nEND:VCARD\r\n";
        let marked = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:new\r\nitem1.FN:Anna (phone\\, \\;\\\\\\n1)\r\nNOTE:a\r\n b\r\nEND:VCARD\r\n";
        assert_eq!(copy(card, "phone, ;\\\n1").unwrap(), marked);
    }

    #[test]
    fn each_component_of_an_event_does_but_not_its_alarms_and_time_zones() {
        let event = "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:x\nSUMMARY:z\nEND:VTIMEZONE\nBEGIN:VEVENT\nUID:e\nSUMMARY:a\n\
            BEGIN:VALARM\nUID:al\nSUMMARY:b\nEND:VALARM\nEND:VEVENT\nBEGIN:VEVENT\nUID:e\nRECURRENCE-ID:2\nSUMMARY:c\n\
            END:VEVENT\nEND:VCALENDAR\n";
        let marked =
            event.replace("UID:e", "UID:new").replace("RY:a", "RY:a (m)").replace("RY:c", "RY:c (m)");
        assert_eq!(copy(event, "m").unwrap(), marked);
    }

    #[test]
    fn a_long_title_is_folded_between_characters() {
        let name = "ä".repeat(60);
        let card = format!("BEGIN:VCARD\nUID:a\nFN:{name}\nEND:VCARD\n");
        let copy = copy(&card, "ö".repeat(40).as_str()).unwrap();
        assert!(copy.lines().all(|line| line.len() <= FOLD), "{copy}");
        assert!(copy.lines().filter(|line| line.len() >= FOLD - 1).count() >= 2, "{copy}");
        let lines: Vec<_> = crate::lines::Lines::new(copy.as_bytes()).collect();
        assert_eq!(lines[2], format!("FN:{name} ({})", "ö".repeat(40)).as_bytes());
    }

    #[test]
    fn an_old_card_keeps_its_soft_breaks_and_knows_no_escapes() {
        let card = "BEGIN:VCARD\r\nVERSION:2.1\r\nUID:a\r\nFN;ENCODING=QUOTED-PRINTABLE:M=C3=\r\n=BC\r\nEND:VCARD\r\n";
        let marked = copy(card, "é, 1").unwrap();
        assert!(
            marked.contains("FN;ENCODING=QUOTED-PRINTABLE:M=C3=\r\n=BC=\r\n=20=28=C3=A9=2C=20=31=29\r\nEND"),
            "{marked}"
        );
        let plain = card.replace("ENCODING=QUOTED-PRINTABLE", "CHARSET=ISO-8859-1").replace("=\r\n", "");
        assert!(copy(&plain, "é, 1").unwrap().contains(":M=C3=BC (?, 1)\r\n"));
        assert!(copy(card, &"x".repeat(200)).unwrap().lines().all(|line| line.len() <= 76));
    }

    #[test]
    fn what_has_no_uid_or_no_text_has_no_copy() {
        for data in [
            "BEGIN:VCARD\nFN:a\nEND:VCARD\n",
            "BEGIN:VCARD\nUID:a\nUID:b\nFN:a\nEND:VCARD\n",
            "BEGIN:VCARD\nUID:a\nFN;ENCODING=b:YQ==\nEND:VCARD\n",
            "BEGIN:VCALENDAR\nUID:a\nBEGIN:VEVENT\nEND:VEVENT\nEND:VCALENDAR\n",
            "BEGIN:VEVENT\nUID:a\nEND:VEVENT\n",
            "no card",
        ] {
            assert_eq!(copy(data, "m"), None, "{data}");
        }
        for uid in ["", " a", "a\nb", "a\u{0}"] {
            assert_eq!(keep_both_copy(b"BEGIN:VCARD\nUID:a\nEND:VCARD\n", uid, "m"), None);
        }
        assert_eq!(copy("BEGIN:VCARD\nUID:a\nEND:VCARD", "m").unwrap(), "BEGIN:VCARD\nUID:new\nEND:VCARD");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_mark_stays_within_the_title(mark in "\\PC*|[,;:=\\\\\r\nB-Eä ]*", version in "[234]\\.[01]") {
            let card = format!("BEGIN:VCARD\nVERSION:{version}\nUID:a\nFN:b\nTEL:1\nEND:VCARD\n");
            let copy = copy(&card, &mark).unwrap();
            let document = Component::read(copy.as_bytes()).unwrap();
            let names: Vec<_> = document.properties().map(Property::name).collect();
            prop_assert_eq!(names, [&b"VERSION"[..], b"UID", b"FN", b"TEL"]);
        }
    }
}
