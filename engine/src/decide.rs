//! Decide: what the members' states of one row mean, as a pure function.
//!
//! The idea: members that have news make *claims*, contents that shall be agreed next. What was agreed
//! before is a claim too, as long as somebody holds it and somebody has news who has not seen it
//! (decisions S1). No claim: whoever is behind is served, or a deletion is carried on. One claim: it
//! goes to everybody. Several: a person chooses, or a policy.
//!
//! Source: the decision table for two members and its rule for more (docs/design/engine.md). The order
//! of members matters only where a policy names one.

use outrigger_protocol::RawDigest;

use crate::row::{Content, Digest, Entry, MemberIndex, Observed};
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
    /// The sign of an entry that was looked at in this run, in a row at `version` with what is agreed,
    /// `None`: that the item is deleted. Whoever has had just those bytes has seen what is agreed.
    pub(crate) fn of(entry: Option<&Entry>, version: u64, base: Option<Content>) -> Self {
        let Some(entry) = entry else { return Self::Never };
        let is_tombstone = version > 0 && base.is_none();
        let has_seen = base.is_some_and(|base| base.raw == entry.agreed.raw);
        let is_behind = entry.have < version && !has_seen;
        match &entry.observed {
            Observed::Gone if entry.have == 0 => Self::Never,
            Observed::Gone if is_behind => Self::BehindDeleted,
            Observed::Gone => Self::Deleted,
            Observed::Present { .. } if entry.have == 0 => Self::New,
            // It had taken note of the deletion: this is another item.
            Observed::Present { .. } if is_tombstone && !is_behind => Self::New,
            Observed::Present { content, .. } => match (is_behind, content.digest == entry.agreed.digest) {
                (true, true) => Self::Behind,
                (true, false) => Self::BehindModified,
                (false, true) => Self::Same,
                (false, false) => Self::Modified,
            },
        }
    }

    pub(crate) const fn is_absent(self) -> bool {
        matches!(self, Self::Deleted | Self::Never | Self::BehindDeleted)
    }

    pub(crate) const fn is_present(self) -> bool {
        !self.is_absent() && !matches!(self, Self::Unknown)
    }

    /// It holds something that was not agreed.
    const fn is_news(self) -> bool {
        matches!(self, Self::Modified | Self::New | Self::BehindModified)
    }
}

/// One member's state of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) sign: Sign,
    /// What it holds, where it holds something.
    pub(crate) digest: Option<Digest>,
    /// The bytes of it, where a UID was edited: that is no part of the digest.
    pub(crate) bytes: Option<RawDigest>,
    /// It is known to store otherwise what was agreed (decisions S4).
    pub(crate) rewritten: bool,
}

/// What is to be done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Decision {
    /// Nothing.
    Nothing,
    /// News wait for a member that cannot be seen.
    Wait,
    /// What this member holds is for everybody: to be written where something else is held, or nothing.
    Spread(MemberIndex),
    /// The item is to be deleted wherever it is.
    Delete,
    /// All that can be seen hold the same: agree on it without a write.
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
    /// What this member holds is everybody's, whatever the others have done.
    pub(crate) authority: Option<MemberIndex>,
    /// What is agreed is a content of nobody's, which a person chose or a driver made.
    pub(crate) is_supplied: bool,
    /// Nothing was ever agreed, so nobody can hold a content that others should have seen.
    pub(crate) is_first: bool,
}

/// Decides for the views of all members, in their order.
pub(crate) fn decide(views: &[View], policy: Policy) -> Decision {
    let group = Group(views);
    let claims = group.distinct(Sign::is_news);
    let decision = match (policy.authority, claims.as_slice()) {
        (Some(authority), _) => group.as_it_says(authority),
        (None, []) => group.without_news(policy),
        (None, [claim]) => group.single(*claim, policy),
        (None, _) => group.clash(policy),
    };
    group.as_far_as_seen(decision, policy)
}

