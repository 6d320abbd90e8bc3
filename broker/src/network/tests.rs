//! A plugin that reaches out, over a real socket and within one process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod names;
mod rude;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink, serve_on};
use outrigger_protocol::{
    AuthKind, CallOptions, Code, Commit, CommitResult, Error, GetChanges, Group, HANDLES, Handshake, Hello,
    Initialize, Member, ObjectId, ReadItem, Role, SessionId, limits,
};
use outrigger_sandbox::{Policy, Program};
use outrigger_transport::{SocketCarrier, SocketStream};

use super::*;
use crate::attend::Attendant;
use crate::callbacks::{Exports, NoCallbacks};
use crate::figures::Figures;
use crate::host::PluginHost;
use crate::log::PluginLog;
use crate::spec::PluginSpec;
use names::{Zone, serve_names};

/// Who may reach what, by which name server.
fn spec(network: &[String], server: Option<SocketAddr>) -> PluginSpec {
    let program = Program::Executable { path: "/nonexistent".into(), args: Vec::new() };
    let policy = Policy { network: network.to_vec(), ..Policy::default() };
    PluginSpec { policy, name_server: server, ..PluginSpec::new("m", program) }
}

/// The broker's end of a connection: what attends to it runs; the member is object 1.
async fn broker(spec: &PluginSpec, socket: UnixStream, passing: bool) -> (Link<Caller>, Arc<Traffic>) {
    let (events, wiring, said) = PluginHost::wiring(&Arc::new(PluginLog::new("m".into())));
    let mut hello = Hello::new("broker", AuthKind::Inherited, [2; 32]);
    hello.features.extend(passing.then(|| HANDLES.to_owned()));
    let listen = Handshake::listen(hello, None, SessionId(uuid::Uuid::from_u128(7)));
    let (io, limit) = (SocketStream::new(socket.into()).unwrap(), limits::HANDSHAKE_TIME);
    let made = Link::establish_over(io, listen, Role::Broker, limit, events).await;
    let (link, driver) = made.unwrap();
    tokio::spawn(driver);
    let exports = Arc::new(Exports::default());
    assert_eq!(exports.give(Arc::new(NoCallbacks)).0, ObjectId(1));
    let network = Network::new(link.clone(), wiring.unread, Reach::of(spec, MOST_OPEN).unwrap());
    let traffic = network.traffic();
    tokio::spawn(Attendant::new(link.clone(), exports, network).run(said));
    (link, traffic)
}

type Act<T> = Box<dyn FnMut(&mut Context<'_>) -> Result<T, Error> + Send>;

/// Acts in `discover`, and keeps what came of it.
struct Reaching<T> {
    act: Act<T>,
    result: Arc<Mutex<Option<Result<T, Error>>>>,
}

impl<T: Send + 'static> Plugin for Reaching<T> {
    fn initialize(&mut self, _: Initialize, _: &mut Context<'_>) -> Result<(), Error> {
        Ok(())
    }
    fn discover(&mut self, context: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
        *self.result.lock().unwrap() = Some((self.act)(context));
        Ok(Vec::new())
    }
    fn get_changes(
        &mut self,
        _: &str,
        _: GetChanges,
        _: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error> {
        Ok(ListingEnd::default())
    }
    fn read(&mut self, _: &str, _: Vec<ReadItem>, _: &mut ReadSink<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
    fn commit(&mut self, _: &str, _: Commit<'_>, _: &mut Context<'_>) -> Result<Vec<CommitResult>, Error> {
        Ok(Vec::new())
    }
}

/// Lets a connector act, on a thread of its own, in a call of the broker. What came of it, and the
/// figures.
async fn reach<T: Send + 'static>(
    spec: &PluginSpec,
    passing: bool,
    act: impl FnMut(&mut Context<'_>) -> Result<T, Error> + Send + 'static,
) -> (Result<T, Error>, Figures) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let result = Arc::new(Mutex::new(None));
    let plugin = Reaching { act: Box::new(act), result: Arc::clone(&result) };
    let serving = std::thread::spawn(|| serve_on(plugin, Box::new(SocketCarrier::new(theirs.into())), None));
    let (link, traffic) = broker(spec, ours, passing).await;
    let member = Member { object: ObjectId(1), ..Member::new("m", Vec::new()) };
    let group = Group { object: ObjectId(2), ..Group::new("g", vec!["m".into()]) };
    for (object, method) in [(0, Method::INITIALIZE), (1, Method::DISCOVER)] {
        let (done, answer) = tokio::sync::oneshot::channel();
        let (options, now) = (CallOptions::default(), link.now());
        let (caller, request) = (Caller::new(done, None), Initialize::new(member.clone(), group.clone()));
        let called = link.send(|connection| match method {
            Method::INITIALIZE => connection.call(ObjectId(object), method, &request, options, caller, now),
            _ => connection.call(ObjectId(object), method, &(), options, caller, now),
        });
        called.map_err(|refusal| refusal.error).unwrap();
        answer.await.unwrap().map_err(|failed| failed.error).unwrap();
    }
    link.with(|connection| connection.goodbye());
    tokio::task::spawn_blocking(|| serving.join().unwrap().unwrap()).await.unwrap();
    let result = result.lock().unwrap().take().unwrap();
    (result, traffic.figures())
}

/// Waits for one stream, says hello, and for its end.
fn greeter() -> (u16, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"hello").unwrap();
        let mut heard = Vec::new();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.read_to_end(&mut heard).unwrap(); // up to the FIN of the plugin
        heard
    });
    (port, serving)
}

