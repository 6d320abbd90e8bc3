//! What a sync plugin and its broker say to each other.
#![forbid(unsafe_code)]

mod blob;
mod call;
mod change;
mod error;
mod extension;
mod ids;
pub mod limits;
mod list;
mod member;

pub use call::{
    Commit, Committed, Connect, ConnectDone, Connected, CreateCollection, Discovered, GetChanges, Initialize,
    Initialized, Listing, Method, MethodRules, Read,
};
pub use change::{
    Change, ChangeKind, CommitItem, CommitKind, CommitOutcome, CommitResult, ReadItem, ReadOutcome, ReadResult,
};
pub use error::{Blame, Cause, Code, Effect, Error, Retry};
pub use extension::Extensions;
pub use ids::{Anchor, CallId, Href, ObjectId, OperationId, RawDigest, Revision, SessionId, StoreId, StreamId};
pub use member::{Group, Member, MemberObjectType, Sink};
