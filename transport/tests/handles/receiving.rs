//! The blocking driver receives: the right stream for each answer, or a clean end, never a leak.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use outrigger_protocol::{CallOptions, Event, Method, ObjectId, PeerError};
use outrigger_transport::{BlockingLink, Handle, LinkError, Wait};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::support::{
    LIMIT, abort_reason, alone, answer, connection, open_files, ping, plugin, send, settles_at, skip_hello,
    wait_closed,
};

/// Makes calls of `connect_host`: 2, 4 and so on, with the contexts 0, 1 and so on.
fn ask(link: &mut BlockingLink<usize>, count: usize) {
    for context in 0..count {
        let (options, now) = (CallOptions::default(), link.now());
        let called = link.connection().call(ObjectId(1), Method::CONNECT_HOST, &(), options, context, now);
        called.unwrap();
    }
    link.flush().unwrap();
}

/// Which calls were answered, and with which streams.
type Answers = Vec<(usize, Option<TcpStream>)>;

fn note(answers: &mut Answers, event: Event<'_, usize>, handle: Option<Handle>) {
    if let Event::Reply { context, .. } = event {
        answers.push((context, handle.map(|handle| handle.into_stream().unwrap())));
    }
}

/// Reads until so many answers have come, or the connection is over.
fn hear(link: &mut BlockingLink<usize>, count: usize, answers: &mut Answers) -> Result<(), LinkError> {
    while answers.len() < count {
        assert!(link.take_in(Wait::For(LIMIT))?, "nothing comes");
        link.events_with_handles(|event, handle, _| note(answers, event, handle))?;
    }
    Ok(())
}

fn is_the_same(here: Option<&TcpStream>, sent: &TcpStream) -> bool {
    here.is_some_and(|here| here.local_addr().unwrap() == sent.local_addr().unwrap())
}

/// What ends the connection, and what is told to the broker.
#[track_caller]
fn refused(link: &mut BlockingLink<usize>, broker: &UnixStream) -> String {
    let mut answers = Answers::new();
    let broken = hear(link, usize::MAX, &mut answers).unwrap_err();
    assert!(matches!(broken, LinkError::Peer(PeerError::Handles(_))), "{broken}");
    assert_eq!(answers.iter().filter(|(_, stream)| stream.is_some()).count(), 0, "nobody got one");
    skip_hello(broker);
    let reason = abort_reason(broker);
    assert_eq!(reason, broken.to_string());
    reason
}

/// [tried]: one recvmsg returns a frame without descriptors glued to the next frame with its own.
///
/// Holds S54.
#[test]
fn w10_a_frame_without_and_the_next_with_a_descriptor_come_in_one_read() {
    let _alone = alone();
    let (mut link, broker) = plugin(true);
    ask(&mut link, 2);
    let (first, second) = (connection(), connection());
    let before = open_files();
    send(&broker, &[ping(), ping()].concat(), &[]);
    send(&broker, &answer(2, 1), &[&first.0]);
    send(&broker, &[ping(), ping()].concat(), &[]);
    send(&broker, &answer(4, 1), &[&second.0]);
    let mut answers = Answers::new();
    hear(&mut link, 2, &mut answers).unwrap();
    assert_eq!(open_files(), before + 2);
    for ((at, (context, stream)), sent) in answers.iter().enumerate().zip([&first.0, &second.0]) {
        assert!(*context == at && is_the_same(stream.as_ref(), sent), "each answer has its own");
    }
    drop(answers);
    assert!(settles_at(before), "{} files are open instead of {before}", open_files());
}

/// Cut at every byte: the descriptor comes with the first piece, the frame is whole with the second.
///
/// Holds S54.
#[test]
fn w10_a_frame_that_is_split_over_reads_keeps_its_descriptor() {
    let _alone = alone();
    let before = open_files();
    let frame = answer(2, 1);
    for at in 1..frame.len() {
        let (mut link, broker) = plugin(true);
        ask(&mut link, 1);
        let (ours, _other) = connection();
        send(&broker, &frame[..at], &[&ours]);
        let mut answers = Answers::new();
        link.take_in(Wait::Forever).unwrap();
        link.events_with_handles(|event, handle, _| note(&mut answers, event, handle)).unwrap();
        assert!(answers.is_empty(), "it is not whole");
        send(&broker, &frame[at..], &[]);
        hear(&mut link, 1, &mut answers).unwrap();
        assert!(is_the_same(answers[0].1.as_ref(), &ours), "cut at {at}");
    }
    assert!(settles_at(before), "{} files are open instead of {before}", open_files());
}

/// Holds S54.
#[test]
fn w10_more_descriptors_than_declared_end_the_connection_and_are_closed() {
    let _alone = alone();
    let before = open_files();
    for (bytes, count) in [(ping(), 1), (answer(2, 1), 2), (answer(2, 1), 65), (ping(), 253)] {
        let (mut link, broker) = plugin(true);
        ask(&mut link, 1);
        let (ours, other) = connection();
        send(&broker, &bytes, &vec![&ours; count]);
        drop(ours);
        let mut answers = Answers::new();
        let broken = hear(&mut link, usize::MAX, &mut answers).unwrap_err();
        assert!(matches!(broken, LinkError::Peer(PeerError::Handles(_))), "{broken}");
        skip_hello(&broker);
        assert_eq!(abort_reason(&broker), broken.to_string());
        drop((link, broker, answers));
        wait_closed(other);
        assert_eq!(open_files(), before, "{count}");
    }
}

