//! A machine that lacks a part of the sandbox: what takes its place is said, and where nothing does,
//! nothing starts.

use std::thread;

use outrigger_sandbox::{Guarantee, LaunchError, OnUnsupported, Policy, Profile, Program, Standing, Tier};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

use crate::matrix::{landlock_abi, tier_missing};
use crate::runner::Test;
use crate::support::{Started, first_party, launch, role, start_with};

/// Those that this machine is one for; the others are for machines of another kind, so nothing is
/// missing here (`scripts/vm.sh` makes such machines).
pub(crate) fn tests() -> Vec<Test> {
    let no_landlock = landlock_abi() == 0;
    let no_namespaces = !no_landlock && tier_missing(Tier::Namespaced).is_some();
    let namespaces = ("p3_without_namespaces_the_report_says_what_forbids_them", without_namespaces as fn());
    let landlock = ("p3_without_landlock_nothing_starts_unless_less_will_do", without_landlock as fn());
    let birth = (
        "p3_where_nothing_can_be_born_in_a_control_group_plugins_start_without",
        without_birth_in_a_group as fn(),
    );
    let all = [(no_namespaces, namespaces), (no_landlock, landlock), (!no_landlock, birth)];
    all.into_iter().filter(|(is_one, _)| *is_one).map(|(_, (name, body))| Test::plain(name, body)).collect()
}

fn programs() -> [Program; 2] {
    [first_party("wait"), role("wait")]
}

fn strict(on_unsupported: OnUnsupported) -> Policy {
    Policy { profile: Profile::Strict, on_unsupported, ..Policy::default() }
}

fn start(program: Program, on_unsupported: OnUnsupported) -> Started {
    let mut started = start_with(program, |launch| launch.policy = strict(on_unsupported));
    assert_eq!(started.log.line(), "waiting");
    started
}

fn without_namespaces() {
    for program in programs() {
        let started = start(program, OnUnsupported::Refuse);
        let report = started.child.report();
        assert_eq!(report.tier(), Tier::Landlocked);
        let Standing::Unavailable { reason, hint } = report.standing(Guarantee::FsMetadata) else {
            panic!("{report:?}")
        };
        println!("     {reason} ({hint})");
        assert!(reason.contains("making namespaces"), "{reason}");
        assert_eq!(report.standing(Guarantee::FsRead), Standing::Enforced);
    }
}

/// As in most containers: the call whose arguments no filter can see does not exist. It makes namespaces,
/// and what is born in a group.
fn without_birth_in_a_group() {
    let standings = under_a_filter(libc::SYS_clone3, || {
        let processes = Some(4);
        let mut started = start_with(role("wait"), |launch| {
            launch.policy = Policy { processes, ..strict(OnUnsupported::Refuse) };
        });
        assert_eq!(started.log.line(), "waiting");
        assert_eq!(started.child.report().tier(), Tier::Landlocked);
        [Guarantee::FsMetadata, Guarantee::Cpu].map(|guarantee| started.child.report().standing(guarantee))
    });
    println!("     {standings:?}");
    let [Standing::Unavailable { reason, .. }, cpu] = standings else { panic!("{standings:?}") };
    assert!(reason.contains("making namespaces: Function not implemented"), "{reason}");
    // With version 1 processes move into groups; with version 2 there may have been none to be born in.
    match cpu {
        Standing::Unavailable { reason, .. } => assert!(reason.contains(" group"), "{reason}"),
        Standing::Enforced => assert!(std::path::Path::new("/sys/fs/cgroup/cpu").exists()),
        Standing::Advisory { reason, .. } => panic!("{reason}"),
    }
}

/// Does something where this call does not exist, for all that it starts and for nobody else.
fn under_a_filter<T: Send>(call: i64, act: impl FnOnce() -> T + Send) -> T {
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let rules = [(call, Vec::new())].into_iter().collect();
    let answer = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let filter: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, answer, arch).unwrap().try_into().unwrap();
    let act = || {
        apply_filter(&filter).unwrap(); // of this thread alone
        act()
    };
    thread::scope(|scope| scope.spawn(act).join().unwrap())
}

fn without_landlock() {
    for program in programs() {
        let (mut launch, _connection) = launch(program.clone());
        launch.policy = strict(OnUnsupported::Refuse);
        let error = outrigger_sandbox::launch(launch).unwrap_err();
        println!("     {error}");
        let LaunchError::NotEnforced { missing } = error else { panic!("{error}") };
        assert!(missing.iter().any(|(guarantee, _)| *guarantee == Guarantee::Exec), "{missing:?}");
        let started = start(program, OnUnsupported::Weaken);
        assert_ne!(started.child.report().standing(Guarantee::Exec), Standing::Enforced);
    }
}
