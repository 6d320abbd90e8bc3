//! Keeps a group's state durable: SQLite, on a thread of its own.
#![forbid(unsafe_code)]
