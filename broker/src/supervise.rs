//! Stays with a plugin until its last process has gone, and says how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use outrigger_sandbox::{Ended, Report};
use outrigger_transport::{Ending, Link, LinkError};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use crate::attach::Attachment;
use crate::callers::Caller;
use crate::death::Death;
use crate::log::PluginLog;
use crate::reach::Reach;
use crate::unread::Unread;
use crate::watch::{GRACE, Watch, end_process, finish_output};

/// What `start` puts together.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) report: Report,
    pub(crate) link: Link<Caller>,
    /// `None`: it was found, not started; nothing is known of its process, and it is never ended.
    pub(crate) watch: Option<Watch>,
    /// To the broker that started it, if that is another process.
    pub(crate) attachment: Option<Attachment>,
    pub(crate) log: Arc<PluginLog>,
    pub(crate) outputs: tokio::task::JoinSet<()>,
    pub(crate) shared: Wiring,
    pub(crate) start: Duration,
    pub(crate) calls_timeout: Option<Duration>,
    pub(crate) reach: Reach,
}

/// What the connection's event handler and the host share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wiring {
    pub(crate) room: Arc<Notify>,
    /// Told when a call has run out of time.
    pub(crate) overdue: Arc<Notify>,
    /// Told when a PING was answered.
    pub(crate) pong: Arc<Notify>,
    /// Told when none was, and no call was open that might have been in its way.
    pub(crate) silent: Arc<Notify>,
    /// Calls that ended with the connection.
    pub(crate) lost: Arc<AtomicUsize>,
    /// Streams that the plugin has not read.
    pub(crate) unread: Arc<Unread>,
    /// It is on its way out.
    pub(crate) ending: Arc<AtomicBool>,
}

/// The end of a plugin process, with what it had used.
#[derive(Debug, Clone)]
pub(crate) struct Final {
    pub(crate) death: Death,
    pub(crate) ended: Option<Ended>,
    /// All that it started has gone too, and the locks that it held are free (decisions X3).
    pub(crate) gone: bool,
}

/// What a plugin is ended for.
const OVERDUE: &str = "it answered neither a call in time nor its cancel";
const SILENT: &str = "it did not answer a PING, and had nothing else to do";

/// Waits for the first sign of the end, sees to it, and tells `tell`.
pub(crate) async fn supervise(
    mut parts: Parts,
    driver: impl Future<Output = Ending> + Send,
    mut stop: mpsc::Receiver<()>,
    tell: watch::Sender<Option<Arc<Final>>>,
) {
    let mut driver = std::pin::pin!(driver);
    let overdue = overdue(parts.name.clone(), parts.link.clone(), parts.shared.clone());
    let (mut ending, mut fault, mut parted) = (None, None, false);
    tokio::select! {
        ended = &mut driver => ending = Some(ended),
        () = process_ended(&mut parts.watch) => {}
        _ = stop.recv() => parts.link.with(|connection| {
            fault = connection.is_stuck().then_some(OVERDUE);
            connection.goodbye();
        }),
        () = goodbye(&parts.attachment) => {
            parted = true;
            parts.link.with(|connection| connection.goodbye());
        }
        () = overdue => fault = Some(OVERDUE), // end_process takes it from here
        () = parts.shared.silent.notified() => fault = Some(SILENT),
    }
    parts.shared.ending.store(true, Ordering::Relaxed);
    if ending.is_none() && fault != Some(SILENT) {
        ending = timeout(GRACE, &mut driver).await.ok();
    }
    parts.link.close();
    if ending.is_none() {
        ending = Some(driver.await);
    }
    let (ended, gone) = match &mut parts.watch {
        Some(watch) => end_process(watch).await,
        None => (None, true), // nothing of it is ours
    };
    finish_output(parts.outputs).await;
    parts.log.sum_up(parts.link.with(|connection| connection.counters.throttled));
    let failure = match ending {
        Some(Ending::Failed(error)) => Some(error),
        _ => None,
    };
    let fault = match &failure {
        Some(error @ (LinkError::Peer(_) | LinkError::Stalled(_))) => Some(error.to_string()),
        _ => fault.map(str::to_owned),
    };
    let connection = failure.map(|error| error.to_string()).or_else(|| fault.clone());
    let with_broker = parted || is_lost(&parts.attachment).await;
    let death = Death {
        plugin: parts.name,
        exit: ended.map(|ended| ended.exit),
        last_words: parts.log.last_words(),
        calls_in_flight: parts.shared.lost.load(Ordering::Relaxed),
        connection,
        fault,
        with_broker,
    };
    tracing::debug!(%death, "plugin ended");
    tell.send_replace(Some(Arc::new(Final { death, ended, gone })));
    parts.shared.room.notify_waiters();
}

/// Waits for the end of a process that we started; of another, its connection tells.
async fn process_ended(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => drop(watch.ended().await),
        None => std::future::pending().await,
    }
}

/// Waits until the broker that started it is about to end.
async fn goodbye(attachment: &Option<Attachment>) {
    match attachment {
        Some(attachment) => attachment.goodbye().await,
        None => std::future::pending().await,
    }
}

/// Whether the broker that started it has ended.
pub(crate) async fn is_lost(attachment: &Option<Attachment>) -> bool {
    match attachment {
        Some(attachment) => attachment.is_lost().await,
        None => false,
    }
}

/// Waits until a call has run out of time and the plugin has not answered the cancel in the grace
/// that it has.
async fn overdue(member: String, link: Link<Caller>, shared: Wiring) {
    loop {
        shared.overdue.notified().await;
        tokio::time::sleep(GRACE).await;
        if link.with(|connection| connection.is_stuck()) {
            tracing::warn!(member, "the plugin does not answer a cancel: ending it");
            return;
        }
    }
}
