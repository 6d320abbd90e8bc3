//! A group that stays open between its syncs: what one without news costs, and what is seen of what
//! happens in between.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outrigger::config::{Config, Places};
use outrigger::exit::Exit;
use outrigger::report::GroupReport;
use outrigger::run::{OpenGroup, Options, Plugins, Unwatched};
use outrigger::sandbox::{Helper, Program};

use crate::support::host::{block_on, example};
use crate::support::{LAPTOP, Link, PHONE, World, card, no_process_is_left, processes, until};

/// What an empty sync asks of a member, and nothing else.
const EMPTY: [&str; 6] =
    ["connect", "connect_done", "get_changes", "committed_all", "sync_done", "disconnect"];

/// How many syncs an ordinary run makes; `OUTRIGGER_SYNCS` says otherwise.
const SYNCS: usize = 1000;

/// In a process of its own: the other tests open and close things as well.
const ALONE: &str = "OUTRIGGER_TEST_ALONE";

fn world() -> World {
    let world = World::new(Link::Inherited);
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world
}

/// The same, whose plugins note each call.
fn counted() -> World {
    let world = world();
    let member = |name: &str| format!("[member.{name}]\nplugin = \"counting\"\npath = \"./{name}\"\n");
    world.configure_as(&format!(
        "state = \"./state\"\n{}{}[group.contacts]\nmembers = [\"{LAPTOP}\", \"{PHONE}\"]\ncollections = \"all\"\n",
        member(LAPTOP),
        member(PHONE)
    ));
    world
}

fn config(world: &World) -> Config {
    Config::load(&world.config(), &Places::default()).unwrap()
}

/// A process of tests cannot become a plugin's.
fn options(world: &World) -> Options {
    let path = example("counting_plugin", "tests/system/counting_plugin.rs");
    let programs = BTreeMap::from([("counting".to_owned(), Program::Executable { path, args: Vec::new() })]);
    let plugins = Plugins { programs, helper: Helper::Executable(world.program()) };
    Options { plugins, ..Options::default() }
}

async fn open<'c>(world: &World, config: &'c Config) -> OpenGroup<'c> {
    OpenGroup::open(config, "contacts", options(world)).await.unwrap()
}

/// A sync that must come through.
async fn sync_well(group: &mut OpenGroup<'_>) -> GroupReport {
    let report = group.sync(&Unwatched).await;
    assert_eq!(report.exit(), Exit::Done, "{report:?}");
    report
}

/// Items that were read of all members, and written to them.
fn moved(report: &GroupReport) -> (u64, u64) {
    let members = report.collections.iter().flat_map(|one| &one.summary.members);
    let of =
        |counts: &outrigger::engine::Counts| (counts.read, counts.created + counts.updated + counts.deleted);
    members.map(|member| of(&member.counts)).fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
}

/// Syncs until nothing is left to do; what was just written may have to be looked at once more.
async fn come_to_rest(group: &mut OpenGroup<'_>) {
    while moved(&sync_well(group).await) != (0, 0) {}
}

async fn close(world: &World, group: OpenGroup<'_>) {
    let closed = group.close().await;
    assert!(closed.failure.is_none() && closed.plugins.len() == 2, "{closed:?}");
    no_process_is_left(world.root());
}

