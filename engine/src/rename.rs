//! Rename: a member calls items otherwise than before, and says so (decisions X4).
//!
//! Some stores give an item its lasting name only after the write, or move many at once. Without this,
//! items that have no UID would be deleted and created again everywhere. The whole set is taken or none
//! of it; it is durable before it is acknowledged. Taken to the very end: also after the run is over,
//! for a store may name items for good when it hears that nothing more comes.

use std::collections::BTreeSet;

use outrigger_protocol::{Code, CommitKind, Error, Href, Rename};

use crate::action::{Action, BatchId};
use crate::journal::{Intent, Record};
use crate::observe;
use crate::row::{Key, MemberIndex};
use crate::state::{Run, Waiter};
use crate::table::{Flag, Place};

impl Run {
    /// A member names old and new names. Answered by [`Action::Renamed`].
    pub(crate) fn rename(&mut self, member: MemberIndex, batch: BatchId, names: &[(Href, Href)]) {
        let renames = match self.renames(member, names) {
            Ok(renames) => renames,
            Err(error) => return self.renamed(member, batch, Err(error)),
        };
        let mut records: Vec<Record> = Vec::new();
        for (place, name) in renames {
            for gone in self.free_name(place, member, name) {
                self.table.records_of(gone, &mut records);
            }
            self.take_name(place, member, name.clone());
            self.table.records_of(place, &mut records);
        }
        if records.is_empty() {
            return self.renamed(member, batch, Ok(()));
        }
        self.journal_for(records, Waiter::Rename(member, batch));
    }

    /// Answers a member that has renamed items.
    pub(crate) fn renamed(&mut self, member: MemberIndex, batch: BatchId, result: Result<(), Error>) {
        self.outputs.push_back(Action::Renamed { member, batch, result });
    }

    /// Nothing can be made durable any more: whoever waits for that is told.
    pub(crate) fn refuse_renames(&mut self) {
        for waiter in std::mem::take(&mut self.tickets).into_values() {
            if let Waiter::Rename(member, batch) = waiter {
                self.renamed(member, batch, Err(unkept()));
            }
        }
    }

    /// The rows that get another name; what is not known needs none. Or what is wrong with the set.
    fn renames<'n>(
        &self,
        member: MemberIndex,
        names: &'n [(Href, Href)],
    ) -> Result<Vec<(Place, &'n Href)>, Error> {
        self.may_rename(member)?;
        if let Some(flaw) = Rename::flaw(names) {
            return Err(Error::new(Code::INVALID, flaw));
        }
        let held = |name: &Href| {
            let place = self.table.by_href(member, name.as_bytes())?;
            self.table.packed(place).is_some_and(|row| row.is_present(member)).then_some(place)
        };
        let known = names.iter().filter_map(|(old, new)| Some((held(old)?, new)));
        let renames: Vec<(Place, &Href)> = known.collect();
        let leaving: BTreeSet<Place> = renames.iter().map(|(place, _)| *place).collect();
        let is_taken = |name: &Href| held(name).is_some_and(|holder| !leaving.contains(&holder));
        if renames.iter().any(|(_, new)| is_taken(new)) {
            return Err(Error::new(Code::EXISTS, "a new name is another item's"));
        }
        Ok(renames)
    }

    fn may_rename(&self, member: MemberIndex) -> Result<(), Error> {
        if self.settings.dry_run {
            return Err(Error::new(Code::READ_ONLY, "a plan changes nothing"));
        }
        if self.journal_failed {
            return Err(unkept());
        }
        if self.state(member).frozen {
            return Err(Error::new(Code::DISCONNECTED, "the member is left alone for the rest of the run"));
        }
        Ok(())
    }

    fn take_name(&mut self, place: Place, member: MemberIndex, name: Href) {
        self.change(place, |row| {
            let Some(entry) = row.entry_mut(member) else { return };
            let old = std::mem::replace(&mut entry.href, name.clone());
            // An item without a UID is called by its name. One whose UID is its name looks the same: it is
            // read once more, which tells.
            if *row.key.0 == *old.as_bytes() {
                row.key = Key(name.0);
                observe::forget_content(row, member);
            }
        });
        // A listing of this run that names it again is no second item.
        self.table.flag(place, member, Flag::Listed, false);
        self.table.flag(place, member, Flag::Renamed, true);
    }

    /// What the member calls an item now, if it has said so since this write was made for it.
    pub(crate) fn new_name(&self, place: Place, intent: &Intent) -> Option<Href> {
        let member = intent.member;
        if intent.kind == CommitKind::Create || !self.table.has(place, member, Flag::Renamed) {
            return None;
        }
        let name = self.table.packed(place)?.href(member)?;
        (*name != *intent.href.as_bytes()).then(|| Href::from(name))
    }
}

fn unkept() -> Error {
    Error::new(Code::IO, "it could not be kept").by(outrigger_protocol::Blame::Broker)
}
