//! Index: finds rows by name without keeping the names a second time.
//!
//! Names come from members. A fingerprint of SHA-256 makes it useless to choose them so that they
//! collide, and needs no randomness; the caller compares the name itself.

use std::collections::BTreeSet;

use outrigger_protocol::RawDigest;

/// Fingerprints of names, each with the numbers of the rows that have it.
#[derive(Debug, Default)]
pub(crate) struct Index(BTreeSet<(u64, u32)>);

fn fingerprint(name: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = RawDigest::of(name).0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Index {
    pub(crate) fn insert(&mut self, name: &[u8], row: u32) {
        self.0.insert((fingerprint(name), row));
    }

    pub(crate) fn remove(&mut self, name: &[u8], row: u32) {
        self.0.remove(&(fingerprint(name), row));
    }

    /// Rows that may have the name, lowest number first.
    pub(crate) fn candidates(&self, name: &[u8]) -> impl Iterator<Item = u32> {
        let print = fingerprint(name);
        self.0.range((print, 0)..=(print, u32::MAX)).map(|(_, row)| *row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_finds_its_rows_and_no_others() {
        let mut index = Index::default();
        index.insert(b"a", 3);
        index.insert(b"a", 1);
        index.insert(b"b", 2);
        assert_eq!(index.candidates(b"a").collect::<Vec<_>>(), [1, 3]);
        index.remove(b"a", 1);
        assert_eq!(index.candidates(b"a").collect::<Vec<_>>(), [3]);
        assert_eq!(index.candidates(b"c").count(), 0);
    }
}
