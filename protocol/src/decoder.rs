//! Decoder: bytes as they come in, whole frames out, decoded in place.
//!
//! One buffer. A driver reads into [`Decoder::space`], says how much came with
//! [`Decoder::filled`], and takes frames until there is none. The buffer grows by at most 64 KiB
//! at a time and only when it is full, so a peer that claims 4 GiB gets no more memory than the
//! bytes it has really sent (invariant 4).

use zeroize::Zeroize as _;

use crate::frame::{Flags, Frame, Header};
use crate::kind::Kind;
use crate::limits::{HEADER, MAX_DATA};
use crate::peer_error::PeerError;
use crate::secret;

/// The buffer's first size and the step by which it grows.
const STEP: usize = 64 << 10;

/// What the buffer is worth keeping at between bursts: 64 calls of 1 KiB fit one read.
const KEEP: usize = 128 << 10;

/// Cuts a byte stream into frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    max_body: usize,
    /// Where the last frame lies, if its body holds a secret.
    secret: Option<(usize, usize)>,
}

impl Decoder {
    /// A decoder that accepts bodies of at most `max_body` bytes (DATA: [`MAX_DATA`]).
    #[must_use]
    pub fn new(max_body: usize) -> Self {
        Self { buffer: vec![0; STEP], start: 0, end: 0, max_body, secret: None }
    }

    /// Where the next bytes go: never empty.
    pub fn space(&mut self) -> &mut [u8] {
        self.wipe();
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.buffer.len() > KEEP {
                self.buffer.truncate(KEEP);
                self.buffer.shrink_to_fit();
            }
        }
        if self.end == self.buffer.len() {
            self.make_room();
        }
        &mut self.buffer[self.end..]
    }

    /// A full buffer: moves what is left to the front, or grows when that is all of it.
    fn make_room(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        let stale = self.start.max(self.end - self.start)..self.end;
        self.end -= self.start;
        self.start = 0;
        self.buffer[stale].fill(0); // what was moved may hold a secret
        if self.buffer.len() - self.end < STEP.min(self.buffer.len() / 2) {
            if self.is_secret_coming() {
                let mut old = std::mem::take(&mut self.buffer);
                self.buffer = secret::moved(&mut old, STEP);
            }
            self.buffer.reserve_exact(STEP);
            self.buffer.resize(self.buffer.len() + STEP, 0);
        }
    }

    /// Whether the frame that is not whole yet holds a secret.
    fn is_secret_coming(&self) -> bool {
        let head = self.peek().first_chunk::<HEADER>();
        head.is_some_and(|head| Header::decode(head).is_ok_and(|header| header.flags.has(Flags::SECRET)))
    }

    /// Wipes a frame that held a secret, once it has been looked at.
    fn wipe(&mut self) {
        if let Some((from, to)) = self.secret.take()
            && let Some(body) = self.buffer.get_mut(from..to)
        {
            body.zeroize();
        }
    }

    /// `count` bytes were written to the front of [`Decoder::space`].
    pub fn filled(&mut self, count: usize) {
        self.end = self.buffer.len().min(self.end.saturating_add(count));
    }

    /// Whether bytes of an unfinished frame are held.
    #[must_use]
    pub const fn is_mid_frame(&self) -> bool {
        self.start != self.end
    }

    /// Takes `count` raw bytes, once they are all here (the preface).
    pub fn take(&mut self, count: usize) -> Option<&[u8]> {
        let bytes = self.buffer.get(self.start..self.end)?.get(..count)?;
        self.start += count;
        Some(bytes)
    }

    /// The bytes that are here and not yet taken.
    #[must_use]
    pub fn peek(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Largest body accepted.
    fn limit(&self, kind: Kind) -> usize {
        if kind == Kind::DATA { MAX_DATA } else { self.max_body }
    }

    /// Whether [`Decoder::next_frame`] has something to say already. A driver that waits for bytes
    /// although a frame is here may wait for ever.
    #[must_use]
    pub fn has_frame(&self) -> bool {
        let here = self.peek();
        here.first_chunk::<HEADER>().is_some_and(|head| {
            Header::decode(head).map_or(true, |header| {
                let length = header.body_len as usize;
                length > self.limit(header.kind) || here.len() >= HEADER + length
            })
        })
    }

    /// The next whole frame, or `None` until more bytes come.
    ///
    /// # Errors
    /// The header is malformed or claims more than the limit. The connection must end: frames
    /// cannot be told apart any more.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, PeerError> {
        self.wipe();
        let Some(head) = self.peek().first_chunk::<HEADER>() else { return Ok(None) };
        let header = Header::decode(head)?;
        let limit = self.limit(header.kind);
        let length = header.body_len as usize;
        if length > limit {
            return Err(PeerError::FrameTooLarge { kind: header.kind, actual: header.body_len, limit });
        }
        let body = self.start + HEADER;
        if self.end < body + length {
            return Ok(None);
        }
        self.start = body + length;
        self.secret = header.flags.has(Flags::SECRET).then_some((body, self.start));
        let (ext, body) = self.buffer[body..body + length].split_at(header.ext_len.into());
        Ok(Some(Frame { header, ext, body }))
    }
}

