//! Chunks: bytes on their way out, most of them copied into one buffer, large ones only referred to.
//!
//! A large piece that is shared already ([`Bytes`]) keeps its place between the copied bytes, and is
//! written from where it lies.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf as _, Bytes};
use zeroize::Zeroize;

use crate::secret;

/// From how many bytes on a shared piece is referred to: below, copying costs less than one more
/// piece to write.
pub(crate) const MIN_SHARED: usize = 4 << 10;

/// A row of bytes, in order.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// What was copied.
    pub(crate) own: Vec<u8>,
    /// Each piece stands behind so many bytes of `own`.
    shared: VecDeque<(usize, Bytes)>,
    /// Bytes of the pieces.
    shared_len: usize,
    /// Bytes of `own` that are written.
    written: usize,
}

impl Chunks {
    /// All bytes, also those that are written.
    pub(crate) fn len(&self) -> usize {
        self.own.len() + self.shared_len
    }

    /// Puts a piece behind all that is here: refers to it if it is large.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if piece.len() < MIN_SHARED {
            return self.own.extend_from_slice(&piece);
        }
        self.shared_len += piece.len();
        self.shared.push_back((self.own.len(), piece));
    }

    /// Takes off what was put in since there were `own` copied bytes.
    pub(crate) fn truncate(&mut self, own: usize) {
        self.own.truncate(own);
        while let Some((_, piece)) = self.shared.back().filter(|(at, _)| *at > own) {
            self.shared_len -= piece.len();
            self.shared.pop_back();
        }
    }

    /// Takes out `count` copied bytes from `start`, with the pieces that stand behind any of them.
    pub(crate) fn remove(&mut self, start: usize, count: usize) {
        let end = start + count;
        secret::take_out(&mut self.own[start..], 0, count);
        self.own.truncate(self.own.len() - count);
        let shared_len = &mut self.shared_len;
        self.shared.retain_mut(|(at, piece)| {
            let keep = *at <= start || *at > end;
            if !keep {
                *shared_len -= piece.len();
            } else if *at > end {
                *at -= count;
            }
            keep
        });
    }

    /// Puts all of `other`, of which nothing was written, behind what is here. Where that moves the
    /// copied bytes, none stay behind.
    pub(crate) fn take_in(&mut self, other: &mut Self) {
        let start = self.own.len();
        secret::append(&mut self.own, &other.own);
        self.shared.extend(other.shared.drain(..).map(|(at, piece)| (start + at, piece)));
        self.shared_len += std::mem::take(&mut other.shared_len);
    }

    pub(crate) fn clear(&mut self) {
        self.own.clear();
        self.shared.clear();
        self.shared_len = 0;
        self.written = 0;
    }

    pub(crate) fn is_written(&self) -> bool {
        self.written == self.own.len() && self.shared.is_empty()
    }

    /// Whether the next byte to write is the copied byte at `own`.
    pub(crate) fn is_at(&self, own: usize) -> bool {
        self.written == own && self.shared.front().is_none_or(|(at, _)| *at > own)
    }

    /// The next run of bytes to write, up to the copied byte at `stop`, and whether it is a shared
    /// piece.
    fn front(&self, stop: usize) -> (&[u8], bool) {
        match self.shared.front() {
            Some((at, piece)) if *at == self.written => (piece, true),
            next => {
                let end = next.map_or(self.own.len(), |(at, _)| *at).min(stop);
                (self.own.get(self.written..end).unwrap_or_default(), false)
            }
        }
    }

    /// The next bytes that lie together.
    pub(crate) fn bytes(&self, stop: usize) -> &[u8] {
        self.front(stop).0
    }

    /// All that is to be written before the copied byte at `stop`, as many runs as `slices` has room
    /// for. Returns how many.
    pub(crate) fn slices<'a>(&'a self, stop: usize, slices: &mut [IoSlice<'a>]) -> usize {
        if self.shared.is_empty() {
            let run = self.bytes(stop);
            slices.iter_mut().take(1).for_each(|slice| *slice = IoSlice::new(run));
            return usize::from(!run.is_empty() && !slices.is_empty());
        }
        let (mut at, mut used) = (self.written, 0);
        let pieces = self.shared.iter().map(|(at, piece)| (*at, &piece[..]));
        let last = (self.own.len().min(stop), &[][..]);
        for (end, piece) in pieces.take_while(|(at, _)| *at <= stop).chain([last]) {
            let own = self.own.get(at..end).unwrap_or_default();
            for run in [own, piece].into_iter().filter(|run| !run.is_empty()) {
                let Some(slice) = slices.get_mut(used) else { return used };
                *slice = IoSlice::new(run);
                used += 1;
            }
            at = end;
        }
        used
    }

    /// `count` bytes were written.
    pub(crate) fn wrote(&mut self, mut count: usize) {
        if self.shared.is_empty() {
            self.written = self.own.len().min(self.written.saturating_add(count));
            return;
        }
        while count > 0 {
            let (run, is_shared) = self.front(usize::MAX);
            let done = run.len().min(count);
            if done == 0 {
                return;
            }
            count -= done;
            if !is_shared {
                self.written += done;
            } else if let Some((_, piece)) = self.shared.front_mut() {
                piece.advance(done);
                if piece.is_empty() {
                    self.shared.pop_front();
                }
            }
        }
    }
}

