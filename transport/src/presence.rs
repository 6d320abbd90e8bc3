//! An end's side: it takes a name, listens, announces itself, and waits for brokers.

use std::fs;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use outrigger_protocol::{Announcement, EndName, Fingerprint, Secret, VERSION};
use rustix::event::{PollFd, PollFlags, poll};

use crate::ends::Ends;
use crate::held::Held;
use crate::local::check_length;
use crate::peer::same_user;
use crate::private::write_private;
use crate::unix::{SocketCarrier, retry, timespec};

/// How long an end waits where the system takes no more connections.
const PAUSE: Duration = Duration::from_secs(1);

/// How often, and at what distance, a name is asked for before it is taken for held.
const MOMENTS: u32 = 20;
const MOMENT: Duration = Duration::from_millis(10);

/// What an end leaves in the runtime directory, for as long as it is there.
#[derive(Debug)]
pub struct Presence {
    ends: Ends,
    said: Announcement,
    secret: Secret,
    /// The secret waits to be fetched.
    offers: bool,
    lock: Held,
    listener: UnixListener,
    socket: PathBuf,
}

impl Presence {
    /// Takes the name and announces itself; what a dead end of that name left is replaced.
    ///
    /// # Errors
    /// `AddrInUse`: another end that lives holds the name, and which. `PermissionDenied`: the folder, or
    /// a file in it, is not one that only this user can use. `InvalidInput`: the socket's path would
    /// be too long.
    pub fn take(name: EndName, secret: Secret, software: &str) -> io::Result<Self> {
        Self::take_in(Ends::open()?, name, secret, software)
    }

    fn take_in(ends: Ends, name: EndName, secret: Secret, software: &str) -> io::Result<Self> {
        let lock = take(&ends, &name)?;
        ends.remove_all(&name)?;
        let socket = ends.file(&name, "sock");
        let listener = listen(&socket)?;
        let said = Announcement {
            name,
            endpoint: socket.to_string_lossy().into_owned(),
            pid: std::process::id(),
            software: software.to_owned(),
            protocols: vec![VERSION],
            fingerprint: Fingerprint::of(&secret),
        };
        let presence = Self { ends, said, secret, offers: true, lock, listener, socket };
        presence.announce()?;
        Ok(presence)
    }

    /// What it says of itself.
    #[must_use]
    pub const fn announcement(&self) -> &Announcement {
        &self.said
    }

    fn announce(&self) -> io::Result<()> {
        if self.offers {
            write_private(&self.ends.file(&self.said.name, "offer"), self.secret.to_hex().as_bytes())?;
        }
        // Last: whoever reads it finds all the rest.
        write_private(&self.ends.file(&self.said.name, "json"), &self.said.to_json())
    }

    /// A broker knows the secret: it need not lie about any longer.
    pub fn stop_offering(&mut self) {
        self.offers = false;
        let _was_perhaps_removed = fs::remove_file(self.ends.file(&self.said.name, "offer"));
    }

    /// Puts back what somebody removed: lock, socket, announcement.
    ///
    /// # Errors
    /// It cannot be put back; `AddrInUse`: another end holds the name by now.
    pub fn repair(&mut self) -> io::Result<()> {
        let runtime = self.ends.folder().parent().unwrap_or(Path::new("/"));
        self.ends = Ends::within(runtime)?;
        let name = self.said.name.clone();
        if !self.lock.is_still() {
            self.lock = take(&self.ends, &name)?;
        }
        let announced = self.ends.announced(&name).ok().flatten();
        if announced.as_ref() == Some(&self.said) && fs::symlink_metadata(&self.socket).is_ok() {
            return Ok(());
        }
        self.ends.remove_all(&name)?;
        self.listener = listen(&self.socket)?;
        self.announce()
    }

    /// Waits for the next broker, of the same user; others are let go unheard. `None`: told to stop.
    ///
    /// # Errors
    /// What was removed cannot be put back. `Unsupported`: this system does not say who a peer is.
    pub fn accept(&mut self, stop: &Stop) -> io::Result<Option<SocketCarrier>> {
        loop {
            match stop.wait_for(Some(&self.listener), Held::REPAIR)? {
                Woken::Stopped => return Ok(None),
                Woken::Never => self.repair()?,
                Woken::Peer => match self.next_peer() {
                    Ok(Some(stream)) => return stop.guard(stream),
                    Ok(None) => {}
                    // Of no descriptors, say: others may be given back.
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => return Err(error),
                    Err(_) if stop.wait(PAUSE) => return Ok(None),
                    Err(_) => {}
                },
            }
        }
    }

