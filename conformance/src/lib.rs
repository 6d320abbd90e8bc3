//! Drives any plugin executable through the rules of the protocol.
//!
//! Nothing is here yet but the room's place: the kit behind `outrigger plugin check` comes when the
//! protocol is complete. Until then the rules stand as tests in `protocol/tests` and
//! `plugin-sdk/tests`.
#![forbid(unsafe_code)]