impl Zeroize for Chunks {
    /// Wipes what was copied; what is shared is no secret.
    fn zeroize(&mut self) {
        self.own.zeroize();
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = MIN_SHARED;

    /// `a`, a large piece of `b`, `c`, a large piece of `d`, twice.
    fn sample() -> (Chunks, Vec<u8>) {
        let mut chunks = Chunks::default();
        let mut flat = Vec::new();
        for (small, large) in [(b'a', b'b'), (b'c', b'd')] {
            chunks.own.extend_from_slice(&[small; 10]);
            chunks.push(vec![large; LARGE].into());
            chunks.push(vec![large; LARGE].into());
            flat.extend_from_slice(&[small; 10]);
            flat.extend_from_slice(&[large; 2 * LARGE]);
        }
        chunks.push(Bytes::from_static(b"small"));
        flat.extend_from_slice(b"small");
        (chunks, flat)
    }

    fn gathered(chunks: &Chunks) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 16];
        let used = chunks.slices(usize::MAX, &mut slices);
        slices[..used].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn wherever_a_write_stops_the_rest_follows() {
        let (whole, flat) = sample();
        assert_eq!((whole.len(), whole.own.len()), (flat.len(), 25));
        for stop in [0, 1, 10, 11, 10 + LARGE, 10 + 2 * LARGE, 25 + 2 * LARGE, flat.len() - 1] {
            let (mut chunks, _) = sample();
            chunks.wrote(stop);
            assert!(gathered(&chunks) == flat[stop..], "{stop}");
            let mut rest = Vec::new();
            while !chunks.is_written() {
                rest.extend_from_slice(chunks.bytes(usize::MAX));
                chunks.wrote(chunks.bytes(usize::MAX).len());
            }
            assert!(rest == flat[stop..], "{stop}");
        }
    }

    #[test]
    fn what_is_taken_back_takes_its_pieces_along() {
        let (mut chunks, flat) = sample();
        chunks.remove(0, 10);
        assert!(gathered(&chunks) == flat[10 + 2 * LARGE..]);
        assert_eq!(chunks.len(), flat.len() - 10 - 2 * LARGE);
        let (mut chunks, flat) = sample();
        chunks.truncate(10);
        assert!(gathered(&chunks) == flat[..10 + 2 * LARGE], "what stood before stays");
    }

    #[test]
    fn few_slices_are_a_beginning() {
        let (chunks, flat) = sample();
        let mut slices = [IoSlice::new(&[]); 2];
        assert_eq!(chunks.slices(usize::MAX, &mut slices), 2);
        assert!([&slices[0][..], &slices[1][..]].concat() == flat[..10 + LARGE]);
    }
}
