//! Streams of a connection: sending under credit, receiving and granting it.

use serde::Serialize;

use super::event::Event;
use super::machine::Connection;
use crate::codec::BodyError;
use crate::control::{Credit, StreamEnd, StreamKind, StreamOpen, StreamReset};
use crate::error::Code;
use crate::frame::{Frame, Header};
use crate::ids::{CallId, StreamId};
use crate::kind::Kind;
use crate::limits::MAX_ITEM;
use crate::peer_error::PeerError;
use crate::stream::{Receiving, Sending};

/// Whether nothing of a call's data waits any more; of any call's, for GOODBYE_OK (number 0).
fn is_free(sending: &[Sending], call: CallId) -> bool {
    !sending.iter().any(|stream| stream.call == call || call.0 == 0)
}

impl<C> Connection<C> {
    /// Opens a stream that this side sends, for a call of the peer that it serves. `None`: the
    /// call is over, or too many streams are open.
    pub fn open_stream(&mut self, call: CallId, kind: StreamKind) -> Option<StreamId> {
        if !self.serving.is_open(call) || self.sending.len() >= self.peer.max_streams as usize {
            return None;
        }
        let id = StreamId(self.number());
        self.send(Header::new(Kind::STREAM_OPEN, id.0), &StreamOpen { call: call.0, kind, bulk: None });
        self.sending.push(Sending::new(id, call, self.peer.stream_window));
        Some(id)
    }

    /// Appends one item to a stream. Returns the bytes of the stream that now wait for credit:
    /// a sender that waits while there are many keeps its memory flat. `None`: the stream is over.
    ///
    /// # Errors
    /// The item is larger than 1 MiB; nothing was appended.
    pub fn push_item<T: Serialize + ?Sized>(
        &mut self,
        id: StreamId,
        item: &T,
    ) -> Result<Option<usize>, BodyError> {
        let stream = self.sending.iter_mut().find(|stream| stream.id == id && !stream.ended);
        let Some(stream) = stream else { return Ok(None) };
        let codec = self.codec;
        let queue = stream.queue();
        let start = queue.len();
        queue.extend_from_slice(&[0; 4]);
        if let Err(error) = codec.encode_within(item, queue, MAX_ITEM) {
            queue.truncate(start);
            return Err(error);
        }
        let length = queue.len() - start - 4;
        if let (Some(room), Ok(length)) = (queue.get_mut(start..start + 4), u32::try_from(length)) {
            room.copy_from_slice(&length.to_le_bytes());
        }
        stream.items += 1;
        Ok(Some(stream.waiting()))
    }

    /// Bytes of a stream that wait for credit or for the writer; `None`: the stream is over.
    #[must_use]
    pub fn stream_waiting(&self, id: StreamId) -> Option<usize> {
        self.sending.iter().find(|stream| stream.id == id).map(Sending::waiting)
    }

    /// All data of the call's streams was handed over: their ends follow it.
    pub(super) fn end_streams(&mut self, call: CallId) {
        self.sending.iter_mut().filter(|stream| stream.call == call).for_each(|stream| stream.ended = true);
    }

    /// Queues the ends of streams whose data is on its way, then the replies behind them.
    pub(super) fn release_held(&mut self) {
        let codec = self.codec;
        for stream in self.sending.extract_if(.., |stream| stream.ended && stream.waiting() == 0) {
            let end = StreamEnd { items: stream.items, bytes: stream.sent, bulk: None };
            let _fits =
                self.out.frame(Header::new(Kind::STREAM_END, stream.id.0), |out| codec.encode(&end, out));
        }
        let sending = &self.sending;
        for (_, frame) in self.held.extract_if(.., |(call, _)| is_free(sending, *call)) {
            self.out.count_answer();
            self.out.encoded(&frame);
        }
    }

    /// Whether an end or a reply can leave that waited for data.
    pub(super) fn can_release(&self) -> bool {
        self.sending.iter().any(|stream| stream.ended && stream.waiting() == 0)
            || self.held.iter().any(|(call, _)| is_free(&self.sending, *call))
    }

    /// Whether any stream has data and credit.
    pub(super) fn can_send_data(&self) -> bool {
        self.data_sent < self.data_limit
            && self.sending.iter().any(|stream| stream.waiting() > 0 && stream.sent < stream.limit)
    }

    /// Forgets the streams of a call that is over; what still comes for them is discarded.
    pub(super) fn drop_streams(&mut self, call: CallId) {
        self.receiving.retain(|stream| stream.call != call);
        self.sending.retain(|stream| stream.call != call);
    }

    /// The same for a call that this side gave up: their sender need not go on (decisions W4).
    pub(super) fn reset_streams(&mut self, call: CallId) {
        let (codec, reset) = (self.codec, StreamReset { code: Code::CANCELLED });
        for stream in self.receiving.extract_if(.., |stream| stream.call == call) {
            let header = Header::new(Kind::STREAM_RESET, stream.id.0);
            let _fits = self.out.frame(header, |out| codec.encode(&reset, out));
        }
    }

    pub(super) fn receive_open(&mut self, frame: Frame<'_>) -> Result<(), PeerError> {
        let open: StreamOpen = super::receive::body(self.codec, frame)?;
        self.peer_number(frame.header.id)?;
        if self.receiving.len() >= self.own.max_streams as usize {
            return Err(PeerError::TooManyStreams);
        }
        let call = CallId(open.call);
        if self.pending.context_mut(call).is_some() {
            let id = StreamId(frame.header.id);
            self.receiving.push(Receiving::new(id, call, open.kind, self.own.stream_window));
            return Ok(());
        }
        if !self.issued(open.call) {
            return Err(PeerError::NeverIssued(call));
        }
        self.reset_late(frame.header.id)
    }

