//! Secrets: nothing that a connector is given shows one, and no error quotes one.

use std::sync::mpsc::channel;

use outrigger_plugin_sdk::protocol::{
    Answered, CallOptions, Code, Error, Hello, Initialize, Initialized, Method, ObjectId, SecretText,
};
use outrigger_plugin_sdk::protocol::{AuthKind, Codec, Handshake, SessionId};
use outrigger_plugin_sdk::{serve_many_on, serve_on};
use outrigger_transport::memory::{CAPACITY, pair};
use serde::Serialize;

use crate::client::{Client, decoded, initialize, part};
use crate::connector::{Connector, item};

const SECRET: &str = "correct horse battery staple";

fn secret() -> CallOptions {
    CallOptions { secret: true, ..CallOptions::default() }
}

fn with_secret() -> Initialize {
    Initialize { secrets: vec![("password".into(), SecretText::new(SECRET.into()))], ..initialize() }
}

/// Fails if `shown` has the secret in it, as text or as a list of bytes.
fn assert_hidden(shown: &str) {
    let bytes = format!("{:?}", SECRET.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    assert!(!shown.contains(SECRET) && !shown.contains(bytes), "{shown}");
}

#[test]
fn what_is_shown_of_a_call_hides_secrets_that_it_brings_and_that_wait_behind_it() {
    let (tell, shown) = channel();
    let (release, released) = channel::<()>();
    let mut gate = Some((tell, released));
    let make = move || {
        let gate = gate.take();
        Connector::new()
            .on_initialize(|request, context| {
                assert_hidden(&format!("{request:?} {request:#?} {context:?}"));
                assert_eq!(request.secrets.first().map_or(SECRET, |(_, secret)| secret.expose()), SECRET);
                Ok(())
            })
            .on_commit(move |_, context| {
                let (tell, released) = gate.as_ref().unwrap();
                tell.send(String::new()).unwrap();
                released.recv().unwrap();
                assert!(!context.is_cancelled(), "what waits is taken in");
                tell.send(format!("{context:?} {context:#?}")).unwrap();
                let answer = context.ask_password("?")?;
                tell.send(format!("{answer:?} {context:?}")).unwrap();
                Ok(())
            })
    };
    let (ours, theirs) = pair(CAPACITY);
    let served = std::thread::spawn(move || serve_many_on(2, make, Box::new(theirs), None));
    let mut client = Client::meet(ours);
    let (_, sinks) = client.instance();
    client.begin_run(sinks[0]);
    let commit = client.commit(sinks[0], item("n", b"new"));
    client.link.flush().unwrap();
    shown.recv().unwrap();
    let behind = client.send_with(ObjectId::HOST, Method::INITIALIZE, &with_secret(), secret());
    client.link.flush().unwrap();
    release.send(()).unwrap();
    assert_hidden(&shown.recv().unwrap());
    let asked = client.asked();
    client.link.connection().reply_secret(asked.id, &Answered { text: SecretText::new(SECRET.into()) });
    assert!(client.wait(commit).is_ok());
    assert_hidden(&shown.recv().unwrap());
    decoded::<Initialized>(client.wait(behind));
    part(client, served);
}

/// JSON errors quote what they are about.
#[test]
fn an_error_about_a_secret_body_does_not_quote_it() {
    #[derive(Serialize)]
    struct Wrong {
        secrets: &'static str,
    }
    let (ours, theirs) = pair(CAPACITY);
    let served = std::thread::spawn(move || serve_on(Connector::new(), Box::new(theirs), None));
    let mut hello = Hello::new("broker", AuthKind::Inherited, [2; 32]);
    hello.codecs = vec![Codec::Json.number()];
    let handshake = Handshake::listen(hello, None, SessionId(uuid::Uuid::from_u128(7)));
    let mut client = Client::over(Box::new(ours), handshake);
    let mut refused = |options| -> Error {
        let call = client.send_with(ObjectId::HOST, Method::INITIALIZE, &Wrong { secrets: SECRET }, options);
        client.wait(call).unwrap_err()
    };
    let (open, hidden) = (refused(CallOptions::default()), refused(secret()));
    assert_eq!((open.code, hidden.code), (Code::INVALID, Code::INVALID));
    assert!(open.message.contains(SECRET), "else this test proves nothing: {open}");
    assert_hidden(&format!("{hidden:?}"));
    part(client, served);
}
