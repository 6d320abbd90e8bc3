//! Several instances in one host: each with its member, and no end in common.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use outrigger_plugin_sdk::protocol::{Code, Initialize, Initialized, Method, ObjectId, Snapshot};
use outrigger_plugin_sdk::serve_many_on;
use outrigger_transport::memory::{CAPACITY, pair};

use crate::client::{Client, Served, connect, decoded, initialize, member, part, seen, start};
use crate::connector::{Connector, item};

type Log = Arc<Mutex<Vec<String>>>;

/// A host of up to two; `make` makes the connector with that number, from 1.
fn host(make: impl Fn(u32) -> Connector + Send + 'static) -> (Client, Served, Log) {
    let (ours, theirs) = pair(CAPACITY);
    let log = Log::default();
    let seen = Arc::clone(&log);
    let served = std::thread::spawn(move || {
        let mut made = 0;
        let make = move || {
            made += 1;
            let mut connector = make(made);
            connector.seen = Arc::clone(&seen);
            connector
        };
        serve_many_on(2, make, Box::new(theirs), None)
    });
    (Client::meet(ours), served, log)
}

/// An instance for the member with that number, and its sinks.
fn instance(client: &mut Client, number: u32) -> (ObjectId, Vec<ObjectId>) {
    let mut request = initialize();
    request.member.object = ObjectId(100 + number);
    request.member.name = format!("m{number}");
    let made: Initialized = decoded(client.call(ObjectId::HOST, Method::INITIALIZE, &request));
    (made.instance, client.discover(made.instance))
}

#[test]
fn a_host_of_two_serves_two_and_refuses_a_third() {
    let (mut client, served, log) = host(|_| Connector::new());
    assert_eq!(client.link.session().peer_limits.max_instances, 2);
    let (first, sinks) = instance(&mut client, 1);
    let (second, others) = instance(&mut client, 2);
    assert!(sinks.iter().all(|sink| !others.contains(sink)) && first != second);
    client.begin_run(sinks[0]);
    client.begin_run(others[1]);
    let refused = client.call(ObjectId::HOST, Method::INITIALIZE, &initialize()).unwrap_err();
    assert_eq!(refused.code, Code::INVALID_STATE);
    let expected = [
        "initialize m1",
        "discover",
        "initialize m2",
        "discover",
        "connect a",
        "connect_done a",
        "connect b",
        "connect_done b",
    ];
    assert_eq!(seen(&log), expected);
    client.call(first, Method::FINALIZE, &()).unwrap();
    instance(&mut client, 3); // there is room again
    part(client, served);
}

#[test]
fn one_ends_while_a_call_of_the_other_waits() {
    let (release, released) = channel::<()>();
    let (tell, running) = channel();
    let hold = Arc::new(Mutex::new(Some((tell, released))));
    let (mut client, served, _) = host(move |_| {
        let hold = Arc::clone(&hold);
        Connector::new().on_commit(move |_, context| {
            if let Some((tell, released)) = hold.lock().unwrap().take() {
                tell.send(()).unwrap();
                released.recv().unwrap();
                assert!(!context.is_cancelled());
            }
            Ok(())
        })
    });
    let (_, sinks) = instance(&mut client, 1);
    let (second, others) = instance(&mut client, 2);
    client.begin_run(sinks[0]);
    let commit = client.commit(sinks[0], item("n", b"new"));
    client.link.flush().unwrap();
    running.recv().unwrap();
    let finalize = client.send(second, Method::FINALIZE, &());
    client.link.flush().unwrap();
    release.send(()).unwrap();
    assert!(client.wait(finalize).is_ok(), "calls on the sinks of the other do not concern it");
    assert!(client.wait(commit).is_ok());
    assert_eq!(client.call(others[0], Method::CONNECT, &connect()).unwrap_err().code, Code::NOT_FOUND);
    let commit = client.commit(sinks[0], item("n", b"new"));
    assert!(client.wait(commit).is_ok());
    part(client, served);
}

#[test]
fn a_panic_in_one_leaves_the_other() {
    let (mut client, served, _) = host(|number| {
        Connector::new().on_commit(move |_, _| {
            assert!(number != 1, "only the first");
            Ok(())
        })
    });
    let (_, sinks) = instance(&mut client, 1);
    let (_, others) = instance(&mut client, 2);
    client.begin_run(sinks[0]);
    client.begin_run(others[0]);
    for _ in 0..2 {
        let commit = client.commit(sinks[0], item("n", b"new"));
        let other = client.commit(others[0], item("n", b"new"));
        assert_eq!(client.wait(commit).unwrap_err().code, Code::PANIC);
        assert!(client.wait(other).is_ok());
    }
    part(client, served);
}

#[test]
fn w11_a_snapshot_concerns_its_member_only() {
    let (tell, seen) = channel();
    let (mut client, served, _) = host(move |_| {
        let tell = tell.clone();
        Connector::new().on_commit(move |_, context| {
            tell.send((context.member().name.clone(), context.member().generation)).unwrap();
            Ok(())
        })
    });
    let sinks = [1, 2].map(|number| instance(&mut client, number).1[0]);
    let mut news = member(8);
    (news.object, news.name) = (ObjectId(102), "m2".into());
    client.tell(&Snapshot::Member(news));
    for sink in sinks {
        client.begin_run(sink);
        let commit = client.commit(sink, item("n", b"new"));
        assert!(client.wait(commit).is_ok());
    }
    assert_eq!([seen.recv().unwrap(), seen.recv().unwrap()], [("m1".into(), 3), ("m2".into(), 8)]);
    part(client, served);
}

/// A host of one has one connector, which must come back whatever happens to it.
#[test]
fn a_panic_at_the_beginning_or_the_end_of_an_instance_leaves_the_host_usable() {
    let mut first = true;
    let connector = Connector::new().on_initialize(move |_: &Initialize, _| {
        assert!(!std::mem::take(&mut first), "at the first try");
        Ok(())
    });
    let (mut client, served) = start(connector);
    let panicked = client.call(ObjectId::HOST, Method::INITIALIZE, &initialize()).unwrap_err();
    assert_eq!(panicked.code, Code::PANIC);
    let (first, _) = client.instance();
    client.call(first, Method::FINALIZE, &()).unwrap();
    client.instance();
    part(client, served);
}
