//! Packed: a row in little memory.
//!
//! A run holds all rows of a collection. A [`Row`] is comfortable but large (two digests twice for
//! every member); here a row is one allocation, in which whatever equals what was agreed takes no
//! place, and what is rare costs a pointer.

use outrigger_protocol::{Href, RawDigest, Revision};

use crate::row::{
    Conflict, Content, Digest, Entry, Key, MemberIndex, Observed, Quarantine, Row, RowId, Supplied,
};
use crate::varint::{self, Reader};

/// A row, packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Number, version, key, base, then the entries in the order of members.
    bytes: Box<[u8]>,
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rare {
    supplied: Option<Box<Supplied>>,
    conflict: Option<Conflict>,
    quarantine: Vec<Quarantine>,
}

/// Bits of the byte that an entry begins with; zero: no entry.
const ENTRY: u8 = 1;
const PRESENT: u8 = 2;
const SETTLED: u8 = 4;
const REWRITTEN: u8 = 8;
/// It has the row's version.
const CURRENT: u8 = 16;
/// What is agreed with it is the base.
const IS_BASE: u8 = 32;
/// It was seen to hold what is agreed with it.
const IS_AGREED: u8 = 64;

impl From<Row> for Packed {
    fn from(row: Row) -> Self {
        let mut bytes = Vec::with_capacity(512);
        varint::write(&mut bytes, row.id.0);
        varint::write(&mut bytes, row.version);
        varint::write_bytes(&mut bytes, &row.key.0);
        bytes.push(u8::from(row.base.is_some()));
        write_content(&mut bytes, row.base);
        for entry in &row.entries {
            match entry {
                Some(entry) => write_entry(&mut bytes, entry, row.version, row.base),
                None => bytes.push(0),
            }
        }
        let is_rare = row.supplied.is_some() || row.conflict.is_some() || !row.quarantine.is_empty();
        let rare = is_rare.then(|| {
            Box::new(Rare { supplied: row.supplied, conflict: row.conflict, quarantine: row.quarantine })
        });
        Self { bytes: bytes.into(), rare }
    }
}

fn write_content(bytes: &mut Vec<u8>, content: Option<Content>) {
    if let Some(Content { digest, raw }) = content {
        bytes.extend_from_slice(&digest.0);
        bytes.extend_from_slice(&raw.0);
    }
}

fn write_entry(bytes: &mut Vec<u8>, entry: &Entry, version: u64, base: Option<Content>) {
    let (is_current, is_base) = (entry.have == version, base == Some(entry.agreed));
    let (revision, settled, seen) = match &entry.observed {
        Observed::Present { revision, settled, content } => (Some(revision), *settled, Some(*content)),
        Observed::Gone => (None, false, None),
    };
    let is_agreed = seen == Some(entry.agreed);
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let flags = [
        flag(revision.is_some(), PRESENT),
        flag(settled, SETTLED),
        flag(entry.rewritten, REWRITTEN),
        flag(is_current, CURRENT),
        flag(is_base, IS_BASE),
        flag(is_agreed, IS_AGREED),
    ];
    bytes.push(flags.into_iter().fold(ENTRY, |all, flag| all | flag));
    varint::write_bytes(bytes, entry.href.as_bytes());
    if let Some(revision) = revision {
        varint::write_bytes(bytes, revision.as_bytes());
    }
    if !is_current {
        varint::write(bytes, entry.have);
    }
    write_content(bytes, Some(entry.agreed).filter(|_| !is_base));
    write_content(bytes, seen.filter(|_| !is_agreed));
}

/// What a packed row last saw at a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen<'a> {
    /// No entry.
    Never,
    Gone,
    Present {
        revision: &'a [u8],
        settled: bool,
        content: Content,
    },
}

/// One entry of a packed row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryView<'a> {
    flags: u8,
    pub(crate) href: &'a [u8],
    revision: &'a [u8],
    have: u64,
    base: Option<PackedContent<'a>>,
    agreed: PackedContent<'a>,
    seen: Option<PackedContent<'a>>,
}

/// Both digests of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PackedContent<'a>(&'a [u8; 32], &'a [u8; 32]);

