//! Varint: numbers and byte strings one behind the other, small ones in little room (LEB128).
//!
//! For memory of this process only: a reader never panics, and what it finds wrong reads as zero or
//! empty.

const MORE: u8 = 0x80;

pub(crate) fn write(to: &mut Vec<u8>, mut number: u64) {
    while number >= u64::from(MORE) {
        to.push(number.to_le_bytes()[0] | MORE);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}

pub(crate) fn write_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    write(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// Reads what was written, in the same order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn number(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte();
            number |= u64::from(byte & !MORE) << shift;
            if byte & MORE == 0 {
                break;
            }
        }
        number
    }

    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::try_from(self.number()).unwrap_or(usize::MAX);
        let (bytes, rest) = self.0.split_at_checked(length).unwrap_or((self.0, &[]));
        self.0 = rest;
        bytes
    }

    pub(crate) fn array<const N: usize>(&mut self) -> &'a [u8; N] {
        let Some((array, rest)) = self.0.split_first_chunk() else { return const { &[0; N] } };
        self.0 = rest;
        array
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        numbers.iter().for_each(|number| write(&mut bytes, *number));
        write_bytes(&mut bytes, b"abc");
        bytes.extend_from_slice(&[7; 4]);
        let mut reader = Reader::new(&bytes);
        assert_eq!(numbers.map(|_| reader.number()), numbers);
        assert_eq!((reader.bytes(), reader.array()), (&b"abc"[..], &[7; 4]));
        assert!(reader.is_empty() && reader.byte() == 0 && reader.bytes().is_empty());
    }
}
