//! Document: a vCard or iCalendar object as a tree over its own bytes.
//!
//! Each part knows the bytes that it takes and the form in which it is compared, so that parts of
//! one document can be put into another without writing anything anew. Whatever is not plainly
//! understood has no tree: it is taken over whole, or not at all.

use std::borrow::Cow;

use outrigger_protocol::limits;
use sha2::{Digest as _, Sha256};

use crate::lines::Line;
use crate::parameters::Parameters;
use crate::pieces::{Piece, pieces};

/// Components within components.
const MAX_DEPTH: usize = 16;

/// A property: one line, unfolded.
#[derive(Debug, Clone)]
pub(crate) struct Property<'a> {
    /// Its bytes: with folds, line end, and blank lines behind it.
    pub(crate) raw: &'a [u8],
    text: Cow<'a, [u8]>,
    normal: Vec<u8>,
    name: usize,
}

impl Property<'_> {
    /// The parts as they were written.
    pub(crate) fn line(&self) -> Line<'_> {
        Line::split(&self.text).unwrap_or(Line { name: b"", parameters: b"", value: b"" })
    }

    /// Unfolded, otherwise as it was written.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Equal for properties that mean the same.
    pub(crate) fn normal(&self) -> &[u8] {
        &self.normal
    }

    /// In upper case, with its group.
    pub(crate) fn name(&self) -> &[u8] {
        self.normal.get(..self.name).unwrap_or_default()
    }

    /// In upper case: `TEL` of `item1.TEL`.
    pub(crate) fn base_name(&self) -> &[u8] {
        self.name().rsplit(|byte| *byte == b'.').next().unwrap_or_default()
    }

    /// Whether programs write it on their own. SEQUENCE is content to the canonical form, but no
    /// person's edit.
    pub(crate) fn is_stamp(&self) -> bool {
        VOLATILE.contains(&self.base_name()) || self.name() == SEQUENCE
    }

    /// In upper case: `ITEM1` of `item1.TEL`.
    pub(crate) fn group(&self) -> Option<&[u8]> {
        let dot = self.name().iter().rposition(|byte| *byte == b'.')?;
        self.name().get(..dot)
    }
}

/// A component, from its BEGIN to its END.
#[derive(Debug, Clone)]
pub(crate) struct Component<'a> {
    /// In upper case.
    pub(crate) name: Vec<u8>,
    /// All its bytes.
    pub(crate) raw: &'a [u8],
    /// The bytes of its first line.
    pub(crate) begin: &'a [u8],
    /// The bytes of its last line.
    pub(crate) end: &'a [u8],
    /// What stands between them.
    pub(crate) parts: Vec<Part<'a>>,
    /// Equal for components that mean the same, as the canonical form has it.
    pub(crate) digest: [u8; 32],
    from: usize,
}

impl<'a> Component<'a> {
    pub(crate) fn properties(&self) -> impl Iterator<Item = &Property<'a>> {
        self.parts.iter().filter_map(|part| match part {
            Part::Property(property) => Some(property),
            Part::Component(_) => None,
        })
    }

    pub(crate) fn components(&self) -> impl Iterator<Item = &Self> {
        self.parts.iter().filter_map(|part| match part {
            Part::Property(_) => None,
            Part::Component(component) => Some(component),
        })
    }

    /// The first property of that name.
    pub(crate) fn property(&self, name: &[u8]) -> Option<&Property<'a>> {
        self.properties().find(|property| property.name() == name)
    }

    pub(crate) fn is_time_zone(&self) -> bool {
        self.name == b"VTIMEZONE"
    }

    /// The UID of an item or of a part that has a life of its own. An alarm is known by its content:
    /// few programs give it a UID, and some a new one each time.
    pub(crate) fn uid(&self) -> Option<&[u8]> {
        let uid = self.property(b"UID").filter(|_| self.name != b"VALARM")?;
        Some(uid.line().value.trim_ascii()).filter(|uid| !uid.is_empty())
    }

    /// How the line begins that says which occurrence it replaces, as it is compared.
    pub(crate) fn recurrence(&self) -> Option<&[u8]> {
        self.property(b"RECURRENCE-ID").map(|property| property.normal.as_slice())
    }

    /// What it is found by in another copy of the document. `None`: by its content.
    pub(crate) fn identity(&self) -> Option<Vec<u8>> {
        if self.is_time_zone() {
            let zone = self.property(b"TZID").map_or(&b""[..], |name| name.line().value.trim_ascii());
            return Some([b"VTIMEZONE:", zone].concat());
        }
        let uid = self.uid()?;
        // None of the three holds a line end.
        Some([&self.name, uid, self.recurrence().unwrap_or_default()].join(&b'\n'))
    }
}

