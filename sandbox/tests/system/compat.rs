//! What an ordinary plugin in another language does must work in every sandbox (decisions P4):
//! CPython, with the parts of its library that ask most of the kernel.

use std::path::{Path, PathBuf};

use outrigger_sandbox::{Program, Tier};

use crate::matrix::{QUIET, Setup, User, policy, run_as};
use crate::probe::Targets;
use crate::runner::Test;
use crate::support::{Log, executable, start_with};

const PYTHON: &str = "/usr/bin/python3";
const SCRIPT: &str = include_str!("compat.py");

/// A test for each tier and user.
pub(crate) fn tests() -> Vec<Test> {
    let setups = [Tier::None, Tier::Namespaced, Tier::Landlocked].map(|tier| Setup {
        tier,
        port: false,
        proxied: false,
        abi: None,
        user: User::Root,
        first_party: false,
    });
    let of = |user| setups.map(|setup| Setup { user, ..setup });
    of(User::Root).into_iter().chain(of(User::Anybody)).map(test).collect()
}

fn test(setup: Setup) -> Test {
    Test {
        name: setup.name("p4_python_runs"),
        body: Box::new(move || run_as("python", &setup)),
        missing: Box::new(move || {
            let absent = || (!Path::new(PYTHON).exists()).then(|| format!("there is no {PYTHON}"));
            absent().or_else(|| setup.missing())
        }),
    }
}

/// The role of the broker that plays one of them.
pub(crate) fn broker(setup: &str) -> i32 {
    let setup: Setup = serde_json::from_str(setup).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (said, complaints) = play(&setup, folder.path());
    let good = said.ends_with("end\n") && !said.contains("failed ");
    if !good {
        println!("{said}{complaints}");
    }
    i32::from(!good)
}

/// What the script printed, to its two outputs.
fn play(setup: &Setup, granted: &Path) -> (String, String) {
    let targets = Targets { read: granted.into(), write: granted.into(), ..Targets::default() };
    // Only namespaces give it a `/tmp` of its own.
    let scratch = (setup.tier == Tier::Landlocked).then(|| ("TMPDIR".into(), granted.into()));
    let mut started = start_with(program(granted, setup.tier), |launch| {
        launch.policy = policy(setup, &targets);
        launch.policy.execute.push(PathBuf::from(PYTHON));
        launch.environment = [("LANG".into(), "C.UTF-8".into())].into_iter().chain(scratch).collect();
    });
    assert_eq!(started.child.report().tier(), setup.tier);
    let complaints = Log::new(started.child.take_stderr().unwrap());
    (started.output(), complaints.rest())
}

fn program(granted: &Path, tier: Tier) -> Program {
    executable(PYTHON.into(), &["-c", SCRIPT, granted.to_str().unwrap(), QUIET, &tier.to_string()])
}
