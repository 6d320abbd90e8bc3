//! Linux: the broker's end (`child`), the group that it asks systemd for (`scope`), the helper that it
//! starts (`helper`), and the processes that the helper becomes (`keeper`, `plugin`, and with namespaces
//! `init` between them).
//!
//! ```text
//!   broker: child ──messages over a channel── helper ─fork─ keeper
//!                                                       └── init ─fork─ reaper
//!                                                                   └── plugin ── layers
//! ```

mod brought;
mod channel;
mod child;
mod handover;
mod helper;
mod init;
mod keeper;
mod layers;
mod leader;
mod messages;
mod names;
mod plugin;
mod proc;
mod scope;
mod spawn;
mod sys;

pub use brought::brought_by;
pub use child::{Child, Prepared, prepare};
pub use handover::Lent;
pub use helper::host_main_if_requested;
pub use sys::landlock_abi;
