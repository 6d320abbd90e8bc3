//! Decide: what two members' states of one row mean, as a pure function.
//!
//! Source: the two-way decision table (docs/design/decisions.md). The function is symmetric: the
//! order of members matters only where a policy names one.

use crate::row::{Entry, Observed, Side};
use crate::settings::{ConflictPolicy, EditVsDelete};

/// What a member's entry says, against what was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sign {
    /// `=`: it holds what was agreed.
    Same,
    /// `M`: it holds something else.
    Modified,
    /// `D`: the item is gone, with proof.
    Deleted,
    /// `N`: there, and never agreed on with this member.
    New,
    /// `–`: it never had the item.
    Never,
    /// `<`: it holds an older agreed version.
    Behind,
    /// Modified without having seen the newest version (decisions S1).
    BehindModified,
    /// Deleted without having seen the newest version: void (decisions S1).
    BehindDeleted,
    /// `?`: nobody knows.
    Unknown,
}

impl Sign {
    /// The sign of an entry that was looked at in this run, in a row at `version`.
    pub(crate) fn of(entry: Option<&Entry>, version: u64) -> Self {
        let Some(entry) = entry else { return Self::Never };
        let behind = entry.have < version;
        match &entry.observed {
            Observed::Gone if entry.have == 0 => Self::Never,
            Observed::Gone if behind => Self::BehindDeleted,
            Observed::Gone => Self::Deleted,
            Observed::Present { .. } if entry.have == 0 => Self::New,
            Observed::Present { content, .. } if content.digest != entry.agreed.digest => {
                if behind {
                    Self::BehindModified
                } else {
                    Self::Modified
                }
            }
            Observed::Present { .. } if behind => Self::Behind,
            Observed::Present { .. } => Self::Same,
        }
    }

    const fn is_absent(self) -> bool {
        matches!(self, Self::Deleted | Self::Never | Self::BehindDeleted)
    }
}

/// What is to be done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Decision {
    /// Nothing.
    Nothing,
    /// News wait for a member that cannot be seen.
    Wait,
    /// Bring the content of this member to the other one.
    WriteFrom(Side),
    /// Delete the item on this member.
    DeleteOn(Side),
    /// Both hold the same: agree on it without a write.
    Adopt,
    /// A person must choose.
    Conflict,
    /// No member has it: the row goes.
    Drop,
}

/// What the policies say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Policy {
    pub(crate) conflict: ConflictPolicy,
    pub(crate) edit_vs_delete: EditVsDelete,
}

/// Whether the two contents mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Likeness {
    Equal,
    /// A member is known to store it otherwise, and neither was edited (decisions S4).
    Rewritten,
    Different,
}

/// Decides for signs of A and B. `likeness` is looked at only where both hold an item.
pub(crate) fn decide(a: Sign, b: Sign, likeness: Likeness, policy: Policy) -> Decision {
    use Sign as S;
    match (a, b) {
        (S::Unknown, other) | (other, S::Unknown) => unseen(other),
        (a, b) if a.is_absent() && b.is_absent() => Decision::Drop,
        (a, absent) if absent.is_absent() => one_sided(Side::A, a, absent, policy),
        (absent, b) if absent.is_absent() => one_sided(Side::B, b, absent, policy),
        (a, b) => both_present(a, b, likeness, policy),
    }
}

/// Whether both members hold an item, each its own: what a conflict policy has to judge, whichever
/// it is.
pub(crate) fn is_clash(a: Sign, b: Sign, likeness: Likeness) -> bool {
    decide(a, b, likeness, Policy::default()) == Decision::Conflict
}

/// The other member cannot be seen: nothing is deleted, and news wait.
const fn unseen(other: Sign) -> Decision {
    match other {
        Sign::Same | Sign::Never | Sign::Unknown => Decision::Nothing,
        _ => Decision::Wait,
    }
}

/// `holder` has the item, the other member has not.
fn one_sided(holder: Side, present: Sign, absent: Sign, policy: Policy) -> Decision {
    match (present, absent) {
        (Sign::Same | Sign::Behind, Sign::Deleted) => Decision::DeleteOn(holder),
        (Sign::Modified | Sign::BehindModified, Sign::Deleted) => match policy.edit_vs_delete {
            EditVsDelete::Edit => Decision::WriteFrom(holder),
            EditVsDelete::Delete => Decision::DeleteOn(holder),
            EditVsDelete::Ask => Decision::Conflict,
        },
        _ => Decision::WriteFrom(holder),
    }
}

