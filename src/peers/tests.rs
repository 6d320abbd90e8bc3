use outrigger_protocol::VERSION;
use outrigger_transport::write_private;

use super::*;

fn name() -> EndName {
    EndName::new("notes").unwrap()
}

fn said(secret: [u8; 32]) -> Announcement {
    Announcement {
        name: name(),
        endpoint: "/x".into(),
        pid: 7,
        software: "notes".into(),
        protocols: vec![VERSION],
        fingerprint: Fingerprint::of(&Secret(secret)),
    }
}

fn admit(state: &Path, announced: Option<[u8; 32]>) -> Result<[u8; 32], String> {
    let peers = Peers::load(state).unwrap();
    let admitted = peers.admit(&name(), announced.map(said).as_ref());
    admitted.map(|secret| secret.0).map_err(|failure| {
        assert_eq!(failure.exit, Exit::Credentials);
        assert!(failure.hint.is_some());
        failure.message
    })
}

#[test]
fn a_name_is_worth_what_its_secret_is() {
    let state = tempfile::tempdir().unwrap();
    let key = state.path().join("key");
    assert!(admit(state.path(), Some([7; 32])).unwrap_err().contains("waits to be approved: its code is"));
    assert!(admit(state.path(), None).unwrap_err().contains("never approved"));
    write_private(&key, format!("{}\n", Secret([7; 32]).to_hex()).as_bytes()).unwrap();
    Peers::approve_key(state.path(), &name(), &key).unwrap();
    assert_eq!(admit(state.path(), Some([7; 32])), Ok([7; 32]));
    assert_eq!(admit(state.path(), None), Ok([7; 32]), "one that announces nothing has to prove it");
    assert!(admit(state.path(), Some([8; 32])).unwrap_err().contains("another key"));
    assert!(Peers::revoke(state.path(), &name()).unwrap());
    assert!(!Peers::revoke(state.path(), &name()).unwrap());
    assert!(admit(state.path(), Some([7; 32])).unwrap_err().contains("revoked"));
    Peers::approve_key(state.path(), &name(), &key).unwrap();
    assert!(admit(state.path(), Some([7; 32])).is_ok());
}

#[test]
fn wrong_proofs_make_the_next_wait_until_one_is_right() {
    let state = tempfile::tempdir().unwrap();
    Peers::pin(state.path(), &name(), &Secret([7; 32])).unwrap();
    for _ in 0..4 {
        Peers::proved(state.path(), &name(), false).unwrap();
        assert!(admit(state.path(), None).is_ok());
    }
    for _ in 4..12 {
        Peers::proved(state.path(), &name(), false).unwrap();
    }
    let message = admit(state.path(), None).unwrap_err();
    assert!(message.contains("12 wrong proofs"), "{message}");
    assert!(Peers::load(state.path()).unwrap().has_failed(&name()));
    Peers::proved(state.path(), &name(), true).unwrap();
    assert!(admit(state.path(), None).is_ok());
    assert!(!Peers::load(state.path()).unwrap().has_failed(&name()));
}

#[test]
fn only_the_code_that_it_shows_approves_an_end() {
    let code = said([7; 32]).fingerprint.code();
    approve_code(&name(), &said([7; 32]), &code).unwrap();
    approve_code(&name(), &said([7; 32]), &code.replace('-', "").to_lowercase()).unwrap();
    let other = said([8; 32]).fingerprint.code();
    let failure = approve_code(&name(), &said([7; 32]), &other).unwrap_err();
    assert!(failure.hint.unwrap().contains("process 7"));
    approve_code(&name(), &said([7; 32]), &code[..4]).unwrap_err();
}

#[test]
fn a_file_that_others_may_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let state = tempfile::tempdir().unwrap();
    Peers::pin(state.path(), &name(), &Secret([7; 32])).unwrap();
    let file = state.path().join("peers.json");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let failure = Peers::load(state.path()).unwrap_err();
    assert!(failure.causes[0].to_string().contains("mode 644"), "{failure:?}");
    let lost = |text: &str| {
        write_private(&file, text.as_bytes()).unwrap();
        Peers::load(state.path()).is_err()
    };
    assert!(lost("{") && lost("{\"notes\": {\"standing\": \"loved\"}}"));
}

#[test]
fn what_is_known_is_shown_without_its_secrets() {
    let state = tempfile::tempdir().unwrap();
    Peers::pin(state.path(), &name(), &Secret([7; 32])).unwrap();
    let peers = Peers::load(state.path()).unwrap();
    let shown = format!("{peers:?} {}", serde_json::to_string(&peers.known["notes"].fingerprint()).unwrap());
    assert!(!shown.contains(&Secret([7; 32]).to_hex()), "{shown}");
}
