//! Canonical form of an item: equal for contents that mean the same.
//!
//! Servers reorder properties, fold lines elsewhere and stamp times; none of that is an edit. The
//! digest is taken over a form without such differences; the item itself is never rewritten.
//! vCard and iCalendar are known, other formats are compared byte by byte. So is a document whose
//! components do not nest: a false difference costs one write, a false equality an edit.

use outrigger_protocol::RawDigest;
use sha2::{Digest as _, Sha256};

use crate::lines::{Line, Lines};
use crate::parameters::Parameters;
use crate::row::{Content, Digest, Key};

/// Components within components that are looked into; deeper documents are compared as bytes.
const MAX_DEPTH: usize = 16;

/// A UID longer than this (bytes) is represented by its digest, so that keys stay small.
const MAX_KEY: usize = 512;

/// Properties that servers and clients rewrite on their own.
const VOLATILE: [&[u8]; 8] = [
    b"PRODID",
    b"DTSTAMP",
    b"LAST-MODIFIED",
    b"CREATED",
    b"REV",
    b"METHOD",
    b"X-WR-CALNAME",
    b"X-RADICALE-NAME",
];

/// Formats with content lines.
const LINE_FORMATS: [&str; 8] =
    ["vcard", "vcard21", "vcard30", "vcard40", "text/vcard", "icalendar", "vcalendar", "text/calendar"];

/// What an item is, for comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical {
    /// Its digests.
    pub content: Content,
    /// The UID that it has, or that all its components share. `None`: it has none, or several, and
    /// its href takes the place (decisions S7). Not part of the digest.
    pub key: Option<Key>,
}

impl Canonical {
    /// The canonical form of `data`, which is in `format`. Never fails: what cannot be understood
    /// is compared byte by byte. Costs a pass over the data and, at worst, a sort of its lines.
    #[must_use]
    pub fn of(format: &str, data: &[u8]) -> Self {
        let raw = RawDigest::of(data);
        let opaque = || Self { content: Content { digest: Digest(raw.0), raw }, key: None };
        if !LINE_FORMATS.iter().any(|known| known.eq_ignore_ascii_case(format)) {
            return opaque();
        }
        match Document::digest(data) {
            Some((digest, key)) => Self { content: Content { digest, raw }, key },
            None => opaque(),
        }
    }
}

/// An open component: where its lines and the digests of its sub-components begin.
struct Component {
    name: Vec<u8>,
    lines: usize,
    children: usize,
}

/// A document being read. Lines live normalised in one arena; those of open components form a
/// stack of ranges, so that a whole document costs a handful of allocations.
#[derive(Default)]
struct Document {
    arena: Vec<u8>,
    lines: Vec<(usize, usize)>,
    children: Vec<[u8; 32]>,
    open: Vec<Component>,
    uids: Vec<Vec<u8>>,
    parameters: Parameters,
    /// Depth of the VTIMEZONE that is being skipped.
    skipping: Option<usize>,
}

impl Document {
    /// `None`: the components do not nest, or nest too deep.
    fn digest(data: &[u8]) -> Option<(Digest, Option<Key>)> {
        let mut document = Self { arena: Vec::with_capacity(data.len() + 64), ..Self::default() };
        for line in Lines::new(data) {
            document.line(&line)?;
        }
        document.finish()
    }

