//! What an engine and a broker in a process of its own say to each other: one request, one answer, and
//! perhaps a goodbye. JSON, as what the sandbox's processes say.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use outrigger_protocol::Announcement;
use outrigger_sandbox::{
    Connection, Deadlines, Descriptor, ExecError, Exit, Failure, Guarantee, HandoverNote, Helper, Launch,
    LaunchError, Policy, Program, Protected, Standing, Token,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::locate::Locator;
use crate::locate_error::LocateError;

/// Both sides must be of one version: what they say may change with any release, and so may what the
/// keeper of a plugin says to whom it is handed.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The one request of a connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) version: String,
    pub(crate) wish: Wish,
}

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Wish {
    /// Start a plugin. With it come its end of the connection, unless it dials, and the locks.
    Start(Box<Start>),
    /// Find an end.
    Find { locator: Locator, wait: Duration },
}

/// A [`Launch`] without its descriptors. Paths keep their bytes even where they are not UTF-8.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    program: Program,
    /// Where it dials, and its one-time token.
    dials: Option<(OsString, String)>,
    environment: Vec<(OsString, OsString)>,
    policy: Policy,
    protected: Vec<Protected>,
    deadlines: Deadlines,
    helper: Helper,
}

/// What the broker says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It runs. With it come the descriptors of a [`outrigger_sandbox::Handover`].
    Started(HandoverNote),
    /// The policy requires what the machine does not give.
    NotEnforced(Vec<(Guarantee, Standing)>),
    /// A step of the start failed, or its process was killed at it.
    Failed(Failure),
    /// The program cannot be executed.
    NotExecuted(ExecError),
    /// It was found. With it comes the connected socket.
    Found(Option<Announcement>),
    /// It was not found.
    NotFound(NotFound),
    /// Not done, and why.
    Refused(String),
    /// The broker is about to end, and what it has started with it.
    Goodbye,
}

/// [`LocateError`] as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum NotFound {
    NotThere(String, Duration),
    NotOurs(String),
    Command(OsString, String),
    Io(String),
}

impl Wish {
    /// The bytes of the request.
    pub(crate) fn into_bytes(self) -> io::Result<Vec<u8>> {
        let request = Request { version: VERSION.to_owned(), wish: self };
        Ok(serde_json::to_vec(&request)?)
    }

    /// Reads a request.
    ///
    /// # Errors
    /// It is of another version, or makes no sense; the text is for the one who asked.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            version: String,
        }
        let text = |error: serde_json::Error| format!("the request cannot be read: {error}");
        let Version { version } = serde_json::from_slice(bytes).map_err(text)?;
        if version != VERSION {
            return Err(format!(
                "it is of version {VERSION}, and who asks of version {version}: start it again"
            ));
        }
        serde_json::from_slice(bytes).map(|request: Request| request.wish).map_err(text)
    }
}

impl Start {
    /// Takes a launch apart.
    pub(crate) fn of(plan: Launch) -> (Self, Vec<Descriptor>) {
        let (dials, own) = match plan.connection {
            Connection::Inherited(end) => (None, Some(end)),
            Connection::Named { endpoint, token } => {
                (Some((endpoint.into(), token.reveal().to_owned())), None)
            }
        };
        let start = Self {
            program: plan.program,
            dials,
            environment: plan.environment,
            policy: plan.policy,
            protected: plan.protected,
            deadlines: plan.deadlines,
            helper: plan.helper,
        };
        (start, own.into_iter().chain(plan.locks).collect())
    }

    /// Puts it together again; `None`: the plugin's end of the connection is missing.
    pub(crate) fn plan(self, descriptors: Vec<Descriptor>) -> Option<Launch> {
        let mut locks = descriptors.into_iter();
        let connection = match self.dials {
            None => Connection::Inherited(locks.next()?),
            Some((endpoint, token)) => {
                Connection::Named { endpoint: endpoint.into(), token: Token::new(token) }
            }
        };
        Some(Launch {
            program: self.program,
            connection,
            environment: self.environment,
            locks: locks.collect(),
            policy: self.policy,
            protected: self.protected,
            deadlines: self.deadlines,
            helper: self.helper,
        })
    }
}

impl Answer {
    pub(crate) fn into_bytes(self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(&self)?)
    }

    pub(crate) fn read(bytes: &[u8]) -> io::Result<Self> {
        read(bytes)
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(bytes)?)
}

