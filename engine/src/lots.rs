//! Lots: all lots of a run, and who has how many.
//!
//! Whether a member has room is asked for every item that goes to it. In a group of a hundred that may
//! not cost a walk over all lots each time, so it is counted.

use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};

use crate::lot::{Lot, Stage};
use crate::reads::LotId;
use crate::row::MemberIndex;

/// The lots of a run.
#[derive(Debug)]
pub(crate) struct Lots {
    lots: BTreeMap<LotId, Lot>,
    /// Per member: lots that it has a part in.
    targets: Vec<usize>,
    /// Per source, behind the members nobody's: lots that are being read.
    reading: Vec<usize>,
}

impl Lots {
    pub(crate) fn new(members: usize) -> Self {
        Self { lots: BTreeMap::new(), targets: vec![0; members], reading: vec![0; members + 1] }
    }

    pub(crate) fn insert(&mut self, id: LotId, lot: Lot) {
        self.remove(id);
        self.count(&lot, usize::add_assign);
        self.lots.insert(id, lot);
    }

    /// Takes a lot out. Whoever changes its targets or its stage takes it out for that.
    pub(crate) fn remove(&mut self, id: LotId) -> Option<Lot> {
        let lot = self.lots.remove(&id)?;
        self.count(&lot, usize::sub_assign);
        Some(lot)
    }

    fn count(&mut self, lot: &Lot, change: impl Fn(&mut usize, usize)) {
        let reading = lot.source.filter(|_| lot.stage == Stage::Reading);
        let reading = reading.and_then(|source| self.reading.get_mut(source.index()));
        let targets = lot.targets.iter();
        reading.into_iter().for_each(|count| change(count, 1));
        for target in targets {
            self.targets.get_mut(target.index()).into_iter().for_each(|count| change(count, 1));
        }
    }

    pub(crate) fn get(&self, id: LotId) -> Option<&Lot> {
        self.lots.get(&id)
    }

    /// For its writes, reads and bytes.
    pub(crate) fn get_mut(&mut self, id: LotId) -> Option<&mut Lot> {
        self.lots.get_mut(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (LotId, &Lot)> {
        self.lots.iter().map(|(id, lot)| (*id, lot))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Lot> {
        self.lots.values()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lots.is_empty()
    }

    /// How many have something for this member, or may have.
    pub(crate) fn of_target(&self, target: MemberIndex) -> usize {
        self.targets.get(target.index()).copied().unwrap_or_default()
    }

    /// How many of this source are being read.
    pub(crate) fn reading(&self, source: MemberIndex) -> usize {
        self.reading.get(source.index()).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lot::LOT_BYTES;

    const A: MemberIndex = MemberIndex(0);
    const B: MemberIndex = MemberIndex(1);
    const NOBODY: MemberIndex = MemberIndex(2);

    fn lot(source: Option<MemberIndex>, targets: &[MemberIndex]) -> Lot {
        let mut lot = Lot::new(source, LOT_BYTES);
        lot.targets.extend(targets);
        lot
    }

    fn counts(lots: &Lots) -> [usize; 5] {
        let [of_a, of_b] = [A, B].map(|target| lots.of_target(target));
        [of_a, of_b, lots.reading(A), lots.reading(B), lots.reading(NOBODY)]
    }

    #[test]
    fn whoever_has_a_part_in_a_lot_is_counted_until_it_has_none() {
        let mut lots = Lots::new(2);
        lots.insert(1, lot(Some(A), &[B]));
        lots.insert(2, lot(Some(NOBODY), &[A, B]));
        lots.insert(3, lot(None, &[A]));
        assert_eq!(counts(&lots), [2, 2, 1, 0, 1]);
        let mut second = lots.remove(2).unwrap();
        assert_eq!(counts(&lots), [1, 1, 1, 0, 0]);
        second.targets.remove(&B);
        second.stage = Stage::Committing;
        lots.insert(2, second);
        assert_eq!(counts(&lots), [2, 1, 1, 0, 0]);
        assert!(lots.remove(4).is_none());
        lots.insert(1, lot(Some(B), &[A]));
        assert_eq!(counts(&lots), [3, 0, 0, 1, 0], "in the place of another");
    }
}
