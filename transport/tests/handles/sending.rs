//! The asynchronous driver sends: with the first byte of the frame, once, and keeps no copy. What a
//! plugin sends never gets in.

use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use outrigger_protocol::{
    CallId, CallOptions, Codec, Connection, Event, Handshake, HostConnected, Method, ObjectId, Role, limits,
};
use outrigger_transport::{
    BlockingLink, Carrier, Duplex, Ending, Handle, Handler, Link, SocketCarrier, SocketStream, Wait,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use crate::support::{
    LIMIT, abort_reason, alone, connection, hello, listening, open_files, send, settles_at, wait_closed,
};

/// Tells of calls.
struct Asked(mpsc::UnboundedSender<CallId>);

impl Handler<()> for Asked {
    fn event(&mut self, event: Event<'_, ()>, _: &mut Connection<()>) {
        if let Event::Call(call) = event {
            self.0.send(call.id).unwrap();
        }
    }
}

/// A broker's end over `io`.
async fn broker(
    io: impl Duplex + 'static,
    passing: bool,
) -> (Link<()>, tokio::task::JoinHandle<Ending>, mpsc::UnboundedReceiver<CallId>) {
    let (tell, told) = mpsc::unbounded_channel();
    let (limit, handshake) = (limits::HANDSHAKE_TIME, listening(passing));
    let made = Link::establish_over(io, handshake, Role::Broker, limit, Asked(tell)).await;
    let (link, driver) = made.unwrap();
    (link, tokio::spawn(driver), told)
}

/// A plugin that asks so often, all at once, and hands out the streams with what the answers say. Its
/// connection is still there.
fn plugin(
    socket: impl Carrier + 'static,
    passing: bool,
    calls: usize,
) -> (BlockingLink<usize>, Vec<(String, TcpStream)>) {
    let dial = Handshake::dial(hello("plugin", passing), None);
    let mut link = BlockingLink::<usize>::establish(Box::new(socket), dial, Role::Plugin).unwrap();
    for context in 0..calls {
        let (options, now) = (CallOptions::default(), link.now());
        link.connection().call(ObjectId(1), Method::CONNECT_HOST, &(), options, context, now).unwrap();
    }
    link.flush().unwrap();
    let mut got = Vec::new();
    while got.len() < calls {
        link.take_in(Wait::Forever).unwrap();
        let each = |event: Event<'_, usize>, handle: Option<Handle>, _: &mut Connection<usize>| {
            if let Event::Reply { body, .. } = event {
                let body: HostConnected = Codec::Bincode.decode(body).unwrap();
                got.push((body.address, handle.unwrap().into_stream().unwrap()));
            }
        };
        link.events_with_handles(each).unwrap();
    }
    (link, got)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// Answers one call with a new stream; returns its other end.
fn answer(link: &Link<()>, call: CallId) -> TcpStream {
    let (ours, other) = connection();
    let body = HostConnected { address: ours.local_addr().unwrap().to_string() };
    let act = |connection: &mut Connection<()>| connection.reply_with_handle(call, &body);
    assert!(link.with_handle(call, ours.into(), act));
    other
}

/// Fifty answers, with other frames between them, through a socket that is full most of the time.
///
/// Holds S54.
#[test]
fn w10_each_answer_brings_its_own_stream_through_a_full_socket() {
    let _alone = alone();
    let before = open_files();
    run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        rustix::net::sockopt::set_socket_send_buffer_size(&ours, 4096).unwrap();
        let plugin = std::thread::spawn(|| plugin(SocketCarrier::new(theirs.into()), true, 50));
        let (link, driver, mut told) = broker(SocketStream::new(ours.into()).unwrap(), true).await;
        let mut others = Vec::new();
        for _ in 0..50 {
            let call = told.recv().await.unwrap();
            link.with(|connection| (0..20).for_each(|_| connection.ping()));
            others.push(answer(&link, call));
        }
        let (theirs, got) = tokio::task::spawn_blocking(|| plugin.join().unwrap()).await.unwrap();
        for ((said, stream), other) in got.iter().zip(&others) {
            assert_eq!(*said, stream.local_addr().unwrap().to_string(), "each has its own");
            assert_eq!(stream.local_addr().unwrap(), other.peer_addr().unwrap());
        }
        drop(got); // the plugin closes: no copy is left anywhere
        others.into_iter().for_each(wait_closed);
        drop(theirs);
        link.close();
        driver.await.unwrap();
    });
    assert!(settles_at(before), "{} files are open instead of {before}", open_files());
}

/// The peer goes, or the call is over, before the descriptor has left.
#[test]
fn w10_a_descriptor_that_does_not_leave_is_closed() {
    let _alone = alone();
    let before = open_files();
    run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        rustix::net::sockopt::set_socket_send_buffer_size(&ours, 4096).unwrap();
        let plugin = std::thread::spawn(|| {
            let dial = Handshake::dial(hello("plugin", true), None);
            let socket = Box::new(SocketCarrier::new(theirs.into()));
            let mut link = BlockingLink::<usize>::establish(socket, dial, Role::Plugin).unwrap();
            let (options, now) = (CallOptions::default(), link.now());
            link.connection().call(ObjectId(1), Method::CONNECT_HOST, &(), options, 0, now).unwrap();
            link.flush().unwrap();
            link
        });
        let (link, driver, mut told) = broker(SocketStream::new(ours.into()).unwrap(), true).await;
        let call = told.recv().await.unwrap();
        let theirs = tokio::task::spawn_blocking(|| plugin.join().unwrap()).await.unwrap();
        link.with(|connection| (0..2000).for_each(|_| connection.ping())); // which it does not read
        let other = answer(&link, call);
        let (second, its_other) = connection();
        assert!(!link.with_handle(call, second.into(), |connection| {
            connection.reply_with_handle(call, &HostConnected { address: String::new() })
        }));
        tokio::task::spawn_blocking(|| wait_closed(its_other)).await.unwrap();
        drop(theirs);
        driver.await.unwrap();
        tokio::task::spawn_blocking(|| wait_closed(other)).await.unwrap();
        let (late, its_other) = connection();
        assert!(!link.with_handle(call, late.into(), |_| true), "the connection is over");
        tokio::task::spawn_blocking(|| wait_closed(its_other)).await.unwrap();
    });
    assert!(settles_at(before), "{} files are open instead of {before}", open_files());
}

