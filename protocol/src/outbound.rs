//! Outbound: frames encoded in place, one contiguous buffer a write.
//!
//! All frames but DATA enter one queue, in order. When the driver has written what it was given,
//! the queue becomes the next thing to write, and DATA fills it up: calls first, data behind, a
//! write per batch of ready frames.

use std::collections::VecDeque;

use crate::codec::BodyError;
use zeroize::Zeroize as _;

use crate::frame::{Flags, Header};
use crate::limits::HEADER;

/// The bytes on their way out.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// The queue.
    control: Vec<u8>,
    /// Calls in the queue: number, start and length. They can still be taken back.
    calls: VecDeque<(u64, usize, usize)>,
    /// What the driver is writing.
    writing: Vec<u8>,
    written: usize,
    /// Of the queue: bytes of automatic answers, and the number of answers to calls.
    automatic: usize,
    answers: usize,
    /// Whether the queue, and what is being written, hold a secret.
    secret: bool,
    writing_secret: bool,
}

impl Outbound {
    /// Bytes in the queue that the peer made this side say of itself (PONG, CREDIT, …).
    pub(crate) const fn automatic(&self) -> usize {
        self.automatic
    }

    /// Counts a frame of `body` bytes as such.
    pub(crate) const fn count_automatic(&mut self, body: usize) {
        self.automatic += HEADER + body;
    }

    /// Answers to calls in the queue: to the peer, those calls are still unanswered.
    pub(crate) const fn answers(&self) -> usize {
        self.answers
    }

    /// Counts one.
    pub(crate) const fn count_answer(&mut self) {
        self.answers += 1;
    }

    /// Whether the driver has written all it was given.
    pub(crate) fn is_drained(&self) -> bool {
        self.written == self.writing.len()
    }

    /// Whether nothing at all is left to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_drained() && self.control.is_empty()
    }

    /// Appends a frame whose body is written by `body`; returns the body's length.
    pub(crate) fn frame(
        &mut self,
        header: Header,
        body: impl FnOnce(&mut Vec<u8>) -> Result<(), BodyError>,
    ) -> Result<usize, BodyError> {
        self.append(header, &[], body)
    }

    fn append(
        &mut self,
        header: Header,
        ext: &[u8],
        body: impl FnOnce(&mut Vec<u8>) -> Result<(), BodyError>,
    ) -> Result<usize, BodyError> {
        self.secret |= header.flags.has(Flags::SECRET);
        append(&mut self.control, header, ext, body)
    }

    /// As [`Outbound::frame`], for a call that can be taken back until it is being written.
    pub(crate) fn call(
        &mut self,
        header: Header,
        ext: &[u8],
        body: impl FnOnce(&mut Vec<u8>) -> Result<(), BodyError>,
    ) -> Result<usize, BodyError> {
        let start = self.control.len();
        let length = self.append(header, ext, body)?;
        self.calls.push_back((header.id, start, HEADER + length));
        Ok(length)
    }

    /// Appends frames that were encoded before.
    pub(crate) fn encoded(&mut self, frames: &[u8]) {
        self.control.extend_from_slice(frames);
    }

    /// Takes a call back that is still in the queue (decisions W1).
    pub(crate) fn take_back(&mut self, id: u64) -> bool {
        let Some(at) = self.calls.iter().position(|(call, ..)| *call == id) else { return false };
        let Some((_, start, length)) = self.calls.remove(at) else { return false };
        self.control.drain(start..start + length);
        self.calls.iter_mut().skip(at).for_each(|(_, later, _)| *later -= length);
        true
    }

    /// Whether the call is still in the queue: nothing of it has left.
    pub(crate) fn holds(&self, id: u64) -> bool {
        self.calls.iter().any(|(call, ..)| *call == id)
    }

    /// Makes the queue the next thing to write, with room behind it for DATA.
    pub(crate) fn turn(&mut self) -> &mut Vec<u8> {
        self.writing.clear();
        self.written = 0;
        self.automatic = 0;
        self.answers = 0;
        self.calls.clear();
        self.writing_secret = std::mem::take(&mut self.secret);
        std::mem::swap(&mut self.writing, &mut self.control);
        &mut self.writing
    }

    /// What to write now.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.writing.get(self.written..).unwrap_or_default()
    }

    /// `count` bytes were written.
    pub(crate) fn wrote(&mut self, count: usize) {
        self.written = self.writing.len().min(self.written.saturating_add(count));
        if self.is_drained() && self.writing_secret {
            self.writing.zeroize();
            self.writing_secret = false;
            self.written = 0;
        }
        if self.is_drained() && self.writing.capacity() > (256 << 10) {
            self.writing = Vec::new();
            self.written = 0;
        }
    }
}

