//! A machine that lacks a part of the sandbox: what takes its place is said, and where nothing does,
//! nothing starts.

use outrigger_sandbox::{Guarantee, LaunchError, OnUnsupported, Policy, Profile, Program, Standing, Tier};

use crate::matrix::{landlock_abi, tier_missing};
use crate::runner::Test;
use crate::support::{Started, first_party, launch, role, start_with};

pub(crate) fn tests() -> Vec<Test> {
    let namespaces = Test {
        name: "p3_without_namespaces_the_report_says_what_forbids_them".into(),
        body: Box::new(without_namespaces),
        missing: Box::new(|| {
            let can =
                || tier_missing(Tier::Namespaced).is_none().then(|| "namespaces can be made here".into());
            tier_missing(Tier::Landlocked).or_else(can)
        }),
    };
    let landlock = Test {
        name: "p3_without_landlock_nothing_starts_unless_less_will_do".into(),
        body: Box::new(without_landlock),
        missing: Box::new(|| (landlock_abi() > 0).then(|| "the kernel has Landlock".into())),
    };
    vec![namespaces, landlock]
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