    /// The next peer, of the same user; `None`: it was another's, or has gone again.
    fn next_peer(&self) -> io::Result<Option<UnixStream>> {
        let stream = match self.listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            accepted => accepted?.0,
        };
        match same_user(&stream) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            peer => peer.map(|_| Some(stream)),
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // The lock is ours until after this, so nothing of another's is removed.
        if self.lock.is_still() {
            let _nobody_is_told = self.ends.remove_all(&self.said.name);
        }
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    check_length(path)?;
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?; // its folder keeps others out before
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Takes the lock of a name. A broker that looks whether somebody holds it holds it for that moment.
fn take(ends: &Ends, name: &EndName) -> io::Result<Held> {
    for _ in 0..MOMENTS {
        if let Some(lock) = ends.take(name)? {
            return Ok(lock);
        }
        std::thread::sleep(MOMENT);
    }
    Err(in_use(ends, name))
}

fn in_use(ends: &Ends, name: &EndName) -> io::Error {
    let holder = ends.announced(name).ok().flatten();
    let holder = holder.map_or_else(String::new, |end| format!(": process {}, {:?}", end.pid, end.software));
    io::Error::new(io::ErrorKind::AddrInUse, format!("another end holds the name {name}{holder}"))
}

/// What ended a wait.
#[derive(Debug, PartialEq, Eq)]
enum Woken {
    Stopped,
    Peer,
    /// Nothing, for as long as it may take.
    Never,
}

/// Ends an end's waiting, and the connection that it serves, from any thread. Clones are the same.
#[derive(Debug, Clone)]
pub struct Stop(Arc<StopInner>);

#[derive(Debug)]
struct StopInner {
    tell: UnixStream,
    told: UnixStream,
    /// The connection that is served, to be broken.
    served: Mutex<Option<OwnedFd>>,
}

impl Stop {
    /// Not told to stop yet.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let (tell, told) = UnixStream::pair()?;
        Ok(Self(Arc::new(StopInner { tell, told, served: Mutex::new(None) })))
    }

    /// Tells it. For good.
    pub fn stop(&self) {
        let _is_never_closed = self.0.tell.shutdown(Shutdown::Write);
        if let Some(served) = &*self.0.served.lock().unwrap_or_else(PoisonError::into_inner) {
            let _has_ended = rustix::net::shutdown(served, rustix::net::Shutdown::Both);
        }
    }

    /// Whether it was told.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits for so long, or until it is told; returns whether it was.
    #[must_use]
    pub fn wait(&self, limit: Duration) -> bool {
        !matches!(self.wait_for(None, limit), Ok(Woken::Never))
    }

    fn wait_for(&self, listener: Option<&UnixListener>, limit: Duration) -> io::Result<Woken> {
        let until = Instant::now() + limit;
        let mut set = vec![PollFd::new(&self.0.told, PollFlags::IN)];
        set.extend(listener.map(|listener| PollFd::new(listener, PollFlags::IN)));
        retry(|| poll(&mut set, Some(&timespec(until.saturating_duration_since(Instant::now())))))?;
        let woken = |at: usize| set.get(at).is_some_and(|fd| !fd.revents().is_empty());
        Ok(if woken(0) {
            Woken::Stopped
        } else if woken(1) {
            Woken::Peer
        } else {
            Woken::Never
        })
    }

    /// A connection that breaks when it is told. `None`: it was told already.
    fn guard(&self, stream: UnixStream) -> io::Result<Option<SocketCarrier>> {
        stream.set_nonblocking(false)?;
        let copy = stream.as_fd().try_clone_to_owned()?;
        *self.0.served.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        Ok((!self.is_stopped()).then(|| SocketCarrier::new(stream.into())))
    }

    /// The connection has ended: its other side is to see that.
    pub fn let_go(&self) {
        *self.0.served.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests;