/// What a connector says and hears on a stream, which it then closes.
fn talk(mut stream: std::net::TcpStream) -> String {
    stream.write_all(b"and to you").unwrap();
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).unwrap();
    String::from_utf8_lossy(&heard).into_owned()
}

/// Decisions P5: nobody keeps a copy, so that the plugin's close is seen.
#[tokio::test]
async fn p5_a_granted_address_is_connected_and_the_plugins_close_is_the_last() {
    let (port, server) = greeter();
    let spec = spec(&[format!("127.0.0.1:{port}")], None);
    let mut server = Some(server);
    let (heard, figures) = reach(&spec, true, move |context| {
        let heard = talk(context.connect("127.0.0.1", port)?);
        // While the plugin and its connection are still there: it has read up to the FIN.
        Ok((heard, server.take().unwrap().join().unwrap()))
    })
    .await;
    assert_eq!(heard.unwrap(), ("hello".to_owned(), b"and to you".to_vec()));
    assert_eq!((figures.connections, figures.refused), (1, 0));
}

#[tokio::test]
async fn what_is_not_granted_is_refused_with_the_entry_that_would_do_it() {
    let spec = spec(&["127.0.0.1:1".into(), "dav.example.org:443".into()], None);
    let (errors, figures) = reach(&spec, true, |context| {
        let asked = [("127.0.0.1", 2), ("Evil.example.org.", 443), ("dav.example.org", 80), ("::1", 1)];
        Ok(asked.map(|(host, port)| context.connect(host, port).unwrap_err()))
    })
    .await;
    for (error, entry) in
        errors.unwrap().iter().zip(["127.0.0.1:2", "evil.example.org:443", "dav.example.org:80", "[::1]:1"])
    {
        assert_eq!((error.code, error.blame), (Code::PERMISSION, Blame::Configuration), "{error}");
        assert_eq!((error.effect, error.retry), (Effect::NotStarted, Retry::WithFix));
        assert!(
            error.message.contains(&format!("{entry} is not granted; to allow it, add \"{entry}\"")),
            "{error}"
        );
    }
    assert_eq!((figures.connections, figures.refused), (0, 4));
}

/// DNS rebinding, with the system's own names: `localhost` is this machine.
#[tokio::test]
async fn p5_a_granted_name_that_leads_inside_is_refused() {
    let spec = spec(&["localhost:1".into()], None);
    let (error, _) = reach(&spec, true, |context| Ok(context.connect("localhost", 1).unwrap_err())).await;
    let error = error.unwrap();
    assert_eq!((error.code, error.blame), (Code::PERMISSION, Blame::Configuration));
    assert!(
        error.message.contains("localhost leads to ") && error.message.contains("1:1\" to `network`")
            || error.message.contains("]:1\" to `network`"),
        "{error}"
    );
}

/// The same with a name server, which may say anything.
#[tokio::test]
async fn p5_whatever_a_name_server_says_a_name_opens_public_addresses_only() {
    let evil =
        ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"];
    for address in evil {
        let zone = Zone::default().address("dav.example.org", address);
        let server = serve_names(zone).await;
        let spec = spec(&["dav.example.org:443".into()], Some(server));
        let (error, _) =
            reach(&spec, true, |context| Ok(context.connect("dav.example.org", 443).unwrap_err())).await;
        let error = error.unwrap();
        assert_eq!(error.code, Code::PERMISSION, "{address}: {error}");
        assert!(error.message.contains("is not a public address"), "{error}");
    }
}

/// The first does not listen, the second does; a private one among them is not granted, and passed
/// over.
#[tokio::test]
async fn the_addresses_of_a_name_are_tried_in_order() {
    let (port, server) = greeter();
    let zone = Zone::default()
        .address("dav.example.org", "10.9.9.9")
        .address("dav.example.org", "127.0.0.2")
        .address("dav.example.org", "127.0.0.1");
    let names = serve_names(zone).await;
    let entries = [format!("dav.example.org:{port}"), format!("127.0.0.0/8:{port}")];
    let (heard, _) = reach(&spec(&entries, Some(names)), true, move |context| {
        let stream = context.connect("DAV.example.org.", port)?;
        assert_eq!(stream.peer_addr().unwrap().ip(), Ipv4Addr::LOCALHOST);
        Ok(talk(stream))
    })
    .await;
    assert_eq!(heard.unwrap(), "hello");
    server.join().unwrap();
}

