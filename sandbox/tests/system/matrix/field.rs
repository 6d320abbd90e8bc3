//! Real targets: files, listeners, queues and processes of the user who runs the broker.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::probe::raw::{Attempt, at, call, descriptor, into, path};
use crate::probe::{Ipc, Limits, Network, Processes, Targets};

/// A program that runs its arguments, and one that does nothing.
pub(super) const RUNNER: &str = "/usr/bin/env";
pub(crate) const QUIET: &str = "/usr/bin/true";

/// The limits that the policy sets. The first is far above what the probe itself needs.
pub(super) const LIMITS: Limits = Limits { memory: 256 << 20, processes: 16, file_size: 4 << 20 };

/// Everything that the probe is aimed at. What outlives processes is removed on drop.
pub(super) struct Field {
    folder: tempfile::TempDir,
    pub(super) targets: Targets,
    pub(super) listeners: Listeners,
    queues: Queues,
    pub(super) victim: Child,
    bus: Option<Child>,
    _terminal: Option<OwnedFd>,
}

/// Who would notice.
pub(super) struct Listeners {
    pub(super) tcp4: TcpListener,
    pub(super) tcp6: Option<TcpListener>,
    pub(super) granted: TcpListener,
    pub(super) udp4: UdpSocket,
    pub(super) udp6: Option<UdpSocket>,
    pub(super) udp_granted: UdpSocket,
    pub(super) hidden: UnixListener,
    pub(super) stream: UnixListener,
    pub(super) datagram: UnixDatagram,
    /// Stands in where there is no `dbus-daemon`.
    _bus: Option<UnixListener>,
}

impl Field {
    /// Sets up everything below a folder of its own, which lies below `/tmp`, where a sandbox
    /// puts a scratch folder over it.
    pub(super) fn new(secret: &str, leaked: &File) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let base = folder.path();
        files(base, secret);
        let (victim, (bus, stand_in)) = (victim(), bus(base));
        let listeners = Listeners::new(base, stand_in);
        let queues = Queues::new();
        let terminal = terminal();
        let targets = Targets {
            read: base.join("read"),
            write: base.join("write"),
            runner: RUNNER.into(),
            quiet: QUIET.into(),
            home: base.join("home"),
            secret: base.join("home/.ssh/id_ed25519"),
            outside: base.join("home/outside"),
            terminal: terminal.as_ref().map(|(_, path)| path.clone()),
            processes: processes(secret, leaked, &victim),
            network: listeners.network(),
            ipc: queues.ipc(base),
            limits: LIMITS,
            ..Targets::default()
        };
        let _terminal = terminal.map(|(master, _)| master);
        Self { folder, targets, listeners, queues, victim, bus, _terminal }
    }

    /// The folder above all that the probe was not granted to write to.
    pub(super) fn untouchable(&self) -> [PathBuf; 2] {
        ["home", "read"].map(|name| self.folder.path().join(name))
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        for process in [Some(&mut self.victim), self.bus.as_mut()].into_iter().flatten() {
            process.kill().ok();
            process.wait().ok();
        }
        self.queues.remove();
    }
}

fn files(base: &Path, secret: &str) {
    for folder in ["home/.ssh", "home/outside/empty", "read", "write"] {
        fs::create_dir_all(base.join(folder)).unwrap();
    }
    fs::write(base.join("home/.ssh/id_ed25519"), secret).unwrap();
    let names =
        ["truncated", "cut", "removable", "renamable", "movable", "exchanged", "mode", "owner", "times"];
    for name in names.into_iter().chain([
        "attribute",
        "mapped",
        "flags",
        "cut2",
        "cut3",
        "cut4",
        "linkable",
        "leased",
        "attribute2",
        "attribute3",
    ]) {
        fs::write(base.join("home/outside").join(name), "theirs").unwrap();
        fs::write(base.join("read").join(name), "granted").unwrap();
    }
    for folder in ["home/outside", "read", "write"] {
        fs::write(base.join(folder).join("known"), "granted").unwrap();
        fs::copy(QUIET, base.join(folder).join("program")).unwrap();
    }
    for file in ["home/outside/attribute2", "home/outside/attribute3", "read/attribute2"] {
        let name = path(base.join(file));
        call!(libc::SYS_setxattr, name.as_ptr(), c"user.probe".as_ptr(), at("x"), 1, 0).unwrap();
    }
    symlink("known", base.join("home/outside/link")).unwrap();
}

fn processes(secret: &str, leaked: &File, victim: &Child) -> Processes {
    let own = i32::try_from(std::process::id()).unwrap();
    Processes {
        broker: own,
        broker_group: own,
        victim: i32::try_from(victim.id()).unwrap(),
        // It stands in memory as long as this process: the probe reads it from there.
        secret_address: secret.to_owned().leak().as_ptr() as u64,
        secret: secret.into(),
        leaked: leaked.as_raw_fd(),
    }
}