/// What a component is made of.
#[derive(Debug, Clone)]
pub(crate) enum Part<'a> {
    Property(Property<'a>),
    Component(Component<'a>),
}

impl<'a> Part<'a> {
    pub(crate) fn raw(&self) -> &'a [u8] {
        match self {
            Self::Property(property) => property.raw,
            Self::Component(component) => component.raw,
        }
    }

    /// Whether it is compared as lines are: a property but a stamp, a component without an identity.
    pub(crate) fn is_line(&self) -> bool {
        match self {
            Self::Property(property) => !property.is_stamp(),
            Self::Component(component) => component.identity().is_none(),
        }
    }

    /// Equal for parts that mean the same.
    pub(crate) fn normal(&self) -> &[u8] {
        match self {
            Self::Property(property) => &property.normal,
            Self::Component(component) => &component.digest,
        }
    }
}

impl<'a> Component<'a> {
    /// The one component that `data` is. `None`: it is not exactly one, its components do not nest, a
    /// line in it is no content line, or it is larger than any item may be.
    pub(crate) fn read(data: &'a [u8]) -> Option<Self> {
        if data.len() > limits::MAX_ITEM {
            return None;
        }
        let mut reader = Reader { data, open: Vec::new(), root: None, parameters: Parameters::default() };
        for piece in pieces(data)? {
            reader.piece(piece)?;
        }
        reader.root.filter(|_| reader.open.is_empty())
    }
}

struct Reader<'a> {
    data: &'a [u8],
    open: Vec<Component<'a>>,
    root: Option<Component<'a>>,
    parameters: Parameters,
}

impl<'a> Reader<'a> {
    fn piece(&mut self, piece: Piece<'a>) -> Option<()> {
        let line = Line::split(&piece.text).filter(|line| is_name(line.name))?;
        if line.name.eq_ignore_ascii_case(b"BEGIN") {
            return self.begin(&piece, line.value.trim_ascii().to_ascii_uppercase());
        }
        if line.name.eq_ignore_ascii_case(b"END") {
            return self.end(&piece, line.value.trim_ascii());
        }
        let property = self.property(piece)?;
        self.open.last_mut()?.parts.push(Part::Property(property));
        Some(())
    }

    fn begin(&mut self, piece: &Piece<'a>, name: Vec<u8>) -> Option<()> {
        if self.open.len() == MAX_DEPTH || self.root.is_some() {
            return None;
        }
        let (begin, from) = (self.data.get(piece.from..piece.to)?, piece.from);
        let (raw, end, parts, digest) = (begin, begin, Vec::new(), [0; 32]);
        self.open.push(Component { name, raw, begin, end, parts, digest, from });
        Some(())
    }

    fn end(&mut self, piece: &Piece<'a>, name: &[u8]) -> Option<()> {
        let mut component = self.open.pop().filter(|open| open.name.eq_ignore_ascii_case(name))?;
        component.end = self.data.get(piece.from..piece.to)?;
        component.raw = self.data.get(component.from..piece.to)?;
        component.digest = digest(&component);
        match self.open.last_mut() {
            Some(outer) => outer.parts.push(Part::Component(component)),
            None => self.root = Some(component),
        }
        Some(())
    }

