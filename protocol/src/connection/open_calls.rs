//! The calls of the peer that are not answered yet.

use crate::hello::Limits;
use crate::ids::CallId;
use crate::limits::MAX_DEPTH;

/// The peer's calls that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct OpenCalls {
    open: Vec<Open>,
    bytes: u64,
    /// The highest number of a call that was accepted.
    pub(super) highest: u64,
}

#[derive(Debug)]
struct Open {
    id: CallId,
    bytes: u64,
    depth: u32,
}

impl OpenCalls {
    pub(super) const fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn is_open(&self, id: CallId) -> bool {
        self.open.iter().any(|call| call.id == id)
    }

    /// Whether a receiver with the limits `own` must take one more call. Calls within calls have
    /// a window of their own, [`MAX_DEPTH`] times as large.
    pub(super) fn has_room(&self, nested: bool, own: &Limits) -> bool {
        let window = own.max_calls.saturating_mul(if nested { MAX_DEPTH } else { 1 });
        let calls = self.open.iter().filter(|call| (call.depth > 0) == nested).count();
        let bytes = own.call_bytes.saturating_add(own.max_body.into());
        calls < window as usize && self.bytes <= bytes
    }

    /// How deep an open call is nested; 0 for a root call.
    pub(super) fn depth(&self, id: CallId) -> u32 {
        self.open.iter().find(|call| call.id == id).map_or(0, |call| call.depth)
    }

    pub(super) fn begin(&mut self, id: CallId, bytes: u64, depth: u32) {
        self.open.push(Open { id, bytes, depth });
        self.bytes += bytes;
        self.highest = id.0;
    }

    pub(super) fn end(&mut self, id: CallId) -> bool {
        let Some(at) = self.open.iter().position(|call| call.id == id) else { return false };
        self.bytes -= self.open.remove(at).bytes;
        true
    }
}
