//! When a probe should be stopped, and when a control should work: by tier, user and kernel.

use std::fmt;

use outrigger_sandbox::Tier;

use super::{Setup, User};

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

impl Rule {
    pub(super) fn within(self, tier: Tier) -> Expected {
        match self {
            Always | OfRoot | Ever | OfKernel => Expected::Blocked,
            Namespaced => open_if(tier == Tier::Landlocked),
            Landlocked if tier == Tier::Landlocked => Expected::Blocked,
            Landlocked | AsReported | ByWitness => Expected::Either,
            Never => Expected::Open,
        }
    }

    pub(super) fn without_a_sandbox(self, user: User) -> Expected {
        match self {
            Ever => Expected::Blocked,
            OfKernel => Expected::Either,
            OfRoot => open_if(user == User::Root),
            ByWitness => Expected::Either,
            Always | Namespaced | Landlocked | AsReported | Never => Expected::Open,
        }
    }
}

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

/// Only a network of its own can have a listener of its own. Without a sandbox it is anybody's.
pub(super) fn with_proxy(setup: &Setup) -> Expected {
    match setup.tier {
        Tier::None => Expected::Either,
        tier => open_if(setup.proxied && tier == Tier::Namespaced),
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
