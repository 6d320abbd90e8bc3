//! Who waits for an answer: the context that is stored under a call's number.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use outrigger_protocol::{CallId, Code, Connection, Effect, EndedBy, Error, Event, Items, StreamId};
use outrigger_transport::Handler;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::log::PluginLog;
use crate::said::FromPlugin;
use crate::unread::Unread;

/// Takes the items of a call as they come, borrowed from the receive buffer. Says what is wrong
/// with one that it cannot decode.
pub(crate) type OnItem = Box<dyn FnMut(&[u8]) -> Result<(), String> + Send>;

/// What became of a call.
pub(crate) type Answer = Result<Box<[u8]>, CallFailed>;

/// A call that failed.
pub(crate) struct CallFailed {
    pub(crate) error: Error,
    /// It ended with the connection. A plugin's own error may have the same code.
    pub(crate) lost: bool,
}

/// The stored context of one call.
pub(crate) struct Caller {
    done: oneshot::Sender<Answer>,
    on_item: Option<OnItem>,
    /// What was wrong with an item: the call has failed, whatever the plugin answers.
    bad_item: Option<String>,
}

impl Caller {
    pub(crate) const fn new(done: oneshot::Sender<Answer>, on_item: Option<OnItem>) -> Self {
        Self { done, on_item, bad_item: None }
    }

    fn items(&mut self, items: &Items<'_>) -> Result<(), String> {
        match (&self.bad_item, &mut self.on_item) {
            (None, Some(on_item)) => items.for_each(on_item),
            (None, None) => Err("data for a call that brings none".into()),
            (Some(_), _) => Ok(()),
        }
    }

    fn answer(self, answer: Result<&[u8], CallFailed>) {
        let answer = match self.bad_item {
            Some(reason) => {
                let error = Error::new(Code::INVALID, format!("an item cannot be read: {reason}"));
                Err(CallFailed { error: error.with_effect(Effect::Unknown), lost: false })
            }
            None => answer.map(Into::into),
        };
        let _caller_gave_up = self.done.send(answer);
    }
}

/// What the connection's driver does with events.
pub(crate) struct Events {
    pub(crate) log: Arc<PluginLog>,
    /// Told whenever a call has ended: there is room for another.
    pub(crate) room: Arc<Notify>,
    /// Told when a call has run out of time: the host may have to be ended.
    pub(crate) overdue: Arc<Notify>,
    /// What the plugin says of its own.
    pub(crate) said: mpsc::UnboundedSender<FromPlugin>,
    /// Told when a PING was answered.
    pub(crate) pong: Arc<Notify>,
    /// Calls that ended with the connection.
    pub(crate) lost: Arc<AtomicUsize>,
    /// Streams that the plugin has not read.
    pub(crate) unread: Arc<Unread>,
}

impl Handler<Caller> for Events {
    fn event(&mut self, event: Event<'_, Caller>, connection: &mut Connection<Caller>) {
        match event {
            Event::Reply { context, body, .. } => {
                context.answer(Ok(body));
                self.room.notify_waiters();
            }
            Event::Failed { context, error, by, .. } => {
                self.note(by);
                context.answer(Err(CallFailed { error, lost: by == EndedBy::Connection }));
                self.room.notify_waiters();
            }
            Event::Items { call, stream, items } => take_items(connection, call, stream, &items),
            Event::Call(call) => self.attend(FromPlugin::Call(call.into())),
            Event::Cancel(call) => self.attend(FromPlugin::Cancel(call)),
            Event::Notify(object) => self.attend(FromPlugin::Notify(object)),
            Event::Log(log) => self.log.said(log.level, &log.message),
            Event::Progress { call, progress } => tracing::trace!(%call, done = progress.done, "progress"),
            Event::StreamEnd { .. } | Event::StreamReset { .. } | Event::Snapshot(_) => {}
            Event::Pong(number) if self.unread.hear(number) => {}
            Event::Pong(_) => self.pong.notify_waiters(),
            Event::Goodbye | Event::Closed => {}
        }
    }
}

impl Events {
    /// Hands over what must not be dealt with in the connection's own task.
    fn attend(&self, said: FromPlugin) {
        let _ending = self.said.send(said);
    }

    fn note(&self, by: EndedBy) {
        match by {
            EndedBy::Time => self.overdue.notify_one(),
            EndedBy::Connection => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
            EndedBy::Peer | EndedBy::Caller => {}
        }
    }
}

/// Hands items to the caller, then grants the plugin as much again.
fn take_items(connection: &mut Connection<Caller>, call: CallId, stream: StreamId, items: &Items<'_>) {
    let taken = connection.context_mut(call).map_or(Ok(()), |caller| caller.items(items));
    if let Err(reason) = taken {
        if let Some(caller) = connection.context_mut(call) {
            caller.bad_item = Some(reason);
        }
        connection.reset_stream(stream, Code::INVALID);
    }
    // A plugin that does not read its credit is cut off by the machine's own limits.
    let _queued = connection.consumed(stream, items.bytes);
}
