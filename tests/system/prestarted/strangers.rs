//! Who must not be taken for the application, and whom the application must not serve.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use outrigger::protocol::{
    Announcement, AuthKind, Decoder, EndName, Fingerprint, Handshake, Hello, Secret, SessionId, VERSION,
};

use super::desk::{Desk, Language, NAME};
use crate::support::{LAPTOP, card};

/// The user that a test becomes where it may.
const NOBODY: u32 = 65_534;

/// Says where to knock, in a process of another user.
const KNOCK: &str = "OUTRIGGER_TEST_KNOCK";

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn only_the_code_that_it_shows_approves_it() {
    let desk = Desk::new();
    let app = desk.app();
    let wrong = desk.run(&["peers", "approve", NAME, "0000-0000-0000"]).expect(2);
    let wrong = wrong.says(&["does not have the code", "with another code"]);
    assert!(!wrong.stderr.contains(&app.code), "it would be pasted: {wrong:?}");
    desk.run(&["peers", "approve", "nobody", &app.code]).expect(2).says(&["no end called nobody"]);
    desk.run(&["peers", "approve", NAME]).expect(2).says(&["the code of contacts is missing"]);
    desk.run(&["peers", "approve", "a/b", "x"]).expect(2).says(&["letters, digits"]);
    desk.approve(&app);
    desk.run(&["peers", "list"]).expect(0).says(&["approved", &app.code]);
    desk.sync().expect(0);
    desk.run(&["peers", "revoke", NAME]).expect(0);
    desk.run(&["peers", "revoke", NAME]).expect(2).says(&["was not approved"]);
    desk.sync().expect(6).says(&["contacts was revoked", "start the program again"]);
    desk.run(&["peers", "approve", NAME, &app.code]).expect(2).says(&["does not offer its secret"]);
    app.quits();
    desk.approve(&desk.app());
    assert_eq!(desk.run(&["peers", "list", "--json"]).json()["peers"][0]["standing"], "approved");
}

/// Holds S67, S86.
#[test]
fn one_with_another_key_is_refused_and_both_codes_are_told() {
    let desk = Desk::new();
    let app = desk.app();
    let known = app.code.clone();
    desk.approve(&app);
    app.quits();
    fs::create_dir(desk.world.path("other")).unwrap();
    let mut app = desk.app_with("other");
    desk.sync().expect(6).says(&["another key", &known, &app.code, "peers revoke contacts"]);
    desk.run(&["peers", "list"]).expect(0).says(&["another key"]);
    app.lives();
    desk.approve(&app);
    desk.sync().expect(0);
}

/// A second one gets no place, is told who has it, and the first notices nothing.
/// Holds S79.
#[test]
fn a_second_holder_of_the_name_is_refused_and_told_who_has_it() {
    let desk = Desk::new();
    let mut first = desk.app();
    desk.approve(&first);
    let second = desk.app_command("profile").stdin(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains(&format!("holds the name contacts: process {}", first.pid())), "{said}");
    first.does("add anna Anna");
    desk.sync().expect(0).wrote(LAPTOP, [1, 0, 0]);
    first.lives();
}

/// What lies in the runtime directory is not used when somebody else may have put it there.
/// Holds S83, S86.
#[test]
fn b16_a_squatted_entry_socket_or_folder_is_refused_and_not_connected_to() {
    let desk = Desk::new();
    let app = desk.app();
    desk.approve(&app);
    let refused = |words: &[&str]| {
        desk.sync().expect(7).says(words).says(&["was not found", "nothing was sent to it"]);
    };
    let (entry, aside) = (desk.file("json"), desk.world.path("aside"));
    let text = fs::read_to_string(&entry).unwrap();
    fs::rename(&entry, &aside).unwrap();
    symlink(&aside, &entry).unwrap();
    refused(&["contacts.json", "a symbolic link"]);
    fs::remove_file(&entry).unwrap();
    fs::copy(&aside, &entry).unwrap();
    chmod(&entry, 0o644);
    refused(&["contacts.json", "mode 644"]);
    chmod(&entry, 0o600);
    fs::write(&entry, "garbage").unwrap();
    refused(&["contacts.json"]);
    // An entry of ours that leads to where anybody may have put a socket.
    let open = desk.world.path("open");
    fs::create_dir(&open).unwrap();
    chmod(&open, 0o777);
    let stranger = UnixListener::bind(open.join("s")).unwrap();
    stranger.set_nonblocking(true).unwrap();
    let own = desk.file("sock");
    fs::write(&entry, text.replace(own.to_str().unwrap(), open.join("s").to_str().unwrap())).unwrap();
    refused(&["open", "mode 777"]);
    assert!(stranger.accept().is_err(), "it was connected to");
    chmod(&desk.ends(), 0o755);
    refused(&["ends", "mode 755"]);
    chmod(&desk.ends(), 0o700);
    fs::write(&entry, &text).unwrap();
    desk.sync().expect(0);
}

