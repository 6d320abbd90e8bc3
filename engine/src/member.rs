//! What the engine keeps of a member for its plugin: options that the plugin has set, what is to be
//! compared anew, and what runs have found out (`learn`).
//!
//! The plugin sees a snapshot; a set is compared with its generation and comes back as a new
//! snapshot or as what had changed meanwhile (decisions W11). All of it is values: a driver makes a
//! changed state durable before it answers.
//!
//! What the user wrote wins: an option of the configuration is not the plugin's to set. Anchors
//! are not set at all, they come with listings; a slow sync is only ever raised, and lowered by a
//! run that has done it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use outrigger_protocol::{
    Anchor, Blame, Code, Error, Member, MemberObjectType, MemberUpdate, MemberUpdated, OperationId,
    RaiseSlowSync,
};

/// Operations remembered: more than a plugin has in the air, and a retry comes soon or never.
const REMEMBERED: usize = 64;

/// Most options that a plugin may set, and bytes of them: 256, 64 KiB.
const MAX_OPTIONS: usize = 256;
const MAX_OPTION_BYTES: usize = 64 << 10;

/// Most object types that a slow sync is raised for one by one, and most that are kept: 64 each. The
/// longest name of one, in bytes: 256.
pub(crate) const MAX_TYPES: usize = 64;
pub(crate) const MAX_TYPE_NAME: usize = 256;

/// What is kept of one member between runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberState {
    /// Rises with each change.
    pub generation: u64,
    /// Options that the plugin has set.
    pub options: BTreeMap<String, String>,
    /// Object types that are to be compared anew, each with the generation at which that was last
    /// asked for; the empty one means all.
    pub slow_sync: BTreeMap<String, u64>,
    /// The latest operations that were done, oldest first.
    pub operations: VecDeque<OperationId>,
    /// Object types that the member's collections hold (the empty one: any), each with the anchor of
    /// the one collection that can hold it, where it is one and has one.
    pub object_types: BTreeMap<String, Option<Anchor>>,
    /// Collections that are being made, by name: asked for under this operation, and nobody knows
    /// yet what became of it. The plugin does not see them.
    pub creates: BTreeMap<String, OperationId>,
}

impl MemberState {
    /// The member as its plugin sees it: what the user configured, then what the plugin has set.
    #[must_use]
    pub fn snapshot(&self, configured: &Member) -> Member {
        let mut member = configured.clone();
        let own = self.options.iter().filter(|(name, _)| configured.option(name).is_none());
        member.options.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        member.generation = self.generation;
        member.object_types = self.shown_types();
        member
    }

    fn shown_types(&self) -> Vec<MemberObjectType> {
        let names: BTreeSet<&String> = self.object_types.keys().chain(self.slow_sync.keys()).collect();
        let shown = |name: &String| MemberObjectType {
            object_type: name.clone(),
            slow_sync: self.slow_sync.contains_key(name),
            anchor: self.object_types.get(name).cloned().flatten(),
        };
        names.into_iter().map(shown).collect()
    }

    /// Sets and takes away options, if the plugin has seen the latest snapshot. The same operation
    /// again is answered as it was and not done again.
    ///
    /// # Errors
    /// [`Code::PERMISSION`]: an option of the user's. [`Code::QUOTA`]: too many, or too long.
    /// Nothing was changed.
    pub fn update(&mut self, update: &MemberUpdate, configured: &Member) -> Result<MemberUpdated, Error> {
        let done = self.operations.contains(&update.operation);
        if done || update.generation != self.generation {
            return Ok(MemberUpdated { applied: done, member: self.snapshot(configured) });
        }
        let mut next = self.options.clone();
        let names = update.set.iter().map(|(name, _)| name).chain(&update.unset);
        if let Some(name) = names.into_iter().find(|name| configured.option(name).is_some()) {
            return Err(refuse(Code::PERMISSION, format!("the option `{name}` is set in the configuration")));
        }
        next.retain(|name, _| !update.unset.contains(name));
        next.extend(update.set.iter().cloned());
        check(&next)?;
        self.options = next;
        self.done(update.operation);
        Ok(MemberUpdated { applied: true, member: self.snapshot(configured) })
    }

    /// Notes that everything of an object type is to be compared, whatever generation the plugin
    /// has seen. Asked for again, it is compared by a run that begins after that.
    ///
    /// # Errors
    /// [`Code::QUOTA`]: too many object types, or one with too long a name.
    pub fn raise(&mut self, raise: &RaiseSlowSync) -> Result<(), Error> {
        if self.operations.contains(&raise.operation) {
            return Ok(());
        }
        if self.slow_sync.len() >= MAX_TYPES && !self.slow_sync.contains_key(&raise.object_type) {
            return Err(refuse(Code::QUOTA, format!("more than {MAX_TYPES} object types")));
        }
        if raise.object_type.len() > MAX_TYPE_NAME {
            let text =
                format!("an object type of {} bytes; the limit is {MAX_TYPE_NAME}", raise.object_type.len());
            return Err(refuse(Code::QUOTA, text));
        }
        self.done(raise.operation);
        self.slow_sync.insert(raise.object_type.clone(), self.generation);
        Ok(())
    }

    /// Whether all collections are to be compared anew, whatever they hold.
    #[must_use]
    pub fn is_slow_everywhere(&self) -> bool {
        self.slow_sync.contains_key("")
    }

    /// Whether a collection of these object types (none: any) is to be compared anew.
    #[must_use]
    pub fn is_slow(&self, object_types: &[String]) -> bool {
        self.is_slow_everywhere()
            || object_types.iter().any(|object_type| self.slow_sync.contains_key(object_type))
            || (object_types.is_empty() && !self.slow_sync.is_empty())
    }

