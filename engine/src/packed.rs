//! Packed: a row in little memory.
//!
//! A run holds all rows of a collection. A [`Row`] is comfortable but large (two digests four
//! times); here href and revision share one allocation, and what equals the agreed content, or is
//! rare, costs a pointer.

use outrigger_protocol::{Href, Revision};

use crate::row::{Conflict, Content, Entry, Key, Observed, Row, RowId, Side};

/// A row, packed.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    id: RowId,
    key: Key,
    version: u64,
    halves: [Option<Half>; 2],
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Clone)]
struct Half {
    /// Href, then revision.
    names: Box<[u8]>,
    /// Length of the href.
    cut: u32,
    flags: u8,
    have: u64,
    agreed: Content,
    /// The observed content, where it differs from the agreed one.
    seen: Option<Box<Content>>,
}

#[derive(Debug, Clone)]
struct Rare {
    conflict: Option<Conflict>,
    quarantine: Option<String>,
}

const PRESENT: u8 = 1;
const SETTLED: u8 = 2;
const REWRITTEN: u8 = 4;

impl From<Row> for Packed {
    fn from(row: Row) -> Self {
        let rare = (row.conflict.is_some() || row.quarantine.is_some())
            .then(|| Box::new(Rare { conflict: row.conflict, quarantine: row.quarantine }));
        let halves = row.entries.map(|entry| entry.map(Half::from));
        Self { id: row.id, key: row.key, version: row.version, halves, rare }
    }
}

impl From<Entry> for Half {
    fn from(entry: Entry) -> Self {
        let mut names = entry.href.0.into_vec();
        // An href beyond 4 GiB cannot arrive: frames are far smaller.
        let cut = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let mut flags = if entry.rewritten { REWRITTEN } else { 0 };
        let mut seen = None;
        if let Observed::Present { revision, settled, content } = entry.observed {
            names.extend_from_slice(revision.as_bytes());
            flags |= PRESENT | if settled { SETTLED } else { 0 };
            seen = (content != entry.agreed).then(|| Box::new(content));
        }
        Self { names: names.into(), cut, flags, have: entry.have, agreed: entry.agreed, seen }
    }
}

impl Half {
    fn names(&self) -> (&[u8], &[u8]) {
        self.names.split_at_checked(self.cut as usize).unwrap_or((&self.names, &[]))
    }

    fn content(&self) -> Content {
        self.seen.as_deref().copied().unwrap_or(self.agreed)
    }

    fn entry(&self) -> Entry {
        let (href, revision) = self.names();
        let observed = if self.flags & PRESENT == 0 {
            Observed::Gone
        } else {
            let settled = self.flags & SETTLED != 0;
            Observed::Present { revision: Revision::from(revision), settled, content: self.content() }
        };
        Entry {
            href: Href::from(href),
            agreed: self.agreed,
            have: self.have,
            rewritten: self.flags & REWRITTEN != 0,
            observed,
        }
    }
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

impl Packed {
    pub(crate) fn row(&self) -> Row {
        let rare = self.rare.as_deref();
        Row {
            id: self.id,
            key: self.key.clone(),
            version: self.version,
            entries: [0, 1].map(|side| self.halves[side].as_ref().map(Half::entry)),
            conflict: rare.and_then(|rare| rare.conflict.clone()),
            quarantine: rare.and_then(|rare| rare.quarantine.clone()),
        }
    }

    pub(crate) fn id(&self) -> RowId {
        self.id
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key.0
    }

    pub(crate) fn is_quarantined(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.quarantine.is_some())
    }

    pub(crate) fn href(&self, side: Side) -> Option<&[u8]> {
        self.halves[side.index()].as_ref().map(|half| half.names().0)
    }

    pub(crate) fn seen(&self, side: Side) -> Seen<'_> {
        match &self.halves[side.index()] {
            None => Seen::Never,
            Some(half) if half.flags & PRESENT == 0 => Seen::Gone,
            Some(half) => Seen::Present {
                revision: half.names().1,
                settled: half.flags & SETTLED != 0,
                content: half.content(),
            },
        }
    }

    /// The member did not say what it stored, and was not looked at since (decisions S4).
    /// Told by the flag being set while nothing else than what was sent is agreed.
    pub(crate) fn owes_read_back(&self, side: Side) -> bool {
        let [Some(a), Some(b)] = &self.halves else { return false };
        let half = if side == Side::A { a } else { b };
        half.flags & REWRITTEN != 0 && half.have == self.version && a.agreed.digest == b.agreed.digest
    }

    /// Whether both members hold what was agreed and nothing is open: the common case, told without
    /// unpacking.
    pub(crate) fn is_at_rest(&self) -> bool {
        let quiet = |half: &Option<Half>| {
            half.as_ref().is_some_and(|half| {
                half.flags & PRESENT != 0
                    && half.have == self.version
                    && half.have > 0
                    && half.seen.as_ref().is_none_or(|seen| seen.digest == half.agreed.digest)
            })
        };
        let [a, b] = &self.halves;
        let alike = match (a, b) {
            (Some(a), Some(b)) => a.agreed.digest == b.agreed.digest || (a.flags | b.flags) & REWRITTEN != 0,
            _ => false,
        };
        alike && self.rare.is_none() && quiet(a) && quiet(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Digest;
    use outrigger_protocol::RawDigest;

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

    fn row(a: u8, b: u8) -> Row {
        Row {
            id: RowId(7),
            key: Key((*b"0123456789abcdef0123456789abcdef").into()),
            version: 3,
            entries: [Some(entry(a)), Some(entry(b))],
            conflict: None,
            quarantine: None,
        }
    }

    #[test]
    fn packing_loses_nothing() {
        let mut open = row(2, 9);
        open.conflict = Some(Conflict { contents: [None, Some(content(4))] });
        open.quarantine = Some("why".into());
        let mut gone = row(1, 1);
        gone.entries[0] = None;
        if let Some(entry) = &mut gone.entries[1] {
            entry.observed = Observed::Gone;
        }
        for row in [row(1, 1), open, gone] {
            assert_eq!(Packed::from(row.clone()).row(), row);
        }
    }

    #[test]
    fn a_row_at_rest_is_known_without_unpacking() {
        assert!(Packed::from(row(1, 1)).is_at_rest());
        assert!(!Packed::from(row(2, 1)).is_at_rest());
        let mut quarantined = row(1, 1);
        quarantined.quarantine = Some("x".into());
        assert!(!Packed::from(quarantined).is_at_rest());
    }

    /// 10,000 rows in less than 6 MiB: 600 bytes for each, of which the indexes take 70.
    #[test]
    fn a_usual_row_is_small() {
        let heap = 32 + 2 * (36 + 33) + 3 * 16;
        assert!(size_of::<Packed>() + heap < 530, "{}", size_of::<Packed>() + heap);
    }
}
