//! Both drivers, over every kind of connection.

mod both_drivers;
mod flow;
#[cfg(unix)]
mod named;
#[cfg(unix)]
mod sockets;
mod support;
mod time;
