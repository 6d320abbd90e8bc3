//! Events without borrowing, so that a test can keep them.

use std::time::Duration;

use outrigger_protocol::{CallId, EndedBy, Error, Event, Flags, Method, ObjectId, Progress, StreamId};

/// What a test stores with a call.
pub(crate) type Context = u32;

/// As [`Event`], owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Call {
        id: CallId,
        target: ObjectId,
        method: Method,
        flags: Flags,
        parent: Option<CallId>,
        total: Option<Duration>,
        body: Vec<u8>,
    },
    Cancel(CallId),
    Reply {
        call: CallId,
        context: Context,
        body: Vec<u8>,
    },
    Failed {
        call: CallId,
        context: Context,
        error: Error,
        by: EndedBy,
    },
    Progress {
        call: CallId,
        progress: Progress,
    },
    Items {
        call: CallId,
        stream: StreamId,
        items: Vec<Vec<u8>>,
        bytes: u64,
    },
    StreamEnd {
        call: CallId,
        stream: StreamId,
    },
    StreamReset {
        call: CallId,
        stream: StreamId,
    },
    Log(String),
    Notify(ObjectId),
    Snapshot(outrigger_protocol::Snapshot),
    Pong,
    Goodbye,
    Closed,
}

impl Seen {
    /// The context that came out, if this is the end of a call.
    pub(crate) fn context(&self) -> Option<Context> {
        match self {
            Self::Reply { context, .. } | Self::Failed { context, .. } => Some(*context),
            _ => None,
        }
    }

    /// The number and the error of a failed call.
    pub(crate) fn failure(&self) -> Option<(CallId, &Error)> {
        match self {
            Self::Failed { call, error, .. } => Some((*call, error)),
            _ => None,
        }
    }
}

impl From<Event<'_, Context>> for Seen {
    fn from(event: Event<'_, Context>) -> Self {
        match event {
            Event::Call(call) => Self::Call {
                id: call.id,
                target: call.target,
                method: call.method,
                flags: call.flags,
                parent: call.parent,
                total: call.total,
                body: call.body.to_vec(),
            },
            Event::Cancel(call) => Self::Cancel(call),
            Event::Reply { call, context, body } => Self::Reply { call, context, body: body.to_vec() },
            Event::Failed { call, context, error, by } => Self::Failed { call, context, error, by },
            Event::Progress { call, progress } => Self::Progress { call, progress },
            Event::Items { call, stream, items } => {
                let mut all = Vec::new();
                let each = |item: &[u8]| {
                    all.push(item.to_vec());
                    Ok::<(), ()>(())
                };
                items.for_each(each).unwrap();
                Self::Items { call, stream, items: all, bytes: items.bytes }
            }
            Event::StreamEnd { call, stream } => Self::StreamEnd { call, stream },
            Event::StreamReset { call, stream } => Self::StreamReset { call, stream },
            Event::Log(log) => Self::Log(log.message),
            Event::Notify(target) => Self::Notify(target),
            Event::Snapshot(snapshot) => Self::Snapshot(*snapshot),
            Event::Pong(_) => Self::Pong,
            Event::Goodbye => Self::Goodbye,
            Event::Closed => Self::Closed,
        }
    }
}
