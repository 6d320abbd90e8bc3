//! One running plugin: its process, its connection, and the calls that are open on it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use outrigger_protocol::{
    Blame, CallId, CallOptions, Code, Connection, Effect, Error, Method, ObjectId, Refusal, Session,
};
use outrigger_sandbox::{Ended, Report};
use outrigger_transport::{Ending, Link};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::attend::Attendant;
use crate::callbacks::Exports;
use crate::callers::{CallFailed, Caller, Events, OnItem};
use crate::death::Death;
use crate::figures::Figures;
use crate::log::PluginLog;
use crate::network::Network;
use crate::said::FromPlugin;
use crate::supervise::{Final, Parts, Wiring, supervise};
use crate::traffic::Traffic;
use crate::watch::{GRACE, WAY_OUT};

/// How often a call that waits for room looks whether there is any.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What is known of a plugin process.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The member's name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Its keeper process; `None`: it was found, and has none.
    pub keeper_pid: Option<u32>,
    /// From the start of the process, or the moment it was found, to the end of the handshake.
    pub start: Duration,
    /// What is enforced on it.
    pub report: Report,
}

/// A running plugin. Clones are handles of the same process; it ends with [`PluginHost::stop`], or
/// when the last handle is dropped.
#[derive(Debug, Clone)]
pub struct PluginHost {
    facts: Arc<Facts>,
    link: Link<Caller>,
    wiring: Wiring,
    calls_timeout: Option<Duration>,
    exports: Arc<Exports>,
    traffic: Arc<Traffic>,
    stop: mpsc::Sender<()>,
    end: watch::Receiver<Option<Arc<Final>>>,
}

impl PluginHost {
    pub(crate) fn wiring(log: &Arc<PluginLog>) -> (Events, Wiring, mpsc::UnboundedReceiver<FromPlugin>) {
        let wiring = Wiring::default();
        let Wiring { room, overdue, pong, lost, unread, .. } = wiring.clone();
        let (said, heard) = mpsc::unbounded_channel();
        (Events { log: Arc::clone(log), room, overdue, said, pong, lost, unread }, wiring, heard)
    }

    pub(crate) fn run(
        mut parts: Parts,
        said: mpsc::UnboundedReceiver<FromPlugin>,
        driver: impl Future<Output = Ending> + Send + 'static,
    ) -> Self {
        let network =
            Network::new(parts.link.clone(), parts.shared.unread.clone(), std::mem::take(&mut parts.reach));
        let facts = Facts {
            name: parts.name.clone(),
            pid: parts.pid,
            keeper_pid: parts.watch.as_ref().map(|watch| watch.child().keeper_pid()),
            start: parts.start,
            report: parts.report.clone(),
        };
        tracing::debug!(member = facts.name, pid = facts.pid, session = %parts.link.session().id, "plugin started");
        let (stop, stopped) = mpsc::channel(1);
        let (tell, end) = watch::channel(None);
        let host = Self {
            facts: Arc::new(facts),
            link: parts.link.clone(),
            wiring: parts.shared.clone(),
            calls_timeout: parts.calls_timeout,
            exports: Arc::default(),
            traffic: network.traffic(),
            stop,
            end,
        };
        let attendant = Attendant::new(parts.link.clone(), Arc::clone(&host.exports), network);
        tokio::spawn(attendant.run(said));
        tokio::spawn(supervise(parts, driver, stopped, tell));
        host
    }

    /// What is known of its process.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What it has done through [`outrigger_protocol::ConnectHost`] so far: advisory figures.
    #[must_use]
    pub fn traffic(&self) -> Figures {
        self.traffic.figures()
    }

