//! New names that a plugin says (`rename`): the kit calls what it remembers by them from then on.

use std::collections::{BTreeMap, BTreeSet};

use outrigger_protocol::Href;

use crate::findings::{Findings, Step, hold};
use crate::rule::Rule;
use crate::talk::Talk;

/// Whether the plugin has said new names in this conversation.
#[derive(Default)]
pub(super) struct Names {
    said: bool,
}

impl Names {
    /// Gives remembered items the names that were said since the last time; no two may be called alike.
    pub(super) fn follow<'h>(
        &mut self,
        talk: &mut Talk<'_>,
        remembered: impl Iterator<Item = &'h mut Href>,
    ) -> Step<()> {
        let mut remembered: Vec<&mut Href> = remembered.collect();
        for set in talk.take_names() {
            self.said |= !set.is_empty();
            let new: BTreeMap<Href, Href> = set.into_iter().collect();
            for href in &mut remembered {
                if let Some(new) = new.get(*href) {
                    **href = new.clone();
                }
            }
            let mut seen = BTreeSet::new();
            let twice = remembered.iter().find(|href| !seen.insert(&***href));
            hold(twice.is_none(), Rule::NewNames, || {
                twice.map_or_else(String::new, |href| format!("two items were given the name \"{href}\""))
            })?;
        }
        Ok(())
    }

    /// The rule that a listing breaks which is not what it was.
    pub(super) const fn or(&self, rule: Rule) -> Rule {
        if self.said { Rule::NewNames } else { rule }
    }

    /// What was found of them.
    pub(super) fn found(&self, level: u8, findings: &mut Findings) {
        match level {
            _ if self.said => findings.held(Rule::NewNames),
            0 => findings.skip(Rule::NewNames, "at level 0 a plugin makes no calls"),
            _ => findings.skip(Rule::NewNames, "it gave no item another name"),
        }
    }
}
