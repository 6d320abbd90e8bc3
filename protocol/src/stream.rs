//! Streams: data that belongs to a call, under byte credit.
//!
//! The sender may go as far as the receiver has granted, counted in bytes of DATA bodies, per
//! stream and for the whole connection. Credit is an absolute offset that never falls, so a lost
//! or repeated grant does no harm (decisions W5). An `items` stream is a row of
//! `length (u32) · encoded item`; a frame holds many, an item may span frames.

use bytes::{Bytes, BytesMut};

use crate::chunks::Chunks;
use crate::control::StreamKind;
use crate::frame::Header;
use crate::ids::{CallId, StreamId};
use crate::kind::Kind;
use crate::limits::{HEADER, MAX_DATA, MAX_ITEM};
use crate::outbound::append_body;
use crate::peer_error::PeerError;

/// A stream that this side sends.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) id: StreamId,
    pub(crate) call: CallId,
    queue: BytesMut,
    pub(crate) sent: u64,
    pub(crate) limit: u64,
    pub(crate) items: u64,
    pub(crate) ended: bool,
}

impl Sending {
    pub(crate) fn new(id: StreamId, call: CallId, limit: u64) -> Self {
        Self { id, call, queue: BytesMut::new(), sent: 0, limit, items: 0, ended: false }
    }

    /// Bytes that wait for credit or for the writer.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The queue, for one more item to be appended.
    pub(crate) const fn queue(&mut self) -> &mut BytesMut {
        &mut self.queue
    }

    /// The next bytes to send, at most `most`, within this stream's credit.
    pub(crate) fn next_data(&mut self, most: usize) -> Bytes {
        let credit = usize::try_from(self.limit - self.sent).unwrap_or(usize::MAX);
        let length = self.waiting().min(credit).min(most);
        if length == 0 {
            return Bytes::new(); // taking nothing would cost an allocation
        }
        self.sent += length as u64;
        self.queue.split_to(length).freeze()
    }
}

/// Appends DATA frames to what is about to be written: streams in turn, each within its credit.
pub(crate) fn fill(sending: &mut [Sending], sent: &mut u64, limit: u64, out: &mut Chunks, mut room: usize) {
    let mut next = usize::from(sending.len() > 1);
    for (at, stream) in sending.iter_mut().enumerate() {
        let credit = usize::try_from(limit - *sent).unwrap_or(usize::MAX);
        let most = room.saturating_sub(HEADER).min(credit).min(MAX_DATA);
        let header = Header::new(Kind::DATA, stream.id.0);
        let data = stream.next_data(most);
        if data.is_empty() {
            continue;
        }
        let length = data.len();
        append_body(out, header, data);
        *sent += length as u64;
        room -= (length + HEADER).min(room);
        next = at + 1;
    }
    sending.rotate_left(next); // the one behind the last served goes first next time
}

/// A stream that this side receives.
#[derive(Debug)]
pub(crate) struct Receiving {
    pub(crate) id: StreamId,
    pub(crate) call: CallId,
    pub(crate) kind: StreamKind,
    pub(crate) received: u64,
    pub(crate) consumed: u64,
    pub(crate) granted: u64,
    pub(crate) items: u64,
    /// An item whose end has not come, with its length in front.
    partial: Vec<u8>,
}

impl Receiving {
    pub(crate) const fn new(id: StreamId, call: CallId, kind: StreamKind, granted: u64) -> Self {
        Self { id, call, kind, received: 0, consumed: 0, granted, items: 0, partial: Vec::new() }
    }

    /// Whether an item was begun and not finished.
    pub(crate) fn is_mid_item(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Takes a DATA body: the items that are now whole. What remains of an unfinished item counts
    /// as consumed at once, so that a large item cannot starve in a small window.
    pub(crate) fn accept<'f>(&mut self, body: &'f [u8]) -> Result<Items<'f>, PeerError> {
        self.received += body.len() as u64;
        if self.received > self.granted {
            return Err(PeerError::CreditExceeded(self.id));
        }
        if self.kind == StreamKind::Bytes {
            return Ok(Items { kind: self.kind, first: None, rest: body, bytes: body.len() as u64 });
        }
        let (first, rest) = self.finish_partial(body)?;
        let whole = self.whole_items(rest)?;
        let (rest, tail) = rest.split_at_checked(whole).unwrap_or((rest, &[]));
        self.partial.extend_from_slice(tail);
        // All of the body but the tail is for the reader to consume; nothing when it was all tail.
        let tail = if first.is_none() && rest.is_empty() { body.len() } else { tail.len() };
        self.consumed += tail as u64;
        Ok(Items { kind: self.kind, first, rest, bytes: (body.len() - tail) as u64 })
    }

    /// Adds to the unfinished item; returns it once whole, and the bytes behind it.
    fn finish_partial<'f>(&mut self, body: &'f [u8]) -> Result<(Option<Vec<u8>>, &'f [u8]), PeerError> {
        if self.partial.is_empty() {
            return Ok((None, body));
        }
        let body = self.fill_partial(4, body);
        let Some(length) = self.item_length(&self.partial)? else { return Ok((None, body)) };
        let body = self.fill_partial(4 + length, body);
        if self.partial.len() < 4 + length {
            return Ok((None, body));
        }
        self.items += 1;
        let mut item = std::mem::take(&mut self.partial);
        item.drain(..4);
        Ok((Some(item), body))
    }

    fn fill_partial<'f>(&mut self, want: usize, body: &'f [u8]) -> &'f [u8] {
        let missing = want.saturating_sub(self.partial.len()).min(body.len());
        let (add, rest) = body.split_at_checked(missing).unwrap_or((body, &[]));
        self.partial.extend_from_slice(add);
        rest
    }

    /// How many bytes at the front of `body` are whole items; counts them.
    fn whole_items(&mut self, body: &[u8]) -> Result<usize, PeerError> {
        let mut whole = 0;
        while let Some(rest) = body.get(whole..)
            && let Some(length) = self.item_length(rest)?
            && rest.len() >= 4 + length
        {
            whole += 4 + length;
            self.items += 1;
        }
        Ok(whole)
    }

    /// The length in front of an item, checked before anything is reserved for it.
    fn item_length(&self, bytes: &[u8]) -> Result<Option<usize>, PeerError> {
        let Some(head) = bytes.first_chunk::<4>() else { return Ok(None) };
        let size = u32::from_le_bytes(*head);
        if size as usize > MAX_ITEM {
            return Err(PeerError::ItemTooLarge { stream: self.id, size, limit: MAX_ITEM });
        }
        Ok(Some(size as usize))
    }
}

