//! Outbound: frames encoded in place, one write for all that are ready.
//!
//! All frames but DATA enter one queue, in order. When the driver has written what it was given,
//! the queue becomes the next thing to write, and DATA fills it up: calls first, data behind, a
//! write per batch of ready frames.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use zeroize::{Zeroize as _, Zeroizing};

use crate::chunks::Chunks;
use crate::codec::BodyError;
use crate::frame::{Flags, Header};
use crate::limits::{HEADER, MAX_BODY, MAX_DATA};
use crate::secret;

/// What the buffer is worth keeping at when it is empty.
const KEEP: usize = 256 << 10;

/// The bytes on their way out.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// The queue.
    control: Chunks,
    /// Calls in the queue: number, start and length of what was copied. They can still be taken back.
    calls: VecDeque<(u64, usize, usize)>,
    /// What the driver is writing.
    writing: Chunks,
    /// Frames with a descriptor, in the queue and in what is being written: where they begin, and
    /// their call.
    handles: VecDeque<(usize, u64)>,
    writing_handles: VecDeque<(usize, u64)>,
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
        self.writing.is_written()
    }

    /// Whether nothing at all is left to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_drained() && self.control.own.is_empty()
    }

    /// Appends a frame whose body is written by `body`; returns the body's length.
    pub(crate) fn frame(
        &mut self,
        header: Header,
        body: impl FnOnce(&mut Vec<u8>) -> Result<(), BodyError>,
    ) -> Result<usize, BodyError> {
        self.add(header, &[], |out| body(&mut out.own))
    }

    fn add(
        &mut self,
        header: Header,
        ext: &[u8],
        body: impl FnOnce(&mut Chunks) -> Result<(), BodyError>,
    ) -> Result<usize, BodyError> {
        self.secret |= header.flags.has(Flags::SECRET);
        let start = self.control.own.len();
        let added = self.add_bytes(header, ext, body);
        if added.is_ok() && header.handles > 0 {
            self.handles.push_back((start, header.id));
        }
        added
    }

    fn add_bytes(
        &mut self,
        header: Header,
        ext: &[u8],
        body: impl FnOnce(&mut Chunks) -> Result<(), BodyError>,
    ) -> Result<usize, BodyError> {
        if !self.secret {
            return append(&mut self.control, header, ext, body);
        }
        let mut frame = whole(header, ext, body)?;
        let length = frame.len() - HEADER;
        self.control.take_in(&mut frame);
        Ok(length)
    }

    /// Appends a call that can be taken back until it is being written; returns its body's length.
    pub(crate) fn call(
        &mut self,
        header: Header,
        ext: &[u8],
        body: impl FnOnce(&mut Chunks) -> Result<(), BodyError>,
    ) -> Result<usize, BodyError> {
        let start = self.control.own.len();
        let length = self.add(header, ext, body)?;
        self.calls.push_back((header.id, start, self.control.own.len() - start));
        Ok(length)
    }

    /// Appends a frame that was encoded before.
    pub(crate) fn encoded(&mut self, frame: &[u8]) {
        if let Some(Ok(header)) = frame.first_chunk().map(Header::decode) {
            self.secret |= header.flags.has(Flags::SECRET);
            if header.handles > 0 {
                self.handles.push_back((self.control.own.len(), header.id));
            }
        }
        if self.secret {
            secret::append(&mut self.control.own, frame);
        } else {
            self.control.own.extend_from_slice(frame);
        }
    }

    /// Takes a call back that is still in the queue (decisions W1).
    pub(crate) fn take_back(&mut self, id: u64) -> bool {
        let Some(at) = self.calls.iter().position(|(call, ..)| *call == id) else { return false };
        let Some((_, start, length)) = self.calls.remove(at) else { return false };
        self.control.remove(start, length);
        self.calls.iter_mut().skip(at).for_each(|(_, later, _)| *later -= length);
        let later = self.handles.iter_mut().filter(|(at, _)| *at > start);
        later.for_each(|(at, _)| *at -= length);
        true
    }

    /// Whether the call is still in the queue: nothing of it has left.
    pub(crate) fn holds(&self, id: u64) -> bool {
        self.calls.iter().any(|(call, ..)| *call == id)
    }

    /// Makes the queue the next thing to write, with room behind it for DATA.
    pub(crate) fn turn(&mut self) -> &mut Chunks {
        self.writing.clear();
        self.automatic = 0;
        self.answers = 0;
        self.calls.clear();
        self.writing_secret = std::mem::take(&mut self.secret);
        std::mem::swap(&mut self.writing, &mut self.control);
        self.writing_handles = std::mem::take(&mut self.handles);
        let own = &mut self.writing.own;
        if self.writing_secret && own.capacity() - own.len() < MAX_DATA {
            *own = secret::moved(&mut std::mem::take(own), MAX_DATA); // DATA must not move it
        }
        &mut self.writing
    }

    /// The call whose answer is next, if a descriptor rides with it.
    pub(crate) fn handle(&self) -> Option<u64> {
        let next = self.writing_handles.front();
        next.filter(|(at, _)| self.writing.is_at(*at)).map(|(_, call)| *call)
    }

    /// Where what is written next has to end: a frame with a descriptor begins a write of its own
    /// (decisions W10).
    fn stop(&self) -> usize {
        let mut begins = self.writing_handles.iter().map(|(at, _)| *at);
        begins.find(|at| !self.writing.is_at(*at)).unwrap_or(usize::MAX)
    }

    /// The next bytes to write that lie together.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.writing.bytes(self.stop())
    }

    /// All that can be written at once, as many runs as `slices` has room for. Returns how many.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.writing.slices(self.stop(), slices)
    }

    /// `count` bytes were written.
    pub(crate) fn wrote(&mut self, count: usize) {
        if count > 0 && self.handle().is_some() {
            self.writing_handles.pop_front();
        }
        self.writing.wrote(count);
        if self.is_drained() && self.writing_secret {
            self.writing.own.as_mut_slice().zeroize();
            self.writing_secret = false;
        }
        if self.is_drained() && self.writing.own.capacity() > KEEP {
            self.writing = Chunks::default();
        }
    }
}

