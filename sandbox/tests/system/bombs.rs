//! Plugins that take all that they can get: each is stopped where the report said, and everybody
//! else goes on.
//!
//! That single limits hold is in the matrix; here they are run into without end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use outrigger_sandbox::{Ceiling, Guarantee, Policy, Profile, Standing, Tier};

use crate::matrix::tier_missing;
use crate::probe::raw::{call, fork};
use crate::runner::Test;
use crate::support::{PATIENCE, Started, eventually, first_party, readable, role, start_with};

/// Processes of the bomb.
const PROCESSES: u32 = 24;

/// Bytes of its memory: less than all its pipes can hold.
const MEMORY: u64 = 48 << 20;

/// As the sandbox has them: descriptors, and bytes in the scratch folder.
const DESCRIPTORS: usize = 512;
const SCRATCH: u64 = 64 << 20;

pub(crate) fn tests() -> Vec<Test> {
    type Bomb = (&'static str, fn(Tier));
    const BOMBS: [Bomb; 4] =
        [("forks", forks), ("memory", memory), ("descriptors", descriptors), ("scratch", scratch)];
    let of_tier = |tier| BOMBS.map(|(name, body)| test(name, body, tier));
    [Tier::Namespaced, Tier::Landlocked].into_iter().flat_map(of_tier).collect()
}

fn test(name: &str, body: fn(Tier), tier: Tier) -> Test {
    let missing = move || tier_missing(tier);
    let name = format!("a_bomb_of_{name}_is_bounded_{tier}");
    Test { name, body: Box::new(move || body(tier)), missing: Box::new(missing) }
}

fn start(bomb: &str, tier: Tier) -> Started {
    start_within(MEMORY, PROCESSES, bomb, tier)
}

fn start_within(memory: u64, processes: u32, bomb: &str, tier: Tier) -> Started {
    start_with(role(bomb), |launch| {
        let at_most = Ceiling { tier: Some(tier), landlock_abi: None };
        let (processes, memory) = (Some(processes), Some(memory));
        launch.policy = Policy { profile: Profile::Strict, processes, memory, at_most, ..Policy::default() };
    })
}

fn enforced(started: &Started, guarantee: Guarantee) -> bool {
    let standing = started.child.report().standing(guarantee);
    if standing != Standing::Enforced {
        println!("     not enforced here: {guarantee} {standing}");
    }
    standing == Standing::Enforced
}

/// Another plugin starts, works and ends beside it.
fn neighbour_works() {
    let mut neighbour = start_with(first_party("wait"), |launch| launch.policy = Policy::default());
    assert_eq!(neighbour.log.line(), "waiting");
    drop(neighbour.connection.shutdown(std::net::Shutdown::Both));
    assert!(neighbour.child.wait(PATIENCE).unwrap().unwrap().exit.success());
}

/// Holds S85.
fn forks(tier: Tier) {
    let mut started = start("bomb-forks", tier);
    if !enforced(&started, Guarantee::Processes) {
        return started.child.kill();
    }
    started.connection.write_all(b"go").unwrap();
    assert_eq!(started.log.line(), "full");
    neighbour_works();
    let processes = running("bomb-forks");
    println!("     {processes} processes");
    assert!((2..=PROCESSES as usize + 1).contains(&processes), "{processes} processes");
    started.child.kill();
    assert!(started.child.wait_gone(PATIENCE).unwrap());
    assert!(readable(&started.connection, PATIENCE) && eventually(|| running("bomb-forks") == 0));
}

/// The processes of a bomb, wherever they are. Its keeper and the first of its namespaces have names
/// of their own.
fn running(bomb: &str) -> usize {
    let is_it = |entry: fs::DirEntry| {
        fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| line.ends_with(format!("role\0{bomb}\0").as_bytes()))
    };
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(is_it)
        .filter(|it| *it)
        .count()
}

/// Holds S85.
fn memory(tier: Tier) {
    let kinds = ["private", "shared", "files", "pipes", "pairs"];
    for (kind, processes) in kinds.into_iter().flat_map(|kind| [(kind, PROCESSES), (kind, 1)]) {
        let mut started = start_within(MEMORY, processes, &format!("bomb-{kind}"), tier);
        if !enforced(&started, Guarantee::Memory) {
            started.child.kill();
            continue;
        }
        started.connection.write_all(b"go").unwrap();
        let ended = started.child.wait(PATIENCE).unwrap().expect("it was not stopped");
        assert!(!ended.exit.success(), "{kind}, {processes} processes: {ended:?}");
        neighbour_works();
    }
}

