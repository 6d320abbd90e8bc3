//! What the tests of this room share. Each test binary uses a part of it.
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod annotate;
pub(crate) mod callback_values;
pub(crate) mod frames;
pub(crate) mod harness;
pub(crate) mod pair;
pub(crate) mod samples;
pub(crate) mod seen;
pub(crate) mod values;
pub(crate) mod vectors;
pub(crate) mod worst;
