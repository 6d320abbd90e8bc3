//! What a peer did that the protocol forbids. Each of these ends the connection, with an ABORT
//! that carries the text, and costs only that connection.

use crate::call::Method;
use crate::ids::{CallId, StreamId};
use crate::kind::Kind;
use crate::printable::Words;

/// A rule of the protocol that the other side broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The connection does not begin with the preface: something else speaks there.
    #[error("the other end does not speak this protocol: it began with \"{0}\"")]
    Preface(String),
    /// A header that cannot be: a reserved byte in use, extensions longer than the body.
    #[error("malformed frame header: {0}")]
    Header(&'static str),
    /// Descriptors where none belong, too few, or too many (decisions W10).
    #[error("descriptors: {0}")]
    Handles(&'static str),
    /// A frame larger than what was announced as acceptable.
    #[error("a {kind} frame of {actual} bytes, above the limit of {limit}")]
    FrameTooLarge {
        /// The frame's kind.
        kind: Kind,
        /// Its body length as claimed; nothing was reserved for it.
        actual: u32,
        /// The limit of this receiver.
        limit: usize,
    },
    /// A body that is not what its frame's kind says.
    #[error("the body of a {kind} frame cannot be decoded: {reason}")]
    Body {
        /// The frame's kind.
        kind: Kind,
        /// What is wrong.
        reason: String,
    },
    /// A kind that is not allowed at this moment.
    #[error("a {0} frame at the wrong moment")]
    Unexpected(Kind),
    /// An answer to, or a cancel of, a number that was never given out.
    #[error("{0} was never issued")]
    NeverIssued(CallId),
    /// A new call or stream with a number of the wrong side, or not above all before it.
    #[error("number {0} is not a new number of that side")]
    BadNumber(u64),
    /// More unanswered calls, or more bytes of them, than announced as acceptable.
    #[error("more unanswered calls than announced")]
    TooManyCalls,
    /// An answer larger than what its call may reserve for it.
    #[error("the answer to {method} has {actual} bytes, above the limit of {limit}")]
    ReplyTooLarge {
        /// The method that was called.
        method: Method,
        /// The length of the answer.
        actual: u32,
        /// The limit of the method, or of this receiver.
        limit: u32,
    },
    /// More open streams than announced as acceptable.
    #[error("more open streams than announced")]
    TooManyStreams,
    /// It makes this side answer, and does not read the answers.
    #[error("it does not read what it asked for")]
    NotReading,
    /// Data beyond what was granted.
    #[error("{0} sent more than its credit")]
    CreditExceeded(StreamId),
    /// An item in a stream above the limit.
    #[error("{stream} holds an item of {size} bytes, above the limit of {limit}")]
    ItemTooLarge {
        /// The stream.
        stream: StreamId,
        /// The item's claimed length; nothing was reserved for it.
        size: u32,
        /// The limit.
        limit: usize,
    },
    /// The end of a stream contradicts what was sent on it.
    #[error("{0} ended with a wrong count")]
    WrongCount(StreamId),
    /// Extension entries that do not ascend or do not fit.
    #[error("malformed extension entries")]
    Extensions,
    /// The peer ended the connection, and said why.
    #[error("the other end aborted, and says: {}", Words(.0))]
    Aborted(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HandshakeError, Refused};

    #[test]
    fn b4_what_the_other_end_says_is_in_quotes_and_cannot_draw() {
        let said = || "no\x1b[2J\u{202e}\"".to_owned();
        let words = r#""no\u{1b}[2J\u{202e}\"""#;
        let aborted = PeerError::Aborted(said()).to_string();
        assert_eq!(aborted, format!("the other end aborted, and says: {words}"));
        let refused = HandshakeError::Refused(Refused { reason: said(), hint: said() }).to_string();
        assert_eq!(refused, format!("the other end refused, and says: {words} ({words})"));
    }
}