#[tokio::test]
async fn a_host_that_is_not_there_or_does_not_listen_is_the_members_to_mend() {
    let server = serve_names(Zone::default()).await;
    let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let entries = ["dav.example.org:443".to_owned(), format!("127.0.0.1:{unused}")];
    let (errors, _) = reach(&spec(&entries, Some(server)), true, move |context| {
        Ok([context.connect("dav.example.org", 443), context.connect("127.0.0.1", unused)]
            .map(Result::unwrap_err))
    })
    .await;
    let [nowhere, silent] = errors.unwrap();
    assert_eq!((nowhere.code, nowhere.blame, nowhere.effect), (Code::IO, Blame::Member, Effect::NotStarted));
    assert!(nowhere.message.contains("dav.example.org has no address"), "{nowhere}");
    assert_eq!((silent.code, silent.blame, silent.effect), (Code::IO, Blame::Member, Effect::NotStarted));
    assert!(silent.causes[0].message.contains("refused"), "{silent:?}");
}

/// What the system takes for an address though it is written otherwise.
#[tokio::test]
async fn p5_an_address_in_disguise_is_checked_as_what_it_is() {
    let spec = spec(&["*:443".into()], None);
    let (errors, _) = reach(&spec, true, |context| {
        Ok(["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "0"]
            .map(|host| context.connect(host, 443).unwrap_err()))
    })
    .await;
    for error in errors.unwrap() {
        let is_refused = error.code == Code::PERMISSION && error.message.contains("is not a public address");
        assert!(is_refused || error.code == Code::IO, "no address here, or a refused one: {error}");
    }
}

/// Nothing of it reaches a name server.
#[tokio::test]
async fn what_is_no_host_or_no_port_is_invalid() {
    let spec = spec(&["*:443".into()], None);
    let (errors, figures) = reach(&spec, true, |context| {
        let long = "a.".repeat(30_000);
        let hosts = [
            "",
            "a\0b.org",
            "dav.example.org\0.evil.org",
            "a b",
            "http://a.org",
            "ä.org",
            &long,
            "127.0.0.1:80",
        ];
        let mut errors: Vec<Error> =
            hosts.iter().map(|host| context.connect(host, 443).unwrap_err()).collect();
        errors.push(context.connect("a.org", 0).unwrap_err());
        errors.push(context.lookup_srv("a\0b").unwrap_err());
        Ok(errors)
    })
    .await;
    for error in errors.unwrap() {
        assert_eq!((error.code, error.blame), (Code::INVALID, Blame::Caller), "{error}");
        assert!(error.message.len() < 200);
    }
    assert_eq!(figures.refused, 0);
}

#[tokio::test]
async fn p5_srv_and_txt_records_of_granted_names_are_answered() {
    let zone = Zone::default()
        .srv("_caldavs._tcp.example.org", 20, "slow.example.org")
        .srv("_caldavs._tcp.example.org", 10, "dav.example.org")
        .txt("_caldavs._tcp.example.org", "path=/dav/");
    let server = serve_names(zone).await;
    let (found, figures) = reach(&spec(&["example.org:443".into()], Some(server)), false, |context| {
        let name = "_caldavs._tcp.Example.org";
        let none = context.lookup_txt("example.org")?;
        let refused = context.lookup_srv("_caldavs._tcp.example.com").unwrap_err();
        Ok((context.lookup_srv(name)?, context.lookup_txt(name)?, none, refused))
    })
    .await;
    let (srv, txt, none, refused) = found.unwrap();
    let targets: Vec<(u16, &str)> = srv.iter().map(|record| (record.priority, &*record.target)).collect();
    assert_eq!(targets, [(10, "dav.example.org"), (20, "slow.example.org")], "the lowest first");
    assert_eq!((srv[0].port, srv[0].weight), (443, 5));
    assert_eq!(txt, [b"path=/dav/"[..].into()]);
    assert!(none.is_empty());
    assert_eq!(refused.code, Code::PERMISSION, "{refused}");
    assert!(refused.message.contains("add \"example.com:443\""), "{refused}");
    assert_eq!(figures.refused, 1);
}

#[tokio::test]
async fn where_no_stream_passes_a_connector_is_told_and_nobody_is_asked() {
    let spec = spec(&["127.0.0.1:1".into()], None);
    let (error, figures) =
        reach(&spec, false, |context| Ok(context.connect("127.0.0.1", 2).unwrap_err())).await;
    assert_eq!(error.unwrap().code, Code::UNIMPLEMENTED);
    assert_eq!(figures, Figures { refused: 0, connections: 0, ..figures });
}

#[test]
fn a_list_that_cannot_be_read_is_refused_as_a_whole() {
    let Err(error) = Reach::of(&spec(&["a.org:1".into(), "b.org".into()], None), MOST_OPEN) else {
        panic!("it is read")
    };
    assert_eq!(error.to_string(), "\"b.org\" is not a host and a port");
}
