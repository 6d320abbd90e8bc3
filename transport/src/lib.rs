//! Carries the bytes of a connection: local sockets, inherited connections, memory pairs; and drives the connection machine over them.
#![forbid(unsafe_code)]
