//! Raised: the conflicts of a run get the names by which a person goes on with them.

use outrigger_store::{Collection, Store};

use super::find::Dispute;
use crate::config::{Config, GroupConfig};
use crate::report::{CollectionReport, Known, RunReport};
use crate::state;

/// Looks up what the conflicts that a run raised are called, and notes it in its report. One that was
/// settled or changed meanwhile stays without a name, and so do all of a group whose state cannot be read.
pub fn name_raised(config: &Config, report: &mut RunReport) {
    for done in &mut report.groups {
        let Some(group) = config.group(&done.name) else { continue };
        let mut raised = done.collections.iter_mut().filter(|one| !one.raised.is_empty()).peekable();
        if raised.peek().is_none() {
            continue;
        }
        let Ok(store) = state::look(config, group) else { continue };
        raised.for_each(|one| name(&store, group, one));
    }
}

fn name(store: &Store, group: &GroupConfig, report: &mut CollectionReport) {
    let collection = Collection::new(&report.name, &group.members);
    for raised in &mut report.raised {
        let found = state::ask(group, store.conflict(&collection, raised.row)).ok().flatten();
        let dispute = found.map(|conflict| Dispute::new(group, &collection, conflict));
        raised.known = dispute.map(|dispute| Known {
            short: dispute.id.to_string(),
            id: dispute.id.whole().to_owned(),
            title: dispute.title(),
        });
    }
}
