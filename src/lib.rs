//! Outrigger as a library: host sync plugins that nobody vetted, each in a process of its own.
#![forbid(unsafe_code)]
