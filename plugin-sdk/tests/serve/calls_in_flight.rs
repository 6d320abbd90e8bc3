//! Calls that wait, calls that are given up, calls that overlap.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use outrigger_plugin_sdk::Context;
use outrigger_plugin_sdk::protocol::{
    Code, Codec, Commit, Committed, Effect, Error, Href, Kind, Method, ObjectId,
};

use crate::client::{Client, decoded, listing, part, seen, start, start_run, total};
use crate::connector::{Connector, item};
use crate::raw::{Raw, encoded};

/// A connector whose commits say that they run, then do as told.
fn gated(act: impl Fn(&mut Context<'_>) -> Result<(), Error> + Send + 'static) -> (Connector, Receiver<()>) {
    let (tell, running) = channel();
    let connector = Connector::new().on_commit(move |_: &Commit<'_>, context| {
        tell.send(()).unwrap();
        act(context)
    });
    (connector, running)
}

/// One whose commits run until the test lets them end.
fn held() -> (Connector, Receiver<()>, Sender<()>) {
    let (release, released) = channel();
    let (connector, running) = gated(move |_| {
        released.recv().unwrap();
        Ok(())
    });
    (connector, running, release)
}

/// All of them wait in the plugin while the first one runs.
/// Holds S8.
#[test]
fn commits_that_come_together_run_in_the_order_in_which_they_were_sent() {
    let (release, released) = channel();
    let (tell, told) = channel();
    let connector = Connector::new().on_commit(move |batch: &Commit<'_>, _| {
        tell.send(batch.items[0].href.clone()).unwrap();
        released.recv().unwrap();
        Ok(())
    });
    let (mut client, served, sink) = start_run(connector);
    client.link.connection().set_reply_bytes(64 << 20); // each answer might be a mebibyte
    let names: Vec<String> = (0..50).map(|number| format!("n{number}")).collect();
    let calls: Vec<u32> = names.iter().map(|name| client.commit(sink, item(name, b"new"))).collect();
    client.link.flush().unwrap();
    for name in &names {
        assert_eq!(told.recv().unwrap(), Href::from(name.as_str()));
        assert!(told.try_recv().is_err(), "one at a time");
        release.send(()).unwrap();
    }
    for call in calls {
        assert_eq!(decoded::<Committed>(client.wait(call)).results.len(), 1);
    }
    part(client, served);
}

/// Holds S39.
#[test]
fn a_running_call_learns_that_it_was_cancelled() {
    let (connector, running) = gated(|context| {
        while !context.is_cancelled() {
            std::thread::yield_now();
        }
        context.progress(1, None)
    });
    let (mut client, served, sink) = start_run(connector);
    let commit = client.commit(sink, item("n", b"new"));
    client.link.flush().unwrap();
    running.recv().unwrap();
    client.cancel(commit);
    let error = client.wait(commit).unwrap_err();
    assert_eq!((error.code, error.effect), (Code::CANCELLED, Effect::Unknown));
    part(client, served);
}

#[test]
fn a_cancel_concerns_no_later_call() {
    let (connector, running) = gated(|context| {
        while !context.is_cancelled() {
            std::thread::yield_now();
        }
        Ok(())
    });
    let (mut client, served, sink) = start_run(connector);
    for _ in 0..3 {
        let commit = client.commit(sink, item("n", b"new"));
        client.link.flush().unwrap();
        running.recv().unwrap();
        client.cancel(commit);
        assert_eq!(decoded::<Committed>(client.wait(commit)).results.len(), 1, "it finished all the same");
    }
    part(client, served);
}

#[test]
fn w1_a_queued_call_that_is_cancelled_is_never_started() {
    let (connector, running, release) = held();
    let log = connector.seen.clone();
    let (mut client, served, sink) = start_run(connector);
    let first = client.commit(sink, item("n", b"new"));
    client.link.flush().unwrap();
    running.recv().unwrap();
    let second = client.commit(sink, item("n", b"new"));
    let third = client.commit(sink, item("n", b"new"));
    client.link.flush().unwrap();
    client.cancel(second);
    release.send(()).unwrap();
    release.send(()).unwrap();
    let _ = client.wait(first).unwrap();
    // The cancel is seen when the plugin next looks: after the first call, or after the third.
    let error = client.wait(second).unwrap_err();
    assert_eq!((error.code, error.effect), (Code::CANCELLED, Effect::NotStarted));
    let _ = client.wait(third).unwrap();
    assert_eq!(seen(&log).iter().filter(|seen| *seen == "commit a").count(), 2);
    part(client, served);
}

/// A connector whose commits, let go, look whether they were cancelled: what has come is taken in
/// while they are open.
fn looking() -> (Connector, Receiver<()>, Sender<()>) {
    let (release, released) = channel();
    let (connector, running) = gated(move |context| {
        released.recv().unwrap();
        assert!(!context.is_cancelled());
        Ok(())
    });
    (connector, running, release)
}

