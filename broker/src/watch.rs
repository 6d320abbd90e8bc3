//! Watches a child process without waiting for it: its end, and its log to the end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use outrigger_sandbox::{Child, Descriptor, Ended};

use crate::log::{Output, PluginLog};

/// Grace for a cancelled call, for a goodbye, for a signal: each rung of the way out.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// What can be done with a process that has lost its connection, one after the other.
const RUNGS: [Rung; 3] = [Rung::Wait, Rung::Terminate, Rung::Kill];

/// The longest that a process may take to its end once its connection is lost: each rung, the one
/// without the keeper, and the last of its output.
pub(crate) const WAY_OUT: Duration = Duration::from_secs(GRACE.as_secs() * (RUNGS.len() as u64 + 3));

/// How long the log may still be read once the process has ended: something it started may hold
/// its output open for ever.
const DRAIN: Duration = Duration::from_millis(200);

/// Reads both outputs in the background until they end.
pub(crate) fn read_output(child: &mut Child, log: &Arc<PluginLog>) -> tokio::task::JoinSet<()> {
    let mut readers = tokio::task::JoinSet::new();
    let outputs = [(child.take_stdout(), Output::Stdout), (child.take_stderr(), Output::Stderr)];
    for (from, output) in outputs {
        let Some(from) = from else { continue };
        match reader(from) {
            Ok(from) => {
                let log = Arc::clone(log);
                readers.spawn(async move { log.drain(from, output).await });
            }
            Err(error) => tracing::warn!(%error, "the output of a plugin cannot be read"),
        }
    }
    readers
}

#[cfg(unix)]
fn reader(output: Descriptor) -> io::Result<tokio::net::unix::pipe::Receiver> {
    tokio::net::unix::pipe::Receiver::from_owned_fd(output)
}

#[cfg(not(unix))]
fn reader(_output: Descriptor) -> io::Result<tokio::io::Empty> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Reads what is left of the outputs, for a moment.
pub(crate) async fn finish_output(mut readers: tokio::task::JoinSet<()>) {
    let all = async { while readers.join_next().await.is_some() {} };
    let _held_open_by_others = tokio::time::timeout(DRAIN, all).await;
}

/// A child process as the runtime sees it.
#[cfg(unix)]
pub(crate) struct Watch {
    child: Child,
    /// A duplicate of its control socket, for the runtime to tell when there is news.
    news: tokio::net::UnixStream,
}

#[cfg(unix)]
impl Watch {
    pub(crate) fn new(child: Child) -> io::Result<Self> {
        use std::os::fd::AsFd as _;
        let news = std::os::unix::net::UnixStream::from(child.as_fd().try_clone_to_owned()?);
        news.set_nonblocking(true)?;
        let news = tokio::net::UnixStream::from_std(news)?;
        Ok(Self { child, news })
    }

    pub(crate) const fn child(&self) -> &Child {
        &self.child
    }

    pub(crate) fn destroy(&mut self) {
        self.child.destroy();
    }

    /// Waits until the keeper has something to say, or has gone. The child reads it.
    async fn news(&self) -> io::Result<()> {
        self.news.readable().await?;
        let clear = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _cleared = self.news.try_io(tokio::io::Interest::READABLE, clear);
        Ok(())
    }

    /// Waits until its first process has ended.
    pub(crate) async fn ended(&mut self) -> io::Result<Ended> {
        loop {
            if let Some(ended) = self.child.poll_exit()? {
                return Ok(ended);
            }
            self.news().await?;
        }
    }

    /// Waits until all it started has ended too, and its locks are free.
    pub(crate) async fn gone(&mut self) -> io::Result<()> {
        while !self.child.poll_gone()? {
            self.news().await?;
        }
        Ok(())
    }
}

/// A child process; there are none on this system yet.
#[cfg(not(unix))]
pub(crate) struct Watch {
    child: Child,
}

#[cfg(not(unix))]
impl Watch {
    pub(crate) fn new(child: Child) -> io::Result<Self> {
        Ok(Self { child })
    }

    pub(crate) const fn child(&self) -> &Child {
        &self.child
    }

    pub(crate) fn destroy(&mut self) {
        self.child.destroy();
    }

    pub(crate) async fn ended(&mut self) -> io::Result<Ended> {
        self.child.poll_exit()?.ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    pub(crate) async fn gone(&mut self) -> io::Result<()> {
        self.child.poll_gone().map(|_| ())
    }
}

/// A step of the way out.
#[derive(Clone, Copy)]
enum Rung {
    /// It may end by itself.
    Wait,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// The way out: by itself, by SIGTERM, by SIGKILL, without the keeper. Within [`WAY_OUT`]. Also says
/// whether all that it started is known to have gone.
pub(crate) async fn end_process(watch: &mut Watch) -> (Option<Ended>, bool) {
    for rung in RUNGS {
        match rung {
            Rung::Wait => {}
            Rung::Terminate => watch.child().terminate(),
            Rung::Kill => watch.child().kill(),
        }
        if let Ok(Ok(ended)) = tokio::time::timeout(GRACE, watch.ended()).await {
            watch.child().kill(); // whatever it started
            return (Some(ended), is_gone(watch).await);
        }
    }
    watch.destroy();
    let ended = tokio::time::timeout(GRACE, watch.ended()).await.ok().and_then(Result::ok);
    (ended, is_gone(watch).await)
}

async fn is_gone(watch: &mut Watch) -> bool {
    matches!(tokio::time::timeout(GRACE, watch.gone()).await, Ok(Ok(())))
}
