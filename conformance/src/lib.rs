//! Drives any plugin executable through the rules of the protocol.
#![forbid(unsafe_code)]