    /// A run has compared everything that `seen` asked for; what was raised since stays. Returns
    /// whether anything has changed.
    pub fn lower(&mut self, seen: &Self) -> bool {
        let before = self.slow_sync.len();
        self.slow_sync.retain(|object_type, raised| seen.slow_sync.get(object_type) != Some(raised));
        let lowered = self.slow_sync.len() < before;
        self.generation += u64::from(lowered);
        lowered
    }

    fn done(&mut self, operation: OperationId) {
        self.generation += 1;
        self.operations.push_back(operation);
        while self.operations.len() > REMEMBERED {
            self.operations.pop_front();
        }
    }
}

fn check(options: &BTreeMap<String, String>) -> Result<(), Error> {
    let bytes: usize = options.iter().map(|(name, value)| name.len() + value.len()).sum();
    if options.len() > MAX_OPTIONS || bytes > MAX_OPTION_BYTES {
        let text = format!(
            "{} options of {bytes} bytes; a plugin may keep {MAX_OPTIONS} of {MAX_OPTION_BYTES} bytes",
            options.len()
        );
        return Err(refuse(Code::QUOTA, text));
    }
    Ok(())
}

pub(crate) fn refuse(code: Code, text: String) -> Error {
    Error::new(code, text).by(Blame::Caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured() -> Member {
        Member::new("phone", vec![("path".into(), "/books".into())])
    }

    fn operation(number: u128) -> OperationId {
        OperationId(uuid::Uuid::from_u128(number))
    }

    fn set(number: u128, generation: u64, name: &str, value: &str) -> MemberUpdate {
        MemberUpdate {
            operation: operation(number),
            generation,
            set: vec![(name.into(), value.into())],
            unset: Vec::new(),
        }
    }

    #[test]
    fn w11_a_set_on_an_old_snapshot_is_not_done_and_shows_the_new_one() {
        let mut state = MemberState::default();
        let first = state.update(&set(1, 0, "url", "a"), &configured()).unwrap();
        assert_eq!((first.applied, first.member.option("url")), (true, Some("a")));
        let stale = state.update(&set(2, 0, "url", "b"), &configured()).unwrap();
        assert_eq!(
            (stale.applied, stale.member.option("url"), stale.member.generation),
            (false, Some("a"), 1)
        );
    }

    #[test]
    fn w11_a_lost_answer_that_is_retried_is_no_conflict() {
        let mut state = MemberState::default();
        let first = state.update(&set(1, 0, "url", "a"), &configured()).unwrap();
        let again = state.update(&set(1, 0, "url", "a"), &configured()).unwrap();
        assert_eq!(first, again);
        assert_eq!(state.generation, 1, "done once");
    }

    fn raise(number: u128, object_type: &str) -> RaiseSlowSync {
        RaiseSlowSync { operation: operation(number), object_type: object_type.into() }
    }

    #[test]
    fn w11_two_sinks_that_raise_a_slow_sync_do_not_conflict() {
        let mut state = MemberState::default();
        state.raise(&raise(1, "contact")).unwrap();
        state.raise(&raise(2, "contact")).unwrap();
        assert_eq!(state.slow_sync.len(), 1);
        assert!(state.is_slow(&["contact".into()]) && !state.is_slow(&["event".into()]));
        assert!(state.is_slow(&[]), "a collection of any type may hold contacts");
        assert!(!state.is_slow_everywhere());
        state.raise(&raise(3, "")).unwrap();
        assert!(state.is_slow(&["event".into()]) && state.is_slow_everywhere());
    }

    #[test]
    fn a_run_lowers_what_was_raised_before_it_and_nothing_else() {
        let mut state = MemberState::default();
        state.raise(&raise(1, "contact")).unwrap();
        state.raise(&raise(2, "event")).unwrap();
        let seen = state.clone();
        state.raise(&raise(3, "note")).unwrap(); // during the run,
        state.raise(&raise(4, "event")).unwrap(); // again,
        let generation = state.generation;
        state.update(&set(5, generation, "url", "a"), &configured()).unwrap(); // and something else
        assert!(state.lower(&seen));
        assert_eq!(state.slow_sync.keys().collect::<Vec<_>>(), ["event", "note"]);
        assert!(!state.lower(&seen), "nothing to do is no change");
        state.raise(&raise(1, "contact")).unwrap();
        assert!(!state.is_slow(&["contact".into()]), "a late retry asks for nothing anew");
    }

    #[test]
    fn the_users_options_are_the_users_and_the_plugins_have_a_limit() {
        let mut state = MemberState::default();
        let error = state.update(&set(1, 0, "path", "/etc"), &configured()).unwrap_err();
        assert_eq!(error.code, Code::PERMISSION);
        let error = state.update(&set(1, 0, "big", &"x".repeat(70_000)), &configured()).unwrap_err();
        assert_eq!(error.code, Code::QUOTA);
        assert_eq!(state, MemberState::default());
    }

    #[test]
    fn an_option_that_the_user_sets_later_hides_the_plugins() {
        let mut state = MemberState::default();
        let nothing = Member::new("phone", Vec::new());
        state.update(&set(1, 0, "path", "/guessed"), &nothing).unwrap();
        assert_eq!(state.snapshot(&nothing).option("path"), Some("/guessed"));
        assert_eq!(state.snapshot(&configured()).option("path"), Some("/books"));
        assert_eq!(state.snapshot(&configured()).options.len(), 1);
    }
}
