//! Charge: crashes that are held against single items.
//!
//! What a plugin was working on when it died is *charged*. An item that is charged goes alone from
//! then on, until it has been answered once, which clears it: so the one that is at fault is found
//! among many. With three crashes it is set aside. A charge is about one state of an item: another
//! revision, or another content to be written, is another subject, and begins without a charge.

use std::collections::BTreeMap;

use outrigger_protocol::{CommitKind, RawDigest, Revision};

use crate::row::{MemberIndex, RowId};

/// Crashes over one item that set it aside.
pub const CRASHES: u8 = 3;

/// Ends the reason of every quarantine for crashes, and of no other.
pub const CRASHED: &str = "the plugin crashed over it three times";

/// Charges that one collection keeps at most: a few calls' worth, and nothing that grows.
const MAX_CHARGES: usize = 4096;

/// Crashes that are held against reading or writing one item in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// The member whose plugin died.
    pub member: MemberIndex,
    /// What it was doing: a digest that means the same in every run.
    pub subject: RawDigest,
    /// How often, at most [`CRASHES`]; 0: no more.
    pub crashes: u8,
}

/// A revision in few bytes, enough to tell whether it is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp([u8; 8]);

impl Stamp {
    pub(crate) fn of(revision: &Revision) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = RawDigest::of(revision.as_bytes()).0;
        Self([a, b, c, d, e, f, g, h])
    }
}

/// To read an item as it was listed.
pub(crate) fn reading(href: &[u8], stamp: Stamp) -> RawDigest {
    RawDigest::of(&[b"read\0", &stamp.0[..], href].concat())
}

/// To write a content, or to delete one.
pub(crate) fn writing(row: RowId, kind: CommitKind, content: RawDigest) -> RawDigest {
    let kind: &[u8] = if kind == CommitKind::Delete { b"delete\0" } else { b"write\0" };
    RawDigest::of(&[kind, &row.0.to_be_bytes()[..], &content.0[..]].concat())
}

/// All charges of a collection, and which of them are not durable yet.
#[derive(Debug, Default)]
pub(crate) struct Charges {
    held: BTreeMap<(MemberIndex, [u8; 32]), u8>,
    cleared: Vec<Charge>,
}

impl Charges {
    pub(crate) fn load(charges: Vec<Charge>) -> Self {
        let held = charges.into_iter().filter(|charge| charge.crashes > 0);
        let held = held.map(|charge| ((charge.member, charge.subject.0), charge.crashes)).collect();
        Self { held, cleared: Vec::new() }
    }

    /// Whether there is none: then nobody need work out a subject.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(crate) fn of(&self, member: MemberIndex, subject: RawDigest) -> u8 {
        self.held.get(&(member, subject.0)).copied().unwrap_or(0)
    }

    /// One crash more. `None`: it is at its limit, or there are too many to keep.
    pub(crate) fn charge(&mut self, member: MemberIndex, subject: RawDigest) -> Option<Charge> {
        let (is_full, key) = (self.held.len() >= MAX_CHARGES, (member, subject.0));
        if is_full && !self.held.contains_key(&key) {
            return None;
        }
        let crashes = self.held.entry(key).or_default();
        if *crashes >= CRASHES {
            return None;
        }
        *crashes += 1;
        self.cleared.retain(|charge| (charge.member, charge.subject) != (member, subject));
        Some(Charge { member, subject, crashes: *crashes })
    }

    /// It was answered: whatever the plugin died of, it was not this.
    pub(crate) fn clear(&mut self, member: MemberIndex, subject: RawDigest) {
        if self.held.remove(&(member, subject.0)).is_some() {
            self.cleared.push(Charge { member, subject, crashes: 0 });
        }
    }

    /// Nothing is held against anything any more.
    pub(crate) fn forget(&mut self) {
        for (member, subject) in std::mem::take(&mut self.held).into_keys() {
            self.cleared.push(Charge { member, subject: RawDigest(subject), crashes: 0 });
        }
    }

    /// What was cleared since the last time, to be made durable.
    pub(crate) fn take_cleared(&mut self) -> Vec<Charge> {
        std::mem::take(&mut self.cleared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(revision: &str) -> RawDigest {
        reading(b"a", Stamp::of(&Revision::from(revision)))
    }

    #[test]
    fn three_crashes_and_no_more_are_held_against_one_state_of_an_item() {
        let mut charges = Charges::default();
        let counts: Vec<Option<u8>> = (0..4)
            .map(|_| charges.charge(MemberIndex(0), subject("1")).map(|charge| charge.crashes))
            .collect();
        assert_eq!(counts, [Some(1), Some(2), Some(3), None]);
        assert_eq!(charges.of(MemberIndex(0), subject("1")), CRASHES);
        assert_eq!(charges.of(MemberIndex(0), subject("2")), 0, "another revision");
        assert_eq!(charges.of(MemberIndex(1), subject("1")), 0, "another plugin");
    }

    #[test]
    fn an_answer_clears_a_charge_and_that_is_to_be_kept_once() {
        let mut charges =
            Charges::load(vec![Charge { member: MemberIndex(1), subject: subject("1"), crashes: 2 }]);
        charges.clear(MemberIndex(1), subject("2"));
        assert!(charges.take_cleared().is_empty());
        charges.clear(MemberIndex(1), subject("1"));
        assert_eq!(
            charges.take_cleared(),
            [Charge { member: MemberIndex(1), subject: subject("1"), crashes: 0 }]
        );
        assert!(charges.is_empty() && charges.take_cleared().is_empty());
    }

    /// What was cleared and crashed since must not be cleared behind that.
    #[test]
    fn a_crash_after_an_answer_is_kept() {
        let mut charges =
            Charges::load(vec![Charge { member: MemberIndex(1), subject: subject("1"), crashes: 3 }]);
        charges.forget();
        let again = charges.charge(MemberIndex(1), subject("1"));
        assert_eq!(again, Some(Charge { member: MemberIndex(1), subject: subject("1"), crashes: 1 }));
        assert_eq!(charges.take_cleared(), []);
    }

    #[test]
    fn a_member_with_any_number_of_items_makes_no_more_than_so_many_charges() {
        let mut charges = Charges::default();
        let names = 0..2 * MAX_CHARGES;
        let kept = names.filter(|name| charges.charge(MemberIndex(0), subject(&name.to_string())).is_some());
        assert_eq!(kept.count(), MAX_CHARGES);
    }

    #[test]
    fn what_is_done_with_an_item_is_part_of_the_subject() {
        let content = RawDigest::of(b"x");
        let of = |row, kind| writing(RowId(row), kind, content);
        assert_eq!(of(1, CommitKind::Create), of(1, CommitKind::Update), "the content goes there");
        assert_ne!(of(1, CommitKind::Create), of(1, CommitKind::Delete));
        assert_ne!(of(1, CommitKind::Create), of(2, CommitKind::Create));
        assert_ne!(of(1, CommitKind::Create), writing(RowId(1), CommitKind::Create, RawDigest::of(b"y")));
    }
}
