//! Merge: two edits of one vCard or iCalendar object, brought together property by property.
//!
//! Whole lines are taken over from one copy or the other; nothing is written anew. Whatever could
//! mean something that neither side meant is refused (docs/design/engine.md, "Merging").

use std::collections::{BTreeMap, VecDeque};

use crate::canonical::Canonical;
use crate::delta::{Delta, go_together, minus};
use crate::document::{Component, Part, Property};
use crate::family::{Copies, Family, Fate};
use crate::pieces::pieces;
use crate::stamp::{Taken, stamp_names, stamps, taken};

/// What `left` and `right` made of `base`, in one: the left one's bytes with the right one's changes.
/// Each line of it is a line of one of the two, with its folds and its end.
///
/// Symmetric in what it means. `None` is the answer to any doubt, and leaves the conflict as it is:
/// - there is no base, or one of the three is no vCard or iCalendar object that is plainly
///   understood, has another UID, or is larger than an item may be;
/// - both changed a property, and not to the same; see [`crate::properties`] for which. Of properties
///   of which people have several (`TEL`, `ATTENDEE`), lines are compared;
/// - one changed what the other removed.
///
/// Costs about a sort of all lines. A member that lies can bring its own edits into an item that it
/// may edit anyway; whatever it sends, lines of the other side that it does not claim to have changed stay.
#[must_use]
pub fn merge(base: Option<&[u8]>, left: &[u8], right: &[u8]) -> Option<Vec<u8>> {
    let data = [base?, left, right];
    let [base, left, right] = data.map(Component::read);
    let of = Copies { base: &base?, left: &left?, right: &right? };
    if !is_one_item(of, &data.map(|data| Canonical::of("vcard", data))) {
        return None;
    }
    let mut output = Vec::new();
    component(of, &mut output)?;
    let merged = output.concat();
    (is_as_meant(&merged, &output) && Component::read(&merged).is_some()).then_some(merged)
}

/// Of one kind, with one key or none, and in one version: a line of one is not always good in another,
/// and whoever changed the version may have written everything anew.
fn is_one_item(of: Copies<'_>, [base, left, right]: &[Canonical; 3]) -> bool {
    let all = [of.base, of.left, of.right];
    let is_known = [&b"VCARD"[..], b"VCALENDAR"].contains(&of.base.name.as_slice());
    let is_one_kind = all.iter().all(|copy| copy.name == of.base.name);
    let digest = |canonical: &Canonical| canonical.content.digest;
    let is_one_sided = digest(base) == digest(left) || digest(base) == digest(right);
    let version = |copy: &Component<'_>| copy.property(b"VERSION").map(|line| line.normal().to_vec());
    let is_one_version = is_one_sided || version(of.left) == version(of.right);
    is_known && is_one_kind && is_one_version && base.key == left.key && left.key == right.key
}

/// Where one piece ends, the next one must begin: no line may have become a part of another.
fn is_as_meant(merged: &[u8], output: &[&[u8]]) -> bool {
    let Some(lines) = pieces(merged) else { return false };
    let mut lines = lines.iter().map(|piece| &piece.text);
    let has = |part: &&[u8]| {
        pieces(part).is_some_and(|meant| meant.iter().all(|piece| lines.next() == Some(&piece.text)))
    };
    output.iter().all(has) && lines.next().is_none()
}

/// Writes a component that all three have.
fn component<'a>(of: Copies<'a>, output: &mut Vec<&'a [u8]>) -> Option<()> {
    let mut writer = Writer::new(of, output)?;
    writer.output.push(of.left.begin);
    for part in &of.left.parts {
        writer.part(part)?;
    }
    writer.properties_of_the_right();
    writer.components_of_the_right();
    writer.output.push(of.left.end);
    Some(())
}

/// A line by what it is: properties before components.
type Name<'a> = (bool, &'a [u8]);

fn name<'a>(part: &'a Part<'a>) -> Name<'a> {
    match part {
        Part::Property(property) => (false, property.name()),
        Part::Component(component) => (true, &component.name),
    }
}

/// A component on its way out, in the left one's order.
struct Writer<'a, 'o> {
    of: Copies<'a>,
    output: &'o mut Vec<&'a [u8]>,
    /// Lines that only the right one removed, by normal form, with how often.
    dropped: BTreeMap<&'a [u8], usize>,
    /// The bytes of lines that only the right one added, until they have a place.
    added: BTreeMap<Name<'a>, VecDeque<&'a [u8]>>,
    /// Stamps of which the right one's are taken, until they are written.
    stamps: BTreeMap<&'static [u8], bool>,
    family: Family<'a>,
    /// Named components that only the right one has.
    arrivals: Vec<&'a Component<'a>>,
}

