//! Settings: what the user chose for one pair of collections, and what holds for this run.

use outrigger_protocol::{OperationId, limits};

use crate::row::Side;

/// Where new operation IDs come from: UUIDv7 from the driver, each returned once (decisions X1).
pub type OperationSource = Box<dyn FnMut() -> OperationId + Send>;

/// What happens when both members changed one item differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConflictPolicy {
    /// Both stay as they are; the conflict waits for a person. The rest of the run goes on.
    #[default]
    Queue,
    /// This member's content wins; what it overwrites goes to the undo journal.
    Prefer(Side),
}

/// What happens when one member changed an item that the other deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EditVsDelete {
    /// The edit wins: the item is created again.
    #[default]
    Edit,
    /// The deletion wins; the edited content goes to the undo journal.
    Delete,
    /// It is a conflict, and waits for a person whatever the conflict policy says.
    Ask,
}

/// How many deletions on one member are taken for an accident: more than the larger of `count`
/// and `percent` of what it holds, or all it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxDelete {
    /// Items.
    pub count: u64,
    /// Per cent of the items known at the member.
    pub percent: u64,
    /// Whether a run may leave the collection empty.
    pub emptying: bool,
}

impl Default for MaxDelete {
    fn default() -> Self {
        Self { count: 5, percent: 25, emptying: false }
    }
}

/// How much one listing may be. A member that lists more is left alone for the run: what it lists
/// is kept in memory until it is matched, so this is what a member that lies can make a run hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListingLimits {
    /// Entries. Each costs about 600 bytes of memory once it is a row.
    pub entries: u64,
    /// Bytes of names: hrefs, revisions, object types and formats together. They are held up to
    /// three times: as listed, in a row, and in the index of rows.
    pub name_bytes: u64,
}

impl Default for ListingLimits {
    /// 1,000,000 entries (about 600 MiB as rows) and 256 MiB of names: far above any collection of
    /// people, and below what a desktop machine has.
    fn default() -> Self {
        Self { entries: 1_000_000, name_bytes: 256 << 20 }
    }
}

/// All that a run is told beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Both members changed one item.
    pub conflict: ConflictPolicy,
    /// One member changed what the other deleted.
    pub edit_vs_delete: EditVsDelete,
    /// The guard against mass deletion, per member.
    pub max_delete: MaxDelete,
    /// The user's leave to delete this many items in spite of the guard. It must equal the planned
    /// number exactly, and is good for one member of one collection: the first that the guard would
    /// stop uses it up ([`crate::Summary::leave_used`]).
    pub allow_deletes: Option<u64>,
    /// Members that accept no writes: what is owed to them is kept and counted.
    pub read_only: [bool; 2],
    /// Members that must list everything whatever their anchor (first contact, a rejected anchor).
    /// Nothing that a slow listing leaves out is taken for deleted in this run.
    pub slow: [bool; 2],
    /// Items that were set aside because the plugin crashed over them are tried once more.
    pub retry_crashed: bool,
    /// Decide everything, write nothing: no commit, no record.
    pub dry_run: bool,
    /// Link two new items that differ in nothing but their UID, if each is the only such one.
    pub match_content: bool,
    /// The largest call body, in bytes, that each member has said it takes: reads and commits are
    /// split by it, and an item that no call can bring there is quarantined.
    pub max_body: [usize; 2],
    /// Formats that each member's plugin compares: it is asked before two contents of one of them
    /// become a conflict, or one overwrites the other.
    pub compares: [Vec<String>; 2],
    /// How much one listing may be, the same for both members.
    pub listing: ListingLimits,
    /// Object type of items whose type no listing of this run named.
    pub object_type: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            conflict: ConflictPolicy::default(),
            edit_vs_delete: EditVsDelete::default(),
            max_delete: MaxDelete::default(),
            allow_deletes: None,
            read_only: [false; 2],
            slow: [false; 2],
            retry_crashed: false,
            dry_run: false,
            match_content: true,
            max_body: [limits::MAX_BODY; 2],
            compares: [const { Vec::new() }; 2],
            listing: ListingLimits::default(),
            object_type: String::new(),
        }
    }
}
