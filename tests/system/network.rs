//! Network by name, with real processes: a plugin in Rust and one in Python read a page from a server
//! on this machine, because the list of their member has it, and for no other reason.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use outrigger::broker::{Figures, PluginSpec, start};
use outrigger::protocol::{Blame, Code, Effect, Error};
use outrigger::sandbox::{Profile, Program};

use crate::python::python;
use crate::support::host::{block_on, initialize, spec};
use crate::support::{DEADLINE, Link, World, until};

pub(crate) const PAGE: &str = "the page";

/// A server of one page. It tells when a client has closed its end: a FIN, and no reset.
pub(crate) struct Server {
    pub(crate) port: u16,
    closed: Receiver<()>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, closed) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap());
                tell.send(()).unwrap_or_default();
            }
        });
        Self { port, closed }
    }
}

/// Answers one request, and waits for the end of the client's.
fn serve(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{PAGE}", PAGE.len()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(reader.read(&mut [0]).unwrap(), 0, "the client's FIN");
}

#[derive(Clone, Copy)]
enum Language {
    Rust,
    Python,
}

fn plugin(world: &World, language: Language) -> PluginSpec {
    let mut spec = spec(world, "reaching_plugin", &[]);
    if matches!(language, Language::Python) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let script = root.join("tests/python/reaches.py");
        spec.policy.read = vec![script.clone(), root.join("plugin-sdk/python")];
        spec.program = Program::Executable { path: python(), args: vec!["-B".into(), script.into()] };
        spec.environment = vec![("OUTRIGGER_SDK".into(), root.join("plugin-sdk/python").into())];
    }
    spec
}

/// Has a plugin read a page: what it read, and the figures of the broker.
fn get(spec: PluginSpec, network: &[String], place: &str) -> (Result<String, Error>, Figures) {
    get_and(spec, network, place, || ())
}

/// The same, and `then` while the plugin still runs.
fn get_and(
    mut spec: PluginSpec,
    network: &[String],
    place: &str,
    then: impl FnOnce(),
) -> (Result<String, Error>, Figures) {
    spec.policy.network = network.to_vec();
    block_on(async {
        let host = start(spec).await.unwrap();
        let instance = host.initialize(&initialize(&[("get", place)])).await.unwrap();
        let found = instance.discover().await.map(|found| found.sinks[0].name.clone());
        then();
        instance.finalize().await.unwrap();
        let figures = until("the kernel tells of the bytes", || {
            let figures = host.traffic();
            let is_known = figures.bytes.is_none_or(|bytes| bytes.received > 0);
            (figures.connections == 0 || is_known).then_some(figures)
        });
        let (death, _) = host.stop().await;
        assert_eq!(death.connection, None, "{death}");
        (found, figures)
    })
}

fn a_page_is_read(link: Link, language: Language) {
    let (world, server) = (World::empty(link), Server::new());
    let place = format!("127.0.0.1 {}", server.port);
    let listed = [format!("127.0.0.1:{}", server.port)];
    let closed =
        || server.closed.recv_timeout(DEADLINE / 2).expect("the plugin has closed, and nobody has a copy");
    let (page, figures) = get_and(plugin(&world, language), &listed, &place, closed);
    assert_eq!(page.unwrap(), PAGE);
    assert_eq!((figures.connections, figures.refused), (1, 0));
    if let Some(bytes) = figures.bytes {
        let request = "GET / HTTP/1.0\r\n\r\n".len() as u64;
        assert!((request..300).contains(&bytes.sent), "{bytes:?}");
        assert!((PAGE.len() as u64..300).contains(&bytes.received), "{bytes:?}");
    }
}

/// Decisions P5: what the plugin closes is closed, since nobody keeps a copy.
#[test]
fn p5_a_plugin_reads_a_page_since_the_list_has_it_and_its_close_reaches_the_server() {
    a_page_is_read(Link::Inherited, Language::Rust);
}

#[test]
fn p5_the_same_over_a_named_connection() {
    a_page_is_read(Link::Named, Language::Rust);
}

