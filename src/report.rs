//! What the command says: errors, the summary for programs, and the account of a run for people.
//!
//! Everything here writes to what it is given and knows no terminal; colours are written as escape
//! sequences, which `anstream` takes out again where they are not wanted. Text that came from a
//! plugin passes through [`Words`](outrigger_protocol::Words) or
//! [`Printable`](outrigger_protocol::Printable) without exception.

mod called;
mod collection;
mod columns;
mod differences;
mod failure;
mod human;
mod kept;
mod outcome;
mod raised;
mod run;
mod standings;
mod summary;
mod tally;

pub use called::{as_called, call_us, called};
pub(crate) use collection::AtMember;
pub use collection::CollectionReport;
pub use columns::{Table, TableRow};
pub use differences::{Part, differences, lines};
pub use failure::{Cause, Failure};
pub(crate) use human::plural;
pub use human::{joined, write_errors, write_run};
pub use kept::Kept;
pub use outcome::{Absent, FailureSummary, GuardStop, Outcome};
pub(crate) use raised::Known;
pub use run::{GroupReport, PluginReport, RunReport, Waiting, shell_word};
pub use standings::write_standings;
pub use summary::{NetworkSummary, PluginSummary, Summary};
pub use tally::{CollectionSummary, ConflictItem, ItemSummary, MemberSummary};
