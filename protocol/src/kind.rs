//! Kind: what a frame is, by number.

use std::fmt;

/// What a frame is. Unknown numbers are skipped, or answered with UNIMPLEMENTED when
/// [`crate::Flags::CRITICAL`] is set (decisions W7).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl Kind {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// First frame of the side that dials. JSON.
    HELLO = 1;
    /// First frame of the side that listens. JSON.
    HELLO_OK = 2;
    /// Proof of a shared secret over all bytes before it. 32 bytes.
    PROOF = 3;
    /// The handshake failed, and why. JSON.
    REFUSED = 4;
    /// A call.
    CALL = 16;
    /// Its successful end.
    REPLY = 17;
    /// Its failed end.
    ERROR = 18;
    /// The caller gives up; the call still gets its one end.
    CANCEL = 19;
    /// How far a call is; restarts its idle clock.
    PROGRESS = 20;
    /// The sender will send data that belongs to a call.
    STREAM_OPEN = 32;
    /// Raw bytes of a stream.
    DATA = 33;
    /// How far the sender may go, as absolute offsets. 24 raw bytes.
    CREDIT = 34;
    /// All data of a stream was sent, and how much it was.
    STREAM_END = 35;
    /// Either side ends a stream early.
    STREAM_RESET = 36;
    /// A line for the log.
    LOG = 48;
    /// A member or group as it is now; sent unasked when it has changed.
    SNAPSHOT = 49;
    /// Something changed at the target. No body.
    NOTIFY = 50;
    /// Are you there?
    PING = 64;
    /// Yes.
    PONG = 65;
    /// No new calls; what was accepted will be finished.
    GOODBYE = 66;
    /// All is finished.
    GOODBYE_OK = 67;
    /// A rule was broken; the connection ends here.
    ABORT = 68;
    /// A frame marked critical was not understood; carries its header.
    UNIMPLEMENTED = 69;
}

impl Kind {
    /// Whether this build knows the kind.
    pub(crate) const fn is_known(self) -> bool {
        self.name().is_some()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "kind {}", self.0),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
