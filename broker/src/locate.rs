//! Locating: yields a byte stream to a plugin host that we did not start, and nothing else.
//!
//! What it finds is not trusted for being found: the other end's user is asked of the kernel before
//! a byte is read, and its secret is proved in the handshake. Everything above the stream is the
//! same as for a plugin that was started.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outrigger_protocol::{Announcement, EndName};
use outrigger_transport::{Ends, Peer, check_socket, same_user};
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

use crate::appear::{Look, appear};
use crate::launcher::{ask, launch};
use crate::locate_error::LocateError;

/// Where a plugin host is that we do not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Locator {
    /// It announced itself in the runtime directory, or is about to.
    Rendezvous {
        /// Its name there.
        name: EndName,
    },
    /// It waits on a socket.
    Socket {
        /// The socket's path.
        path: PathBuf,
    },
    /// A command makes it appear, unless it is there; then it announces itself. It is not our child.
    Activate {
        /// The command: program and arguments.
        argv: Vec<OsString>,
        /// Its name in the runtime directory.
        name: EndName,
    },
    /// A command says where it waits: one line of JSON on its standard output,
    /// `{"socket": "/path"}`.
    Command {
        /// The command: program and arguments.
        argv: Vec<OsString>,
    },
}

/// A stream to a plugin host of this user.
#[derive(Debug)]
pub struct Located {
    /// Connected; not a byte has been read or written.
    pub(crate) socket: OwnedFd,
    /// Who is at its other end.
    pub peer: Peer,
    /// What the end said of itself, where it announced itself: a hint.
    pub announced: Option<Announcement>,
}

type Seen = Result<Look<Located, String>, LocateError>;

impl Locator {
    /// Finds the end, or waits for it to appear, `wait` at most.
    ///
    /// # Errors
    /// See [`LocateError`]. At worst a hostile process of this user takes the connection and the time
    /// of the handshake; one of another user is not listened to.
    pub async fn locate(&self, wait: Duration) -> Result<Located, LocateError> {
        let until = Instant::now() + wait;
        let seen = match self {
            Self::Rendezvous { name } => rendezvous(name, until).await?,
            Self::Socket { path } => socket(path, until).await?,
            Self::Activate { argv, name } => match rendezvous(name, Instant::now()).await? {
                Look::NotYet(_) => {
                    launch(argv).await?;
                    rendezvous(name, until).await?
                }
                found @ Look::Found(_) => found,
            },
            Self::Command { argv } => socket(&ask(argv, until).await?, until).await?,
        };
        match seen {
            Look::Found(located) => Ok(located),
            Look::NotYet(why) => Err(LocateError::NotThere { why, waited: wait }),
        }
    }
}

async fn rendezvous(name: &EndName, until: Instant) -> Seen {
    let ends = Ends::open().map_err(not_ours)?;
    appear(ends.folder(), until, || announced(&ends, name, until)).await
}

async fn announced(ends: &Ends, name: &EndName, until: Instant) -> Seen {
    let Some(said) = ends.announced(name).map_err(not_ours)? else {
        let folder = ends.folder().display();
        return Ok(Look::NotYet(format!("no end called {name} has announced itself in {folder}")));
    };
    if !ends.is_held(name).map_err(not_ours)? {
        ends.clean(name)?;
        let text =
            format!("the end called {name} (process {}) has ended; what it left was removed", said.pid);
        return Ok(Look::NotYet(text));
    }
    let seen = connect(Path::new(&said.endpoint), until).await?;
    Ok(match seen {
        Look::Found(located) => Look::Found(Located { announced: Some(said), ..located }),
        not_yet @ Look::NotYet(_) => not_yet,
    })
}

async fn socket(path: &Path, until: Instant) -> Seen {
    let folder = path.parent().unwrap_or(Path::new("/"));
    appear(folder, until, || connect(path, until)).await
}

/// Connects, and asks the kernel who is there.
async fn connect(path: &Path, until: Instant) -> Seen {
    match check_socket(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Look::NotYet(error.to_string())),
        checked => checked.map_err(not_ours)?,
    }
    // A moment at least: the end may have been found in the last one.
    let until = until.max(Instant::now() + Duration::from_secs(1));
    let stream = match timeout_at(until, UnixStream::connect(path)).await {
        Ok(Ok(stream)) => stream.into_std()?,
        Ok(Err(error)) => return Ok(Look::NotYet(format!("nobody listens at {}: {error}", path.display()))),
        Err(_) => return Ok(Look::NotYet(format!("{}: too many wait there already", path.display()))),
    };
    let peer = same_user(&stream).map_err(not_ours)?;
    Ok(Look::Found(Located { socket: stream.into(), peer, announced: None }))
}

fn not_ours(error: io::Error) -> LocateError {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidData => LocateError::NotOurs(error),
        _ => LocateError::Io(error),
    }
}
