//! Stays with a plugin until its last process has gone, and says how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use outrigger_sandbox::{Ended, Report};
use outrigger_transport::{Ending, Link};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use crate::attach::Attachment;
use crate::callers::Caller;
use crate::death::Death;
use crate::log::PluginLog;
use crate::network::Reach;
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

/// Waits for the first sign of the end, sees to it, and tells `tell`.
pub(crate) async fn supervise(
    mut parts: Parts,
    driver: impl Future<Output = Ending> + Send,
    mut stop: mpsc::Receiver<()>,
    tell: watch::Sender<Option<Arc<Final>>>,
) {
    let mut driver = std::pin::pin!(driver);
    let overdue = overdue(parts.name.clone(), parts.link.clone(), parts.shared.clone());
    let (mut ending, mut silent) = (None, false);
    tokio::select! {
        ended = &mut driver => ending = Some(ended),
        () = process_ended(&mut parts.watch) => {}
        _ = stop.recv() => parts.link.with(|connection| connection.goodbye()),
        () = goodbye(&parts.attachment) => parts.link.with(|connection| connection.goodbye()),
        () = overdue => {} // end_process takes it from here
        () = parts.shared.silent.notified() => silent = true,
    }
    parts.shared.ending.store(true, Ordering::Relaxed);
    if ending.is_none() && !silent {
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
    let connection = match ending {
        Some(Ending::Failed(error)) => Some(error.to_string()),
        _ => silent.then(|| "it did not answer a PING, and had nothing else to do".to_owned()),
    };
    let with_broker = is_lost(&parts.attachment).await;
    let death = Death {
        plugin: parts.name,
        exit: ended.map(|ended| ended.exit),
        last_words: parts.log.last_words(),
        calls_in_flight: parts.shared.lost.load(Ordering::Relaxed),
        connection,
        with_broker,
    };
    let discarded = parts.log.discarded();
    if discarded > 0 {
        // Once, and not for each line: it is as much as the plugin likes.
        let plugin = &death.plugin;
        tracing::warn!(plugin, "it printed too much: {} of its output were left out", kib(discarded));
    }
    tracing::debug!(%death, discarded_log_bytes = discarded, "plugin ended");
    tell.send_replace(Some(Arc::new(Final { death, ended, gone })));
    parts.shared.room.notify_waiters();
}

/// Bytes as people say them.
fn kib(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{} KiB", bytes.div_ceil(1 << 10)) } else { format!("{} MiB", bytes >> 20) }
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
async fn is_lost(attachment: &Option<Attachment>) -> bool {
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
