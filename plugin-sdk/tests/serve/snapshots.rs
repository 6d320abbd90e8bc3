//! The member and the group, as a connector sees them (decisions W11).

use std::sync::mpsc::channel;

use outrigger_plugin_sdk::protocol::{
    Code, Commit, Effect, Error, Group, Member, MemberUpdate, MemberUpdated, Method, OperationId,
    RaiseSlowSync, Snapshot,
};

use crate::client::{Client, GROUP, MEMBER, initialize, member, part, start_run};
use crate::connector::{Connector, item};

const fn operation(number: u128) -> OperationId {
    OperationId(uuid::Uuid::from_u128(number))
}

fn set(value: &str) -> Vec<(String, String)> {
    vec![("token".into(), value.into())]
}

/// The plugin's next call, which must be an update; answered with `applied` and a generation.
fn update(client: &mut Client, applied: bool, generation: u64) -> MemberUpdate {
    let asked = client.asked();
    assert_eq!((asked.target, asked.method), (MEMBER, Method::MEMBER_UPDATE));
    client.reply(&asked, &MemberUpdated { applied, member: member(generation) });
    asked.body()
}

#[test]
fn w11_two_that_raise_slow_sync_at_one_generation_are_no_conflict_and_a_set_after_it_is_none() {
    let connector = Connector::new().on_commit(|_, context| {
        assert_eq!(context.raise_slow_sync(operation(1), "contact")?.generation, 5);
        assert_eq!(context.raise_slow_sync(operation(2), "")?.generation, 6);
        assert_eq!(context.member().generation, 3, "not under a running handler");
        assert!(context.update_member(operation(3), set("x"), vec!["old".into()])?.applied);
        Ok(())
    });
    let (mut client, served, sink) = start_run(connector);
    let commit = client.commit(sink, item("n", b"new"));
    for (object_type, generation) in [("contact", 5), ("", 6)] {
        let asked = client.asked();
        assert_eq!(asked.method, Method::RAISE_SLOW_SYNC);
        assert_eq!(asked.body::<RaiseSlowSync>().object_type, object_type);
        client.reply(&asked, &member(generation));
    }
    let request = update(&mut client, true, 7);
    assert_eq!((request.generation, request.set, request.unset), (6, set("x"), vec!["old".into()]));
    client.wait(commit).unwrap();
    part(client, served);
}

#[test]
fn w11_a_stale_set_does_nothing_brings_the_fresh_member_and_can_be_decided_again() {
    let connector = Connector::new().on_commit(|_, context| {
        let refused = context.update_member(operation(1), set("x"), vec![])?;
        assert_eq!((refused.applied, refused.member.generation), (false, 9));
        assert!(context.update_member(operation(2), set("y"), vec![])?.applied);
        assert_eq!(context.member().generation, 3);
        Ok(())
    });
    let (mut client, served, sink) = start_run(connector);
    let commit = client.commit(sink, item("n", b"new"));
    assert_eq!(update(&mut client, false, 9).generation, 3);
    assert_eq!(update(&mut client, true, 10).generation, 9);
    client.wait(commit).unwrap();
    part(client, served);
}

#[test]
fn w11_a_set_whose_answer_was_lost_is_retried_under_its_operation() {
    let connector = Connector::new().on_commit(|_, context| {
        let lost = context.update_member(operation(1), set("x"), vec![]).unwrap_err();
        assert_eq!(lost.effect, Effect::Unknown);
        assert!(context.update_member(operation(1), set("x"), vec![])?.applied, "no false conflict");
        Ok(())
    });
    let (mut client, served, sink) = start_run(connector);
    let commit = client.commit(sink, item("n", b"new"));
    let asked = client.asked();
    client.fail(&asked, &Error::new(Code::IO, "it was done, perhaps").with_effect(Effect::Unknown));
    assert_eq!(asked.body::<MemberUpdate>(), update(&mut client, true, 4));
    client.wait(commit).unwrap();
    part(client, served);
}

#[test]
fn w11_a_snapshot_never_changes_under_a_running_handler_and_only_rises() {
    let (tell, seen) = channel();
    let (release, released) = channel::<()>();
    let connector = Connector::new().on_commit(move |_: &Commit<'_>, context| {
        let before: (Member, Group) = (context.member().clone(), context.group().clone());
        tell.send((before.0.generation, before.1.generation)).unwrap();
        released.recv().unwrap();
        assert!(!context.is_cancelled(), "this takes in what has come");
        assert_eq!((context.member(), context.group()), (&before.0, &before.1));
        Ok(())
    });
    let (mut client, served, sink) = start_run(connector);
    let group = Group { object: GROUP, generation: 2, ..initialize().group };
    let news = [
        (vec![Snapshot::Member(member(9)), Snapshot::Group(group)], (3, 0)),
        (vec![Snapshot::Member(member(5)), Snapshot::Member(member(9))], (9, 2)),
        (vec![Snapshot::Member(Member { object: GROUP, ..member(99) })], (9, 2)),
        (vec![], (9, 2)),
    ];
    for (news, expected) in news {
        let commit = client.commit(sink, item("n", b"new"));
        client.link.flush().unwrap();
        assert_eq!(seen.recv().unwrap(), expected);
        news.iter().for_each(|snapshot| client.tell(snapshot));
        release.send(()).unwrap();
        client.wait(commit).unwrap();
    }
    part(client, served);
}

#[test]
fn what_a_set_returned_is_seen_from_the_next_call_on() {
    let (tell, seen) = channel();
    let connector = Connector::new().on_commit(move |_, context| {
        tell.send(context.member().generation).unwrap();
        context.update_member(operation(1), set("x"), vec![]).map(drop)
    });
    let (mut client, served, sink) = start_run(connector);
    for (shown, risen) in [(3, 4), (4, 7)] {
        let commit = client.commit(sink, item("n", b"new"));
        assert_eq!(update(&mut client, true, risen).generation, shown);
        assert_eq!(seen.recv().unwrap(), shown);
        client.wait(commit).unwrap();
    }
    part(client, served);
}
