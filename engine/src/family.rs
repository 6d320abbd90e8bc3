//! Family: components within a component that have a name of their own (a UID, a time zone's name),
//! and what becomes of each.

use std::collections::{BTreeMap, BTreeSet};

use crate::delta::{Unit, units};
use crate::document::{Component, Part};

/// One component in three copies of a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copies<'a> {
    pub(crate) base: &'a Component<'a>,
    pub(crate) left: &'a Component<'a>,
    pub(crate) right: &'a Component<'a>,
}

/// What becomes of a component.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate<'a> {
    /// The left one is taken as it is.
    Left,
    /// The right one is.
    Right(&'a Component<'a>),
    /// Both are, property by property.
    Both(Copies<'a>),
    /// It was removed.
    Gone,
}

/// Components by what they are found by.
pub(crate) type Names<'a> = BTreeMap<Vec<u8>, &'a Component<'a>>;

/// The named components of three copies.
#[derive(Debug)]
pub(crate) struct Family<'a> {
    base: Names<'a>,
    left: Names<'a>,
    right: Names<'a>,
}

impl<'a> Family<'a> {
    /// `None`: a copy has a name twice, or their changes to a series do not go together.
    pub(crate) fn of(of: Copies<'a>) -> Option<Self> {
        let family = Self { base: names(of.base)?, left: names(of.left)?, right: names(of.right)? };
        family.series_go_together().then_some(family)
    }

    /// Of a component of the left copy. `None`: the changes do not go together.
    pub(crate) fn fate(&self, left: &Component<'_>) -> Option<Fate<'a>> {
        let name = left.identity()?;
        let found = |names: &Names<'a>| names.get(&name).copied();
        fate(found(&self.base), found(&self.left), found(&self.right))
    }

    /// Those that come from the right copy. `None`: what the left one removed, the right one changed.
    pub(crate) fn arrivals(&self) -> Option<Vec<&'a Component<'a>>> {
        let mut arrivals = Vec::new();
        for (name, right) in self.right.iter().filter(|(name, _)| !self.left.contains_key(*name)) {
            if let Fate::Right(right) = fate(self.base.get(name).copied(), None, Some(right))? {
                arrivals.push(right);
            }
        }
        Some(arrivals)
    }

    /// Occurrences are named by the times of their series. So one copy may change those, or exceptions
    /// may come, change or go in the other, not both. Two that come must be named alike, or they may be
    /// one occurrence.
    fn series_go_together(&self) -> bool {
        let names: BTreeSet<&Vec<u8>> =
            [&self.base, &self.left, &self.right].iter().flat_map(|all| all.keys()).collect();
        let mut series: BTreeMap<&[u8], [Touched; 2]> = BTreeMap::new();
        for name in names {
            let [base, left, right] = [&self.base, &self.left, &self.right].map(|all| all.get(name).copied());
            let Some(uid) = left.or(right).or(base).and_then(Component::uid) else { continue };
            let touched = series.entry(uid).or_default();
            touched[0].note(base, left);
            touched[1].note(base, right);
        }
        series.values().all(|[left, right]| left.goes_with(right))
    }
}

/// `None`: it has two of one identity.
pub(crate) fn names<'a>(component: &'a Component<'a>) -> Option<Names<'a>> {
    let mut names = Names::new();
    for inner in component.components() {
        if let Some(name) = inner.identity()
            && names.insert(name, inner).is_some()
        {
            return None;
        }
    }
    Some(names)
}

/// The `base`, `left` and `right` copy of one component, of those that have it. `None`: the changes do
/// not go together as far as can be seen without a look inside.
pub(crate) fn fate<'a>(
    base: Option<&'a Component<'a>>,
    left: Option<&'a Component<'a>>,
    right: Option<&'a Component<'a>>,
) -> Option<Fate<'a>> {
    let is_time_zone = [base, left, right].iter().flatten().any(|component| component.is_time_zone());
    if is_time_zone {
        return zone(base, left, right);
    }
    let same = |a: &Component<'_>, b: &Component<'_>| a.digest == b.digest;
    match (base, left, right) {
        (Some(base), Some(left), Some(right)) => Some(Fate::Both(Copies { base, left, right })),
        (Some(base), Some(kept), None) | (Some(base), None, Some(kept)) => {
            same(base, kept).then_some(Fate::Gone)
        }
        (None, Some(left), Some(right)) => same(left, right).then_some(Fate::Left),
        (None, Some(_), None) => Some(Fate::Left),
        (None, None, Some(right)) => Some(Fate::Right(right)),
        (_, None, None) => Some(Fate::Gone),
    }
}

/// One that nobody uses any more does no harm, one that is missing does: none is removed. Two that
/// differ under one name would move what is taken from the other copy.
fn zone<'a>(
    base: Option<&'a Component<'a>>,
    left: Option<&'a Component<'a>>,
    right: Option<&'a Component<'a>>,
) -> Option<Fate<'a>> {
    let digest = |zone: Option<&Component<'_>>| zone.map(|zone| zone.digest);
    match (left, right) {
        (Some(_), Some(_)) if digest(left) == digest(right) || digest(right) == digest(base) => {
            Some(Fate::Left)
        }
        (Some(_), Some(right)) => (digest(left) == digest(base)).then_some(Fate::Right(right)),
        (Some(_), None) => Some(Fate::Left),
        (None, Some(right)) => Some(Fate::Right(right)),
        (None, None) => Some(Fate::Gone),
    }
}

/// What one copy changed in a series.
#[derive(Debug, Default)]
struct Touched {
    times: bool,
    exceptions: bool,
    /// How the exceptions that it added are named, without the digits.
    forms: BTreeSet<Vec<u8>>,
}

impl Touched {
    fn note(&mut self, base: Option<&Component<'_>>, copy: Option<&Component<'_>>) {
        let Some(any) = copy.or(base) else { return };
        let Some(recurrence) = any.recurrence() else {
            self.times |= base.map(times) != copy.map(times);
            return;
        };
        self.exceptions |= base.map(|base| base.digest) != copy.map(|copy| copy.digest);
        if base.is_none() {
            let form = recurrence.iter().map(|byte| if byte.is_ascii_digit() { b'0' } else { *byte });
            self.forms.insert(form.collect());
        }
    }

    fn goes_with(&self, other: &Self) -> bool {
        let is_one_form = self.forms.is_empty() || other.forms.is_empty() || self.forms == other.forms;
        is_one_form && !(self.times && other.exceptions) && !(self.exceptions && other.times)
    }
}

/// All that says when, sorted.
fn times<'c>(component: &'c Component<'_>) -> Vec<&'c [u8]> {
    let says_when = |part: &&Part<'_>| units(part).any(|unit| unit == Unit::Times);
    let mut times: Vec<&[u8]> = component.parts.iter().filter(says_when).map(Part::normal).collect();
    times.sort_unstable();
    times
}
