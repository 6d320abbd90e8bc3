//! All that a sync plugin author sees: one trait, one `serve`.
#![forbid(unsafe_code)]

mod context;
mod plugin;

pub use context::{ChangeSink, Context, ReadSink};
pub use outrigger_protocol as protocol;
pub use plugin::{Collection, ListingEnd, Plugin};
