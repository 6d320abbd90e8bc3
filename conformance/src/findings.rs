//! What was found: the verdict on each rule, gathered over all conversations.

use std::collections::BTreeMap;

use outrigger_protocol::Codec;

use crate::rule::Rule;

/// Why a conversation stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A rule was broken; the text says how.
    Broken(Rule, String),
    /// The plugin refuses the settings that it was given.
    Settings(String),
    /// The rest cannot be tried, through nobody's fault.
    Pointless(String),
}

/// What a step of a conversation comes to.
pub(crate) type Step<T> = Result<T, Stop>;

/// Breaks a rule unless `right`.
pub(crate) fn hold(right: bool, rule: Rule, why: impl FnOnce() -> String) -> Step<()> {
    if right { Ok(()) } else { Err(Stop::Broken(rule, why())) }
}

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was tried and held.
    Held,
    /// It was broken; says how.
    Broken(String),
    /// It could not be tried; says why.
    NotTried(String),
}

/// The verdicts so far. A rule that was broken once stays broken.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    verdicts: BTreeMap<Rule, Verdict>,
    stopped: Option<String>,
    /// Why something could not be tried.
    pub(crate) obstacle: Option<Obstacle>,
    /// What the plugin said of itself.
    pub(crate) greeting: Option<Greeting>,
}

/// Why something could not be tried, although no rule was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The plugin refuses the settings that it was given.
    Settings(String),
    /// Something else; in words.
    Other(String),
}

/// What a plugin says of itself in its HELLO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) nonce: Vec<u8>,
    pub(crate) software: String,
    pub(crate) codec: Codec,
    pub(crate) level: u8,
}

impl Findings {
    /// The rule was tried and held, in this conversation.
    pub(crate) fn held(&mut self, rule: Rule) {
        let verdict = self.verdicts.entry(rule).or_insert(Verdict::Held);
        if matches!(verdict, Verdict::NotTried(_)) {
            *verdict = Verdict::Held;
        }
    }

    /// The rule cannot be tried, unless another conversation does.
    pub(crate) fn skip(&mut self, rule: Rule, why: impl Into<String>) {
        self.verdicts.entry(rule).or_insert_with(|| Verdict::NotTried(why.into()));
    }

    /// A conversation ended early.
    pub(crate) fn stop(&mut self, stop: Stop) {
        match stop {
            Stop::Broken(rule, why) => {
                self.stopped.get_or_insert_with(|| format!("the conversation ended at the rule {rule}"));
                if !matches!(self.verdicts.get(&rule), Some(Verdict::Broken(_))) {
                    self.verdicts.insert(rule, Verdict::Broken(why));
                }
            }
            Stop::Settings(why) => self.obstacle(why.clone(), Obstacle::Settings(why)),
            Stop::Pointless(why) => self.obstacle(why.clone(), Obstacle::Other(why)),
        }
    }

    fn obstacle(&mut self, why: String, obstacle: Obstacle) {
        self.stopped.get_or_insert(why);
        self.obstacle.get_or_insert(obstacle);
    }

    /// The verdict on every rule.
    pub(crate) fn verdicts(mut self) -> Vec<(Rule, Verdict)> {
        let why = self.stopped.unwrap_or_else(|| "nothing came up that it speaks of".into());
        let rules = Rule::ALL.iter().copied();
        rules
            .map(|rule| {
                let verdict = self.verdicts.remove(&rule);
                (rule, verdict.unwrap_or_else(|| Verdict::NotTried(why.clone())))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_once_stays_broken_and_held_once_is_tried() {
        let mut findings = Findings::default();
        findings.skip(Rule::Cancel, "too few items");
        findings.held(Rule::Cancel);
        findings.stop(Stop::Broken(Rule::Ping, "no".into()));
        findings.held(Rule::Ping);
        let verdicts: BTreeMap<Rule, Verdict> = findings.verdicts().into_iter().collect();
        assert_eq!(verdicts[&Rule::Cancel], Verdict::Held);
        assert_eq!(verdicts[&Rule::Ping], Verdict::Broken("no".into()));
        let rest = Verdict::NotTried("the conversation ended at the rule ping".into());
        assert_eq!(verdicts[&Rule::Credit], rest);
    }
}
