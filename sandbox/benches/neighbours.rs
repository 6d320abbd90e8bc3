//! What a bomb costs its neighbours: the time of small round trips to one plugin, beside another that
//! forks all it can and spins, and beside as many unrelated processes that only spin.
//!
//! `cargo bench -p outrigger-sandbox --bench neighbours -- [ROUNDS]`. As root, so that the bomb has a
//! control group; both CPUs, nothing pinned. Of three turns each, one after the other; the median of
//! the p99s and their ratio are told.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for the terminal

#[cfg(target_os = "linux")]
fn main() {
    outrigger_sandbox::host_main_if_requested(|name| (name == "echo").then_some(linux::echo));
    match std::env::args().nth(1).as_deref() {
        Some("bomb") => linux::bomb(),
        Some("spin") => linux::spin(),
        _ => linux::run(),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::process::{Child as Process, Command, Stdio};
    use std::time::{Duration, Instant};

    use outrigger_sandbox::{
        Child, Connection, Deadlines, Guarantee, Helper, Launch, Policy, Program, Standing,
    };

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Processes of the bomb, and of those that only spin.
    const PROCESSES: u32 = 64;

    const TURNS: usize = 3;

    /// The plugin: it gives back each byte.
    pub(super) fn echo() -> i32 {
        let mut byte = [0];
        while std::io::stdin().read_exact(&mut byte).is_ok() {
            std::io::stdout().write_all(&byte).unwrap();
            std::io::stdout().flush().unwrap();
        }
        0
    }

    pub(super) fn spin() -> ! {
        loop {
            std::hint::spin_loop();
        }
    }

    /// Starts itself until it may not, then spins with all the others.
    pub(super) fn bomb() -> ! {
        let again = || Command::new("/proc/self/exe").arg("bomb").stdout(Stdio::inherit()).spawn();
        while let Ok(child) = again() {
            std::mem::forget(child);
        }
        println!("full");
        spin()
    }

    pub(super) fn run() {
        let rounds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(3000);
        let mut turns: [Vec<f64>; 3] = std::array::from_fn(|_| Vec::new());
        for _ in 0..TURNS {
            turns[0].push(p99(rounds));
            let spinning: Vec<Process> = (0..PROCESSES).map(|_| spinning()).collect();
            turns[1].push(p99(rounds));
            spinning.into_iter().for_each(end);
            let bomb = exploded();
            turns[2].push(p99(rounds));
            drop(bomb);
        }
        let [alone, beside_spinning, beside_bomb] = turns.map(median);
        println!("{rounds} round trips a turn, {TURNS} turns, p99 in us");
        println!("  alone {alone:.0}");
        println!("  beside {PROCESSES} that spin {beside_spinning:.0}");
        println!(
            "  beside a bomb of {PROCESSES} {beside_bomb:.0}: {:.2} of that",
            beside_bomb / beside_spinning
        );
    }

    fn median(mut of: Vec<f64>) -> f64 {
        of.sort_by(f64::total_cmp);
        of[of.len() / 2]
    }

    fn spinning() -> Process {
        Command::new("/proc/self/exe").arg("spin").spawn().unwrap()
    }

    fn end(mut process: Process) {
        process.kill().unwrap();
        process.wait().unwrap();
    }

    fn start(program: Program, policy: Policy) -> (Child, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let launch = Launch {
            program,
            connection: Connection::Inherited(theirs.into()),
            environment: Vec::new(),
            locks: Vec::new(),
            policy,
            protected: Vec::new(),
            deadlines: Deadlines { report: PATIENCE, start: PATIENCE },
            helper: Helper::Own,
        };
        (outrigger_sandbox::launch(launch).unwrap(), ours)
    }

    fn p99(rounds: usize) -> f64 {
        let (mut child, mut connection) =
            start(Program::FirstParty { name: "echo".into() }, Policy::default());
        let mut answers = std::fs::File::from(child.take_stdout().unwrap());
        let mut times: Vec<f64> = (0..rounds)
            .map(|_| {
                let begun = Instant::now();
                connection.write_all(b"x").unwrap();
                answers.read_exact(&mut [0]).unwrap();
                begun.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[rounds * 99 / 100]
    }

    /// A bomb that has forked all it can.
    fn exploded() -> (Child, UnixStream, std::fs::File) {
        let path = std::env::current_exe().unwrap();
        let policy = Policy { processes: Some(PROCESSES), execute: vec![path.clone()], ..Policy::default() };
        let (mut child, connection) = start(Program::Executable { path, args: vec!["bomb".into()] }, policy);
        assert_eq!(child.report().standing(Guarantee::Processes), Standing::Enforced, "run it as root");
        let mut log = std::fs::File::from(child.take_stdout().unwrap());
        log.read_exact(&mut [0; 5]).unwrap();
        (child, connection, log)
    }
}
