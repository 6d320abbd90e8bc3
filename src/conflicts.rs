//! Conflicts: what waits for a person, looked at and settled between two runs.
//!
//! A run keeps what each member holds of an item that members contradict each other about. Here that is
//! found again ([`find`]), shown ([`write_list`], [`write_one`]), and settled ([`settle`]): all on the
//! state alone, without a member. The next run carries out what was chosen.

mod find;
mod id;
mod json;
mod lines;
mod raised;
mod settle;
mod show;
mod sides;

pub use find::{Dispute, Found, find, find_one, write_list};
pub use id::ConflictId;
pub use json::{ConflictSummary, ConflictsSummary};
pub use lines::marked;
pub use raised::name_raised;
pub use settle::{Choice, Effect, Settled, settle};
pub use show::write_one;
pub use sides::Side;

#[cfg(test)]
mod tests;
