//! The body of a call, and its answer.

use outrigger_protocol::{
    Code, Committed, Compared, Connected, Discovered, Error, Initialized, Listing, Remarshalled, Sink,
};
use outrigger_transport::BlockingLink;
use serde::{Deserialize, Serialize};

use crate::inbox::Queued;
use crate::objects::refuse;

/// A successful answer, ready to be encoded.
pub(crate) enum Answer {
    Nothing,
    Initialized(Initialized),
    Discovered(Discovered),
    Sink(Box<Sink>),
    Connected(Connected),
    Listing(Listing),
    Committed(Committed),
    Remarshalled(Remarshalled),
    Compared(Compared),
}

impl Answer {
    pub(crate) fn send(&self, link: &mut BlockingLink<()>, call: &Queued) {
        fn reply<T: Serialize + ?Sized>(link: &mut BlockingLink<()>, call: &Queued, body: &T) {
            link.connection().reply(call.id, body);
        }
        match self {
            Self::Nothing => reply(link, call, &()),
            Self::Initialized(body) => reply(link, call, body),
            Self::Discovered(body) => reply(link, call, body),
            Self::Sink(body) => reply(link, call, &**body),
            Self::Connected(body) => reply(link, call, body),
            Self::Listing(body) => reply(link, call, body),
            Self::Committed(body) => reply(link, call, body),
            Self::Remarshalled(body) => reply(link, call, body),
            Self::Compared(body) => reply(link, call, body),
        }
    }
}

/// Reads the body of a call.
pub(crate) fn body<'a, T: Deserialize<'a>>(
    link: &mut BlockingLink<()>,
    call: &'a Queued,
) -> Result<T, Error> {
    let codec = link.connection().codec();
    codec.decode(&call.body).map_err(|error| {
        let why = if call.secret { "the body cannot be read".into() } else { error.to_string() };
        refuse(Code::INVALID, format!("{}: {why}", call.method)) // an error may quote what it is about
    })
}
