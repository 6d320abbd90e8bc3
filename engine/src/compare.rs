//! Compare: asks a plugin whether two contents mean the same, before a conflict policy judges them.
//!
//! The verdict is about bytes, so it counts only while both members are known to hold just these:
//! a false difference costs a question to a person, a false equality an edit. Nothing is written on
//! its account.

use outrigger_protocol::{Code, Error, RawDigest, ReadOutcome, Verdict};

use crate::action::{Action, BatchId};
use crate::apply::adopt;
use crate::comparer::{Asked, Reading};
use crate::decide::{Decision, is_clash};
use crate::lot::{CALL_OVERHEAD, Fetch, Held};
use crate::observe::{content, is_raised, raise};
use crate::reads::Why;
use crate::report::Report;
use crate::row::{Row, Side};
use crate::state::{Run, likeness};
use crate::table::Place;

impl Run {
    /// Whether the row is a plugin's to judge, which then happens; once a run.
    pub(crate) fn ask(&mut self, place: Place) -> bool {
        let compares = self.settings.compares.iter().any(|formats| !formats.is_empty());
        if !compares || self.table.mark(place).asked {
            return false;
        }
        let is_disputed = self.table.row(place).is_some_and(|row| self.is_disputed(place, &row));
        if is_disputed {
            self.table.mark_mut(place, |mark| mark.asked = true);
            self.comparer.queue.push_back(place);
        }
        is_disputed
    }

    /// Whether both members hold the item, each its own, and something would come of that now. What
    /// was raised was asked already; a member that takes no writes loses nothing.
    fn is_disputed(&self, place: Place, row: &Row) -> bool {
        let is_due = match self.decide(place, row) {
            Decision::Conflict => !is_raised(row),
            Decision::WriteFrom(source) => !is_raised(row) && self.may_write(source.other()),
            _ => false,
        };
        let [a, b] = Side::BOTH.map(|side| self.sign(place, row, side));
        is_due && is_clash(a, b, likeness(row))
    }

    /// Reads what is to be compared, as much as there is room for.
    pub(crate) fn pump_comparisons(&mut self) {
        while self.comparer.can_begin()
            && let Some(place) = self.comparer.queue.pop_front()
        {
            let batch = self.batch();
            self.comparer.begin(batch, place);
            for side in Side::BOTH {
                self.member_mut(side).reader.queue.push_back(Why::Weigh(batch));
            }
        }
    }

    /// One item of a pair was read.
    pub(crate) fn weighed(&mut self, side: Side, batch: BatchId, outcome: ReadOutcome<'_>) {
        let Some(place) = self.comparer.reading.get(&batch).map(|reading| reading.place) else { return };
        let held = match &outcome {
            ReadOutcome::Item { format, data, .. } => {
                Some(Held { format: format.to_string(), data: data.to_vec() })
            }
            _ => None,
        };
        self.looked_for_bytes(side, place, outcome);
        self.keep(batch, side, held);
    }

    /// The read of one item of a pair will not be answered.
    pub(crate) fn unweighed(&mut self, side: Side, batch: BatchId) {
        let Some(place) = self.comparer.reading.get(&batch).map(|reading| reading.place) else { return };
        self.lose_sight(place, side);
        self.keep(batch, side, None);
    }

    fn keep(&mut self, batch: BatchId, side: Side, held: Option<Held>) {
        let Some(Reading { place, items }) = self.comparer.keep(batch, side, held) else { return };
        match self.question(batch, place, items) {
            Some(question) => self.outputs.push_back(question),
            None => self.act(place),
        }
    }

    /// What to ask of whom; `None`: it is not in dispute any more, or nobody can tell.
    fn question(&mut self, batch: BatchId, place: Place, items: [Fetch; 2]) -> Option<Action> {
        let [Fetch::Held(left), Fetch::Held(right)] = items else { return None };
        let contents = [&left, &right].map(|held| RawDigest::of(&held.data));
        self.table.row(place).filter(|row| self.is_about(place, row, contents))?;
        let size = left.format.len() + left.data.len() + right.data.len();
        let compares = |side: &Side| {
            let is_known = self.settings.compares[side.index()].contains(&left.format);
            // A member that takes no writes is not shown the other one's content either.
            let may_see = !self.settings.read_only[side.index()];
            is_known && may_see && size + CALL_OVERHEAD <= self.settings.max_body[side.index()]
        };
        let side = Side::BOTH.into_iter().find(compares).filter(|_| left.format == right.format)?;
        self.comparer.asked.insert(batch, Asked { place, side, contents });
        Some(Action::Compare { side, batch, format: left.format, left: left.data, right: right.data })
    }

    /// Whether the row is in dispute about just these bytes.
    fn is_about(&self, place: Place, row: &Row, contents: [RawDigest; 2]) -> bool {
        let held = Side::BOTH.map(|side| content(row, side).map(|content| content.raw));
        held == contents.map(Some) && self.is_disputed(place, row)
    }

