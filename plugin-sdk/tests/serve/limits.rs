//! What a connector is told of the limits of its calls, and what becomes of what exceeds them.

use std::sync::mpsc::channel;
use std::time::Duration;

use outrigger_plugin_sdk::protocol::{
    AuthKind, Code, CreateCollection, Effect, Error, Handshake, Hello, IdleTimes, Method, ObjectId,
    OperationId, SessionId,
};
use outrigger_plugin_sdk::serve_on;
use outrigger_transport::memory::{CAPACITY, pair};

use crate::client::{Client, Served, initialize, listing, part};
use crate::connector::{Connector, item};

/// As `client::start`, with a broker that waits for so long.
fn start(connector: Connector, idle: IdleTimes) -> (Client, Served) {
    let (ours, theirs) = pair(CAPACITY);
    let served = std::thread::spawn(move || serve_on(connector, Box::new(theirs), None));
    let hello = Hello { idle, ..Hello::new("broker", AuthKind::Inherited, [2; 32]) };
    let handshake = Handshake::listen(hello, None, SessionId(uuid::Uuid::from_u128(7)));
    (Client::over(Box::new(ours), handshake), served)
}

/// Holds S52.
#[test]
fn w3_a_connector_knows_how_long_each_of_its_calls_may_stay_silent() {
    let (seven, table) = (Duration::from_secs(7), Duration::from_secs(60));
    for (said, expected) in [(None, [table, table]), (Some((Method::COMMIT, seven)), [seven, table])] {
        let (tell, told) = channel();
        let tell_too = tell.clone();
        let connector = Connector::new()
            .on_commit(move |_, context| {
                tell.send(context.idle()).unwrap();
                Ok(())
            })
            .on_changes(move |changes| {
                tell_too.send(changes.context().idle()).unwrap();
                Ok(())
            });
        let (mut client, served) = start(connector, said.into_iter().collect());
        let (_, sinks) = client.instance();
        client.begin_run(sinks[0]);
        let commit = client.commit(sinks[0], item("n", b"new"));
        client.wait(commit).unwrap();
        client.call(sinks[0], Method::GET_CHANGES, &listing()).unwrap();
        assert_eq!([told.recv().unwrap(), told.recv().unwrap()], expected);
        part(client, served);
    }
}

/// The connector answers with a name that it was given: not every answer has room for it.
///
/// Holds S53.
#[test]
fn w6_an_answer_without_room_is_an_error_and_the_plugin_goes_on() {
    let (mut client, served) = start(Connector::new(), IdleTimes::default());
    let (instance, _) = client.instance();
    let mut create = |length| {
        let operation = OperationId(uuid::Uuid::from_u128(length as u128));
        let request = CreateCollection { operation, name: "x".repeat(length), object_types: vec![] };
        client.call(instance, Method::CREATE_COLLECTION, &request)
    };
    assert!(create(60_000).is_ok());
    let error = create(70_000).unwrap_err();
    assert_eq!((error.code, error.effect), (Code::TOO_LARGE, Effect::Done));
    assert!(error.message.contains("create_collection") && error.message.contains("65536"), "{error}");
    assert!(create(7).is_ok());
    part(client, served);
}

#[test]
fn w6_an_error_without_room_is_shortened() {
    let connector = Connector::new().on_initialize(|_, _| Err(Error::new(Code::AUTH, "x".repeat(70_000))));
    let (mut client, served) = start(connector, IdleTimes::default());
    let error = client.call(ObjectId::HOST, Method::INITIALIZE, &initialize()).unwrap_err();
    assert_eq!((error.code, error.message.len()), (Code::AUTH, 1024));
    part(client, served);
}
