//! History: what runs did, what they overwrote and deleted, and how to have it back.
//!
//! On the state alone, without a member. What is undone, the next run writes to all members.

mod reset;
mod runs;
mod taken;
mod undo;

pub use reset::{Reset, forget, reset};
pub use runs::{History, RunSummary, runs};
pub use taken::{RunDetail, TakenItem, content, taken};
pub use undo::{Undoing, UndoneItem, undo};