impl Drop for Outbound {
    /// A connection may end with a secret on its way.
    fn drop(&mut self) {
        if self.secret || self.writing_secret {
            self.control.zeroize();
            self.writing.zeroize();
        }
    }
}

/// A frame on its own, to be appended later.
pub(crate) fn whole_frame(
    header: Header,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), BodyError>,
) -> Result<Zeroizing<Vec<u8>>, BodyError> {
    let mut frame = whole(header, &[], |out| body(&mut out.own))?;
    Ok(Zeroizing::new(std::mem::take(&mut frame.own)))
}

/// A frame on its own, for a queue that holds a secret. If it is secret itself, room for the longest
/// is there before the first byte is written, so that no growth leaves a copy behind.
fn whole(
    header: Header,
    ext: &[u8],
    body: impl FnOnce(&mut Chunks) -> Result<(), BodyError>,
) -> Result<Zeroizing<Chunks>, BodyError> {
    let mut frame = Zeroizing::new(Chunks::default());
    if header.flags.has(Flags::SECRET) {
        frame.own.reserve_exact(HEADER + ext.len() + MAX_BODY);
    }
    append(&mut frame, header, ext, body)?;
    Ok(frame)
}

/// Appends a frame to `out`: room for the header, the extension entries, the body, then the header
/// with its lengths. Returns the bytes behind the header.
fn append(
    out: &mut Chunks,
    header: Header,
    ext: &[u8],
    body: impl FnOnce(&mut Chunks) -> Result<(), BodyError>,
) -> Result<usize, BodyError> {
    let (start, before) = (out.own.len(), out.len());
    out.own.extend_from_slice(&[0; HEADER]);
    out.own.extend_from_slice(ext);
    if let Err(error) = body(out) {
        out.truncate(start);
        return Err(error);
    }
    let length = out.len() - before - HEADER;
    set_header(&mut out.own, start, header, ext.len(), length);
    Ok(length)
}

/// Appends a frame whose body is there already.
pub(crate) fn append_body(out: &mut Chunks, header: Header, body: Bytes) {
    let start = out.own.len();
    out.own.extend_from_slice(&[0; HEADER]);
    set_header(&mut out.own, start, header, 0, body.len());
    out.push(body);
}

