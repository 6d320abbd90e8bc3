//! What the table means: what each probe should get in each sandbox.

use std::collections::BTreeSet;

use outrigger_sandbox::Guarantee::{self, Network};
use outrigger_sandbox::Tier;

use super::Setup;
use super::rule::{Expected, Rule};
use super::table::{ATTACKS, CONTROLS, When};
use crate::probe;

/// What the matrix says of one probe.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) guarantee: Option<Guarantee>,
    kind: Kind,
}

enum Kind {
    Attack(Rule),
    Control(When),
}

/// Every row.
pub(super) fn all() -> impl Iterator<Item = Row> {
    let attacks = ATTACKS.iter().flat_map(|(guarantee, rule, names)| {
        names.iter().map(|name| Row { name, guarantee: *guarantee, kind: Kind::Attack(*rule) })
    });
    let controls = CONTROLS.iter().flat_map(|(expected, names)| {
        names.iter().map(|name| Row { name, guarantee: None, kind: Kind::Control(*expected) })
    });
    attacks.chain(controls)
}

impl Row {
    /// What it should get in one setup.
    pub(super) fn expected(&self, setup: &Setup) -> Expected {
        match self.kind {
            Kind::Control(expected) => expected(setup),
            Kind::Attack(rule) if setup.tier == Tier::None => rule.without_a_sandbox(setup.user),
            Kind::Attack(_) if self.guarantee == Some(Network) && setup.port_without_landlock() => {
                Expected::Either
            }
            Kind::Attack(rule) => rule.within(setup.tier),
        }
    }

    /// The guarantee that is broken if this gets through.
    pub(super) fn broken_if_open(&self, setup: &Setup) -> Option<Guarantee> {
        match self.kind {
            Kind::Attack(Rule::Landlocked) if setup.tier == Tier::Namespaced => None,
            Kind::Attack(_) => self.guarantee,
            Kind::Control(_) => None,
        }
    }
}

/// A probe without a row would be judged by nobody, a row without a probe judges nothing.
pub(super) fn every_probe_has_one() {
    let rows: Vec<&str> = all().map(|row| row.name).collect();
    let probes: Vec<&str> = probe::names().collect();
    let (of_rows, of_probes) = (BTreeSet::from_iter(&rows), BTreeSet::from_iter(&probes));
    assert_eq!(Vec::from_iter(of_rows.symmetric_difference(&of_probes)), Vec::<&&&str>::new());
    assert_eq!((rows.len(), probes.len()), (of_rows.len(), of_probes.len()), "a name stands there twice");
}
