//! What runs find out of a member: which object types its collections hold, where their feeds stand,
//! and what became of collections that were to be made.
//!
//! What a plugin names is taken within limits and shown to nobody who was not to see it: a name that
//! is too long, or one too many, is left out.

use std::collections::{BTreeMap, BTreeSet};

use outrigger_protocol::{Anchor, Code, Error, OperationId};

use crate::member::{MAX_TYPE_NAME, MAX_TYPES, MemberState, refuse};

/// Most collections of a member that can be in doubt at a time: 64.
const MAX_CREATES: usize = 64;

/// Bytes of anchors that a member shows.
const MAX_ANCHORS: usize = 16 << 10;

/// One collection of a member, as a run found it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundCollection {
    /// What the member calls it.
    pub name: String,
    /// Object types that it holds; empty: any.
    pub object_types: Vec<String>,
    /// Where its feed stands: what its next listing begins from.
    pub anchor: Option<Anchor>,
}

impl FoundCollection {
    /// The object types that it names; the empty one stands for any.
    fn named(&self) -> impl Iterator<Item = &str> {
        let any = self.object_types.is_empty().then_some("");
        self.object_types.iter().map(String::as_str).chain(any)
    }

    fn can_hold(&self, object_type: &str) -> bool {
        object_type.is_empty() || self.named().any(|own| own.is_empty() || own == object_type)
    }
}

impl MemberState {
    /// Takes in all collections that the member has. Returns whether its plugin sees a difference;
    /// only then the generation rises. A collection that was being made and is there is made.
    ///
    /// An anchor is shown where one collection alone can hold the object type, since a second one
    /// has a feed of its own; and up to 16 KiB of them, so that a snapshot fits every peer. At most
    /// 64 object types are kept, the first by name, with names of up to 256 bytes.
    pub fn learn(&mut self, collections: &[FoundCollection]) -> bool {
        collections.iter().for_each(|there| self.end_create(&there.name));
        let found = object_types(collections);
        if found == self.object_types {
            return false;
        }
        self.object_types = found;
        self.generation += 1;
        true
    }

    /// The operation to make the collection `name` under: `fresh`, or that of an earlier attempt of
    /// which nobody knows what became (decisions X1). To be durable before it is sent.
    ///
    /// # Errors
    /// [`Code::QUOTA`]: of 64 others nobody knows either.
    pub fn begin_create(&mut self, name: &str, fresh: OperationId) -> Result<OperationId, Error> {
        if self.creates.len() >= MAX_CREATES && !self.creates.contains_key(name) {
            let text = format!("nobody knows what became of {MAX_CREATES} collections that were to be made");
            return Err(refuse(Code::QUOTA, text));
        }
        Ok(*self.creates.entry(name.to_owned()).or_insert(fresh))
    }

    /// What became of the collection `name` is known: it was made, or certainly not.
    pub fn end_create(&mut self, name: &str) {
        self.creates.remove(name);
    }

    /// The object types that the collections of all these members hold, sorted; empty where one of
    /// them can hold any, or nothing is known yet.
    #[must_use]
    pub fn all_types(members: &[&Self]) -> Vec<String> {
        let all: BTreeSet<&String> = members.iter().flat_map(|member| member.object_types.keys()).collect();
        if all.iter().any(|name| name.is_empty()) {
            return Vec::new();
        }
        all.into_iter().cloned().collect()
    }
}

