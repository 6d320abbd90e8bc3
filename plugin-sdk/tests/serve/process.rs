//! A plugin in a process of its own: this test program, started again.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use outrigger_plugin_sdk::protocol::{AuthKind, Code, Error, Handshake, Hello, Secret, SessionId};
use outrigger_plugin_sdk::{Context, serve_to_code};
use outrigger_transport::SocketCarrier;

use crate::client::{Client, decoded, listening};
use crate::connector::{Connector, item};

/// Set for the process that is the plugin.
const IS_PLUGIN: &str = "OUTRIGGER_TEST_IS_PLUGIN";

/// Starts this program again, to run only the test `name`, with standard input from `input`.
fn again(name: &str, input: Stdio, variables: &[(&str, &str)]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("process::{name}"), "--nocapture"]);
    command.env(IS_PLUGIN, "1").envs(variables.iter().copied());
    command.stdin(input).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

/// In the plugin's process: serves, and does not come back.
fn serve_if_plugin() {
    if std::env::var_os(IS_PLUGIN).is_some() {
        let connector = Connector::new().on_commit(|_, _| {
            let mut input = String::new();
            std::io::stdin().read_to_string(&mut input).unwrap();
            if input.is_empty() { Ok(()) } else { Err(Error::new(Code::INTERNAL, input)) }
        });
        std::process::exit(serve_to_code(connector).into());
    }
}

fn exit(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Lives through a run, with a commit that looks at its standard input.
fn live(mut client: Client) {
    let (_, sinks) = client.instance();
    client.begin_run(sinks[0]);
    let commit = client.commit(sinks[0], item("n", b"new"));
    let _: outrigger_plugin_sdk::protocol::Committed = decoded(client.wait(commit));
    client.leave();
}

#[test]
fn run_by_hand_it_says_what_it_is() {
    serve_if_plugin();
    let (code, said) = exit(again("run_by_hand_it_says_what_it_is", Stdio::null(), &[]));
    assert_eq!(code, Some(2));
    assert!(said.contains("this is an Outrigger plugin"), "{said}");
}

#[test]
fn it_lives_on_an_inherited_connection_and_its_standard_input_is_empty() {
    serve_if_plugin();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let name = "it_lives_on_an_inherited_connection_and_its_standard_input_is_empty";
    let child = again(name, OwnedFd::from(theirs).into(), &[("OUTRIGGER_FD", "0")]);
    live(Client::over(Box::new(SocketCarrier::new(ours.into())), listening()));
    let (code, said) = exit(child);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_broker_that_vanishes_is_an_error() {
    serve_if_plugin();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child =
        again("a_broker_that_vanishes_is_an_error", OwnedFd::from(theirs).into(), &[("OUTRIGGER_FD", "0")]);
    drop(Client::over(Box::new(SocketCarrier::new(ours.into())), listening()));
    let (code, said) = exit(child);
    assert_eq!(code, Some(1));
    assert!(said.contains("the connection to the broker ended"), "{said}");
}

/// Says something until that fails.
fn talk(context: &mut Context<'_>) -> Result<(), Error> {
    let error = (0..).find_map(|done| context.progress(done, None).err()).unwrap();
    std::io::stderr().write_all(format!("the commit was told: {}", error.code).as_bytes()).unwrap();
    Err(error)
}

/// Holds S66.
#[test]
fn a_commit_in_which_the_broker_vanishes_hears_of_it() {
    if std::env::var_os(IS_PLUGIN).is_some() {
        let connector = Connector::new().on_commit(|_, context| talk(context));
        std::process::exit(serve_to_code(connector).into());
    }
    let (ours, theirs) = UnixStream::pair().unwrap();
    let name = "a_commit_in_which_the_broker_vanishes_hears_of_it";
    let child = again(name, OwnedFd::from(theirs).into(), &[("OUTRIGGER_FD", "0")]);
    let mut client = Client::over(Box::new(SocketCarrier::new(ours.into())), listening());
    let (_, sinks) = client.instance();
    client.begin_run(sinks[0]);
    client.commit(sinks[0], item("n", b"new"));
    client.turn(true).unwrap(); // it is at work
    drop(client);
    let (code, said) = exit(child);
    assert_eq!(code, Some(1));
    assert!(said.contains(&format!("the commit was told: {}", Code::DISCONNECTED)), "{said}");
}

#[test]
fn it_dials_a_name_and_proves_the_token_from_its_standard_input() {
    serve_if_plugin();
    let path = std::env::temp_dir().join(format!("outrigger-sdk-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let name = "it_dials_a_name_and_proves_the_token_from_its_standard_input";
    let endpoint = [("OUTRIGGER_ENDPOINT", path.to_str().unwrap())];
    let mut child = again(name, Stdio::piped(), &endpoint);
    child.stdin.take().unwrap().write_all(format!("{}\n", "2a".repeat(32)).as_bytes()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    let hello = Hello::new("broker", AuthKind::Inherited, [2; 32]);
    let id = SessionId(uuid::Uuid::from_u128(7));
    let handshake = Handshake::listen(hello, Some(Secret([42; 32])), id);
    live(Client::over(Box::new(SocketCarrier::new(socket.into())), handshake));
    std::fs::remove_file(&path).unwrap();
    let (code, said) = exit(child);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn without_a_token_it_does_not_dial() {
    serve_if_plugin();
    let endpoint = [("OUTRIGGER_ENDPOINT", "/nonexistent")];
    let (code, said) = exit(again("without_a_token_it_does_not_dial", Stdio::null(), &endpoint));
    assert_eq!(code, Some(1));
    assert!(said.contains("no token on standard input"), "{said}");
}