/// It is told why, and none of its descriptors gets a number here.
///
/// Holds S54.
#[test]
fn w10_descriptors_from_a_plugin_end_the_connection() {
    let _alone = alone();
    for passing in [false, true] {
        let before = open_files();
        run(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let greeting = Handshake::dial(hello("plugin", passing), None).output();
            io::Write::write_all(&mut &theirs, &greeting).unwrap();
            let (_link, driver, _) = broker(SocketStream::new(ours.into()).unwrap(), passing).await;
            let (stream, other) = connection();
            send(&theirs, &crate::support::ping(), &[&stream; 200]);
            drop(stream);
            let ending = tokio::time::timeout(LIMIT, driver).await.expect("it ends").unwrap();
            let Ending::Failed(broken) = ending else { panic!("it goes on") };
            assert_eq!(broken.to_string(), "descriptors: from a plugin");
            crate::support::skip_hello(&theirs);
            assert_eq!(abort_reason(&theirs), broken.to_string());
            wait_closed(other);
        });
        assert!(settles_at(before), "{} files are open instead of {before}", open_files());
    }
}

/// Counts what the system is asked for.
struct Counting<T> {
    socket: T,
    calls: Arc<AtomicUsize>,
}

impl<T> Counting<T> {
    fn count<R>(&mut self, act: impl FnOnce(&mut T) -> R) -> R {
        self.calls.fetch_add(1, Ordering::SeqCst);
        act(&mut self.socket)
    }
}

impl Carrier for Counting<SocketCarrier> {
    fn read(&mut self, buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
        self.count(|socket| socket.read(buffer, wait))
    }
    fn read_with_handles(
        &mut self,
        buffer: &mut [u8],
        wait: Wait,
        handles: &mut Vec<Handle>,
    ) -> io::Result<usize> {
        self.count(|socket| socket.read_with_handles(buffer, wait, handles))
    }
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.count(|socket| socket.try_write(bytes))
    }
    fn wait_writable(&mut self, limit: Duration, or_read: bool) -> io::Result<()> {
        self.count(|socket| socket.wait_writable(limit, or_read))
    }
}

impl AsyncRead for Counting<SocketStream> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counting<SocketStream> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.count(|socket| Pin::new(socket).poll_write(context, bytes))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Duplex for Counting<SocketStream> {
    fn poll_write_handle(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        runs: &[io::IoSlice<'_>],
        handle: &Handle,
    ) -> Poll<io::Result<usize>> {
        self.count(|socket| Pin::new(socket).poll_write_handle(context, runs, handle))
    }
}

/// Sixty-four calls of a plugin at once, and their answers at once: what both ends ask of the system.
fn system_calls(passing: bool) -> (usize, usize) {
    let (broker_calls, plugin_calls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let carrier =
            Counting { socket: SocketCarrier::new(theirs.into()), calls: Arc::clone(&plugin_calls) };
        let plugin = std::thread::spawn(move || {
            let dial = Handshake::dial(hello("plugin", passing), None);
            let mut link = BlockingLink::<()>::establish(Box::new(carrier), dial, Role::Plugin).unwrap();
            for _ in 0..64 {
                let (options, now) = (CallOptions::default(), link.now());
                link.connection().call(ObjectId(1), Method::ASK, &(), options, (), now).unwrap();
            }
            link.flush().unwrap();
            let mut answers = 0;
            while answers < 64 {
                link.take_in(Wait::Forever).unwrap();
                let each = |event: Event<'_, ()>, _: Option<Handle>, _: &mut Connection<()>| {
                    answers += usize::from(matches!(event, Event::Reply { .. }));
                };
                link.events_with_handles(each).unwrap();
            }
        });
        let stream = SocketStream::new(ours.into()).unwrap();
        let stream = Counting { socket: stream, calls: Arc::clone(&broker_calls) };
        let (link, driver, mut told) = broker(stream, passing).await;
        let mut calls = Vec::new();
        while calls.len() < 64 {
            calls.push(told.recv().await.unwrap());
        }
        link.with(|connection| calls.iter().for_each(|call| assert!(connection.reply(*call, &()))));
        tokio::task::spawn_blocking(|| plugin.join().unwrap()).await.unwrap();
        link.close();
        driver.await.unwrap();
    });
    (broker_calls.load(Ordering::SeqCst), plugin_calls.load(Ordering::SeqCst))
}

/// Handshake and all: a write for each side's HELLO, and one for all that is said at once.
#[test]
fn w10_what_carries_no_descriptor_costs_no_system_call_more() {
    let _alone = alone();
    let without = system_calls(false);
    assert_eq!(without, (2, 4), "the handshake, and then one write and one read a side");
    assert_eq!(system_calls(true), without);
}
