//! How long the worst 64 KiB of each body take, and what they cost: `cargo bench -p
//! outrigger-protocol`. The limit is 10 ms; above it the bench fails.
#![allow(missing_docs, clippy::print_stdout, reason = "a table for people")]

#[path = "../tests/support/worst.rs"]
mod worst;

use std::time::Duration;
use std::time::Instant;

use allocation_counter::measure;

const LIMIT: Duration = Duration::from_millis(10);

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}

/// The median of some runs.
fn time(input: &worst::Worst) -> Duration {
    let run = || {
        let start = now();
        std::hint::black_box(input.decode());
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..41).map(|_| run()).collect();
    times.sort_unstable();
    times.get(20).copied().unwrap_or_default()
}

fn main() {
    println!("{:<36} {:<8} {:>10} {:>8}", "body", "codec", "µs", "memory");
    let mut slow = 0;
    for input in worst::all() {
        let took = time(&input);
        let cost = measure(|| {
            std::hint::black_box(input.decode());
        });
        let times = cost.bytes_max / input.bytes.len() as u64;
        let codec = format!("{:?}", input.codec);
        println!("{:<36} {codec:<8} {:>10} {:>7}x", input.name, took.as_micros(), times);
        slow += usize::from(took > LIMIT);
    }
    assert!(slow == 0, "{slow} inputs took longer than {LIMIT:?}");
}
