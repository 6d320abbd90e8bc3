//! What the command says: errors, the summary for programs, and the account of a run for people.
//!
//! Everything here writes to what it is given and knows no terminal; colours are written as escape
//! sequences, which `anstream` takes out again where they are not wanted. Text that came from a
//! plugin passes through [`Words`](outrigger_protocol::Words) or
//! [`Printable`](outrigger_protocol::Printable) without exception.

mod called;
mod failure;
mod human;
mod kept;
mod outcome;
mod run;
mod standings;
mod summary;
mod tally;

pub use called::{as_called, call_us, called};
pub use failure::{Cause, Failure};
pub(crate) use human::plural;
pub use human::{write_errors, write_run};
pub use kept::Kept;
pub use outcome::{Absent, FailureSummary, GuardStop, Outcome};
pub use run::{CollectionReport, GroupReport, PluginReport, RunReport, Waiting, shell_word};
pub use standings::write_standings;
pub use summary::{NetworkSummary, PluginSummary, Summary};
pub use tally::{CollectionSummary, ItemSummary, MemberSummary};
