//! A broker as a process of its own: starts and finds plugins for whichever engines of this user ask.
//!
//! Each connection asks for one plugin. It is started here, under this process, and handed to the
//! engine whole; what stays is to take away its keeper when that has ended, and to say goodbye. A
//! plugin ends with its engine and with this process, whichever goes first: its keeper watches both.

use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::Duration;

use outrigger_protocol::Announcement;
use outrigger_sandbox::{Descriptor, Handover, Launch, Lent, launch};
use outrigger_transport::{Held, PacketListener, Packets, runtime_dir, watch_descriptor};
use tokio::io::Interest;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::attach::SOCKET;
use crate::attach_words::{Answer, Wish};
use crate::locate::{Located, Locator};
use crate::watch::WAY_OUT;

/// Held as long as a broker of this user runs.
const LOCK: &str = "broker.lock";

/// How long a connection may take to say what it wants.
const FIRST_WORD: Duration = Duration::from_secs(10);

/// How long to wait where the system takes no more connections.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a broker cannot be one.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Another one of this user runs.
    #[error("a broker of this user runs already{}", process(.holder))]
    Held {
        /// Its process, if it said so.
        holder: Option<u32>,
    },
    /// The runtime directory cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn process(holder: &Option<u32>) -> String {
    holder.map_or_else(String::new, |pid| format!(": process {pid}"))
}

/// A broker that waits for engines. What it left in the runtime directory goes with it.
#[derive(Debug)]
pub struct Service {
    listener: PacketListener,
    place: Place,
}

/// The place of this user's broker in the runtime directory, held and left again.
#[derive(Debug)]
struct Place {
    folder: PathBuf,
    lock: Held,
    /// It cannot be put back what somebody removed: said once.
    lost: bool,
}

impl Service {
    /// Takes the place of this user's broker. Call it within a runtime.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn take() -> Result<Self, ServiceError> {
        let folder = runtime_dir()?;
        let Some(lock) = Held::take(&folder.join(LOCK))? else {
            let holder = Packets::connect(&folder.join(SOCKET)).await.ok().map(|(_, peer)| peer.pid);
            return Err(ServiceError::Held { holder });
        };
        let listener = PacketListener::bind_anew(&folder.join(SOCKET))?; // instead of a dead one's
        Ok(Self { listener, place: Place { folder, lock, lost: false } })
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.place.folder.join(SOCKET)
    }

    /// Serves until `stop`; then says goodbye to all engines, and waits until their plugins have
    /// ended, ten seconds at most. Puts its socket and its lock back when somebody removes them, unless
    /// another broker was first: then it serves the engines that it has. At worst a hostile process of
    /// this user has programs started, which it can do itself; it does not hold up others.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self { mut listener, mut place } = self;
        let mut repair = interval(Held::REPAIR);
        repair.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (tell, stopping) = watch::channel(false);
        let mut engines = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => match accepted {
                    Ok((packets, peer)) => {
                        tracing::debug!(pid = peer.pid, "an engine asks");
                        drop(engines.spawn(serve(packets, stopping.clone())));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no more engines can be served for a moment");
                        if timeout(PAUSE, &mut stop).await.is_ok() {
                            break;
                        }
                    }
                },
                Some(_) = engines.join_next() => {}
                _ = repair.tick() => if let Some(anew) = place.repair() {
                    listener = anew;
                }
            }
        }
        drop(listener); // nobody new is let in
        tell.send_replace(true);
        let all = async { while engines.join_next().await.is_some() {} };
        let _ended_with_this_process = timeout(WAY_OUT, all).await;
        drop(place);
    }
}

impl Place {
    /// Puts back what somebody removed. A listener: the old one can no longer be reached.
    fn repair(&mut self) -> Option<PacketListener> {
        let repaired = self.put_back();
        let was_lost = std::mem::replace(&mut self.lost, repaired.is_err());
        if let Err(error) = &repaired
            && !was_lost
        {
            tracing::warn!(%error, "no new engine reaches this broker; what runs goes on");
        }
        repaired.ok().flatten()
    }

