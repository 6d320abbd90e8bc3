//! What a connector can ask of the engine while it works on a call.

use std::time::{Duration, Instant};

use outrigger_protocol::{
    Answered, Ask, AskKind, Blame, CallOptions, Code, Effect, Error, Group, Href, Member, MemberUpdate,
    MemberUpdated, Method, ObjectId, OperationId, RaiseSlowSync, Rename, SecretText, Snapshot,
};
use outrigger_transport::Wait;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::inbox::{Answer, Success};

impl Context<'_> {
    /// The member that the call works for, as it was when the call began: it does not change under
    /// a running handler.
    #[must_use]
    pub const fn member(&self) -> &Member {
        self.member
    }

    /// The group that the member belongs to, as it was when the call began.
    #[must_use]
    pub const fn group(&self) -> &Group {
        self.group
    }

    /// Sets and takes away options of the member, if it has not changed since the connector was
    /// last shown it: when this call began, or by what this method and
    /// [`Context::raise_slow_sync`] returned since. The engine keeps them; [`Context::member`]
    /// shows them from the next call on. With `applied: false` nothing was done: look at the member
    /// that came back, and decide again under a new operation. `operation` makes a retry safe: the
    /// same one is done once.
    ///
    /// # Errors
    /// The engine refuses, does not answer in time, or cannot be reached; the call that this one is
    /// made for is cancelled or its time is over. The effect says whether it may have been done.
    pub fn update_member(
        &mut self,
        operation: OperationId,
        set: Vec<(String, String)>,
        unset: Vec<String>,
    ) -> Result<MemberUpdated, Error> {
        let request = MemberUpdate { operation, generation: self.shown, set, unset };
        let updated: MemberUpdated = self.call(self.member.object, Method::MEMBER_UPDATE, &request)?;
        self.show(&updated.member);
        Ok(updated)
    }

    /// Says that everything of an object type must be compared (empty: of all). Stays until a run
    /// has done so. Returns the member as it is then.
    ///
    /// # Errors
    /// As [`Context::update_member`].
    pub fn raise_slow_sync(&mut self, operation: OperationId, object_type: &str) -> Result<Member, Error> {
        let request = RaiseSlowSync { operation, object_type: object_type.to_owned() };
        let member: Member = self.call(self.member.object, Method::RAISE_SLOW_SYNC, &request)?;
        self.show(&member);
        Ok(member)
    }

    /// The connector sees a newer member than its call began with.
    fn show(&mut self, member: &Member) {
        self.shown = self.shown.max(member.generation);
        self.inbox.keep(Snapshot::Member(member.clone()));
    }

    /// Says that the collection that this call is for names items otherwise from now on: the old and
    /// the new href of each. The whole set is taken, durably, or none of it; two items may take each
    /// other's name, and what the engine does not know is passed over. Without this an item with
    /// another name is one that was deleted and one that is new, unless a UID tells.
    ///
    /// From `get_changes` (before the first push, if the listing needs it) to `sync_done`: `read`,
    /// `commit`, `committed_all`. Not in `initialize`, `discover`, `connect`, `connect_done`,
    /// `disconnect` and `finalize`, nor in any call to [`crate::MAIN_SINK`]. An item that was created
    /// is known once its commit is answered: until then, say its name in the result. What the engine
    /// had sent before may still use an old name; that it is not found is an answer.
    ///
    /// # Errors
    /// Nothing was taken: [`Code::INVALID`], a name is in it twice, empty or too long;
    /// [`Code::EXISTS`], a new name is another item's; [`Code::INVALID_STATE`], not now: say it in the
    /// next run. [`Code::READ_ONLY`]: the run only plans. [`Code::TOO_LARGE`]: more than one call
    /// holds. Otherwise as [`Context::update_member`]; a set whose effect is unknown may be sent again if
    /// no name is both old and new in it.
    pub fn rename(&mut self, names: &[(Href, Href)]) -> Result<(), Error> {
        let request = Rename { sink: self.target, names: names.to_vec() };
        self.call(self.member.object, Method::RENAME, &request)
    }

    /// Asks the user for a secret. It is wiped when dropped: keep it no longer than the link.
    ///
    /// # Errors
    /// [`Code::CANCELLED`]: the user declines, or gave up the call that asks
    /// ([`Context::is_cancelled`] tells). [`Code::DEADLINE`]: nobody answered in two minutes, or in
    /// what is left of the time of the call that asks. [`Code::PERMISSION`]: nobody is there to be
    /// asked.
    pub fn ask_password(&mut self, prompt: &str) -> Result<SecretText, Error> {
        self.ask(&Ask { kind: AskKind::Password, prompt: prompt.to_owned(), choices: Vec::new() })
    }

    /// Asks the user anything.
    ///
    /// # Errors
    /// As [`Context::ask_password`].
    pub fn ask(&mut self, question: &Ask) -> Result<SecretText, Error> {
        self.call(self.member.object, Method::ASK, question).map(|answer: Answered| answer.text)
    }

    /// Makes a call to the engine and waits for its one answer.
    pub(crate) fn call<Q: Serialize + ?Sized, A: for<'a> Deserialize<'a>>(
        &mut self,
        target: ObjectId,
        method: Method,
        request: &Q,
    ) -> Result<A, Error> {
        let answer = self.ask_for(target, method, request)?;
        self.read(method, &answer)
    }

    /// Makes a call, and waits for its answer as it comes. One that came together with the end of this
    /// call is an answer.
    pub(crate) fn ask_for<Q: Serialize + ?Sized>(
        &mut self,
        target: ObjectId,
        method: Method,
        request: &Q,
    ) -> Answer {
        self.look(Wait::No)?; // nobody is asked for a call that was given up
        let total = method.rules_or_default().total.min(self.time_left());
        let options = CallOptions { total: Some(total), parent: Some(self.call), ..CallOptions::default() };
        let now = self.link.now();
        let call = self.link.connection().call(target, method, request, options, (), now);
        let call = call.map_err(|refusal| *refusal.error)?;
        self.inbox.expect_answer(Some(call));
        let answer = self.wait_for_answer(method, total);
        self.inbox.expect_answer(None);
        if answer.is_err() {
            let now = self.link.now();
            drop(self.link.connection().cancel(call, now)); // nothing happens if it was answered
            let _told = self.flush(); // a broken connection is noted
        }
        answer
    }

    /// Reads the body of an answer.
    pub(crate) fn read<A: for<'a> Deserialize<'a>>(
        &mut self,
        method: Method,
        answer: &Success,
    ) -> Result<A, Error> {
        let codec = self.link.connection().codec();
        // Not why: an error may quote what it is about, and that may be a secret.
        codec.decode(&answer.body).map_err(|_| {
            let error = Error::new(Code::INVALID, format!("{method}: the answer cannot be read"));
            error.by(Blame::Broker).with_effect(Effect::Unknown)
        })
    }

    fn wait_for_answer(&mut self, method: Method, total: Duration) -> Answer {
        let begun = Instant::now();
        loop {
            self.flush()?;
            let left = total.saturating_sub(begun.elapsed());
            let looked = self.look(if left.is_zero() { Wait::No } else { Wait::For(left) });
            if let Some(answer) = self.inbox.take_answer() {
                return answer;
            }
            looked?;
            if left.is_zero() {
                let error = Error::new(Code::DEADLINE, format!("{method}: not answered in time"));
                return Err(error.by(Blame::Broker).with_effect(Effect::Unknown));
            }
        }
    }
}
