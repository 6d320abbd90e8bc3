//! What the probes are aimed at, and what they were granted.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The description that the broker sends over the connection, as one line of JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Targets {
    /// The names of the probes to run; all if empty.
    pub(crate) only: Vec<String>,
    /// Whether there is a sandbox: without one, what would reach every process is not done.
    pub(crate) confined: bool,
    /// Granted: a folder to read, with `known` and `program` in it.
    pub(crate) read: PathBuf,
    /// Granted: a folder to write to, with `known` in it.
    pub(crate) write: PathBuf,
    /// Granted: programs to execute: one that runs its arguments, and one that does nothing.
    pub(crate) runner: PathBuf,
    pub(crate) quiet: PathBuf,
    /// Not granted: the user's folder.
    pub(crate) home: PathBuf,
    /// Not granted: a private key in it.
    pub(crate) secret: PathBuf,
    /// Not granted: a folder of the user with `known`, `link`, `program` and `empty/` in it.
    pub(crate) outside: PathBuf,
    /// Not granted: a terminal of the user.
    pub(crate) terminal: Option<PathBuf>,
    /// The executable of the probe itself, if it was executed.
    pub(crate) own: Option<PathBuf>,
    pub(crate) processes: Processes,
    pub(crate) network: Network,
    pub(crate) ipc: Ipc,
    pub(crate) limits: Limits,
}

/// Processes of the same user.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Processes {
    /// The broker, which started the probe.
    pub(crate) broker: i32,
    /// Its process group.
    pub(crate) broker_group: i32,
    /// Another one.
    pub(crate) victim: i32,
    /// Where in the broker's memory a secret stands.
    pub(crate) secret_address: u64,
    /// The secret: in its memory and in its environment.
    pub(crate) secret: String,
    /// A descriptor of the broker that is not close-on-exec.
    pub(crate) leaked: i32,
}

/// Listeners on loopback. Only `granted` may be reached, if at all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Network {
    pub(crate) tcp4: u16,
    /// 0 where there is no IPv6.
    pub(crate) tcp6: u16,
    pub(crate) udp4: u16,
    pub(crate) udp6: u16,
    /// Also a listener; the policy grants it in some setups.
    pub(crate) granted: u16,
}

/// Sockets, queues and memory of other programs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ipc {
    pub(crate) abstract_name: String,
    pub(crate) stream: PathBuf,
    pub(crate) datagram: PathBuf,
    /// The session bus, or what stands in for it.
    pub(crate) bus: PathBuf,
    pub(crate) shared_memory: i32,
    pub(crate) semaphores: i32,
    pub(crate) messages: i32,
    /// The name of a POSIX message queue.
    pub(crate) queue: String,
    /// A file in `/dev/shm`.
    pub(crate) posix_memory: PathBuf,
}

/// The limits of the policy.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) memory: u64,
    pub(crate) processes: u32,
    pub(crate) file_size: u64,
}
