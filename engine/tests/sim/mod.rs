//! A small world: two members with an obstinate store each, a journal that is atomic, users who
//! edit, and a driver that can be killed between any two actions.
//!
//! The members check what the engine promises at the moment it matters: bytes are in the undo
//! journal before they are taken away (X6), an operation ID never carries other content (X1).
#![allow(dead_code, clippy::cast_possible_truncation)]

mod driver;
mod member;
mod store;
pub(crate) mod stories;

use std::collections::BTreeSet;

use outrigger_engine::{CollectionSync, Report, Settings, Side, Summary};
use outrigger_protocol::{CommitKind, OperationId};

use driver::Driver;
#[allow(unused_imports, reason = "not every test uses all")]
pub(crate) use member::{ListFault, Member, card, key_of, meaning, rewritten, verdict};
use store::Store;

/// splitmix64: enough for a test, the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

/// What a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Creates the item, or changes it.
    Put {
        uid: u8,
        text: u8,
    },
    Delete {
        uid: u8,
    },
    /// Gives the item another UID.
    Rename {
        uid: u8,
        to: u8,
    },
    /// Moves the item to another name.
    Move {
        uid: u8,
    },
    /// A second item with the same UID (S7).
    Duplicate {
        uid: u8,
        text: u8,
    },
    /// An item without a UID.
    PutBare {
        name: u8,
        text: u8,
    },
    DeleteBare {
        name: u8,
    },
}

/// What goes wrong in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Killed at this step; whether the last action still took effect.
    pub(crate) crash: Option<(u8, bool)>,
    pub(crate) lists: [ListFault; 2],
    /// A member is lost at this step; whether its last call still took effect.
    pub(crate) lost: Option<(u8, bool, bool)>,
    /// The plugin of a member dies whenever it reads or writes an item with this text.
    pub(crate) fatal: Option<(bool, u8)>,
    /// A user edits while the run goes on.
    pub(crate) edit: Option<(u8, bool, Edit)>,
    /// Seeds lost answers, failing items and failing reads; 0: none.
    pub(crate) chaos: u64,
    /// Seeds items that cannot be listed, read or written, for now or for good; 0: none.
    pub(crate) broken: u64,
    /// Seeds the order in which answers come.
    pub(crate) order: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) reports: Vec<Report>,
    pub(crate) commits: usize,
    pub(crate) writes: Vec<(Side, CommitKind)>,
    pub(crate) journals: usize,
    pub(crate) items_read: usize,
    /// Whose plugin was asked to compare, each time.
    pub(crate) compared: Vec<Side>,
    pub(crate) crashed: bool,
    /// Plugins that died over an item.
    pub(crate) deaths: usize,
}

impl Outcome {
    pub(crate) fn summary(&self) -> Summary {
        match self.reports.last() {
            Some(Report::Ended(summary)) => *summary,
            other => panic!("no end: {other:?}"),
        }
    }
}

/// What plugins make of comparisons, for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Comparisons {
    #[default]
    Done,
    Failed,
    /// The plugin is gone with it.
    Fatal,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) members: [Member; 2],
    pub(crate) settings: Settings,
    pub(crate) authored: BTreeSet<Vec<u8>>,
    /// Members refuse every create, for now.
    pub(crate) fail_creates: bool,
    pub(crate) comparisons: Comparisons,
    operations: u128,
}

pub(crate) fn side(is_b: bool) -> Side {
    if is_b { Side::B } else { Side::A }
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self::default();
        world.settings.max_delete.count = u64::MAX;
        world.settings.max_delete.emptying = true;
        world.settings.object_type = "contact".into();
        for member in &mut world.members {
            member.store = Some("s");
        }
        world
    }

    pub(crate) fn member(&mut self, side: Side) -> &mut Member {
        &mut self.members[side.index()]
    }

    pub(crate) fn edit(&mut self, side: Side, edit: Edit) {
        let member = &mut self.members[side.index()];
        let mut author = |member: &mut Member, href: &[u8], data: Vec<u8>| {
            self.authored.insert(data.clone());
            member.put(href, data);
        };
        let name = |member: &mut Member, uid: u8| {
            member.names += 1;
            format!("{}{uid}-{}", ["a", "b"][side.index()], member.names).into_bytes()
        };
        match edit {
            Edit::Put { uid, text } => {
                let href = member.by_uid(uid).unwrap_or_else(|| name(member, uid));
                author(member, &href, card(Some(uid), text));
            }
            Edit::Delete { uid } => {
                if let Some(href) = member.by_uid(uid) {
                    member.remove(&href);
                }
            }
            Edit::Rename { uid, to } => {
                if let (Some(href), None) = (member.by_uid(uid), member.by_uid(to)) {
                    let text = String::from_utf8(member.items[&href].data.clone()).unwrap();
                    let data = text.replace(&format!("UID:uid{uid}\r"), &format!("UID:uid{to}\r"));
                    author(member, &href, data.into_bytes());
                }
            }
            Edit::Move { uid } => {
                if let Some(href) = member.by_uid(uid) {
                    let item = member.remove(&href).unwrap();
                    let href = name(member, uid);
                    member.put(&href, item.data);
                }
            }
            Edit::Duplicate { uid, text } => {
                let href = name(member, uid);
                author(member, &href, card(Some(uid), text));
            }
            Edit::PutBare { name, text } => {
                author(member, format!("bare{name}").as_bytes(), card(None, text))
            }
            Edit::DeleteBare { name } => {
                member.remove(format!("bare{name}").as_bytes());
            }
        }
    }

    pub(crate) fn tick(&mut self) {
        for member in &mut self.members {
            member.now += 1;
        }
    }

    /// A run in which nothing goes wrong, after enough time for revisions to settle.
    pub(crate) fn run(&mut self) -> Outcome {
        self.run_with(Trouble::default())
    }

    pub(crate) fn run_with(&mut self, trouble: Trouble) -> Outcome {
        self.tick();
        let mut next = self.operations;
        self.operations += 10_000;
        let operations = Box::new(move || {
            next += 1;
            OperationId(uuid::Uuid::from_u128(next))
        });
        let sync = CollectionSync::new(self.store.snapshot(), self.settings.clone(), operations);
        let before = self.contents();
        let outcome = Driver::new(self, sync, trouble).drive();
        if trouble.edit.is_none() {
            let kept: BTreeSet<Vec<u8>> = self.store.undo.iter().map(|undo| undo.data.clone()).collect();
            let (now, mut before) = (self.contents(), before.into_iter());
            let lost = before.find(|data| !now.contains(data) && !kept.contains(data));
            assert_eq!(lost, None, "in neither a member nor the journal (I2)");
        }
        outcome
    }

    /// All that the members hold.
    fn contents(&self) -> BTreeSet<Vec<u8>> {
        self.members.iter().flat_map(|member| member.items.values()).map(|item| item.data.clone()).collect()
    }
}
