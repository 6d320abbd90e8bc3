//! The engine's side of a broker in a process of its own: it asks for a plugin, and is handed it.
//!
//! What comes is all that a process has that started the plugin itself: so from here on nothing is
//! different, and no byte of a call goes through the broker.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use outrigger_sandbox::{Child, Handover, Launch, LaunchError, Protected};
use outrigger_transport::{Packets, runtime_path, same_user};
use tokio::time::timeout;

use crate::attach_words::{Answer, Start, Wish};
use crate::locate::{Located, Locator};
use crate::locate_error::LocateError;

/// How long the broker may take beyond what it was asked for.
const SLACK: Duration = Duration::from_secs(5);

/// Why a broker in a process of its own did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// No broker of this user runs.
    #[error("no broker runs: {}", placed(path, error))]
    NotThere {
        /// Where it would listen.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// What lies there, or who listens there, is another user's: nothing was sent.
    #[error("what lies where the broker should listen is not ours: {0}")]
    NotOurs(io::Error),
    /// It would not, and said why.
    #[error("the broker refused: {0}")]
    Refused(String),
    /// The plugin was not started, for the same reason as without a broker.
    #[error(transparent)]
    Launch(LaunchError),
    /// It did not answer, or its answer makes no sense.
    #[error("the broker did not answer: {0}")]
    Io(io::Error),
}

/// What the system said of a path; what we said of it names it already.
fn placed(path: &Path, error: &io::Error) -> String {
    if error.raw_os_error().is_some() { format!("{}: {error}", path.display()) } else { error.to_string() }
}

/// The connection to the broker that started a plugin, kept as long as that is used.
#[derive(Debug)]
pub(crate) struct Attachment(Packets);

