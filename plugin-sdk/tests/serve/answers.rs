//! Every call gets one answer, whatever the connector does.

use outrigger_plugin_sdk::Context;
use outrigger_plugin_sdk::protocol::{
    Blame, Cause, Code, Commit, Committed, Effect, Error, Method, ObjectId,
};

use crate::client::{decoded, part, start, start_run};
use crate::connector::{Connector, item};

/// Holds S11.
#[test]
fn a_panic_is_an_answer_and_the_process_stays_usable() {
    let mut first = true;
    let connector = Connector::new().on_commit(move |_, _| {
        assert!(!std::mem::take(&mut first), "the connector's own words");
        Ok(())
    });
    let (mut client, served, sink) = start_run(connector);
    let panicking = client.commit(sink, item("n", b"new"));
    let after = client.commit(sink, item("n", b"new"));
    let error = client.wait(panicking).unwrap_err();
    assert_eq!((error.code, error.effect), (Code::PANIC, Effect::Unknown));
    assert!(error.message.contains("the connector's own words"), "{error}");
    assert_eq!(decoded::<Committed>(client.wait(after)).results.len(), 1);
    part(client, served);
}

#[test]
fn the_connectors_error_is_the_answer() {
    let connector = Connector::new().on_commit(|_, _| {
        Err(Error::new(Code::FULL, "no room").by(Blame::Member).with_effect(Effect::Partial))
    });
    let (mut client, served, sink) = start_run(connector);
    let commit = client.commit(sink, item("n", b"new"));
    let error = client.wait(commit).unwrap_err();
    assert_eq!((error.code, error.blame, error.effect), (Code::FULL, Blame::Member, Effect::Partial));
    part(client, served);
}

/// A peer ends the connection over an error that it cannot decode.
#[test]
fn an_error_with_more_causes_than_a_peer_takes_still_arrives() {
    let connector = Connector::new().on_commit(|_, _| {
        let mut error = Error::new(Code::IO, "m".repeat(100_000));
        error.causes = (0..100).map(|at| Cause { code: Code::IO, message: at.to_string() }).collect();
        Err(error)
    });
    let (mut client, served, sink) = start_run(connector);
    let commit = client.commit(sink, item("n", b"new"));
    let error = client.wait(commit).unwrap_err();
    assert_eq!((error.causes.len(), error.causes[15].message.as_str()), (16, "15"));
    part(client, served);
}

/// Holds S12.
#[test]
fn an_unknown_method_is_unimplemented() {
    let (mut client, served) = start(Connector::new());
    let error = client.call(ObjectId::HOST, Method(900), &()).unwrap_err();
    assert_eq!((error.code, error.effect), (Code::UNIMPLEMENTED, Effect::NotStarted));
    part(client, served);
}

#[test]
fn a_body_that_cannot_be_decoded_is_invalid() {
    let connector = Connector::new();
    let log = connector.seen.clone();
    let (mut client, served) = start(connector);
    let (instance, sinks) = client.instance();
    client.begin_run(sinks[0]);
    let before = log.lock().unwrap().len();
    for method in
        [Method::COMMIT, Method::READ, Method::GET_CHANGES, Method::COMMITTED_ALL, Method::DISCONNECT]
    {
        let error = client.call(sinks[0], method, &0xffff_ffff_ffffu64).unwrap_err();
        assert_eq!(error.code, Code::INVALID, "{method}: {error}");
    }
    for method in [Method::DISCOVER, Method::FINALIZE] {
        assert_eq!(client.call(instance, method, &7u8).unwrap_err().code, Code::INVALID, "{method}");
    }
    assert_eq!(log.lock().unwrap().len(), before, "nothing reached the connector");
    client.call(sinks[0], Method::DISCONNECT, &()).unwrap();
    part(client, served);
}

#[test]
fn an_error_too_large_for_a_frame_is_shortened() {
    let words = |_: &Commit<'_>, _: &mut Context<'_>| Err(Error::new(Code::FULL, "m".repeat(2 << 20)));
    let (mut client, served, sink) = start_run(Connector::new().on_commit(words));
    let commit = client.commit(sink, item("n", b"new"));
    let error = client.wait(commit).unwrap_err();
    assert_eq!((error.code, error.message), (Code::FULL, "m".repeat(1024)));
    part(client, served);
}
