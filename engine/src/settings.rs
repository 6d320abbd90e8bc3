//! Settings: what the user chose for one collection of a group, and what holds for this run.

use outrigger_protocol::{Dedupe, OperationId, limits};

use crate::planned::PlannedWrites;
use crate::row::MemberIndex;

/// Where new operation IDs come from: UUIDv7 from the driver, each returned once (decisions X1).
pub type OperationSource = Box<dyn FnMut() -> OperationId + Send>;

/// What happens when members hold different things that were not agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConflictPolicy {
    /// All stay as they are; the conflict waits for a person. The rest of the run goes on.
    #[default]
    Queue,
    /// This member's content wins; what it overwrites goes to the undo journal.
    Prefer(MemberIndex),
    /// The one that says it was changed last wins (`REV`, `LAST-MODIFIED`), where each says so, they
    /// differ, and all these members' clocks are trusted ([`MemberSettings::reliable_times`]). Otherwise
    /// as [`Self::Queue`].
    Newest,
    /// The first member's content stays, each other one becomes an item of its own, with a new UID and
    /// the member's name in its title. What has no UID waits for a person.
    KeepBoth,
    /// The driver makes one of two ([`crate::Action::Resolve`]): a merge, or a command. Otherwise as
    /// [`Self::Queue`].
    Resolve,
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

/// The user's leave to go on in spite of a guard, by the number of writes planned. It must equal
/// that number exactly, and is good for one member of one collection: the first that the guard would
/// stop uses it up ([`crate::Summary::used`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allow {
    /// So many deletions.
    pub deletes: Option<u64>,
    /// So many updates.
    pub updates: Option<u64>,
    /// So many creates.
    pub creates: Option<u64>,
}

/// Which writes a member takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// All.
    #[default]
    Full,
    /// No deletions: what is deleted elsewhere stays.
    NoDelete,
    /// None: what is owed to it is kept and counted.
    ReadOnly,
    /// None, and what others change is taken back: its content is everybody's.
    Authority,
}

/// What a run is told of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSettings {
    /// What it is called, for titles of items that are kept twice.
    pub name: String,
    /// Which writes it takes.
    pub access: Access,
    /// It must list everything whatever its anchor (first contact, a rejected anchor). Nothing that a
    /// slow listing leaves out is taken for deleted in this run.
    pub slow: bool,
    /// The largest call body, in bytes, that it has said it takes: reads and commits are split by it,
    /// and an item that no call can bring there is quarantined.
    pub max_body: usize,
    /// Formats that its plugin compares: it is asked before two contents of one of them become a
    /// conflict, or one overwrites the other.
    pub compares: Vec<String>,
    /// The times in its items can be compared with those of others ([`ConflictPolicy::Newest`]).
    pub reliable_times: bool,
    /// How it recognises a write that it is sent again.
    pub dedupe: Dedupe,
}

impl Default for MemberSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            access: Access::default(),
            slow: false,
            max_body: limits::MAX_BODY,
            compares: Vec::new(),
            reliable_times: false,
            dedupe: Dedupe::default(),
        }
    }
}

/// All that a run is told beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Per member, in their order: two or more.
    pub members: Vec<MemberSettings>,
    /// Members hold different things.
    pub conflict: ConflictPolicy,
    /// One member changed what another deleted.
    pub edit_vs_delete: EditVsDelete,
    /// The guard against mass deletion, per member.
    pub max_delete: MaxDelete,
    /// More than this per cent of a member's items updated in one run, and more than 20 of them, are
    /// taken for an accident. 100: never.
    pub max_update: u64,
    /// Creates after a slow listing, in per cent of what the member has, that are taken for an accident
    /// if they are more than 20.
    pub max_create_on_slow: u64,
    /// The user's leave to go on in spite of a guard.
    pub allow: Allow,
    /// Do these writes and no others, each only if it is still the same. No conflict is settled: what a
    /// policy would make of it was not shown.
    pub only: Option<PlannedWrites>,
    /// Items that were set aside because the plugin crashed over them are tried once more.
    pub retry_crashed: bool,
    /// Read every item that is listed, whatever its revision says: finds what changed behind it.
    pub verify: bool,
    /// Decide everything, write nothing: no commit, no record.
    pub dry_run: bool,
    /// Link two new items that differ in nothing but their UID, if each is the only such one.
    pub match_content: bool,
    /// How much one listing may be, the same for all members.
    pub listing: ListingLimits,
    /// A defect, for the tests that must find it.
    #[cfg(feature = "seeded-bugs")]
    pub bug: Option<crate::seeded::Bug>,
    /// Object type of items whose type no listing of this run named.
    pub object_type: String,
    /// What is written into the title of an item that is kept twice, besides the member's name: the
    /// day, as the driver writes it.
    pub today: String,
}

impl Settings {
    /// The defaults, for so many members.
    #[must_use]
    pub fn for_members(count: usize) -> Self {
        Self { members: vec![MemberSettings::default(); count], ..Self::default() }
    }
}

impl Default for Settings {
    /// For two members.
    fn default() -> Self {
        Self {
            members: vec![MemberSettings::default(); 2],
            conflict: ConflictPolicy::default(),
            edit_vs_delete: EditVsDelete::default(),
            max_delete: MaxDelete::default(),
            max_update: 90,
            max_create_on_slow: 20,
            allow: Allow::default(),
            only: None,
            retry_crashed: false,
            verify: false,
            dry_run: false,
            match_content: true,
            listing: ListingLimits::default(),
            #[cfg(feature = "seeded-bugs")]
            bug: None,
            object_type: String::new(),
            today: String::new(),
        }
    }
}
