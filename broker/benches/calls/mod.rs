//! The measurements, and how they are taken.

mod client;
mod payload;
mod process;
mod server;

use std::time::Duration;

use client::{Figures, Outstanding};
use process::{Placement, Server};

/// How often a subject is measured, each time between two measurements of the floor.
const PAIRS: usize = 5;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Floor,
    BlockingEcho,
    BlockingSdk,
    TokioEcho,
    TokioSdk,
}

impl Subject {
    const ALL: [Self; 4] = [Self::BlockingEcho, Self::BlockingSdk, Self::TokioEcho, Self::TokioSdk];

    const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::BlockingEcho => "blocking echo",
            Self::BlockingSdk => "blocking sdk",
            Self::TokioEcho => "tokio echo",
            Self::TokioSdk => "tokio sdk",
        }
    }

    const fn server(self) -> server::Kind {
        match self {
            Self::Floor => server::Kind::Raw,
            Self::BlockingEcho | Self::TokioEcho => server::Kind::Echo,
            Self::BlockingSdk | Self::TokioSdk => server::Kind::Sdk,
        }
    }

    fn measure(self, placement: Placement, outstanding: Outstanding, time: Duration) -> Figures {
        placement.apply();
        let server = Server::start(self.server());
        match self {
            Self::Floor => client::floor(server, outstanding, time),
            Self::BlockingEcho => client::blocking(server, false, outstanding, time),
            Self::BlockingSdk => client::blocking(server, true, outstanding, time),
            Self::TokioEcho => client::tokio(server, false, outstanding, time),
            Self::TokioSdk => client::tokio(server, true, outstanding, time),
        }
    }
}

/// Runs the server, when this process is one; otherwise measures.
pub(crate) fn main() {
    if let Some(kind) = server::Kind::from_environment() {
        return server::run(kind);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` says so; without it (`cargo test`), a glance whether it runs at all.
    let whole = arguments.iter().any(|argument| argument == "--bench");
    let filter = arguments.into_iter().find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let (time, pairs) =
        if whole { (Duration::from_millis(300), PAIRS) } else { (Duration::from_millis(5), 1) };
    println!("a commit of one item: {} bytes a frame; {pairs} pairs, medians", payload::frame().len());
    for outstanding in [Outstanding::One, Outstanding::Window] {
        for placement in [Placement::Same, Placement::Free] {
            table(outstanding, placement, &filter, time, pairs);
        }
    }
}

fn table(outstanding: Outstanding, placement: Placement, filter: &str, time: Duration, pairs: usize) {
    let title = format!("{}, {}", outstanding.title(), placement.title());
    let subjects =
        Subject::ALL.iter().filter(|subject| format!("{title}, {}", subject.name()).contains(filter));
    let mut headed = false;
    for subject in subjects {
        if !std::mem::replace(&mut headed, true) {
            println!("\n{title}\n{}", Figures::header(outstanding));
        }
        row(*subject, outstanding, placement, time, pairs);
    }
}

fn row(subject: Subject, outstanding: Outstanding, placement: Placement, time: Duration, pairs: usize) {
    let mut floors = vec![Subject::Floor.measure(placement, outstanding, time)];
    let mut runs = Vec::new();
    for _ in 0..pairs {
        runs.push(subject.measure(placement, outstanding, time));
        floors.push(Subject::Floor.measure(placement, outstanding, time));
    }
    let ratios = runs.iter().zip(floors.windows(2)).map(|(run, floors)| {
        let anchor = f64::midpoint(floors[0].main(outstanding), floors[1].main(outstanding));
        run.main(outstanding) / anchor
    });
    let ratio = client::median(ratios.collect());
    println!("{}", Figures::median(&floors).row("floor", outstanding, 1.0));
    println!("{}", Figures::median(&runs).row(subject.name(), outstanding, ratio));
}
