//! Fold: names that differ in case only (decisions S3).
//!
//! An item without a UID is its name, so one that a user renames from `note` to `Note` would be deleted and
//! created at all other members. On a file system that takes both for one name, the create may be done
//! already and the delete take the only copy. A member that lost a name and has a new one which differs in
//! case only has renamed the item, whatever its own file system does with case: nothing of that concerns
//! the others. That the old name is gone was proved before (decisions S2). Items with a UID need none of this.

use std::collections::BTreeMap;

use crate::observe::UNREAD;
use crate::packed::{Packed, Seen};
use crate::row::{Key, MemberIndex};
use crate::state::Run;
use crate::table::Place;

/// What a member has under names that fold to one.
#[derive(Default)]
struct Names {
    lost: Vec<Place>,
    new: Vec<Place>,
}

impl Run {
    /// Gives the new item of each pair the key of the lost one, so that they are matched by it.
    pub(crate) fn match_folded(&mut self) {
        for member in self.all() {
            for Names { lost, new } in self.folded(member).into_values() {
                // Of several nobody can say which one became which.
                if let ([lost], [new]) = (&lost[..], &new[..]) {
                    self.take_for_renamed(member, *lost, *new);
                }
            }
        }
    }

    /// Names of items without a UID that a member lost, and that it has anew.
    fn folded(&self, member: MemberIndex) -> BTreeMap<Vec<u8>, Names> {
        let mut folded: BTreeMap<Vec<u8>, Names> = BTreeMap::new();
        for place in self.table.places() {
            let Some(row) = self.table.packed(place).filter(|row| !row.is_at_rest()) else { continue };
            let Some(href) = row.href(member).filter(|_| is_nameless(row)) else { continue };
            if self.is_new_at(place, row, member) {
                folded.entry(fold(href)).or_default().new.push(place);
            } else if row.seen(member) == Seen::Gone {
                folded.entry(fold(href)).or_default().lost.push(place);
            }
        }
        folded
    }

    /// Whether only this member has it, and nobody else ever had.
    fn is_new_at(&self, place: Place, row: &Packed, member: MemberIndex) -> bool {
        let is_read = |row: crate::row::Row| {
            row.version == 0 && row.held(member).is_some_and(|content| content != UNREAD)
        };
        row.is_present(member)
            && self.others(member).all(|other| row.seen(other) == Seen::Never)
            && self.table.row(place).is_some_and(is_read)
    }

    fn take_for_renamed(&mut self, member: MemberIndex, lost: Place, new: Place) {
        let (Some(old), Some(row)) = (self.table.row(lost), self.table.row(new)) else { return };
        // What others call so is perhaps this one.
        let is_free = self.table.by_key(&row.key.0).iter().all(|place| *place == new);
        if old.base.is_none() || !is_free || !self.may_join(lost, member) {
            return;
        }
        let was_called_so = old.entry(member).is_some_and(|entry| *entry.href.as_bytes() == *old.key.0);
        let (place, key): (Place, Key) = if was_called_so { (lost, row.key) } else { (new, old.key) };
        self.change(place, |row| row.key = key);
    }
}

/// An item without a UID is called by its name at one of the members. A UID that is a name looks the same,
/// and is found again by it.
fn is_nameless(row: &Packed) -> bool {
    row.hrefs().flatten().any(|href| href == row.key())
}

/// A name without the case of its letters. What is no text has letters of ASCII only.
fn fold(name: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(text) => text.chars().flat_map(char::to_lowercase).collect::<String>().into_bytes(),
        Err(_) => name.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_names_fold_by_the_case_of_their_letters() {
        for (one, other) in [("Note.vcf", "nOTE.VCF"), ("\u{c4}pfel", "\u{e4}pfel"), ("\u{3a3}", "\u{3c3}")] {
            assert_eq!(fold(one.as_bytes()), fold(other.as_bytes()));
        }
        assert_ne!(fold(b"note"), fold(b"notes"));
        assert_eq!(fold(b"A\xff"), fold(b"a\xff"));
        assert_ne!(fold(b"A\xff"), fold(b"a\xfe"));
    }
}