/// The calls that a member has seen since it was looked last.
fn calls(world: &World, member: &str) -> Vec<String> {
    let file = world.member(member).join("calls");
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(file).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Transactions in the log of the state: frames that say how long the file is (SQLite's file format, 4.2).
fn transactions(world: &World) -> usize {
    let log = fs::read(world.state().join("groups/contacts.db-wal")).unwrap();
    let number = |from: usize| u32::from_be_bytes(log[from..from + 4].try_into().unwrap());
    let (page, salt) = (number(8) as usize, &log[16..24]);
    let frames = (32..log.len()).step_by(24 + page);
    frames.filter(|from| log[from + 8..from + 16] == *salt && number(from + 4) != 0).count()
}

#[test]
fn an_empty_sync_takes_six_calls_a_member() {
    let world = counted();
    let config = config(&world);
    block_on(async {
        let mut group = open(&world, &config).await;
        sync_well(&mut group).await;
        for member in [LAPTOP, PHONE] {
            assert_eq!(calls(&world, member)[..2], ["initialize", "discover"]);
        }
        come_to_rest(&mut group).await;
        [LAPTOP, PHONE].iter().for_each(|member| drop(calls(&world, member)));
        for _ in 0..3 {
            sync_well(&mut group).await;
        }
        for member in [LAPTOP, PHONE] {
            assert_eq!(calls(&world, member), EMPTY.repeat(3), "{member}");
        }
        world.put(LAPTOP, "anna.vcf", card("anna", "Anna B"));
        assert_eq!(moved(&sync_well(&mut group).await).1, 1);
        let [of_laptop, of_phone] = [LAPTOP, PHONE].map(|member| calls(&world, member));
        assert!(!of_laptop.contains(&"commit".to_owned()), "{of_laptop:?}");
        let rest = of_phone.iter().filter(|call| !EMPTY.contains(&call.as_str())).collect::<Vec<_>>();
        assert_eq!(rest, ["read", "commit"], "what is overwritten, and the write");
        close(&world, group).await;
        for member in [LAPTOP, PHONE] {
            assert_eq!(calls(&world, member), ["finalize"]);
        }
    });
}

/// That the run began, and that it has ended: seen by whoever looks, and not waited for.
#[test]
fn an_empty_sync_writes_nothing_but_that_it_took_place() {
    let world = world();
    let config = config(&world);
    block_on(async {
        let mut group = open(&world, &config).await;
        come_to_rest(&mut group).await;
        let before = transactions(&world);
        for syncs in 1..4 {
            sync_well(&mut group).await;
            assert_eq!(transactions(&world) - before, 2 * syncs);
        }
        close(&world, group).await;
    });
}

#[test]
fn what_happens_between_two_syncs_is_carried_over_by_the_second() {
    let world = world();
    world.put(LAPTOP, "cora.vcf", card("cora", "Cora"));
    let config = config(&world);
    block_on(async {
        let mut group = open(&world, &config).await;
        sync_well(&mut group).await;
        world.assert_equal();
        world.put(PHONE, "bert.vcf", card("bert", "Bert"));
        world.delete(LAPTOP, "anna.vcf");
        assert_eq!(moved(&sync_well(&mut group).await).1, 2);
        world.assert_equal();
        assert_eq!(world.contents(LAPTOP), [card("bert", "Bert"), card("cora", "Cora")]);
        close(&world, group).await;
    });
    world.assert_at_rest(0);
}

#[test]
fn a_collection_that_has_come_is_seen_when_members_are_asked_again() {
    let world = world();
    let config = config(&world);
    block_on(async {
        let mut group = open(&world, &config).await;
        sync_well(&mut group).await;
        fs::create_dir(world.member(LAPTOP).join("work")).unwrap();
        assert_eq!(sync_well(&mut group).await.collections.len(), 1);
        group.look_again().await.unwrap();
        assert_eq!(sync_well(&mut group).await.collections.len(), 2);
        assert!(world.member(PHONE).join("work").is_dir());
        close(&world, group).await;
    });
}

#[test]
fn plugins_that_died_between_two_syncs_are_started_again() {
    let world = world();
    let config = config(&world);
    block_on(async {
        let mut group = open(&world, &config).await;
        sync_well(&mut group).await;
        let plugins: Vec<i32> = processes(world.root()).iter().map(|process| process.pid).collect();
        let name = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let plugins: Vec<i32> = plugins.into_iter().filter(|pid| name(pid) == "plugin:vdir\n").collect();
        assert_eq!(plugins.len(), 2);
        plugins.iter().for_each(|pid| kill(Pid::from_raw(*pid), Signal::SIGKILL).unwrap());
        world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
        sync_well(&mut group).await;
        world.assert_equal();
        let closed = group.close().await;
        let crashes: Vec<u32> = closed.plugins.iter().map(|plugin| plugin.crashes).collect();
        assert_eq!((crashes, closed.notes.len()), (vec![1, 1], 2), "{:?}", closed.notes);
    });
    no_process_is_left(world.root());
}

/// Its plugins may still be on their way out: nobody else may begin beside them (decisions X3).
#[test]
fn x3_a_sync_that_was_dropped_is_the_last_of_its_group() {
    let world = world();
    let config = config(&world);
    block_on(async {
        let mut group = open(&world, &config).await;
        sync_well(&mut group).await;
        let begun = std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::pin!(group.sync(&Unwatched)).poll(context).is_pending())
        });
        assert!(begun.await, "it has begun, and is dropped");
        assert_eq!(group.sync(&Unwatched).await.exit(), Exit::Locked);
        close(&world, group).await;
        let mut anew = open(&world, &config).await;
        sync_well(&mut anew).await;
        let busy = OpenGroup::open(&config, "contacts", options(&world)).await.unwrap_err();
        assert_eq!(busy.exit, Exit::Locked);
        close(&world, anew).await;
    });
}

