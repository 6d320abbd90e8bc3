//! Dispute: what becomes of contents that contradict each other.
//!
//! They are read first. A plugin that knows their format may say that they mean the same: then that is
//! agreed, and nothing is written on its account. Otherwise the policy settles it, or it is kept for a
//! person, with all that members hold.
//!
//! A verdict is about bytes, so it counts only while the members are known to hold just these: a false
//! difference costs a question to a person, a false equality an edit.

use outrigger_protocol::{Code, Error, RawDigest, ReadOutcome, Verdict, limits};

use crate::accept::{accept, adopt};
use crate::action::{Action, BatchId};
use crate::canonical::Canonical;
use crate::decide::{Agreed, Decision, Sign, is_clash};
use crate::journal::{DisputedCopy, Record};
use crate::judge::{Asked, Copy, MAX_COPIES};
use crate::keep_both::keep_both_copy;
use crate::lot::{CALL_OVERHEAD, Held};
use crate::observe::{is_raised, raise};
use crate::parties::ancestor;
use crate::reads::Why;
use crate::report::Report;
use crate::row::{Digest, Key, MemberIndex, Row, Supplied};
use crate::settings::{Access, ConflictPolicy};
use crate::stamp::last_changed;
use crate::state::Run;
use crate::table::Place;

impl Run {
    /// Whether the row is to be judged first, which then happens; once a run.
    pub(crate) fn ask(&mut self, place: Place) -> bool {
        if self.table.mark(place).asked {
            return false;
        }
        let is_disputed = self
            .table
            .row(place)
            .is_some_and(|row| self.is_disputed(place, &row) && self.is_worth_reading(place, &row));
        if is_disputed {
            self.table.mark_mut(place, |mark| mark.asked = true);
            self.judge.queue.push_back(place);
        }
        is_disputed
    }

    /// Whether members hold the item, each its own, and something would come of that now. What was
    /// raised was asked already; a member that takes no writes loses nothing.
    fn is_disputed(&self, place: Place, row: &Row) -> bool {
        if is_raised(row) {
            return false;
        }
        match self.decide(place, row) {
            Decision::Conflict => true,
            Decision::Spread(source) => {
                let is_due = self.targets(place, row, source).iter().any(|target| self.may_write(*target));
                is_due && is_clash(&self.views(place, row))
            }
            _ => false,
        }
    }

    /// A plan reads nothing for a conflict that nobody will judge.
    fn is_worth_reading(&self, place: Place, row: &Row) -> bool {
        let compares = self.settings.members.iter().any(|member| !member.compares.is_empty());
        let is_kept = !self.settings.dry_run && self.decide(place, row) == Decision::Conflict;
        compares || is_kept
    }

    /// Reads what is in conflict, as much as there is room for.
    pub(crate) fn pump_disputes(&mut self) {
        while self.judge.can_begin()
            && let Some(place) = self.judge.queue.pop_front()
        {
            let Some(row) = self.table.row(place) else { continue };
            let holders = self.holders(place, &row);
            if holders.is_empty() {
                self.act(place);
                continue;
            }
            let batch = self.batch();
            let read = holders.get(..MAX_COPIES).unwrap_or(&holders);
            self.judge.begin(batch, place, read);
            for member in read.iter().copied() {
                self.state_mut(member).reader.queue.push_back(Why::Weigh(batch));
            }
        }
    }

    /// The first member of those that hold each of the contents that contradict each other. What was
    /// agreed before is none of them once somebody has changed or deleted it who had seen it.
    pub(crate) fn holders(&self, place: Place, row: &Row) -> Vec<MemberIndex> {
        let signs = self.signs(place, row);
        let agreed = Agreed::of(self.views(place, row).iter().map(|view| view.sign));
        let mut found: Vec<(Digest, MemberIndex)> = Vec::new();
        for (member, _) in self.all().zip(signs).filter(|(_, sign)| agreed.is_contested_by(*sign)) {
            let digest = row.held(member).map(|content| content.digest);
            if let Some(digest) = digest.filter(|digest| found.iter().all(|(known, _)| known != digest)) {
                found.push((digest, member));
            }
        }
        found.into_iter().map(|(_, member)| member).collect()
    }

