//! A plugin process: started through the sandbox launcher as the broker starts it, its outputs
//! read, its end watched.

use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use outrigger_protocol::Printable;
use outrigger_sandbox::{Child, Connection, Deadlines, Descriptor, Ended, Launch, launch};

use crate::settings::{Settings, Subject};

/// What a connection would be where plugins could be started.
#[cfg(not(unix))]
pub(crate) use std::net::TcpStream as Stream;
#[cfg(unix)]
pub(crate) use std::os::unix::net::UnixStream as Stream;

/// Bytes kept of each output: enough for any honest log of a check.
const KEPT: usize = 256 << 10;

/// How long an output may stay open once the process has ended.
const DRAIN: Duration = Duration::from_secs(1);

/// Why a check could not even begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KitError {
    /// The process could not be started.
    #[error("the plugin could not be started")]
    Launch(#[from] outrigger_sandbox::LaunchError),
    /// Something else of the machine failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A running plugin.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
}

impl Process {
    /// Starts it, and gives our end of its connection.
    pub(crate) fn start(subject: &Subject, settings: &Settings) -> Result<(Self, Stream), KitError> {
        let (theirs, ours) = pair()?;
        let mut child = launch(Launch {
            program: subject.program.clone(),
            connection: theirs,
            environment: subject.environment.clone(),
            locks: Vec::new(),
            policy: subject.policy.clone(),
            protected: subject.protected.clone(),
            deadlines: Deadlines { report: settings.handshake, start: settings.handshake },
            helper: subject.helper.clone(),
        })?;
        let stdout = Output::read(child.take_stdout(), Keep::First);
        let stderr = Output::read(child.take_stderr(), Keep::Last);
        Ok((Self { child, stdout, stderr }, ours))
    }

    /// How it ended, within a time.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<Ended> {
        self.child.wait(limit).ok().flatten()
    }

    /// The most memory that it has had so far, in bytes.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        self.child.peak_rss()
    }

    /// Ends it and what it started; gives what it printed on standard output.
    pub(crate) fn end(mut self, limit: Duration) -> Vec<u8> {
        self.child.kill();
        let _ended = self.child.wait(limit);
        let _gone = self.child.wait_gone(limit);
        self.stdout.take()
    }

    /// The last line that it printed on standard error; all of it, if the process has ended.
    pub(crate) fn last_words(&self, ended: bool) -> Option<String> {
        last_line(&if ended { self.stderr.take() } else { self.stderr.now() })
    }
}

/// The last line, as text that cannot draw on a terminal.
fn last_line(printed: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(printed);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(Printable(line).to_string())
}

#[cfg(unix)]
fn pair() -> io::Result<(Connection, Stream)> {
    let (theirs, ours) = Stream::pair()?;
    Ok((Connection::Inherited(theirs.into()), ours))
}

#[cfg(not(unix))]
fn pair() -> io::Result<(Connection, Stream)> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "plugins can be started on Unix only"))
}

#[derive(Debug, Clone, Copy)]
enum Keep {
    First,
    Last,
}

/// One output of a process, read in the background so that it never blocks the plugin.
#[derive(Debug)]
struct Output {
    kept: Arc<Mutex<Vec<u8>>>,
    ended: mpsc::Receiver<()>,
}

impl Output {
    fn read(from: Option<Descriptor>, keep: Keep) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (tell, ended) = mpsc::channel();
        if let Some(from) = from {
            let kept = Arc::clone(&kept);
            thread::spawn(move || {
                drain(File::from(from), keep, &kept);
                let _nobody_waits = tell.send(());
            });
        }
        Self { kept, ended }
    }

    fn now(&self) -> Vec<u8> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything, once the process has ended.
    fn take(&self) -> Vec<u8> {
        let _ended_or_late = self.ended.recv_timeout(DRAIN);
        self.now()
    }
}

fn drain(mut from: File, keep: Keep, kept: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = match keep {
            Keep::First => KEPT - kept.len(),
            Keep::Last => {
                let over = (kept.len() + count).saturating_sub(KEPT);
                kept.drain(..over);
                count
            }
        };
        kept.extend(chunk.iter().take(count.min(room)));
    }
}
