//! Hosts sync plugins in processes of their own: starts, routes, keeps contexts, reports.
#![forbid(unsafe_code)]