    /// One of the contents was read.
    pub(crate) fn weighed(&mut self, member: MemberIndex, batch: BatchId, outcome: ReadOutcome<'_>) {
        let Some(place) = self.judge.hearing(batch) else { return };
        let held = match &outcome {
            ReadOutcome::Item { format, data, .. } => {
                Some(Held { format: format.to_string(), data: data.to_vec() })
            }
            _ => None,
        };
        self.looked_for_bytes(member, place, outcome);
        self.keep(batch, place, member, held);
    }

    /// The read of one of the contents will not be answered.
    pub(crate) fn unweighed(&mut self, member: MemberIndex, batch: BatchId) {
        let Some(place) = self.judge.hearing(batch) else { return };
        self.lose_sight(place, member);
        self.keep(batch, place, member, None);
    }

    fn keep(&mut self, batch: BatchId, place: Place, member: MemberIndex, held: Option<Held>) {
        let Some(copies) = self.judge.keep(batch, member, held) else { return };
        if copies.is_empty() || !self.is_about(place, &copies) {
            return self.act(place);
        }
        // Nor is what a person wrote dropped on a plugin's word.
        let is_supplied = self.table.row(place).is_some_and(|row| row.supplied.is_some());
        match self.comparing(&copies).filter(|_| !is_supplied) {
            Some(member) => self.ask_plugin(batch, place, member, copies),
            None => self.settle_dispute(place, copies),
        }
    }

    /// Whether the row is in dispute about just these bytes.
    fn is_about(&self, place: Place, copies: &[Copy]) -> bool {
        let Some(row) = self.table.row(place) else { return false };
        let holds = |copy: &Copy| row.held(copy.member).map(|content| content.raw) == Some(copy.raw().1);
        let holders = self.holders(place, &row).into_iter().take(MAX_COPIES);
        let is_all = holders.eq(copies.iter().map(|copy| copy.member));
        is_all && copies.iter().all(holds) && self.is_disputed(place, &row)
    }

    /// The member whose plugin can compare two contents: it named the format.
    fn comparing(&self, copies: &[Copy]) -> Option<MemberIndex> {
        let [left, right] = copies else { return None };
        let size = left.held.format.len() + left.held.data.len() + right.held.data.len();
        let compares = |member: &MemberIndex| {
            let settings = self.settings_of(*member);
            // A member that takes no writes is not shown what others hold either.
            let may_see = settings.access != Access::ReadOnly && !self.state(*member).frozen;
            let is_known = settings.compares.contains(&left.held.format);
            is_known && may_see && size + CALL_OVERHEAD <= settings.max_body
        };
        self.all().find(compares).filter(|_| left.held.format == right.held.format)
    }

    fn ask_plugin(&mut self, batch: BatchId, place: Place, member: MemberIndex, copies: Vec<Copy>) {
        if let [left, right] = copies.as_slice() {
            let (format, left, right) =
                (left.held.format.clone(), left.held.data.clone(), right.held.data.clone());
            self.outputs.push_back(Action::Compare { member, batch, format, left, right });
            self.judge.ask(batch, Asked { place, member: Some(member), copies });
        }
    }

    /// A plugin has judged.
    pub(crate) fn compared(&mut self, member: MemberIndex, batch: BatchId, verdict: Verdict) {
        let Some(Asked { place, copies, .. }) = self.judge.take(batch, Some(member)) else { return };
        if !self.is_about(place, &copies) {
            return self.act(place);
        }
        if verdict != Verdict::Same {
            return self.settle_dispute(place, copies);
        }
        let alike: Vec<Digest> =
            copies.iter().filter_map(|copy| self.digest_at(place, copy.member)).collect();
        // Of those who had no part in it, nobody has said that what they hold means the same.
        self.change_seen(place, |row, is_seen| {
            adopt(row, |row, member| {
                let held = row.held(member).map(|content| content.digest);
                is_seen(row, member) && held.is_none_or(|held| alike.contains(&held))
            });
        });
        // They get it in this run.
        self.act(place);
    }

    fn digest_at(&self, place: Place, member: MemberIndex) -> Option<Digest> {
        self.table.row(place)?.held(member).map(|content| content.digest)
    }