/// A stray one does not become that of the next frame, though both are here before either is looked
/// at.
#[test]
fn w10_a_stray_descriptor_is_not_taken_for_that_of_the_next_frame() {
    let _alone = alone();
    let (mut link, broker) = plugin(true);
    ask(&mut link, 1);
    let (stray, meant) = (connection(), connection());
    send(&broker, &ping(), &[&stray.0]);
    send(&broker, &answer(2, 1), &[&meant.0]);
    link.take_in(Wait::Forever).unwrap();
    link.connection().ping();
    assert_eq!(refused(&mut link, &broker), "descriptors: more than the frames say");
}

/// Holds S54.
#[test]
fn w10_fewer_descriptors_than_declared_end_the_connection() {
    let _alone = alone();
    let before = open_files();
    let (mut link, broker) = plugin(true);
    ask(&mut link, 1);
    send(&broker, &answer(2, 1), &[]);
    assert_eq!(refused(&mut link, &broker), "descriptors: fewer than the frame says");
    drop((link, broker));
    // One that comes with a later piece of its frame is not its own.
    let (mut link, broker) = plugin(true);
    ask(&mut link, 1);
    let (ours, other) = connection();
    send(&broker, &answer(2, 1)[..10], &[]);
    link.take_in(Wait::Forever).unwrap();
    link.events_with_handles(|_, _, _| ()).unwrap();
    send(&broker, &answer(2, 1)[10..], &[&ours]);
    assert_eq!(refused(&mut link, &broker), "descriptors: fewer than the frame says");
    drop((link, broker, ours));
    wait_closed(other);
    assert!(settles_at(before), "{} files are open instead of {before}", open_files());
}

/// Holds S54.
#[test]
fn w10_descriptors_on_a_connection_without_the_feature_end_it_and_are_closed() {
    let _alone = alone();
    let before = open_files();
    let (mut link, broker) = plugin(false);
    ask(&mut link, 1);
    let (ours, other) = connection();
    send(&broker, &ping(), &[&ours]);
    link.take_in(Wait::Forever).unwrap();
    link.events(|_, _| ()).unwrap(); // the frame says nothing, and the kernel has closed it
    send(&broker, &answer(2, 1), &[&ours]);
    assert_eq!(refused(&mut link, &broker), "descriptors: on a connection without that feature");
    drop((link, broker, ours));
    wait_closed(other);
    assert!(settles_at(before), "{} files are open instead of {before}", open_files());
}

/// The answer comes when nobody waits for it any more: W4 has its descriptor closed.
///
/// Holds S54.
#[test]
fn w10_the_descriptor_of_a_late_answer_is_closed() {
    let _alone = alone();
    let before = open_files();
    let (mut link, broker) = plugin(true);
    let options = CallOptions { total: Some(Duration::from_secs(1)), ..CallOptions::default() };
    let called = link.connection().call(ObjectId(1), Method::CONNECT_HOST, &(), options, 0, Duration::ZERO);
    called.unwrap();
    link.flush().unwrap();
    assert!(link.connection().expire(Duration::from_secs(2)).is_some());
    for _late in 0..2 {
        let (ours, other) = connection();
        send(&broker, &answer(2, 1), &[&ours]);
        drop(ours);
        link.take_in(Wait::Forever).unwrap();
        link.events_with_handles(|event, _, _| panic!("{event:?}")).unwrap();
        wait_closed(other);
    }
    drop((link, broker));
    assert!(settles_at(before), "{} files are open instead of {before}", open_files());
}

/// [tried]: without room the kernel drops descriptors silently. Here: this process may not have one
/// more. It is not the broker that is to blame, and it is not told that it is.
///
/// Holds S54.
#[test]
fn w10_a_descriptor_that_this_process_cannot_take_ends_the_connection_as_its_own_fault() {
    let _alone = alone();
    let (mut link, broker) = plugin(true);
    ask(&mut link, 1);
    let (ours, other) = connection();
    send(&broker, &answer(2, 1), &[&ours]);
    let limit = getrlimit(Resource::Nofile);
    let none_left = rustix::process::Rlimit { current: Some(3), ..limit };
    setrlimit(Resource::Nofile, none_left).unwrap();
    let taken = link.take_in(Wait::Forever);
    setrlimit(Resource::Nofile, limit).unwrap();
    let broken = taken.unwrap_err();
    assert!(matches!(&broken, LinkError::Io(_)), "{broken}");
    assert!(broken.to_string().contains("this process may not open any more"), "{broken}");
    drop((link, ours));
    skip_hello(&broker);
    assert!(std::panic::catch_unwind(|| abort_reason(&broker)).is_err(), "the call, and no ABORT");
    drop(broker);
    wait_closed(other);
}

/// What is no TCP stream is not taken for one.
#[test]
fn w10_a_descriptor_of_another_kind_is_refused_when_it_is_looked_at() {
    let _alone = alone();
    let (mut link, broker) = plugin(true);
    ask(&mut link, 1);
    let (ours, _) = UnixStream::pair().unwrap();
    let ours = TcpStream::from(std::os::fd::OwnedFd::from(ours));
    send(&broker, &answer(2, 1), &[&ours]);
    let mut looked = None;
    link.take_in(Wait::Forever).unwrap();
    link.events_with_handles(|_, handle, _| looked = handle.map(Handle::into_stream)).unwrap();
    assert!(looked.unwrap().is_err());
}
