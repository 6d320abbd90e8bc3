//! What becomes of plugins when a broker of its own ends, or who had it start them.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outrigger::broker::{Care, Circuit, Down, PluginSpec, StartBy, Supervised, TryError};
use outrigger::engine::CRASHES;
use outrigger::protocol::{Code, Effect};
use outrigger::sandbox::{Exit, Program};

use super::Office;
use crate::healing::{mortal, once, plugin};
use crate::prestarted::desk::Desk;
use crate::support::host::{AT_ONCE, block_on, connected, hostile, list};
use crate::support::{LAPTOP, Link, PHONE, Running, World, card, no_process_is_left, until};

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
    let phone = Supervised::new("phone", Care::default(), move || {
        let spec = PluginSpec { start: StartBy::Broker, ..PluginSpec::new("phone", program.clone()) };
        async { outrigger::broker::start(spec).await.map_err(TryError::from) }
    });
    let host = phone.lease().await.unwrap();
    let (_instance, sink) = connected(&host).await.unwrap();
    let (listed, ()) = tokio::join!(list(&sink), async { kill(victim, signal).unwrap() });
    let (error, death) = (listed.unwrap_err(), host.wait().await);
    assert_eq!((error.code, error.effect), (Code::DISCONNECTED, Effect::Unknown), "{error:?}");
    if signal == Signal::SIGKILL {
        assert_eq!(death.exit, Some(Exit::Signal(9)));
        let told = "the plugin of phone was ended with the broker that started it with 1 call open";
        assert!(death.to_string().starts_with(told), "{death}");
        assert!(format!("{error:?}").contains("was ended with the broker"), "{error:?}");
    }
    assert!(!phone.runs().await && phone.last_death().unwrap().with_broker);
    assert_eq!((phone.health().crashes, phone.circuit()), (0, Circuit::Closed), "no fault of its own");
    let down = phone.lease().await.unwrap_err();
    assert!(matches!(&down, Down::Refused(why) if why.to_string().contains("no broker runs")), "{down:?}");
}

/// As often as would set the item aside that it was at, had it died over that.
/// Holds S67.
#[test]
fn a_plugin_that_goes_with_its_broker_in_the_middle_of_a_write_has_not_died_over_it() {
    let (desk, world) = (Desk::new(), World::new(Link::Inherited));
    let mut office = Office::of(&desk);
    let through_broker = |how: [&str; 3]| {
        mortal(&world, how, "");
        let text = fs::read_to_string(world.config()).unwrap();
        world.configure_as(&format!("broker = true\n{text}"));
    };
    let sync = |office: &Office| {
        let mut command = world.command(["-c"]);
        command.arg(world.config()).args(["sync", "--json"]).env("XDG_RUNTIME_DIR", &office.runtime);
        Running::new(command.spawn().unwrap())
    };
    world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    let (when, hangs) = (once(&world), world.member(PHONE).join(".died"));
    through_broker(["commit", "hang", &when]);
    for _ in 0..CRASHES {
        let run = sync(&office);
        until("it hangs", || hangs.exists().then_some(()));
        office.is_told(Signal::SIGKILL);
        let run = run.wait().expect(7).says(&["was ended with the broker", "no broker runs"]);
        assert_eq!(plugin(&run, PHONE)["crashes"], 0);
        fs::remove_file(&hangs).unwrap();
        office.opens_again();
    }
    through_broker(["nowhere", "", "always"]);
    sync(&office).wait().expect(0).counted("quarantined", 0).wrote(PHONE, [1, 0, 0]);
    world.assert_equal();
    office.closes();
}
