//! Answers: what members answer to reads, and what becomes of it.

use outrigger_protocol::{Error, Href, RawDigest, ReadItem, ReadOutcome, ReadResult, limits};

use crate::action::{Action, BatchId};
use crate::canonical::Canonical;
use crate::charge::CRASHED;
use crate::decide::{Decision, Sign};
use crate::lot::{CALL_OVERHEAD, Fetch, Held, OVERHEAD, Part, Write};
use crate::observe::{self, State, UNREAD, owes_read_back};
use crate::packed::Seen;
use crate::reads::{Answer, Fresh, LotId, MAX_BATCH, Why};
use crate::report::Report;
use crate::row::{MemberIndex, Row};
use crate::state::{Run, is_duplicate};
use crate::table::{Flag, Place};

/// What an item costs in a read call besides its name, at most: a digest and lengths.
const READ_OVERHEAD: usize = 64;

impl Run {
    /// Sends what is queued, as long as the member has room.
    pub(crate) fn pump_reads(&mut self, member: MemberIndex) {
        while self.state(member).reader.has_room() && !self.state(member).reader.queue.is_empty() {
            let count = self.fit_read(member, self.state(member).reader.queue.iter());
            let wants: Vec<Why> = self.state_mut(member).reader.queue.drain(..count).collect();
            self.send_read(member, wants);
        }
    }