    /// A stream of a call that is over is reset: its sender need not go on (decisions W4).
    fn reset_late(&mut self, id: u64) -> Result<(), PeerError> {
        self.counters.late += 1;
        let mut body = Vec::new();
        let _small = self.codec.encode(&StreamReset { code: Code::CANCELLED }, &mut body);
        self.send_raw(Header::new(Kind::STREAM_RESET, id), &body)
    }

    pub(super) fn receive_data<'f>(&mut self, frame: Frame<'f>) -> Result<Option<Event<'f, C>>, PeerError> {
        let id = StreamId(frame.header.id);
        let length = frame.body.len() as u64;
        self.data_received += length;
        if self.data_received > self.data_granted {
            return Err(PeerError::CreditExceeded(id));
        }
        let Some(stream) = self.receiving.iter_mut().find(|stream| stream.id == id) else {
            return self.discard(id, length).map(|()| None);
        };
        let before = stream.consumed;
        let (items, call) = (stream.accept(frame.body)?, stream.call);
        self.data_consumed += stream.consumed - before;
        self.grant(id)?;
        Ok(Some(Event::Items { call, stream: id, items }))
    }

    /// Data of a stream that is over counts as consumed, or its credit would never come back
    /// (decisions W5).
    fn discard(&mut self, id: StreamId, length: u64) -> Result<(), PeerError> {
        if !self.peer_issued(id.0) {
            return Err(PeerError::NeverIssued(CallId(id.0)));
        }
        self.counters.discarded += length;
        self.data_consumed += length;
        self.grant(id)
    }

    /// `bytes` of a stream are dealt with: its sender may send as many more.
    ///
    /// # Errors
    /// The peer does not read and too much waits for it; the connection must end.
    pub fn consumed(&mut self, id: StreamId, bytes: u64) -> Result<(), PeerError> {
        self.data_consumed += bytes;
        if let Some(stream) = self.receiving.iter_mut().find(|stream| stream.id == id) {
            stream.consumed += bytes;
        }
        self.grant(id)
    }

    /// Grants more once half of a window is used up.
    fn grant(&mut self, id: StreamId) -> Result<(), PeerError> {
        let (window, whole) = (self.own.stream_window, self.own.connection_window);
        let connection = self.data_consumed.saturating_add(whole);
        let mut due = connection - self.data_granted >= whole / 2;
        let mut granted = 0;
        if let Some(stream) = self.receiving.iter_mut().find(|stream| stream.id == id) {
            let next = stream.consumed.saturating_add(window);
            due |= next - stream.granted >= window / 2;
            if due {
                stream.granted = next;
            }
            granted = stream.granted;
        }
        if due {
            self.data_granted = connection;
            let credit = Credit { stream: granted, connection, durable: 0 };
            self.send_raw(Header::new(Kind::CREDIT, id.0), &credit.encode())?;
        }
        Ok(())
    }

    pub(super) fn receive_credit(&mut self, frame: Frame<'_>) -> Result<(), PeerError> {
        let wrong = || PeerError::Body { kind: Kind::CREDIT, reason: "not 24 bytes".into() };
        let credit = Credit::decode(frame.body).ok_or_else(wrong)?;
        let id = frame.header.id;
        if id != 0 && !self.issued(id) {
            return Err(PeerError::NeverIssued(CallId(id)));
        }
        self.data_limit = self.data_limit.max(credit.connection);
        if let Some(stream) = self.sending.iter_mut().find(|stream| stream.id.0 == id) {
            stream.limit = stream.limit.max(credit.stream);
        }
        Ok(())
    }

    pub(super) fn receive_end(&mut self, frame: Frame<'_>) -> Result<Option<Event<'static, C>>, PeerError> {
        let end: StreamEnd = super::receive::body(self.codec, frame)?;
        let id = StreamId(frame.header.id);
        let Some(at) = self.receiving.iter().position(|stream| stream.id == id) else {
            return if self.peer_issued(id.0) { Ok(None) } else { Err(PeerError::NeverIssued(CallId(id.0))) };
        };
        let stream = self.receiving.swap_remove(at);
        if stream.is_mid_item() || end.bytes != stream.received || end.items != stream.items {
            return Err(PeerError::WrongCount(id));
        }
        Ok(Some(Event::StreamEnd { call: stream.call, stream: id }))
    }

    pub(super) fn receive_reset(&mut self, frame: Frame<'_>) -> Result<Option<Event<'static, C>>, PeerError> {
        let _: StreamReset = super::receive::body(self.codec, frame)?;
        let id = StreamId(frame.header.id);
        if !self.issued(id.0) && !self.peer_issued(id.0) {
            return Err(PeerError::NeverIssued(CallId(id.0)));
        }
        let sending = self.sending.extract_if(.., |stream| stream.id == id).next().map(|stream| stream.call);
        let receiving =
            self.receiving.extract_if(.., |stream| stream.id == id).next().map(|stream| stream.call);
        Ok(sending.or(receiving).map(|call| Event::StreamReset { call, stream: id }))
    }

    /// Ends a stream early: this side wants no more of it, or sends no more on it.
    pub fn reset_stream(&mut self, id: StreamId, code: Code) {
        self.sending.retain(|stream| stream.id != id);
        self.receiving.retain(|stream| stream.id != id);
        self.send(Header::new(Kind::STREAM_RESET, id.0), &StreamReset { code });
    }
}
