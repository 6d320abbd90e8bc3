//! Delta: what one copy of a component adds to another and takes from it, and which such changes go together.

use std::collections::BTreeMap;

use crate::document::{Component, Part, Property};
use crate::lines::Line;

/// Properties of which people have several, each line a thing of its own. Others may be repeated
/// too (NOTE, TITLE, FN), but most programs show one of them: two edits of it are one decision.
const REPEATABLE: [&[u8]; 20] = [
    b"ADR",
    b"ATTACH",
    b"ATTENDEE",
    b"CATEGORIES",
    b"COMMENT",
    b"CONFERENCE",
    b"CONTACT",
    b"EMAIL",
    b"EXDATE",
    b"IMPP",
    b"MEMBER",
    b"RDATE",
    b"RELATED",
    b"RELATED-TO",
    b"REQUEST-STATUS",
    b"RESOURCES",
    b"SOCIALPROFILE",
    b"TEL",
    b"URL",
    b"X-ADDRESSBOOKSERVER-MEMBER",
];

/// Properties that say together when something takes place. An exception names an occurrence of the
/// series; moving the series on one side and making an exception on the other loses the exception.
const TIMES: [&[u8]; 9] =
    [b"DTSTART", b"DTEND", b"DUE", b"DURATION", b"RRULE", b"EXRULE", b"RDATE", b"EXDATE", b"RECURRENCE-ID"];

/// What is changed by one side only, or by both alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit<'a> {
    /// All properties of this name.
    Name(&'a [u8]),
    /// All properties with this group: a label goes with what it labels.
    Group(&'a [u8]),
    /// All components of this name that are known by their content.
    Components(&'a [u8]),
    /// All that says when.
    Times,
}

/// The units that a part belongs to.
pub(crate) fn units<'a>(part: &'a Part<'_>) -> impl Iterator<Item = Unit<'a>> {
    let (first, second) = match part {
        Part::Component(component) => (Some(Unit::Components(&component.name)), None),
        Part::Property(property) => (name_unit(property), property.group().map(Unit::Group)),
    };
    first.into_iter().chain(second)
}

/// In a group, an extension describes the other properties of it (`item1.X-ABLABEL`).
fn name_unit<'a>(property: &'a Property<'_>) -> Option<Unit<'a>> {
    let name = property.base_name();
    let is_label = name.starts_with(b"X-") && property.group().is_some();
    let unit = if TIMES.contains(&name) { Unit::Times } else { Unit::Name(name) };
    (!is_label).then_some(unit)
}

/// Lines that one copy lacks and lines that it has besides, each in the order of their normal form.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delta<'a> {
    pub(crate) removed: Vec<&'a Part<'a>>,
    pub(crate) added: Vec<&'a Part<'a>>,
}

/// Changes by what they belong to.
pub(crate) type Changes<'a> = BTreeMap<Unit<'a>, Delta<'a>>;

impl<'a> Delta<'a> {
    /// How `copy` differs from `base`; a line that is there twice counts twice.
    pub(crate) fn between(base: &'a Component<'a>, copy: &'a Component<'a>) -> Self {
        let (base, copy) = (sorted(base), sorted(copy));
        let (removed, added) = (minus(&base, &copy), minus(&copy, &base));
        Self { removed, added }
    }

    pub(crate) fn by_unit(&self) -> Changes<'a> {
        let mut changes = Changes::new();
        for part in &self.removed {
            units(part).for_each(|unit| changes.entry(unit).or_default().removed.push(part));
        }
        for part in &self.added {
            units(part).for_each(|unit| changes.entry(unit).or_default().added.push(part));
        }
        changes
    }

    fn all(&self) -> impl Iterator<Item = &&'a Part<'a>> {
        self.removed.iter().chain(&self.added)
    }
}

