//! What each side says unasked: progress, log lines, notices, and objects that have changed.
//!
//! None of it is answered or needs credit, so each is listened to at a limited rate
//! (decisions W6): what comes faster is dropped and counted, and costs the sender nothing else.

use std::time::Duration;

use super::event::Event;
use super::machine::{Connection, Role};
use super::receive::body;
use crate::callback::Snapshot;
use crate::control::{Log, Progress};
use crate::frame::{Frame, Header};
use crate::ids::{CallId, ObjectId};
use crate::kind::Kind;
use crate::peer_error::PeerError;

impl<C> Connection<C> {
    /// Says how far a call of the peer is; nothing happens when it is answered already.
    pub fn progress(&mut self, id: CallId, progress: &Progress) {
        if self.serving.is_open(id) {
            self.send(Header::new(Kind::PROGRESS, id.0), progress);
        }
    }

    /// Sends a line for the peer's log.
    pub fn log(&mut self, log: &Log) {
        self.send(Header::new(Kind::LOG, 0), log);
    }

    /// Says that something changed at an object of this side (a sink, an instance).
    pub fn notify(&mut self, target: ObjectId) {
        self.send(Header { target, ..Header::new(Kind::NOTIFY, 0) }, &());
    }

    /// Tells a plugin what a member or group is now. One that does without is not told, nor one that
    /// takes no frame so large.
    pub fn snapshot(&mut self, snapshot: &Snapshot) {
        if self.peer_level > 0 {
            let header = Header { target: snapshot.object(), ..Header::new(Kind::SNAPSHOT, 0) };
            let (codec, limit) = (self.codec, self.peer.max_body as usize);
            let _too_large = self.out.frame(header, |out| codec.encode_within(snapshot, out, limit));
        }
    }

    /// Whether what was said unasked is listened to; counts what is not.
    fn is_listened_to(&mut self, now: Duration) -> bool {
        let listened = self.chatter.take(now);
        self.counters.throttled += u64::from(!listened);
        listened
    }

    pub(super) fn receive_log(
        &mut self,
        frame: Frame<'_>,
        now: Duration,
    ) -> Result<Option<Event<'static, C>>, PeerError> {
        let log: Log = body(self.codec, frame)?;
        Ok(self.is_listened_to(now).then_some(Event::Log(log)))
    }

    pub(super) fn receive_notify(
        &mut self,
        frame: Frame<'_>,
        now: Duration,
    ) -> Result<Option<Event<'static, C>>, PeerError> {
        let () = body(self.codec, frame)?;
        if self.role() != Role::Broker {
            return Err(PeerError::Unexpected(Kind::NOTIFY));
        }
        let listened = self.notices.take(now);
        self.counters.throttled += u64::from(!listened);
        Ok(listened.then_some(Event::Notify(frame.header.target)))
    }

    pub(super) fn receive_snapshot(
        &mut self,
        frame: Frame<'_>,
    ) -> Result<Option<Event<'static, C>>, PeerError> {
        let snapshot: Snapshot = body(self.codec, frame)?;
        if self.role() != Role::Plugin {
            return Err(PeerError::Unexpected(Kind::SNAPSHOT));
        }
        Ok(Some(Event::Snapshot(Box::new(snapshot))))
    }

    pub(super) fn receive_progress(
        &mut self,
        frame: Frame<'_>,
        now: Duration,
    ) -> Result<Option<Event<'static, C>>, PeerError> {
        let progress: Progress = body(self.codec, frame)?;
        let call = CallId(frame.header.id);
        if !self.issued(call.0) {
            return Err(PeerError::NeverIssued(call));
        }
        let waiting = Duration::from_millis(progress.waiting_ms.into());
        if !self.pending.touch(call, waiting, now) {
            self.counters.late += 1;
            return Ok(None);
        }
        Ok(self.is_listened_to(now).then_some(Event::Progress { call, progress }))
    }
}
