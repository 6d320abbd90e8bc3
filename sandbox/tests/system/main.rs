//! The room with real processes. This one executable is the test runner, the broker that gets
//! killed, the helper, the keeper, the plugins, and whatever they start.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // tests, but not `#[test]` functions

#[cfg(target_os = "linux")]
mod bombs;
#[cfg(target_os = "linux")]
mod cleanup;
#[cfg(target_os = "linux")]
mod compat;
#[cfg(target_os = "linux")]
mod ends;
#[cfg(target_os = "linux")]
mod fallback;
#[cfg(target_os = "linux")]
mod groups;
#[cfg(target_os = "linux")]
mod handovers;
#[cfg(target_os = "linux")]
mod leftovers;
#[cfg(target_os = "linux")]
mod matrix;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod refusals;
#[cfg(target_os = "linux")]
mod roles;
#[cfg(target_os = "linux")]
mod runner;
#[cfg(target_os = "linux")]
mod starts;
#[cfg(target_os = "linux")]
mod support;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    roles::start_a_thread_if_that_is_the_test();
    outrigger_sandbox::host_main_if_requested(roles::first_party);
    if let Some(code) = roles::run_if_requested() {
        return code;
    }
    let cases = [starts::CASES, ends::CASES, cleanup::CASES, refusals::CASES, handovers::CASES].concat();
    let mut tests: Vec<runner::Test> =
        cases.into_iter().map(|(name, body)| runner::Test::plain(name, body)).collect();
    tests.extend(ends::tests());
    tests.extend(matrix::tests());
    tests.extend(compat::tests());
    tests.extend(leftovers::tests());
    tests.extend(bombs::tests());
    tests.extend(groups::tests());
    tests.extend(fallback::tests());
    runner::run(&tests)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    let launch = |_: &str| None;
    outrigger_sandbox::host_main_if_requested(launch);
}
