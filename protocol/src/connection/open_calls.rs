//! The calls of the peer that are not answered yet.

use crate::call::Method;
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

/// One of them.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: CallId,
    pub(super) method: Method,
    pub(super) bytes: u64,
    pub(super) depth: u32,
    /// The call of this side whose idle clock rests meanwhile.
    pub(super) parent: Option<CallId>,
    /// The peer has given it up.
    pub(super) cancelled: bool,
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

    pub(super) fn begin(&mut self, call: Open) {
        self.bytes += call.bytes;
        self.highest = call.id.0;
        self.open.push(call);
    }

    /// The peer gives a call up; says whether it is open and this is news.
    pub(super) fn cancel(&mut self, id: CallId) -> bool {
        let open = self.open.iter_mut().find(|call| call.id == id);
        open.is_some_and(|call| !std::mem::replace(&mut call.cancelled, true))
    }

    pub(super) fn end(&mut self, id: CallId) -> Option<Open> {
        let at = self.open.iter().position(|call| call.id == id)?;
        let call = self.open.remove(at);
        self.bytes -= call.bytes;
        Some(call)
    }
}
