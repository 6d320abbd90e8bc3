//! What the state keeps of a run, so that `status` can tell it again without asking a member.

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::run::GroupReport;

/// What came of one run of one group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// It saw all collections of the group, so nothing that was said before it holds any more.
    pub whole: bool,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Kept {
    /// What is to be kept of a run: not the items that the state knows better itself.
    #[must_use]
    pub fn of(group: &GroupReport, whole: bool) -> Self {
        let mut outcome = Outcome::of(std::slice::from_ref(group));
        for collection in &mut outcome.collections {
            collection.items.retain(|item| item.what == "pending");
        }
        Self { whole, outcome }
    }

    /// As text.
    ///
    /// # Errors
    /// Never in practice: it is made of texts and numbers.
    pub fn to_text(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// What the runs of a group, latest first, left to be told. A run of single collections says
    /// nothing of the others, so what earlier runs said of those still holds.
    #[must_use]
    pub fn merged(latest_first: impl IntoIterator<Item = Self>) -> Outcome {
        let mut runs = latest_first.into_iter();
        let Self { mut whole, outcome: mut merged } = runs.next().unwrap_or_default();
        for earlier in runs {
            if whole {
                break;
            }
            add_earlier(&mut merged, earlier.outcome);
            whole = earlier.whole;
        }
        merged
    }
}

/// Adds what was said of collections that `merged` does not know.
fn add_earlier(merged: &mut Outcome, earlier: Outcome) {
    let known: Vec<String> = merged.collections.iter().map(|one| one.name.clone()).collect();
    let is_news = |name: &str| !known.iter().any(|known| known == name);
    let collections = earlier.collections.into_iter();
    merged.collections.extend(collections.filter(|collection| is_news(&collection.name)));
    merged.guard.extend(earlier.guard.into_iter().filter(|stop| is_news(&stop.collection)));
    let failures = earlier.failures.into_iter();
    merged.failures.extend(failures.filter(|failure| failure.collection.as_deref().is_some_and(is_news)));
}

#[cfg(test)]
mod tests {
    use super::super::outcome::GuardStop;
    use super::super::tally::CollectionSummary;
    use super::*;

    fn stopped(name: &str, planned: u64) -> Kept {
        let collection = CollectionSummary { name: name.into(), ..Default::default() };
        let stop = GuardStop { collection: name.into(), planned, ..Default::default() };
        let outcome = Outcome { guard: vec![stop], collections: vec![collection], ..Default::default() };
        Kept { whole: false, outcome }
    }

    fn guarded(outcome: &Outcome) -> Vec<(&str, u64)> {
        outcome.guard.iter().map(|stop| (stop.collection.as_str(), stop.planned)).collect()
    }

    #[test]
    fn what_an_earlier_run_said_of_another_collection_still_holds() {
        let mut latest = stopped("work", 7);
        latest.outcome.guard.clear();
        let merged = Kept::merged([latest, stopped("family", 8), stopped("family", 6), stopped("work", 9)]);
        assert_eq!(guarded(&merged), [("family", 8)], "the latest word on each collection");
        assert_eq!(merged.collections.len(), 2);
    }

    #[test]
    fn a_whole_run_is_the_last_word_on_all() {
        let whole = Kept { whole: true, ..stopped("family", 8) };
        let merged = Kept::merged([stopped("work", 7), whole, stopped("removed since", 9)]);
        assert_eq!(guarded(&merged), [("work", 7), ("family", 8)]);
    }

    #[test]
    fn what_the_state_keeps_can_be_read_by_every_version() {
        let text = stopped("work", 7).to_text().unwrap();
        assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), stopped("work", 7));
        let other = serde_json::from_str::<Kept>(r#"{"exit": 4, "a later key": 1}"#).unwrap();
        assert_eq!(other.outcome, Outcome { exit: 4, ..Outcome::default() });
    }
}
