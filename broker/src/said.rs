//! What a plugin says of its own, copied out of the receive buffer.

use std::time::Duration;

use outrigger_protocol::{Blame, CallId, Code, Codec, Error, IncomingCall, Method, ObjectId};
use serde::Deserialize;

/// The longest that a plugin may let a call wait: as long as its own longest calls.
const LONGEST: Duration = Duration::from_secs(1800);

/// What a plugin said that is to be attended to.
#[derive(Debug)]
pub(crate) enum FromPlugin {
    /// It calls.
    Call(Asked),
    /// It gives up a call.
    Cancel(CallId),
    /// Something changed at an object of its own.
    Notify(ObjectId),
}

/// A call of a plugin, copied out of the receive buffer.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: CallId,
    pub(crate) target: ObjectId,
    pub(crate) method: Method,
    pub(crate) total: Duration,
    pub(crate) body: Vec<u8>,
}

impl From<IncomingCall<'_>> for Asked {
    fn from(call: IncomingCall<'_>) -> Self {
        let total = call.total.unwrap_or(call.method.rules_or_default().total).min(LONGEST);
        let IncomingCall { id, target, method, body, .. } = call;
        Self { id, target, method, total, body: body.to_vec() }
    }
}

/// The body of a call.
pub(crate) fn body<'a, T: Deserialize<'a>>(call: &'a Asked, codec: Codec) -> Result<T, Error> {
    codec.decode(&call.body).map_err(|error| refuse(Code::INVALID, call, &error.to_string()))
}

/// A call that is refused in the caller's name.
pub(crate) fn refuse(code: Code, call: &Asked, why: &str) -> Error {
    Error::new(code, format!("{} on {}: {why}", call.method, call.target)).by(Blame::Caller)
}
