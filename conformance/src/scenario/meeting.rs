//! How two ends meet: the handshake, and what happens when they do not fit.

use std::time::Instant;

use outrigger_protocol::{Hello, Kind, PREFACE, Refused, Version};

use super::Scene;
use crate::findings::{Findings, Greeting, Step, hold};
use crate::message::Message;
use crate::rule::Rule;
use crate::talk::{Talk, hello};
use crate::wire::Lost;

/// A protocol that no plugin of today speaks.
const FROM_THE_FUTURE: Version = Version { major: 99, minor: 0 };

/// Rules: handshake, hello.
pub(super) fn greet(scene: &Scene<'_>, findings: &mut Findings) -> Step<()> {
    let first = greeting(scene, findings)?;
    findings.held(Rule::Handshake);
    let second = greeting(scene, findings)?;
    hold(first.nonce != second.nonce, Rule::Hello, || "two starts sent the same nonce".into())?;
    findings.greeting = Some(first);
    findings.held(Rule::Hello);
    Ok(())
}

fn greeting(scene: &Scene<'_>, findings: &mut Findings) -> Step<Greeting> {
    scene.play(findings, |talk, _| talk.greet(super::WINDOW))
}

/// Rule: version.
pub(super) fn version(scene: &Scene<'_>, findings: &mut Findings) -> Step<()> {
    let theirs = Hello { protocols: vec![FROM_THE_FUTURE], ..hello(super::WINDOW)? };
    let answers = [("HELLO_OK of protocol 99.0", hello_ok(&theirs)), ("REFUSED", refused())];
    for (what, answer) in answers {
        scene.play(findings, |talk, _| unfit(talk, what, &answer))?;
    }
    findings.held(Rule::Version);
    Ok(())
}

fn hello_ok(theirs: &Hello) -> Vec<u8> {
    let session = outrigger_protocol::SessionId(uuid::Uuid::new_v4());
    let theirs = Hello { session: Some(session), ..theirs.clone() };
    let body = serde_json::to_vec(&theirs).unwrap_or_default();
    [&PREFACE[..], &Message::bare(Kind::HELLO_OK, 0, body).bytes()].concat()
}

fn refused() -> Vec<u8> {
    let refused = Refused { reason: "no common protocol".into(), hint: "this is a check".into() };
    let body = serde_json::to_vec(&refused).unwrap_or_default();
    [&PREFACE[..], &Message::bare(Kind::REFUSED, 0, body).bytes()].concat()
}

/// The plugin must end, and answer nothing: not even the PING behind the refusal.
fn unfit(talk: &mut Talk<'_>, what: &str, answer: &[u8]) -> Step<()> {
    talk.wire.hear_hello(talk.settings.handshake)?;
    // It may have gone between the two writes, as it should.
    let _sent = talk.wire.send_greeting(answer);
    let _sent = talk.wire.send(&Message::bare(Kind::PING, 0, Vec::new()));
    let until = Instant::now() + talk.settings.exit;
    loop {
        match talk.wire.next(until) {
            Ok(message) => hold(message.header.kind == Kind::REFUSED, Rule::Version, || {
                format!("it answered {what} with {}", message.header.kind)
            })?,
            Err(Lost::Closed) => break,
            Err(Lost::Late) => {
                let exit = talk.settings.exit;
                return hold(false, Rule::Version, || format!("it is still connected {exit:?} after {what}"));
            }
            Err(Lost::Stop(stop)) => return Err(stop),
        }
    }
    let exit = talk.settings.exit;
    let ended = talk.process().wait(exit);
    hold(ended.is_some(), Rule::Version, || format!("it still runs after {what}"))
}
