use std::io::Read as _;
use std::os::unix::fs::symlink;

use super::*;

fn name() -> EndName {
    EndName::new("notes").unwrap()
}

/// A runtime directory that is gone with the test.
struct Root(tempfile::TempDir, PathBuf);

impl Root {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("r");
        Self(outer, inner)
    }

    fn path(&self) -> &Path {
        &self.1
    }
}

fn take(root: &Path) -> io::Result<Presence> {
    Presence::take_in(Ends::within(root)?, name(), Secret([7; 32]), "notes 1")
}

fn files(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("ends")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_an_end_leaves_goes_with_it_but_for_its_lock() {
    let root = Root::new();
    let presence = take(root.path()).unwrap();
    assert_eq!(files(root.path()), ["notes.json", "notes.lock", "notes.offer", "notes.sock"]);
    let ends = Ends::within(root.path()).unwrap();
    assert_eq!(ends.announced(&name()).unwrap().unwrap(), *presence.announcement());
    assert_eq!(ends.offered(&name()).unwrap().unwrap().0, [7; 32]);
    assert_eq!(ends.names().unwrap(), [name()]);
    assert!(ends.is_held(&name()).unwrap());
    drop(presence);
    assert_eq!(files(root.path()), ["notes.lock"]);
    assert!(!ends.is_held(&name()).unwrap());
}

#[test]
fn a_second_holder_is_refused_and_told_who_holds_the_name() {
    let root = Root::new();
    let first = take(root.path()).unwrap();
    let error = take(root.path()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    assert_eq!(files(root.path()).len(), 4, "the first is not disturbed");
    UnixStream::connect(&first.socket).unwrap();
}

#[test]
fn b12_only_what_a_dead_end_left_is_cleaned() {
    let root = Root::new();
    let ends = Ends::within(root.path()).unwrap();
    let mut presence = take(root.path()).unwrap();
    assert!(!ends.clean(&name()).unwrap(), "it lives");
    let elsewhere = root.0.path().join("lock");
    presence.lock = Held::take(&elsewhere).unwrap().unwrap();
    fs::remove_file(elsewhere).unwrap(); // as after a kill -9: nothing is cleaned up
    drop(presence);
    assert_eq!(files(root.path()).len(), 4);
    assert!(ends.clean(&name()).unwrap());
    assert_eq!(files(root.path()), ["notes.lock"]);
    take(root.path()).unwrap();
}

#[test]
fn b14_what_a_cleaner_removed_is_put_back_and_the_name_stays_ours() {
    let root = Root::new();
    let ends = Ends::within(root.path()).unwrap();
    let mut presence = take(root.path()).unwrap();
    for gone in ["notes.sock", "notes.json", "notes.lock"] {
        fs::remove_file(root.path().join("ends").join(gone)).unwrap();
        presence.repair().unwrap();
        assert!(ends.is_held(&name()).unwrap(), "{gone}");
        UnixStream::connect(&ends.announced(&name()).unwrap().unwrap().endpoint).unwrap();
    }
    fs::remove_dir_all(root.path().join("ends")).unwrap();
    presence.repair().unwrap();
    UnixStream::connect(&presence.socket).unwrap();
    presence.stop_offering();
    fs::remove_file(&presence.socket).unwrap();
    presence.repair().unwrap();
    assert!(ends.offered(&name()).unwrap().is_none(), "what was fetched is not offered again");
}

#[test]
fn b14_a_name_that_another_end_took_meanwhile_is_left_to_it() {
    let root = Root::new();
    let mut first = take(root.path()).unwrap();
    fs::remove_file(root.path().join("ends/notes.lock")).unwrap();
    let second = take(root.path()).unwrap();
    assert_eq!(first.repair().unwrap_err().kind(), io::ErrorKind::AddrInUse);
    drop(first);
    UnixStream::connect(&second.socket).unwrap();
}

#[test]
fn b16_a_squatted_name_is_refused() {
    let root = Root::new();
    Ends::within(root.path()).unwrap();
    symlink("/etc/passwd", root.path().join("ends/notes.lock")).unwrap();
    assert_eq!(take(root.path()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    fs::remove_file(root.path().join("ends/notes.lock")).unwrap();
    symlink("/etc/passwd", root.path().join("ends/notes.json")).unwrap();
    let ends = Ends::within(root.path()).unwrap();
    assert_eq!(ends.announced(&name()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    drop(take(root.path()).unwrap());
    fs::set_permissions(root.path().join("ends"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(take(root.path()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn an_entry_says_its_own_name_and_is_no_larger_than_one_can_be() {
    let root = Root::new();
    let presence = take(root.path()).unwrap();
    let ends = Ends::within(root.path()).unwrap();
    let other = EndName::new("other").unwrap();
    fs::copy(root.path().join("ends/notes.json"), root.path().join("ends/other.json")).unwrap();
    assert_eq!(ends.announced(&other).unwrap_err().kind(), io::ErrorKind::InvalidData);
    write_private(&root.path().join("ends/other.json"), &[b' '; Announcement::LARGEST + 1]).unwrap();
    assert_eq!(ends.announced(&other).unwrap_err().kind(), io::ErrorKind::InvalidData);
    drop(presence);
}

#[test]
fn b11_a_path_that_is_too_long_is_named_with_its_length_and_the_limit() {
    let root = Root::new();
    let deep = root.0.path().join("d".repeat(200));
    let error = take(&deep).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let length = deep.join("ends/notes.sock").as_os_str().len();
    let words = [deep.display().to_string(), length.to_string(), "limit 100".into()];
    assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
}

#[test]
fn a_stop_ends_the_waiting_and_the_connection_that_is_served() {
    let root = Root::new();
    let (mut presence, stop) = (take(root.path()).unwrap(), Stop::new().unwrap());
    let mut broker = UnixStream::connect(&presence.socket).unwrap();
    let served = presence.accept(&stop).unwrap().unwrap();
    assert!(!stop.wait(Duration::ZERO));
    let waiting = std::thread::spawn({
        let stop = stop.clone();
        move || stop.wait(Duration::from_secs(60))
    });
    stop.stop();
    assert!(waiting.join().unwrap() && stop.is_stopped());
    assert_eq!(broker.read(&mut [0]).unwrap(), 0, "the connection was broken");
    drop(served);
    assert!(presence.accept(&stop).unwrap().is_none());
}
