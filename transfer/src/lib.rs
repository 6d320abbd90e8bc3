//! Bulk data beside the calls, as pure machines.
//!
//! Nothing is here yet but the room's place: side effects (a local descriptor that is never sent,
//! quota, seek offset, bytes moved) come with the next minor of the protocol, differential
//! transfer (RDC) and Exchange streams after them. Until then an item must fit one call
//! ([`outrigger_protocol::limits::MAX_ITEM_DATA`]).
#![forbid(unsafe_code)]
