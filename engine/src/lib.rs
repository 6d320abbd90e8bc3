//! Synchronises one pair of collections between two members of a group.
//!
//! The idea: a [`CollectionSync`] is the whole run as a pure machine. It is told what happened
//! ([`Event`]) and says what is to be done ([`Action`]) and what is worth telling ([`Report`]). It
//! keeps no file and asks no clock: what must survive is a [`Record`], handed out before the step
//! that depends on it, and a [`Snapshot`] at the next start.
//!
//! ```text
//! recover ──▶ list and look ──▶ decide ──▶ compare ──▶ write in lots ──▶ flush rows ──▶ anchors
//! (read back)  (both members)              (plugins)   (read, journal, commit; deletes last)
//! ```
//!
//! What it promises: bytes that a write takes away are durable before it is sent; a write whose
//! answer was lost is read back before anything else is decided; nothing is deleted without proof;
//! a member that lies or fails costs its own rows only; a run right after a clean one writes
//! nothing and reads no item. A driver may stop between any two actions.
//!
//! What is not here: calls to members, the store, time, and conversion: an item is bytes, compared
//! by its [`Canonical`] form, or by the plugin that knows its format, and never rewritten.
#![forbid(unsafe_code)]

mod accept;
mod action;
mod again;
mod answers;
mod apply;
mod canonical;
mod charge;
mod commit;
mod count;
mod crash;
mod decide;
mod delta;
mod dispute;
mod document;
mod event;
mod family;
mod finish;
mod fold;
mod guard;
mod index;
mod journal;
mod judge;
mod keep_both;
mod learn;
mod lines;
mod listing;
mod lot;
mod lots;
mod matching;
mod member;
mod merge;
mod observe;
mod packed;
mod parameters;
mod parties;
mod pieces;
mod plan;
mod planned;
mod reads;
mod recover;
mod rename;
mod report;
mod row;
mod rows;
mod seeded;
mod send;
mod settings;
mod side_by_side;
mod stamp;
mod state;
mod sync;
mod table;
mod title;
mod varint;
mod work;

pub use action::{Action, BatchId, Ticket};
pub use canonical::Canonical;
pub use charge::{CRASHED, CRASHES, Charge};
pub use event::Event;
pub use journal::{DisputedCopy, Intent, Record, Snapshot, Undo};
pub use keep_both::keep_both_copy;
pub use learn::FoundCollection;
pub use member::MemberState;
pub use merge::merge;
pub use planned::PlannedWrites;
pub use report::{Counts, FailureClass, Guard, MemberSummary, PlannedWrite, Report, Summary};
pub use row::{
    Conflict, Content, Digest, Entry, Key, MemberIndex, Observed, Quarantine, Row, RowId, Supplied,
};
pub use rows::Rows;
#[cfg(feature = "seeded-bugs")]
pub use seeded::Bug;
pub use settings::{
    Access, Allow, ConflictPolicy, EditVsDelete, ListingLimits, MaxDelete, MemberSettings, OperationSource,
    Settings,
};
pub use side_by_side::{PropertyRow, properties};
pub use stamp::last_changed;
pub use sync::CollectionSync;
pub use title::title;