fn sorted<'a>(component: &'a Component<'a>) -> Vec<&'a Part<'a>> {
    let mut lines: Vec<&Part<'_>> = component.parts.iter().filter(|part| part.is_line()).collect();
    lines.sort_by(|a, b| a.normal().cmp(b.normal()));
    lines
}

/// What `these` have more than `those`; both sorted.
pub(crate) fn minus<'a>(these: &[&'a Part<'a>], those: &[&'a Part<'a>]) -> Vec<&'a Part<'a>> {
    let mut those = those.iter().peekable();
    let stays = |part: &&&Part<'_>| {
        while those.next_if(|that| that.normal() < part.normal()).is_some() {}
        those.next_if(|that| that.normal() == part.normal()).is_none()
    };
    these.iter().filter(stays).copied().collect()
}

/// Whether both sets of changes can be made: no unit is changed by both, unless they agree on it.
pub(crate) fn go_together(left: &Changes<'_>, right: &Changes<'_>) -> bool {
    left.iter().all(|(unit, left)| right.get(unit).is_none_or(|right| agree(left, right)))
}

/// Whether these changes of one unit are the same, or touch no line in common.
pub(crate) fn agree(left: &Delta<'_>, right: &Delta<'_>) -> bool {
    let same = |a: &[&Part<'_>], b: &[&Part<'_>]| {
        a.iter().map(|part| part.normal()).eq(b.iter().map(|p| p.normal()))
    };
    if same(&left.removed, &right.removed) && same(&left.added, &right.added) {
        return true;
    }
    left.all().chain(right.all()).all(|part| is_repeatable(part)) && touch_no_line_in_common(left, right)
}

fn is_repeatable(part: &Part<'_>) -> bool {
    match part {
        Part::Property(property) => REPEATABLE.contains(&property.base_name()),
        Part::Component(_) => true,
    }
}

/// A line that was edited is one that is removed and one that is added. Hence: what both removed may
/// have been edited by neither; what one adds may be nothing that the other removes, nor the same value
/// in another way; and two lines may not both become the preferred one.
fn touch_no_line_in_common(left: &Delta<'_>, right: &Delta<'_>) -> bool {
    let only_remove = left.added.is_empty() && right.added.is_empty();
    let (left_new, right_new) = (minus(&left.added, &right.added), minus(&right.added, &left.added));
    let touch = !only_remove && share(&left.removed, &right.removed, Part::normal)
        || share(&left.added, &right.removed, Part::normal)
        || share(&left.removed, &right.added, Part::normal)
        || share(&left_new, &right_new, value);
    let prefers = |added: &[&Part<'_>]| added.iter().any(|part| is_preferred(part));
    !(touch || prefers(&left.added) && prefers(&right.added))
}

fn share<'a>(left: &[&'a Part<'a>], right: &[&'a Part<'a>], what: fn(&'a Part<'a>) -> &'a [u8]) -> bool {
    let left: std::collections::BTreeSet<&[u8]> = left.iter().map(|part| what(part)).collect();
    right.iter().any(|part| left.contains(what(part)))
}

fn value<'a>(part: &'a Part<'a>) -> &'a [u8] {
    Line::split(part.normal())
        .filter(|_| matches!(part, Part::Property(_)))
        .map_or(part.normal(), |line| line.value)
}

