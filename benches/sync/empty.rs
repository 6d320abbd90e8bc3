//! One small group, opened once: many syncs in a row with nothing to do, and what they ask of plugins.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use outrigger::config::{Config, Places};
use outrigger::exit::Exit;
use outrigger::run::{OpenGroup, Options, Plugins, Unwatched};
use outrigger::sandbox::{Helper, Program};

use crate::pair::Pair;
use crate::{PLUGIN, Wanted};

/// Syncs before the measured ones: what was just written is looked at, what is made once is made.
const WARM: u32 = 20;

pub(crate) fn measure(wanted: &Wanted) {
    if wanted.syncs == 0 {
        return;
    }
    let pair = Pair::new(&wanted.folder, "counting", 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let took = runtime.block_on(sync(&pair, wanted.syncs));
    let each = took.as_secs_f64() * 1e3 / f64::from(wanted.syncs);
    println!("{} empty syncs: {:.2} s, {each:.2} ms each", wanted.syncs, took.as_secs_f64());
    for member in ["a", "b"] {
        let calls = calls(&pair, member);
        println!("round trips to {member}: {calls}, {:.3} a sync", calls as f64 / f64::from(wanted.syncs));
    }
}

/// How long so many took.
async fn sync(pair: &Pair, syncs: u32) -> Duration {
    let config = Config::load(&pair.config(), &Places::default()).unwrap();
    let mut group = OpenGroup::open(&config, "pair", options()).await.unwrap();
    for _ in 0..WARM {
        sync_once(&mut group).await;
    }
    ["a", "b"].iter().for_each(|member| fs::remove_file(pair.member(member).join("calls")).unwrap());
    let begun = Instant::now();
    for _ in 0..syncs {
        sync_once(&mut group).await;
    }
    let took = begun.elapsed();
    // The goodbye is no part of a sync.
    ["a", "b"].iter().for_each(|member| keep_calls(pair, member));
    assert!(group.close().await.failure.is_none());
    took
}

async fn sync_once(group: &mut OpenGroup<'_>) {
    let report = group.sync(&Unwatched).await;
    assert_eq!(report.exit(), Exit::Done, "{report:?}");
}

fn keep_calls(pair: &Pair, member: &str) {
    let calls = pair.member(member).join("calls");
    fs::rename(&calls, calls.with_extension("kept")).unwrap();
}

fn calls(pair: &Pair, member: &str) -> usize {
    fs::read_to_string(pair.member(member).join("calls.kept")).unwrap().lines().count()
}

/// This program is the plugin's too: the one for folders, with a line in a file for each call.
fn options() -> Options {
    let path = std::env::current_exe().unwrap();
    let program = Program::Executable { path, args: vec![PLUGIN.into()] };
    let programs = BTreeMap::from([("counting".to_owned(), program)]);
    Options { plugins: Plugins { programs, helper: Helper::default() }, ..Options::default() }
}