impl<'a, 'o> Writer<'a, 'o> {
    /// `None`: the two sides' changes do not go together.
    fn new(of: Copies<'a>, output: &'o mut Vec<&'a [u8]>) -> Option<Self> {
        let [left, right] = [of.left, of.right].map(|copy| Delta::between(of.base, copy));
        if !go_together(&left.by_unit(), &right.by_unit()) {
            return None;
        }
        let family = Family::of(of)?;
        Some(Self {
            of,
            output,
            dropped: counted(&minus(&right.removed, &left.removed)),
            added: in_their_order(of.right, &minus(&right.added, &left.added)),
            stamps: stamps_of_the_right(of)?,
            arrivals: family.arrivals()?,
            family,
        })
    }

    fn part(&mut self, part: &'a Part<'a>) -> Option<()> {
        match part {
            Part::Property(property) if property.is_stamp() => self.stamp(property),
            Part::Component(inner) if !part.is_line() => return self.component(inner),
            Part::Component(_) => {
                self.properties_of_the_right();
                self.line(part);
            }
            Part::Property(_) => self.line(part),
        }
        Some(())
    }

    fn line(&mut self, part: &'a Part<'a>) {
        let Some(count) = self.dropped.get_mut(part.normal()).filter(|count| **count > 0) else {
            return self.output.push(part.raw());
        };
        *count -= 1;
        // An edited line stays in its place: some have to be the first.
        self.output.extend(self.added.get_mut(&name(part)).and_then(VecDeque::pop_front));
    }

    fn stamp(&mut self, property: &'a Property<'a>) {
        match self.stamps.get_key_value(property.base_name()) {
            None => self.output.push(property.raw),
            Some((name, _)) => self.stamps_named(name),
        }
    }

    /// All of the right one's, in the place of the first of the left one.
    fn stamps_named(&mut self, name: &'static [u8]) {
        if self.stamps.insert(name, true) == Some(false) {
            self.output.extend(stamps(self.of.right, name).map(|stamp| stamp.raw));
        }
    }

    fn component(&mut self, inner: &'a Component<'a>) -> Option<()> {
        self.properties_of_the_right();
        match self.family.fate(inner)? {
            Fate::Left => self.output.push(inner.raw),
            Fate::Right(right) => self.output.push(right.raw),
            Fate::Both(of) => component(of, self.output)?,
            Fate::Gone => {}
        }
        Some(())
    }

    /// Those that have no place in the left one, before the first component; and time zones, which
    /// some programs want before their use.
    fn properties_of_the_right(&mut self) {
        let names: Vec<&'static [u8]> = self.stamps.keys().copied().collect();
        names.into_iter().for_each(|name| self.stamps_named(name));
        let components = self.added.split_off(&(true, b""));
        self.output.extend(std::mem::replace(&mut self.added, components).into_values().flatten());
        let zones = self.arrivals.extract_if(.., |component| component.is_time_zone());
        self.output.extend(zones.map(|zone| zone.raw));
    }

    fn components_of_the_right(&mut self) {
        self.output.extend(std::mem::take(&mut self.added).into_values().flatten());
        self.output.extend(self.arrivals.drain(..).map(|component| component.raw));
    }
}

fn counted<'a>(parts: &[&'a Part<'a>]) -> BTreeMap<&'a [u8], usize> {
    let mut counts = BTreeMap::new();
    for part in parts {
        *counts.entry(part.normal()).or_default() += 1;
    }
    counts
}

/// The bytes of these parts of a component, by what they are, in the order in which it has them.
fn in_their_order<'a>(
    of: &'a Component<'a>,
    parts: &[&'a Part<'a>],
) -> BTreeMap<Name<'a>, VecDeque<&'a [u8]>> {
    let mut counts = counted(parts);
    let mut found: BTreeMap<Name<'a>, VecDeque<&'a [u8]>> = BTreeMap::new();
    for part in of.parts.iter().filter(|part| part.is_line()) {
        if let Some(count) = counts.get_mut(part.normal()).filter(|count| **count > 0) {
            *count -= 1;
            found.entry(name(part)).or_default().push_back(part.raw());
        }
    }
    found
}

/// The names of stamps of which the right one's are taken; none of them is written yet.
fn stamps_of_the_right(of: Copies<'_>) -> Option<BTreeMap<&'static [u8], bool>> {
    let mut names = BTreeMap::new();
    for name in stamp_names() {
        if taken(name, of.base, of.left, of.right)? == Taken::Right {
            names.insert(name, false);
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_that_becomes_a_part_of_another_is_noticed() {
        assert!(is_as_meant(b"A:1\n 2\n\nB:\n", &[b"A:1\n 2\n\n", b"B:\n"]));
        for output in
            [&[&b"A:1"[..], b"B:\n"][..], &[b"A:1\r", b"\n B:\n"], &[b"A;QUOTED-PRINTABLE:=\n", b"B:\n"]]
        {
            assert!(!is_as_meant(&output.concat(), output));
        }
        assert!(!is_as_meant(b"A:1\nB:2\n", &[b"A:1\n"]), "a line too many");
    }
}