    fn property(&mut self, piece: Piece<'a>) -> Option<Property<'a>> {
        let line = Line::split(&piece.text)?;
        let mut normal = line.name.to_ascii_uppercase();
        let is_base64 = self.parameters.read(line.parameters);
        self.parameters.write(&mut normal);
        normal.push(b':');
        normal.extend(line.value.iter().filter(|byte| !is_base64 || !byte.is_ascii_whitespace()));
        let (raw, name) = (self.data.get(piece.from..piece.to)?, line.name.len());
        Some(Property { raw, normal, name, text: piece.text })
    }
}

/// Letters and digits, `-`, `_`, and the `.` behind a group.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Properties that programs rewrite on their own: no difference to the canonical form.
pub(crate) const VOLATILE: [&[u8]; 8] = [
    b"PRODID",
    b"DTSTAMP",
    b"LAST-MODIFIED",
    b"CREATED",
    b"REV",
    b"METHOD",
    b"X-WR-CALNAME",
    b"X-RADICALE-NAME",
];

/// Counts revisions of a component that others were told about.
pub(crate) const SEQUENCE: &[u8] = b"SEQUENCE";

/// Over all that is a difference, in an order of its own.
fn digest(component: &Component<'_>) -> [u8; 32] {
    let counts = |part: &&Part<'_>| match part {
        Part::Property(property) => !VOLATILE.contains(&property.base_name()),
        Part::Component(inner) => !inner.is_time_zone(),
    };
    let mut parts: Vec<&[u8]> = component.parts.iter().filter(counts).map(Part::normal).collect();
    parts.sort_unstable();
    let mut hash = Sha256::new_with_prefix(&component.name);
    for part in parts {
        hash.update([b'\n']);
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::Canonical;
    use crate::pieces::MAX_LINES;

    const CARD: &[u8] = b"BEGIN:VCARD\r\nFN:An\r\n na\r\n\r\nitem1.tel;Type=HOME:1\r\nEND:VCARD\r\n";

    #[test]
    fn parts_together_are_the_document() {
        let card = Component::read(CARD).unwrap();
        let raw: Vec<&[u8]> = card.parts.iter().map(Part::raw).collect();
        assert_eq!(raw, [&b"FN:An\r\n na\r\n\r\n"[..], b"item1.tel;Type=HOME:1\r\n"]);
        assert_eq!([card.begin, &raw.concat(), card.end].concat(), CARD);
        assert_eq!(card.raw, CARD);
    }

    #[test]
    fn a_property_has_a_group_a_name_and_a_normal_form() {
        let card = Component::read(CARD).unwrap();
        let tel = card.property(b"ITEM1.TEL").unwrap();
        assert_eq!((tel.group(), tel.base_name()), (Some(&b"ITEM1"[..]), &b"TEL"[..]));
        assert_eq!(tel.normal, b"ITEM1.TEL;TYPE=home:1");
    }

    #[test]
    fn what_is_not_plainly_one_object_has_no_tree() {
        let deep = [b"BEGIN:X\n".repeat(17), b"END:X\n".repeat(17)].concat();
        let long = [b"BEGIN:X\n".to_vec(), b"A:\n".repeat(MAX_LINES), b"END:X\n".to_vec()].concat();
        let large = [b"BEGIN:X\nA:".to_vec(), vec![b'a'; limits::MAX_ITEM], b"\nEND:X\n".to_vec()].concat();
        for data in [&deep, &long, &large] {
            assert!(Component::read(data).is_none());
        }
        for data in
            ["", "FN:a", "BEGIN:X", "BEGIN:X\nEND:Y", "BEGIN:X\nno colon\nEND:X", "BEGIN:X\nä:\nEND:X"]
        {
            assert!(Component::read(data.as_bytes()).is_none(), "{data}");
        }
        assert!(Component::read(&CARD.repeat(2)).is_none());
        assert!(
            Component::read(b"BEGIN:X\nA:1\n\n B:1\nEND:X\n").is_none(),
            "B would become a part of another line"
        );
    }

    #[test]
    fn what_is_volatile_here_is_volatile_to_the_canonical_form() {
        let with = |name: &[u8]| [b"BEGIN:VCARD\n", name, b":20240101T000000Z\nEND:VCARD\n"].concat();
        let digests = |name: &[u8]| {
            let data = with(name);
            (Canonical::of("vcard", &data).content.digest, Component::read(&data).unwrap().digest)
        };
        for name in VOLATILE {
            assert_eq!(digests(name), digests(b"PRODID"));
        }
        assert_ne!(digests(b"SEQUENCE").0, digests(b"REV").0);
        assert_ne!(digests(b"SEQUENCE").1, digests(b"REV").1);
    }
}
