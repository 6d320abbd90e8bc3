//! What a peer did, as the driver hears of it.

use std::time::Duration;

use crate::call::Method;
use crate::callback::Snapshot;
use crate::control::{Log, Progress};
use crate::error::Error;
use crate::frame::Flags;
use crate::ids::{CallId, ObjectId, StreamId};
use crate::stream::Items;

/// A call that the peer makes; answer it with [`crate::Connection::reply`] or
/// [`crate::Connection::fail`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncomingCall<'f> {
    /// Its number.
    pub id: CallId,
    /// The object it is meant for.
    pub target: ObjectId,
    /// The method.
    pub method: Method,
    /// [`Flags::NESTED`] when it is made while serving a call of ours; [`Flags::SECRET`].
    pub flags: Flags,
    /// The call of ours that a nested one is made for.
    pub parent: Option<CallId>,
    /// Its total time, to be counted from dispatch; `None` = the method's default.
    pub total: Option<Duration>,
    /// The request's body.
    pub body: &'f [u8],
}

/// Who ended a call that failed. Not to be read from the error's code: a peer may answer with any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The peer, whose answer the error is.
    Peer,
    /// Its time ran out.
    Time,
    /// This side gave it up before it was sent.
    Caller,
    /// The connection ended, or is ending and did not start it.
    Connection,
}

/// What happened. `C` is the context that was stored with a call; each comes out once, in
/// `Reply` or `Failed`.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'f, C> {
    /// The peer calls.
    Call(IncomingCall<'f>),
    /// The peer gave up a call that it made; answer it all the same.
    Cancel(CallId),
    /// A call succeeded.
    Reply {
        /// Its number.
        call: CallId,
        /// The stored context.
        context: C,
        /// The answer's body.
        body: &'f [u8],
    },
    /// A call failed: the peer said so, its time ran out, or the connection ended.
    Failed {
        /// Its number.
        call: CallId,
        /// The stored context.
        context: C,
        /// Why, and with which effect.
        error: Error,
        /// Who ended it.
        by: EndedBy,
    },
    /// A call is on its way.
    Progress {
        /// Its number.
        call: CallId,
        /// How far.
        progress: Progress,
    },
    /// Data of a call. Hand [`Items::bytes`] to [`crate::Connection::consumed`] when it is dealt
    /// with; until then the sender's credit shrinks.
    Items {
        /// The call it belongs to.
        call: CallId,
        /// The stream it came on.
        stream: StreamId,
        /// The data.
        items: Items<'f>,
    },
    /// All data of a stream has come, and the counts agree.
    StreamEnd {
        /// The call it belongs to.
        call: CallId,
        /// The stream.
        stream: StreamId,
    },
    /// The peer wants no more of a stream that this side sends, or breaks off one of its own.
    StreamReset {
        /// The call it belongs to.
        call: CallId,
        /// The stream.
        stream: StreamId,
    },
    /// A line for the log, in the peer's words.
    Log(Log),
    /// Something changed at an object of the peer.
    Notify(ObjectId),
    /// A member or group as it is now. Use it only if its generation is above the one that is
    /// known.
    Snapshot(Box<Snapshot>),
    /// The answer to [`crate::Connection::ping`] (0), or to [`crate::Connection::ping_as`], as the peer
    /// says.
    Pong(u64),
    /// The peer makes no more calls and takes no more.
    Goodbye,
    /// Both sides are done: close the connection.
    Closed,
}
