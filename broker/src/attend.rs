//! Attends to what a plugin says of its own: calls, cancels, notices of a change.
//!
//! Calls to one object are answered one after the other; those to different objects do not wait
//! for each other (decisions W2). How many can wait is bounded by the limits of the connection.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use outrigger_protocol::{
    Answered, Ask, AskKind, Blame, CallId, Code, Codec, Connection, Effect, Error, Member, MemberUpdated,
    Method, ObjectId, Rename, limits::MAX_TEXT,
};
use outrigger_transport::Link;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::timeout;

use crate::callbacks::{Callbacks, Export, Exports, tell};
use crate::callers::Caller;
use crate::network::Network;
use crate::said::{Asked, FromPlugin, body, refuse};

/// An answer, by the type of its body.
enum Reply {
    Updated(MemberUpdated),
    Member(Member),
    Answered(Answered),
    Nothing,
}

/// One at work, and those behind it that are for the same object.
#[derive(Default)]
struct Line {
    running: Option<(CallId, AbortHandle)>,
    waiting: VecDeque<Asked>,
}

/// Attends to one plugin until its connection has ended.
pub(crate) struct Attendant {
    link: Link<Caller>,
    exports: Arc<Exports>,
    lines: HashMap<ObjectId, Line>,
    work: JoinSet<Result<Reply, Error>>,
    network: Network,
}

impl Attendant {
    pub(crate) fn new(link: Link<Caller>, exports: Arc<Exports>, network: Network) -> Self {
        Self { link, exports, lines: HashMap::new(), work: JoinSet::new(), network }
    }

    pub(crate) async fn run(mut self, mut said: mpsc::UnboundedReceiver<FromPlugin>) {
        loop {
            tokio::select! {
                message = said.recv() => match message {
                    Some(FromPlugin::Call(call)) => self.call(call),
                    Some(FromPlugin::Cancel(id)) => self.cancel(id),
                    Some(FromPlugin::Notify(object)) => self.notify(object, &mut said),
                    None => return, // and whatever is still at work is dropped
                },
                Some(done) = self.work.join_next_with_id() => self.answered(done),
                () = self.network.turn() => {}
            }
        }
    }

    /// Tells of a change, once for all notices of it that have come meanwhile.
    fn notify(&mut self, object: ObjectId, said: &mut mpsc::UnboundedReceiver<FromPlugin>) {
        let mut objects = vec![object];
        while let Ok(message) = said.try_recv() {
            match message {
                FromPlugin::Notify(object) if objects.contains(&object) => {}
                FromPlugin::Notify(object) => objects.push(object),
                FromPlugin::Call(call) => self.call(call),
                FromPlugin::Cancel(id) => self.cancel(id),
            }
        }
        for object in objects {
            if let Some(listener) = self.exports.listener(object) {
                tell(&*listener, object);
            }
        }
    }

    /// What is asked of the network neither looks at the member nor changes it: it stands in no line.
    fn call(&mut self, call: Asked) {
        let target = call.target;
        if Network::answers(call.method) {
            match member(&call, self.exports.find(target)) {
                Ok(_) => self.network.call(call),
                Err(error) => drop(self.link.with(|connection| connection.fail(call.id, &error))),
            }
            return;
        }
        self.lines.entry(target).or_default().waiting.push_back(call);
        self.next(target);
    }

    /// Starts what is first in the line of `target`, unless one is at work.
    fn next(&mut self, target: ObjectId) {
        let Some(line) = self.lines.get_mut(&target) else { return };
        if line.running.is_some() {
            return;
        }
        let Some(call) = line.waiting.pop_front() else {
            self.lines.remove(&target);
            return;
        };
        let (export, codec) = (self.exports.find(target), self.link.session().codec);
        let id = call.id;
        let handle = self.work.spawn(async move {
            let answer = timeout(call.total, answer(&call, export, codec)).await;
            let late = |_| Err(in_doubt(Code::DEADLINE, format!("{}: not answered in time", call.method)));
            answer.unwrap_or_else(late)
        });
        line.running = Some((id, handle));
    }

