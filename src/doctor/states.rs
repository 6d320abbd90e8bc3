//! States: whether what is kept of each group holds together.

use std::io::{self, Write};

use outrigger_protocol::Printable;
use outrigger_store::check;
use serde::Serialize;

use crate::config::Config;
use crate::exit::Exit;
use crate::report::FailureSummary;
use crate::run::store_failure;

/// The state of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateCheck {
    group: String,
    /// What is wrong with it; empty: all is well, or there is none yet.
    findings: Vec<String>,
    /// Why it cannot be looked at; null: it can.
    failure: Option<FailureSummary>,
}

/// Looks at the state of each group, all of it. Takes no lock and writes nothing.
pub(super) fn states(config: &Config) -> Vec<StateCheck> {
    let names = config.groups.iter().map(|group| group.name.clone());
    names.map(|group| StateCheck::of(config, group)).collect()
}

impl StateCheck {
    fn of(config: &Config, group: String) -> Self {
        match check(&config.state, &group) {
            Ok(findings) => Self { group, findings, failure: None },
            Err(error) => {
                let failure = Some(FailureSummary::of(&store_failure(&group, &error)));
                Self { group, findings: Vec::new(), failure }
            }
        }
    }

    /// What a run with it would end with.
    pub(super) fn exit(&self) -> Exit {
        let broken = if self.findings.is_empty() { Exit::Done } else { Exit::Internal };
        let failure = self.failure.iter().filter_map(|failure| Exit::of_code(failure.exit));
        failure.fold(broken, Exit::or_worse)
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { group, findings, failure } = self;
        if let Some(FailureSummary { message, causes, hint, .. }) = failure {
            writeln!(out, "state        {}", Printable(message))?;
            causes
                .iter()
                .try_for_each(|cause| writeln!(out, "               caused by: {}", Printable(cause)))?;
            return hint
                .iter()
                .try_for_each(|hint| writeln!(out, "               hint: {}", Printable(hint)));
        }
        if findings.is_empty() {
            return writeln!(out, "state        {group}: holds together");
        }
        writeln!(out, "state        {group}: does not hold together")?;
        findings.iter().try_for_each(|finding| writeln!(out, "               {}", Printable(finding)))?;
        let hint = format!("put a backup of it in place, or start over: `outrigger forget {group}`");
        writeln!(out, "               hint: {}", crate::report::as_called(&hint))
    }
}
