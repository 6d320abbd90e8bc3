//! What becomes of plugins when a broker of its own ends, or who had it start them.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outrigger::broker::{PluginSpec, StartBy};
use outrigger::protocol::{Code, Effect};
use outrigger::sandbox::{Exit, Program};

use super::Office;
use crate::prestarted::desk::Desk;
use crate::support::host::{AT_ONCE, block_on, connected, hostile, list};
use crate::support::no_process_is_left;

/// An engine of a test: which plugin it starts, which broker it ends in the middle of a call (without
/// one: itself), and by which signal.
const PLUGIN: &str = "OUTRIGGER_TEST_PLUGIN";
const VICTIM: &str = "OUTRIGGER_TEST_BROKER";
const HOW: &str = "OUTRIGGER_TEST_SIGNAL";

/// The engine is this program once more, as an embedder. In the middle of a call that hangs it ends the
/// broker, or itself.
/// Holds S67.
#[test]
fn x3_a_plugin_that_hangs_ends_with_its_broker_and_with_its_engine() {
    if let Some(plugin) = std::env::var_os(PLUGIN) {
        return block_on(strikes_in_a_call(PathBuf::from(plugin)));
    }
    for (victim, signal) in
        [("broker", Signal::SIGKILL), ("broker", Signal::SIGTERM), ("engine", Signal::SIGKILL)]
    {
        let desk = Desk::new();
        let office = Office::of(&desk);
        drop(hostile(&office.world, "get_changes", "hang")); // puts it there
        let mut engine = Command::new(std::env::current_exe().unwrap());
        engine.args([
            "--exact",
            "broker::ends::x3_a_plugin_that_hangs_ends_with_its_broker_and_with_its_engine",
        ]);
        engine.env(PLUGIN, office.world.path("hostile_plugin"));
        engine.env(HOW, signal.as_str()).env("XDG_RUNTIME_DIR", &office.runtime);
        if victim == "broker" {
            engine.env(VICTIM, office.pid().to_string());
        }
        let ended = engine.stdin(Stdio::null()).output().unwrap();
        if victim == "broker" {
            assert!(ended.status.success(), "{ended:?}");
            no_process_is_left(office.world.root());
        } else {
            assert_eq!(ended.status.signal(), Some(9), "{ended:?}");
            let begun = Instant::now();
            office.is_idle();
            assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
            office.closes();
        }
    }
}

/// What that engine does.
async fn strikes_in_a_call(plugin: PathBuf) {
    let victim =
        std::env::var(VICTIM).map_or_else(|_| Pid::this(), |pid| Pid::from_raw(pid.parse().unwrap()));
    let signal: Signal = std::env::var(HOW).unwrap().parse().unwrap();
    let program = Program::Executable { path: plugin, args: vec!["get_changes".into(), "hang".into()] };
    let spec = PluginSpec { start: StartBy::Broker, ..PluginSpec::new("phone", program) };
    let host = outrigger::broker::start(spec).await.unwrap();
    let (_instance, sink) = connected(&host).await.unwrap();
    let (listed, ()) = tokio::join!(list(&sink), async { kill(victim, signal).unwrap() });
    let (error, death) = (listed.unwrap_err(), host.wait().await);
    assert_eq!((error.code, error.effect), (Code::DISCONNECTED, Effect::Unknown), "{error:?}");
    if signal == Signal::SIGKILL {
        assert_eq!(death.exit, Some(Exit::Signal(9)));
        let told = "the plugin of phone was ended with the broker that started it with 1 call(s) open";
        assert!(death.to_string().starts_with(told), "{death}");
        assert!(format!("{error:?}").contains("was ended with the broker"), "{error:?}");
    }
}
