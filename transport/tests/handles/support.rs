//! What these tests share: a plugin's end, and a broker's end by hand, byte by byte.

use std::io::{IoSlice, Read as _};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outrigger_protocol::{
    Abort, AuthKind, Codec, Decoder, HANDLES, Handshake, Header, Hello, HostConnected, Kind, Role, SessionId,
};
use outrigger_transport::{BlockingLink, SocketCarrier};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

static ALONE: Mutex<()> = Mutex::new(());

/// No other test runs meanwhile. What the runtime opens once in a process, for good, is open by now.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    drop(tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
    alone
}

/// Descriptors of this process.
pub(crate) fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Whether so many descriptors are left in the end: what a test has let go of may close on other
/// threads, a moment later.
pub(crate) fn settles_at(wanted: usize) -> bool {
    let deadline = std::time::Instant::now() + LIMIT;
    while open_files() != wanted {
        if std::time::Instant::now() > deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// How long anything may take: a test that waits longer has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A TCP connection: the end that is handed over, and the other.
pub(crate) fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

/// Waits until the last copy of the handed-over end is closed.
pub(crate) fn wait_closed(mut other: TcpStream) {
    other.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(other.read(&mut [0]).unwrap(), 0, "it was closed, and nothing was written");
}

pub(crate) fn hello(name: &str, passing: bool) -> Hello {
    let mut hello = Hello::new(name, AuthKind::Inherited, [1; 32]);
    hello.features.extend(passing.then(|| HANDLES.to_owned()));
    hello
}

pub(crate) fn listening(passing: bool) -> Handshake {
    Handshake::listen(hello("broker", passing), None, SessionId(uuid::Uuid::from_u128(7)))
}

/// A plugin's end, and the socket at which the test is its broker.
pub(crate) fn plugin(passing: bool) -> (BlockingLink<usize>, UnixStream) {
    let (theirs, ours) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(LIMIT)).unwrap();
    let mut broker = listening(passing);
    let mut decoder = Decoder::new(1 << 20);
    let said = Handshake::dial(hello("plugin", passing), None).output();
    decoder.space()[..said.len()].copy_from_slice(&said);
    decoder.filled(said.len());
    broker.receive(&mut decoder).unwrap().unwrap();
    std::io::Write::write_all(&mut &ours, &broker.output()).unwrap();
    let dial = Handshake::dial(hello("plugin", passing), None);
    let link = BlockingLink::establish(Box::new(SocketCarrier::new(theirs.into())), dial, Role::Plugin);
    (link.unwrap(), ours)
}

/// An answer to `connect_host` that says it has so many descriptors.
pub(crate) fn answer(call: u64, handles: u8) -> Vec<u8> {
    frame(Header { handles, ..Header::new(Kind::REPLY, call) }, &HostConnected { address: "a:1".into() })
}

pub(crate) fn ping() -> Vec<u8> {
    Header::new(Kind::PING, 0).encode().to_vec()
}

fn frame(header: Header, body: &HostConnected) -> Vec<u8> {
    let mut encoded = Vec::new();
    Codec::Bincode.encode(body, &mut encoded).unwrap();
    let body_len = u32::try_from(encoded.len()).unwrap();
    [&Header { body_len, ..header }.encode()[..], &encoded].concat()
}

/// Writes bytes with descriptors, as one message.
pub(crate) fn send(socket: &UnixStream, bytes: &[u8], streams: &[&TcpStream]) {
    let streams: Vec<BorrowedFd<'_>> = streams.iter().map(|stream| stream.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(streams.is_empty() || control.push(SendAncillaryMessage::ScmRights(&streams)));
    let sent = sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
    assert_eq!(sent, bytes.len());
}

/// Why the other end ended the connection.
pub(crate) fn abort_reason(mut socket: &UnixStream) -> String {
    let mut decoder = Decoder::new(1 << 20);
    loop {
        if let Ok(Some(frame)) = decoder.next_frame() {
            if frame.header.kind == Kind::ABORT {
                return Codec::Bincode.decode::<Abort>(frame.body).unwrap().reason;
            }
            continue;
        }
        match socket.read(decoder.space()).unwrap() {
            0 => panic!("it said nothing"),
            count => decoder.filled(count),
        }
    }
}

/// Reads the HELLO of the plugin, so that frames are left.
pub(crate) fn skip_hello(mut socket: &UnixStream) {
    let mut head = [0; 36];
    socket.read_exact(&mut head).unwrap();
    let header = Header::decode(head[8..].first_chunk().unwrap()).unwrap();
    socket.read_exact(&mut vec![0; header.body_len as usize]).unwrap();
}
