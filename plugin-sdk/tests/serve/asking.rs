//! What a connector asks of the engine while it works, and every way in which that can end.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use outrigger_plugin_sdk::Context;
use outrigger_plugin_sdk::protocol::{
    Answered, Ask, AskKind, Blame, CallOptions, Code, Commit, Committed, Effect, Error, Href, Method, Rename,
    SecretText,
};

use crate::client::{MEMBER, decoded, part, start_run, total};
use crate::connector::{Connector, item};

/// A connector whose commits ask for a password, and what they are told.
fn asking() -> (Connector, Receiver<Result<String, Error>>) {
    let (tell, told) = channel();
    let connector = Connector::new().on_commit(move |_, context: &mut Context<'_>| {
        let answer = context.ask_password("Who goes there?");
        let said = answer.as_ref().map(|secret| secret.expose().to_owned()).map_err(Clone::clone);
        tell.send(said).unwrap();
        answer.map(drop)
    });
    (connector, told)
}

fn answered(text: &str) -> Answered {
    Answered { text: SecretText::new(text.into()) }
}

#[test]
fn a_question_names_the_call_that_it_is_for_and_has_no_more_time_than_that() {
    let (connector, told) = asking();
    let (mut client, served, sink) = start_run(connector);
    let commit = client.send_with(sink, Method::COMMIT, &Commit { items: vec![] }, total(60_000));
    let asked = client.asked();
    assert_eq!((asked.target, asked.method, asked.parent), (MEMBER, Method::ASK, Some(client.id(commit))));
    assert!(asked.total.unwrap() <= Duration::from_secs(60), "{:?}", asked.total);
    let expected = Ask { kind: AskKind::Password, prompt: "Who goes there?".into(), choices: vec![] };
    assert_eq!(asked.body::<Ask>(), expected);
    client.reply(&asked, &answered("a friend"));
    assert_eq!(decoded::<Committed>(client.wait(commit)).results.len(), 0);
    assert_eq!(told.recv().unwrap().unwrap(), "a friend");
    part(client, served);
}

#[test]
fn the_refusal_of_a_question_is_the_connectors_to_deal_with() {
    let (tell, told) = channel();
    let connector = Connector::new().on_commit(move |_, context| {
        let refused = context.ask_password("?").unwrap_err();
        tell.send((refused.code, refused.blame, context.is_cancelled())).unwrap();
        Ok(())
    });
    let (mut client, served, sink) = start_run(connector);
    for code in [Code::CANCELLED, Code::DEADLINE, Code::PERMISSION, Code::UNIMPLEMENTED] {
        let commit = client.commit(sink, item("n", b"new"));
        let asked = client.asked();
        client.fail(&asked, &Error::new(code, "no").by(Blame::Caller));
        assert!(client.wait(commit).is_ok(), "the connector went on");
        assert_eq!(told.recv().unwrap(), (code, Blame::Caller, false), "its own call was not given up");
    }
    part(client, served);
}

#[test]
fn an_answer_that_cannot_be_read_is_the_brokers_fault_and_is_not_quoted() {
    let (connector, told) = asking();
    let (mut client, served, sink) = start_run(connector);
    let commit = client.commit(sink, item("n", b"new"));
    let asked = client.asked();
    client.reply(&asked, &0xffff_ffff_ffff_u64);
    assert_eq!(client.wait(commit).unwrap_err().code, Code::INVALID);
    let error = told.recv().unwrap().unwrap_err();
    assert_eq!((error.blame, error.message.as_str()), (Blame::Broker, "ask: the answer cannot be read"));
    part(client, served);
}

#[test]
fn w3_a_question_ends_with_the_time_of_its_call() {
    let (connector, told) = asking();
    let (mut client, served, sink) = start_run(connector);
    let commit = client.send_with(sink, Method::COMMIT, &Commit { items: vec![] }, total(30));
    let asked = client.asked();
    assert_eq!(client.given_up(), asked.id, "the engine is told that nobody waits");
    client.fail(&asked, &Error::new(Code::CANCELLED, "given up"));
    let error = told.recv().unwrap().unwrap_err();
    assert_eq!((error.code, error.effect), (Code::DEADLINE, Effect::Unknown));
    assert_eq!(client.wait(commit).unwrap_err().code, Code::DEADLINE);
    part(client, served);
}

#[test]
fn whoever_gives_up_a_call_gives_up_its_question() {
    let (connector, told) = asking();
    let (mut client, served, sink) = start_run(connector);
    let commit = client.commit(sink, item("n", b"new"));
    let asked = client.asked();
    client.cancel(commit);
    assert_eq!(client.given_up(), asked.id);
    assert_eq!(client.wait(commit).unwrap_err().code, Code::CANCELLED);
    assert_eq!(told.recv().unwrap().unwrap_err().code, Code::CANCELLED);
    // The late answer disturbs nothing, and is not taken for that to the next question.
    client.reply(&asked, &answered("late"));
    let commit = client.commit(sink, item("n", b"new"));
    let asked = client.asked();
    client.reply(&asked, &answered("in time"));
    assert!(client.wait(commit).is_ok());
    assert_eq!(told.recv().unwrap().unwrap(), "in time");
    part(client, served);
}

