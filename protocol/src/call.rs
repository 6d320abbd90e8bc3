//! What can be asked: the methods, and the body of each request and answer.
//!
//! The life of a plugin (OpenSync's, with its gaps closed): `initialize` on the host makes an
//! instance; `discover` on the instance names its sinks; then, per run and sink, `connect`,
//! `connect_done`, `get_changes`, any number of `read` and `commit`, `committed_all`,
//! `sync_done`, `disconnect`; and `finalize` on the instance. An initialised instance serves many
//! runs. Bodies are frozen: additions travel as extensions.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::change::{CommitItem, CommitResult, ReadItem};
use crate::ids::{Anchor, ObjectId, OperationId};
use crate::member::{Group, Member, Sink};
use crate::secret::{self, SecretText};
use crate::{list, number, text};

/// A method number, as it stands in the header of a CALL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(pub u16);

/// How a method treats time, order and room (decisions W2, W3, W6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodRules {
    /// The name in logs and errors.
    pub name: &'static str,
    /// Default total time, from dispatch.
    pub total: Duration,
    /// Default time without progress, data or a nested call; see [`crate::IdleTimes`].
    pub idle: Duration,
    /// Sent only when no call to the object, or to anything below it, is open.
    pub barrier: bool,
    /// Most bytes of its answer, extensions included, where the caller takes as many
    /// ([`crate::Limits::max_body`]).
    pub max_reply: u32,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $constant:ident = $number:literal, $name:literal, $total:literal, $idle:literal, $barrier:literal, $kib:literal;)*) => {
        impl Method {
            $($(#[$doc])* pub const $constant: Self = Self($number);)*

            /// All methods that this build knows.
            pub const ALL: &'static [Self] = &[$(Self::$constant),*];

            /// The rules of a known method.
            #[must_use]
            pub const fn rules(self) -> Option<MethodRules> {
                match self.0 {
                    $($number => Some(MethodRules {
                        name: $name,
                        total: Duration::from_secs($total),
                        idle: Duration::from_secs($idle),
                        barrier: $barrier,
                        max_reply: $kib << 10,
                    }),)*
                    _ => None,
                }
            }
        }
    };
}

// Times follow OpenSync's per-call defaults (30 s for links, 30 min for work), with a limit for the
// calls that had none. The last column is the largest answer in KiB: 64, or all that a frame holds
// where the answer is a list, a member or content (decisions W6).
methods! {
    /// On the host: make an instance for a member. [`Initialize`] → [`Initialized`].
    INITIALIZE = 1, "initialize", 60, 60, false, 64;
    /// On the instance: which collections are there? Nothing → [`Discovered`].
    DISCOVER = 2, "discover", 60, 60, false, 1024;
    /// On the instance: make a collection. [`CreateCollection`] → [`Sink`].
    CREATE_COLLECTION = 3, "create_collection", 60, 60, false, 64;
    /// On a sink: open the link to the store. [`Connect`] → [`Connected`].
    CONNECT = 4, "connect", 60, 30, false, 64;
    /// On a sink: all members are connected. [`ConnectDone`] → nothing.
    CONNECT_DONE = 5, "connect_done", 60, 30, false, 64;
    /// On a sink: list. [`GetChanges`] → a stream of [`crate::Change`], then [`Listing`].
    GET_CHANGES = 6, "get_changes", 1800, 60, true, 64;
    /// On a sink: fetch items. [`Read`] → a stream of [`crate::ReadResult`], then nothing.
    READ = 7, "read", 1800, 60, false, 64;
    /// On a sink: write items. [`Commit`] → [`Committed`].
    COMMIT = 8, "commit", 1800, 60, false, 1024;
    /// On a sink: no more commits come in this run. Nothing → nothing.
    COMMITTED_ALL = 9, "committed_all", 60, 30, true, 64;
    /// On a sink: the run succeeded and all is recorded. Nothing → nothing.
    SYNC_DONE = 10, "sync_done", 60, 30, true, 64;
    /// On a sink: close the link. Nothing → nothing.
    DISCONNECT = 11, "disconnect", 30, 30, true, 64;
    /// On the instance: end it. Nothing → nothing.
    FINALIZE = 12, "finalize", 30, 30, true, 64;
    /// On a sink of a peer without streams: the next part of a listing.
    /// [`crate::GetChangesPage`] → [`crate::ChangesPage`].
    GET_CHANGES_PAGE = 13, "get_changes_page", 1800, 60, true, 1024;
    /// On a sink of a peer without streams: fetch items, as many as fit an answer. [`Read`] →
    /// [`crate::ReadPage`].
    READ_PAGE = 14, "read_page", 1800, 60, false, 1024;
    /// On the instance: marshal again what was marshalled. [`crate::Remarshal`] →
    /// [`crate::Remarshalled`].
    REMARSHAL = 15, "remarshal", 60, 60, false, 1024;
    /// On the instance: do two items mean the same? [`crate::Compare`] → [`crate::Compared`].
    COMPARE = 16, "compare", 60, 60, false, 64;
    /// By a plugin, on a member: set options. [`crate::MemberUpdate`] → [`crate::MemberUpdated`].
    MEMBER_UPDATE = 32, "member_update", 30, 30, false, 1024;
    /// By a plugin, on a member: everything is to be compared. [`crate::RaiseSlowSync`] →
    /// [`Member`].
    RAISE_SLOW_SYNC = 33, "raise_slow_sync", 30, 30, false, 1024;
    /// By a plugin, on a member: ask the user. [`crate::Ask`] → [`crate::Answered`].
    ASK = 34, "ask", 120, 120, false, 64;
    /// By a plugin, on a member: a TCP stream to a granted host. [`crate::ConnectHost`] →
    /// [`crate::HostConnected`], with one descriptor. Needs [`crate::HANDLES`].
    CONNECT_HOST = 35, "connect_host", 60, 60, false, 64;
    /// By a plugin, on a member: where a service is. [`crate::Lookup`] → [`crate::SrvRecords`].
    LOOKUP_SRV = 36, "lookup_srv", 30, 30, false, 64;
    /// By a plugin, on a member: what a name says of itself. [`crate::Lookup`] →
    /// [`crate::TxtRecords`].
    LOOKUP_TXT = 37, "lookup_txt", 30, 30, false, 64;
    /// By a plugin, on a member: items of a collection are called otherwise from now on.
    /// [`crate::Rename`] → nothing.
    RENAME = 38, "rename", 30, 30, false, 64;
}

impl Method {
    /// The rules of the method; those of an ordinary short call for a number from the future.
    #[must_use]
    pub fn rules_or_default(self) -> MethodRules {
        const OTHER: MethodRules = MethodRules {
            name: "unknown",
            total: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            barrier: false,
            max_reply: 64 << 10,
        };
        self.rules().unwrap_or(OTHER)
    }

    /// Whether it is a plugin that makes the call, and not a broker.
    pub(crate) const fn is_of_plugins(self) -> bool {
        self.0 >= Self::MEMBER_UPDATE.0
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rules() {
            Some(rules) => f.write_str(rules.name),
            None => write!(f, "method {}", self.0),
        }
    }
}

/// Makes an instance: who it works for. The only place where settings travel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initialize {
    /// The member to serve.
    pub member: Member,
    /// The group it belongs to.
    pub group: Group,
    /// Settings that are secret: name and value. The frame carries [`crate::Flags::SECRET`].
    #[serde(default, with = "secret::pairs")]
    pub secrets: Vec<(String, SecretText)>,
}