    fn line(&mut self, line: &[u8]) -> Option<()> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Some(());
        }
        let Some(parts) = Line::split(line) else { return self.keep(line) };
        if parts.name.eq_ignore_ascii_case(b"BEGIN") {
            return self.begin(parts.value);
        }
        if parts.name.eq_ignore_ascii_case(b"END") {
            return self.end(parts.value);
        }
        if self.skipping.is_some() || VOLATILE.iter().any(|name| name.eq_ignore_ascii_case(parts.base_name()))
        {
            return Some(());
        }
        if self.holds_uid() && parts.name.eq_ignore_ascii_case(b"UID") {
            self.uid(parts.value.trim_ascii());
            return Some(());
        }
        self.keep_parts(&parts)
    }

    /// An alarm's UID (RFC 9074) is no name of the item.
    fn holds_uid(&self) -> bool {
        match self.open.as_slice() {
            [_] => true,
            [outer, _] => outer.name == b"VCALENDAR",
            _ => false,
        }
    }

    fn uid(&mut self, uid: &[u8]) {
        if !uid.is_empty() && !self.uids.iter().any(|known| known == uid) {
            self.uids.push(uid.to_vec());
        }
    }

    fn begin(&mut self, name: &[u8]) -> Option<()> {
        if self.open.len() == MAX_DEPTH {
            return None;
        }
        let name = name.trim_ascii().to_ascii_uppercase();
        if name == b"VTIMEZONE" && self.skipping.is_none() {
            self.skipping = Some(self.open.len());
        }
        self.open.push(Component { name, lines: self.lines.len(), children: self.children.len() });
        Some(())
    }

    fn end(&mut self, name: &[u8]) -> Option<()> {
        let component = self.open.pop()?;
        if !component.name.eq_ignore_ascii_case(name.trim_ascii()) {
            return None;
        }
        match self.skipping {
            None => {
                let digest = self.close(&component);
                self.children.push(digest);
            }
            Some(depth) if depth == self.open.len() => self.skipping = None,
            Some(_) => {}
        }
        Some(())
    }

    /// The digest of a component: its name, its lines sorted, its sub-components sorted.
    fn close(&mut self, component: &Component) -> [u8; 32] {
        let arena = &self.arena;
        let text = |range: &(usize, usize)| arena.get(range.0..range.1).unwrap_or_default();
        let lines = self.lines.get_mut(component.lines..).unwrap_or_default();
        lines.sort_unstable_by(|a, b| text(a).cmp(text(b)));
        let children = self.children.get_mut(component.children..).unwrap_or_default();
        children.sort_unstable();

        let mut hash = Sha256::new();
        hash.update(&component.name);
        // No line holds a line end, so the form is unambiguous.
        for line in lines.iter() {
            hash.update(b"\n");
            hash.update(text(line));
        }
        for child in children.iter() {
            hash.update(b"\r");
            hash.update(child);
        }
        self.lines.truncate(component.lines);
        self.children.truncate(component.children);
        hash.finalize().into()
    }

    fn finish(mut self) -> Option<(Digest, Option<Key>)> {
        if !self.open.is_empty() || self.children.is_empty() {
            return None;
        }
        let key = match self.uids.as_slice() {
            [uid] => Some(key_of(uid)),
            [] => None,
            // Several items in one file: the UIDs are content then.
            _ => {
                let uids = std::mem::take(&mut self.uids);
                uids.iter().try_for_each(|uid| self.keep(uid))?;
                None
            }
        };
        let whole = Component { name: Vec::new(), lines: 0, children: 0 };
        match (self.lines.is_empty(), self.children.as_slice()) {
            (true, [only]) => Some((Digest(*only), key)),
            _ => Some((Digest(self.close(&whole)), key)),
        }
    }

    fn keep(&mut self, line: &[u8]) -> Option<()> {
        let from = self.arena.len();
        self.arena.extend_from_slice(line);
        self.push(from)
    }

    fn push(&mut self, from: usize) -> Option<()> {
        if self.skipping.is_none() {
            self.lines.push((from, self.arena.len()));
        }
        Some(())
    }

    fn keep_parts(&mut self, line: &Line<'_>) -> Option<()> {
        let from = self.arena.len();
        self.arena.extend(line.name.iter().map(u8::to_ascii_uppercase));
        let is_base64 = !line.parameters.is_empty() && self.keep_parameters(line.parameters);
        self.arena.push(b':');
        if is_base64 {
            self.arena.extend(line.value.iter().filter(|byte| !byte.is_ascii_whitespace()));
        } else {
            self.arena.extend_from_slice(line.value);
        }
        self.push(from)
    }

    /// Writes the parameters in order; returns whether the value is base64.
    fn keep_parameters(&mut self, parameters: &[u8]) -> bool {
        let is_base64 = self.parameters.read(parameters);
        self.parameters.write(&mut self.arena);
        is_base64
    }
}

