//! Local sockets by name: a Unix socket in a private folder, a named pipe on Windows.
//!
//! Only path names: a name in an abstract or shared name space has no permissions. A live
//! listener's name is never taken over. Names are random, and last as long as one handshake; on Unix the
//! next start removes what a killed one left.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use interprocess::local_socket::{GenericFilePath, Name, prelude::*};
#[cfg(feature = "tokio")]
use interprocess::local_socket::{ListenerOptions, tokio::prelude::*};

#[cfg(all(feature = "tokio", unix))]
use crate::brief::Alive;
use crate::carrier::Carrier;

/// Longest socket path that every system takes.
#[cfg(unix)]
const MAX_PATH: usize = 100;

/// The name of a local socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(PathBuf);

impl Endpoint {
    /// A fresh, unguessable name; on Unix, a file in `folder`, which must be private to the user.
    ///
    /// # Errors
    /// No randomness, or the path would be too long for a socket: the message names the path.
    pub fn fresh(folder: &Path) -> io::Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let name = u128::from_le_bytes(random);
        Self::named(folder, &format!("{name:032x}"))
    }

    #[cfg(unix)]
    fn named(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        check_length(&path).map(|()| Self(path))
    }

    #[cfg(windows)]
    fn named(_folder: &Path, name: &str) -> io::Result<Self> {
        Ok(Self(PathBuf::from(format!(r"\\.\pipe\outrigger-{name}"))))
    }

    /// The endpoint that a text names, as it was given to a child process.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(PathBuf::from(text))
    }

    fn name(&self) -> io::Result<Name<'_>> {
        self.0.as_path().to_fs_name::<GenericFilePath>()
    }
}

/// Fails if no socket can have that path.
///
/// # Errors
/// `InvalidInput`, with the path, its length and the limit.
#[cfg(unix)]
pub(crate) fn check_length(path: &Path) -> io::Result<()> {
    let length = path.as_os_str().len();
    if length <= MAX_PATH {
        return Ok(());
    }
    let text =
        format!("{}: {length} bytes are too many for a socket path (limit {MAX_PATH})", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// Connects to a listening end.
///
/// # Errors
/// Nobody listens there, or it is not ours to connect to.
pub fn dial(endpoint: &Endpoint) -> io::Result<Box<dyn Carrier>> {
    let stream = interprocess::local_socket::Stream::connect(endpoint.name()?)?;
    carrier(stream)
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "the Windows twin can fail")]
fn carrier(stream: interprocess::local_socket::Stream) -> io::Result<Box<dyn Carrier>> {
    let interprocess::local_socket::Stream::UdSocket(socket) = stream;
    Ok(Box::new(crate::unix::SocketCarrier::new(socket.into())))
}

#[cfg(windows)]
fn carrier(stream: interprocess::local_socket::Stream) -> io::Result<Box<dyn Carrier>> {
    Ok(Box::new(crate::windows::PipeCarrier::new(stream)))
}

/// A connected local socket, for the asynchronous driver.
#[cfg(all(feature = "tokio", unix))]
pub type Stream = crate::tokio_unix::SocketStream;

/// A connected local socket, for the asynchronous driver.
#[cfg(all(feature = "tokio", windows))]
pub type Stream = interprocess::local_socket::tokio::Stream;

/// A local socket that waits for a peer. Its name goes away with it.
#[cfg(feature = "tokio")]
#[derive(Debug)]
pub struct Listener {
    socket: interprocess::local_socket::tokio::Listener,
    /// Goes after the socket.
    #[cfg(unix)]
    _alive: Alive,
}

#[cfg(feature = "tokio")]
impl Listener {
    /// Listens under a name that must be free. On Unix, removes the sockets in the same folder whose
    /// processes have ended.
    ///
    /// # Errors
    /// The name is taken, or may not be used.
    pub fn bind(endpoint: &Endpoint) -> io::Result<Self> {
        #[cfg(unix)]
        let alive = Alive::before(&endpoint.0)?;
        let options = ListenerOptions::new().name(endpoint.name()?);
        #[cfg(target_os = "linux")]
        let options = {
            use interprocess::os::unix::local_socket::ListenerOptionsExt as _;
            options.mode(0o600)
        };
        let socket = options.create_tokio()?;
        Ok(Self {
            socket,
            #[cfg(unix)]
            _alive: alive,
        })
    }

    /// Waits for the next peer, of the same user where the system can tell.
    ///
    /// # Errors
    /// The listener is broken, or the peer belongs to another user.
    pub async fn accept(&self) -> io::Result<Stream> {
        checked(self.socket.accept().await?)
    }
}

#[cfg(all(feature = "tokio", unix))]
fn checked(stream: interprocess::local_socket::tokio::Stream) -> io::Result<Stream> {
    let interprocess::local_socket::tokio::Stream::UdSocket(socket) = stream;
    let peer = socket.inner().peer_cred()?.uid();
    let own = rustix::process::geteuid().as_raw();
    if peer == own {
        return Stream::new(socket.try_into()?);
    }
    let text = format!("a process of user {peer} connected to a socket of user {own}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

#[cfg(all(feature = "tokio", windows))]
#[expect(clippy::unnecessary_wraps, reason = "the Unix twin can fail")]
const fn checked(stream: Stream) -> io::Result<Stream> {
    Ok(stream) // the pipe's default access list, and the proof in the handshake, have to do
}