/// An end that took the name and claims the approved fingerprint, but has not its secret. `proves`: it
/// does not mind that our proof is wrong for it, and makes one up.
fn liar(desk: &Desk, proves: bool, times: usize) -> std::thread::JoinHandle<()> {
    let known = fs::read_to_string(desk.world.path(format!("profile/outrigger-{NAME}.key"))).unwrap();
    let lock = fs::File::options().read(true).write(true).open(desk.file("lock")).unwrap();
    lock.try_lock().unwrap();
    let listener = UnixListener::bind(desk.file("sock")).unwrap();
    let said = Announcement {
        name: EndName::new(NAME).unwrap(),
        endpoint: desk.file("sock").to_str().unwrap().to_owned(),
        pid: 1,
        software: "the real one".into(),
        protocols: vec![VERSION],
        fingerprint: Fingerprint::of(&Secret::from_hex(known.trim()).unwrap()),
    };
    fs::write(desk.file("json"), said.to_json()).unwrap();
    chmod(&desk.file("json"), 0o600);
    std::thread::spawn(move || {
        let _lock = lock;
        for _ in 0..times {
            lie(listener.accept().unwrap().0, proves);
        }
    })
}

fn lie(mut stream: UnixStream, proves: bool) {
    let hello = Hello::new("liar", AuthKind::Hmac, [1; 32]);
    let mut handshake = Handshake::listen(hello, Some(Secret([1; 32])), SessionId(uuid::Uuid::nil()));
    let mut decoder = Decoder::new(1 << 16);
    loop {
        let count = stream.read(decoder.space()).unwrap();
        decoder.filled(count);
        let heard = handshake.receive(&mut decoder);
        if heard.is_ok() {
            stream.write_all(&handshake.output()).unwrap();
            continue;
        }
        let mut proof = vec![32, 0, 0, 0, PROOF];
        proof.resize(28 + 32, 0);
        let said = if proves { proof } else { handshake.output() };
        stream.write_all(&said).unwrap();
        stream.read_to_end(&mut Vec::new()).ok();
        return;
    }
}

/// The number of the frame PROOF.
const PROOF: u8 = outrigger::protocol::Kind::PROOF.0;

/// Of the Python end too: a broker that has another secret than the end gets no service, and is told why.
/// Holds S86.
#[test]
#[ignore = "needs python3"]
fn an_end_in_python_serves_no_broker_without_the_secret() {
    let desk = Desk::new().in_language(Language::Python);
    let mut app = desk.app();
    let wrong = desk.world.path("wrong");
    fs::write(&wrong, "ab".repeat(32)).unwrap();
    chmod(&wrong, 0o600);
    desk.configure(&format!("locate = {{ socket = \"{}\" }}", desk.file("sock").display()));
    desk.run(&["peers", "approve", "phone", "--key", wrong.to_str().unwrap()]).expect(0);
    desk.sync().expect(6).says(&["the proof does not fit"]);
    app.lives();
}