fn descriptors(tier: Tier) {
    let own = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = own();
    let mut started = start("bomb-descriptors", tier);
    let with_it = own();
    started.connection.write_all(b"go").unwrap();
    let opened: usize = started.log.line().parse().unwrap();
    assert!((100..DESCRIPTORS).contains(&opened), "{opened} descriptors");
    assert_eq!(own(), with_it);
    neighbour_works();
    started.child.kill();
    assert!(started.child.wait_gone(PATIENCE).unwrap());
    drop(started);
    assert_eq!(own(), before);
}

fn scratch(tier: Tier) {
    // What is in the scratch folder is memory as well.
    let mut started = start_within(4 * SCRATCH, PROCESSES, "bomb-scratch", tier);
    assert!(enforced(&started, Guarantee::Disk), "it was granted nothing to write to");
    started.connection.write_all(b"go").unwrap();
    let written: u64 = started.log.line().parse().unwrap();
    let most = if tier == Tier::Namespaced { SCRATCH } else { 0 };
    assert!(written <= most && written * 10 >= most * 9, "{written} bytes");
    neighbour_works();
}

/// The bombs: roles of this executable. Each waits for a word first, so that nothing has happened
/// while the test looks at the report.
pub(crate) fn bomb(kind: &str) -> i32 {
    std::io::Read::read(&mut std::io::stdin(), &mut [0]).unwrap();
    match kind {
        "forks" => fork_without_end(),
        "private" => map_without_end(libc::MAP_PRIVATE),
        "shared" => map_without_end(libc::MAP_SHARED),
        "files" => memory_files_without_end(),
        "pipes" => fill_all(pipe),
        "pairs" => fill_all(pair),
        "descriptors" => open_without_end(),
        _ => fill(Path::new("/tmp")),
    }
}

fn stay() -> ! {
    loop {
        std::thread::park();
    }
}

/// Every process of it forks, until none can.
fn fork_without_end() -> ! {
    let own = std::process::id();
    while fork(|| fork_without_end()).is_ok() {}
    if std::process::id() == own {
        println!("full");
    }
    stay()
}

const PART: usize = 1 << 20;

fn map_without_end(sharing: i32) -> i32 {
    let flags = sharing | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    // Far more than it may have; what it was refused is an end as well.
    (0..4 * MEMORY)
        .step_by(PART)
        .all(|_| call!(libc::SYS_mmap, 0, PART, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0).is_ok())
        .into_code()
}

fn memory_files_without_end() -> i32 {
    let part = vec![b'x'; PART];
    let write = |_| {
        let file = call!(libc::SYS_memfd_create, c"bomb".as_ptr(), libc::MFD_CLOEXEC)?;
        call!(libc::SYS_write, file, part.as_ptr(), part.len())
    };
    (0..4 * MEMORY).step_by(PART).all(|part| write(part).is_ok()).into_code()
}

type Ends = (OwnedFd, OwnedFd);

/// As large as it can be had.
fn pipe() -> io::Result<Ends> {
    let (reader, writer) = io::pipe()?;
    call!(libc::SYS_fcntl, writer.as_raw_fd(), libc::F_SETPIPE_SZ, 1 << 20).ok();
    Ok((reader.into(), writer.into()))
}

/// The same.
fn pair() -> io::Result<Ends> {
    let (one, other) = UnixStream::pair()?;
    for end in [&one, &other] {
        rustix::net::sockopt::set_socket_send_buffer_size(end, 1 << 30).ok();
    }
    Ok((one.into(), other.into()))
}

/// Fills as many of them as can be had, and keeps them; whether that is more than it may have.
fn fill_all(make: fn() -> io::Result<Ends>) -> i32 {
    let (mut kept, mut held) = (Vec::new(), 0);
    while let Ok((one, other)) = make() {
        held += filled(&one) + filled(&other);
        kept.push((one, other));
    }
    (held > MEMORY).into_code()
}

/// How much an end takes before somebody would have to read.
fn filled(end: &OwnedFd) -> u64 {
    rustix::io::ioctl_fionbio(end, true).unwrap();
    let written = || rustix::io::write(end, &[b'x'; 4096]).ok();
    std::iter::from_fn(written).map(|length| length as u64).sum()
}

/// Success means that nothing stopped it.
trait IntoCode {
    fn into_code(self) -> i32;
}

impl IntoCode for bool {
    fn into_code(self) -> i32 {
        i32::from(!self)
    }
}

fn open_without_end() -> ! {
    let mut open = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        open.push(file);
    }
    println!("{}", open.len());
    stay()
}

fn fill(folder: &Path) -> ! {
    let part = vec![b'x'; PART];
    let mut written = 0;
    if let Ok(mut file) = File::create(folder.join("bomb")) {
        while let Ok(length) = file.write(&part) {
            written += length;
        }
    }
    println!("{written}");
    stay()
}