impl Attachment {
    /// Waits until the broker says that it is about to end. When it just ends, its plugins do too, and
    /// that is to be noticed there.
    pub(crate) async fn goodbye(&self) {
        loop {
            match self.0.receive().await.map(|received| received.map(|(bytes, _)| Answer::read(&bytes))) {
                Ok(Some(Ok(Answer::Goodbye))) => return,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    }

    /// Whether the broker has ended.
    pub(crate) async fn is_lost(&self) -> bool {
        matches!(timeout(Duration::ZERO, self.0.receive()).await, Ok(Ok(None) | Err(_)))
    }
}

/// Has the broker start a plugin.
///
/// # Errors
/// See [`AttachError`]. What was started by then has been ended.
pub(crate) async fn launch(plan: Launch) -> Result<(Child, Attachment), AttachError> {
    // The broker protects its own executable; that of this process may be another one.
    plan.policy.check_writes(&Protected::program()).map_err(|error| AttachError::Launch(error.into()))?;
    let limit = plan.deadlines.report + plan.deadlines.start;
    let (start, descriptors) = Start::of(plan);
    let (packets, answer, descriptors) = ask(Wish::Start(Box::new(start)), descriptors, limit).await?;
    match answer {
        Answer::Started(note) => {
            let child = Child::adopt(Handover { note, descriptors }).map_err(AttachError::Io)?;
            Ok((child, Attachment(packets)))
        }
        other => Err(refused(other)),
    }
}

/// Has the broker of this user find an end, in place of [`Locator::locate`].
///
/// # Errors
/// The outer one: there is no broker, or it does not answer. The inner one: what it says, as
/// [`Locator::locate`] does.
pub async fn locate_by_broker(
    locator: &Locator,
    wait: Duration,
) -> Result<Result<Located, LocateError>, AttachError> {
    let (_, answer, descriptors) =
        ask(Wish::Find { locator: locator.clone(), wait }, Vec::new(), wait).await?;
    match (answer, <[OwnedFd; 1]>::try_from(descriptors)) {
        (Answer::Found(announced), Ok([socket])) => {
            // The broker asked the kernel; so does this side.
            let peer = same_user(&socket).map_err(AttachError::NotOurs)?;
            Ok(Ok(Located { socket, peer, announced }))
        }
        (Answer::NotFound(why), _) => Ok(Err(why.into())),
        (other, _) => Err(refused(other)),
    }
}

/// Asks, and waits for the answer, `limit` and a little more.
async fn ask(
    wish: Wish,
    descriptors: Vec<OwnedFd>,
    limit: Duration,
) -> Result<(Packets, Answer, Vec<OwnedFd>), AttachError> {
    let asked = async {
        let packets = connect().await?;
        let borrowed: Vec<_> = descriptors.iter().map(|descriptor| descriptor.as_fd()).collect();
        let bytes = wish.into_bytes().map_err(AttachError::Io)?;
        packets.send(&bytes, &borrowed).await.map_err(AttachError::Io)?;
        let answer = packets.receive().await.map_err(AttachError::Io)?;
        let (bytes, descriptors) = answer.ok_or_else(|| AttachError::Io(ended()))?;
        Ok((packets, Answer::read(&bytes).map_err(AttachError::Io)?, descriptors))
    };
    let late = |_| Err(AttachError::Io(io::ErrorKind::TimedOut.into()));
    timeout(limit + SLACK, asked).await.unwrap_or_else(late)
}

async fn connect() -> Result<Packets, AttachError> {
    let path = runtime_path().ok_or_else(|| AttachError::Io(io::ErrorKind::Unsupported.into()))?;
    let path = path.join(SOCKET);
    match Packets::connect(&path).await {
        Ok((packets, _)) => Ok(packets),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(AttachError::NotOurs(error)),
        Err(error) => Err(AttachError::NotThere { path, error }),
    }
}

/// Where it listens, in the runtime directory.
pub(crate) const SOCKET: &str = "broker.sock";

fn refused(answer: Answer) -> AttachError {
    match answer {
        Answer::Refused(why) => AttachError::Refused(why),
        Answer::NotEnforced(missing) => AttachError::Launch(LaunchError::NotEnforced { missing }),
        Answer::Failed(failure) => AttachError::Launch(failure.into()),
        Answer::NotExecuted(error) => AttachError::Launch(error.into()),
        Answer::Goodbye => AttachError::Io(ended()),
        _ => AttachError::Io(io::Error::new(io::ErrorKind::InvalidData, "it answered another question")),
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it has ended")
}

#[cfg(test)]
mod tests {
    use outrigger_sandbox::{ExecError, ExecFailure, Exit, Failure, Guarantee, Standing};

    use super::*;
    use crate::start::StartError;
    use crate::try_error::TryError;

    /// What a start ends with here that failed in a broker.
    fn travelled(error: LaunchError) -> LaunchError {
        let bytes = Answer::from(error).into_bytes().unwrap();
        match refused(Answer::read(&bytes).unwrap()) {
            AttachError::Launch(error) => error,
            other => panic!("it became another error: {other:?}"),
        }
    }

    #[test]
    fn why_a_plugin_was_not_started_is_the_same_error_through_a_broker() {
        let not_executed = || ExecError { path: "/x".into(), kind: ExecFailure::Missing, errno: 2 };
        let errors: [fn() -> LaunchError; 3] = [
            || Failure::ended("preparing the plugin", Exit::Signal(9)).into(),
            || Failure::system("making namespaces", &io::Error::from_raw_os_error(28)).into(),
            || LaunchError::NotEnforced { missing: vec![(Guarantee::FsRead, Standing::Enforced)] },
        ];
        for error in errors {
            assert_eq!(format!("{:?}", travelled(error())), format!("{:?}", error()));
        }
        assert!(
            matches!(travelled(not_executed().into()), LaunchError::Exec(error) if error == not_executed())
        );
    }

    #[test]
    fn one_that_is_killed_before_its_program_runs_has_crashed_through_a_broker_too() {
        let exit = Exit::Signal(9);
        let (step, status, path) =
            ("preparing the sandbox", "was killed".into(), "/usr/bin/outrigger".into());
        let helper = LaunchError::HelperEnded { step, status, exit: Some(exit), path };
        for killed in [Failure::ended("preparing the plugin", exit).into(), helper] {
            let error = Box::new(travelled(killed));
            let tried = TryError::from(StartError::Launch { name: "phone".into(), error });
            assert!(matches!(tried, TryError::Crashed(death) if death.exit == Some(exit)));
        }
    }
}
