//! The connection machine: what one side of a connection does, without a socket or a clock.
//!
//! Both sides run the same machine; only the parity of their numbers differs. A driver feeds it
//! frames ([`Connection::receive`]) and the time ([`Connection::expire`]), writes what it hands
//! out ([`Connection::output`]), and comes back at [`Connection::next_deadline`]. What the peer
//! did comes out as [`Event`]s that borrow from the receive buffer.
//!
//! What it promises: every call gets exactly one end, whatever happens; what the peer may make it
//! keep is bounded by the limits it announced; a broken rule is a [`crate::PeerError`] and ends
//! this connection only.
//!
//! One file each: the state ([`machine`]), calls that this side makes (`calls`), calls that it
//! answers (`serving`), streams (`streams`), what is said unasked
//! (`unasked`), frames that arrive (`receive`).

mod calls;
mod event;
mod machine;
mod open_calls;
mod receive;
mod serving;
mod streams;
mod token_bucket;
mod unasked;

pub use calls::{CallOptions, Refusal};
pub use event::{EndedBy, Event, IncomingCall};
pub use machine::{Connection, Counters, Role};