fn key_of(uid: &[u8]) -> Key {
    if uid.len() <= MAX_KEY {
        return Key(uid.into());
    }
    Key(format!("sha256:{}", RawDigest::of(uid)).into_bytes().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn card(data: &str) -> Canonical {
        Canonical::of("vcard", data.as_bytes())
    }

    fn same(a: &str, b: &str) -> bool {
        card(a).content.digest == card(b).content.digest
    }

    const CARD: &str =
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u1\r\nFN:Anna\r\nTEL;TYPE=HOME,VOICE:1\r\nEND:VCARD\r\n";

    const EVENT: &str = "BEGIN:VCALENDAR\nPRODID:x\nBEGIN:VTIMEZONE\nTZID:Europe/Berlin\nBEGIN:STANDARD\n\
        DTSTART:1\nEND:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT\nUID:e1\nSUMMARY:a\nBEGIN:VALARM\nUID:al\nEND:VALARM\n\
        END:VEVENT\nBEGIN:VEVENT\nUID:e1\nRECURRENCE-ID:2\nSUMMARY:b\nEND:VEVENT\nEND:VCALENDAR\n";

    #[test]
    fn order_case_folding_and_line_ends_are_no_difference() {
        assert!(same(
            CARD,
            "begin:vcard\nfn:An\n na\ntel;type=voice;Type=\"home\":1\nuid:u1\nVersion:3.0\nEND:VCARD"
        ));
    }

    #[test]
    fn what_servers_stamp_is_no_difference() {
        let stamped = CARD.replace("FN:", "PRODID:-//x\r\nREV:20260101T000000Z\r\nitem1.CREATED:1\r\nFN:");
        assert!(same(CARD, &stamped));
    }

    #[test]
    fn a_value_is_a_difference_and_its_case_too() {
        assert!(!same(CARD, &CARD.replace("Anna", "anna")));
        assert!(!same(CARD, &CARD.replace("HOME", "WORK")));
        assert!(!same(CARD, &CARD.replace("FN:", "FN;X=1:")));
    }

    #[test]
    fn the_uid_is_the_key_and_no_content() {
        let other = CARD.replace("u1", "u2");
        assert!(same(CARD, &other));
        assert_eq!(card(CARD).key, Some(Key((*b"u1").into())));
        assert_eq!(card(&other).key, Some(Key((*b"u2").into())));
        assert_eq!(card(&CARD.replace("UID:u1\r\n", "")).key, None);
        assert_eq!(card(&CARD.replace("u1", "  ")).key, None);
    }

    #[test]
    fn white_space_in_base64_is_no_difference() {
        let photo = |value: &str| CARD.replace("FN:", &format!("PHOTO;ENCODING=b;TYPE=JPEG:{value}\r\nFN:"));
        assert!(same(&photo("AAAABBBB"), &photo("AAAA\r\n   BBBB")));
        assert!(!same(&photo("AAAABBBB"), &photo("AAAABBBA")));
    }

    #[test]
    fn recurrence_overrides_share_one_key_and_their_order_is_no_difference() {
        let first = Canonical::of("icalendar", EVENT.as_bytes());
        assert_eq!(first.key, Some(Key((*b"e1").into())));
        let (head, tail) = EVENT.split_at(EVENT.rfind("BEGIN:VEVENT").unwrap());
        let (second, end) = tail.split_at(tail.find("END:VCALENDAR").unwrap());
        let at = head.find("BEGIN:VEVENT").unwrap();
        let swapped = format!("{}{second}{}{end}", &head[..at], &head[at..]);
        assert_ne!(swapped, EVENT);
        assert_eq!(Canonical::of("icalendar", swapped.as_bytes()).content.digest, first.content.digest);
    }

    #[test]
    fn a_property_that_moves_to_another_component_is_a_difference() {
        let moved =
            EVENT.replace("SUMMARY:a\n", "").replace("RECURRENCE-ID:2\n", "RECURRENCE-ID:2\nSUMMARY:a\n");
        let of = |text: &str| Canonical::of("icalendar", text.as_bytes()).content.digest;
        assert_ne!(of(EVENT), of(&moved));
        assert_eq!(of(EVENT), of(&EVENT.replace("DTSTART:1", "DTSTART:2")), "time zones are dropped");
    }

    #[test]
    fn several_items_in_one_file_have_no_key_and_their_uids_are_content() {
        let two = EVENT.replacen("UID:e1", "UID:e0", 1);
        let three = EVENT.replacen("UID:e1", "UID:e3", 1);
        let of = |text: &str| Canonical::of("icalendar", text.as_bytes());
        assert_eq!(of(&two).key, None);
        assert_ne!(of(&two).content.digest, of(&three).content.digest);
    }

    #[test]
    fn what_does_not_nest_or_is_of_another_format_is_compared_as_bytes() {
        let deep = "BEGIN:X\n".repeat(40) + &"END:X\n".repeat(40);
        for (format, data) in [
            ("vcard", "BEGIN:VCARD\nFN:a\n"),
            ("vcard", "FN:a\n"),
            ("vcard", "BEGIN:VCARD\nEND:VEVENT"),
            ("vcard", ""),
            ("icalendar", deep.as_str()),
            ("file", CARD),
        ] {
            let canonical = Canonical::of(format, data.as_bytes());
            assert_eq!(canonical.content.digest.0, canonical.content.raw.0, "{format} {data:.40}");
            assert_eq!(canonical.key, None);
        }
    }

    #[test]
    fn a_long_uid_becomes_a_short_key() {
        let key = card(&CARD.replace("u1", &"x".repeat(5000))).key.unwrap();
        assert_eq!(key.0.len(), "sha256:".len() + 64);
    }

    /// What real files do: groups, quotes, soft breaks, bytes that are no UTF-8.
    fn corpus() -> Vec<Vec<u8>> {
        vec![
            CARD.into(),
            EVENT.into(),
            b"BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=ISO-8859-1:M\xfcller\r\nTEL;HOME;CELL:1\r\nEND:VCARD".to_vec(),
            b"BEGIN:VCARD\nNOTE;ENCODING=QUOTED-PRINTABLE:a=0D=0A=\nb\nEND:VCARD".to_vec(),
            b"BEGIN:VCARD\nitem1.EMAIL;type=\"A:b;c\",pref:x\nitem1.X-ABLabel:_$!<Other>!$_\nEND:VCARD".to_vec(),
            b"BEGIN:VCARD\nPHOTO;BASE64:\n AAAA\n BBBB\n\nEND:VCARD".to_vec(),
            b"BEGIN:VCALENDAR\r\rBEGIN:VTIMEZONE\rBEGIN:VTIMEZONE\rEND:VTIMEZONE\rEND:VTIMEZONE\rEND:VCALENDAR".to_vec(),
            b"\xef\xbb\xbfBEGIN:VCARD\n;:;:\n:\n;\n\"\nEND:VCARD\n ".to_vec(),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_mutation_panics_and_the_raw_digest_is_of_the_bytes(
            which in 0usize..8,
            edits in proptest::collection::vec((any::<u16>(), any::<u8>(), 0u8..4), 0..12),
        ) {
            let mut data = corpus().swap_remove(which);
            for (at, byte, how) in edits {
                let at = at as usize % (data.len() + 1);
                match how {
                    0 => data.insert(at, byte),
                    1 => data.insert(at, b"\r\n :;=,\"\t"[byte as usize % 9]),
                    2 if at < data.len() => { data.remove(at); }
                    _ => data.truncate(at.max(data.len() / 2)),
                }
            }
            for format in ["vcard", "icalendar", "file"] {
                prop_assert_eq!(Canonical::of(format, &data).content.raw, RawDigest::of(&data));
            }
        }

        #[test]
        fn folding_anywhere_is_no_difference(at in 1usize..60) {
            let at = at.min(CARD.len() - 3);
            let (head, tail) = CARD.split_at(at);
            prop_assume!(!head.ends_with(['\r', '\n']) && !tail.starts_with(['\r', '\n']));
            let folded = [head, tail].join("\r\n ");
            prop_assert!(same(CARD, &folded));
        }
    }
}