    /// A plugin could not judge: the contents are taken for different.
    pub(crate) fn compare_failed(&mut self, member: MemberIndex, batch: BatchId, error: &Error) {
        let Some(Asked { place, copies, .. }) = self.judge.take(batch, Some(member)) else { return };
        let words = format!("a comparison: {error}");
        self.tell_of_item(member, Report::CallFailed { member, words });
        if self.is_about(place, &copies) {
            self.settle_dispute(place, copies);
            // Also where the policy decides: should the member be lost over it before that is written,
            // the next run must not begin with the same question.
            self.change(place, raise);
        } else {
            self.act(place);
        }
        if is_end(error) {
            self.give_up_judging();
        }
    }

    /// The plugin died or hung over one of them. Which one it was nobody knows, and the next run must
    /// get to its writes: all that are left are taken for different.
    fn give_up_judging(&mut self) {
        for place in self.judge.give_up() {
            self.act(place);
            self.change(place, raise);
        }
    }

    /// They contradict each other: the policy settles it, or a person must.
    fn settle_dispute(&mut self, place: Place, copies: Vec<Copy>) {
        let row = self.table.row(place).filter(|row| self.decide(place, row) == Decision::Conflict);
        let Some(row) = row.filter(|_| !self.settles_nothing(place)) else { return self.act(place) };
        match self.settings.conflict {
            _ if !self.is_for_policy(place, &row) => self.raise_with(place, copies),
            ConflictPolicy::Newest => match self.newest(&copies) {
                Some(member) => self.take(place, member),
                None => self.raise_with(place, copies),
            },
            ConflictPolicy::KeepBoth => self.keep_both(place, copies),
            ConflictPolicy::Resolve => self.ask_driver(place, copies),
            _ => self.raise_with(place, copies),
        }
    }

    /// The member whose content says that it was changed after all others.
    fn newest(&self, copies: &[Copy]) -> Option<MemberIndex> {
        let mut times = Vec::new();
        for copy in copies.iter().filter(|_| copies.len() > 1) {
            self.settings_of(copy.member).reliable_times.then_some(())?;
            times.push((last_changed(&copy.held.data)?, copy.member));
        }
        times.sort_unstable();
        let [.., (before, _), (last, member)] = times.as_slice() else { return None };
        (before < last).then_some(*member)
    }

    /// What the member holds is agreed for all.
    fn take(&mut self, place: Place, member: MemberIndex) {
        self.change_seen(place, |row, is_seen| {
            if let Some(content) = row.held(member) {
                accept(row, content, is_seen);
            }
        });
        self.resolved += 1;
        self.route(place);
    }

    /// Changes a row by a rule that has to know what this run has seen.
    pub(crate) fn change_seen(
        &mut self,
        place: Place,
        change: impl FnOnce(&mut Row, &dyn Fn(&Row, MemberIndex) -> bool),
    ) {
        let Some(mut row) = self.table.row(place) else { return };
        let signs = self.signs(place, &row);
        let is_seen = |_: &Row, member: MemberIndex| {
            signs.get(member.index()).is_some_and(|sign| *sign != Sign::Unknown)
        };
        change(&mut row, &is_seen);
        self.table.put(place, row);
    }

    /// The first content stays, every other one becomes an item of its own; both or neither is durable.
    fn keep_both(&mut self, place: Place, copies: Vec<Copy>) {
        let Some((first, others)) = copies.split_first() else { return };
        let made: Option<Vec<Row>> = others.iter().map(|copy| self.second_item(copy)).collect();
        let Some(made) = made else { return self.raise_with(place, copies) };
        let first = first.member;
        let places: Vec<Place> = made.into_iter().map(|row| self.table.add(row)).collect();
        self.change_seen(place, |row, is_seen| {
            if let Some(content) = row.held(first) {
                accept(row, content, is_seen);
            }
        });
        let mut records = Vec::new();
        for place in places.iter().chain([&place]) {
            self.table.records_of(*place, &mut records);
        }
        self.journal(records, None);
        self.resolved += 1;
        places.into_iter().chain([place]).for_each(|place| self.route(place));
    }

