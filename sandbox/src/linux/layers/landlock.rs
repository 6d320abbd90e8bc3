//! Landlock: the kernel checks each opening of a file against a list, for this process and all that
//! it starts, and no privilege is needed for that.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

use super::super::sys;
use super::places::Place;
use crate::Failure;

/// The highest version of the interface that this was written for.
const HIGHEST: u32 = 9;

/// The lowest that restricts signals and abstract sockets.
const SCOPES: u32 = 6;

/// The lowest that restricts ports.
const PORTS: u32 = 4;

/// What no grant to write gives: programs, devices, and names that other processes would wait at.
const NEVER_WRITTEN: [AccessFs; 5] =
    [AccessFs::Execute, AccessFs::MakeChar, AccessFs::MakeBlock, AccessFs::MakeSock, AccessFs::MakeFifo];

/// A list that is in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applied {
    /// The version of the interface.
    pub(super) abi: u32,
}

impl Applied {
    /// Whether signals reach only processes of the sandbox.
    pub(super) fn scopes(self) -> bool {
        self.abi >= SCOPES
    }

    /// Whether files are protected from being cut off, also where they may only be read.
    pub(super) fn protects_length(self) -> bool {
        self.abi >= 3
    }

    /// Whether only the given ports can be reached.
    pub(super) fn restricts_ports(self) -> bool {
        self.abi >= PORTS
    }
}

/// Restricts this process to the places, and TCP to the `ports`. Version `at_most` of the interface
/// is used, or the highest that the kernel has.
///
/// Whatever that version can restrict is restricted: there is no silent second best.
pub(super) fn apply(places: &[Place], ports: &[u16], at_most: Option<u32>) -> Result<Applied, Failure> {
    const STEP: &str = "looking for Landlock";
    let found = sys::landlock_version().map_err(|error| Failure::system(STEP, &error))?;
    let abi = at_most.unwrap_or(HIGHEST).min(HIGHEST).min(found);
    if abi == 0 {
        return Err(Failure::new(STEP, "it was not to be used"));
    }
    let ruleset = ruleset(version(abi)).map_err(|error| Failure::new(STEP, reason(&error)))?;
    restrict(ruleset, abi, places, ports).map(|()| Applied { abi })
}

fn version(abi: u32) -> ABI {
    ABI::from(i32::try_from(abi).unwrap_or(0))
}

/// What the library says, with what the kernel said to it.
fn reason(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |source| source.source())
        .fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

fn ruleset(abi: ABI) -> Result<RulesetCreated, RulesetError> {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let ruleset = ruleset.handle_access(AccessFs::from_all(abi))?;
    let ruleset = if abi >= ABI::V4 { ruleset.handle_access(AccessNet::from_all(abi))? } else { ruleset };
    let ruleset = if abi >= ABI::V6 { ruleset.scope(Scope::from_all(abi))? } else { ruleset };
    ruleset.create()
}

fn restrict(ruleset: RulesetCreated, abi: u32, places: &[Place], ports: &[u16]) -> Result<(), Failure> {
    let failed = |what: &str, error: &dyn std::error::Error| Failure::new(what, reason(error));
    let mut ruleset = ruleset.set_compatibility(CompatLevel::HardRequirement);
    for place in places {
        let what = format!("granting {}", place.real.display());
        let handle = place.open().map_err(|error| Failure::system(&what, &error))?;
        let rule = PathBeneath::new(handle, access(place, version(abi)));
        ruleset = ruleset.add_rule(rule).map_err(|error| failed(&what, &error))?;
    }
    for port in ports.iter().filter(|_| abi >= PORTS) {
        let rule = NetPort::new(*port, AccessNet::ConnectTcp);
        ruleset = ruleset.add_rule(rule).map_err(|error| failed("granting a port", &error))?;
    }
    ruleset.restrict_self().map(drop).map_err(|error| failed("entering Landlock", &error))
}

fn access(place: &Place, abi: ABI) -> BitFlags<AccessFs> {
    let mut access = AccessFs::ReadFile | AccessFs::ReadDir;
    if place.rights.write {
        let never = NEVER_WRITTEN.into_iter().fold(BitFlags::EMPTY, |all: BitFlags<AccessFs>, one| all | one);
        access |= AccessFs::from_all(abi) & !never;
    }
    if place.rights.device {
        access |= AccessFs::WriteFile;
    }
    if place.rights.execute {
        access |= AccessFs::Execute;
    }
    if place.folder { access } else { access & AccessFs::from_file(abi) }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::super::places::places;
    use super::*;
    use crate::Policy;

    fn granted(policy: &Policy) -> BitFlags<AccessFs> {
        access(&places(None, OsStr::new(""), policy)[0], ABI::V9)
    }

    #[test]
    fn a_grant_to_write_makes_nothing_that_runs_or_listens() {
        let folder = tempfile::tempdir().unwrap();
        let access = granted(&Policy { write: vec![folder.path().to_owned()], ..Policy::default() });
        assert!(
            access.contains(AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::Refer | AccessFs::Truncate)
        );
        assert!(NEVER_WRITTEN.into_iter().all(|never| !access.contains(never)));
    }

    #[test]
    fn a_grant_to_read_changes_nothing() {
        let access = granted(&Policy { read: vec!["/usr".into()], ..Policy::default() });
        assert_eq!(access, AccessFs::ReadFile | AccessFs::ReadDir);
    }

    #[test]
    fn a_file_gets_only_what_a_file_can_have() {
        let access = granted(&Policy { execute: vec!["/bin/true".into()], ..Policy::default() });
        assert_eq!(access, AccessFs::ReadFile | AccessFs::Execute);
        assert!(Path::new("/bin/true").exists());
    }

    #[test]
    fn a_version_that_is_not_to_be_used_is_not() {
        let failure = apply(&[], &[], Some(0)).unwrap_err();
        assert!(failure.to_string().contains("not to be used"), "{failure}");
    }
}