    /// A plugin has judged.
    pub(crate) fn compared(&mut self, side: Side, batch: BatchId, verdict: Verdict) {
        let Some(Asked { place, contents, .. }) = self.comparer.take(side, batch) else { return };
        let is_same = |row: &Row| verdict == Verdict::Same && self.is_about(place, row, contents);
        match self.table.row(place).filter(is_same) {
            Some(mut row) => {
                adopt(&mut row);
                self.table.put(place, row);
            }
            None => self.act(place),
        }
    }

    /// A plugin could not judge.
    pub(crate) fn compare_failed(&mut self, side: Side, batch: BatchId, error: &Error) {
        let Some(Asked { place, .. }) = self.comparer.take(side, batch) else { return };
        self.tell_of_item(side, Report::CallFailed { side, words: format!("a comparison: {error}") });
        self.act(place);
        // Also where the policy decides: should the member be lost over it before that is written,
        // the next run must not begin with the same question.
        self.change(place, raise);
        if is_end(error) {
            self.give_up_comparing();
        }
    }

    /// The plugin died or hung over a pair. Which one it was nobody knows, and the next run must get
    /// to its writes: all that are left are taken for different.
    fn give_up_comparing(&mut self) {
        for place in self.comparer.give_up() {
            self.act(place);
            self.change(place, raise);
        }
    }
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
    use crate::settings::Settings;
    use crate::state::{Listing, Member};
    use crate::table::Table;

    const NOTE: &str = "note";

    fn state(revision: &str) -> State {
        State { revision: Revision::from(revision), settled: true }
    }

    /// A run in which both members hold the item, each its own, and A's plugin compares.
    fn disputed() -> (Run, Place) {
        let settings = Settings { compares: [vec![NOTE.to_owned()], vec![]], ..Settings::default() };
        let members = Side::BOTH.map(|_| Member { listing: Listing::Changes, ..Member::new(None, None) });
        let operations = Box::new(|| unreachable!("nothing is written"));
        let mut run = Run::new(Table::default(), members, Vec::new(), settings, operations);
        let new = |side, text: &[u8]| {
            observe::new_row(side, &Href::from("it"), state("1"), Canonical::of(NOTE, text))
        };
        let (mut row, other) = (new(Side::A, b"a"), new(Side::B, b"b"));
        row.entries[1] = other.entries[1].clone();
        let place = run.table.add(row);
        for side in Side::BOTH {
            run.know(place, side, true);
        }
        (run, place)
    }

    /// What `side` holds, in that format.
    fn give(run: &mut Run, batch: BatchId, side: Side, format: &'static str, data: &'static [u8]) {
        let (format, data) = (format.into(), data.into());
        let revision = Revision::from("1");
        run.weighed(side, batch, ReadOutcome::Item { revision, settled: true, format, data });
    }

    /// The number of the comparison, which is being read.
    fn begun(run: &mut Run, place: Place) -> BatchId {
        run.route(place);
        run.pump_comparisons();
        *run.comparer.reading.keys().next().unwrap()
    }

    fn is_agreed(run: &Run, place: Place) -> bool {
        run.table.row(place).is_some_and(|row| row.version == 1 && row.conflict.is_none())
    }

    #[test]
    fn the_verdict_is_about_the_bytes_that_were_compared_and_no_others() {
        for is_edited in [false, true] {
            let (mut run, place) = disputed();
            let batch = begun(&mut run, place);
            give(&mut run, batch, Side::A, NOTE, b"a");
            give(&mut run, batch, Side::B, NOTE, b"b");
            assert!(matches!(run.outputs.pop_front(), Some(Action::Compare { side: Side::A, .. })));
            if is_edited {
                let edited = Canonical::of(NOTE, b"c");
                run.change(place, |row| observe::item(row, Side::B, state("2"), edited));
            }
            run.compared(Side::A, batch, Verdict::Same);
            assert_eq!(is_agreed(&run, place), !is_edited);
            assert_eq!(run.new_conflicts, u64::from(is_edited));
        }
    }

    #[test]
    fn what_was_read_first_and_has_changed_since_is_not_compared() {
        let (mut run, place) = disputed();
        let batch = begun(&mut run, place);
        give(&mut run, batch, Side::A, NOTE, b"a");
        let edited = Canonical::of(NOTE, b"c");
        run.change(place, |row| observe::item(row, Side::A, state("2"), edited));
        give(&mut run, batch, Side::B, NOTE, b"b");
        assert_eq!((run.outputs.len(), run.new_conflicts), (0, 1));
    }

    #[test]
    fn what_has_become_the_same_meanwhile_needs_no_plugin() {
        let (mut run, place) = disputed();
        let batch = begun(&mut run, place);
        give(&mut run, batch, Side::B, NOTE, b"a");
        give(&mut run, batch, Side::A, NOTE, b"a");
        assert!(run.outputs.is_empty() && run.comparer.is_idle() && is_agreed(&run, place));
    }

    #[test]
    fn items_of_two_formats_are_not_compared() {
        for formats in [[NOTE, "other"], ["other", NOTE]] {
            let (mut run, place) = disputed();
            let batch = begun(&mut run, place);
            give(&mut run, batch, Side::A, formats[0], b"a");
            give(&mut run, batch, Side::B, formats[1], b"b");
            assert_eq!((run.outputs.len(), run.new_conflicts), (0, 1));
        }
    }
}
