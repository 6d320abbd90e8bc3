//! What a connector is told of the limits of its calls, and what becomes of what exceeds them.

use std::sync::mpsc::channel;
use std::time::Duration;

use outrigger_plugin_sdk::protocol::{AuthKind, Handshake, Hello, IdleTimes, Method, SessionId};
use outrigger_plugin_sdk::serve_on;
use outrigger_transport::memory::{CAPACITY, pair};

use crate::client::{Client, Served, listing, part};
use crate::connector::{Connector, item};

/// As `client::start`, with a broker that waits for so long.
fn start(connector: Connector, idle: IdleTimes) -> (Client, Served) {
    let (ours, theirs) = pair(CAPACITY);
    let served = std::thread::spawn(move || serve_on(connector, Box::new(theirs), None));
    let hello = Hello { idle, ..Hello::new("broker", AuthKind::Inherited, [2; 32]) };
    let handshake = Handshake::listen(hello, None, SessionId(uuid::Uuid::from_u128(7)));
    (Client::over(Box::new(ours), handshake), served)
}

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
