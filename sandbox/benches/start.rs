//! What a sandbox costs: a start in each tier beside one without a sandbox, in the same run, and the
//! memory of the processes that stay beside a plugin.
//!
//! `cargo bench -p outrigger-sandbox --bench start -- [ROUNDS]`. A start ends when the program runs; it
//! is ended again outside the time. One of each in turn, so that what the machine does meanwhile
//! meets all alike; first one after the other, then with a pause before each, as the kernel puts off
//! some of its work and a process that moves to another control group may have to wait for that.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for the terminal

#[cfg(target_os = "linux")]
fn main() {
    outrigger_sandbox::host_main_if_requested(|name| (name == "wait").then_some(linux::wait));
    if std::env::args().nth(1).as_deref() == Some("wait") {
        std::process::exit(linux::wait());
    }
    linux::run();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use outrigger_sandbox::{
        Ceiling, Child, Connection, Deadlines, Helper, Launch, Policy, Profile, Program, Tier,
    };

    const PATIENCE: Duration = Duration::from_secs(20);

    /// When they have given back what only the start needed.
    const SETTLED: Duration = Duration::from_millis(50);

    /// The plugin: it waits for the end of its connection.
    pub(super) fn wait() -> i32 {
        let ended = std::io::stdin().read_to_end(&mut Vec::new());
        i32::from(ended.is_err())
    }

    const TIERS: [(&str, Tier); 3] =
        [("none", Tier::None), ("landlocked", Tier::Landlocked), ("namespaced", Tier::Namespaced)];

    pub(super) fn run() {
        let rounds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(200);
        let own = Program::FirstParty { name: "wait".into() };
        let path = std::env::current_exe().unwrap();
        let program = Program::Executable { path, args: vec!["wait".into()] };
        println!("{rounds} starts of each, one in turn; both CPUs; times in ms");
        for pause in [Duration::ZERO, Duration::from_millis(100)] {
            for (name, program) in [("a plugin of our own", &own), ("a program", &program)] {
                println!("\n{name}, {pause:?} before each start");
                starts(rounds, program, pause);
            }
        }
    }

    fn starts(rounds: usize, program: &Program, pause: Duration) {
        let mut times = TIERS.map(|_| Vec::new());
        for _ in 0..rounds {
            for (times, (_, tier)) in times.iter_mut().zip(TIERS) {
                std::thread::sleep(pause);
                times.push(start(program, tier).0);
            }
        }
        let median = |times: &mut Vec<Duration>| {
            times.sort();
            times[times.len() / 2].as_secs_f64() * 1e3
        };
        let medians = times.each_mut().map(median);
        for ((tier, of_tier), (median, times)) in TIERS.iter().zip(medians.iter().zip(&times)) {
            let slow = times[times.len() * 99 / 100].as_secs_f64() * 1e3;
            let added = median - medians[0];
            let beside = beside(program, *of_tier);
            println!(
                "  {tier:<11} median {median:6.2}  p99 {slow:6.2}  added {added:+6.2}  beside it {beside}"
            );
        }
    }

    fn start(program: &Program, tier: Tier) -> (Duration, Child, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let profile = if tier == Tier::None { Profile::None } else { Profile::Strict };
        let at_most = Ceiling { tier: Some(tier), landlock_abi: None };
        let launch = Launch {
            program: program.clone(),
            connection: Connection::Inherited(theirs.into()),
            environment: Vec::new(),
            locks: Vec::new(),
            policy: Policy { profile, at_most, ..Policy::default() },
            protected: Vec::new(),
            deadlines: Deadlines { report: PATIENCE, start: PATIENCE },
            helper: Helper::Own,
        };
        let begun = Instant::now();
        let child = outrigger_sandbox::launch(launch).unwrap();
        let taken = begun.elapsed();
        assert_eq!(child.report().tier(), tier);
        (taken, child, ours)
    }

    /// The proportional memory of the keeper, and of the first process of the namespaces.
    fn beside(program: &Program, tier: Tier) -> String {
        let (_, child, _connection) = start(program, tier);
        std::thread::sleep(SETTLED);
        let keeper = child.keeper_pid();
        let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap();
        let others = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
        let init: Vec<u32> = others.filter(|pid| *pid != child.pid()).collect();
        let all: Vec<u64> = [keeper].into_iter().chain(init).map(pss_kib).collect();
        format!("{all:?} KiB")
    }

    fn pss_kib(pid: u32) -> u64 {
        let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let line = smaps.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    }
}