/// The items that a DATA frame completed, in order, borrowed from it where they are whole in it.
/// For a stream of bytes: one element, the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Items<'f> {
    kind: StreamKind,
    first: Option<Vec<u8>>,
    rest: &'f [u8],
    /// What to hand to [`crate::Connection::consumed`] once these are dealt with.
    pub bytes: u64,
}

impl Items<'_> {
    /// Calls `each` with every item.
    ///
    /// # Errors
    /// The first that `each` returns.
    pub fn for_each<E>(&self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if self.kind == StreamKind::Bytes {
            return each(self.rest);
        }
        if let Some(first) = &self.first {
            each(first)?;
        }
        let mut rest = self.rest;
        while let Some((head, tail)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*head) as usize;
            let Some((item, tail)) = tail.split_at_checked(length) else { break };
            each(item)?;
            rest = tail;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiving(granted: u64) -> Receiving {
        Receiving::new(StreamId(2), CallId(1), StreamKind::Items, granted)
    }

    fn item(bytes: &[u8]) -> Vec<u8> {
        [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat()
    }

    fn collect(items: &Items<'_>) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let each = |item: &[u8]| {
            all.push(item.to_vec());
            Ok::<(), ()>(())
        };
        items.for_each(each).unwrap();
        all
    }

    #[test]
    fn items_come_out_whole_whatever_the_cut() {
        let bytes = [item(b"one"), item(b""), item(&[7; 300])].concat();
        for step in 1..bytes.len() {
            let mut stream = receiving(10_000);
            let (mut all, mut consumed) = (Vec::new(), 0);
            for chunk in bytes.chunks(step) {
                let items = stream.accept(chunk).unwrap();
                all.extend(collect(&items));
                consumed += items.bytes;
            }
            assert_eq!(all, [b"one".to_vec(), vec![], vec![7; 300]], "cut into {step}");
            assert_eq!(stream.consumed + consumed, bytes.len() as u64, "every byte is consumed once");
            assert_eq!(stream.items, 3);
            assert!(!stream.is_mid_item());
        }
    }

    #[test]
    fn w5_one_large_item_does_not_deadlock_in_a_small_window() {
        let bytes = item(&vec![7; 900_000]);
        let mut stream = receiving(1000);
        for chunk in bytes.chunks(1000) {
            let items = stream.accept(chunk).unwrap();
            stream.consumed += items.bytes;
            stream.granted = stream.consumed + 1000;
        }
        assert_eq!(stream.items, 1);
    }

    #[test]
    fn an_item_that_claims_too_much_is_refused_before_it_comes() {
        let mut stream = receiving(10_000);
        let claim = u32::MAX.to_le_bytes();
        assert!(matches!(stream.accept(&claim), Err(PeerError::ItemTooLarge { size: u32::MAX, .. })));
    }

    #[test]
    fn data_beyond_the_credit_is_refused() {
        assert_eq!(receiving(4).accept(&[0; 5]), Err(PeerError::CreditExceeded(StreamId(2))));
    }

    #[test]
    fn a_sender_stays_within_its_credit() {
        let mut stream = Sending::new(StreamId(2), CallId(1), 5);
        stream.queue().extend_from_slice(&[1; 8]);
        assert_eq!(stream.next_data(100).len(), 5);
        assert_eq!(stream.next_data(100).len(), 0);
        stream.limit = 7;
        assert_eq!(stream.next_data(1).len(), 1);
        assert_eq!(stream.waiting(), 2);
        assert_eq!(stream.waiting(), 2);
    }
}