impl From<LaunchError> for Answer {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::NotEnforced { missing } => Self::NotEnforced(missing),
            LaunchError::Failed(failure) => Self::Failed(failure),
            LaunchError::Exec(error) => Self::NotExecuted(error),
            LaunchError::HelperEnded { step, exit: Some(exit @ Exit::Signal(_)), .. } => {
                Self::Failed(Failure::ended(step, exit))
            }
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<LocateError> for NotFound {
    fn from(error: LocateError) -> Self {
        match error {
            LocateError::NotThere { why, waited } => Self::NotThere(why, waited),
            LocateError::NotOurs(error) => Self::NotOurs(error.to_string()),
            LocateError::Command { program, why } => Self::Command(program, why),
            LocateError::Io(error) => Self::Io(error.to_string()),
        }
    }
}

impl From<NotFound> for LocateError {
    fn from(error: NotFound) -> Self {
        match error {
            NotFound::NotThere(why, waited) => Self::NotThere { why, waited },
            NotFound::NotOurs(why) => Self::NotOurs(io::Error::new(io::ErrorKind::PermissionDenied, why)),
            NotFound::Command(program, why) => Self::Command { program, why },
            NotFound::Io(why) => Self::Io(io::Error::other(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStringExt as _;
    use std::path::PathBuf;

    use super::*;

    fn pipe() -> OwnedFd {
        io::pipe().unwrap().0.into()
    }

    fn launch(connection: Connection) -> Launch {
        let odd = OsString::from_vec(vec![b'/', 0xff]);
        Launch {
            program: Program::Executable { path: PathBuf::from(&odd), args: vec![odd.clone()] },
            connection,
            environment: vec![("LANG".into(), odd.clone())],
            locks: vec![pipe(), pipe()],
            policy: Policy { read: vec!["/srv".into()], memory: Some(7), ..Policy::default() },
            protected: vec![Protected::new("the state directory", &odd)],
            deadlines: Deadlines { report: Duration::from_millis(5), start: Duration::from_secs(6) },
            helper: Helper::Executable(PathBuf::from(&odd)),
        }
    }

    fn travel(plan: Launch) -> (Option<Launch>, usize) {
        let (start, descriptors) = Start::of(plan);
        let count = descriptors.len();
        let bytes = Wish::Start(Box::new(start)).into_bytes().unwrap();
        let Ok(Wish::Start(start)) = Wish::read(&bytes) else { panic!("it is no start") };
        (start.plan(descriptors), count)
    }

    #[test]
    fn a_launch_arrives_as_it_was_sent() {
        let (arrived, count) = travel(launch(Connection::Inherited(pipe())));
        let (sent, arrived) = (launch(Connection::Inherited(pipe())), arrived.unwrap());
        assert_eq!((count, arrived.locks.len()), (3, 2));
        assert_eq!((arrived.program, arrived.environment), (sent.program, sent.environment));
        assert_eq!((arrived.policy, arrived.protected), (sent.policy, sent.protected));
        assert_eq!((arrived.deadlines, arrived.helper), (sent.deadlines, sent.helper));
        let named = Connection::Named { endpoint: "/run/s".into(), token: Token::new("secret") };
        let (arrived, count) = travel(launch(named));
        let Connection::Named { endpoint, token } = arrived.unwrap().connection else { panic!("inherited") };
        assert_eq!((endpoint, token.reveal(), count), ("/run/s".into(), "secret", 2));
    }

    #[test]
    fn a_start_without_its_connection_is_none() {
        let (start, _) = Start::of(launch(Connection::Inherited(pipe())));
        assert!(start.plan(Vec::new()).is_none());
    }

    #[test]
    fn another_version_is_told_so_whatever_else_it_says() {
        let refused = Wish::read(br#"{"version": "0.0.1", "wish": {"Fly": "me"}}"#).unwrap_err();
        assert!(refused.contains("0.0.1") && refused.contains("start it again"), "{refused}");
        assert!(Wish::read(b"hello").unwrap_err().contains("cannot be read"));
        let odd = format!(r#"{{"version": "{VERSION}", "wish": {{"Fly": "me"}}}}"#);
        assert!(Wish::read(odd.as_bytes()).unwrap_err().contains("cannot be read"));
    }
}
