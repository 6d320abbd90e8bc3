//! Manners of a connection: what is unknown, empty, cut, repeated or many at once; the goodbye.

use outrigger_protocol::{Code, Discovered, Kind, Method, ObjectId};

use super::Scene;
use crate::bodies::encode;
use crate::findings::{Findings, Step, hold};
use crate::message::Message;
use crate::rule::Rule;
use crate::talk::{Talk, told};

/// A method, and a kind, that nobody has thought of yet.
const UNHEARD_OF: Method = Method(60_000);
const STRANGE: Kind = Kind(200);

/// Rules: ping, unknown-frame, unknown-call, empty-body, discover, cut-frames, concurrent, goodbye.
pub(super) fn manners(scene: &Scene<'_>, findings: &mut Findings) -> Step<()> {
    scene.play(findings, |talk, findings| {
        talk.greet(super::WINDOW)?;
        talk.settle(Rule::Ping, "the answer to PING")?;
        findings.held(Rule::Ping);
        unknown_frame(talk)?;
        findings.held(Rule::UnknownFrame);
        unknown_call(talk)?;
        findings.held(Rule::UnknownCall);
        empty_body(talk)?;
        findings.held(Rule::EmptyBody);
        let instance = talk.initialize(scene.subject)?.instance;
        // First: a store that cannot be looked at breaks no rule of the others.
        discover(talk, instance)?;
        findings.held(Rule::Discover);
        cut_frames(talk, instance)?;
        findings.held(Rule::CutFrames);
        concurrent(talk, instance)?;
        findings.held(Rule::Concurrent);
        talk.finalize(instance)?;
        findings.held(Rule::Answered);
        talk.settle(Rule::Ping, "the answer to PING")?;
        talk.goodbye()?;
        findings.held(Rule::Goodbye);
        Ok(())
    })
}

fn unknown_frame(talk: &mut Talk<'_>) -> Step<()> {
    talk.send(&Message::bare(STRANGE, 1, b"from a later version".to_vec()), Rule::UnknownFrame)?;
    talk.settle(Rule::UnknownFrame, "the answer to PING after a frame of an unknown kind")
}

fn unknown_call(talk: &mut Talk<'_>) -> Step<()> {
    let message = talk.request(UNHEARD_OF, ObjectId::HOST, Vec::new());
    talk.send(&message, Rule::UnknownCall)?;
    let answer = talk.answer(message.header.id, "the answer to an unknown method", Rule::UnknownCall)?;
    hold(answer.is_err(), Rule::UnknownCall, || "an unknown method was answered with a REPLY".into())?;
    talk.settle(Rule::UnknownCall, "the answer to PING after an unknown method")
}

/// Before there is an instance, so that nothing can be in the way of the missing body.
fn empty_body(talk: &mut Talk<'_>) -> Step<()> {
    let message = talk.request(Method::INITIALIZE, ObjectId::HOST, Vec::new());
    talk.send(&message, Rule::EmptyBody)?;
    let answer =
        talk.answer(message.header.id, "the answer to `initialize` without a body", Rule::EmptyBody)?;
    match answer {
        Ok(_) => {
            hold(false, Rule::EmptyBody, || "`initialize` without a body was answered with a REPLY".into())?
        }
        Err(error) => hold(error.code != Code::PANIC, Rule::EmptyBody, || {
            format!("`initialize` without a body made it panic: {}", told(&error))
        })?,
    }
    talk.settle(Rule::EmptyBody, "the answer to PING after a call without a body")
}

/// A whole PING and a piece of a call; when the PING is answered, the rest of the call. So the
/// piece has been read alone, and nobody has to guess how long that takes.
fn cut_frames(talk: &mut Talk<'_>, instance: ObjectId) -> Step<()> {
    for at in [1, 4, 27] {
        let message = talk.request(Method::DISCOVER, instance, encode(talk.wire.codec(), &()));
        let bytes = message.bytes();
        let (front, back) = bytes.split_at(at.min(bytes.len()));
        let ping = Message::bare(Kind::PING, 0, Vec::new()).bytes();
        let what = format!("a CALL that came in two pieces, {at} bytes first");
        talk.wire.judge.called(&message.header);
        talk.write_raw(&[&ping, front].concat(), Rule::CutFrames, &what)?;
        while talk.hear(Rule::CutFrames, &what)? != crate::judge::Seen::Pong {}
        talk.write_raw(back, Rule::CutFrames, &what)?;
        let answer = talk.answer(message.header.id, &what, Rule::CutFrames)?;
        hold(answer.is_ok(), Rule::CutFrames, || format!("{what} was answered with an error"))?;
    }
    Ok(())
}

fn names(talk: &mut Talk<'_>, instance: ObjectId) -> Step<Vec<String>> {
    let discovered: Discovered = talk.must(Method::DISCOVER, instance, &())?;
    Ok(discovered.sinks.into_iter().map(|sink| sink.name).collect())
}

fn discover(talk: &mut Talk<'_>, instance: ObjectId) -> Step<()> {
    let first = names(talk, instance)?;
    let second = names(talk, instance)?;
    hold(first == second, Rule::Discover, || format!("first it found {first:?}, then {second:?}"))?;
    let mut unique = first.clone();
    unique.sort();
    unique.dedup();
    hold(unique.len() == first.len(), Rule::Discover, || format!("two collections have one name: {first:?}"))
}

fn concurrent(talk: &mut Talk<'_>, instance: ObjectId) -> Step<()> {
    let body = encode(talk.wire.codec(), &());
    let calls: Vec<Message> =
        (0..3).map(|_| talk.request(Method::DISCOVER, instance, body.clone())).collect();
    // In one piece, so that a plugin that reads once for each call has read them all.
    calls.iter().for_each(|call| talk.wire.judge.called(&call.header));
    let together: Vec<u8> = calls.iter().flat_map(Message::bytes).collect();
    talk.write_raw(&together, Rule::Concurrent, "three calls at once")?;
    for call in &calls {
        let what = "one of three calls that were sent at once";
        let answer = talk.answer(call.header.id, what, Rule::Concurrent)?;
        hold(answer.is_ok(), Rule::Concurrent, || format!("{what} failed"))?;
    }
    Ok(())
}
