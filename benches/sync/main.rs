//! What a sync costs that finds nothing to do: two folders of vCards, by how many items they hold; and a
//! small one a thousand times in a row, with plugins that keep running.
//!
//! `cargo bench -p outrigger --bench sync [-- --items 10000,100000,300000] [--runs 5] [--syncs 1000]
//! [--folder DIR]`. `--items 0` or `--syncs 0` leaves a part out. The folder decides which disk is
//! measured; some 10 KB an item are needed there. What the figures mean, and some that were measured,
//! stands in `docs/performance.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program for the developer's terminal"
)]

#[path = "../../tests/system/counting_plugin.rs"]
mod counting_plugin;
mod empty;
mod items;
mod pair;

use std::path::PathBuf;
use std::process::ExitCode;

/// What this program is called with as a plugin.
const PLUGIN: &str = "--as-plugin";

/// What is measured.
struct Wanted {
    items: Vec<usize>,
    runs: usize,
    syncs: u32,
    folder: PathBuf,
}

impl Wanted {
    fn read() -> Self {
        let items = option("--items").unwrap_or_else(|| "10000,100000,300000".to_owned());
        let number = |text: &str| text.trim().parse().expect("a number");
        Self {
            items: items.split(',').map(number).filter(|items| *items > 0).collect(),
            runs: option("--runs").map_or(5, |runs| number(&runs)),
            syncs: option("--syncs").map_or(1000, |syncs| syncs.parse().expect("a number")),
            folder: option("--folder").map_or_else(std::env::temp_dir, PathBuf::from),
        }
    }
}

fn option(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

/// How busy the machine is: figures of a busy one say little.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn main() -> ExitCode {
    outrigger::host_main_if_requested();
    if std::env::args().any(|argument| argument == PLUGIN) {
        return counting_plugin::main();
    }
    let wanted = Wanted::read();
    println!("load {} before, in {}", load(), wanted.folder.display());
    items::measure(&wanted);
    empty::measure(&wanted);
    println!("load {} after", load());
    ExitCode::SUCCESS
}
