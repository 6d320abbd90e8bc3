//! Sides: the contents that contradict each other, and what can be made of them.

use outrigger_engine::{Content, PropertyRow, merge, properties};
use outrigger_store::{Disputed, Kept};

use super::find::Dispute;
use crate::handed::ending;

/// Names of properties in one line.
const NAMED: usize = 5;

/// The head of what no member has.
const CHOSEN: &str = "(chosen before)";

/// One of the contents, and the members that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side<'d> {
    /// In their order in the group; none: a person chose it before, and no member has it yet.
    pub members: Vec<&'d str>,
    /// Its digests, as the first of them holds it.
    pub content: Content,
    /// Its bytes; `None`: they are not kept.
    pub copy: Option<&'d Kept>,
}

impl Side<'_> {
    /// The first member that holds it, or that nobody does.
    #[must_use]
    pub fn first(&self) -> &str {
        self.members.first().copied().unwrap_or(CHOSEN)
    }

    /// Who holds it, for its head.
    #[must_use]
    pub fn holders(&self) -> String {
        if self.members.is_empty() { CHOSEN.to_owned() } else { self.members.join(", ") }
    }
}

impl Dispute {
    /// The contents that contradict each other, in the order of the first members that hold them; last, what
    /// a person chose before. What means the same is one; a member that holds what was agreed before has
    /// nothing to do with it.
    #[must_use]
    pub fn sides(&self) -> Vec<Side<'_>> {
        let mut sides = self.held(true);
        if let Some(chosen) = &self.conflict.chosen {
            side_of(&mut sides, chosen);
        }
        sides
    }

    /// What is there as it was agreed before, while others contradict each other.
    #[must_use]
    pub fn unchanged(&self) -> Option<Side<'_>> {
        let is_agreed =
            |side: &Side<'_>| self.conflict.agreed.is_some_and(|agreed| agreed.digest == side.content.digest);
        self.held(false).into_iter().find(is_agreed)
    }

    /// What is held by members that contradict each other, or by all others.
    fn held(&self, by_parties: bool) -> Vec<Side<'_>> {
        let mut sides: Vec<Side<'_>> = Vec::new();
        let members = self.collection.members.iter().zip(&self.conflict.members);
        for (member, held) in members.filter(|(_, held)| held.is_party == by_parties) {
            if let Some(side) = side_of(&mut sides, held) {
                side.members.push(member);
            }
        }
        sides
    }

    /// Members that hold nothing of the item.
    #[must_use]
    pub fn without(&self) -> Vec<&str> {
        let held = self.collection.members.iter().zip(&self.conflict.members);
        held.filter(|(_, held)| held.content.is_none()).map(|(member, _)| member.as_str()).collect()
    }

    /// The bytes of all sides, if all are kept.
    pub(super) fn copies(&self) -> Option<Vec<&Kept>> {
        self.sides().into_iter().map(|side| side.copy).collect()
    }

    /// What differs, property by property; `None` where the contents are not understood, or not kept.
    #[must_use]
    pub fn properties(&self) -> Option<Vec<PropertyRow>> {
        let copies = self.copies()?;
        let copies: Vec<&[u8]> = copies.iter().map(|copy| &copy.data[..]).collect();
        properties(self.conflict.base.as_ref().map(|base| &base.data[..]), &copies)
    }

    /// All changes in one, if what was agreed before is kept and nothing was changed twice.
    #[must_use]
    pub fn merged(&self) -> Option<Vec<u8>> {
        let copies = self.copies()?;
        let (first, others) = copies.split_first()?;
        let base = &self.conflict.base.as_ref()?.data;
        let is_one_format = others.iter().all(|other| other.format == first.format);
        if others.is_empty() || !is_one_format {
            return None;
        }
        others.iter().try_fold(first.data.clone(), |merged, other| merge(Some(base), &merged, &other.data))
    }

    /// What the name of a file with such a content ends with; empty for what is not known.
    #[must_use]
    pub fn ending(&self) -> &'static str {
        let format =
            self.sides().iter().find_map(|side| Some(side.copy?.format.as_str())).unwrap_or_default();
        ending(format)
    }

    /// The names of what differs, for one line. A member's words.
    pub(super) fn differing(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for row in self.properties().into_iter().flatten() {
            if !names.contains(&row.name) {
                names.push(row.name);
            }
        }
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        if more > 0 {
            names.push(format!("{more} more"));
        }
        names
    }

    /// Who holds what, for one line.
    pub(super) fn holders(&self) -> String {
        let sides: Vec<String> = self.sides().iter().map(Side::holders).collect();
        let sides = sides.join(" ≠ ");
        match self.without() {
            without if without.is_empty() => sides,
            without => format!("{sides}, not at {}", without.join(", ")),
        }
    }
}

/// The side of what is held, which is added if it is new; `None`: nothing is held.
fn side_of<'s, 'd>(sides: &'s mut Vec<Side<'d>>, held: &'d Disputed) -> Option<&'s mut Side<'d>> {
    let content = held.content?;
    let known = sides.iter().position(|side| side.content.digest == content.digest);
    let at = known.unwrap_or(sides.len());
    if known.is_none() {
        sides.push(Side { members: Vec::new(), content, copy: None });
    }
    let side = sides.get_mut(at)?;
    side.copy = side.copy.or(held.copy.as_ref());
    Some(side)
}