/// Another process of the same user, which lives until its standard input ends.
fn victim() -> Child {
    let mut command = Command::new("/proc/self/exe");
    let mut victim =
        command.args(["role", "wait"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(victim.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "waiting\n");
    victim
}

/// A session bus, or a socket that stands in for it.
fn bus(base: &Path) -> (Option<Child>, Option<UnixListener>) {
    let path = base.join("bus");
    let address = format!("--address=unix:path={}", path.display());
    let mut command = Command::new("dbus-daemon");
    command.args(["--session", "--nofork", "--nopidfile", "--print-address", &address]);
    match command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn() {
        Err(_) => {
            println!("no dbus-daemon here: a plain socket stands in for the session bus");
            (None, Some(UnixListener::bind(path).unwrap()))
        }
        Ok(mut bus) => {
            // It prints its address once it listens.
            bus.stdout.as_mut().unwrap().read_exact(&mut [0]).expect("dbus-daemon did not start");
            (Some(bus), None)
        }
    }
}

impl Listeners {
    fn new(base: &Path, bus: Option<UnixListener>) -> Self {
        let tcp4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let granted = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp_granted = UdpSocket::bind(granted.local_addr().unwrap()).unwrap();
        let name = SocketAddr::from_abstract_name(hidden_name()).unwrap();
        let listeners = Self {
            tcp4,
            tcp6: TcpListener::bind("[::1]:0").ok(),
            granted,
            udp4: UdpSocket::bind("127.0.0.1:0").unwrap(),
            udp6: UdpSocket::bind("[::1]:0").ok(),
            udp_granted,
            hidden: UnixListener::bind_addr(&name).unwrap(),
            stream: UnixListener::bind(base.join("stream")).unwrap(),
            datagram: UnixDatagram::bind(base.join("datagram")).unwrap(),
            _bus: bus,
        };
        listeners.never_wait().unwrap();
        listeners
    }

    fn never_wait(&self) -> std::io::Result<()> {
        [&self.tcp4, &self.granted]
            .into_iter()
            .chain(&self.tcp6)
            .try_for_each(|tcp| tcp.set_nonblocking(true))?;
        let udp = [&self.udp4, &self.udp_granted].into_iter().chain(&self.udp6);
        udp.into_iter().try_for_each(|udp| udp.set_nonblocking(true))?;
        [&self.hidden, &self.stream].into_iter().try_for_each(|unix| unix.set_nonblocking(true))?;
        self.datagram.set_nonblocking(true)
    }

    fn network(&self) -> Network {
        let tcp = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let udp = |socket: &UdpSocket| socket.local_addr().unwrap().port();
        Network {
            tcp4: tcp(&self.tcp4),
            tcp6: self.tcp6.as_ref().map_or(0, tcp),
            udp4: udp(&self.udp4),
            udp6: self.udp6.as_ref().map_or(0, udp),
            granted: tcp(&self.granted),
        }
    }
}

fn hidden_name() -> String {
    format!("outrigger-field-{}", std::process::id())
}

/// What System V and POSIX keep outside of every process.
struct Queues {
    shared_memory: i32,
    semaphores: i32,
    messages: i32,
    queue: String,
    posix_memory: PathBuf,
}

impl Queues {
    fn new() -> Self {
        let made = |result: Attempt<i64>| i32::try_from(result.unwrap()).unwrap();
        let name = hidden_name();
        let (queue, posix_memory) = (name.clone(), Path::new("/dev/shm").join(name));
        fs::write(&posix_memory, "theirs").unwrap();
        let path = std::ffi::CString::new(queue.clone()).unwrap();
        descriptor(call!(libc::SYS_mq_open, path.as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o600, 0)).unwrap();
        Self {
            shared_memory: made(call!(libc::SYS_shmget, libc::IPC_PRIVATE, 4096, 0o600)),
            semaphores: made(call!(libc::SYS_semget, libc::IPC_PRIVATE, 1, 0o600)),
            messages: made(call!(libc::SYS_msgget, libc::IPC_PRIVATE, 0o600)),
            queue,
            posix_memory,
        }
    }

    fn ipc(&self, base: &Path) -> Ipc {
        Ipc {
            abstract_name: hidden_name(),
            stream: base.join("stream"),
            datagram: base.join("datagram"),
            bus: base.join("bus"),
            shared_memory: self.shared_memory,
            semaphores: self.semaphores,
            messages: self.messages,
            queue: self.queue.clone(),
            posix_memory: self.posix_memory.clone(),
        }
    }

    fn remove(&self) {
        let name = std::ffi::CString::new(self.queue.clone()).unwrap();
        call!(libc::SYS_mq_unlink, name.as_ptr()).ok();
        fs::remove_file(&self.posix_memory).ok();
        call!(libc::SYS_shmctl, self.shared_memory, libc::IPC_RMID, 0).ok();
        call!(libc::SYS_semctl, self.semaphores, 0, libc::IPC_RMID, 0).ok();
        call!(libc::SYS_msgctl, self.messages, libc::IPC_RMID, 0).ok();
    }
}

/// A terminal of the user: its master, and the path of the other side.
fn terminal() -> Option<(OwnedFd, PathBuf)> {
    const UNLOCK: i64 = 0x4004_5431; // TIOCSPTLCK
    const NUMBER: i64 = 0x8004_5430; // TIOCGPTN
    let master: OwnedFd = File::options().read(true).write(true).open("/dev/ptmx").ok()?.into();
    let mut number = 0_i32;
    call!(libc::SYS_ioctl, master.as_raw_fd(), UNLOCK, at(&0_i32)).ok()?;
    call!(libc::SYS_ioctl, master.as_raw_fd(), NUMBER, into(&mut number)).ok()?;
    let path = PathBuf::from(format!("/dev/pts/{number}"));
    path.exists().then_some((master, path))
}
