//! Answers: what members answer to reads, and what becomes of it.

use outrigger_protocol::{Error, Href, RawDigest, ReadItem, ReadOutcome, ReadResult, limits};

use crate::action::{Action, BatchId};
use crate::canonical::Canonical;
use crate::charge::CRASHED;
use crate::lot::{CALL_OVERHEAD, OVERHEAD};
use crate::observe::{self, DUPLICATE, State, UNREAD, owes_read_back};
use crate::packed::Seen;
use crate::reads::{Answer, Fresh, LotId, MAX_BATCH, Why};
use crate::report::Report;
use crate::row::{Row, Side};
use crate::state::Run;
use crate::table::Place;

/// What an item costs in a read call besides its name, at most: a digest and lengths.
const READ_OVERHEAD: usize = 64;

impl Run {
    /// Sends what is queued, as long as the member has room.
    pub(crate) fn pump_reads(&mut self, side: Side) {
        while self.member(side).reader.has_room() && !self.member(side).reader.queue.is_empty() {
            let count = self.fit_read(side, self.member(side).reader.queue.iter());
            let wants: Vec<Why> = self.member_mut(side).reader.queue.drain(..count).collect();
            self.send_read(side, wants);
        }
    }

    /// How many of the first of `wants` one read call can ask for.
    pub(crate) fn fit_read<'w>(&self, side: Side, wants: impl Iterator<Item = &'w Why>) -> usize {
        let mut wants = wants.peekable();
        if wants.peek().is_some_and(|first| self.is_suspect_read(side, first)) {
            return 1;
        }
        let mut left = self.settings.max_body[side.index()].saturating_sub(CALL_OVERHEAD);
        let mut fits = |why: &&Why| {
            let href = self.read_item(side, why).map_or(0, |item| item.href.as_bytes().len());
            let rest = left.checked_sub(href + READ_OVERHEAD);
            left = rest.unwrap_or_default();
            rest.is_some()
        };
        // The longest name fits the smallest limit that a peer may announce.
        let fits = |why: &&Why| fits(why) && !self.is_suspect_read(side, why);
        wants.take(MAX_BATCH).take_while(fits).count().max(1)
    }

    /// Sends one read call; `None` if nothing of it can be asked for any more.
    pub(crate) fn send_read(&mut self, side: Side, wants: Vec<Why>) -> Option<BatchId> {
        let wants = self.without_fatal(side, wants);
        let (wants, items): (std::collections::VecDeque<Why>, Vec<ReadItem>) =
            wants.into_iter().filter_map(|why| self.read_item(side, &why).map(|item| (why, item))).unzip();
        if items.is_empty() {
            return None;
        }
        let batch = self.batch();
        self.member_mut(side).reader.begin(batch, wants);
        self.outputs.push_back(Action::Read { side, batch, items });
        Some(batch)
    }

    fn read_item(&self, side: Side, why: &Why) -> Option<ReadItem> {
        match why {
            Why::Recover(at) => {
                let (_, intent) = self.doubts.get(*at)?.as_ref()?;
                let known = intent.content.or(intent.expected.as_ref().map(|(_, base)| *base));
                Some(ReadItem { href: intent.href.clone(), known: known.map(|content| content.raw) })
            }
            Why::New(fresh) => Some(ReadItem { href: fresh.href.clone(), known: None }),
            Why::Prove(place) | Why::Look(place, _) | Why::Back(place) | Why::Again(place) => {
                let row = self.table.row(*place)?;
                Some(ReadItem { href: href(&row, side)?, known: known(&row, side) })
            }
            Why::Weigh(batch) => {
                let row = self.table.row(self.comparer.reading.get(batch)?.place)?;
                Some(ReadItem { href: href(&row, side)?, known: None })
            }
            Why::Source(lot, at) | Why::Old(lot, at) => {
                let write = self.lots.get(lot)?.writes.get(*at)?;
                let href = match (&write.fresh, write.place) {
                    (Some(fresh), _) => fresh.href.clone(),
                    (None, place) => href(&self.table.row(place?)?, side)?,
                };
                Some(ReadItem { href, known: None })
            }
        }
    }

    /// An answer for one item.
    pub(crate) fn read_answer(&mut self, side: Side, batch: BatchId, result: ReadResult<'_>) {
        match self.member_mut(side).reader.answer(batch, result.index) {
            Answer::Ignore => {}
            Answer::OutOfOrder => self.freeze(side, "it answered a read out of order"),
            Answer::For(why) => {
                self.clear_read(side, &why);
                self.answered(side, why, result.outcome);
            }
        }
    }

    pub(crate) fn answered(&mut self, side: Side, why: Why, outcome: ReadOutcome<'_>) {
        if is_too_long(&outcome) {
            self.unanswered(side, why);
            return self.freeze(side, "it gave an item a revision or a format beyond the limit of a name");
        }
        if let ReadOutcome::Item { data, .. } = &outcome {
            let member = self.member_mut(side);
            member.counts.read += 1;
            member.reader.measure(data.len());
        }
        if matches!(outcome, ReadOutcome::NotModified { .. }) && self.asked_for_bytes(side, &why) {
            self.unanswered(side, why);
            return self.freeze(side, "it answered `not modified` although no content was named");
        }
        match why {
            Why::Recover(at) => self.recovered(at, outcome),
            Why::New(fresh) => drop(self.arrived(side, *fresh, outcome)),
            Why::Prove(place) => self.proved(side, place, outcome),
            Why::Look(place, _) => self.looked(side, place, outcome, false),
            Why::Back(place) | Why::Again(place) => self.looked(side, place, outcome, true),
            Why::Weigh(batch) => self.weighed(side, batch, outcome),
            Why::Source(lot, at) => self.fetched(side, lot, at, false, outcome),
            Why::Old(lot, at) => self.fetched(side, lot, at, true, outcome),
        }
    }

    fn asked_for_bytes(&self, side: Side, why: &Why) -> bool {
        self.read_item(side, why).is_some_and(|item| item.known.is_none())
    }

    /// A direct look at an item that a complete listing left out.
    fn proved(&mut self, side: Side, place: Place, outcome: ReadOutcome<'_>) {
        if !matches!(outcome, ReadOutcome::NotFound) {
            return self.looked(side, place, outcome, true);
        }
        self.change(place, |row| observe::gone(row, side));
        self.know(place, side, true);
    }

    /// A look at an item that is known. `is_last`: nothing else will be asked of it.
    fn looked(&mut self, side: Side, place: Place, outcome: ReadOutcome<'_>, is_last: bool) {
        match outcome {
            ReadOutcome::Item { revision, settled, format, data } => {
                self.observe(place, side, State { revision, settled }, &format, &data);
            }
            ReadOutcome::NotModified { revision, settled } => {
                self.change(place, |row| observe::not_modified(row, side, State { revision, settled }));
                self.know(place, side, true);
            }
            ReadOutcome::NotFound => {
                let is_listed = self.table.mark(place).listed[side.index()];
                self.lose_sight(place, side);
                if !is_last && !is_listed {
                    // The feed did not name it: second evidence is asked for.
                    self.member_mut(side).reader.queue.push_back(Why::Prove(place));
                }
            }
            ReadOutcome::Failed(error) => self.read_failed(place, side, &error),
        }
        if is_last && self.phase == crate::state::Phase::Writing {
            self.route(place);
        }
    }

    /// A new item was read.
    fn arrived(&mut self, side: Side, fresh: Fresh, outcome: ReadOutcome<'_>) -> Option<Place> {
        match outcome {
            ReadOutcome::Item { revision, settled, format, data } => {
                Some(self.admit(side, &fresh, State { revision, settled }, &format, &data))
            }
            // Gone before it was read: it never was.
            ReadOutcome::NotFound | ReadOutcome::NotModified { .. } => None,
            ReadOutcome::Failed(error) => {
                let place = self.admit_unread(side, &fresh);
                self.read_failed(place, side, &error);
                None
            }
        }
    }

    fn admit(&mut self, side: Side, fresh: &Fresh, state: State, format: &str, data: &[u8]) -> Place {
        let row = observe::new_row(side, &fresh.href, state, Canonical::of(format, data));
        let place = self.admit_row(side, fresh, row);
        self.know(place, side, true);
        self.check_size(place, side, data.len());
        place
    }

    /// An item that is there and cannot be read keeps a place, so that the anchor may move on.
    pub(crate) fn admit_unread(&mut self, side: Side, fresh: &Fresh) -> Place {
        let state = State { revision: fresh.revision.clone(), settled: false };
        let row = observe::new_row(side, &fresh.href, state, Canonical { content: UNREAD, key: None });
        self.admit_row(side, fresh, row)
    }

    fn admit_row(&mut self, side: Side, fresh: &Fresh, row: Row) -> Place {
        let place = self.table.add(row);
        self.table.mark_mut(place, |mark| {
            mark.listed[side.index()] = true;
            mark.object_type = fresh.object_type;
        });
        place
    }

    /// An item's bytes were seen.
    fn observe(&mut self, place: Place, side: Side, state: State, format: &str, data: &[u8]) {
        let Some(mut row) = self.table.row(place) else { return };
        let was_duplicate = row.quarantine.as_ref().is_some_and(|reason| reason.starts_with(DUPLICATE));
        let key = row.key.clone();
        let known = observe::content(&row, side).map(|known| known.raw);
        if known == Some(RawDigest::of(data)) && !owes_read_back(&row, side) {
            observe::not_modified(&mut row, side, state);
        } else {
            observe::item(&mut row, side, state, Canonical::of(format, data));
        }
        let rekeyed = was_duplicate || row.key != key;
        self.table.put(place, row);
        self.table.mark_mut(place, |mark| mark.rekeyed |= rekeyed);
        self.know(place, side, true);
        self.check_size(place, side, data.len());
    }

    fn check_size(&mut self, place: Place, side: Side, size: usize) {
        let limit = limits::MAX_ITEM_DATA;
        if size > limit {
            self.quarantine(place, side, format!("too large: {size} bytes, the limit is {limit}"));
        }
    }

    /// An item that goes to the other member, or that is about to be overwritten.
    fn fetched(&mut self, side: Side, lot: LotId, at: usize, is_old: bool, outcome: ReadOutcome<'_>) {
        let Some(write) = self.lots.get_mut(&lot).and_then(|lot| lot.writes.get_mut(at)) else { return };
        let (place, fresh) = (write.place, write.fresh.take());
        // Borrowed: the bytes are copied once, into the lot.
        let bytes = match &outcome {
            ReadOutcome::Item { format, data, .. } => Some((format.clone(), data.clone())),
            _ => None,
        };
        let place = match (place, fresh) {
            (_, Some(fresh)) => self.arrived(side, *fresh, outcome).and_then(|place| self.match_new(place)),
            (Some(place), None) => {
                self.looked_for_bytes(side, place, outcome);
                Some(place)
            }
            (None, None) => None,
        };
        let target = if is_old { side } else { side.other() };
        let names = place.map_or(0, |place| self.names(place, target));
        let bytes = bytes.filter(|(format, data)| {
            let fits = is_old || self.check_fit(place, side, data.len(), names + format.len());
            fits && data.len() <= limits::MAX_ITEM_DATA
        });
        let Some(lot) = self.lots.get_mut(&lot) else { return };
        if let Some(write) = lot.writes.get_mut(at) {
            write.place = place;
        }
        match bytes {
            Some((format, data)) => lot.hold(at, is_old, names + format.len(), &format, &data),
            None => lot.fail(at, is_old),
        }
    }

    /// Bytes of the names that a write of the row to `target` carries.
    fn names(&self, place: Place, target: Side) -> usize {
        let Some(row) = self.table.packed(place) else { return 0 };
        let revision = match row.seen(target) {
            Seen::Present { revision, .. } => revision.len(),
            Seen::Gone | Seen::Never => 0,
        };
        let object_type = self.object_type(self.table.mark(place).object_type).len();
        row.key().len() + row.href(target).map_or(0, <[u8]>::len) + revision + object_type
    }

    /// Whether one commit call can bring the item from `side` to the other member. Otherwise no run
    /// can, and it is set aside.
    fn check_fit(&mut self, place: Option<Place>, side: Side, size: usize, names: usize) -> bool {
        let most = self.commit_bytes(side.other()).saturating_sub(names + OVERHEAD);
        if size > most
            && let Some(place) = place
        {
            let text = format!("too large for the other member: {size} bytes, and it takes {most} at once");
            self.quarantine(place, side, text);
        }
        size <= most
    }

    /// A look at an item whose bytes are wanted as well.
    pub(crate) fn looked_for_bytes(&mut self, side: Side, place: Place, outcome: ReadOutcome<'_>) {
        match outcome {
            ReadOutcome::Item { revision, settled, format, data } => {
                self.observe(place, side, State { revision, settled }, &format, &data);
            }
            ReadOutcome::Failed(error) => self.read_failed(place, side, &error),
            ReadOutcome::NotFound | ReadOutcome::NotModified { .. } => {
                self.lose_sight(place, side);
                self.pending(place, side, "it disappeared during the run");
            }
        }
    }

    fn read_failed(&mut self, place: Place, side: Side, error: &Error) {
        self.lose_sight(place, side);
        // Of an item that was gone already nothing is left to set aside: it is proved once more.
        let is_there = self.table.row(place).is_some_and(|row| observe::is_present(&row, side));
        if is_permanent(error) && is_there {
            let why = if *error.message == *CRASHED { CRASHED.to_owned() } else { error.to_string() };
            self.quarantine(place, side, format!("it cannot be read: {why}"));
        } else {
            self.pending(place, side, error.to_string());
        }
    }

    /// What the row says of the member is no longer certain.
    pub(crate) fn lose_sight(&mut self, place: Place, side: Side) {
        self.know(place, side, false);
        self.change(place, |row| observe::unsettle(row, side));
    }

    pub(crate) fn know(&mut self, place: Place, side: Side, known: bool) {
        self.table.mark_mut(place, |mark| {
            mark.known[side.index()] = known;
            mark.pending[side.index()] &= !known;
        });
    }

    pub(crate) fn change(&mut self, place: Place, change: impl FnOnce(&mut Row)) {
        if let Some(mut row) = self.table.row(place) {
            change(&mut row);
            self.table.put(place, row);
        }
    }

    /// The read will not be answered.
    pub(crate) fn unanswered(&mut self, side: Side, why: Why) {
        match why {
            // Still in doubt.
            Why::Recover(_) => {}
            Why::New(_) => self.member_mut(side).unobserved = true,
            Why::Prove(place) | Why::Look(place, _) | Why::Back(place) | Why::Again(place) => {
                self.lose_sight(place, side);
            }
            Why::Weigh(batch) => self.unweighed(side, batch),
            Why::Source(lot, at) | Why::Old(lot, at) => {
                let is_old = matches!(why, Why::Old(..));
                let Some(lot) = self.lots.get_mut(&lot) else { return };
                let is_fresh = lot.writes.get(at).is_some_and(|write| write.fresh.is_some());
                lot.fail(at, is_old);
                self.member_mut(side).unobserved |= is_fresh && !is_old;
            }
        }
    }

    /// The read call is over; `error`: it failed.
    pub(crate) fn read_over(&mut self, side: Side, batch: BatchId, error: Option<&Error>) {
        let Some(left) = self.member_mut(side).reader.end(batch) else { return };
        let is_short = !left.is_empty();
        if let Some(error) = error {
            self.tell_of_item(side, Report::CallFailed { side, words: format!("a read: {error}") });
        }
        for why in left {
            self.unanswered(side, why);
        }
        self.lot_read_over(batch);
        if is_short && error.is_none() {
            self.freeze(side, "it left items of a read unanswered");
        }
    }
}