/// Holds S67, S86.
#[test]
fn one_that_claims_the_name_without_the_secret_is_found_out() {
    let desk = Desk::new();
    let app = desk.app();
    desk.approve(&app);
    app.quits();
    desk.world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    let honest = liar(&desk, false, 1);
    desk.sync().expect(6).says(&["the proof does not fit", "may have taken the name"]);
    honest.join().unwrap();
    fs::remove_file(desk.file("sock")).unwrap();
    // After many wrong proofs in a row, it is not even asked.
    let _waits_for_a_third = liar(&desk, true, 3);
    desk.sync().expect(6).says(&["does not know the secret", "may have taken the name"]);
    let (file, one) = (desk.world.state().join("peers.json"), "\"failed\": 1");
    let known = fs::read_to_string(&file).unwrap();
    assert!(known.contains(one), "{known}");
    fs::write(&file, known.replace(one, "\"failed\": 9")).unwrap();
    desk.sync().expect(6).says(&["does not know the secret"]);
    desk.sync().expect(6).says(&["10 wrong proofs", "it is not asked"]);
}

/// The end's side of it: brokers that guess make all wait.
/// Holds S67.
#[test]
fn brokers_with_wrong_proofs_make_the_next_wait() {
    let desk = Desk::new();
    let app = desk.app();
    let wrong = desk.world.path("wrong");
    fs::write(&wrong, "ab".repeat(32)).unwrap();
    chmod(&wrong, 0o600);
    desk.configure(&format!("locate = {{ socket = \"{}\" }}", desk.file("sock").display()));
    desk.run(&["peers", "approve", "phone", "--key", wrong.to_str().unwrap()]).expect(0);
    for _ in 0..4 {
        desk.sync().expect(6);
    }
    let begun = Instant::now();
    desk.sync().expect(6);
    let right = desk.world.path(format!("profile/outrigger-{NAME}.key"));
    desk.run(&["peers", "approve", "phone", "--key", right.to_str().unwrap()]).expect(0);
    desk.sync().expect(0);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    drop(app);
}

/// As another user: neither side talks to the other, though the files let them meet.
/// Holds S82, S83, S86.
#[test]
#[ignore = "needs root"]
fn b15_processes_of_two_users_do_not_talk() {
    if let Some(socket) = std::env::var_os(KNOCK) {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // What a broker says first: whoever hears it answers.
        let hello = Hello::new("stranger", AuthKind::Hmac, [1; 32]);
        stream.write_all(&Handshake::dial(hello, Some(Secret([1; 32]))).output()).ok();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).ok();
        assert!(heard.is_empty(), "it was served: {heard:?}");
        return;
    }
    let desk = Desk::new();
    let mut app = desk.app();
    // The broker: what lies at the path belongs to another user, or its process does.
    let socket = desk.file("sock");
    desk.configure(&format!("locate = {{ socket = \"{}\" }}", socket.display()));
    let key = desk.world.path(format!("profile/outrigger-{NAME}.key"));
    desk.run(&["peers", "approve", "phone", "--key", key.to_str().unwrap()]).expect(0);
    chown(&socket, Some(NOBODY), Some(NOBODY)).unwrap();
    desk.sync().expect(7).says(&["contacts.sock", "user 65534", "nothing was sent to it"]);
    chown(&socket, Some(0), Some(0)).unwrap();
    desk.sync().expect(0);
    // The end: let in by the files, another user's process is let go unheard.
    for (path, mode) in [
        (desk.runtime.path().to_owned(), 0o755),
        (desk.runtime.path().join("outrigger"), 0o755),
        (desk.ends(), 0o755),
        (socket.clone(), 0o666),
    ] {
        chmod(&path, mode);
    }
    let program = desk.runtime.path().join("knocks");
    let own = std::env::current_exe().unwrap();
    fs::hard_link(&own, &program).or_else(|_| fs::copy(&own, &program).map(|_| ())).unwrap();
    let mut knocks = Command::new(&program);
    knocks.args(["--ignored", "--exact", "prestarted::strangers::b15_processes_of_two_users_do_not_talk"]);
    knocks.env(KNOCK, &socket).uid(NOBODY).gid(NOBODY).current_dir("/").stdin(Stdio::null());
    let knocked = knocks.output().unwrap();
    assert!(knocked.status.success(), "{knocked:?}");
    app.lives();
}