#[test]
#[ignore = "needs python3"]
fn p5_a_plugin_in_python_does_so_too() {
    a_page_is_read(Link::Inherited, Language::Python);
    a_page_is_read(Link::Named, Language::Python);
}

/// Decisions P5: in a sandbox the stream leads where the broker led it, and there is no other.
#[test]
#[ignore = "needs python3"]
fn p5_a_stream_cannot_be_led_elsewhere() {
    let (world, server, other) = (World::empty(Link::Inherited), Server::new(), Server::new());
    let (place, listed) = (format!("127.0.0.1 {}", server.port), format!("127.0.0.1:{}", server.port));
    let mut spec = plugin(&world, Language::Python);
    spec.policy.network = vec![listed];
    block_on(async {
        let host = start(spec).await.unwrap();
        let tier = host.facts().report.tier();
        let lead = format!("127.0.0.1 {}", other.port);
        let instance = host.initialize(&initialize(&[("get", &place), ("lead", &lead)])).await.unwrap();
        let found = instance.discover().await.unwrap();
        let expected = format!("{PAGE}, unspecified EPERM, elsewhere EPERM, alone EPERM");
        assert_eq!(found.sinks[0].name, expected, "{tier}");
        instance.finalize().await.unwrap();
        host.stop().await;
    });
    assert!(other.closed.try_recv().is_err(), "somebody was there");
}

fn others_are_refused(language: Language) {
    let (world, server) = (World::empty(Link::Inherited), Server::new());
    let port = server.port;
    let other = if port == 65535 { 1 } else { port + 1 };
    let listed = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    for (place, entry) in [
        (format!("127.0.0.1 {other}"), format!("127.0.0.1:{other}")),
        (format!("127.0.0.2 {port}"), format!("127.0.0.2:{port}")),
        (format!("example.org {port}"), format!("example.org:{port}")),
    ] {
        let (refused, figures) = get(plugin(&world, language), &listed, &place);
        let refused = refused.unwrap_err();
        assert_eq!((refused.code, refused.blame), (Code::PERMISSION, Blame::Configuration), "{refused}");
        assert_eq!(refused.effect, Effect::NotStarted);
        assert!(refused.message.contains(&format!("add \"{entry}\" to `network`")), "{refused}");
        assert_eq!((figures.connections, figures.refused), (0, 1));
    }
    // The name is listed, and leads to this machine, which is not: rebinding.
    let by_name = [format!("localhost:{port}")];
    let (refused, _) = get(plugin(&world, language), &by_name, &format!("localhost {port}"));
    let refused = refused.unwrap_err();
    assert_eq!((refused.code, refused.blame), (Code::PERMISSION, Blame::Configuration), "{refused}");
    assert!(refused.message.contains("is not a public address"), "{refused}");
    // With the address, the name is good.
    let both = [by_name[0].clone(), format!("127.0.0.0/8:{port}")];
    let (page, _) = get(plugin(&world, language), &both, &format!("localhost {port}"));
    assert_eq!(page.unwrap(), PAGE);
}

#[test]
fn p5_another_port_another_host_and_a_name_that_leads_inside_are_refused() {
    others_are_refused(Language::Rust);
}

#[test]
#[ignore = "needs python3"]
fn p5_they_are_refused_to_a_plugin_in_python_too() {
    others_are_refused(Language::Python);
}

/// It could go to all that is public by itself; what is not has to be listed all the same.
#[test]
fn p5_without_a_sandbox_what_is_not_public_is_open_if_it_is_listed() {
    let (world, server) = (World::empty(Link::Inherited), Server::new());
    let place = format!("127.0.0.1 {}", server.port);
    let free = || {
        let mut spec = plugin(&world, Language::Rust);
        spec.policy.profile = Profile::None;
        spec
    };
    assert_eq!(get(free(), &[], &place).0.unwrap_err().code, Code::PERMISSION);
    assert_eq!(get(free(), &[format!("127.0.0.1:{}", server.port)], &place).0.unwrap(), PAGE);
}
