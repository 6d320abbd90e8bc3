//! Bulk data beside the calls, as pure machines.
#![forbid(unsafe_code)]
