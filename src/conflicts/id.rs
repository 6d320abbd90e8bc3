//! ID: what a conflict is called on the command line.
//!
//! A few hexadecimal digits of a digest over where the item is and what the members hold of it. So it needs
//! no quotes in any shell, is one for all groups and collections, stays while nothing changes, and never
//! means contents that nobody was shown: one that was raised anew is another one.

use std::fmt;

use outrigger_store::{Collection, OpenConflict};
use sha2::{Digest as _, Sha256};

/// Digits that are shown. Of a hundred conflicts, two share as many once in 3,000 times.
const SHOWN: usize = 6;

/// Digits that there are: whoever meets two that begin alike types more of them.
const DIGITS: usize = 16;

/// What a conflict is called; shown with its first six digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConflictId(String);

impl ConflictId {
    pub(super) fn of(group: &str, collection: &Collection, conflict: &OpenConflict) -> Self {
        let mut digest = Sha256::new();
        let mut add = |part: &[u8]| {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        };
        add(group.as_bytes());
        add(collection.name.as_bytes());
        add(&conflict.row.0.to_le_bytes());
        add(&conflict.key.0);
        for (member, disputed) in collection.members.iter().zip(&conflict.members) {
            add(member.as_bytes());
            add(disputed.content.as_ref().map_or(&[][..], |content| &content.raw.0));
        }
        let digits = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Self(digits.chars().take(DIGITS).collect())
    }

    /// Whether somebody who typed this may mean it: its beginning, in capitals or not.
    #[must_use]
    pub fn begins_with(&self, typed: &str) -> bool {
        !typed.is_empty() && self.0.starts_with(&typed.to_ascii_lowercase())
    }

    /// All digits.
    #[must_use]
    pub fn whole(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConflictId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..SHOWN).unwrap_or(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use outrigger_engine::{Content, Digest, Key, RowId};
    use outrigger_protocol::RawDigest;
    use outrigger_store::Disputed;

    use super::*;

    fn held(seed: u8) -> Disputed {
        let content = Content { digest: Digest([seed; 32]), raw: RawDigest([seed; 32]) };
        Disputed { href: None, content: (seed > 0).then_some(content), copy: None, is_party: true }
    }

    fn id(group: &str, name: &str, row: u64, seeds: [u8; 2]) -> ConflictId {
        let collection = Collection::new(name, ["a", "b"]);
        let (key, members) = (Key(b"uid".as_slice().into()), seeds.map(held).to_vec());
        let row = RowId(row);
        let conflict =
            OpenConflict { row, key, raised: None, members, chosen: None, agreed: None, base: None };
        ConflictId::of(group, &collection, &conflict)
    }

    #[test]
    fn an_id_stays_while_nothing_changes_and_is_another_for_anything_else() {
        let one = id("g", "c", 1, [1, 2]);
        assert_eq!(one, id("g", "c", 1, [1, 2]));
        let others = [
            id("h", "c", 1, [1, 2]),
            id("g", "d", 1, [1, 2]),
            id("gc", "", 1, [1, 2]),
            id("g", "c", 2, [1, 2]),
            id("g", "c", 1, [2, 1]),
            id("g", "c", 1, [1, 3]),
            id("g", "c", 1, [1, 0]),
        ];
        assert!(others.iter().all(|other| *other != one));
    }

    #[test]
    fn it_is_typed_by_its_beginning() {
        let id = ConflictId("3fa9c10011223344".into());
        assert_eq!(id.to_string(), "3fa9c1");
        assert!(id.begins_with("3fa9c1") && id.begins_with("3F") && id.begins_with(id.whole()));
        assert!(!id.begins_with("") && !id.begins_with("4") && !id.begins_with("3fa9c100112233445"));
    }
}
