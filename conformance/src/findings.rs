//! What was found: the verdict on each rule, gathered over all conversations.

use std::collections::BTreeMap;
use std::sync::Arc;

use outrigger_protocol::Codec;

use crate::rule::Rule;
use crate::verdict::Verdict;
use crate::watcher::Watcher;

/// Why a conversation stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A rule was broken; the text says how.
    Broken(Rule, String),
    /// The plugin refuses the settings that it was given.
    Settings(String),
    /// The rest cannot be tried, through nobody's fault.
    Pointless(String),
    /// Who watches wants no more.
    Interrupted,
}

/// What a step of a conversation comes to.
pub(crate) type Step<T> = Result<T, Stop>;

/// Breaks a rule unless `right`.
pub(crate) fn hold(right: bool, rule: Rule, why: impl FnOnce() -> String) -> Step<()> {
    if right { Ok(()) } else { Err(Stop::Broken(rule, why())) }
}

/// The verdicts so far. A rule that was broken once stays broken.
pub(crate) struct Findings {
    watcher: Arc<dyn Watcher>,
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
    /// Who watches wanted no more.
    Interrupted,
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
    /// Nothing yet; `watcher` hears of what is found.
    pub(crate) fn new(watcher: Arc<dyn Watcher>) -> Self {
        Self { watcher, verdicts: BTreeMap::new(), stopped: None, obstacle: None, greeting: None }
    }

    /// The rule was tried and held, in this conversation.
    pub(crate) fn held(&mut self, rule: Rule) {
        if !matches!(self.verdicts.get(&rule), Some(Verdict::Held | Verdict::Broken(_))) {
            self.watcher.rule(rule, &Verdict::Held);
            self.verdicts.insert(rule, Verdict::Held);
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
                    let broken = Verdict::Broken(why);
                    self.watcher.rule(rule, &broken);
                    self.verdicts.insert(rule, broken);
                }
            }
            Stop::Settings(why) => self.obstacle(why.clone(), Obstacle::Settings(why)),
            Stop::Pointless(why) => self.obstacle(why.clone(), Obstacle::Other(why)),
            Stop::Interrupted => {
                // Whatever was in the way before: this is why the rest was left.
                self.stopped = Some(Obstacle::Interrupted.to_string());
                self.obstacle = Some(Obstacle::Interrupted);
            }
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
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<(Rule, Verdict)>>);

    impl Watcher for Heard {
        fn rule(&self, rule: Rule, verdict: &Verdict) {
            self.0.lock().unwrap().push((rule, verdict.clone()));
        }
    }

    #[test]
    fn broken_once_stays_broken_and_held_once_is_tried() {
        let heard = Arc::new(Heard::default());
        let mut findings = Findings::new(Arc::clone(&heard) as _);
        findings.skip(Rule::Cancel, "too few items");
        findings.held(Rule::Cancel);
        findings.stop(Stop::Broken(Rule::Ping, "no".into()));
        findings.held(Rule::Ping);
        findings.held(Rule::Cancel);
        let once = [(Rule::Cancel, Verdict::Held), (Rule::Ping, Verdict::Broken("no".into()))];
        assert_eq!(*heard.0.lock().unwrap(), once, "each is told once");
        let verdicts: BTreeMap<Rule, Verdict> = findings.verdicts().into_iter().collect();
        assert_eq!(verdicts[&Rule::Cancel], Verdict::Held);
        assert_eq!(verdicts[&Rule::Ping], Verdict::Broken("no".into()));
        let rest = Verdict::NotTried("the conversation ended at the rule ping".into());
        assert_eq!(verdicts[&Rule::Credit], rest);
    }
}
