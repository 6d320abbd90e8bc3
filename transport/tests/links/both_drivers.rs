//! Both drivers against each other: whatever the portions, wherever the connection breaks.

use std::time::Duration;

use outrigger_transport::memory::{CAPACITY, Line, MemoryEnd, pair};

use crate::support::{Driven, Ends, converse, serve, within};

const PAIRS: [(Driven, Driven); 4] = [
    (Driven::Blocking, Driven::Blocking),
    (Driven::Blocking, Driven::Async),
    (Driven::Async, Driven::Blocking),
    (Driven::Async, Driven::Async),
];

/// Runs both sides to their end.
fn talk(client: Driven, server: Driven, ends: (MemoryEnd, MemoryEnd), bodies: &[Vec<u8>]) -> Option<Ends> {
    let (ours, theirs) = ends;
    let thread = std::thread::spawn(move || serve(server, theirs));
    let ends = converse(client, ours, bodies);
    thread.join().unwrap();
    ends
}

fn bodies() -> Vec<Vec<u8>> {
    (0..4u8).map(|context| vec![context; 7 * usize::from(context)]).collect()
}

fn assert_echoed(ends: &Ends, bodies: &[Vec<u8>], what: &str) {
    assert_eq!(ends.len(), bodies.len(), "{what}");
    for (context, outcome) in ends {
        assert_eq!(outcome.as_ref().unwrap(), &bodies[*context], "{what}");
    }
}

/// Holds S16, S24.
#[test]
fn a_conversation_survives_every_split() {
    within(Duration::from_secs(60), || {
        let bodies: Vec<_> = bodies().into_iter().chain([vec![9; 3000]]).collect();
        for (client, server) in PAIRS {
            for portion in 1..=40 {
                let ends = pair(CAPACITY);
                ends.0.outgoing().split(portion);
                ends.0.incoming().split(portion);
                let ends = talk(client, server, ends, &bodies).expect("a connection");
                assert_echoed(&ends, &bodies, &format!("{client:?} and {server:?}, portions of {portion}"));
            }
        }
    });
}

/// Calls that come in one read with the end of the handshake are not slept on.
#[test]
fn a_call_may_follow_the_handshake_at_once() {
    within(Duration::from_secs(60), || {
        for (client, server) in PAIRS {
            let ends = pair(CAPACITY);
            let line = ends.0.outgoing();
            line.hold();
            let (ours, theirs) = ends;
            let thread = std::thread::spawn(move || serve(server, theirs));
            let releasing = std::thread::spawn(move || {
                line.wait_carried(600); // HELLO_OK, and the calls behind it
                line.release_all();
            });
            let ends = converse(client, ours, &[vec![1; 500]]).expect("a connection");
            assert_echoed(&ends, &[vec![1; 500]], &format!("{client:?} and {server:?}"));
            thread.join().unwrap();
            releasing.join().unwrap();
        }
    });
}

/// Holds S16, S42.
#[test]
fn a_conversation_survives_a_buffer_that_is_always_full() {
    within(Duration::from_secs(60), || {
        let bodies: Vec<_> = (0..40u8).map(|context| vec![context; 20_000]).collect();
        for (client, server) in PAIRS {
            let ends = talk(client, server, pair(1000), &bodies).expect("a connection");
            assert_echoed(&ends, &bodies, &format!("{client:?} and {server:?}"));
        }
    });
}

/// Holds S5.
#[test]
fn wherever_the_connection_breaks_every_context_comes_out_once() {
    within(Duration::from_secs(120), || {
        for (client, server) in PAIRS {
            let whole = lengths(client, server);
            cut_everywhere(client, server, whole.0, MemoryEnd::outgoing);
            cut_everywhere(client, server, whole.1, MemoryEnd::incoming);
        }
    });
}

/// How many bytes the whole conversation has in each direction.
fn lengths(client: Driven, server: Driven) -> (u64, u64) {
    let ends = pair(CAPACITY);
    let lines = (ends.0.outgoing(), ends.0.incoming());
    talk(client, server, ends, &bodies()).expect("a connection");
    (lines.0.carried(), lines.1.carried())
}

fn cut_everywhere(client: Driven, server: Driven, whole: u64, direction: fn(&MemoryEnd) -> Line) {
    for at in 0..whole {
        let ends = pair(CAPACITY);
        direction(&ends.0).cut_after(at);
        if let Some(ends) = talk(client, server, ends, &bodies()) {
            assert_each_ended_once(ends, &format!("{client:?} and {server:?}, cut after {at} of {whole}"));
        }
    }
}

fn assert_each_ended_once(mut ends: Ends, what: &str) {
    ends.sort_by_key(|(context, _)| *context);
    let contexts: Vec<usize> = ends.iter().map(|(context, _)| *context).collect();
    assert_eq!(contexts, [0, 1, 2, 3], "{what}: {ends:?}");
    for (context, outcome) in ends {
        if let Ok(body) = outcome {
            assert_eq!(body, bodies()[context], "{what}");
        }
    }
}
