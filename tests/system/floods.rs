//! What a plugin that says far too much costs: in memory, in the log, and in the calls of all.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use outrigger::broker::{PluginHost, SinkClient, start};

use crate::support::host::{answers_until, block_on, connected, finish, read, spec};
use crate::support::{Link, World, no_process_is_left};

/// What each of two plugins says.
const FLOOD: u64 = 1 << 30;

/// What the broker may take for that. It has one buffer for each output, and one for each connection.
const MEMORY: u64 = 8 << 20;

/// What a plugin may take that sends 32 MiB of lines before each answer.
const PLUGIN: u64 = 24 << 20;

/// What is logged of one plugin: at once, and for each second.
const AT_ONCE: u64 = 256 << 10;
const PER_SECOND: u64 = 64 << 10;

/// Tells the process that hosts the plugins that it is the one.
const HOST: &str = "OUTRIGGER_TEST_FLOODED";

/// The most memory that this process has had.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Reads again and again until the flood is over. Returns how often that was answered.
async fn until_it_is_over(sink: &SinkClient) -> u32 {
    let mut answers = 1;
    while read(sink, &["it"]).await.unwrap() != [Some(b"over".to_vec())] {
        answers += 1;
    }
    answers
}

/// Hosts three plugins: two that flood, each in its way, and one that is asked meanwhile.
async fn host_both_floods(world: &World) {
    let start_one =
        async |how| start(spec(world, "flooding_plugin", &[how, &FLOOD.to_string()])).await.unwrap();
    let hosts: [PluginHost; 2] = [start_one("print").await, start_one("log").await];
    let good = start(spec(world, "echo_plugin", &[])).await.unwrap();
    let (instance, sink) = connected(&good).await.unwrap();
    let before = peak();
    let is_over = AtomicBool::new(false);
    let flooded = async {
        let [prints, logs] = hosts.each_ref().map(|host| async {
            let (instance, sink) = connected(host).await.unwrap();
            let answers = until_it_is_over(&sink).await;
            finish(instance, &sink).await.unwrap();
            answers
        });
        let answers = tokio::join!(prints, logs);
        is_over.store(true, Ordering::Relaxed);
        answers
    };
    let ((prints, logs), ()) =
        tokio::join!(flooded, answers_until(&sink, || is_over.load(Ordering::Relaxed)));
    assert!(prints > 10 && logs > 10, "{prints} and {logs} answers beside the floods");
    let [prints, logs] = hosts;
    let (death, _) = prints.stop().await;
    assert_eq!(death.last_words.last().map(String::as_str), Some("the flood is over"));
    let (_, ended) = logs.stop().await;
    let peak_of_it = ended.and_then(|ended| ended.usage).unwrap().peak_rss_bytes;
    assert!(peak_of_it < PLUGIN, "{peak_of_it} bytes: it keeps its lines until it answers");
    let grown = peak() - before;
    assert!(grown < MEMORY, "{grown} bytes more");
    finish(instance, &sink).await.unwrap();
    good.stop().await;
}

/// The figure behind a word in the line that says what is not in the log of a plugin.
fn figure(log: &str, plugin: usize, word: &str) -> u64 {
    let line = log.lines().filter(|line| line.contains("it said more than is logged")).nth(plugin).unwrap();
    let figure = line.split_once(word).unwrap().1.split_whitespace().next().unwrap();
    figure.parse().unwrap()
}

/// 1 GiB on standard error and 1 GiB as lines for the log, in less than a minute: taken and thrown away.
/// In a process of its own, whose memory is the broker's alone.
/// Holds S22, S41.
#[test]
fn a_gibibyte_of_log_in_each_way_costs_no_memory_no_call_and_little_log() {
    if std::env::var_os(HOST).is_some() {
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr);
        log.init();
        let world = World::empty(Link::Inherited);
        block_on(host_both_floods(&world));
        return no_process_is_left(world.root());
    }
    let place = World::empty(Link::Inherited);
    let (begun, written) = (Instant::now(), place.path("log"));
    let mut host = Command::new(std::env::current_exe().unwrap());
    let name = "floods::a_gibibyte_of_log_in_each_way_costs_no_memory_no_call_and_little_log";
    host.args(["--exact", name, "--nocapture"]).env(HOST, "1").stdin(Stdio::null());
    let ended = host.stdout(Stdio::null()).stderr(File::create(&written).unwrap()).status().unwrap();
    let (took, log) = (begun.elapsed(), fs::read_to_string(&written).unwrap());
    let last: Vec<&str> = log.lines().rev().take(10).collect();
    assert!(ended.success(), "{last:#?}");
    assert!(took < Duration::from_secs(60), "{took:?}");
    // Half as much again for the time and the name before each line.
    let most = 2 * (AT_ONCE + PER_SECOND * (took.as_secs() + 1)) * 3 / 2;
    let size = log.len() as u64;
    assert!(size > AT_ONCE && size < most, "{size} bytes of log in {took:?}, not {most}");
    assert!(figure(&log, 0, "discarded_bytes=") > FLOOD / 10 * 9, "{last:#?}");
    assert!(figure(&log, 1, "discarded_frames=") > FLOOD / (8 << 10) / 10 * 8, "{last:#?}");
}
