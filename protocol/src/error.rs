//! How a call fails, as both sides say it.
//!
//! An [`Error`] answers one call and says what a caller can act on: a code, who is to blame,
//! whether to try again and when, and what happened to the thing asked for (the *effect*).
//! A broken rule of the protocol is not an `Error`: it ends the connection, see
//! [`crate::PeerError`].

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::extension::Extensions;
use crate::limits::MAX_CAUSES;
use crate::{list, text};

/// What kind of failure. Open: a number this build does not know keeps its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Code(pub u16);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// The code's name in words, or `None` for a number from the future.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// The caller cancelled the call.
    CANCELLED = 1, "cancelled";
    /// The call's total time ran out.
    DEADLINE = 2, "deadline";
    /// The call made no progress for its idle time.
    IDLE_TIMEOUT = 3, "idle timeout";
    /// The connection ended before the answer.
    DISCONNECTED = 4, "disconnected";
    /// The receiver has too much to do; try later.
    OVERLOADED = 5, "overloaded";
    /// A quota of the caller or the member is spent.
    QUOTA = 6, "quota";
    /// Something exceeds a limit; the message names limit and actual size.
    TOO_LARGE = 7, "too large";
    /// The receiver does not know the method, kind or feature.
    UNIMPLEMENTED = 8, "unimplemented";
    /// The request makes no sense.
    INVALID = 9, "invalid";
    /// The request comes at the wrong moment of the life of the object.
    INVALID_STATE = 10, "invalid state";
    /// No such item, collection or object.
    NOT_FOUND = 11, "not found";
    /// The item to create is there already.
    EXISTS = 12, "exists";
    /// The item is not at the revision that the write was conditional on.
    PRECONDITION = 13, "precondition";
    /// Two changes contradict each other.
    CONFLICT = 14, "conflict";
    /// The operating system or the server refuses access.
    PERMISSION = 15, "permission";
    /// Credentials are missing or wrong.
    AUTH = 16, "authentication";
    /// The object works on another call and cannot take this one inside it.
    BUSY = 17, "busy";
    /// The member lost its place: everything must be compared.
    SLOW_SYNC = 18, "slow sync required";
    /// The item is not of a format that the receiver can hold.
    FORMAT = 19, "format";
    /// Reading or writing failed.
    IO = 20, "input or output";
    /// The store behind the plugin (a server) failed.
    REMOTE = 21, "remote";
    /// The plugin's code panicked.
    PANIC = 22, "plugin panic";
    /// A defect in Outrigger.
    INTERNAL = 23, "internal";
    /// No room is left on the device or account.
    FULL = 24, "full";
    /// The member accepts no writes.
    READ_ONLY = 25, "read-only";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "code {}", self.0),
        }
    }
}

/// Who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Blame {
    /// Whoever made the call.
    Caller,
    /// The plugin's code.
    Plugin,
    /// The store behind the plugin: a server, a disk.
    Member,
    /// Outrigger itself.
    Broker,
    /// The user's settings.
    Configuration,
}

/// What became of the thing asked for, although the call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Effect {
    /// Nothing happened: trying again is safe.
    NotStarted,
    /// It was done; only the answer failed.
    Done,
    /// Some of it was done.
    Partial,
    /// Nobody knows: look before trying again.
    Unknown,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStarted => "not started",
            Self::Done => "done",
            Self::Partial => "partly done",
            Self::Unknown => "effect unknown",
        })
    }
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Retry {
    /// The same request fails again.
    Never,
    /// After this many milliseconds at the earliest.
    After(u32),
    /// Once somebody has mended what the message names.
    WithFix,
}

/// One step of the chain of causes, outermost first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// What failed there.
    pub code: Code,
    /// In words.
    #[serde(deserialize_with = "text::one")]
    pub message: String,
}

/// Why a call failed, as it crosses the wire. The message is in the words of the side that made
/// it: print it marked as such (invariant 9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Error {
    /// What kind of failure.
    pub code: Code,
    /// Who can mend it.
    pub blame: Blame,
    /// What became of the thing asked for.
    pub effect: Effect,
    /// Whether trying again can help.
    pub retry: Retry,
    /// What failed, in words, for a person.
    #[serde(deserialize_with = "text::one")]
    pub message: String,
    /// Why, outermost first; flat, at most [`MAX_CAUSES`].
    #[serde(deserialize_with = "list::at_most::<MAX_CAUSES, _, _>")]
    pub causes: Vec<Cause>,
    /// Additions of later versions.
    #[serde(default)]
    pub ext: Extensions,
}

impl Error {
    /// A failure that nothing came of, that the plugin is to blame for, and that a retry does not
    /// mend; the `with_` and `by_` methods say otherwise.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            blame: Blame::Plugin,
            effect: Effect::NotStarted,
            retry: Retry::Never,
            message: message.into(),
            causes: Vec::new(),
            ext: Extensions::default(),
        }
    }

    /// The same with another effect.
    #[must_use]
    pub const fn with_effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// The same with another blame.
    #[must_use]
    pub const fn by(mut self, blame: Blame) -> Self {
        self.blame = blame;
        self
    }

    /// The same, worth trying again after `wait` (whole milliseconds, at most 49 days).
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry = Retry::After(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// The same, caused by `cause`. Beyond the limit, causes are dropped.
    #[must_use]
    pub fn because(mut self, code: Code, message: impl Into<String>) -> Self {
        if self.causes.len() < MAX_CAUSES {
            self.causes.push(Cause { code, message: message.into() });
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.message, self.code, self.effect)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {}", cause.message))
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    /// The member's store failed; the effect is unknown unless the caller knows better.
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let code = match error.kind() {
            K::NotFound => Code::NOT_FOUND,
            K::AlreadyExists => Code::EXISTS,
            K::PermissionDenied => Code::PERMISSION,
            K::ReadOnlyFilesystem => Code::READ_ONLY,
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => Code::FULL,
            _ => Code::IO,
        };
        Self::new(code, error.to_string()).by(Blame::Member).with_effect(Effect::Unknown)
    }
}