/// Whether contents contradict each other: what a conflict policy has to judge, whichever it is.
pub(crate) fn is_clash(views: &[View]) -> bool {
    decide(views, Policy::default()) == Decision::Conflict
}

/// What a member needs where the content of `source` is for everybody.
pub(crate) fn needs_write(views: &[View], source: MemberIndex, target: MemberIndex) -> bool {
    let Some((from, to)) = views.get(source.index()).zip(views.get(target.index())) else { return false };
    match (from.sign, to.sign) {
        _ if source == target => false,
        (_, Sign::Unknown) => false,
        // Members that are known to store it otherwise are at rest like that (decisions S4).
        (Sign::Same, Sign::Same) => !from.rewritten && !to.rewritten && from.digest != to.digest,
        (_, to) if to.is_absent() => true,
        // Owed even where the contents mean the same: a UID is no part of the digest.
        (Sign::Same | Sign::Modified, Sign::Behind) => true,
        _ => from.digest != to.digest || from.bytes != to.bytes,
    }
}

/// What became of what was agreed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Agreed {
    /// Somebody changed or deleted it who had seen it.
    is_past: bool,
    /// Somebody holds it: what was agreed before is past.
    is_held: bool,
}

impl Agreed {
    pub(crate) fn of(signs: impl Iterator<Item = Sign>) -> Self {
        signs.fold(Self::default(), |it, sign| Self {
            is_past: it.is_past || matches!(sign, Sign::Modified | Sign::Deleted),
            is_held: it.is_held || sign == Sign::Same,
        })
    }

    /// Whether what a member holds is one of the contents that contradict each other.
    pub(crate) fn is_contested_by(self, sign: Sign) -> bool {
        match sign {
            Sign::Same => !self.is_past,
            Sign::Behind => !self.is_past && !self.is_held,
            sign => sign.is_present(),
        }
    }
}

struct Group<'a>(&'a [View]);