/// `PREF=1`, vCard 2.1's bare `PREF`, or vCard 3.0's `TYPE=pref`.
fn is_preferred(part: &Part<'_>) -> bool {
    let Part::Property(property) = part else { return false };
    let line = property.line();
    crate::lines::split_unquoted(line.parameters, b';').any(|parameter| {
        let lower = parameter.to_ascii_lowercase();
        lower.starts_with(b"pref")
            || lower.strip_prefix(b"type=").is_some_and(|types| {
                types.split(|byte| matches!(byte, b',' | b'"')).any(|one| one == b"pref")
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether two sets of lines go together as changes of a third.
    fn go(base: &str, left: &str, right: &str) -> bool {
        let [base, left, right] = [base, left, right]
            .map(|lines| format!("BEGIN:VEVENT\n{}\nEND:VEVENT\n", lines.replace(' ', "\n")));
        let [base, left, right] =
            [&base, &left, &right].map(|data| Component::read(data.as_bytes()).unwrap());
        let changes = |copy| Delta::between(&base, copy).by_unit();
        let there = go_together(&changes(&left), &changes(&right));
        assert_eq!(
            there,
            go_together(&changes(&right), &changes(&left)),
            "the order of the two makes no difference"
        );
        there
    }

    #[test]
    fn properties_of_different_names_go_together_and_of_one_name_do_not() {
        assert!(go("FN:a NOTE:a", "FN:b NOTE:a", "FN:a NOTE:b"));
        assert!(go("X:1", "FN:b X:1", "X:1"));
        assert!(!go("FN:a", "FN:b", "FN:c"));
        assert!(!go("FN:a", "X:1", "FN:c"), "removed and changed");
        assert!(!go("X:1", "FN:b X:1", "FN:c X:1"), "added twice");
        assert!(go("FN:a", "fn:b", "FN:b"), "the same change");
    }

    #[test]
    fn lines_of_a_property_that_repeats_go_together_unless_both_touch_one() {
        assert!(go("TEL:1 TEL:2", "TEL:1", "TEL:1 TEL:2 TEL:3"));
        assert!(go("TEL:1 TEL:2", "TEL:11 TEL:2", "TEL:1 TEL:22"));
        assert!(go("TEL:1 TEL:2", "TEL:1", "X:1"), "both removed one");
        assert!(go("TEL:1", "TEL:1 TEL:2 TEL:3", "TEL:1 TEL:2 TEL:4"), "both added one");
        assert!(!go("TEL:1 TEL:2", "TEL:11 TEL:2", "TEL:12 TEL:2"));
        assert!(!go("TEL:1 TEL:2", "TEL:2", "TEL:12 TEL:2"), "removed and edited");
        assert!(!go("TEL:1", "TEL:1 TEL:1", "X:1"), "doubled and removed");
        assert!(!go("TEL:1", "TEL:1 TEL;TYPE=cell:2", "TEL:1 TEL;TYPE=home:2"), "one number in two ways");
        assert!(!go("TEL:1", "TEL:1 TEL;TYPE=pref:2", "TEL:1 TEL;PREF=1:3"), "two are preferred");
        assert!(!go("X-A:1", "X-A:1 X-A:2", "X-A:1 X-A:3"), "nobody knows whether it repeats");
    }

    #[test]
    fn a_group_is_changed_by_one_only() {
        assert!(go("X:1", "X:1 i1.TEL:1 i1.X-ABLabel:a", "X:1 i2.TEL:2 i2.X-ABLabel:b"));
        assert!(
            !go("X:1", "X:1 i1.TEL:1 i1.X-ABLabel:a", "X:1 i1.URL:2 i1.X-ABLabel:b"),
            "one name for two groups"
        );
        assert!(!go("i1.TEL:1 i1.X-ABLabel:a", "i1.TEL:2 i1.X-ABLabel:a", "i1.TEL:1 i1.X-ABLabel:b"));
        assert!(!go("X:1", "X:1 BDAY:1", "X:1 i1.BDAY:2"), "two birthdays");
    }

    #[test]
    fn what_says_when_is_one() {
        assert!(!go("DTSTART:1 DTEND:2", "DTSTART:0 DTEND:2", "DTSTART:1 DTEND:3"));
        assert!(!go("DTSTART:1 RRULE:d", "DTSTART:2 RRULE:d", "DTSTART:1 RRULE:d EXDATE:1"));
        assert!(go("DTSTART:1 RRULE:d", "DTSTART:1 RRULE:d EXDATE:2", "DTSTART:1 RRULE:d EXDATE:1"));
    }
}