fn both_present(a: Sign, b: Sign, likeness: Likeness, policy: Policy) -> Decision {
    use Sign as S;
    match (a, b, likeness) {
        (S::Same, S::Same, Likeness::Equal | Likeness::Rewritten) => Decision::Nothing,
        // Owed even where the contents mean the same: a UID is no part of the digest.
        (S::Same, S::Behind, _) => Decision::WriteFrom(Side::A),
        (S::Behind, S::Same, _) => Decision::WriteFrom(Side::B),
        (_, _, Likeness::Equal) => Decision::Adopt,
        // One has news, the other has none of its own.
        (S::Modified, S::Same | S::Behind, _) => Decision::WriteFrom(Side::A),
        (S::Same | S::Behind, S::Modified, _) => Decision::WriteFrom(Side::B),
        _ => match policy.conflict {
            ConflictPolicy::Prefer(side) => Decision::WriteFrom(side),
            ConflictPolicy::Queue => Decision::Conflict,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNS: [Sign; 9] = [
        Sign::Same,
        Sign::Modified,
        Sign::Deleted,
        Sign::New,
        Sign::Never,
        Sign::Behind,
        Sign::BehindModified,
        Sign::BehindDeleted,
        Sign::Unknown,
    ];

    /// Rows: A; columns: B; in the order of `SIGNS`; contents differ, policies at their defaults.
    /// a, b: write from there; A, B: delete there; c: conflict; w: wait; x: drop; ".": nothing.
    const DIFFERENT: [&str; 9] = [
        //= M D N – < m d ?
        "c b A c a a c a .", // =
        "a c a c a a c a w", // M
        "B b x b x B b x w", // D
        "c c a c a c c a w", // N
        "b b x b x b b x .", // –
        "b b A c a c c a w", // <
        "c c a c a c c a w", // m: modified behind
        "b b x b x b b x w", // d: deleted behind
        ". w w w . w w w .", // ?
    ];

    fn letter(decision: Decision) -> &'static str {
        match decision {
            Decision::Nothing => ".",
            Decision::Wait => "w",
            Decision::WriteFrom(Side::A) => "a",
            Decision::WriteFrom(Side::B) => "b",
            Decision::DeleteOn(Side::A) => "A",
            Decision::DeleteOn(Side::B) => "B",
            Decision::Adopt => "+",
            Decision::Conflict => "c",
            Decision::Drop => "x",
        }
    }

    fn row(a: Sign, likeness: Likeness, policy: Policy) -> String {
        SIGNS.map(|b| letter(decide(a, b, likeness, policy))).join(" ")
    }

    #[test]
    fn the_whole_table_with_different_contents() {
        for (a, expected) in SIGNS.into_iter().zip(DIFFERENT) {
            assert_eq!(row(a, Likeness::Different, Policy::default()), expected, "A is {a:?}");
        }
    }

    #[test]
    fn equal_contents_are_adopted_without_a_write() {
        for (a, expected) in SIGNS.into_iter().zip(DIFFERENT) {
            let is_present = |sign: Sign| !sign.is_absent() && sign != Sign::Unknown;
            for (b, different) in SIGNS.into_iter().zip(expected.split(' ')) {
                let wanted = match (a, b) {
                    (Sign::Same, Sign::Same) => ".",
                    (Sign::Same, Sign::Behind) | (Sign::Behind, Sign::Same) => different,
                    _ if is_present(a) && is_present(b) => "+",
                    _ => different,
                };
                let got = letter(decide(a, b, Likeness::Equal, Policy::default()));
                assert_eq!(got, wanted, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_clash_is_what_a_policy_has_to_judge() {
        for (a, expected) in SIGNS.into_iter().zip(DIFFERENT) {
            for (b, letter) in SIGNS.into_iter().zip(expected.split(' ')) {
                assert_eq!(is_clash(a, b, Likeness::Different), letter == "c", "{a:?} {b:?}");
                assert!(!is_clash(a, b, Likeness::Equal));
            }
        }
    }

    #[test]
    fn a_rewriting_server_is_no_drift() {
        let at_rest = decide(Sign::Same, Sign::Same, Likeness::Rewritten, Policy::default());
        assert_eq!(at_rest, Decision::Nothing);
        let edited = decide(Sign::Modified, Sign::Same, Likeness::Rewritten, Policy::default());
        assert_eq!(edited, Decision::WriteFrom(Side::A));
    }

    #[test]
    fn a_preferred_member_wins_every_conflict_of_contents() {
        for side in Side::BOTH {
            let policy = Policy { conflict: ConflictPolicy::Prefer(side), ..Policy::default() };
            for (a, expected) in SIGNS.into_iter().zip(DIFFERENT) {
                let winner = letter(Decision::WriteFrom(side));
                assert_eq!(row(a, Likeness::Different, policy), expected.replace('c', winner));
            }
        }
    }

    #[test]
    fn a_deletion_beats_an_edit_only_on_request() {
        let with = |edit_vs_delete| Policy { edit_vs_delete, ..Policy::default() };
        let of = |policy| letter(decide(Sign::Modified, Sign::Deleted, Likeness::Different, policy));
        assert_eq!(of(with(EditVsDelete::Edit)), "a");
        assert_eq!(of(with(EditVsDelete::Delete)), "A");
        assert_eq!(of(with(EditVsDelete::Ask)), "c");
        let preferred = Policy { conflict: ConflictPolicy::Prefer(Side::A), ..with(EditVsDelete::Ask) };
        assert_eq!(of(preferred), "c", "asking is not overruled");
    }

    #[test]
    fn the_order_of_members_is_no_matter() {
        let mirrored = |text: &'static str| match text {
            "a" => "b",
            "b" => "a",
            "A" => "B",
            "B" => "A",
            other => other,
        };
        for likeness in [Likeness::Equal, Likeness::Rewritten, Likeness::Different] {
            for edit_vs_delete in [EditVsDelete::Edit, EditVsDelete::Delete, EditVsDelete::Ask] {
                let policy = Policy { edit_vs_delete, ..Policy::default() };
                for a in SIGNS {
                    for b in SIGNS {
                        let one = letter(decide(a, b, likeness, policy));
                        let other = letter(decide(b, a, likeness, policy));
                        assert_eq!(one, mirrored(other), "{a:?} {b:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn s1_a_deletion_on_a_member_that_is_behind_is_void() {
        assert_eq!(
            letter(decide(Sign::Same, Sign::BehindDeleted, Likeness::Different, Policy::default())),
            "a"
        );
        assert_eq!(
            letter(decide(Sign::Same, Sign::BehindModified, Likeness::Different, Policy::default())),
            "c"
        );
    }
}
