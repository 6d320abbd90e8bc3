//! What cannot be started is an error that names the step, never an end of file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use outrigger_sandbox::{
    ExecFailure, Exit, Guarantee, Helper, Launch, LaunchError, Policy, Profile, Program, Protected,
};

use crate::roles::THREADED;
use crate::runner::Case;
use crate::support::{Log, executable, first_party, launch, start_with};

pub(crate) const CASES: &[Case] = &[
    ("p1_exec_error_missing", missing),
    ("p1_exec_error_not_executable", not_executable),
    ("p1_exec_error_wrong_architecture", wrong_architecture),
    ("p1_exec_error_interpreter_missing", no_interpreter),
    ("p1_unknown_first_party_plugin_is_an_error", unknown),
    ("p1_helper_that_is_silent_meets_the_deadline", silent_helper),
    ("p1_helper_that_ends_is_an_error_with_a_hint", ended_helper),
    ("p1_helper_that_is_killed_is_told_from_one_that_leaves", killed_helper),
    ("p1_helper_that_is_not_there_is_an_error", missing_helper),
    ("p1_launch_that_makes_no_sense_starts_nothing", invalid),
    ("p1_required_guarantee_that_is_missing_refuses", required),
    ("p2_a_grant_to_write_to_what_is_ours_starts_nothing", granted),
    ("p2_helper_refuses_a_second_thread", threaded),
    ("p2_a_command_named_host_is_still_the_programs_own", not_a_helper),
];

fn refused(program: Program, change: impl FnOnce(&mut Launch)) -> LaunchError {
    let (mut launch, mut connection) = launch(program);
    change(&mut launch);
    let error = outrigger_sandbox::launch(launch).unwrap_err();
    // Whatever was started has ended or is ending: the only other end of the connection closes.
    assert_eq!(std::io::Read::read(&mut connection, &mut [0]).unwrap(), 0);
    error
}

fn exec_failure(path: &Path) -> ExecFailure {
    match refused(executable(path.into(), &[]), |_| {}) {
        LaunchError::Exec(error) => {
            assert_eq!(error.path, path);
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            error.kind
        }
        other => panic!("{other:?}"),
    }
}

fn file(folder: &Path, content: &[u8], mode: u32) -> std::path::PathBuf {
    let path = folder.join("plugin");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn missing() {
    assert_eq!(exec_failure(Path::new("/nonexistent/plugin")), ExecFailure::Missing);
}

fn not_executable() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(exec_failure(&file(folder.path(), b"#!/bin/sh\n", 0o644)), ExecFailure::NotExecutable);
    assert_eq!(exec_failure(folder.path()), ExecFailure::NotExecutable);
}

fn wrong_architecture() {
    let folder = tempfile::tempdir().unwrap();
    let mut elf = fs::read(std::env::current_exe().unwrap()).unwrap();
    elf[18] ^= 0xFF; // e_machine
    assert_eq!(exec_failure(&file(folder.path(), &elf, 0o755)), ExecFailure::WrongFormat);
    // The C library would hand this to a shell.
    assert_eq!(exec_failure(&file(folder.path(), b"echo hello\n", 0o755)), ExecFailure::WrongFormat);
}

fn no_interpreter() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), b"#!/nonexistent/python\n", 0o755);
    assert_eq!(exec_failure(&path), ExecFailure::InterpreterMissing);
}

fn unknown() {
    let error = refused(first_party("vdri"), |_| {});
    assert!(matches!(&error, LaunchError::Failed(failure) if failure.reason.contains("vdri")), "{error}");
}

fn silent_helper() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), b"#!/bin/sh\nexec sleep 1000\n", 0o755);
    let after = Duration::from_millis(50);
    let error = refused(first_party("wait"), |launch| {
        launch.helper = Helper::Executable(path);
        launch.deadlines.report = after;
    });
    assert!(matches!(error, LaunchError::Deadline { after: given, .. } if given == after), "{error}");
}

fn ended_helper() {
    let error = refused(first_party("wait"), |launch| launch.helper = Helper::Executable("/bin/true".into()));
    assert!(matches!(error, LaunchError::HelperEnded { exit: Some(Exit::Code(0)), .. }), "{error:?}");
    assert_eq!(error.killed(), None);
    assert!(error.to_string().contains("host_main_if_requested"), "{error}");
}

