//! What the targets noticed. A probe can be wrong about what it did; they are not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::field::{Field, Listeners};

/// How everything was before.
pub(super) struct Before {
    files: Files,
    settings: Vec<(&'static str, String)>,
}

/// Every file with what changes when it is changed: identity, length, time of change.
type Files = BTreeMap<PathBuf, (u64, u64, i64, i64)>;

impl Before {
    pub(super) fn look(field: &Field) -> Self {
        Self { files: files(field), settings: settings() }
    }

    /// What has been noticed since, each a word of [`ALL`].
    pub(super) fn noticed(&self, field: &Field) -> Vec<&'static str> {
        let mut noticed = heard(&field.listeners);
        noticed.extend((files(field) != self.files).then_some("files"));
        let pending = pending();
        noticed.extend((pending & bit(libc::SIGURG) != 0).then_some("signals"));
        noticed.extend((pending & bit(libc::SIGIO) != 0).then_some("signals of descriptors"));
        let settings = settings();
        noticed.extend(
            self.settings.iter().zip(&settings).filter(|(old, new)| old != new).map(|(old, _)| old.0),
        );
        noticed
    }
}

/// All that can be noticed. Without a sandbox, all of it must be: otherwise nobody looked.
pub(super) const ALL: [&str; 17] = [
    "connection",
    "connection over IPv6",
    "connection to the granted port",
    "datagram",
    "datagram over IPv6",
    "datagram to the granted port",
    "abstract socket",
    "path socket",
    "datagram socket",
    "files",
    "signals",
    "signals of descriptors",
    "limits",
    "priority",
    "processors",
    "scheduler",
    "score",
];

fn files(field: &Field) -> Files {
    let mut files = Files::new();
    field.untouchable().iter().for_each(|folder| walk(folder, &mut files));
    files
}

fn walk(path: &Path, files: &mut Files) {
    let about = fs::symlink_metadata(path).unwrap();
    files.insert(path.into(), (about.ino(), about.len(), about.ctime(), about.ctime_nsec()));
    if about.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| walk(&entry.unwrap().path(), files));
    }
}

/// Which listeners heard something. Takes what is there.
fn heard(listeners: &Listeners) -> Vec<&'static str> {
    let mut byte = [0];
    let Listeners { tcp4, tcp6, granted, udp4, udp6, udp_granted, hidden, stream, datagram, .. } = listeners;
    let tcp = |listener: &std::net::TcpListener| listener.accept().is_ok();
    let unix = |listener: &std::os::unix::net::UnixListener| listener.accept().is_ok();
    let heard = [
        tcp(tcp4),
        tcp6.as_ref().is_some_and(tcp),
        tcp(granted),
        udp4.recv(&mut byte).is_ok(),
        udp6.as_ref().is_some_and(|udp| udp.recv(&mut [0]).is_ok()),
        udp_granted.recv(&mut byte).is_ok(),
        unix(hidden),
        unix(stream),
        datagram.recv(&mut byte).is_ok(),
    ];
    ALL.into_iter().zip(heard).filter_map(|(word, heard)| heard.then_some(word)).collect()
}

/// The signals that wait for this process: it has blocked those that the probes send.
fn pending() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let masks = ["SigPnd:\t", "ShdPnd:\t"].map(|name| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(mask, 16).unwrap()
    });
    masks[0] | masks[1]
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

fn settings() -> Vec<(&'static str, String)> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = |text: &str, name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let field =
        |number: usize| stat.rsplit_once(") ").unwrap().1.split(' ').nth(number - 3).unwrap().to_owned();
    vec![
        ("limits", line(&limits, "Max core file size")),
        ("priority", field(19)),
        ("processors", line(&status, "Cpus_allowed:")),
        ("scheduler", field(41)),
        ("score", fs::read_to_string("/proc/self/oom_score_adj").unwrap()),
    ]
}
