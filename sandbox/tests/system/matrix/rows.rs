//! What the table means: what each probe should get in each sandbox.

use std::collections::BTreeSet;
use std::fmt;

use outrigger_sandbox::Guarantee::{self, Network};
use outrigger_sandbox::Tier;

use super::table::{ATTACKS, CONTROLS, When};
use super::{Setup, User};
use crate::probe;

/// When a probe should be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// In every sandbox. Without one it gets through, which shows that it can.
    Always,
    /// In every sandbox. Without one it gets through as root only.
    OfRoot,
    /// In every sandbox, by nature without one too: the helper sees to it, or no kernel lets it
    /// through. Kept so that it is noticed if one does.
    Ever,
    /// In every sandbox. Without one it depends on how the kernel was built or set up.
    OfKernel,
    /// Only with namespaces. In the other tier it is open by design: no layer there can stop it.
    Namespaced,
    /// Only without namespaces. Within them it concerns nobody but the plugin, and no guarantee.
    Landlocked,
    /// Where the report says that the guarantee is enforced; elsewhere it may go either way.
    AsReported,
    /// In no sandbox: open by design.
    Never,
    /// The call may succeed, in a world of its own or in vain. Whether it did anything, its target
    /// tells (`witness.rs`).
    ByWitness,
}

use Rule::{Always, AsReported, ByWitness, Ever, Landlocked, Namespaced, Never, OfKernel, OfRoot};

/// What a probe should get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Open,
    Blocked,
    Either,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "open",
            Self::Blocked => "blocked",
            Self::Either => "either",
        })
    }
}

fn open_if(is_so: bool) -> Expected {
    if is_so { Expected::Open } else { Expected::Blocked }
}

pub(super) fn always(_: &Setup) -> Expected {
    Expected::Open
}

/// Moving between folders is a right of its own since version 2.
pub(super) fn with_refer(setup: &Setup) -> Expected {
    open_if(setup.tier == Tier::None || setup.used_abi() >= 2)
}

/// A plugin of our own has its code already: it gets its grants and nothing else.
pub(super) fn as_a_program(setup: &Setup) -> Expected {
    open_if(setup.tier == Tier::None || !setup.first_party)
}

/// Only namespaces give a program a `/tmp` of its own.
pub(super) fn in_namespaces(setup: &Setup) -> Expected {
    open_if(setup.tier == Tier::None || (setup.tier == Tier::Namespaced && !setup.first_party))
}

/// A first-party plugin may have one process.
pub(super) fn with_children(setup: &Setup) -> Expected {
    as_a_program(setup)
}

/// Without namespaces and Landlock's scope, a plugin may signal nobody but itself.
pub(super) fn with_scope(setup: &Setup) -> Expected {
    match setup.tier {
        Tier::None => Expected::Open,
        _ if setup.first_party => Expected::Blocked,
        _ if setup.used_abi() >= 6 => Expected::Open,
        Tier::Namespaced => Expected::Either,
        _ => Expected::Blocked,
    }
}

/// Ports are granted by Landlock, from version 4 on. Before that the report has to say what holds.
pub(super) fn with_port(setup: &Setup) -> Expected {
    match setup.tier {
        Tier::None => Expected::Open,
        _ if setup.port_without_landlock() => Expected::Either,
        _ => open_if(setup.port),
    }
}

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
            Kind::Attack(Landlocked) if setup.tier == Tier::Namespaced => None,
            Kind::Attack(_) => self.guarantee,
            Kind::Control(_) => None,
        }
    }
}

impl Rule {
    fn within(self, tier: Tier) -> Expected {
        match self {
            Always | OfRoot | Ever | OfKernel => Expected::Blocked,
            Namespaced => open_if(tier == Tier::Landlocked),
            Landlocked if tier == Tier::Landlocked => Expected::Blocked,
            Landlocked | AsReported | ByWitness => Expected::Either,
            Never => Expected::Open,
        }
    }

    fn without_a_sandbox(self, user: User) -> Expected {
        match self {
            Ever => Expected::Blocked,
            OfKernel => Expected::Either,
            OfRoot => open_if(user == User::Root),
            ByWitness => Expected::Either,
            Always | Namespaced | Landlocked | AsReported | Never => Expected::Open,
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
