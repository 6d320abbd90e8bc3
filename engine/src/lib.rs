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

mod action;
mod answers;
mod apply;
mod canonical;
mod charge;
mod commit;
mod compare;
mod comparer;
mod crash;
mod decide;
mod delta;
mod document;
mod event;
mod family;
mod finish;
mod index;
mod journal;
mod keep_both;
mod learn;
mod lines;
mod listing;
mod lot;
mod matching;
mod member;
mod merge;
mod observe;
mod packed;
mod parameters;
mod pieces;
mod plan;
mod reads;
mod recover;
mod report;
mod row;
mod settings;
mod side_by_side;
mod stamp;
mod state;
mod sync;
mod table;
mod work;

pub use action::{Action, BatchId, Ticket};
pub use canonical::Canonical;
pub use charge::{CRASHED, CRASHES, Charge};
pub use event::Event;
pub use journal::{Intent, Record, Snapshot, Undo};
pub use keep_both::keep_both_copy;
pub use learn::FoundCollection;
pub use member::MemberState;
pub use merge::merge;
pub use report::{Counts, FailureClass, Report, Summary};
pub use row::{Conflict, Content, Digest, Entry, Key, Observed, Row, RowId, Side};
pub use settings::{ConflictPolicy, EditVsDelete, ListingLimits, MaxDelete, OperationSource, Settings};
pub use side_by_side::{PropertyRow, properties};
pub use stamp::last_changed;
pub use sync::CollectionSync;