    /// A row for an item that is kept beside another one, under a new UID.
    fn second_item(&mut self, copy: &Copy) -> Option<Row> {
        let uid = (self.operations)().0.to_string();
        let mark = format!("{}, {}", self.settings_of(copy.member).name, self.settings.today);
        let data = keep_both_copy(&copy.held.data, &uid, mark.trim_end_matches([' ', ',']))?;
        let Canonical { content, key } = Canonical::of(&copy.held.format, &data);
        let mut row = Row::new(key.filter(|key| *key == Key(uid.as_bytes().into()))?, self.members.len());
        row.supply(Supplied { content, format: copy.held.format.clone(), data });
        Some(row)
    }

    /// The driver makes one of all.
    fn ask_driver(&mut self, place: Place, copies: Vec<Copy>) {
        let is_one_format = copies.windows(2).all(|pair| pair[0].held.format == pair[1].held.format);
        let row = self.table.row(place).filter(|_| is_one_format);
        let Some(row) = row else { return self.raise_with(place, copies) };
        let batch = self.batch();
        let base = ancestor(&row, copies.iter().map(|copy| copy.member));
        let shown = copies.iter().cloned().map(disputed).collect();
        self.outputs.push_back(Action::Resolve { batch, row: row.id, base, copies: shown });
        self.judge.ask(batch, Asked { place, member: None, copies });
    }

    /// The driver has made one of them, or could not.
    pub(crate) fn driver_resolved(&mut self, batch: BatchId, result: Result<Vec<u8>, String>) {
        let Some(Asked { place, copies, .. }) = self.judge.take(batch, None) else { return };
        if !self.is_about(place, &copies) {
            return self.act(place);
        }
        match result.ok().and_then(|data| supplied(&copies, data)) {
            Some(supplied) => self.supply(place, supplied),
            None => self.raise_with(place, copies),
        }
    }

    fn supply(&mut self, place: Place, supplied: Supplied) {
        self.change_seen(place, |row, is_seen| {
            accept(row, supplied.content, is_seen);
            row.supplied = Some(Box::new(supplied));
        });
        self.resolved += 1;
        self.route(place);
    }

    /// A person must choose, and is shown what members hold.
    fn raise_with(&mut self, place: Place, copies: Vec<Copy>) {
        self.act(place);
        let row = self.table.row(place).filter(is_raised);
        let Some(row) = row.filter(|_| !self.settings.dry_run) else { return };
        let mut records = Vec::new();
        self.table.records_of(place, &mut records);
        records.push(Record::Disputed(row.id, copies.into_iter().map(disputed).collect()));
        self.journal(records, None);
    }
}

fn disputed(Copy { member, held: Held { format, data } }: Copy) -> DisputedCopy {
    DisputedCopy { member, format, data }
}

/// What was made of these, if it is what it claims to be: not empty, not too large, the same item.
fn supplied(copies: &[Copy], data: Vec<u8>) -> Option<Supplied> {
    let first = copies.first()?;
    let format = first.held.format.clone();
    let Canonical { content, key } = Canonical::of(&format, &data);
    let is_same_item = Canonical::of(&format, &first.held.data).key == key;
    let is_sound = !data.is_empty() && data.len() <= limits::MAX_ITEM_DATA && is_same_item;
    let is_sound = is_sound && content.raw == RawDigest::of(&data);
    is_sound.then_some(Supplied { content, format, data })
}