    /// What the handshake agreed on.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.link.session()
    }

    /// Makes any call: stores its context, sends it, waits for its one answer. Dropping the future
    /// cancels the call.
    ///
    /// # Errors
    /// The plugin's error, or one of this side's; its effect says what became of the request.
    pub async fn call<Q: Serialize + ?Sized, A: for<'a> Deserialize<'a>>(
        &self,
        target: ObjectId,
        method: Method,
        request: &Q,
        on_item: Option<OnItem>,
    ) -> Result<A, Error> {
        let body = self.call_raw(target, method, (request, &[]), on_item, false).await?;
        self.read(method, &body)
    }

    /// Reads the body of an answer. One that cannot be read says nothing of what was done.
    pub(crate) fn read<'a, A: Deserialize<'a>>(&self, method: Method, body: &'a [u8]) -> Result<A, Error> {
        let answer = self.session().codec.decode(body);
        answer.map_err(|error| {
            let text = format!("{method}: the answer cannot be read: {error}");
            Error::new(Code::INVALID, text).by(Blame::Plugin).with_effect(Effect::Unknown)
        })
    }

    /// As [`PluginHost::call`], with the answer's bytes. Of the request, byte strings that are among
    /// the shared pieces are not copied if they are large; `secret` marks it.
    pub(crate) async fn call_raw<Q: Serialize + ?Sized>(
        &self,
        target: ObjectId,
        method: Method,
        request: (&Q, &[Bytes]),
        on_item: Option<OnItem>,
        secret: bool,
    ) -> Result<Box<[u8]>, Error> {
        let (done, answer) = oneshot::channel();
        let mut caller = Caller::new(done, on_item);
        let call = loop {
            let room = self.wiring.room.notified();
            match self.try_call(target, method, request, secret, caller) {
                Ok(call) => break call,
                Err(Refusal { context, error }) if error.code == Code::OVERLOADED => caller = context,
                Err(Refusal { error, .. }) => return Err(*error),
            }
            // Looked at again from time to time: room may also come of itself, or the end.
            let _told = timeout(LOOK_AGAIN, room).await;
        };
        let mut guard = CancelOnDrop { link: &self.link, call: Some(call) };
        let answer = answer.await;
        guard.call = None;
        let answer = answer.unwrap_or_else(|_| {
            let error = Error::new(Code::DISCONNECTED, format!("{method}: the connection is gone"));
            Err(CallFailed { error, lost: true })
        });
        match answer {
            Ok(body) => Ok(body),
            Err(CallFailed { error, lost: true }) => Err(self.explain(error).await),
            Err(CallFailed { error, lost: false }) => Err(error),
        }
    }

    fn try_call<Q: Serialize + ?Sized>(
        &self,
        target: ObjectId,
        method: Method,
        request: (&Q, &[Bytes]),
        secret: bool,
        caller: Caller,
    ) -> Result<CallId, Refusal<Caller>> {
        if self.end.borrow().is_some() {
            let error = Error::new(Code::DISCONNECTED, format!("{method}: the plugin has ended"));
            return Err(Refusal { context: caller, error: Box::new(error) });
        }
        let now = self.link.now();
        self.link.send(|connection| {
            let options = CallOptions { secret, ..self.options(method) };
            connection.call_sharing(target, method, request, options, caller, now)
        })
    }

    /// How long a call of the method may take.
    pub(crate) fn total(&self, method: Method) -> Duration {
        self.options(method).total.unwrap_or(method.rules_or_default().total)
    }

    /// The method's own total, where it is not shortened. The idle time is what the HELLO said.
    fn options(&self, method: Method) -> CallOptions {
        let total = method.rules_or_default().total;
        CallOptions { total: self.calls_timeout.filter(|limit| *limit < total), ..CallOptions::default() }
    }

    /// Asks whether the plugin is there; returns how long the answer took. Nobody asks by itself: on a
    /// local connection an end is noticed without. A plugin that works on a call may be unable to
    /// answer, so that is no reason to end it (decisions P6); one that has nothing to do and does
    /// not answer within `limit` is ended.
    ///
    /// # Errors
    /// [`Code::BUSY`]: no answer, and a call is open; the call's own clocks decide. Otherwise the
    /// plugin is gone, or is being ended.
    pub async fn ping(&self, limit: Duration) -> Result<Duration, Error> {
        let mut pong = std::pin::pin!(self.wiring.pong.notified());
        pong.as_mut().enable();
        let asked = self.link.now();
        let mut busy = self.link.send(|connection| {
            connection.ping();
            is_busy(connection)
        });
        loop {
            tokio::select! {
                () = &mut pong => return Ok(self.link.now().saturating_sub(asked)),
                _ = self.ended() => {
                    return Err(self.explain(Error::new(Code::DISCONNECTED, "PING: the plugin has ended")).await);
                }
                () = tokio::time::sleep(limit) => {}
            }
            if self.link.with(|connection| is_busy(connection)) {
                return Err(Error::new(Code::BUSY, "PING: no answer, and the plugin works on a call"));
            }
            // One that has only just answered its last call has the whole of the limit once more.
            if !std::mem::take(&mut busy) {
                self.wiring.silent.notify_one();
                let text = format!("PING: no answer in {limit:?}, and no call was open");
                return Err(Error::new(Code::IDLE_TIMEOUT, text).by(Blame::Plugin));
            }
        }
    }

    /// Adds how the plugin died to the error of a call that was lost with it. That is known once it
    /// has ended, so this waits as long as its way out may take.
    async fn explain(&self, error: Error) -> Error {
        match timeout(WAY_OUT, self.ended()).await {
            Ok(end) => error.by(Blame::Plugin).because(Code::DISCONNECTED, end.death.to_string()),
            Err(_) => error,
        }
    }

    pub(crate) async fn drain(&self) {
        let answered = async {
            loop {
                let room = self.wiring.room.notified();
                if self.end.borrow().is_some() || self.link.with(|link| link.open_calls()) == 0 {
                    return;
                }
                // As in `call`: the end may come of itself.
                let _told = timeout(LOOK_AGAIN, room).await;
            }
        };
        if timeout(GRACE, answered).await.is_err() {
            tracing::warn!(member = self.facts.name, "the plugin does not answer a cancel: ending it");
            self.wiring.ending.store(true, Ordering::Relaxed);
            let _ending_already = self.stop.try_send(());
        }
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) -> Arc<Final> {
        let mut end = self.end.clone();
        let found = end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        found.unwrap_or_else(|| {
            let death = Death {
                plugin: self.facts.name.clone(),
                exit: None,
                last_words: Vec::new(),
                calls_in_flight: 0,
                connection: None,
                fault: None,
                with_broker: false,
            };
            Arc::new(Final { death, ended: None, gone: false })
        })
    }

    /// The objects that the plugin was given.
    pub(crate) fn exports(&self) -> &Exports {
        &self.exports
    }

    pub(crate) const fn link(&self) -> &Link<Caller> {
        &self.link
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn death(&self) -> Option<Death> {
        self.end.borrow().as_ref().map(|end| end.death.clone())
    }

    /// Whether it has ended, or is on its way there: no call can reach it any more.
    pub(crate) fn is_ending(&self) -> bool {
        self.wiring.ending.load(Ordering::Relaxed)
    }

    /// Whether it has died, or has let a call run out of time and not answered since: what was open
    /// is lost with the process. An error of the plugin's own, whatever its code, is none of that.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.is_ending() || self.link.with(|connection| connection.is_stuck())
    }

    /// Waits until it has ended.
    pub async fn wait(&self) -> Death {
        self.ended().await.death.clone()
    }

    /// Ends it: goodbye, then a signal, then another that cannot be ignored. Returns how it ended
    /// and what it had used, once its last process has gone. One that was found is disconnected, and
    /// nothing else.
    pub async fn stop(self) -> (Death, Option<Ended>) {
        let end = self.finish().await;
        (end.death.clone(), end.ended)
    }

    /// The same, with all that is known of its end.
    pub(crate) async fn finish(self) -> Arc<Final> {
        let _ending_already = self.stop.try_send(());
        self.ended().await
    }
}

/// Whether the plugin may be at work, also on a call that ran out of time.
fn is_busy(connection: &Connection<Caller>) -> bool {
    connection.open_calls() > 0 || connection.is_stuck()
}

/// Cancels a call whose caller went away.
struct CancelOnDrop<'a> {
    link: &'a Link<Caller>,
    call: Option<CallId>,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            let now = self.link.now();
            drop(self.link.with(|connection| connection.cancel(call, now)));
        }
    }
}

#[cfg(test)]
mod tests;