impl Initialize {
    /// Without secrets.
    #[must_use]
    pub const fn new(member: Member, group: Group) -> Self {
        Self { member, group, secrets: Vec::new() }
    }
}

/// The new instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initialized {
    /// The object to call; ends with `finalize` or the connection.
    pub instance: ObjectId,
    /// What is to be known of formats that the plugin brings.
    #[serde(default, with = "list")]
    pub formats: Vec<FormatInfo>,
}

/// A format that a plugin brings. Formats that cross as they are need not be named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormatInfo {
    /// Its name, as in [`crate::Change::format`].
    #[serde(deserialize_with = "text::one")]
    pub name: String,
    /// Items cross as they are stored. If not, the plugin marshals and demarshals them, and
    /// answers `remarshal`.
    pub plain: bool,
    /// The plugin answers `compare`.
    pub compare: bool,
}

/// The collections of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discovered {
    /// The link that all sinks share, where there is one: connected before them, ended behind them.
    #[serde(default)]
    pub main: Option<ObjectId>,
    /// One each, names unique.
    #[serde(with = "list")]
    pub sinks: Vec<Sink>,
    /// Whether `create_collection` works.
    pub can_create: bool,
}

/// Makes a collection. Asked again under the same operation, it is the same collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateCollection {
    /// The same on every retry, also in a later run (decisions X1).
    pub operation: OperationId,
    /// Its name; the answer may name it otherwise.
    #[serde(deserialize_with = "text::one")]
    pub name: String,
    /// Object types it shall hold; empty means any.
    #[serde(deserialize_with = "text::list")]
    pub object_types: Vec<String>,
}

/// Opens the link to the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// The engine will compare everything.
    pub slow_sync: bool,
    /// Nothing may be written to the store before `disconnect`, not even a repair: the run only
    /// looks (a plan).
    pub read_only: bool,
    /// Where the feed stood at the last finished run.
    pub anchor: Option<Anchor>,
}

/// The link is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connected {
    /// The member asks for a slow sync: its anchor is gone.
    pub slow_sync: bool,
}

/// All members are connected; what holds for the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectDone {
    /// The run is a slow sync for every member.
    pub slow_sync: bool,
}

/// Asks for a listing: all items, or changes since an anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetChanges {
    /// List everything, whatever the anchor.
    pub slow_sync: bool,
    /// Changes since here suffice.
    pub anchor: Option<Anchor>,
}

/// The end of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Everything that is there was listed: what was not listed is a candidate for deletion. False
    /// for a feed of changes, and whenever anything could not be looked at.
    pub complete: bool,
    /// Entries sent; must equal the entries received, or the listing is not complete.
    #[serde(with = "number")]
    pub count: u64,
    /// Where the feed stood when this listing began.
    pub anchor: Option<Anchor>,
}

/// Fetches items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Each is answered once, in order.
    #[serde(with = "list")]
    pub items: Vec<ReadItem>,
}

/// Writes items, in order. Each stands for itself: one failure does not stop the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit<'a> {
    /// At most one per item in a batch.
    #[serde(borrow, with = "list")]
    pub items: Vec<CommitItem<'a>>,
}

/// What became of each write. Sent when all that is done is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Committed {
    /// One per item of the batch, in order.
    #[serde(with = "list")]
    pub results: Vec<CommitResult>,
}
