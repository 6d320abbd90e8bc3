//! What to start.

use std::net::SocketAddr;
use std::time::Duration;

use outrigger_sandbox::{Descriptor, Helper, Policy, Program, Protected};

/// How a plugin that we start gets its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConnectBy {
    /// It inherits one end of a connected pair: no name, nothing to squat. Unix only.
    #[default]
    Inherited,
    /// It dials a socket of a random name and proves a one-time token.
    Name,
}

/// Which process starts a plugin, and ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartBy {
    /// This one.
    #[default]
    Own,
    /// The broker of this user that runs as a process of its own, [`crate::Service`]. Linux only.
    Broker,
}

/// One plugin process.
#[derive(Debug)]
pub struct PluginSpec {
    /// What to call it in logs and errors: the member's name.
    pub name: String,
    /// What runs.
    pub program: Program,
    /// Who starts it.
    pub start: StartBy,
    /// How it is connected.
    pub connect: ConnectBy,
    /// What it may do.
    pub policy: Policy,
    /// What it may not be granted to write to, besides our executable, its libraries, its own
    /// executable and the folder of sockets: the state directory, say (decisions P2).
    pub protected: Vec<Protected>,
    /// Locks that are to be held until its last process has gone (decisions X3).
    pub locks: Vec<Descriptor>,
    /// Its environment, besides what tells of the connection.
    pub environment: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    /// Which executable is the helper.
    pub helper: Helper,
    /// From the start of the process to the end of the handshake.
    pub handshake_limit: Duration,
    /// No call may take longer, nor go so long without a sign of life; `None`: as its method says.
    /// The plugin is told in HELLO (decisions W3).
    pub calls_timeout: Option<Duration>,
    /// The only name server that is asked for what the plugin wants to reach; `None`: as the system
    /// does it.
    pub name_server: Option<SocketAddr>,
}

impl PluginSpec {
    /// A plugin with an inherited connection, the default policy, an empty environment, and the
    /// default limits.
    #[must_use]
    pub fn new(name: impl Into<String>, program: Program) -> Self {
        Self {
            name: name.into(),
            program,
            start: StartBy::default(),
            connect: ConnectBy::default(),
            policy: Policy::default(),
            protected: Vec::new(),
            locks: Vec::new(),
            environment: Vec::new(),
            helper: Helper::default(),
            handshake_limit: outrigger_protocol::limits::HANDSHAKE_TIME,
            calls_timeout: None,
            name_server: None,
        }
    }
}