/// Whether no answer came.
fn is_end(error: &Error) -> bool {
    matches!(error.code, Code::DISCONNECTED | Code::DEADLINE | Code::IDLE_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use outrigger_protocol::{Href, Revision};

    use super::*;
    use crate::canonical::Canonical;
    use crate::observe::{self, State};
    use crate::rows::Rows;
    use crate::settings::Settings;
    use crate::state::{Listing, Member};
    use crate::table::Table;

    const NOTE: &str = "note";

    fn state(revision: &str) -> State {
        State { revision: Revision::from(revision), settled: true }
    }

    /// A run in which both members hold the item, each its own, and A's plugin compares.
    fn disputed() -> (Run, Place) {
        let mut settings = Settings::default();
        settings.members[0].compares = vec![NOTE.to_owned()];
        let member = || Member { listing: Listing::Changes, ..Member::new(None, None) };
        let members = vec![member(), member()];
        let operations = Box::new(|| unreachable!("nothing is written"));
        let mut run = Run::new(Table::load(Rows::default(), 0, 2), members, Vec::new(), settings, operations);
        let new = |member, text: &[u8]| {
            observe::new_row(member, 2, &Href::from("it"), state("1"), Canonical::of(NOTE, text))
        };
        let (mut row, other) = (new(MemberIndex(0), b"a"), new(MemberIndex(1), b"b"));
        row.entries[1] = other.entries[1].clone();
        let place = run.table.add(row);
        for member in run.all() {
            run.know(place, member, true);
        }
        (run, place)
    }

    /// What `member` holds, in that format.
    fn give(run: &mut Run, batch: BatchId, member: MemberIndex, format: &'static str, data: &'static [u8]) {
        let (format, data) = (format.into(), data.into());
        let revision = Revision::from("1");
        run.weighed(member, batch, ReadOutcome::Item { revision, settled: true, format, data });
    }

    /// The number of the comparison, which is being read.
    fn begun(run: &mut Run, place: Place) -> BatchId {
        run.route(place);
        run.pump_disputes();
        run.judge.any_hearing()
    }

    fn is_agreed(run: &Run, place: Place) -> bool {
        run.table.row(place).is_some_and(|row| row.version > 0 && row.conflict.is_none())
    }

    #[test]
    fn the_verdict_is_about_the_bytes_that_were_compared_and_no_others() {
        for is_edited in [false, true] {
            let (mut run, place) = disputed();
            let batch = begun(&mut run, place);
            give(&mut run, batch, MemberIndex(0), NOTE, b"a");
            give(&mut run, batch, MemberIndex(1), NOTE, b"b");
            assert!(matches!(run.outputs.pop_front(), Some(Action::Compare { member: MemberIndex(0), .. })));
            if is_edited {
                let edited = Canonical::of(NOTE, b"c");
                run.change(place, |row| observe::item(row, MemberIndex(1), state("2"), edited));
            }
            run.compared(MemberIndex(0), batch, Verdict::Same);
            assert_eq!(is_agreed(&run, place), !is_edited);
            assert_eq!(run.new_conflicts, u64::from(is_edited));
        }
    }

    #[test]
    fn what_was_read_first_and_has_changed_since_is_not_compared() {
        let (mut run, place) = disputed();
        let batch = begun(&mut run, place);
        give(&mut run, batch, MemberIndex(0), NOTE, b"a");
        let edited = Canonical::of(NOTE, b"c");
        run.change(place, |row| observe::item(row, MemberIndex(0), state("2"), edited));
        give(&mut run, batch, MemberIndex(1), NOTE, b"b");
        assert_eq!((run.outputs.len(), run.new_conflicts), (0, 1));
    }

    #[test]
    fn what_has_become_the_same_meanwhile_needs_no_plugin() {
        let (mut run, place) = disputed();
        let batch = begun(&mut run, place);
        give(&mut run, batch, MemberIndex(1), NOTE, b"a");
        give(&mut run, batch, MemberIndex(0), NOTE, b"a");
        assert!(run.outputs.is_empty() && run.judge.is_idle() && is_agreed(&run, place));
    }

    #[test]
    fn items_of_two_formats_are_not_compared() {
        for formats in [[NOTE, "other"], ["other", NOTE]] {
            let (mut run, place) = disputed();
            let batch = begun(&mut run, place);
            give(&mut run, batch, MemberIndex(0), formats[0], b"a");
            give(&mut run, batch, MemberIndex(1), formats[1], b"b");
            let is_asked = run.outputs.iter().any(|action| matches!(action, Action::Compare { .. }));
            assert!(!is_asked && run.new_conflicts == 1);
            // What both hold is kept for the person who chooses.
            let Some(Action::Journal { records, .. }) = run.outputs.pop_front() else { panic!() };
            assert!(
                matches!(records.as_slice(), [Record::Row(_), Record::Disputed(_, copies)] if copies.len() == 2)
            );
        }
    }
}
