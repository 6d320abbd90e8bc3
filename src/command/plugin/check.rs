//! `plugin check`: the conformance kit on the terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outrigger::exit::Exit;
use outrigger::report::Failure;
use outrigger_conformance::{
    Obstacle, Report, Rule, Settings, Subject, Verdict, Watcher, check as drive, write_rule,
};

use super::subject::subject;
use crate::cli::{Cli, PluginCheckArgs};
use crate::command::terminal::Progress;
use crate::command::{Ended, interrupted, print, runtime, secret};

/// Drives the plugin through all rules, and prints each as soon as it was tried.
pub(super) fn check(cli: &Cli, args: &PluginCheckArgs) -> Ended {
    let subject = subject(&args.subject, secret(cli))?;
    let answer = Duration::from_secs(args.patience);
    let settings = Settings { items: args.items, answer, ..Settings::default() };
    let watch = Arc::new(Watch::new(args.json));
    let report = until_interrupted(subject, settings, &watch);
    watch.progress.finish();
    let report = report?;
    print(|out| if args.json { writeln!(out, "{}", report.json()) } else { report.write_rest(out) })?;
    Ok(exit(&report))
}

/// An interrupt ends the check with what was found so far, a second one at once.
fn until_interrupted(subject: Subject, settings: Settings, watch: &Arc<Watch>) -> Result<Report, Failure> {
    let watcher: Arc<dyn Watcher> = Arc::clone(watch) as _;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut work = tokio::task::spawn_blocking(move || drive(&subject, &settings, &watcher));
        loop {
            tokio::select! {
                done = &mut work => {
                    return done.map_err(|error| Failure::internal("plugin check").because(&error));
                }
                _ = tokio::signal::ctrl_c() => {
                    if watch.is_over.swap(true, Ordering::Relaxed) {
                        return Err(interrupted());
                    }
                }
            }
        }
    });
    runtime.shutdown_background();
    ended
}

/// Prints rules as they are tried, and says on a terminal how it goes.
struct Watch {
    json: bool,
    progress: Progress,
    is_over: AtomicBool,
}

impl Watch {
    fn new(json: bool) -> Self {
        let progress = Progress::new(false);
        progress.say("trying the rules");
        Self { json, progress, is_over: AtomicBool::new(false) }
    }
}

impl Watcher for Watch {
    fn rule(&self, rule: Rule, verdict: &Verdict) {
        if !self.json {
            // Where nobody reads any more, the exit code has to say it.
            self.progress.beside(|| drop(print(|out| write_rule(rule, verdict, out))));
        }
    }

    fn written(&self, done: usize, of: usize) {
        self.progress.say(&format!("writing: {done} of {of} items (`--items N` for fewer)"));
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

fn exit(report: &Report) -> Exit {
    match (&report.obstacle, report.broken().next()) {
        (Some(Obstacle::Interrupted), _) => Exit::Interrupted,
        (_, Some(_)) => Exit::Plugin,
        (Some(Obstacle::Settings(_)), None) => Exit::Usage,
        (Some(Obstacle::Other(_)), None) => Exit::Partial,
        (None, None) => Exit::Done,
    }
}