/// Appends a frame to `out`: room for the header, the extension entries, the body, then the header
/// with its lengths. Returns the bytes behind the header.
pub(crate) fn append(
    out: &mut Vec<u8>,
    header: Header,
    ext: &[u8],
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), BodyError>,
) -> Result<usize, BodyError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    out.extend_from_slice(ext);
    if let Err(error) = body(out) {
        out.truncate(start);
        return Err(error);
    }
    let length = out.len() - start - HEADER;
    // The codec's limit keeps every body far below 4 GiB.
    let body_len = u32::try_from(length).unwrap_or(u32::MAX);
    if let Some(room) = out.get_mut(start..start + HEADER) {
        let ext_len = u16::try_from(ext.len()).unwrap_or(u16::MAX); // one entry of ours
        room.copy_from_slice(&Header { body_len, ext_len, ..header }.encode());
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    fn put(outbound: &mut Outbound, id: u64, body: &[u8]) {
        let add = |out: &mut Vec<u8>| {
            out.extend_from_slice(body);
            Ok(())
        };
        outbound.call(Header::new(Kind::CALL, id), &[], add).unwrap();
    }

    #[test]
    fn w1_a_call_still_in_the_queue_is_taken_back_whole() {
        let mut outbound = Outbound::default();
        put(&mut outbound, 1, b"one");
        put(&mut outbound, 3, b"three");
        put(&mut outbound, 5, b"five");
        assert!(outbound.take_back(3));
        assert!(!outbound.take_back(3));
        assert!(outbound.take_back(5));
        put(&mut outbound, 7, b"seven");
        let bytes = outbound.turn().clone();
        assert_eq!(bytes.len(), 2 * HEADER + 3 + 5);
        assert!(!outbound.holds(1), "what is being written cannot be taken back");
        assert!(!outbound.take_back(1));
    }

    #[test]
    fn a_secret_is_wiped_once_it_is_written() {
        let mut outbound = Outbound::default();
        let header = Header { flags: Flags::SECRET, ..Header::new(Kind::REPLY, 2) };
        let add = |out: &mut Vec<u8>| {
            out.extend_from_slice(b"hunter2");
            Ok(())
        };
        outbound.frame(header, add).unwrap();
        outbound.turn();
        outbound.wrote(5);
        assert!(outbound.bytes().ends_with(b"hunter2"));
        outbound.wrote(usize::MAX);
        assert!(outbound.is_empty() && outbound.writing.is_empty(), "zeroize also clears");
    }

    #[test]
    fn many_frames_are_one_write() {
        let mut outbound = Outbound::default();
        put(&mut outbound, 1, b"a");
        put(&mut outbound, 3, b"b");
        outbound.turn();
        assert_eq!(outbound.bytes().len(), 2 * (HEADER + 1));
        outbound.wrote(10);
        put(&mut outbound, 5, b"c");
        assert_eq!(outbound.bytes().len(), 2 * (HEADER + 1) - 10);
        outbound.wrote(usize::MAX);
        assert!(outbound.is_drained() && !outbound.is_empty());
    }
}