    /// Sends an answer. One that was cancelled was answered then; one whose callback panicked has
    /// failed.
    fn answered(&mut self, done: Result<(Id, Result<Reply, Error>), JoinError>) {
        let (task, answer) = done.unwrap_or_else(|panic| {
            (panic.id(), Err(in_doubt(Code::INTERNAL, "what was to answer it panicked").by(Blame::Broker)))
        });
        let is_done = |(_, handle): &(CallId, AbortHandle)| handle.id() == task;
        let line = self.lines.iter_mut().find(|(_, line)| line.running.as_ref().is_some_and(is_done));
        let Some((target, (id, _))) = line.and_then(|(target, line)| Some((*target, line.running.take()?)))
        else {
            return;
        };
        self.link.with(|connection| reply(connection, id, &answer));
        self.next(target);
    }

    fn cancel(&mut self, id: CallId) {
        if self.network.cancel(id) {
            return;
        }
        let mut freed = None;
        for (target, line) in &mut self.lines {
            line.waiting.retain(|call| call.id != id);
            if line.running.as_ref().is_some_and(|(running, _)| *running == id)
                && let Some((_, handle)) = line.running.take()
            {
                handle.abort();
                freed = Some(*target);
            }
        }
        let mut error = Error::new(Code::CANCELLED, "the plugin gave up").by(Blame::Caller);
        if freed.is_some() {
            error.effect = Effect::Unknown; // it was at work
        }
        self.link.with(|connection| connection.fail(id, &error));
        if let Some(target) = freed {
            self.next(target);
        }
    }
}

/// Who answers for the member that is called.
fn member(call: &Asked, export: Option<Export>) -> Result<Arc<dyn Callbacks>, Error> {
    match export {
        Some(Export::Member(callbacks)) => Ok(callbacks),
        Some(Export::Group) => Err(refuse(Code::PERMISSION, call, "a group belongs to the user")),
        None => Err(refuse(Code::NOT_FOUND, call, "no such object was given")),
    }
}

async fn answer(call: &Asked, export: Option<Export>, codec: Codec) -> Result<Reply, Error> {
    let callbacks = member(call, export)?;
    // Who answers does not know the number under which the plugin was given the member.
    let shown = |member: Member| Member { object: call.target, ..member };
    match call.method {
        Method::MEMBER_UPDATE => {
            let MemberUpdated { applied, member } = callbacks.update_member(body(call, codec)?).await?;
            Ok(Reply::Updated(MemberUpdated { applied, member: shown(member) }))
        }
        Method::RAISE_SLOW_SYNC => {
            callbacks.raise_slow_sync(body(call, codec)?).await.map(|member| Reply::Member(shown(member)))
        }
        Method::ASK => {
            let question: Ask = body(call, codec)?;
            if let Some(why) = unaskable(&question) {
                return Err(refuse(Code::INVALID, call, why));
            }
            let text = callbacks.ask(question).await?;
            Ok(Reply::Answered(Answered { text }))
        }
        Method::RENAME => {
            let rename: Rename = body(call, codec)?;
            if let Some(why) = Rename::flaw(&rename.names) {
                return Err(refuse(Code::INVALID, call, why));
            }
            callbacks.rename(rename).await.map(|()| Reply::Nothing)
        }
        _ => Err(refuse(Code::UNIMPLEMENTED, call, "the broker does not know it")),
    }
}

/// What is wrong with a question that no user should see.
fn unaskable(question: &Ask) -> Option<&'static str> {
    let texts = question.choices.iter().map(String::len).sum::<usize>() + question.prompt.len();
    let few = question.kind == AskKind::Choice && question.choices.len() < 2;
    if few {
        return Some("a choice needs two or more choices");
    }
    (texts > MAX_TEXT).then_some("the question is too long")
}

/// A failure after which nobody knows what was done.
fn in_doubt(code: Code, text: impl Into<String>) -> Error {
    Error::new(code, text).with_effect(Effect::Unknown)
}

fn reply(connection: &mut Connection<Caller>, id: CallId, answer: &Result<Reply, Error>) {
    match answer {
        Ok(Reply::Updated(body)) => drop(connection.reply(id, body)),
        Ok(Reply::Member(body)) => drop(connection.reply(id, body)),
        Ok(Reply::Answered(body)) => drop(connection.reply_secret(id, body)),
        Ok(Reply::Nothing) => drop(connection.reply(id, &())),
        Err(error) => drop(connection.fail(id, error)),
    }
}