fn is_too_long(outcome: &ReadOutcome<'_>) -> bool {
    let (revision, format) = match outcome {
        ReadOutcome::Item { revision, format, .. } => (revision, format.len()),
        ReadOutcome::NotModified { revision, .. } => (revision, 0),
        ReadOutcome::NotFound | ReadOutcome::Failed(_) => return false,
    };
    revision.as_bytes().len().max(format) > limits::MAX_HREF
}

/// What the member calls the row's item.
fn href(row: &Row, side: Side) -> Option<Href> {
    row.entries[side.index()].as_ref().map(|entry| entry.href.clone())
}

/// The content that need not be sent again.
fn known(row: &Row, side: Side) -> Option<RawDigest> {
    let content = observe::content(row, side).filter(|content| *content != UNREAD)?;
    let agreed = row.entries[side.index()].as_ref().map(|entry| entry.agreed.raw);
    // The member named a digest other than what was sent: the form behind it must be seen.
    let is_unseen = owes_read_back(row, side) && agreed != Some(content.raw);
    (!is_unseen).then_some(content.raw)
}

/// Whether a failure belongs to the item, so that trying again is of no use until it changes.
pub(crate) fn is_permanent(error: &Error) -> bool {
    use outrigger_protocol::{Code, Retry};
    const OF_THE_ITEM: [Code; 6] =
        [Code::TOO_LARGE, Code::FORMAT, Code::INVALID, Code::PERMISSION, Code::UNIMPLEMENTED, Code::PANIC];
    error.retry == Retry::Never && OF_THE_ITEM.contains(&error.code)
}
