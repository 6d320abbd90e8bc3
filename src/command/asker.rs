//! Asks the user at the terminal what a plugin wants to know.
//!
//! The question runs on a thread of its own, which looks ten times a second whether anybody still
//! waits for the answer: one that was given up takes no line from the next, and leaves the terminal
//! as it was.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use outrigger::broker::Answer;
use outrigger::protocol::{Ask, AskKind, Blame, Code, Error, Printable, SecretText};
use outrigger::run::Asker;
use tokio::sync::oneshot;

use super::line::{Shown, read_line};

/// Where the user is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terminal {
    /// One question at a time.
    turn: Arc<Mutex<()>>,
}

impl Terminal {
    /// The terminal, if somebody sits there.
    pub(crate) fn open() -> Option<Arc<dyn Asker>> {
        let there = cfg!(unix) && io::stdin().is_terminal() && io::stderr().is_terminal();
        there.then(|| Arc::new(Self::default()) as Arc<dyn Asker>)
    }
}

impl Asker for Terminal {
    fn ask(&self, member: &str, question: &Ask) -> Answer<'static, SecretText> {
        let (turn, member, question) = (Arc::clone(&self.turn), member.to_owned(), question.clone());
        let (tell, told) = oneshot::channel();
        let shown = Shown::default();
        let at_the_terminal = shown.clone();
        thread::spawn(move || {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = answer(&member, &question, &at_the_terminal, &|| tell.is_closed());
            drop(tell.send(answer));
        });
        Box::pin(async move {
            let _shown_again_when_dropped = shown;
            told.await.unwrap_or_else(|_| Err(declined()))
        })
    }
}

/// Shows the question, in the plugin's words, and reads the answer; again while it is none of the
/// choices.
fn answer(
    member: &str,
    question: &Ask,
    shown: &Shown,
    is_given_up: &dyn Fn() -> bool,
) -> Result<SecretText, Error> {
    while !is_given_up() {
        let hidden = question.kind == AskKind::Password;
        let read = show(member, question).and_then(|()| read_line(hidden, shown, is_given_up));
        if let Some(text) = accept(question, read.map_err(|_| declined())?) {
            return Ok(text);
        }
    }
    Err(declined())
}

fn show(member: &str, question: &Ask) -> io::Result<()> {
    let mut err = anstream::stderr();
    write!(err, "\nthe plugin of {member} asks: \"{}\"", Printable(&question.prompt))?;
    match question.kind {
        AskKind::Confirm => write!(err, " (yes or no)")?,
        AskKind::Choice => {
            for (number, choice) in (1..).zip(&question.choices) {
                write!(err, "\n  {number}. \"{}\"", Printable(choice))?;
            }
            writeln!(err)?;
        }
        AskKind::Password | AskKind::Text => {}
    }
    // On a line of its own: the progress below it draws its line again and again.
    writeln!(err, " (Enter ends the answer, Ctrl-D declines)")?;
    err.flush()
}

/// What the plugin gets; `None`: the answer is none of those that were asked for.
fn accept(question: &Ask, text: SecretText) -> Option<SecretText> {
    let own = |text: &str| Some(SecretText::new(text.to_owned()));
    match (question.kind, text.expose().trim()) {
        (AskKind::Password | AskKind::Text, _) => Some(text),
        (AskKind::Confirm, "yes" | "y") => own("yes"),
        (AskKind::Confirm, "no" | "n") => own("no"),
        (AskKind::Choice, typed) => {
            let by_number = typed.parse().ok().and_then(|number: usize| number.checked_sub(1));
            let by_name = || question.choices.iter().find(|choice| *choice == typed);
            by_number.and_then(|at| question.choices.get(at)).or_else(by_name).and_then(|found| own(found))
        }
        (AskKind::Confirm, _) => None,
    }
}

fn declined() -> Error {
    Error::new(Code::CANCELLED, "the user declined to answer").by(Blame::Configuration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(kind: AskKind, text: &str) -> Option<String> {
        let question = Ask { kind, prompt: "?".into(), choices: vec!["red".into(), "2".into()] };
        accept(&question, SecretText::new(text.into())).map(|text| text.expose().to_owned())
    }

    #[test]
    fn an_answer_is_one_of_those_that_were_asked_for() {
        assert_eq!(accepted(AskKind::Confirm, "y").as_deref(), Some("yes"));
        assert_eq!(accepted(AskKind::Confirm, "perhaps"), None);
        assert_eq!(accepted(AskKind::Choice, "1").as_deref(), Some("red"));
        assert_eq!(accepted(AskKind::Choice, " red ").as_deref(), Some("red"));
        assert_eq!(accepted(AskKind::Choice, "0"), None);
        assert_eq!(accepted(AskKind::Choice, "blue"), None);
        assert_eq!(accepted(AskKind::Password, " kept as typed ").as_deref(), Some(" kept as typed "));
    }
}