    /// How many of the first of `wants` one read call can ask for.
    pub(crate) fn fit_read<'w>(&self, member: MemberIndex, wants: impl Iterator<Item = &'w Why>) -> usize {
        let mut wants = wants.peekable();
        if wants.peek().is_some_and(|first| self.is_suspect_read(member, first)) {
            return 1;
        }
        let mut left = self.settings_of(member).max_body.saturating_sub(CALL_OVERHEAD);
        let mut fits = |why: &&Why| {
            let href = self.read_item(member, why).map_or(0, |item| item.href.as_bytes().len());
            let rest = left.checked_sub(href + READ_OVERHEAD);
            left = rest.unwrap_or_default();
            rest.is_some()
        };
        // The longest name fits the smallest limit that a peer may announce.
        let fits = |why: &&Why| fits(why) && !self.is_suspect_read(member, why);
        wants.take(MAX_BATCH).take_while(fits).count().max(1)
    }

    /// Sends one read call; `None` if nothing of it can be asked for any more.
    pub(crate) fn send_read(&mut self, member: MemberIndex, wants: Vec<Why>) -> Option<BatchId> {
        if self.state(member).frozen {
            // Nobody will answer.
            wants.into_iter().for_each(|why| self.unanswered(member, why));
            return None;
        }
        let wants = self.without_fatal(member, wants);
        let (wants, items): (std::collections::VecDeque<Why>, Vec<ReadItem>) =
            wants.into_iter().filter_map(|why| self.read_item(member, &why).map(|item| (why, item))).unzip();
        if items.is_empty() {
            return None;
        }
        let batch = self.batch();
        self.state_mut(member).reader.begin(batch, wants);
        self.outputs.push_back(Action::Read { member, batch, items });
        Some(batch)
    }

    fn read_item(&self, member: MemberIndex, why: &Why) -> Option<ReadItem> {
        match why {
            Why::Recover(at) => {
                let (_, intent) = self.doubts.get(*at)?.as_ref()?;
                let known = intent.content.or(intent.expected.as_ref().map(|(_, base)| *base));
                Some(ReadItem { href: intent.href.clone(), known: known.map(|content| content.raw) })
            }
            Why::New(fresh) => Some(ReadItem { href: fresh.href.clone(), known: None }),
            Why::Prove(place) | Why::Look(place, _) | Why::Back(place) | Why::Again(place) => {
                let row = self.table.row(*place)?;
                let known = known(&row, member).filter(|_| !self.settings.verify);
                Some(ReadItem { href: href(&row, member)?, known })
            }
            Why::Weigh(batch) => {
                let row = self.table.row(self.judge.hearing(*batch)?)?;
                Some(ReadItem { href: href(&row, member)?, known: None })
            }
            Why::Source(lot, at) | Why::Old(lot, at) => {
                let write = self.lots.get(*lot)?.writes.get(*at)?;
                let href = match (&write.fresh, write.place) {
                    (Some(fresh), _) => fresh.href.clone(),
                    (None, place) => href(&self.table.row(place?)?, member)?,
                };
                Some(ReadItem { href, known: None })
            }
        }
    }

    /// An answer for one item.
    pub(crate) fn read_answer(&mut self, member: MemberIndex, batch: BatchId, result: ReadResult<'_>) {
        match self.state_mut(member).reader.answer(batch, result.index) {
            Answer::Ignore => {}
            Answer::OutOfOrder => self.freeze(member, "it answered a read out of order"),
            Answer::For(why) => {
                self.clear_read(member, &why);
                self.answered(member, why, result.outcome);
            }
        }
    }

    pub(crate) fn answered(&mut self, member: MemberIndex, why: Why, outcome: ReadOutcome<'_>) {
        if is_too_long(&outcome) {
            self.unanswered(member, why);
            return self.freeze(member, "it gave an item a revision or a format beyond the limit of a name");
        }
        if let ReadOutcome::Item { data, .. } = &outcome {
            let state = self.state_mut(member);
            state.counts.read += 1;
            state.reader.measure(data.len());
        }
        if matches!(outcome, ReadOutcome::NotModified { .. }) && self.asked_for_bytes(member, &why) {
            self.unanswered(member, why);
            return self.freeze(member, "it answered `not modified` although no content was named");
        }
        match why {
            Why::Recover(at) => self.recovered(at, outcome),
            Why::New(fresh) => drop(self.arrived(member, *fresh, outcome)),
            Why::Prove(place) => self.proved(member, place, outcome),
            Why::Look(place, _) => self.looked(member, place, outcome, false),
            Why::Back(place) | Why::Again(place) => self.looked(member, place, outcome, true),
            Why::Weigh(batch) => self.weighed(member, batch, outcome),
            Why::Source(lot, at) => self.fetched(member, lot, at, false, outcome),
            Why::Old(lot, at) => self.fetched(member, lot, at, true, outcome),
        }
    }

    fn asked_for_bytes(&self, member: MemberIndex, why: &Why) -> bool {
        self.read_item(member, why).is_some_and(|item| item.known.is_none())
    }

    /// A direct look at an item that a complete listing left out.
    fn proved(&mut self, member: MemberIndex, place: Place, outcome: ReadOutcome<'_>) {
        if !matches!(outcome, ReadOutcome::NotFound) {
            return self.looked(member, place, outcome, true);
        }
        if self.table.has(place, member, Flag::Renamed) {
            // It may have been asked for under its old name: once more, under the new one.
            self.table.flag(place, member, Flag::Renamed, false);
            return self.state_mut(member).reader.queue.push_back(Why::Prove(place));
        }
        self.change(place, |row| observe::gone(row, member));
        self.know(place, member, true);
    }

    /// A look at an item that is known. `is_last`: nothing else will be asked of it.
    fn looked(&mut self, member: MemberIndex, place: Place, outcome: ReadOutcome<'_>, is_last: bool) {
        match outcome {
            ReadOutcome::Item { revision, settled, format, data } => {
                self.observe(place, member, State { revision, settled }, &format, &data);
            }
            ReadOutcome::NotModified { revision, settled } => {
                self.change(place, |row| observe::not_modified(row, member, State { revision, settled }));
                self.know(place, member, true);
            }
            ReadOutcome::NotFound => {
                let is_listed = self.table.has(place, member, Flag::Listed);
                self.lose_sight(place, member);
                if !is_last && !is_listed {
                    // The feed did not name it: second evidence is asked for.
                    self.state_mut(member).reader.queue.push_back(Why::Prove(place));
                }
            }
            ReadOutcome::Failed(error) => self.read_failed(place, member, &error),
        }
        if is_last && self.phase == crate::state::Phase::Writing {
            self.decide_again(place, member);
        }
    }

    /// Behind a write. A member that holds something else each time it is written must not hold the run.
    fn decide_again(&mut self, place: Place, member: MemberIndex) {
        let Some(row) = self.table.row(place) else { return };
        match self.sign(place, &row, member) {
            Sign::Modified | Sign::BehindModified => self.reroute(place),
            _ => self.route(place),
        }
    }

    /// A new item was read.
    fn arrived(&mut self, member: MemberIndex, fresh: Fresh, outcome: ReadOutcome<'_>) -> Option<Place> {
        let holder = self.table.by_href(member, fresh.href.as_bytes());
        let is_held = |place: &Place| self.table.packed(*place).is_some_and(|row| row.is_present(member));
        if let Some(place) = holder.filter(is_held) {
            // It is no new item: an item that was known has taken this name.
            self.looked(member, place, outcome, true);
            return None;
        }
        match outcome {
            ReadOutcome::Item { revision, settled, format, data } => {
                Some(self.admit(member, &fresh, State { revision, settled }, &format, &data))
            }
            // Gone before it was read: it never was, or is under another name by now.
            ReadOutcome::NotFound | ReadOutcome::NotModified { .. } => {
                self.state_mut(member).unread = true;
                None
            }
            ReadOutcome::Failed(error) => {
                let place = self.admit_unread(member, &fresh);
                self.read_failed(place, member, &error);
                None
            }
        }
    }

    fn admit(
        &mut self,
        member: MemberIndex,
        fresh: &Fresh,
        state: State,
        format: &str,
        data: &[u8],
    ) -> Place {
        let members = self.members.len();
        let row = observe::new_row(member, members, &fresh.href, state, Canonical::of(format, data));
        let place = self.admit_row(member, fresh, row);
        self.know(place, member, true);
        self.check_size(place, member, data.len());
        place
    }

    /// An item that is there and cannot be read keeps a place, so that the anchor may move on.
    pub(crate) fn admit_unread(&mut self, member: MemberIndex, fresh: &Fresh) -> Place {
        let state = State { revision: fresh.revision.clone(), settled: false };
        let unread = Canonical { content: UNREAD, key: None };
        let row = observe::new_row(member, self.members.len(), &fresh.href, state, unread);
        self.admit_row(member, fresh, row)
    }

    fn admit_row(&mut self, member: MemberIndex, fresh: &Fresh, row: Row) -> Place {
        let place = self.table.add(row);
        self.table.flag(place, member, Flag::Listed, true);
        self.table.mark_mut(place, |mark| mark.object_type = fresh.object_type);
        place
    }

    /// An item's bytes were seen.
    fn observe(&mut self, place: Place, member: MemberIndex, state: State, format: &str, data: &[u8]) {
        let Some(mut row) = self.table.row(place) else { return };
        let was_duplicate = is_duplicate(&row);
        let key = row.key.clone();
        let known = row.held(member).map(|known| known.raw);
        let mut rekeyed = was_duplicate;
        if known == Some(RawDigest::of(data)) && !owes_read_back(&row, member) {
            observe::not_modified(&mut row, member, state);
        } else {
            let canonical = Canonical::of(format, data);
            // Also a UID that the row is not called by, for others have newer contents.
            rekeyed |= canonical.key.as_ref().is_some_and(|new| *new != key);
            observe::item(&mut row, member, state, canonical);
        }
        rekeyed |= row.key != key;
        self.table.put(place, row);
        self.table.mark_mut(place, |mark| mark.rekeyed |= rekeyed);
        self.know(place, member, true);
        self.check_size(place, member, data.len());
    }

    fn check_size(&mut self, place: Place, member: MemberIndex, size: usize) {
        let limit = limits::MAX_ITEM_DATA;
        if size > limit {
            self.quarantine(place, member, format!("too large: {size} bytes, the limit is {limit}"));
        }
    }

    /// An item that goes to other members, or that is about to be overwritten.
    fn fetched(&mut self, member: MemberIndex, id: LotId, at: usize, is_old: bool, outcome: ReadOutcome<'_>) {
        let Some(write) = self.lots.get_mut(id).and_then(|lot| lot.writes.get_mut(at)) else { return };
        if is_old && !write.parts.iter().any(|part| part.target == member) {
            // It was set aside meanwhile: this look must not release it again.
            return;
        }
        let (place, fresh) = (write.place, write.fresh.take());
        // Borrowed: the bytes are copied once, into the lot.
        let bytes = match &outcome {
            ReadOutcome::Item { format, data, .. } => Some((format.clone(), data.clone())),
            _ => None,
        };
        let place = match (place, fresh) {
            (_, Some(fresh)) => self.arrived(member, *fresh, outcome).and_then(|place| self.match_new(place)),
            (Some(place), None) => {
                self.looked_for_bytes(member, place, outcome);
                Some(place)
            }
            (None, None) => None,
        };
        let old = is_old.then_some(member);
        let bytes = bytes.filter(|(_, data)| data.len() <= limits::MAX_ITEM_DATA);
        let (Some(place), Some((format, data))) = (place, bytes) else {
            return self.not_fetched(id, at, old, place);
        };
        let names = self.names(place, member) + format.len();
        let held = Held { format: format.into_owned(), data: data.into_owned() };
        if !is_old {
            self.take_key(place, &held);
            self.choose_targets(id, at, place, member, &held);
        }
        if let Some(lot) = self.lots.get_mut(id) {
            lot.hold(at, old, names, held);
        }
    }

    /// Where a UID was edited, what goes to all says what the item is called.
    fn take_key(&mut self, place: Place, held: &Held) {
        if self.table.row(place).is_some_and(|row| self.is_rekeyed(place, &row))
            && let Some(key) = Canonical::of(&held.format, &held.data).key
        {
            self.change(place, |row| row.key = key);
        }
    }

    fn not_fetched(&mut self, id: LotId, at: usize, old: Option<MemberIndex>, place: Option<Place>) {
        let Some(lot) = self.lots.get_mut(id) else { return };
        lot.fail(at, old);
        if let Some(write) = lot.writes.get_mut(at) {
            write.place = place;
        }
    }

    /// Where the item goes, now that it is known what it is: a new one to all that have none, as far as
    /// one call can bring it there. Otherwise no run can, and it is set aside there.
    fn choose_targets(&mut self, id: LotId, at: usize, place: Place, source: MemberIndex, held: &Held) {
        let is_chosen = |write: &Write| write.place.is_some();
        let lot = self.lots.get(id);
        let mut parts = match lot.and_then(|lot| lot.writes.get(at)).is_some_and(is_chosen) {
            true => self.take_parts(id, at),
            false => self.parts_for_new(place, source),
        };
        for target in parts.iter().map(|part| part.target).collect::<Vec<MemberIndex>>() {
            if !self.check_fit(place, target, held) {
                self.table.flag(place, target, Flag::Underway, false);
                parts.retain(|part| part.target != target);
            }
        }
        let Some(write) = self.lots.get_mut(id).and_then(|lot| lot.writes.get_mut(at)) else { return };
        (write.place, write.parts) = (Some(place), parts);
    }

    fn take_parts(&mut self, id: LotId, at: usize) -> Vec<Part> {
        let write = self.lots.get_mut(id).and_then(|lot| lot.writes.get_mut(at));
        write.map(|write| std::mem::take(&mut write.parts)).unwrap_or_default()
    }

    /// An item that nobody has yet needs no old bytes; whoever has something under its key is served by
    /// a lot that reads that first.
    fn parts_for_new(&mut self, place: Place, source: MemberIndex) -> Vec<Part> {
        let Some(row) = self.table.row(place) else { return Vec::new() };
        if self.decide(place, &row) != Decision::Spread(source) {
            self.route(place);
            return Vec::new();
        }
        let mut parts = self.parts(place, &row, source);
        let is_later = |part: &mut Part| matches!(part.old, Fetch::Awaited);
        for part in parts.extract_if(.., is_later).collect::<Vec<Part>>() {
            self.table.flag(place, part.target, Flag::Underway, false);
            self.queue_write(place, &row, source);
        }
        parts
    }

    /// Bytes of the names that a write of the row to `target` carries.
    fn names(&self, place: Place, target: MemberIndex) -> usize {
        let Some(row) = self.table.packed(place) else { return 0 };
        let revision = match row.seen(target) {
            Seen::Present { revision, .. } => revision.len(),
            Seen::Gone | Seen::Never => 0,
        };
        let object_type = self.object_type(self.table.mark(place).object_type).len();
        row.key().len() + row.href(target).map_or(0, <[u8]>::len) + revision + object_type
    }

    /// Whether one commit call can bring this to the member.
    fn check_fit(&mut self, place: Place, target: MemberIndex, held: &Held) -> bool {
        let (size, names) = (held.data.len(), self.names(place, target) + held.format.len());
        let most = self.commit_bytes(target).saturating_sub(names + OVERHEAD);
        if size > most {
            let text = format!("too large for this member: {size} bytes, and it takes {most} at once");
            self.quarantine(place, target, text);
        }
        size <= most
    }

    /// A look at an item whose bytes are wanted as well.
    pub(crate) fn looked_for_bytes(&mut self, member: MemberIndex, place: Place, outcome: ReadOutcome<'_>) {
        match outcome {
            ReadOutcome::Item { revision, settled, format, data } => {
                self.observe(place, member, State { revision, settled }, &format, &data);
            }
            ReadOutcome::Failed(error) => self.read_failed(place, member, &error),
            ReadOutcome::NotFound | ReadOutcome::NotModified { .. } => {
                self.lose_sight(place, member);
                self.pending(place, member, "it disappeared during the run");
            }
        }
    }

    fn read_failed(&mut self, place: Place, member: MemberIndex, error: &Error) {
        self.lose_sight(place, member);
        // Of an item that was gone already nothing is left to set aside: it is proved once more.
        let is_there = self.table.row(place).is_some_and(|row| observe::is_present(&row, member));
        if is_permanent(error) && is_there {
            let why = if *error.message == *CRASHED { CRASHED.to_owned() } else { error.to_string() };
            self.quarantine(place, member, format!("it cannot be read: {why}"));
        } else {
            self.unread_for_now(place, member, error.to_string());
        }
    }

    /// It is there, and what it is shows when it can be read.
    pub(crate) fn unread_for_now(&mut self, place: Place, member: MemberIndex, why: String) {
        let is_new = |row: Row| row.entry(member).is_some_and(|entry| entry.have == 0);
        self.state_mut(member).unread |= self.table.row(place).is_some_and(is_new);
        self.pending(place, member, why);
    }

    /// What the row says of the member is no longer certain.
    pub(crate) fn lose_sight(&mut self, place: Place, member: MemberIndex) {
        self.know(place, member, false);
        self.change(place, |row| observe::unsettle(row, member));
    }

    pub(crate) fn know(&mut self, place: Place, member: MemberIndex, known: bool) {
        self.table.flag(place, member, Flag::Known, known);
        if known {
            self.table.flag(place, member, Flag::Pending, false);
        }
    }

    pub(crate) fn change(&mut self, place: Place, change: impl FnOnce(&mut Row)) {
        if let Some(mut row) = self.table.row(place) {
            change(&mut row);
            self.table.put(place, row);
        }
    }

    /// The read will not be answered.
    pub(crate) fn unanswered(&mut self, member: MemberIndex, why: Why) {
        match why {
            // Still in doubt.
            Why::Recover(_) => {}
            Why::New(_) => self.state_mut(member).unobserved = true,
            Why::Prove(place) | Why::Look(place, _) | Why::Back(place) | Why::Again(place) => {
                self.lose_sight(place, member);
            }
            Why::Weigh(batch) => self.unweighed(member, batch),
            Why::Source(lot, at) | Why::Old(lot, at) => {
                let old = matches!(why, Why::Old(..)).then_some(member);
                let Some(lot) = self.lots.get_mut(lot) else { return };
                let is_fresh = lot.writes.get(at).is_some_and(|write| write.fresh.is_some());
                lot.fail(at, old);
                self.state_mut(member).unobserved |= is_fresh && old.is_none();
            }
        }
    }

    /// The read call is over; `error`: it failed.
    pub(crate) fn read_over(&mut self, member: MemberIndex, batch: BatchId, error: Option<&Error>) {
        let Some(left) = self.state_mut(member).reader.end(batch) else { return };
        let is_short = !left.is_empty();
        if let Some(error) = error {
            self.tell_of_item(member, Report::CallFailed { member, words: format!("a read: {error}") });
        }
        for why in left {
            self.unanswered(member, why);
        }
        if is_short && error.is_none() {
            self.freeze(member, "it left items of a read unanswered");
        }
        self.lot_read_over(batch);
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
fn href(row: &Row, member: MemberIndex) -> Option<Href> {
    row.entry(member).map(|entry| entry.href.clone())
}

/// The content that need not be sent again.
fn known(row: &Row, member: MemberIndex) -> Option<RawDigest> {
    let content = row.held(member).filter(|content| *content != UNREAD)?;
    let agreed = row.entry(member).map(|entry| entry.agreed.raw);
    // The member named a digest other than what was sent: the form behind it must be seen.
    let is_unseen = owes_read_back(row, member) && agreed != Some(content.raw);
    (!is_unseen).then_some(content.raw)
}

/// Whether a failure belongs to the item, so that trying again is of no use until it changes.
pub(crate) fn is_permanent(error: &Error) -> bool {
    use outrigger_protocol::{Code, Retry};
    const OF_THE_ITEM: [Code; 6] =
        [Code::TOO_LARGE, Code::FORMAT, Code::INVALID, Code::PERMISSION, Code::UNIMPLEMENTED, Code::PANIC];
    error.retry == Retry::Never && OF_THE_ITEM.contains(&error.code)
}
