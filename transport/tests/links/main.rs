//! Both drivers, over every kind of connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod both_drivers;
mod counting;
mod flow;
#[cfg(unix)]
mod named;
mod p6_output;
#[cfg(unix)]
mod sockets;
mod stalled;
mod support;
mod time;