impl Drop for Decoder {
    /// A connection may end with a secret in its buffer.
    fn drop(&mut self) {
        self.wipe();
        if self.is_secret_coming() {
            self.buffer.zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(decoder: &mut Decoder, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = decoder.space();
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            decoder.filled(count);
            bytes = &bytes[count..];
        }
    }

    fn frame(kind: Kind, id: u64, body: &[u8]) -> Vec<u8> {
        let header = Header { body_len: u32::try_from(body.len()).unwrap(), ..Header::new(kind, id) };
        [&header.encode()[..], body].concat()
    }

    /// Holds S13.
    #[test]
    fn frames_come_out_whatever_the_cut() {
        let bytes = [frame(Kind::CALL, 1, b"one"), frame(Kind::PING, 0, b""), frame(Kind::DATA, 3, b"three")]
            .concat();
        for step in 1..bytes.len() {
            let mut decoder = Decoder::new(1024);
            let mut seen = Vec::new();
            for chunk in bytes.chunks(step) {
                feed(&mut decoder, chunk);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    seen.push((frame.header.kind, frame.body.to_vec()));
                }
            }
            assert_eq!(
                seen,
                [(Kind::CALL, b"one".to_vec()), (Kind::PING, vec![]), (Kind::DATA, b"three".to_vec())],
                "cut into {step}"
            );
            assert!(!decoder.is_mid_frame());
        }
    }

    #[test]
    fn a_claimed_length_is_refused_before_anything_is_reserved() {
        let mut decoder = Decoder::new(1024);
        let header = Header { body_len: u32::MAX, ..Header::new(Kind::CALL, 1) };
        feed(&mut decoder, &header.encode());
        assert!(matches!(decoder.next_frame(), Err(PeerError::FrameTooLarge { actual: u32::MAX, .. })));
        assert!(decoder.buffer.capacity() <= STEP);
    }

    fn secret(body: &[u8]) -> Vec<u8> {
        let mut bytes = frame(Kind::REPLY, 1, body);
        bytes[5] = Flags::SECRET.0;
        bytes
    }

    fn holds(decoder: &Decoder, text: &[u8]) -> bool {
        decoder.buffer.windows(text.len()).any(|window| window == text)
    }

    /// Holds S48.
    #[test]
    fn a_secret_is_wiped_once_it_was_looked_at() {
        for behind in [&b""[..], &frame(Kind::PING, 0, b"")] {
            let mut decoder = Decoder::new(1024);
            feed(&mut decoder, &[&secret(b"hunter2")[..], behind].concat());
            assert_eq!(decoder.next_frame().unwrap().unwrap().body, b"hunter2");
            assert!(holds(&decoder, b"hunter2"), "the event still borrows it");
            let _next = decoder.next_frame().unwrap();
            assert!(!holds(&decoder, b"hunter2"));
            feed(&mut decoder, &secret(b"hunter2"));
            assert_eq!(decoder.next_frame().unwrap().unwrap().body, b"hunter2");
            decoder.space();
            assert!(!holds(&decoder, b"hunter2"));
        }
    }

    /// Holds S48.
    #[test]
    fn a_secret_that_comes_in_pieces_is_wiped_wherever_the_buffer_moved_it() {
        let bytes = [frame(Kind::LOG, 0, &[7; 60_000]), secret(&b"hunter2".repeat(3000))].concat();
        let mut decoder = Decoder::new(1 << 20);
        for chunk in bytes.chunks(1000) {
            feed(&mut decoder, chunk);
            while let Some(frame) = decoder.next_frame().unwrap() {
                assert!(frame.header.kind == Kind::LOG || frame.body.len() == 21_000);
            }
        }
        assert!(!holds(&decoder, b"hunter2"));
    }

    /// Holds S13.
    #[test]
    fn memory_follows_the_bytes_that_came() {
        let mut decoder = Decoder::new(1 << 20);
        let body = vec![7; 1 << 20];
        let bytes = frame(Kind::CALL, 1, &body);
        for (count, chunk) in bytes.chunks(1000).enumerate() {
            feed(&mut decoder, chunk);
            let received = (count + 1) * 1000;
            assert!(decoder.buffer.capacity() <= received + STEP, "after {received} bytes");
            if received < bytes.len() {
                assert_eq!(decoder.next_frame().unwrap(), None);
            }
        }
        assert_eq!(decoder.next_frame().unwrap().unwrap().body, body);
        decoder.space();
        assert!(decoder.buffer.capacity() <= KEEP, "a burst is given back");
    }
}