/// What the engine has done must not be lost because somebody else gave up at that moment.
#[test]
fn an_answer_that_comes_together_with_a_cancel_is_an_answer() {
    let (connector, told) = asking();
    let (mut client, served, sink) = start_run(connector);
    for cancel_first in [true, false] {
        let commit = client.commit(sink, item("n", b"new"));
        let asked = client.asked();
        let (id, now) = (client.id(commit), client.link.now());
        let connection = client.link.connection();
        if cancel_first {
            assert!(connection.cancel(id, now).is_none());
        }
        connection.reply(asked.id, &answered("done"));
        if !cancel_first {
            assert!(connection.cancel(id, now).is_none());
        }
        client.link.flush().unwrap(); // one write: the plugin reads both at once
        assert_eq!(told.recv().unwrap().unwrap(), "done", "cancel first: {cancel_first}");
        assert!(client.wait(commit).is_ok());
    }
    part(client, served);
}

#[test]
fn a_call_that_was_given_up_asks_nobody() {
    let (tell, told) = channel();
    let (begin, running) = channel();
    let connector = Connector::new().on_commit(move |_, context| {
        begin.send(()).unwrap();
        while !context.is_cancelled() {
            std::thread::yield_now();
        }
        tell.send(context.ask_password("?").unwrap_err().code).unwrap();
        Ok(())
    });
    let (mut client, served, sink) = start_run(connector);
    let commit = client.commit(sink, item("n", b"new"));
    client.link.flush().unwrap();
    running.recv().unwrap();
    client.cancel(commit);
    assert_eq!(told.recv().unwrap(), Code::CANCELLED);
    assert!(client.wait(commit).is_ok());
    part(client, served);
}

#[test]
fn a_question_ends_with_the_connection() {
    let (connector, told) = asking();
    let (mut client, served, sink) = start_run(connector);
    client.commit(sink, item("n", b"new"));
    client.asked();
    drop(client);
    let error = told.recv().unwrap().unwrap_err();
    assert_eq!((error.code, error.effect), (Code::DISCONNECTED, Effect::Unknown));
    assert!(served.join().unwrap().is_err());
}

/// Holds S1.
#[test]
fn w2_a_nested_call_into_a_busy_plugin_is_refused_at_once_and_its_question_goes_on() {
    let (connector, told) = asking();
    let log = connector.seen.clone();
    let (mut client, served, sink) = start_run(connector);
    let commit = client.commit(sink, item("n", b"new"));
    let asked = client.asked();
    let before = log.lock().unwrap().len();
    let nested = CallOptions { parent: Some(asked.id), ..CallOptions::default() };
    let discover =
        client.send_with(outrigger_plugin_sdk::protocol::ObjectId(1), Method::DISCOVER, &(), nested);
    assert_eq!(client.wait(discover).unwrap_err().code, Code::BUSY, "while the question is open");
    assert_eq!(log.lock().unwrap().len(), before);
    client.reply(&asked, &answered("still here"));
    assert!(client.wait(commit).is_ok());
    assert_eq!(told.recv().unwrap().unwrap(), "still here");
    part(client, served);
}

#[test]
fn x4_new_names_are_one_call_for_the_collection_at_hand_and_its_refusal_is_the_connectors_to_deal_with() {
    let name = |name: &str| Href::from(name);
    let (tell, told) = channel();
    let connector = Connector::new().on_commit(move |_, context| {
        context.rename(&[(Href::from("a"), Href::from("b")), (Href::from("b"), Href::from("a"))])?;
        tell.send(context.rename(&[(Href::from("c"), Href::from("a"))]).unwrap_err().code).unwrap();
        Ok(())
    });
    let (mut client, served, sink) = start_run(connector);
    let commit = client.commit(sink, item("n", b"new"));
    let asked = client.asked();
    assert_eq!((asked.target, asked.method, asked.parent), (MEMBER, Method::RENAME, Some(client.id(commit))));
    let swap = vec![(name("a"), name("b")), (name("b"), name("a"))];
    assert_eq!(asked.body::<Rename>(), Rename { sink, names: swap });
    client.reply(&asked, &());
    let asked = client.asked();
    client.fail(&asked, &Error::new(Code::EXISTS, "a new name is another item's"));
    assert!(client.wait(commit).is_ok(), "the connector went on");
    assert_eq!(told.recv().unwrap(), Code::EXISTS);
    part(client, served);
}
