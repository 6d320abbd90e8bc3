//! What a flood of log lines costs the others: how late a timer of one millisecond comes in the runtime
//! of plugins that print empty lines as fast as they can, and beside as many unrelated processes that
//! only spin.
//!
//! `cargo bench -p outrigger-broker --bench flood`. Of several turns each, one after the other; the
//! median of the p99s and their ratio are told. At most 2 is wanted.

#![cfg_attr(
    target_os = "linux",
    allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for the developer's terminal")
)]

#[cfg(target_os = "linux")]
fn main() {
    outrigger_sandbox::host_main_if_requested(|name| (name == "flood").then_some(linux::flood));
    match std::env::args().nth(1).as_deref() {
        Some("spin") => linux::spin(),
        _ => linux::run(),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::Write as _;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    use outrigger_broker::{PluginHost, PluginSpec, start};
    use outrigger_plugin_sdk::{
        ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink, serve_to_code,
    };
    use outrigger_protocol::{Commit, CommitResult, Error, GetChanges, Group, Initialize, Member, ReadItem};
    use outrigger_sandbox::Program;

    /// How many flood, or spin.
    const COUNTS: [usize; 2] = [1, 2];

    /// How long it floods before it is measured: past what may come at once.
    const BEFORE: Duration = Duration::from_millis(200);

    /// The plugin: once it is asked for its collections, it only prints.
    struct Flooding;

    pub(super) fn flood() -> i32 {
        i32::from(serve_to_code(Flooding))
    }

    pub(super) fn spin() -> ! {
        loop {
            std::hint::spin_loop();
        }
    }

    pub(super) fn run() {
        // `cargo bench` says so; without it (`cargo test`), a glance whether it runs at all.
        let whole = std::env::args().any(|argument| argument == "--bench");
        let (turns, ticks) = if whole { (5, 2000) } else { (1, 50) };
        println!("{ticks} ticks of 1 ms a turn, {turns} turns, p99 in ms");
        println!("  alone {:.2}", median((0..turns).map(|_| beside(0, ticks))));
        for count in COUNTS {
            let (mut spinning, mut flooding) = (Vec::new(), Vec::new());
            for _ in 0..turns {
                let others: Vec<Child> = (0..count).map(|_| spinning_process()).collect();
                spinning.push(beside(0, ticks));
                others.into_iter().for_each(end);
                flooding.push(beside(count, ticks));
            }
            let [spinning, flooding] = [spinning, flooding].map(|times| median(times.into_iter()));
            println!(
                "  beside {count} spinning {spinning:.2}, flooding {flooding:.2}: {:.2} of that",
                flooding / spinning
            );
        }
    }

    /// The p99 of a timer's lateness in the runtime of so many plugins that flood.
    fn beside(floods: usize, ticks: usize) -> f64 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for _ in 0..floods {
                let host = flooding().await;
                tokio::spawn(async move {
                    let request = Initialize::new(Member::new("m", Vec::new()), Group::new("g", vec![]));
                    host.initialize(&request).await.unwrap().discover().await.map(drop).unwrap_err();
                });
            }
            tokio::time::sleep(BEFORE).await;
            p99(ticks).await
        })
    }

    async fn flooding() -> PluginHost {
        let program = Program::FirstParty { name: "flood".into() };
        start(PluginSpec::new("flood", program)).await.unwrap()
    }

    async fn p99(ticks: usize) -> f64 {
        let mut late = Vec::new();
        for _ in 0..ticks {
            let begun = Instant::now();
            tokio::time::sleep(Duration::from_millis(1)).await;
            late.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        late.sort_by(f64::total_cmp);
        late[ticks * 99 / 100]
    }

    fn median(of: impl Iterator<Item = f64>) -> f64 {
        let mut of: Vec<_> = of.collect();
        of.sort_by(f64::total_cmp);
        of[of.len() / 2]
    }

    fn spinning_process() -> Child {
        Command::new("/proc/self/exe").arg("spin").spawn().unwrap()
    }

    fn end(mut process: Child) {
        process.kill().unwrap();
        process.wait().unwrap();
    }

    impl Plugin for Flooding {
        fn initialize(&mut self, _: Initialize, _: &mut Context<'_>) -> Result<(), Error> {
            Ok(())
        }

        fn discover(&mut self, _: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
            let lines = vec![b'\n'; 64 << 10];
            while std::io::stdout().write_all(&lines).is_ok() {}
            Ok(Vec::new())
        }

        fn get_changes(
            &mut self,
            _: &str,
            _: GetChanges,
            _: &mut ChangeSink<'_, '_>,
        ) -> Result<ListingEnd, Error> {
            Ok(ListingEnd::default())
        }

        fn read(&mut self, _: &str, _: Vec<ReadItem>, _: &mut ReadSink<'_, '_>) -> Result<(), Error> {
            Ok(())
        }

        fn commit(
            &mut self,
            _: &str,
            _: Commit<'_>,
            _: &mut Context<'_>,
        ) -> Result<Vec<CommitResult>, Error> {
            Ok(Vec::new())
        }
    }
}
