//! The life of a plugin: in order it reaches the connector, out of order it does not.

use outrigger_plugin_sdk::protocol::{
    Code, Commit, ConnectDone, CreateCollection, Href, Initialized, Listing, Method, ObjectId, OperationId,
    Read, ReadItem, Sink,
};
use outrigger_transport::LinkError;

use crate::client::{Client, connect, decoded, initialize, listing, part, seen, start, start_run};
use crate::connector::{Connector, item};

fn read() -> Read {
    Read { items: vec![ReadItem { href: Href::from("x"), known: None }] }
}

#[test]
fn a_whole_life_reaches_the_connector_in_order() {
    let connector = Connector::new();
    let log = connector.seen.clone();
    let (mut client, served) = start(connector);
    let (instance, sinks) = client.instance();
    for _ in 0..2 {
        client.begin_run(sinks[0]);
        let end: Listing = decoded(client.call(sinks[0], Method::GET_CHANGES, &listing()));
        assert_eq!((end.complete, end.count), (true, 0));
        client.call(sinks[0], Method::READ, &read()).unwrap();
        client.call(sinks[0], Method::COMMIT, &Commit { items: vec![item("n", b"new")] }).unwrap();
        for last in [Method::COMMITTED_ALL, Method::SYNC_DONE, Method::DISCONNECT] {
            client.call(sinks[0], last, &()).unwrap();
        }
    }
    client.call(instance, Method::FINALIZE, &()).unwrap();
    part(client, served);
    let run = [
        "connect a",
        "connect_done a",
        "get_changes a",
        "read a",
        "commit a",
        "committed_all a",
        "sync_done a",
        "disconnect a",
    ];
    let expected: Vec<&str> =
        ["initialize m", "discover"].into_iter().chain(run).chain(run).chain(["finalize"]).collect();
    assert_eq!(seen(&log), expected);
}

/// Makes the call, and expects that it is refused.
fn refused(client: &mut Client, target: ObjectId, method: Method) -> Code {
    let answer = match method {
        Method::INITIALIZE => client.call(target, method, &initialize()),
        Method::CONNECT => client.call(target, method, &connect()),
        Method::CONNECT_DONE => client.call(target, method, &ConnectDone { slow_sync: false }),
        Method::GET_CHANGES => client.call(target, method, &listing()),
        Method::READ => client.call(target, method, &read()),
        Method::COMMIT => client.call(target, method, &Commit { items: vec![] }),
        _ => client.call(target, method, &()),
    };
    answer.expect_err(method.rules().unwrap().name).code
}

#[test]
fn calls_out_of_order_never_reach_the_connector() {
    use Method as M;
    let connector = Connector::new();
    let log = connector.seen.clone();
    let (mut client, served) = start(connector);
    for early in [M::DISCOVER, M::CONNECT, M::COMMIT, M::FINALIZE] {
        assert_eq!(refused(&mut client, ObjectId(1), early), Code::NOT_FOUND, "{early}");
    }
    let (instance, sinks) = client.instance();
    assert_eq!(refused(&mut client, ObjectId::HOST, M::INITIALIZE), Code::INVALID_STATE);
    assert_eq!(refused(&mut client, instance, M::COMMIT), Code::NOT_FOUND, "an instance is no sink");
    let sink = sinks[0];
    let refuse = |client: &mut Client, methods: &[Method]| {
        let before = seen(&log);
        for method in methods {
            assert_eq!(refused(client, sink, *method), Code::INVALID_STATE, "{method}");
        }
        assert_eq!(seen(&log), before, "nothing reached the connector");
    };
    let rest = [M::GET_CHANGES, M::READ, M::COMMIT, M::COMMITTED_ALL, M::SYNC_DONE];
    refuse(&mut client, &rest);
    refuse(&mut client, &[M::CONNECT_DONE, M::DISCONNECT]);
    client.call(sink, M::CONNECT, &connect()).unwrap();
    refuse(&mut client, &rest);
    refuse(&mut client, &[M::CONNECT]);
    client.call(sink, M::CONNECT_DONE, &ConnectDone { slow_sync: false }).unwrap();
    refuse(&mut client, &[M::CONNECT, M::CONNECT_DONE, M::SYNC_DONE]);
    client.call(sink, M::COMMITTED_ALL, &()).unwrap();
    refuse(&mut client, &[M::CONNECT, M::CONNECT_DONE, M::GET_CHANGES, M::READ, M::COMMIT, M::COMMITTED_ALL]);
    client.call(sink, M::DISCONNECT, &()).unwrap();
    refuse(&mut client, &[M::DISCONNECT]);
    part(client, served);
}

#[test]
fn discovering_again_keeps_the_numbers() {
    let (mut client, served) = start(Connector::new());
    let (instance, sinks) = client.instance();
    assert_eq!(client.discover(instance), sinks);
    let operation = OperationId(uuid::Uuid::from_u128(1));
    let request = CreateCollection { operation, name: "new".into(), object_types: vec![] };
    let made: Sink = decoded(client.call(instance, Method::CREATE_COLLECTION, &request));
    let again: Sink = decoded(client.call(instance, Method::CREATE_COLLECTION, &request));
    assert_eq!(again.object, made.object, "a retry names the same sink");
    assert!(!sinks.contains(&made.object));
    assert_eq!(client.discover(instance), sinks);
    part(client, served);
}

#[test]
fn w4_numbers_are_not_used_again_after_finalize() {
    let (mut client, served) = start(Connector::new());
    let (instance, sinks) = client.instance();
    client.call(instance, Method::FINALIZE, &()).unwrap();
    let made: Initialized = decoded(client.call(ObjectId::HOST, Method::INITIALIZE, &initialize()));
    assert!(made.instance.0 > sinks[1].0);
    assert!(client.discover(made.instance).iter().all(|sink| !sinks.contains(sink)));
    assert_eq!(client.call(sinks[0], Method::CONNECT, &connect()).unwrap_err().code, Code::NOT_FOUND);
    part(client, served);
}

#[test]
fn w9_goodbye_lets_what_was_accepted_finish() {
    let (mut client, served, sink) = start_run(Connector::new());
    let calls: Vec<u32> = (0..5).map(|_| client.commit(sink, item("n", b"new"))).collect();
    client.link.connection().goodbye();
    while !client.goodbye_answered {
        client.turn(true).unwrap();
    }
    assert!(calls.iter().all(|call| client.is_answered(*call)));
    drop(client);
    served.join().unwrap().unwrap();
}

#[test]
fn the_end_without_a_goodbye_is_an_error() {
    let (client, served, _) = start_run(Connector::new());
    drop(client);
    assert!(matches!(served.join().unwrap(), Err(LinkError::Closed { mid_frame: false })));
}
