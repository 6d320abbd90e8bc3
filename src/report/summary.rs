//! The summary for programs: one JSON object, on the last line of stdout.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::collection::CollectionReport;
use super::failure::Failure;
use super::outcome::Outcome;
use super::run::{PluginReport, RunReport};
use super::tally::MemberSummary;

/// What `--json` prints. Keys are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// `exit`, `failures`, `absent`, `guard` and `collections`.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Per member, over all groups and collections.
    pub members: BTreeMap<String, MemberSummary>,
    /// Conflicts that wait for a decision, old ones included.
    pub conflicts: u64,
    /// Items that are left alone until their content changes.
    pub quarantined: u64,
    /// Items that did not come across in this run.
    pub pending: u64,
    /// Wall time of the run.
    pub duration_ms: u64,
    /// The most memory that the command itself held; null where the system does not tell.
    pub peak_rss_bytes: Option<u64>,
    /// Every plugin process that was started.
    pub plugins: Vec<PluginSummary>,
}

/// One plugin process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginSummary {
    /// Which plugin.
    pub plugin: String,
    /// The member that it served.
    pub member: String,
    /// Its process ID.
    pub pid: u32,
    /// From the decision to start it until it was ready.
    pub start_ms: u64,
    /// The most memory that it held; null where the system does not tell.
    pub peak_rss_bytes: Option<u64>,
    /// The most memory that its keeper process held; null where the system does not tell.
    pub keeper_peak_rss_bytes: Option<u64>,
    /// What it did on the network through the broker: advisory.
    pub network: NetworkSummary,
    /// Processor time that its processes took; null where the system does not tell.
    pub cpu_ms: Option<u64>,
    /// How often it was started again.
    pub restarts: u32,
    /// How often a process of it ended unasked.
    pub crashes: u32,
    /// Items that it has died over three times in this run.
    pub set_aside: u64,
    /// It crashed too often, and is not started again before this time (seconds since 1970); null: it
    /// may be.
    pub open_until: Option<u64>,
    /// What was enforced on it, by guarantee.
    pub sandbox: outrigger_sandbox::Report,
}

/// What a plugin did on the network through the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSummary {
    /// Connections that it was given.
    pub connections: u64,
    /// Requests that no grant allows.
    pub refused: u64,
    /// Bytes that it sent over them, as far as they were seen; null where the system does not tell.
    pub sent_bytes: Option<u64>,
    /// Bytes that it received.
    pub received_bytes: Option<u64>,
}

impl NetworkSummary {
    fn of(figures: outrigger_broker::Figures) -> Self {
        Self {
            connections: figures.connections,
            refused: figures.refused,
            sent_bytes: figures.bytes.map(|bytes| bytes.sent),
            received_bytes: figures.bytes.map(|bytes| bytes.received),
        }
    }
}

impl RunReport {
    /// The summary for programs.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let total = |count: fn(&CollectionReport) -> u64| self.collections().map(count).sum();
        let outcome = Outcome::of(&self.groups);
        Summary {
            members: members(self, &outcome),
            outcome,
            conflicts: total(|collection| collection.summary.conflicts),
            quarantined: total(|collection| collection.summary.quarantined),
            pending: total(CollectionReport::pending),
            duration_ms: milliseconds(self.duration),
            peak_rss_bytes: self.peak_rss_bytes,
            plugins: self.plugins.iter().map(PluginSummary::of).collect(),
        }
    }

    fn collections(&self) -> impl Iterator<Item = &CollectionReport> {
        self.groups.iter().flat_map(|group| &group.collections)
    }
}

/// Per member, over all groups and collections; members that did nothing are named too.
fn members(run: &RunReport, outcome: &Outcome) -> BTreeMap<String, MemberSummary> {
    let names = run.groups.iter().flat_map(|group| group.members.iter().cloned());
    let mut members: BTreeMap<String, MemberSummary> = names.map(|name| (name, Default::default())).collect();
    for (name, counts) in outcome.collections.iter().flat_map(|collection| &collection.members) {
        members.entry(name.clone()).or_default().add(counts);
    }
    members
}

impl PluginSummary {
    fn of(report: &PluginReport) -> Self {
        Self {
            plugin: report.plugin.clone(),
            member: report.member.clone(),
            pid: report.pid,
            start_ms: milliseconds(report.start),
            peak_rss_bytes: report.peak_rss_bytes,
            keeper_peak_rss_bytes: report.keeper_peak_rss_bytes,
            network: NetworkSummary::of(report.network),
            cpu_ms: report.cpu_time.map(milliseconds),
            restarts: report.restarts,
            crashes: report.crashes,
            set_aside: report.set_aside,
            open_until: report.open_until.map(|until| until.as_secs()),
            sandbox: report.sandbox.clone(),
        }
    }
}

impl Summary {
    /// Of a command that could not begin, or was interrupted.
    #[must_use]
    pub fn failed(failure: &Failure) -> Self {
        Self { outcome: Outcome::failed(failure), ..Self::default() }
    }

    /// Writes it as one line.
    ///
    /// # Errors
    /// `to` takes no more.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *to, self)?;
        to.write_all(b"\n")
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use outrigger_engine::{Counts, FailureClass, Guard, MemberIndex, Report};
    use outrigger_protocol::Href;

    use super::*;
    use crate::report::GroupReport;