    fn put_back(&mut self) -> io::Result<Option<PacketListener>> {
        self.folder = runtime_dir()?;
        let (undisturbed, socket) = (self.lock.is_still(), self.folder.join(SOCKET));
        if !self.lock.keep()? {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another broker has taken its place"));
        }
        if undisturbed && socket.symlink_metadata().is_ok() {
            return Ok(None);
        }
        PacketListener::bind_anew(&socket).map(Some)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = self.lock.leave(&self.folder.join(SOCKET)) {
            tracing::warn!(%error, "what is left in the runtime directory cannot be removed");
        }
    }
}

/// One connection, to its end.
async fn serve(packets: Packets, stopping: watch::Receiver<bool>) {
    let Ok(Ok(Some((bytes, descriptors)))) = timeout(FIRST_WORD, packets.receive()).await else { return };
    match Wish::read(&bytes) {
        Ok(Wish::Start(start)) => match start.plan(descriptors) {
            Some(plan) => host(&packets, plan, stopping).await,
            None => say(&packets, Answer::Refused("the plugin's connection is missing".to_owned())).await,
        },
        Ok(Wish::Find { locator, wait }) => find(&packets, &locator, wait).await,
        Err(why) => say(&packets, Answer::Refused(why)).await,
    }
}

/// Starts a plugin, hands it over, and stays until it has gone.
async fn host(packets: &Packets, plan: Launch, mut stopping: watch::Receiver<bool>) {
    let started = tokio::task::spawn_blocking(move || start(plan)).await;
    let (Handover { note, descriptors }, lent) = match started {
        Ok(Ok(started)) => started,
        Ok(Err(answer)) => return say(packets, *answer).await,
        Err(panic) => return say(packets, Answer::Refused(panic.to_string())).await,
    };
    say_with(packets, Answer::Started(note), &descriptors).await;
    drop(descriptors); // from here on the plugin ends when the engine closes its own
    let Ok(gone) = watch_descriptor(lent, Interest::READABLE) else { return };
    tokio::select! {
        _ = gone.readable() => {}
        () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => {
            say(packets, Answer::Goodbye).await;
            drop(gone.readable().await);
        }
    }
    if let Err(error) = gone.into_inner().reap() {
        tracing::warn!(%error, "a keeper cannot be taken away");
    }
}

fn start(plan: Launch) -> Result<(Handover, Lent), Box<Answer>> {
    let child = launch(plan).map_err(|error| Box::new(error.into()))?;
    child.hand_over().map_err(|error| Box::new(Answer::Refused(error.to_string())))
}

/// Finds an end, and hands the connection over; an engine that goes meanwhile ends the search.
async fn find(packets: &Packets, locator: &Locator, wait: Duration) {
    tokio::select! {
        found = locator.locate(wait) => match found {
            Ok(Located { socket, announced, .. }) => found_it(packets, announced, socket).await,
            Err(error) => say(packets, Answer::NotFound(error.into())).await,
        },
        _ = packets.receive() => {}
    }
}

async fn found_it(packets: &Packets, announced: Option<Announcement>, socket: Descriptor) {
    say_with(packets, Answer::Found(announced), &[socket]).await;
}

async fn say(packets: &Packets, answer: Answer) {
    say_with(packets, answer, &[]).await;
}

/// An engine that cannot hear has gone.
async fn say_with(packets: &Packets, answer: Answer, descriptors: &[Descriptor]) {
    let descriptors: Vec<_> = descriptors.iter().map(|descriptor| descriptor.as_fd()).collect();
    let said = async { packets.send(&answer.into_bytes()?, &descriptors).await };
    if let Err(error) = said.await {
        tracing::debug!(%error, "an engine was not told");
    }
}
