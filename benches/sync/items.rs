//! The command, by how many items there are: a first sync, and then with nothing to do.
//!
//! The sizes take turns, so that whatever else the machine does hits them alike, and each is set beside
//! the one before it in the same turn.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Wanted;
use crate::pair::Pair;

/// One run of the command.
struct Run {
    wall: Duration,
    /// What it says of itself with `--json`.
    said: Value,
}

/// A size, and all its runs with nothing to do.
struct Size {
    items: usize,
    pair: Pair,
    first: Run,
    idle: Vec<Run>,
}

pub(crate) fn measure(wanted: &Wanted) {
    let mut sizes: Vec<Size> = wanted.items.iter().map(|items| Size::new(wanted, *items)).collect();
    for _ in 0..wanted.runs {
        sizes.iter_mut().for_each(Size::run);
    }
    println!("     items  first s  nothing to do: s  (least, most)     us/item  ratio (least, most)");
    for (at, size) in sizes.iter().enumerate() {
        size.print_times(at.checked_sub(1).and_then(|before| sizes.get(before)));
    }
    println!("     items  most memory, MiB: command, plugins, keepers; first sync | nothing to do");
    sizes.iter().for_each(Size::print_memory);
}

impl Size {
    fn new(wanted: &Wanted, items: usize) -> Self {
        let pair = Pair::new(&wanted.folder, "vdir", items);
        let first = Run::of(&pair);
        assert_eq!(pair.count("b"), items, "all were copied");
        Run::of(&pair); // what was just written may be looked at once more
        Self { items, pair, first, idle: Vec::new() }
    }

    fn run(&mut self) {
        let run = Run::of(&self.pair);
        assert_eq!(run.said["members"]["a"]["read"], 0, "there is nothing to do");
        self.idle.push(run);
    }

    fn walls(&self) -> Vec<f64> {
        self.idle.iter().map(|run| run.wall.as_secs_f64()).collect()
    }

    fn print_times(&self, before: Option<&Self>) {
        let [least, median, most] = spread(self.walls());
        let each = median * 1e6 / self.items as f64;
        let (items, first) = (self.items, self.first.wall.as_secs_f64());
        let ratio = before.map(|before| self.ratio(before)).unwrap_or_default();
        println!("{items:10}  {first:7.2}  {median:16.3}  ({least:.3}, {most:.3})  {each:10.2}  {ratio}");
    }

    /// Of the runs of each turn.
    fn ratio(&self, before: &Self) -> String {
        let each = self.walls().into_iter().zip(before.walls()).map(|(own, other)| own / other);
        let [least, median, most] = spread(each.collect());
        format!("{median:.2} ({least:.2}, {most:.2})")
    }

    fn print_memory(&self) {
        let idle = self.idle.last().map(Run::memory).unwrap_or_default();
        println!("{:10}  {} | {idle}", self.items, self.first.memory());
    }
}

impl Run {
    fn of(pair: &Pair) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
        command.arg("-c").arg(pair.config()).args(["sync", "pair", "--json"]).stdin(Stdio::null());
        let begun = Instant::now();
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        let wall = begun.elapsed();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        Self { wall, said: serde_json::from_str(text.lines().last().unwrap()).unwrap() }
    }

    fn memory(&self) -> String {
        let mib = |value: &Value| format!("{:.0}", value.as_f64().unwrap_or(f64::NAN) / f64::from(1 << 20));
        let plugins = self.said["plugins"].as_array().unwrap();
        let of_plugins = |key: &str| plugins.iter().map(|one| mib(&one[key])).collect::<Vec<_>>().join("+");
        let [processes, keepers] = ["peak_rss_bytes", "keeper_peak_rss_bytes"].map(of_plugins);
        format!("{}, {processes}, {keepers}", mib(&self.said["peak_rss_bytes"]))
    }
}

/// The least, the median and the most.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    [at(0), at(values.len() / 2), at(values.len().saturating_sub(1))]
}