fn set_header(out: &mut [u8], start: usize, header: Header, ext: usize, length: usize) {
    // The codec's limit keeps every body far below 4 GiB.
    let body_len = u32::try_from(length).unwrap_or(u32::MAX);
    if let Some(room) = out.get_mut(start..start + HEADER) {
        let ext_len = u16::try_from(ext).unwrap_or(u16::MAX); // one entry of ours
        room.copy_from_slice(&Header { body_len, ext_len, ..header }.encode());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    fn put(outbound: &mut Outbound, id: u64, body: &[u8]) {
        let add = |out: &mut Chunks| {
            out.own.extend_from_slice(body);
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
        assert_eq!(outbound.control.len(), HEADER + 3);
        put(&mut outbound, 7, b"seven");
        let bytes = outbound.turn().own.clone();
        assert_eq!(bytes.len(), 2 * HEADER + 3 + 5);
        assert!(!outbound.holds(1), "what is being written cannot be taken back");
        assert!(!outbound.take_back(1));
    }

    const HUNTER2: &[u8] = b"hunter2";

    fn put_secret(outbound: &mut Outbound, id: u64) {
        let header = Header { flags: Flags::SECRET, ..Header::new(Kind::CALL, id) };
        let add = |out: &mut Chunks| {
            out.own.extend_from_slice(HUNTER2);
            Ok(())
        };
        outbound.call(header, &[], add).unwrap();
    }

    /// A call that is a large shared piece.
    fn put_piece(outbound: &mut Outbound, id: u64) {
        let add = |out: &mut Chunks| {
            out.push(vec![9; 5000].into());
            Ok(())
        };
        outbound.call(Header::new(Kind::CALL, id), &[], add).unwrap();
    }

    fn holds(buffer: &[u8]) -> bool {
        buffer.windows(HUNTER2.len()).any(|window| window == HUNTER2)
    }

    /// Holds S48.
    #[test]
    fn a_secret_is_wiped_once_it_is_written() {
        let mut outbound = Outbound::default();
        put(&mut outbound, 1, b"before");
        put_secret(&mut outbound, 3);
        put(&mut outbound, 5, &[7; 5000]);
        outbound.turn();
        outbound.wrote(5);
        assert!(holds(outbound.bytes()));
        outbound.wrote(usize::MAX);
        assert!(outbound.is_empty());
        assert_eq!(outbound.writing.own, vec![0; 3 * HEADER + 6 + 7 + 5000], "wiped in place");
        put(&mut outbound, 7, b"next");
        outbound.turn();
        outbound.wrote(usize::MAX);
        assert!(outbound.writing.own.ends_with(b"next"), "what is no secret is not wiped");
    }

    #[test]
    fn shared_pieces_keep_their_place_around_a_secret() {
        let mut outbound = Outbound::default();
        put_piece(&mut outbound, 1);
        put_secret(&mut outbound, 3);
        put_piece(&mut outbound, 5);
        put_piece(&mut outbound, 7);
        assert!(outbound.take_back(5));
        outbound.turn();
        let mut runs = [IoSlice::new(&[]); 5];
        let used = outbound.slices(&mut runs);
        let lengths: Vec<_> = runs[..used].iter().map(|run| run.len()).collect();
        assert_eq!(lengths, [HEADER, 5000, 2 * HEADER + HUNTER2.len(), 5000]);
        assert!(holds(&runs[2]));
        outbound.wrote(usize::MAX);
        assert!(outbound.is_empty());
        assert_eq!(outbound.writing.own, vec![0; 3 * HEADER + HUNTER2.len()], "wiped in place");
    }

    /// Holds S48.
    #[test]
    fn a_secret_that_is_taken_back_leaves_nothing() {
        let mut outbound = Outbound::default();
        put_secret(&mut outbound, 1);
        put(&mut outbound, 3, b"three");
        let before = outbound.control.len();
        assert!(outbound.take_back(1));
        assert_eq!(outbound.control.len(), before - HEADER - HUNTER2.len());
        assert!(outbound.control.own.ends_with(b"three") && !holds(&outbound.control.own));
    }

    /// Holds S48.
    #[test]
    fn a_secret_that_waited_behind_data_is_wiped_as_well() {
        let mut outbound = Outbound::default();
        let header = Header { flags: Flags::SECRET, ..Header::new(Kind::REPLY, 2) };
        let add = |out: &mut Vec<u8>| {
            out.extend_from_slice(HUNTER2);
            Ok(())
        };
        outbound.encoded(&whole_frame(header, add).unwrap());
        outbound.turn();
        assert!(holds(outbound.bytes()));
        outbound.wrote(usize::MAX);
        assert!(!holds(&outbound.writing.own) && !outbound.writing.own.is_empty());
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
