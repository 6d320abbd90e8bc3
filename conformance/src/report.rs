//! What a check came to: a line a rule for people, an object for programs, a badge for a README.

use std::fmt;
use std::io::{self, Write};

use outrigger_protocol::Printable;
use serde_json::{Value, json};

use crate::findings::{Findings, Obstacle};
use crate::rule::Rule;
use crate::verdict::Verdict;

/// The verdict on every rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was checked.
    pub name: String,
    /// What it says of itself, in its words; `None` if it said nothing.
    pub software: Option<String>,
    /// Its level: 1 with streams, 0 without.
    pub level: Option<u8>,
    /// Every rule, in the order of [`Rule::ALL`].
    pub rules: Vec<(Rule, Verdict)>,
    /// Why something could not be tried, although no rule was broken.
    pub obstacle: Option<Obstacle>,
}

impl Report {
    pub(crate) fn new(name: &str, mut findings: Findings) -> Self {
        let (greeting, obstacle) = (findings.greeting.take(), findings.obstacle.take());
        Self {
            name: name.to_owned(),
            software: greeting.as_ref().map(|greeting| Printable(&greeting.software).to_string()),
            level: greeting.map(|greeting| greeting.level),
            rules: findings.verdicts(),
            obstacle,
        }
    }

    fn count(&self, which: fn(&Verdict) -> bool) -> usize {
        self.rules.iter().filter(|(_, verdict)| which(verdict)).count()
    }

    /// Rules that were tried and held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Held))
    }

    /// Rules that were broken.
    pub fn broken(&self) -> impl Iterator<Item = Rule> {
        self.rules.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Broken(_))).map(|(rule, _)| *rule)
    }

    /// Whether no rule was broken, and nothing was in the way.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.broken().next().is_none() && self.obstacle.is_none()
    }

    /// Writes what a [`Watcher`](crate::Watcher) was not told: the rules that were not tried, what the
    /// plugin is, the counts, and a badge.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn write_rest(&self, out: &mut dyn Write) -> io::Result<()> {
        let is_untold = |verdict: &Verdict| matches!(verdict, Verdict::NotTried(_));
        for (rule, verdict) in self.rules.iter().filter(|(_, verdict)| is_untold(verdict)) {
            write_rule(*rule, verdict, out)?;
        }
        if let Some(why) = &self.obstacle {
            writeln!(out, "\nNot everything could be tried: {why}")?;
        }
        if let (Some(software), Some(level)) = (&self.software, self.level) {
            write!(out, "\n{} is \"{software}\", level {level}", self.name)?;
        }
        let broken = self.broken().count();
        let left = self.rules.len() - self.held() - broken;
        writeln!(out, "\n{} rules held, {broken} broken, {left} not tried\n{}", self.held(), self.badge())
    }

    /// A line of Markdown for a README.
    #[must_use]
    pub fn badge(&self) -> String {
        let (held, all) = (self.held(), self.rules.len());
        let colour = if self.passed() { "brightgreen" } else { "red" };
        let version = outrigger_protocol::VERSION;
        format!(
            "![outrigger {version}: {held} of {all} rules]\
             (https://img.shields.io/badge/outrigger_{version}-{held}_of_{all}_rules-{colour})"
        )
    }

    /// The same as an object.
    #[must_use]
    pub fn json(&self) -> Value {
        let rules = self.rules.iter().map(|(rule, verdict)| {
            let (word, why) = match verdict {
                Verdict::Held => ("ok", None),
                Verdict::Broken(why) => ("failed", Some(why)),
                Verdict::NotTried(why) => ("not tried", Some(why)),
            };
            json!({"rule": rule.id(), "verdict": word, "why": why, "says": rule.says(), "mend": rule.mend()})
        });
        let obstacle = self.obstacle.as_ref().map(ToString::to_string);
        json!({
            "plugin": self.name, "software": self.software, "level": self.level,
            "protocol": outrigger_protocol::VERSION.to_string(), "passed": self.passed(),
            "rules": rules.collect::<Vec<_>>(), "obstacle": obstacle, "badge": self.badge(),
        })
    }
}

/// Writes a line about a rule; of one that is broken also how to mend it.
///
/// # Errors
/// `out` takes no more.
pub fn write_rule(rule: Rule, verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
    let id = rule.id();
    match verdict {
        Verdict::Held => writeln!(out, "  ok         {id:14} {}", rule.says()),
        Verdict::NotTried(why) => writeln!(out, "  not tried  {id:14} {why}"),
        Verdict::Broken(why) => {
            writeln!(out, "  FAILED     {id:14} {why}")?;
            writeln!(out, "             {:14} the rule: {}", "", rule.says())?;
            writeln!(out, "             {:14} to mend it: {}", "", rule.mend())
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(why) | Self::Other(why) => f.write_str(why),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::findings::Stop;
    use crate::watcher::Unwatched;

    fn report(stop: Option<Stop>) -> Report {
        let mut findings = Findings::new(Arc::new(Unwatched));
        Rule::ALL.iter().skip(1).for_each(|rule| findings.held(*rule));
        stop.into_iter().for_each(|stop| findings.stop(stop));
        Report::new("demo", findings)
    }

    #[test]
    fn a_failure_says_what_happened_what_the_rule_is_and_what_to_do() {
        let report = report(Some(Stop::Broken(Rule::Ping, "nothing came".into())));
        let mut out = Vec::new();
        report.rules.iter().for_each(|(rule, verdict)| write_rule(*rule, verdict, &mut out).unwrap());
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("FAILED     ping           nothing came\n"), "{text}");
        assert!(text.contains("to mend it: answer PING"), "{text}");
        assert!(text.contains("not tried  handshake"), "{text}");
        assert!(!report.passed() && report.badge().contains("red"));
    }

    #[test]
    fn what_could_not_be_tried_is_no_failure_and_no_success() {
        assert!(report(None).passed());
        let refused = report(Some(Stop::Settings("no path".into())));
        assert!(!refused.passed() && refused.broken().next().is_none());
        assert_eq!(refused.json()["obstacle"], "no path");
    }
}
