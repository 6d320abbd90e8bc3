//! What a connector may have besides: a main sink, formats of its own, an eye on its store.

use std::sync::mpsc::{TryRecvError, channel};
use std::time::Duration;

use outrigger_plugin_sdk::protocol::{
    Code, Compare, Compared, ConnectDone, Discovered, FormatInfo, Initialized, Method, ObjectId, Remarshal,
    Remarshalled, Verdict,
};

use crate::client::{Client, connect, decoded, initialize, listing, part, seen, start};
use crate::connector::Connector;

/// The main sink.
fn main_sink(client: &mut Client) -> ObjectId {
    let (instance, sinks) = client.instance();
    let found: Discovered = decoded(client.call(instance, Method::DISCOVER, &()));
    let main = found.main.expect("it was named");
    assert!(!sinks.contains(&main) && found.sinks.iter().all(|sink| !sink.name.is_empty()));
    main
}

#[test]
fn a_main_sink_goes_through_its_states_and_holds_no_items() {
    let mut connector = Connector::new();
    connector.main = true;
    let log = connector.seen.clone();
    let (mut client, served) = start(connector);
    let main = main_sink(&mut client);
    let before = seen(&log).len();
    for early in [Method::SYNC_DONE, Method::DISCONNECT, Method::COMMITTED_ALL] {
        assert_eq!(client.call(main, early, &()).unwrap_err().code, Code::INVALID_STATE, "{early}");
    }
    for _ in 0..2 {
        client.call(main, Method::CONNECT, &connect()).unwrap();
        let again = client.call(main, Method::CONNECT, &connect()).unwrap_err();
        assert_eq!(again.code, Code::INVALID_STATE);
        client.call(main, Method::CONNECT_DONE, &ConnectDone { slow_sync: false }).unwrap();
        let listed = client.call(main, Method::GET_CHANGES, &listing()).unwrap_err();
        assert_eq!(listed.code, Code::INVALID, "{listed}");
        for last in [Method::COMMITTED_ALL, Method::SYNC_DONE, Method::DISCONNECT] {
            client.call(main, last, &()).unwrap();
        }
    }
    let run = ["connect ", "connect_done ", "committed_all ", "sync_done ", "disconnect "];
    assert_eq!(seen(&log)[before..], [run, run].concat());
    part(client, served);
}

#[test]
fn without_a_main_sink_none_is_named() {
    let (mut client, served) = start(Connector::new());
    let (instance, _) = client.instance();
    assert_eq!(decoded::<Discovered>(client.call(instance, Method::DISCOVER, &())).main, None);
    part(client, served);
}

/// Holds S12.
#[test]
fn a_format_of_its_own_is_named_remarshalled_and_compared() {
    let (mut client, served) = start(Connector::new());
    let made: Initialized = decoded(client.call(ObjectId::HOST, Method::INITIALIZE, &initialize()));
    assert_eq!(made.formats, [FormatInfo { name: "decimal".into(), plain: false, compare: true }]);
    let mut remarshal = |format: &str, data: &[u8]| {
        let request = Remarshal { format: format.into(), data: data.into() };
        client.call(made.instance, Method::REMARSHAL, &request)
    };
    assert_eq!(&*decoded::<Remarshalled>(remarshal("decimal", b"7")).data, b"7");
    assert_eq!(remarshal("decimal", b"seven").unwrap_err().code, Code::FORMAT);
    assert_eq!(remarshal("roman", b"VII").unwrap_err().code, Code::UNIMPLEMENTED);
    for (right, verdict) in
        [(&b"+7"[..], Verdict::Same), (b"8", Verdict::Similar), (b"70", Verdict::Different)]
    {
        let request = Compare { format: "decimal".into(), left: b"7"[..].into(), right: right.into() };
        let compared: Compared = decoded(client.call(made.instance, Method::COMPARE, &request));
        assert_eq!(compared.verdict, verdict);
    }
    let sinks = client.discover(made.instance);
    let request = Remarshal { format: "decimal".into(), data: b"7"[..].into() };
    let error = client.call(sinks[0], Method::REMARSHAL, &request).unwrap_err();
    assert_eq!(error.code, Code::NOT_FOUND, "an instance's call");
    part(client, served);
}

#[test]
fn a_connector_that_watches_says_where_something_changed() {
    let (change, changed) = channel::<&str>();
    let connector = Connector::new().on_idle(move |idle| match changed.try_recv() {
        Ok(sink) => {
            idle.notify(sink);
            Some(Duration::ZERO)
        }
        Err(TryRecvError::Empty) => Some(Duration::ZERO),
        Err(TryRecvError::Disconnected) => None,
    });
    let (mut client, served) = start(connector);
    let (instance, sinks) = client.instance();
    for (name, object) in [("b", sinks[1]), ("a", sinks[0]), ("unheard of", instance)] {
        change.send(name).unwrap();
        assert_eq!(client.noticed(), object, "{name}");
    }
    part(client, served);
}

#[test]
fn a_call_can_say_that_something_changed_from_the_first_one_on() {
    let connector = Connector::new().on_initialize(|_, context| context.notify());
    let (mut client, served) = start(connector);
    let (instance, _) = client.instance();
    assert_eq!(client.noticed(), instance);
    part(client, served);
}

#[test]
fn an_answer_leaves_before_the_connector_looks_around_and_survives_its_panic() {
    let (release, released) = channel::<()>();
    let connector = Connector::new().on_idle(move |_| {
        released.recv().expect("the test lets it go on");
        panic!("while it looked around");
    });
    let (mut client, served) = start(connector);
    let made: Initialized = decoded(client.call(ObjectId::HOST, Method::INITIALIZE, &initialize()));
    release.send(()).unwrap();
    let sinks = client.discover(made.instance);
    drop(release);
    client.begin_run(sinks[0]);
    part(client, served);
}
