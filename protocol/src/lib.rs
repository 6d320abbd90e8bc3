//! What a sync plugin and its broker say to each other: IDs, objects, messages, frames, and the
//! connection machine.
//!
//! The idea: everything here is values and state machines. Bytes, the time and random numbers are
//! handed in; bytes and events come out. So a test lets a year pass in one line, and cuts a
//! conversation at any byte. No clock, randomness, file, socket or thread is in scope.
//!
//! Where to look: [`Change`], [`Member`], [`Group`], [`Sink`], [`Error`] are the objects;
//! [`Method`] and its neighbours what can be asked; [`Decoder`] and [`Header`] the bytes;
//! [`Handshake`] how two ends meet; [`Connection`] how they talk. A call's context is stored in
//! `pending.rs`.
//!
//! What it promises: an ID is never reused on a connection; a context leaves the table exactly
//! once; a length is checked before memory is reserved; no input makes it panic.
#![forbid(unsafe_code)]

mod announcement;
mod blob;
mod bulk;
mod call;
mod callback;
mod change;
mod chunks;
mod codec;
mod connection;
mod control;
mod decoder;
mod dedupe;
mod enrolled;
mod error;
mod extension;
mod frame;
mod handshake;
mod hello;
mod idle;
mod ids;
mod kind;
pub mod limits;
mod list;
mod member;
mod network;
mod number;
mod outbound;
mod page;
mod peer_error;
mod pending;
mod printable;
mod secret;
mod stream;
mod text;

pub use announcement::{Announcement, EndName};
pub use bulk::{BulkDigest, BulkDone, BulkOpen};
pub use call::{
    Commit, Committed, Connect, ConnectDone, Connected, CreateCollection, Discovered, FormatInfo, GetChanges,
    Initialize, Initialized, Listing, Method, MethodRules, Read,
};
pub use callback::{
    Answered, Ask, AskKind, Compare, Compared, MemberUpdate, MemberUpdated, RaiseSlowSync, Remarshal,
    Remarshalled, Rename, Snapshot, Verdict,
};
pub use change::{
    Change, ChangeKind, CommitItem, CommitKind, CommitOutcome, CommitResult, ReadItem, ReadOutcome,
    ReadResult,
};
pub use codec::{BodyError, Codec};
pub use connection::{CallOptions, Connection, Counters, EndedBy, Event, IncomingCall, Refusal, Role};
pub use control::{
    Abort, Credit, Goodbye, Level, Log, Progress, StreamEnd, StreamKind, StreamOpen, StreamReset,
};
pub use decoder::Decoder;
pub use dedupe::Dedupe;
pub use enrolled::{Fingerprint, proof_delay};
pub use error::{Blame, Cause, Code, Effect, Error, Retry};
pub use extension::Extensions;
pub use frame::{Budget, Flags, Frame, Header};
pub use handshake::{Handshake, HandshakeError, PREFACE, Secret};
pub use hello::{AuthKind, HANDLES, Hello, Limits, Refused, Session, VERSION, Version};
pub use idle::IdleTimes;
pub use ids::{
    Anchor, CallId, Cursor, Href, ObjectId, OperationId, RawDigest, Revision, SessionId, StoreId, StreamId,
};
pub use kind::Kind;
pub use member::{Group, Member, MemberObjectType, Sink};
pub use network::{ConnectHost, HostConnected, Lookup, SrvRecord, SrvRecords, TxtRecord, TxtRecords};
pub use page::{ChangesPage, GetChangesPage, ReadPage};
pub use peer_error::PeerError;
pub use printable::{Printable, Words};
pub use secret::SecretText;
pub use stream::Items;
