//! A plugin that asks for more than its share, or where nothing passes: a connection machine by hand.

use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use outrigger_protocol::{
    AuthKind, CallId, CallOptions, Code, ConnectHost, Event, HANDLES, Handshake, Hello, Method, ObjectId,
    Role,
};
use outrigger_transport::{BlockingLink, Handle, SocketCarrier, Wait};

use super::{broker, spec};
use crate::spec::PluginSpec;

/// A plugin without manners.
async fn rude(spec: &PluginSpec, passing: bool) -> BlockingLink<usize> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let greeting = tokio::task::spawn_blocking(move || {
        let mut hello = Hello::new("plugin", AuthKind::Inherited, [1; 32]);
        hello.features.push(HANDLES.to_owned());
        let (dial, carrier) = (Handshake::dial(hello, None), SocketCarrier::new(theirs.into()));
        BlockingLink::establish(Box::new(carrier), dial, Role::Plugin).unwrap()
    });
    let (_, plugin) = tokio::join!(broker(spec, ours, passing), greeting);
    plugin.unwrap()
}

fn ask(link: &mut BlockingLink<usize>, host: &str, port: u16, context: usize, total: Duration) -> CallId {
    let request = ConnectHost { host: host.into(), port };
    let (options, now) = (CallOptions { total: Some(total), ..CallOptions::default() }, link.now());
    let call =
        link.connection().call(ObjectId(1), Method::CONNECT_HOST, &request, options, context, now).unwrap();
    link.flush().unwrap();
    call
}

/// The next answers, by their contexts: streams, or codes.
async fn answers(
    mut link: BlockingLink<usize>,
    count: usize,
) -> (BlockingLink<usize>, Vec<(usize, Option<Code>)>) {
    let heard = tokio::task::spawn_blocking(move || {
        let mut answers = Vec::new();
        while answers.len() < count {
            link.take_in(Wait::Forever).unwrap();
            let each = |event: Event<'_, usize>, handle: Option<Handle>, _: &mut _| match event {
                Event::Reply { context, .. } => {
                    assert!(handle.is_some());
                    answers.push((context, None));
                }
                Event::Failed { context, error, .. } => answers.push((context, Some(error.code))),
                _ => {}
            };
            link.events_with_handles(each).unwrap();
        }
        link.flush().unwrap();
        (link, answers)
    });
    heard.await.unwrap()
}

const LONG: Duration = Duration::from_secs(60);

/// A name server that says nothing: four questions wait for it, and no more. Given up, they make
/// room; out of time, they end.
#[tokio::test]
async fn p5_a_plugin_has_four_things_open_at_a_time() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let spec = spec(&["*:443".into()], Some(silent.local_addr().unwrap()));
    let mut link = rude(&spec, true).await;
    let calls: Vec<CallId> = (0..60).map(|context| ask(&mut link, "a.org", 443, context, LONG)).collect();
    let (mut link, refused) = answers(link, 56).await;
    assert!(refused.iter().all(|(context, code)| *context >= 4 && *code == Some(Code::OVERLOADED)));
    let now = link.now();
    link.connection().cancel(calls[1], now);
    link.flush().unwrap();
    let (mut link, cancelled) = answers(link, 1).await;
    assert_eq!(cancelled, [(1, Some(Code::CANCELLED))]);
    ask(&mut link, "a.org", 443, 70, Duration::from_millis(20));
    let (_link, late) = answers(link, 1).await;
    assert_eq!(late, [(70, Some(Code::DEADLINE))], "it had a place, and its own time");
}

/// Sixteen streams on their way, and none is read: there are no more. The descriptors lie in the
/// socket and in no table; when the plugin goes, they go.
#[tokio::test]
async fn p5_a_plugin_that_does_not_read_gets_no_more_streams() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut link = rude(&spec(&["127.0.0.0/8:*".replace('*', &port.to_string())], None), true).await;
    let mut streams = Vec::new();
    for context in 0..16 {
        ask(&mut link, "127.0.0.1", port, context, LONG);
        streams.push(listener.accept().await.unwrap().0);
    }
    ask(&mut link, "127.0.0.2", port, 16, LONG);
    let (mut link, heard) = answers(link, 17).await;
    let streams_read = heard.iter().filter(|(_, code)| code.is_none()).count();
    assert_eq!((streams_read, heard[16]), (16, (16, Some(Code::OVERLOADED))));
    // It has read: the number has come back with what it flushed, and all is as before.
    ask(&mut link, "127.0.0.1", port, 99, LONG);
    let (stream, from) = listener.accept().await.unwrap();
    assert_eq!(from.ip(), Ipv4Addr::LOCALHOST, "the first since: the one that was refused was not connected");
    streams.push(stream);
    let (link, heard) = answers(link, 1).await;
    assert_eq!(heard, [(99, None)]);
    drop(link);
    for stream in streams {
        stream.readable().await.unwrap();
        assert_eq!(stream.try_read(&mut [0]).unwrap(), 0, "closed, and nobody has a copy");
    }
}

/// The broker's side of the connection passes none: whoever asks all the same is told.
#[tokio::test]
async fn a_plugin_that_asks_where_no_stream_passes_is_told() {
    let mut link = rude(&spec(&["127.0.0.1:1".into()], None), false).await;
    ask(&mut link, "127.0.0.1", 1, 0, LONG);
    let (_, heard) = answers(link, 1).await;
    assert_eq!(heard, [(0, Some(Code::UNIMPLEMENTED))]);
}
