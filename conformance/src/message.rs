//! A whole frame that is kept: in a conversation, in a recording, in a comparison.

use outrigger_protocol::{Frame, Header, Kind};

/// One frame, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its header.
    pub header: Header,
    /// Raw extension entries.
    pub ext: Vec<u8>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Message {
    /// A frame without extension entries; `body_len` follows from the body.
    #[must_use]
    pub fn new(header: Header, body: Vec<u8>) -> Self {
        let body_len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        Self { header: Header { body_len, ext_len: 0, ..header }, ext: Vec::new(), body }
    }

    /// A frame with a kind and a number only.
    #[must_use]
    pub fn bare(kind: Kind, id: u64, body: Vec<u8>) -> Self {
        Self::new(Header::new(kind, id), body)
    }

    /// Its bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        [&self.header.encode()[..], &self.ext, &self.body].concat()
    }
}

impl From<Frame<'_>> for Message {
    fn from(frame: Frame<'_>) -> Self {
        Self { header: frame.header, ext: frame.ext.to_vec(), body: frame.body.to_vec() }
    }
}