impl PackedContent<'_> {
    const fn content(self) -> Content {
        Content { digest: Digest(*self.0), raw: RawDigest(*self.1) }
    }

    fn is_alike(self, other: Self) -> bool {
        self.0 == other.0
    }
}

impl<'a> EntryView<'a> {
    pub(crate) fn seen(&self) -> Seen<'a> {
        let settled = self.flags & SETTLED != 0;
        match self.seen {
            None => Seen::Gone,
            Some(seen) => Seen::Present { revision: self.revision, settled, content: seen.content() },
        }
    }

    pub(crate) fn is_present(&self) -> bool {
        self.seen.is_some()
    }

    fn is_rewritten(&self) -> bool {
        self.flags & REWRITTEN != 0
    }

    fn is_current(&self) -> bool {
        self.flags & CURRENT != 0
    }

    fn entry(&self) -> Entry {
        let observed = match self.seen() {
            Seen::Present { revision, settled, content } => {
                Observed::Present { revision: Revision::from(revision), settled, content }
            }
            Seen::Gone | Seen::Never => Observed::Gone,
        };
        let (href, agreed, have) = (Href::from(self.href), self.agreed.content(), self.have);
        Entry { href, agreed, have, rewritten: self.is_rewritten(), observed }
    }

    /// Whether it holds what was agreed, as it was agreed or as the member is known to store that.
    fn is_at_rest(&self) -> bool {
        let Some(base) = self.base else { return false };
        let is_same = self.seen.is_some_and(|seen| seen.is_alike(self.agreed));
        let is_alike = self.agreed.is_alike(base) || self.is_rewritten();
        self.is_current() && self.have > 0 && is_same && is_alike
    }

    /// The member did not say what it stored, and was not looked at since (decisions S4).
    /// Told by the flag being set while nothing else than what was sent is agreed.
    pub(crate) fn owes_read_back(&self) -> bool {
        let is_what_was_sent = self.base.is_some_and(|base| base.is_alike(self.agreed));
        self.is_rewritten() && self.is_current() && is_what_was_sent
    }
}

/// The part of a packed row that comes before its entries.
struct Head<'a> {
    id: u64,
    version: u64,
    key: &'a [u8],
    base: Option<PackedContent<'a>>,
}

fn read_content<'a>(reader: &mut Reader<'a>) -> PackedContent<'a> {
    PackedContent(reader.array(), reader.array())
}

impl Packed {
    fn parse(&self) -> (Head<'_>, Reader<'_>) {
        let mut reader = Reader::new(&self.bytes);
        let (id, version, key) = (reader.number(), reader.number(), reader.bytes());
        let base = (reader.byte() != 0).then(|| read_content(&mut reader));
        (Head { id, version, key, base }, reader)
    }

    fn head(&self) -> Head<'_> {
        self.parse().0
    }

    /// All entries, in the order of members.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Option<EntryView<'_>>> {
        let (head, mut reader) = self.parse();
        std::iter::from_fn(move || (!reader.is_empty()).then(|| read_entry(&mut reader, &head)))
    }

    /// What the item is called, in the order of members.
    pub(crate) fn hrefs(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.entries().map(|entry| entry.map(|entry| entry.href))
    }

    pub(crate) fn entry(&self, member: MemberIndex) -> Option<EntryView<'_>> {
        self.entries().nth(member.index()).flatten()
    }

    pub(crate) fn row(&self) -> Row {
        let head = self.head();
        let rare = self.rare.as_deref();
        Row {
            id: RowId(head.id),
            key: Key(head.key.into()),
            version: head.version,
            base: head.base.map(PackedContent::content),
            entries: self.entries().map(|entry| entry.map(|entry| entry.entry())).collect(),
            supplied: rare.and_then(|rare| rare.supplied.clone()),
            conflict: rare.and_then(|rare| rare.conflict.clone()),
            quarantine: rare.map(|rare| rare.quarantine.clone()).unwrap_or_default(),
        }
    }

    pub(crate) fn id(&self) -> RowId {
        RowId(self.head().id)
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.head().key
    }

    pub(crate) fn is_quarantined(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.quarantine.is_empty())
    }

    pub(crate) fn href(&self, member: MemberIndex) -> Option<&[u8]> {
        self.entry(member).map(|entry| entry.href)
    }

    pub(crate) fn seen(&self, member: MemberIndex) -> Seen<'_> {
        self.entry(member).map_or(Seen::Never, |entry| entry.seen())
    }

    pub(crate) fn is_present(&self, member: MemberIndex) -> bool {
        matches!(self.seen(member), Seen::Present { .. })
    }

    pub(crate) fn owes_read_back(&self, member: MemberIndex) -> bool {
        self.entry(member).is_some_and(|entry| entry.owes_read_back())
    }

    /// Whether all members hold what was agreed and nothing is open: the common case, told without
    /// unpacking.
    pub(crate) fn is_at_rest(&self) -> bool {
        let is_quiet = |entry: Option<EntryView<'_>>| entry.is_some_and(|entry| entry.is_at_rest());
        self.rare.is_none() && self.entries().all(is_quiet)
    }
}