fn object_types(collections: &[FoundCollection]) -> BTreeMap<String, Option<Anchor>> {
    let named: BTreeSet<&str> = collections.iter().flat_map(FoundCollection::named).collect();
    let kept = named.into_iter().filter(|name| name.len() <= MAX_TYPE_NAME).take(MAX_TYPES);
    let mut room = MAX_ANCHORS;
    let mut fits = |anchor: &Anchor| match room.checked_sub(anchor.0.len()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    kept.map(|name| (name.to_owned(), the_anchor(collections, name).filter(&mut fits))).collect()
}

/// The anchor of the one collection that can hold the object type.
fn the_anchor(collections: &[FoundCollection], object_type: &str) -> Option<Anchor> {
    let mut holders = collections.iter().filter(|collection| collection.can_hold(object_type));
    match (holders.next(), holders.next()) {
        (Some(only), None) => only.anchor.clone(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use outrigger_protocol::{Member, RaiseSlowSync};

    use super::*;

    fn collection(name: &str, object_types: &[&str], anchor: Option<&str>) -> FoundCollection {
        let object_types = object_types.iter().map(ToString::to_string).collect();
        FoundCollection { name: name.into(), object_types, anchor: anchor.map(Anchor::from) }
    }

    fn learnt(collections: &[FoundCollection]) -> MemberState {
        let mut state = MemberState::default();
        state.learn(collections);
        state
    }

    /// Object type, whether it is to be compared anew, and anchor.
    fn shown(state: &MemberState) -> Vec<(String, bool, Option<Anchor>)> {
        let member = state.snapshot(&Member::new("m", vec![]));
        member.object_types.into_iter().map(|one| (one.object_type, one.slow_sync, one.anchor)).collect()
    }

    fn operation(number: u128) -> OperationId {
        OperationId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn w11_a_generation_rises_with_a_difference_and_only_then() {
        let mut state = MemberState::default();
        let first = [collection("book", &["contact"], None)];
        assert!(state.learn(&first) && !state.learn(&first));
        assert_eq!(state.generation, 1);
        let moved = [collection("book", &["contact"], Some("t1"))];
        assert!(state.learn(&moved) && !state.learn(&moved));
        assert_eq!(
            (state.generation, shown(&state)),
            (2, vec![("contact".into(), false, Some(Anchor::from("t1")))])
        );
        assert!(state.learn(&[]), "what is gone is no longer shown");
        assert_eq!((state.generation, shown(&state)), (3, vec![]));
    }

    #[test]
    fn an_anchor_is_shown_where_one_collection_alone_can_hold_the_type() {
        let anchors = |collections: &[FoundCollection]| {
            let state = learnt(collections);
            state.object_types.into_iter().map(|(name, anchor)| (name, anchor.is_some())).collect::<Vec<_>>()
        };
        let (book, work) =
            (collection("book", &["contact"], Some("b")), collection("work", &["event", "todo"], Some("w")));
        let shown = |name: &str, with: bool| (name.to_owned(), with);
        assert_eq!(
            anchors(&[book.clone(), work.clone()]),
            [shown("contact", true), shown("event", true), shown("todo", true)]
        );
        let home = collection("home", &["event"], None);
        assert_eq!(
            anchors(&[home, work.clone(), book.clone()]),
            [shown("contact", true), shown("event", false), shown("todo", true)]
        );
        let any = collection("any", &[], Some("a"));
        assert_eq!(anchors(std::slice::from_ref(&any)), [shown("", true)]);
        assert_eq!(
            anchors(&[any, book, work]),
            [shown("", false), shown("contact", false), shown("event", false), shown("todo", false)]
        );
    }

    #[test]
    fn a_slow_sync_is_shown_beside_what_is_known_of_its_type() {
        let mut state = learnt(&[collection("book", &["contact"], Some("t"))]);
        for (number, object_type) in [(1, "contact"), (2, "note")] {
            state
                .raise(&RaiseSlowSync { operation: operation(number), object_type: object_type.into() })
                .unwrap();
        }
        assert_eq!(
            shown(&state),
            [("contact".into(), true, Some(Anchor::from("t"))), ("note".into(), true, None)]
        );
    }

    #[test]
    fn a_hostile_member_is_shown_64_types_and_no_long_name_or_anchor() {
        let names: Vec<String> = (0..1000).map(|number| format!("type {number:04}")).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (long, longest) = ("0".repeat(257), "0".repeat(256));
        names.extend([long.as_str(), longest.as_str()]);
        let long_anchor = "a".repeat(5000);
        let mut state = learnt(&[collection("book", &names, Some(&long_anchor))]);
        let shown = shown(&state);
        assert_eq!((shown.len(), &shown[0].0, &shown[63].0), (64, &longest, &"type 0062".to_owned()));
        let anchors: Vec<usize> = (0..64).filter(|at| shown[*at].2.is_some()).collect();
        assert_eq!(anchors, [0, 1, 2], "16 KiB");
        names.reverse();
        assert!(!state.learn(&[collection("book", &names, Some(&long_anchor))]), "in any order");
        let raise = RaiseSlowSync { operation: operation(1), object_type: long };
        assert_eq!(state.raise(&raise).unwrap_err().code, Code::QUOTA);
        assert_eq!(state.generation, 1);
    }

    #[test]
    fn x1_a_create_in_doubt_keeps_its_operation_until_it_is_known() {
        let mut state = MemberState::default();
        assert_eq!(state.begin_create("book", operation(1)), Ok(operation(1)));
        assert_eq!(state.begin_create("book", operation(2)), Ok(operation(1)), "a retry");
        state.end_create("book");
        assert_eq!(state.begin_create("book", operation(3)), Ok(operation(3)), "another one");
        assert_eq!(state.generation, 0, "the plugin does not see it");
        state.learn(&[collection("book", &[], None)]);
        assert_eq!(state.begin_create("book", operation(4)), Ok(operation(4)), "it had been made");
        for number in 0..63 {
            state.begin_create(&format!("more {number}"), operation(100 + number)).unwrap();
        }
        assert_eq!(state.begin_create("one too many", operation(5)).unwrap_err().code, Code::QUOTA);
        assert_eq!(state.begin_create("book", operation(6)), Ok(operation(4)), "a retry is none");
    }

    #[test]
    fn a_group_synchronises_what_its_members_hold() {
        let (a, b) = (
            learnt(&[collection("a", &["note", "event"], None)]),
            learnt(&[collection("b", &["event"], None)]),
        );
        assert_eq!(MemberState::all_types(&[&a, &b]), ["event", "note"]);
        let any = learnt(&[collection("c", &[], None)]);
        assert_eq!(MemberState::all_types(&[&a, &any]), [""; 0], "all");
        assert_eq!(MemberState::all_types(&[&MemberState::default(), &MemberState::default()]), [""; 0]);
    }
}