impl Group<'_> {
    fn with(&self, wanted: impl Fn(Sign) -> bool) -> impl Iterator<Item = (MemberIndex, View)> {
        let all = self.0.iter().enumerate().map(|(at, view)| (MemberIndex::at(at), *view));
        all.filter(move |(_, view)| wanted(view.sign))
    }

    fn any(&self, wanted: impl Fn(Sign) -> bool) -> bool {
        self.with(wanted).next().is_some()
    }

    /// One member for each content that those hold whom `wanted` names; of equals the first.
    fn distinct(&self, wanted: impl Fn(Sign) -> bool) -> Vec<MemberIndex> {
        let mut found: Vec<(MemberIndex, View)> = Vec::new();
        for (member, view) in self.with(wanted) {
            if found.iter().all(|(_, known)| known.digest != view.digest) {
                found.push((member, view));
            }
        }
        found.into_iter().map(|(member, _)| member).collect()
    }

    /// One member's word is the group's.
    fn as_it_says(&self, authority: MemberIndex) -> Decision {
        match self.0.get(authority.index()).map(|view| view.sign) {
            Some(Sign::Unknown) | None => Decision::Wait,
            Some(sign) if sign.is_present() => Decision::Spread(authority),
            Some(_) if !self.any(Sign::is_present) => Decision::Drop,
            // A deletion that did not know of what is agreed is void, also here, unless somebody made another.
            Some(Sign::BehindDeleted) if !self.any(|sign| sign == Sign::Deleted) => Decision::Wait,
            Some(_) => Decision::Delete,
        }
    }

    /// Nobody holds anything that was not agreed.
    fn without_news(&self, policy: Policy) -> Decision {
        let is_deleted = self.any(|sign| sign == Sign::Deleted);
        let newest = self.at_rest();
        let older = self.distinct(|sign| sign == Sign::Behind);
        match (newest, older.as_slice()) {
            (None, []) => Decision::Drop,
            _ if is_deleted => Decision::Delete,
            (Some(_), _) if self.has_drifted() => self.clash(policy),
            (Some(holder), _) => Decision::Spread(holder),
            (None, [holder]) => Decision::Spread(*holder),
            (None, _) => self.clash(policy),
        }
    }

    /// Who holds what was agreed; rather as it was agreed than as it is stored otherwise.
    fn at_rest(&self) -> Option<MemberIndex> {
        let all = || self.with(|sign| sign == Sign::Same);
        let plain = all().find(|(_, view)| !view.rewritten).or_else(|| all().next());
        plain.map(|(member, _)| member)
    }

    /// Members at rest hold different things, and are not known to store them otherwise (decisions S4).
    fn has_drifted(&self) -> bool {
        let plain: Vec<View> = self.with(|sign| sign == Sign::Same).map(|(_, view)| view).collect();
        let mut plain = plain.iter().filter(|view| !view.rewritten);
        plain.next().is_some_and(|first| plain.any(|other| other.digest != first.digest))
    }

    /// One content is new, at one member or several.
    fn single(&self, claim: MemberIndex, policy: Policy) -> Decision {
        // What was agreed is not worth keeping after a deletion: who made it had seen that.
        let is_deleted = self.any(|sign| sign == Sign::Deleted);
        if !is_deleted && !self.any(|sign| sign == Sign::Modified) {
            return self.unseen(claim, policy);
        }
        // Nor has anybody deleted what is new somewhere, though it is what another made of his.
        let is_edit = !self.any(|sign| sign == Sign::New);
        // Rather from who has seen what was agreed, and has its UID.
        let claim = self.with(|sign| sign == Sign::Modified).next().map_or(claim, |(member, _)| member);
        match policy.edit_vs_delete {
            _ if !is_deleted || !is_edit => Decision::Spread(claim),
            EditVsDelete::Edit => Decision::Spread(claim),
            EditVsDelete::Delete => Decision::Delete,
            EditVsDelete::Ask => Decision::Conflict,
        }
    }

    /// One content is new, and nobody who has it has seen what is agreed: it contradicts that, or what was
    /// agreed before where nobody holds it.
    fn unseen(&self, claim: MemberIndex, policy: Policy) -> Decision {
        let digest = self.0.get(claim.index()).and_then(|view| view.digest);
        let is_alike = |view: &View| view.digest == digest;
        if let Some((holder, _)) = self.with(|sign| sign == Sign::Same).find(|(_, view)| is_alike(view)) {
            return Decision::Spread(holder);
        }
        let is_held = self.any(|sign| sign == Sign::Same);
        let is_other = |(_, view): (MemberIndex, View)| !is_alike(&view);
        if is_held || self.with(|sign| sign == Sign::Behind).any(is_other) {
            self.clash(policy)
        } else {
            Decision::Spread(claim)
        }
    }

    fn clash(&self, policy: Policy) -> Decision {
        match policy.conflict {
            ConflictPolicy::Prefer(member) if !policy.is_supplied && self.takes_part(member) => {
                Decision::Spread(member)
            }
            _ => Decision::Conflict,
        }
    }

    /// Whether what it holds is one of the contents that contradict each other.
    fn takes_part(&self, member: MemberIndex) -> bool {
        let agreed = Agreed::of(self.0.iter().map(|view| view.sign));
        self.0.get(member.index()).is_some_and(|view| agreed.is_contested_by(view.sign))
    }

    /// Who cannot be seen is served later, and nothing is concluded about him.
    fn as_far_as_seen(&self, decision: Decision, policy: Policy) -> Decision {
        let is_whole = !self.any(|sign| sign == Sign::Unknown);
        let nothing = || match self.any(|sign| !matches!(sign, Sign::Same | Sign::Never | Sign::Unknown)) {
            true if !is_whole => Decision::Wait,
            _ => Decision::Nothing,
        };
        match decision {
            Decision::Spread(source) => match self.spread(source) {
                Decision::Nothing => nothing(),
                // Who cannot be seen may hold what was agreed, which this one has not seen either.
                _ if !is_whole && !policy.is_first && self.is_blind(source) => Decision::Wait,
                Decision::Adopt if !is_whole && self.with(Sign::is_present).count() < 2 => Decision::Wait,
                spread => spread,
            },
            // Nor do contents contradict each other of which that one may hold the successor.
            Decision::Conflict if !is_whole && !policy.is_first && !self.is_informed() => Decision::Wait,
            Decision::Delete if !self.any(Sign::is_present) => Decision::Wait,
            Decision::Drop if !is_whole => nothing(),
            decision => decision,
        }
    }

    /// It has not seen what was agreed before, nor has anybody who holds the same.
    fn is_blind(&self, source: MemberIndex) -> bool {
        let is_old = |sign: Sign| sign.is_news() || sign == Sign::Behind;
        let is_old = self.0.get(source.index()).is_some_and(|view| is_old(view.sign));
        is_old && !self.is_informed()
    }

    /// Whether somebody can be seen who has seen what was agreed last.
    fn is_informed(&self) -> bool {
        self.any(|sign| matches!(sign, Sign::Modified | Sign::Same | Sign::Deleted))
    }

    /// As much of it as is needed.
    fn spread(&self, source: MemberIndex) -> Decision {
        let is_owed = self.with(|_| true).any(|(member, _)| needs_write(self.0, source, member));
        let has_news = self.any(|sign| sign.is_news() || sign == Sign::Behind);
        match (is_owed, has_news) {
            (true, _) => Decision::Spread(source),
            (false, true) => Decision::Adopt,
            (false, false) => Decision::Nothing,
        }
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
    /// a, b: from there to the other; A, B: deleted there; c: conflict; w: wait; x: drop; ".": nothing.
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

    fn view(sign: Sign, content: u8) -> View {
        let digest = sign.is_present().then_some(Digest([content; 32]));
        View { sign, digest, bytes: None, rewritten: false }
    }

    fn pair(a: Sign, b: Sign, is_equal: bool) -> [View; 2] {
        [view(a, 1), view(b, if is_equal { 1 } else { 2 })]
    }

    fn letter(views: &[View; 2], decision: Decision) -> &'static str {
        match decision {
            Decision::Nothing => ".",
            Decision::Wait => "w",
            Decision::Spread(MemberIndex(0)) => "a",
            Decision::Spread(_) => "b",
            Decision::Delete if views[0].sign.is_present() => "A",
            Decision::Delete => "B",
            Decision::Adopt => "+",
            Decision::Conflict => "c",
            Decision::Drop => "x",
        }
    }

    #[test]
    fn the_whole_table_with_different_contents() {
        let mut wrong = Vec::new();
        for (a, expected) in SIGNS.into_iter().zip(DIFFERENT) {
            for (b, expected) in SIGNS.into_iter().zip(expected.split(' ')) {
                let views = pair(a, b, false);
                let got = letter(&views, decide(&views, Policy::default()));
                if got != expected {
                    wrong.push((a, b, got, expected));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn equal_contents_are_adopted_without_a_write() {
        let mut wrong = Vec::new();
        for (a, expected) in SIGNS.into_iter().zip(DIFFERENT) {
            for (b, different) in SIGNS.into_iter().zip(expected.split(' ')) {
                let wanted = match (a, b) {
                    (Sign::Same, Sign::Same) => ".",
                    (Sign::Same | Sign::Modified, Sign::Behind)
                    | (Sign::Behind, Sign::Same | Sign::Modified) => different,
                    _ if a.is_present() && b.is_present() => "+",
                    _ => different,
                };
                let views = pair(a, b, true);
                let got = letter(&views, decide(&views, Policy::default()));
                if got != wanted {
                    wrong.push((a, b, got, wanted));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn an_authority_is_never_overruled() {
        let policy = Policy { authority: Some(MemberIndex(1)), ..Policy::default() };
        let of = |a, b| letter(&pair(a, b, false), decide(&pair(a, b, false), policy));
        assert_eq!(of(Sign::Modified, Sign::Same), "b");
        assert_eq!(of(Sign::New, Sign::Never), "A");
        assert_eq!(of(Sign::Deleted, Sign::Same), "b");
        assert_eq!(of(Sign::Modified, Sign::Unknown), "w");
    }

    #[test]
    fn a_preferred_member_wins_every_conflict_of_contents() {
        for member in [MemberIndex(0), MemberIndex(1)] {
            let policy = Policy { conflict: ConflictPolicy::Prefer(member), ..Policy::default() };
            for (a, expected) in SIGNS.into_iter().zip(DIFFERENT) {
                for (b, expected) in SIGNS.into_iter().zip(expected.split(' ')) {
                    let views = pair(a, b, false);
                    let winner = if member.0 == 0 { "a" } else { "b" };
                    let wanted = if expected == "c" { winner } else { expected };
                    assert_eq!(letter(&views, decide(&views, policy)), wanted, "{a:?} {b:?}");
                }
            }
        }
    }

    /// It holds what two others have changed.
    #[test]
    fn a_preferred_member_that_changed_nothing_does_not_win() {
        let policy = Policy { conflict: ConflictPolicy::Prefer(MemberIndex(2)), ..Policy::default() };
        let views = [view(Sign::Modified, 1), view(Sign::Modified, 2), view(Sign::Same, 3)];
        assert_eq!(decide(&views, policy), Decision::Conflict);
        let unseen = [view(Sign::New, 1), view(Sign::New, 2), view(Sign::Same, 3)];
        assert_eq!(decide(&unseen, policy), Decision::Spread(MemberIndex(2)));
    }

    #[test]
    fn a_deletion_beats_an_edit_only_on_request() {
        let with = |edit_vs_delete| Policy { edit_vs_delete, ..Policy::default() };
        let views = pair(Sign::Modified, Sign::Deleted, false);
        let of = |policy| letter(&views, decide(&views, policy));
        assert_eq!(of(with(EditVsDelete::Edit)), "a");
        assert_eq!(of(with(EditVsDelete::Delete)), "A");
        assert_eq!(of(with(EditVsDelete::Ask)), "c");
        let preferred =
            Policy { conflict: ConflictPolicy::Prefer(MemberIndex(0)), ..with(EditVsDelete::Ask) };
        assert_eq!(of(preferred), "c", "asking is not overruled");
    }

    #[test]
    fn what_is_new_somewhere_outlives_the_deletion_of_what_became_the_same() {
        for edit_vs_delete in [EditVsDelete::Edit, EditVsDelete::Delete, EditVsDelete::Ask] {
            let policy = Policy { edit_vs_delete, ..Policy::default() };
            let views = [view(Sign::Deleted, 0), view(Sign::New, 1), view(Sign::BehindModified, 1)];
            assert_eq!(decide(&views, policy), Decision::Spread(MemberIndex(1)), "{edit_vs_delete:?}");
        }
    }

    /// Every group of three, and of four that can be seen, decided in every order.
    #[test]
    fn i6_the_order_of_members_is_no_matter() {
        let seen: Vec<View> = SIGNS.iter().flat_map(|sign| [view(*sign, 1), view(*sign, 2)]).collect();
        for (a, b, c) in triples(&seen) {
            let views = [a, b, c];
            let one = what(&views);
            for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                let other = order.map(|at| views[at]);
                assert_eq!(what(&other), one, "{views:?} {order:?}");
            }
        }
    }

    fn triples(views: &[View]) -> impl Iterator<Item = (View, View, View)> {
        let pairs = views.iter().flat_map(|a| views.iter().map(move |b| (*a, *b)));
        pairs.flat_map(|(a, b)| views.iter().map(move |c| (a, b, *c)))
    }

    /// The decision, without the place of whoever holds the content that is spread.
    fn what(views: &[View; 3]) -> (Decision, Option<Digest>, usize) {
        match decide(views, Policy::default()) {
            Decision::Spread(source) => {
                let all = (0..3).map(MemberIndex::at);
                let writes = all.filter(|target| needs_write(views, source, *target)).count();
                (Decision::Spread(MemberIndex(0)), views[source.index()].digest, writes)
            }
            other => (other, None, 0),
        }
    }

    /// Who made the deletion had seen what it holds.
    #[test]
    fn a_preferred_member_that_was_not_told_of_a_deletion_does_not_win() {
        let policy = Policy { conflict: ConflictPolicy::Prefer(MemberIndex(2)), ..Policy::default() };
        for old in [Sign::Behind, Sign::Same] {
            let views = [view(Sign::New, 1), view(Sign::New, 2), view(old, 3), view(Sign::Deleted, 0)];
            assert_eq!(decide(&views, policy), Decision::Conflict, "{old:?}");
        }
    }

    /// A stick that is away holds nobody up: a new item goes to whoever is there.
    #[test]
    fn what_nobody_agreed_on_waits_for_nobody() {
        let views = [view(Sign::New, 1), view(Sign::Never, 0), view(Sign::Unknown, 0)];
        let first = Policy { is_first: true, ..Policy::default() };
        assert_eq!(decide(&views, first), Decision::Spread(MemberIndex(0)));
        assert_eq!(decide(&views, Policy::default()), Decision::Wait, "the third may hold what was agreed");
    }

    #[test]
    fn s4_what_a_member_stores_otherwise_is_not_what_others_get() {
        let stored = View { rewritten: true, ..view(Sign::Same, 2) };
        let views = [stored, view(Sign::Same, 1), view(Sign::Never, 0)];
        assert_eq!(decide(&views, Policy::default()), Decision::Spread(MemberIndex(1)));
        assert_eq!(decide(&[stored, views[2]], Policy::default()), Decision::Spread(MemberIndex(0)));
    }

    /// A create whose answer was lost brought what the second member holds; the third is still to be served.
    #[test]
    fn what_is_agreed_already_contradicts_nobody_who_is_behind() {
        let views = [view(Sign::BehindModified, 1), view(Sign::Same, 1), view(Sign::Behind, 2)];
        assert_eq!(decide(&views, Policy::default()), Decision::Spread(MemberIndex(1)));
    }

    /// A person took what the third member holds, which is away now.
    #[test]
    fn what_is_older_goes_nowhere_while_the_agreed_content_cannot_be_seen() {
        let views = [view(Sign::Behind, 1), view(Sign::Never, 0), view(Sign::Unknown, 2)];
        assert_eq!(decide(&views, Policy::default()), Decision::Wait);
        let lost = [view(Sign::Behind, 1), view(Sign::Never, 0), view(Sign::BehindDeleted, 0)];
        assert_eq!(
            decide(&lost, Policy::default()),
            Decision::Spread(MemberIndex(0)),
            "nobody has it any more"
        );
    }

    /// I9: nobody who cannot be seen loses anything, and no deletion follows from him.
    #[test]
    fn who_cannot_be_seen_decides_nothing() {
        let seen: Vec<View> = SIGNS.iter().flat_map(|sign| [view(*sign, 1), view(*sign, 2)]).collect();
        for (a, b, _) in triples(&seen).filter(|(.., c)| c.sign == Sign::Same) {
            let views = [a, b, view(Sign::Unknown, 1)];
            let decision = decide(&views, Policy::default());
            assert_ne!(decision, Decision::Drop, "{views:?}");
            if decision == Decision::Delete {
                assert!([a, b].iter().any(|view| view.sign == Sign::Deleted), "{views:?}");
            }
        }
    }
}