/// What a process leaves traces in.
fn traces() -> (usize, usize) {
    let count = |folder: &str| fs::read_dir(folder).unwrap().count();
    (count("/proc/self/fd"), count("/proc/self/task"))
}

fn resident_kib(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Of this process, and of each of the world's others.
fn resident(world: &World) -> Vec<u64> {
    let others = processes(world.root()).into_iter().map(|process| process.pid.to_string());
    ["self".to_owned()].into_iter().chain(others).map(|pid| resident_kib(&pid)).collect()
}

/// And ask for no more than the first.
#[test]
#[expect(clippy::print_stdout, reason = "whoever reads the output of the tests")]
fn a_thousand_syncs_of_an_open_group_leave_nothing_behind() {
    if std::env::var_os(ALONE).is_some() {
        return many();
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let test = "open_group::a_thousand_syncs_of_an_open_group_leave_nothing_behind";
    let run = again.args(["--exact", test, "--nocapture"]).env(ALONE, "1").stdin(Stdio::null()).output();
    let run = run.unwrap();
    let said = [run.stdout, run.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
    said.lines().filter(|line| line.contains("grown by")).for_each(|line| println!("{line}"));
}

#[expect(clippy::print_stdout, reason = "whoever reads the output of the tests")]
fn many() {
    let world = counted();
    let config = config(&world);
    let wanted = std::env::var("OUTRIGGER_SYNCS").ok().and_then(|number| number.parse().ok());
    let wanted: usize = wanted.unwrap_or(SYNCS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut group = open(&world, &config).await;
        come_to_rest(&mut group).await;
        for _ in 0..20 {
            sync_well(&mut group).await; // what is made once is there now
        }
        [LAPTOP, PHONE].iter().for_each(|member| drop(calls(&world, member)));
        let (before, then) = (traces(), resident(&world));
        for _ in 0..wanted {
            assert_eq!(moved(&sync_well(&mut group).await), (0, 0));
        }
        let grown: Vec<u64> =
            resident(&world).iter().zip(&then).map(|(now, then)| now.saturating_sub(*then)).collect();
        println!("{wanted} syncs, grown by {grown:?} KiB");
        assert!(grown.iter().all(|grown| *grown < 1024), "grown by {grown:?} KiB");
        for member in [LAPTOP, PHONE] {
            assert_eq!(calls(&world, member), EMPTY.repeat(wanted), "{member}");
        }
        // A thread that had helped out is gone when it has been idle for a while.
        until("no descriptor and no thread more than before", || (traces() <= before).then_some(()));
        close(&world, group).await;
    });
}