    fn run() -> RunReport {
        let mut collection = CollectionReport::new("family", 2);
        let mut summary =
            outrigger_engine::Summary { conflicts: 1, pending: 2, quarantined: 3, ..Default::default() };
        let counts = Counts { listed: 10, read: 4, created: 3, updated: 2, deleted: 1, ..Default::default() };
        summary.members = vec![outrigger_engine::MemberSummary { counts, ..Default::default() }];
        collection.take(Report::Ended(summary), false);
        let mut group = GroupReport::new("contacts", vec!["laptop".into(), "usb".into()]);
        group.collections = vec![collection.clone(), collection];
        let plugin = PluginReport {
            plugin: "vdir".into(),
            member: "usb".into(),
            pid: 7,
            start: Duration::from_millis(12),
            peak_rss_bytes: Some(4096),
            keeper_peak_rss_bytes: None,
            network: outrigger_broker::Figures::default(),
            cpu_time: Some(Duration::from_millis(30)),
            restarts: 2,
            crashes: 2,
            set_aside: 1,
            open_until: None,
            sandbox: outrigger_sandbox::Report::nothing("not built yet", ""),
        };
        RunReport {
            groups: vec![group],
            plugins: vec![plugin],
            duration: Duration::from_micros(1_500),
            ..RunReport::default()
        }
    }

    #[test]
    fn programs_get_one_line_with_the_promised_keys() {
        let mut line = Vec::new();
        run().summary().write(&mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line.matches('\n').count(), 1);

        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let laptop = serde_json::json!({
            "created": 6, "updated": 4, "deleted": 2, "read": 8, "listed": 20, "kept": 0
        });
        assert_eq!(value["members"]["laptop"], laptop);
        assert_eq!(value["members"]["usb"]["created"], 0);
        assert_eq!((&value["conflicts"], &value["pending"]), (&2.into(), &4.into()));
        assert_eq!((&value["quarantined"], &value["duration_ms"]), (&6.into(), &1.into()));
        assert!(value["peak_rss_bytes"].is_null());
        let plugin = &value["plugins"][0];
        assert_eq!((&plugin["plugin"], &plugin["member"]), (&"vdir".into(), &"usb".into()));
        assert_eq!(
            (&plugin["pid"], &plugin["start_ms"], &plugin["peak_rss_bytes"]),
            (&7.into(), &12.into(), &4096.into())
        );
        assert_eq!((&plugin["restarts"], &plugin["crashes"]), (&2.into(), &2.into()));
        assert_eq!((&plugin["cpu_ms"], &plugin["set_aside"]), (&30.into(), &1.into()));
        assert!(plugin["open_until"].is_null());
        assert_eq!(plugin["sandbox"]["fs_read"]["standing"], "unavailable");
    }

    #[test]
    fn programs_are_told_why_and_what_to_do() {
        let mut run = run();
        let group = &mut run.groups[0];
        group.failures.push(Failure::usage("no such thing").hint("try another"));
        let names = vec![Href::from(&b"a.vcf"[..])];
        let stop = Report::GuardStop {
            member: MemberIndex(1),
            guard: Guard::Deletes,
            planned: 9,
            disputed: 0,
            total: 10,
            names,
        };
        group.collections[1].take(stop, false);
        group.collections[1].take(
            Report::MemberFailed {
                member: MemberIndex(0),
                class: FailureClass::Contract,
                words: "gone".into(),
            },
            false,
        );
        let reason = "too large".into();
        let pending = Report::Pending { member: MemberIndex(1), href: Href::from(&b"p.vcf"[..]), reason };
        group.collections[0].take(pending, false);

        let value = serde_json::to_value(run.summary()).unwrap();
        assert_eq!(value["exit"], 2);
        assert_eq!(value["failures"][0]["message"], "no such thing");
        assert_eq!(
            (&value["failures"][0]["hint"], &value["failures"][0]["group"]),
            (&"try another".into(), &"contacts".into())
        );
        assert_eq!(
            (&value["failures"][1]["member"], &value["failures"][1]["message"]),
            (&"laptop".into(), &"gone".into())
        );
        let guard = serde_json::json!({
            "group": "contacts", "collection": "family", "member": "usb", "guard": "deletes",
            "planned": 9, "disputed": 0, "total": 10,
            "names": ["a.vcf"], "command": "outrigger sync contacts/family --allow-deletes 9"
        });
        assert_eq!(value["guard"][0], guard);
        let item = serde_json::json!(
            {"what": "pending", "member": "usb", "names": {"usb": "p.vcf"}, "why": "too large", "conflict": null}
        );
        assert_eq!(value["collections"][0]["items"][0], item);
        assert_eq!(value["collections"][0]["members"]["laptop"]["created"], 3);
    }

    #[test]
    fn a_command_that_could_not_begin_says_so_with_all_keys() {
        let summary = Summary::failed(&Failure::usage("c.toml:1:1: no").hint("mend it"));
        let value = serde_json::to_value(summary).unwrap();
        assert_eq!((&value["exit"], &value["failures"][0]["message"]), (&2.into(), &"c.toml:1:1: no".into()));
        assert_eq!((&value["conflicts"], &value["members"]), (&0.into(), &serde_json::json!({})));
        assert_eq!((&value["plugins"], &value["guard"]), (&serde_json::json!([]), &serde_json::json!([])));
    }

    #[test]
    fn a_program_in_rust_can_read_it_back() {
        let summary = run().summary();
        let mut line = Vec::new();
        summary.write(&mut line).unwrap();
        assert_eq!(serde_json::from_slice::<Summary>(&line).unwrap(), summary);
    }
}
