//! Carries the bytes of a connection, and drives the connection machine over them.
//!
//! The idea: a [`Carrier`] moves bytes, and nothing else; a driver owns one carrier and one
//! [`outrigger_protocol::Connection`]. There are two drivers, both small: [`BlockingLink`] for a
//! plugin (one thread, no runtime) and, behind the feature `tokio`, [`Link`] for the broker. Each
//! writes from the caller, all frames that are ready with one system call, and reads as many as have
//! come.
//!
//! Ways to get a carrier: an inherited connection ([`inherited`]), a local socket by name
//! ([`dial`], [`Listener`]; a Unix socket, a named pipe on Windows), a pair in memory for tests
//! (`memory`, behind the feature of that name). An end that is found instead of started waits in a
//! folder that only its user can use (`Presence`), where a broker finds it (`Ends`). What two processes
//! of ours hand each other goes in whole messages with descriptors (`Packets`, on Linux).
//!
//! What it promises: a plugin waits without a deadline only for what its broker says next; a peer
//! that does not read never stops this side from reading, and one that takes nothing for 30 s is
//! given up. Both on Unix only: a named pipe is written, and read, until that is done
//! (`PipeCarrier`). Whoever wants to know what a plugin or a member is will not find it here.
#![forbid(unsafe_code)]

mod blocking;
#[cfg(all(feature = "tokio", unix))]
mod brief;
mod carrier;
#[cfg(feature = "tokio")]
mod duplex;
#[cfg(unix)]
mod ends;
mod error;
mod handles;
#[cfg(unix)]
mod held;
mod local;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(all(feature = "tokio", target_os = "linux"))]
mod packets;
#[cfg(unix)]
mod peer;
#[cfg(unix)]
mod presence;
#[cfg(unix)]
mod private;
mod runtime_dir;
#[cfg(feature = "tokio")]
mod tokio_driver;
#[cfg(feature = "tokio")]
mod tokio_held;
#[cfg(feature = "tokio")]
mod tokio_link;
#[cfg(feature = "tokio")]
mod tokio_shared;
#[cfg(all(feature = "tokio", unix))]
mod tokio_unix;
#[cfg(unix)]
mod unix;
#[cfg(all(feature = "tokio", unix))]
mod watched;
#[cfg(windows)]
mod windows;

pub use blocking::BlockingLink;
pub use carrier::{Carrier, Wait};
pub use error::{LinkError, nonce};
pub use handles::Handle;
pub use local::{Endpoint, dial};
#[cfg(feature = "tokio")]
pub use local::{Listener, Stream};
#[cfg(all(feature = "tokio", target_os = "linux"))]
pub use packets::{PacketListener, Packets};
pub use runtime_dir::{runtime_dir, runtime_path};
#[cfg(feature = "tokio")]
pub use {
    duplex::{Duplex, Plain},
    tokio_driver::{Ending, Handler},
    tokio_link::Link,
};
#[cfg(unix)]
pub use {
    ends::{Ends, check_socket, read_secret},
    held::Held,
    peer::{Peer, same_user},
    presence::{Presence, Stop},
    private::{check_private_folder, lock_private, private_folder, read_private, write_private},
    unix::{SocketCarrier, inherited},
};
#[cfg(all(feature = "tokio", unix))]
pub use {tokio_unix::SocketStream, watched::watch_descriptor};