/// A broker of ours keeps the rule by itself, so this one numbers its frames by hand.
#[test]
fn w2_a_barrier_is_refused_while_another_call_on_the_object_or_below_it_is_open() {
    let (connector, running, release) = looking();
    let log = connector.seen.clone();
    let (mut raw, served, sink) = Raw::start_run(connector);
    let barriers = [Method::GET_CHANGES, Method::COMMITTED_ALL, Method::SYNC_DONE, Method::DISCONNECT];
    raw.call(101, sink, Method::COMMIT, &encoded(&Commit { items: vec![] }));
    running.recv().unwrap();
    for (id, method) in (103..).step_by(2).zip(barriers) {
        raw.call(id, sink, method, &[]);
    }
    raw.call(111, ObjectId(1), Method::FINALIZE, &[]);
    release.send(()).unwrap();
    for id in [103, 105, 107, 109, 111] {
        let (kind, answered, body) = raw.answer();
        assert_eq!((kind, answered), (Kind::ERROR, id));
        assert_eq!(Codec::Bincode.decode::<Error>(&body).unwrap().code, Code::INVALID_STATE);
    }
    assert_eq!((raw.answer().0, seen(&log).last().unwrap().as_str()), (Kind::REPLY, "commit a"));
    drop(raw);
    assert!(served.join().unwrap().is_err());
}

/// Holds S8.
#[test]
fn w2_a_listing_of_one_sink_does_not_mind_a_call_on_another() {
    let (connector, running, release) = held();
    let (mut client, served) = start(connector);
    let (_, sinks) = client.instance();
    client.begin_run(sinks[0]);
    client.begin_run(sinks[1]);
    let commit = client.commit(sinks[0], item("n", b"new"));
    client.link.flush().unwrap();
    running.recv().unwrap();
    let changes = client.send(sinks[1], Method::GET_CHANGES, &listing());
    release.send(()).unwrap();
    let _ = (client.wait(commit).unwrap(), client.wait(changes).unwrap());
    part(client, served);
}

#[test]
fn w3_a_call_is_told_when_its_time_is_over() {
    let (tell, left) = channel();
    let connector = Connector::new().on_commit(move |_, context| {
        tell.send(context.time_left()).unwrap();
        while !context.is_cancelled() {
            std::thread::yield_now();
        }
        assert_eq!(context.time_left(), Duration::ZERO);
        context.progress(1, None)
    });
    let (mut client, served, sink) = start_run(connector);
    let begun = Instant::now();
    let commit = client.send_with(sink, Method::COMMIT, &Commit { items: vec![] }, total(20));
    let error = client.wait(commit).unwrap_err();
    assert_eq!(error.code, Code::DEADLINE);
    assert!(begun.elapsed() >= Duration::from_millis(20));
    assert!(left.recv().unwrap() <= Duration::from_millis(20));
    part(client, served);
}

#[test]
fn w3_time_runs_from_the_start_of_a_call_and_not_from_its_arrival() {
    let (tell, left) = channel();
    let (release, released) = channel::<()>();
    let connector = Connector::new().on_commit(move |_, context| {
        tell.send(context.time_left()).unwrap();
        released.recv().unwrap();
        Ok(())
    });
    let (mut client, served, sink) = start_run(connector);
    let body = Commit { items: vec![] };
    let first = client.send(sink, Method::COMMIT, &body);
    let second = client.send_with(sink, Method::COMMIT, &body, total(3_600_000));
    client.link.flush().unwrap();
    left.recv().unwrap();
    let waited = Instant::now();
    release.send(()).unwrap();
    let second_left = left.recv().unwrap();
    assert!(second_left + waited.elapsed() >= Duration::from_secs(3600), "{second_left:?}");
    release.send(()).unwrap();
    let _ = (client.wait(first).unwrap(), client.wait(second).unwrap());
    part(client, served);
}

#[test]
fn calls_that_come_together_are_answered_together() {
    use crate::stream::Counting;
    use outrigger_transport::memory::{CAPACITY, pair};
    let (ours, theirs) = pair(CAPACITY);
    let (theirs, writes) = Counting::new(theirs);
    let served =
        std::thread::spawn(move || outrigger_plugin_sdk::serve_on(Connector::new(), Box::new(theirs), None));
    let mut client = Client::meet(ours);
    let (_, sinks) = client.instance();
    client.begin_run(sinks[0]);
    client.link.connection().set_reply_bytes(64 << 20); // each answer might be a mebibyte
    writes.store(0, std::sync::atomic::Ordering::SeqCst);
    let calls: Vec<u32> = (0..64).map(|_| client.commit(sinks[0], item("n", b"new"))).collect();
    for call in calls {
        let _ = client.wait(call).unwrap();
    }
    // Answers are gathered for a moment, so the number depends on how fast the machine is.
    let writes = writes.load(std::sync::atomic::Ordering::SeqCst);
    println!("64 answers in {writes} writes");
    assert!(writes < 32, "64 answers in {writes} writes");
    part(client, served);
}
