//! Connector for folders of .vcf and .ics files, as khal, khard and vdirsyncer use them.
//!
//! # What it sees
//!
//! `path` holds a folder per collection; a visible plain file there that ends in `.vcf` or `.ics`
//! is an item, and its name is the item's href, whatever bytes it has. Hidden files, links, pipes,
//! other extensions are foreign and never touched. A file that is empty, or was cut before its `END` line, is
//! there and cannot be read: it may be in the middle of being written. A listing opens no file. A revision is inode,
//! size, mtime and ctime, *settled* once it is older than the file system's tick (decisions S6).
//! A collection is told from another of its name by birth time and inode of its folder. Where the file
//! system takes several spellings for one name, an item has the one that the folder lists, and no other
//! (decisions S3, `spelling.rs`).
//!
//! # How it writes (decisions S5)
//!
//! An editor may save at any moment; nothing that it saved is ever lost. No write goes into a file
//! that is in place, and no file goes before it was looked at:
//!
//! - *create*: the content is written to `.outrigger-new-…`, made durable, and renamed to a free
//!   name (`RENAME_NOREPLACE`);
//! - *replace*: the same, but the durable file is first renamed to `.outrigger-swap-…` and then
//!   exchanged with the item (`RENAME_EXCHANGE`): what it displaced now has the `swap` name;
//! - *delete*: the item is renamed to `.outrigger-gone-…`.
//!
//! The displaced file is read: if it is not what the engine expected, it goes back (if its name was
//! taken meanwhile, it becomes an item of its own, `…-kept-…`) and the answer is `PRECONDITION`.
//! Then one `fsync` of the folder for the batch, a second look at each displaced file's stamps, and
//! only then it is removed.
//!
//! # After a crash
//!
//! The names say all that is needed, see `aside.rs`: operation, expected and new digest, item. At
//! `connect`, and whenever a listing meets one of them, a file so named is
//!
//! - `new`: never in place, perhaps half written. Removed; the engine has the content.
//! - `swap`, `gone`, holding the expected or the new content: removed. Before the exchange a `swap`
//!   holds the new content (complete: it was durable before it got this name) and the item is as it
//!   was; after it, the displaced one, and the item is as intended. A `gone` is a finished delete.
//!   Each time the engine knows the content, and reads back what the item is now (decisions X2).
//! - holding anything else: an edit that was displaced and not yet looked at. It goes back as
//!   above: exchanged with our content if that is in place, to its name if that is free, removed if
//!   the same file or content is in place, and else kept as an item of its own.
//!
//! Each of these is one rename or one removal, so a crash in the middle of recovery is recovered by
//! the next. Nothing is named twice: the name to keep an edit under follows from the operation.
//! Tests stop and interfere before every single step (`crash_tests.rs`).
//!
//! # Where the system can do less
//!
//! Without conditional renames (other systems, some network and FUSE file systems) a hard link
//! stands in for `RENAME_NOREPLACE`; it fails on a taken name just so. For the exchange: the item
//! gets a second name (`.outrigger-copy-…`), is checked, and is then renamed over. A file that an
//! editor *renames* into place in the microseconds between check and rename is lost; an edit
//! *within* the file is not. Where there are no hard links either (FAT on such a system), a create
//! has the window between look and rename, and a replacement keeps no second name.
//!
//! Everywhere: a program that opened the file before it was displaced and writes to it after the
//! second look writes into a removed file, as with every editor that saves by rename. Rights and
//! owner of a replaced file are kept, extended attributes and access lists are not.
#![forbid(unsafe_code)]

mod aside;
mod collections;
mod commit;
mod disk;
#[cfg(all(unix, not(target_os = "linux")))]
mod elsewhere;
mod escape;
mod failure;
mod folder;
#[cfg(target_os = "linux")]
mod linux;
mod look;
mod names;
mod options;
mod place;
mod plugin;
mod rescue;
mod spelling;
mod stamp;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(not(unix), path = "portable.rs")]
mod system;
mod whole;

#[cfg(test)]
#[cfg(unix)]
mod commit_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod folder_tests;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod spelling_tests;
#[cfg(test)]
mod testing;

pub use plugin::Vdir;

/// The connector, ready to be served.
#[must_use]
pub fn plugin() -> impl outrigger_plugin_sdk::Plugin {
    Vdir::new()
}

/// The body of a plugin process that lives inside a larger program; returns its exit code.
#[must_use]
pub fn serve() -> i32 {
    i32::from(outrigger_plugin_sdk::serve_to_code(plugin()))
}
