//! An end that is found instead of started: a program that runs anyway, and waits for brokers.
//!
//! Brokers are served one at a time, on the thread that calls [`End::serve`]. So what an old
//! connection asked for is finished before the next one is READY (decisions X3): two engines never
//! write at the same time, and none after it has been replaced.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use outrigger_protocol::{EndName, Handshake, HandshakeError, Secret, SessionId, proof_delay};
use outrigger_transport::{Carrier, LinkError, Presence, Stop, nonce, read_secret, write_private};

use crate::plugin::Plugin;
use crate::serve::{attend, meet, say};
use crate::server::Plugins;

/// A program that has announced itself, and can be found by brokers of the same user.
///
/// ```no_run
/// # use outrigger_plugin_sdk::{End, Plugin};
/// # fn f<P: Plugin>(make: impl FnMut() -> P + Send + 'static) -> std::io::Result<()> {
/// let mut end = End::announce("notes-default", "/home/ana/.notes".as_ref())?;
/// let (code, stop) = (end.code(), end.stopper()); // show the code where the user approves it
/// let serving = std::thread::spawn(move || end.serve(make));
/// // … the program's own life …
/// stop.stop();
/// # drop((code, serving));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct End {
    presence: Presence,
    secret: Secret,
    stop: Stop,
    /// Wrong proofs in a row.
    failed: u32,
}

impl End {
    /// Takes the name, listens in the runtime directory, and announces itself there. The secret
    /// lies in `profile`, in `outrigger-NAME.key` with mode 0600; the first time it is made. The user
    /// approves it once: `outrigger peers approve NAME`, after a look at [`End::code`].
    ///
    /// Names are of letters, digits, `-` and `_`, at most 30.
    ///
    /// # Errors
    /// `AddrInUse`: another end that lives has the name; says which. `PermissionDenied`: the runtime
    /// directory, or the secret, is not this user's alone. `InvalidInput`: the name cannot be one, or
    /// the socket's path would be too long.
    pub fn announce(name: &str, profile: &Path) -> io::Result<Self> {
        let name = end_name(name)?;
        let secret = own_secret(&profile.join(format!("outrigger-{name}.key")))?;
        Self::take(name, secret)
    }

    /// The same with a secret that the program keeps itself: 256 random bits.
    ///
    /// # Errors
    /// As [`End::announce`].
    pub fn announce_with(name: &str, secret: Secret) -> io::Result<Self> {
        Self::take(end_name(name)?, secret)
    }

    fn take(name: EndName, secret: Secret) -> io::Result<Self> {
        let presence = Presence::take(name, secret.clone(), &software())?;
        Ok(Self { presence, secret, stop: Stop::new()?, failed: 0 })
    }

    /// What the user compares before approving: `4F7K-9QX2-M0TR`. It tells nothing of the secret.
    #[must_use]
    pub fn code(&self) -> String {
        self.presence.announcement().fingerprint.code()
    }

    /// Ends [`End::serve`] from any thread, in the middle of a call too: its broker then sees that the
    /// connection broke.
    #[must_use]
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// Serves one broker after the other, until told to stop; each gets a connector of its own. A
    /// broker that goes, or breaks the connection, ends nothing here.
    ///
    /// # Errors
    /// What was removed from the runtime directory cannot be put back: another end has taken the
    /// name, say.
    pub fn serve<P: Plugin>(&mut self, make: impl FnMut() -> P + 'static) -> io::Result<()> {
        self.serve_many(1, make)
    }

    /// As [`End::serve`], for up to `most` instances of a broker.
    ///
    /// # Errors
    /// As [`End::serve`].
    pub fn serve_many<P: Plugin>(&mut self, most: u32, make: impl FnMut() -> P + 'static) -> io::Result<()> {
        let make = Rc::new(RefCell::new(make));
        while let Some(carrier) = self.next()? {
            let make = Rc::clone(&make);
            let plugins = Plugins::Made(Box::new(move || make.borrow_mut()()));
            let served = self.serve_one(plugins, most, carrier);
            self.stop.let_go();
            match served {
                // A broker that does not know us yet, or would not wait; or we broke it ourselves.
                Ok(()) | Err(LinkError::Closed { mid_frame: false }) => {}
                Err(LinkError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(_) if self.stop.is_stopped() => {}
                Err(error) => say(&format!("a broker's connection ended: {error}")),
            }
        }
        Ok(())
    }

    /// The next connection. After many wrong proofs, the next has to wait.
    fn next(&mut self) -> io::Result<Option<Box<dyn Carrier>>> {
        if self.stop.wait(proof_delay(self.failed)) {
            return Ok(None);
        }
        let carrier = self.presence.accept(&self.stop)?;
        Ok(carrier.map(|carrier| Box::new(carrier) as Box<dyn Carrier>))
    }

    fn serve_one<P: Plugin>(
        &mut self,
        plugins: Plugins<P>,
        most: u32,
        carrier: Box<dyn Carrier>,
    ) -> Result<(), LinkError> {
        let session = session()?;
        let secret = Some(self.secret.clone());
        let met = meet(most, carrier, |hello| Handshake::listen(hello, secret, session));
        match &met {
            Ok(_) => {
                self.failed = 0;
                self.presence.stop_offering();
            }
            Err(LinkError::Handshake(HandshakeError::Proof)) => self.failed = self.failed.saturating_add(1),
            Err(_) => {}
        }
        attend(plugins, most, met?)
    }
}

fn end_name(name: &str) -> io::Result<EndName> {
    EndName::new(name).ok_or_else(|| {
        let text = format!("{name:?} cannot be the name of an end: letters, digits, - and _, at most 30");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })
}

/// The secret in `path`, which is made if it is not there.
fn own_secret(path: &Path) -> io::Result<Secret> {
    match read_secret(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let fresh = Secret(nonce().map_err(io::Error::other)?);
            write_private(path, format!("{}\n", fresh.to_hex()).as_bytes())?;
            Ok(fresh)
        }
        known => known,
    }
}

fn session() -> Result<SessionId, LinkError> {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(nonce()?).for_each(|(byte, random)| *byte = random);
    Ok(SessionId(uuid::Builder::from_random_bytes(bytes).into_uuid()))
}

/// This program, for people.
fn software() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    format!("{} (outrigger-plugin-sdk {})", name.unwrap_or_default(), env!("CARGO_PKG_VERSION"))
}
