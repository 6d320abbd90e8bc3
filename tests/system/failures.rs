//! Whole runs with a member whose plugin goes wrong: what it costs, and what the command would end
//! with. The plugin is one that the embedder brings (`Options::plugins`).

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outrigger::config::{Config, Places};
use outrigger::exit::Exit;
use outrigger::report::{RunReport, write_run};
use outrigger::run::{Options, Unwatched, run};
use outrigger::sandbox::{Helper, Program};
use outrigger::store::Store;

use crate::support::host::example;
use crate::support::{DEADLINE, LAPTOP, World, card, no_process_is_left, over_both_connections, until};

over_both_connections!(
    a_refused_password_ends_with_the_code_of_credentials,
    a_broken_plugin_ends_with_the_code_of_plugins,
    a_member_that_breaks_the_contract_is_cancelled_at_once,
    a_member_that_breaks_the_contract_and_hears_no_cancel_is_ended,
    a_member_whose_process_is_stopped_is_named_and_another_group_goes_on,
);

/// Below this no clock of a call runs out (60 s), far above what it takes.
const NO_CLOCK: Duration = Duration::from_secs(40);

/// A run of an empty folder and the hostile plugin.
fn run_with(world: &World, place: &str, deed: &str) -> RunReport {
    run_beside(world, place, deed, "")
}

/// The same, with more lines behind the table of the hostile member.
fn run_beside(world: &World, place: &str, deed: &str, more: &str) -> RunReport {
    // Empty, so that nothing but the hostile plugin is waited for.
    fs::create_dir_all(world.member(LAPTOP).join("notes")).unwrap();
    let connection = world.connection();
    world.configure_as(&format!(
        "state = \"./state\"\n[member.laptop]\nplugin = \"vdir\"\npath = \"./laptop\"\n{connection}\n\
         [member.phone]\nplugin = \"hostile\"\n{connection}\n{more}\n\
         [group.contacts]\nmembers = [\"laptop\", \"phone\"]\ncollections = [\"notes\"]\n"
    ));
    let path = example("hostile_plugin", "hostile_plugin");
    let args = vec![place.into(), deed.into()];
    let mut options = Options::default();
    options.plugins.programs.insert("hostile".into(), Program::Executable { path, args });
    options.plugins.helper = Helper::Executable(world.program());
    let config = Config::load(&world.config(), &Places::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let story = async { tokio::time::timeout(DEADLINE, run(&config, &options, &Unwatched)).await };
    let report = runtime.block_on(story).expect("it hangs").unwrap();
    drop(runtime);
    no_process_is_left(world.root());
    report
}

fn text(report: &RunReport) -> String {
    let mut text = Vec::new();
    write_run(report, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[track_caller]
fn expect(report: &RunReport, exit: Exit, words: &str) {
    assert_eq!(report.exit(), exit, "{}", text(report));
    assert!(text(report).contains(words), "it does not say {words:?}: {}", text(report));
}

fn a_refused_password_ends_with_the_code_of_credentials(world: World) {
    for place in ["initialize", "get_changes", "read"] {
        let report = run_with(&world, place, "auth");
        expect(&report, Exit::Credentials, "the password is wrong");
        assert_eq!(report.exit().code(), 6);
    }
}

fn a_broken_plugin_ends_with_the_code_of_plugins(world: World) {
    let deeds = [
        ("get_changes", "twice", "it listed an item twice"),
        ("get_changes", "abort", "SIGABRT"),
        ("initialize", "exit", "code 3"),
    ];
    for (place, deed, words) in deeds {
        let world = World::new(world.link());
        let report = run_with(&world, place, deed);
        expect(&report, Exit::Plugin, words);
        assert_eq!(report.exit().code(), 7);
    }
}

/// What the engine decides while answers come in must not wait for the next event, for none comes:
/// this plugin says that it is busy until it is told to stop.
fn a_member_that_breaks_the_contract_is_cancelled_at_once(world: World) {
    let begun = Instant::now();
    let report = run_with(&world, "read", "long");
    expect(&report, Exit::Plugin, "beyond the limit of a name");
    assert!(begun.elapsed() < NO_CLOCK, "{:?}", begun.elapsed());
}

fn a_member_that_breaks_the_contract_and_hears_no_cancel_is_ended(world: World) {
    let begun = Instant::now();
    let report = run_with(&world, "read", "long-deaf");
    expect(&report, Exit::Plugin, "beyond the limit of a name");
    assert!(begun.elapsed() < NO_CLOCK, "{:?}", begun.elapsed());
}

/// What the command says of a process that is stopped, and that the other group is kept the same.
/// Holds S35.
fn a_member_whose_process_is_stopped_is_named_and_another_group_goes_on(world: World) {
    let members = ["desk", "shelf"].map(|name| {
        fs::create_dir_all(world.member(name).join("notes")).unwrap();
        format!("[member.{name}]\nplugin = \"vdir\"\npath = \"./{name}\"\n{}", world.connection())
    });
    let item = |member| world.member(member).join("notes/anna.vcf");
    fs::write(item("desk"), card("anna", "Anna")).unwrap();
    let more = format!(
        "[member.phone.sandbox]\ncalls_timeout = \"500ms\"\n{}\n\
         [group.others]\nmembers = [\"desk\", \"shelf\"]\ncollections = [\"notes\"]\n",
        members.concat()
    );
    let begun = Instant::now();
    let report = run_beside(&world, "get_changes", "stop", &more);
    assert!(begun.elapsed() < NO_CLOCK, "{:?}", begun.elapsed());
    expect(&report, Exit::Plugin, "phone: \"get_changes: not answered in time");
    expect(&report, Exit::Plugin, "1 group in sync, 1 group with trouble");
    assert_eq!(fs::read_to_string(item("shelf")).unwrap(), card("anna", "Anna"));
}

/// 256 MiB of names are more than any listing may bring.
#[test]
fn a_listing_without_end_is_cut_off_at_its_limit() {
    let world = World::empty(crate::support::Link::Inherited);
    let report = run_with(&world, "get_changes", "endless");
    expect(&report, Exit::Plugin, "268435456 bytes, the limit of a listing");
    let listed = report.groups[0].collections[0].summary.members[1].counts.listed;
    assert!((60_000..70_000).contains(&listed), "{listed}");
}

/// While it waits for the lock of the group, which takes up to five seconds.
#[test]
fn an_interrupt_is_heard_while_another_run_holds_the_group() {
    [Signal::SIGINT, Signal::SIGTERM].into_iter().for_each(assert_interrupts);
}

fn assert_interrupts(signal: Signal) {
    let world = World::new(crate::support::Link::Inherited);
    let held = Store::open(&world.state(), "contacts", Duration::ZERO).unwrap();
    let running = world.start(["sync", "contacts"]);
    let caught = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim().to_owned();
        u64::from_str_radix(&line, 16).ok().filter(|caught| caught & (1 << (signal as u32 - 1)) != 0)
    };
    until("the command listens for an interrupt", || {
        fs::read_to_string(format!("/proc/{}/status", running.pid)).ok().and_then(caught)
    });
    kill(Pid::from_raw(running.pid), signal).unwrap();
    running.wait().expect(130).says(&["interrupted"]);
    held.close().unwrap();
}