fn read_entry<'a>(reader: &mut Reader<'a>, head: &Head<'a>) -> Option<EntryView<'a>> {
    let flags = reader.byte();
    if flags & ENTRY == 0 {
        return None;
    }
    let is = |flag: u8| flags & flag != 0;
    let href = reader.bytes();
    let revision = if is(PRESENT) { reader.bytes() } else { &[] };
    let have = if is(CURRENT) { head.version } else { reader.number() };
    let agreed = head.base.filter(|_| is(IS_BASE)).unwrap_or_else(|| read_content(reader));
    let seen = match (is(PRESENT), is(IS_AGREED)) {
        (false, _) => None,
        (true, true) => Some(agreed),
        (true, false) => Some(read_content(reader)),
    };
    Some(EntryView { flags, href, revision, have, base: head.base, agreed, seen })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(byte: u8) -> Content {
        Content { digest: Digest([byte; 32]), raw: RawDigest([byte; 32]) }
    }

    fn entry(seen: u8) -> Entry {
        Entry {
            href: Href::from("0123456789abcdef0123456789abcdef.vcf"),
            agreed: content(1),
            have: 3,
            rewritten: seen == 9,
            observed: Observed::Present {
                revision: Revision::from("0123456789abcdef-0123456789abcdef"),
                settled: seen != 9,
                content: content(seen),
            },
        }
    }

    fn row(seen: &[u8]) -> Row {
        Row {
            id: RowId(7),
            key: Key((*b"0123456789abcdef0123456789abcdef").into()),
            version: 3,
            base: Some(content(1)),
            entries: seen.iter().map(|seen| Some(entry(*seen))).collect(),
            supplied: None,
            conflict: None,
            quarantine: Vec::new(),
        }
    }

    #[test]
    fn packing_loses_nothing() {
        let mut open = row(&[2, 9, 1]);
        open.conflict = Some(Conflict { contents: vec![None, Some(content(4)), None] });
        open.quarantine = vec![Quarantine { member: MemberIndex(1), reason: "why".into() }];
        let mut gone = row(&[1, 1]);
        gone.entries[0] = None;
        if let Some(entry) = &mut gone.entries[1] {
            entry.observed = Observed::Gone;
            entry.have = 300;
        }
        let mut tombstone = row(&[1, 5]);
        tombstone.base = None;
        let data = b"x".to_vec();
        tombstone.supplied = Some(Box::new(Supplied { content: content(8), format: "f".into(), data }));
        for row in [row(&[1, 1]), row(&[1; 100]), open, gone, tombstone] {
            assert_eq!(Packed::from(row.clone()).row(), row);
        }
    }

    #[test]
    fn a_row_at_rest_is_known_without_unpacking() {
        assert!(Packed::from(row(&[1, 1])).is_at_rest());
        assert!(!Packed::from(row(&[1, 1, 2])).is_at_rest());
        let mut quarantined = row(&[1, 1]);
        quarantined.quarantine.push(Quarantine { member: MemberIndex(0), reason: "x".into() });
        assert!(!Packed::from(quarantined).is_at_rest());
        let mut behind = row(&[1, 1, 1]);
        behind.version = 4;
        assert!(!Packed::from(behind).is_at_rest());
        let mut never = row(&[1, 1, 1]);
        never.entries[1] = None;
        assert!(!Packed::from(never).is_at_rest());
    }
}
