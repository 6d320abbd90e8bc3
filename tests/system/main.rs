//! The whole system, with real processes: one binary, one module a story.
//!
//! Every test has a `World` of its own: folders, configuration, state, and a link to the command,
//! so that all processes of a test can be told from all others. Nothing sleeps: tests wait for
//! events (an end, a line, a condition) with a deadline.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may stop at what is wrong"
)]

mod layers;

// Plugins are started on Linux only, so far.
#[cfg(target_os = "linux")]
mod authors;
#[cfg(target_os = "linux")]
mod brief;
#[cfg(target_os = "linux")]
mod broker;
#[cfg(target_os = "linux")]
mod callbacks;
#[cfg(target_os = "linux")]
mod comparisons;
#[cfg(target_os = "linux")]
mod configuration;
#[cfg(target_os = "linux")]
mod conflict_commands;
#[cfg(target_os = "linux")]
mod conflicts;
#[cfg(target_os = "linux")]
mod consent;
#[cfg(target_os = "linux")]
mod cycles;
#[cfg(target_os = "linux")]
mod deletions;
#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(target_os = "linux")]
mod doctor;
#[cfg(target_os = "linux")]
mod failures;
#[cfg(target_os = "linux")]
mod floods;
#[cfg(target_os = "linux")]
mod groups;
mod guards;
#[cfg(target_os = "linux")]
mod hangs;
#[cfg(target_os = "linux")]
mod healing;
#[cfg(target_os = "linux")]
mod history;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod kill;
#[cfg(target_os = "linux")]
mod level0;
#[cfg(target_os = "linux")]
mod members;
#[cfg(target_os = "linux")]
mod names;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod objects;
#[cfg(target_os = "linux")]
mod open_group;
#[cfg(target_os = "linux")]
mod plan;
#[cfg(target_os = "linux")]
mod plan_files;
#[cfg(target_os = "linux")]
mod plugins;
#[cfg(target_os = "linux")]
mod prestarted;
#[cfg(target_os = "linux")]
mod python;
#[cfg(target_os = "linux")]
mod retries;
#[cfg(target_os = "linux")]
mod sandbox_run;
#[cfg(target_os = "linux")]
mod slow_start;
#[cfg(target_os = "linux")]
mod status;
#[cfg(target_os = "linux")]
mod supervision;
#[cfg(target_os = "linux")]
mod support;
#[cfg(target_os = "linux")]
mod sync;
#[cfg(target_os = "linux")]
mod verify;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod zombies;