fn killed_helper() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), b"#!/bin/sh\nkill -9 $$\n", 0o755);
    let error = refused(first_party("wait"), |launch| launch.helper = Helper::Executable(path));
    assert!(matches!(error, LaunchError::HelperEnded { .. }), "{error:?}");
    assert_eq!(error.killed(), Some(Exit::Signal(9)));
    // One that closes its end and lives on is killed by us.
    let path = file(folder.path(), b"#!/bin/sh\nexec sleep 1000 <&-\n", 0o755);
    let error = refused(first_party("wait"), |launch| launch.helper = Helper::Executable(path));
    assert!(matches!(error, LaunchError::HelperEnded { exit: None, .. }), "{error:?}");
    assert_eq!(error.killed(), None);
}

fn missing_helper() {
    let error =
        refused(first_party("wait"), |launch| launch.helper = Helper::Executable("/nonexistent".into()));
    assert!(matches!(error, LaunchError::Helper { .. }), "{error:?}");
    assert!(error.to_string().contains("/nonexistent: No such file"), "{error}");
}

fn invalid() {
    let relative = refused(executable("plugin".into(), &[]), |_| {});
    let variable =
        refused(first_party("wait"), |launch| launch.environment = vec![("A=B".into(), "".into())]);
    let zero = refused(executable("/bin/true".into(), &["a\0b"]), |_| {});
    let both = refused(executable("/bin/true".into(), &[]), |launch| {
        let (profile, network) = (Profile::Network, vec!["tcp:1".into()]);
        launch.policy = Policy { profile, network, proxied: true, ..Policy::default() };
    });
    assert!(matches!(both, LaunchError::Invalid { .. }), "{both:?}");
    assert!(matches!(relative, LaunchError::Invalid { .. }), "{relative:?}");
    assert!(matches!(variable, LaunchError::Invalid { .. }), "{variable:?}");
    assert!(matches!(zero, LaunchError::Failed(_)), "{zero:?}");
}

fn required() {
    let policy = Policy { profile: Profile::None, require: vec![Guarantee::Memory], ..Policy::default() };
    let error = refused(first_party("wait"), |launch| launch.policy = policy);
    assert!(matches!(&error, LaunchError::NotEnforced { missing } if missing.len() == 1), "{error:?}");
}

fn granted() {
    let grant = |path: &Path, program: Program, protected: Vec<Protected>| {
        let error = refused(program, |launch| {
            launch.policy.write = vec![path.to_owned()];
            launch.protected = protected;
        });
        assert!(matches!(error, LaunchError::Grant(_)), "{error:?}");
        error.to_string()
    };
    let (own, folder) = (std::env::current_exe().unwrap(), tempfile::tempdir().unwrap());
    let said = grant(own.parent().unwrap(), first_party("wait"), Vec::new());
    assert!(said.contains("covers the executable") && said.contains(own.to_str().unwrap()), "{said}");
    let said = grant(Path::new("/usr"), first_party("wait"), Vec::new());
    assert!(said.contains("covers a library of the executable"), "{said}");
    let program = file(folder.path(), b"#!/bin/sh\n", 0o755);
    let said = grant(folder.path(), executable(program, &[]), Vec::new());
    assert!(said.contains("covers the plugin's executable"), "{said}");
    let state = Protected::new("the state directory", folder.path().join("state"));
    let said = grant(folder.path(), first_party("wait"), vec![state.clone()]);
    assert!(said.contains("covers the state directory"), "{said}");
    // What is beside it may be granted.
    let mut started = start_with(first_party("code-3"), |launch| {
        launch.policy.write = vec![folder.path().join("data")];
        launch.protected = vec![state];
    });
    started.end();
}

fn threaded() {
    let error = refused(first_party(THREADED), |_| {});
    assert!(error.to_string().contains("2 threads"), "{error}");
}

fn not_a_helper() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child =
        command.args(["host", "--list"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    // It went on to what the program itself does with these words.
    Log::new(child.stdout.take().unwrap().into()).rest();
    assert!(child.wait().unwrap().success());
}
