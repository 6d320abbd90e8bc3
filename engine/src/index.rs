//! Index: finds rows by name without keeping the names a second time.
//!
//! Names come from members. A fingerprint of SHA-256 makes it useless to choose them so that they
//! collide, and needs no randomness; the caller compares the name itself.

use std::collections::BTreeSet;

use outrigger_protocol::RawDigest;

/// Fingerprints of names, each with the numbers of the rows that have it.
///
/// Most rows are there when a run begins: these lie side by side, 12 bytes each.
#[derive(Debug, Default, Clone)]
pub(crate) struct Index {
    /// In order, and at the same place the row. What was removed stays: the caller looks anyway.
    prints: Box<[u64]>,
    rows: Box<[u32]>,
    /// What came later.
    more: BTreeSet<(u64, u32)>,
}

fn fingerprint(name: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = RawDigest::of(name).0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Index {
    /// An index of so many names at once, each with its row.
    pub(crate) fn of<'n>(names: impl Iterator<Item = (&'n [u8], u32)>) -> Self {
        let mut all: Vec<(u64, u32)> = names.map(|(name, row)| (fingerprint(name), row)).collect();
        all.sort_unstable();
        let prints = all.iter().map(|(print, _)| *print).collect();
        Self { prints, rows: all.into_iter().map(|(_, row)| row).collect(), more: BTreeSet::new() }
    }

    pub(crate) fn insert(&mut self, name: &[u8], row: u32) {
        let print = fingerprint(name);
        if self.first(print).all(|first| first != row) {
            self.more.insert((print, row));
        }
    }

    pub(crate) fn remove(&mut self, name: &[u8], row: u32) {
        self.more.remove(&(fingerprint(name), row));
    }

    /// Rows that may have the name, each once.
    pub(crate) fn candidates(&self, name: &[u8]) -> impl Iterator<Item = u32> {
        let print = fingerprint(name);
        let more = self.more.range((print, 0)..=(print, u32::MAX)).map(|(_, row)| *row);
        self.first(print).chain(more)
    }

    /// Those of the beginning.
    fn first(&self, print: u64) -> impl Iterator<Item = u32> {
        let from = self.prints.partition_point(|known| *known < print);
        let found = self.prints.iter().zip(&self.rows).skip(from);
        found.take_while(move |(known, _)| **known == print).map(|(_, row)| *row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(index: &Index, name: &[u8]) -> Vec<u32> {
        index.candidates(name).collect()
    }

    #[test]
    fn a_name_finds_its_rows_and_no_others() {
        let mut index = Index::default();
        index.insert(b"a", 3);
        index.insert(b"a", 1);
        index.insert(b"b", 2);
        assert_eq!(candidates(&index, b"a"), [1, 3]);
        index.remove(b"a", 1);
        assert_eq!(candidates(&index, b"a"), [3]);
        assert_eq!(candidates(&index, b"c"), [0; 0]);
    }

    #[test]
    fn what_was_there_from_the_beginning_is_found_beside_what_came_later() {
        let names: [(&[u8], u32); 4] = [(b"c", 7), (b"a", 3), (b"b", 2), (b"a", 1)];
        let mut index = Index::of(names.into_iter());
        index.insert(b"a", 9);
        index.insert(b"a", 3);
        assert_eq!(candidates(&index, b"a"), [1, 3, 9], "each once");
        index.remove(b"a", 3);
        index.insert(b"a", 3);
        assert_eq!(candidates(&index, b"a"), [1, 3, 9]);
        assert_eq!((candidates(&index, b"c"), candidates(&index, b"d")), (vec![7], vec![]));
    }
}
