//! Pairs: which collection of one member goes with which of the other.

use std::collections::BTreeSet;

use outrigger_protocol::{Effect, Error, OperationId, Printable, Sink};
use uuid::Uuid;

use super::session::MemberSession;
use crate::config::{CollectionPair, Collections, GroupConfig, nearest};
use crate::exit::Exit;
use crate::report::Failure;

/// Two collections that are to be kept the same. In a dry run, one that would be made is `None`.
pub(super) struct Pair {
    /// Its name at the first member: what the state is kept under.
    pub(super) name: String,
    pub(super) sinks: [Option<Sink>; 2],
}

/// What can be synchronised, and why the rest cannot.
#[derive(Default)]
pub(super) struct Pairs {
    pub(super) pairs: Vec<Pair>,
    pub(super) failures: Vec<Failure>,
    /// Collections that were named on the command line and are not there.
    pub(super) unknown: Vec<Failure>,
}

/// Pairs the collections of two members (only those named, if any is), and makes those that are
/// missing where the group says so. One that is `known` to hold items is never made anew, and nothing
/// is made where such a one has gone: a disk that is not mounted looks like that.
pub(super) async fn pair(
    group: &GroupConfig,
    sessions: [&MemberSession; 2],
    known: &BTreeSet<String>,
    only: &[String],
    dry_run: bool,
) -> Pairs {
    let mut found = Pairs::default();
    let wanted = wanted(group, sessions);
    if wanted.is_empty() {
        found.failures.push(nothing_there(group));
    }
    let names: Vec<&str> = wanted.iter().map(|pair| pair.name.as_str()).collect();
    let unknown = only.iter().filter(|name| !names.contains(&name.as_str()));
    found.unknown = unknown.map(|name| no_such_collection(group, name, &names)).collect();
    let known_ones = || wanted.iter().filter(|pair| known.contains(&pair.name));
    let is_whole = [0, 1].map(|side| known_ones().all(|pair| there(sessions, side, pair).is_some()));
    for wanted in wanted.iter().filter(|pair| only.is_empty() || only.contains(&pair.name)) {
        let is_known = known.contains(&wanted.name);
        match pair_one(group, sessions, wanted, is_known, is_whole, dry_run).await {
            Ok(pair) => found.pairs.push(pair),
            Err(failure) => found.failures.push(failure),
        }
    }
    found
}

/// The pairs that the group names, or one for every name that either member has.
fn wanted(group: &GroupConfig, sessions: [&MemberSession; 2]) -> Vec<CollectionPair> {
    match &group.collections {
        Collections::Pairs(pairs) => pairs.clone(),
        Collections::All => {
            let names: BTreeSet<String> = sessions.iter().flat_map(|session| names(session)).collect();
            let pair = |name: String| CollectionPair { name: name.clone(), at_members: [name.clone(), name] };
            names.into_iter().map(pair).collect()
        }
    }
}

/// The collection of a pair at one member.
fn there(sessions: [&MemberSession; 2], side: usize, pair: &CollectionPair) -> Option<Sink> {
    let discovered = sessions[side].discovered();
    discovered.sinks.iter().find(|sink| sink.name == pair.at_members[side]).cloned()
}

/// What the collections of a member are called.
fn names(session: &MemberSession) -> Vec<String> {
    session.discovered().sinks.iter().map(|sink| sink.name.clone()).collect()
}

async fn pair_one(
    group: &GroupConfig,
    sessions: [&MemberSession; 2],
    wanted: &CollectionPair,
    is_known: bool,
    is_whole: [bool; 2],
    dry_run: bool,
) -> Result<Pair, Failure> {
    let there = |side: usize| there(sessions, side, wanted);
    if there(0).is_none() && there(1).is_none() {
        return Err(nowhere(group, sessions, wanted));
    }
    let mut sinks = [None, None];
    for side in [0, 1] {
        let name = &wanted.at_members[side];
        sinks[side] = match there(side) {
            Some(sink) => Some(available(group, side, &sink)?),
            None if !group.create_collections => return Err(missing(group, side, name)),
            None if is_known => return Err(gone(group, side, name)),
            None if !is_whole[side] => return Err(held_back(group, side, name)),
            None if dry_run => None,
            None => Some(make(group, sessions[side], side, name).await?),
        };
    }
    Ok(Pair { name: wanted.name.clone(), sinks })
}

/// Makes a collection. The operation is durable first, and forgotten only when it is known what
/// became of it: after a lost answer the next run asks again under the same one, and the member
/// makes no second collection (decisions X1).
async fn make(
    group: &GroupConfig,
    session: &MemberSession,
    side: usize,
    name: &str,
) -> Result<Sink, Failure> {
    let keeper = session.keeper();
    let operation = keeper.begin_create(name, OperationId(Uuid::now_v7())).await;
    let operation = operation.map_err(|error| not_begun(group, side, name, &error))?;
    let made = session.create_collection(operation, name).await;
    if let Ok(Sink { name: other, .. }) = &made
        && other != name
    {
        // It stays in doubt, so that the next run does not make another one.
        return Err(renamed(group, side, name, other));
    }
    let is_known = made.as_ref().err().is_none_or(|error| error.effect == Effect::NotStarted);
    if is_known && let Err(error) = keeper.end_create(name).await {
        tracing::warn!(name, %error, "what became of the collection is not kept");
    }
    made.map_err(|error| not_made(group, side, name, &error))
}

/// The name under which the state keeps a collection of a member; `None`: the group does not pair it.
pub(super) fn kept_as<'n>(group: &'n GroupConfig, side: usize, sink: &'n str) -> Option<&'n str> {
    match &group.collections {
        Collections::All => Some(sink),
        Collections::Pairs(pairs) => {
            pairs.iter().find(|pair| pair.at_members[side] == sink).map(|pair| pair.name.as_str())
        }
    }
}

fn no_such_collection(group: &GroupConfig, name: &str, known: &[&str]) -> Failure {
    let failure = Failure::usage(format!("no collection is called `{name}` in the group {}", group.name));
    match nearest(name, known.iter().copied()) {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None => failure.hint("`outrigger check` lists the collections"),
    }
}

fn nothing_there(group: &GroupConfig) -> Failure {
    let [a, b] = &group.members;
    let text = format!("neither {a} nor {b} has a collection");
    Failure::new(Exit::Partial, text)
        .hint("a member is a folder of folders: each folder in it is one collection")
}

fn nowhere(group: &GroupConfig, sessions: [&MemberSession; 2], wanted: &CollectionPair) -> Failure {
    let names: Vec<String> = sessions.iter().flat_map(|session| names(session)).collect();
    let nearest = nearest(&wanted.name, names.iter().map(String::as_str));
    let text = format!("no member of {} has a collection called {}", group.name, wanted.name);
    let failure = Failure::usage(text);
    match nearest {
        Some(nearest) => failure.hint(format!("did you mean `{nearest}`?")),
        None => failure.hint("make it at one of the members; `outrigger check` lists what is there"),
    }
}

pub(super) fn gone(group: &GroupConfig, side: usize, name: &str) -> Failure {
    let member = &group.members[side];
    let text =
        format!("the collection {name} was at {member} and is not there any more; nothing was written");
    Failure::new(Exit::Guard, text).hint(format!(
        "is the disk of {member} not mounted, or was the folder renamed? Put it back. If it is gone for good: give \
         the group another name in the configuration; the next run then compares everything anew, and deletes nothing"
    ))
}

/// The failure of the one that has gone says what to do.
fn held_back(group: &GroupConfig, side: usize, name: &str) -> Failure {
    let member = &group.members[side];
    let text = format!("the collection {name} is not made at {member} while one that was there has gone");
    Failure::new(Exit::Guard, text)
}

fn available(group: &GroupConfig, side: usize, sink: &Sink) -> Result<Sink, Failure> {
    match &sink.unavailable {
        None => Ok(sink.clone()),
        Some(error) => {
            let member = &group.members[side];
            let text = format!("the collection {} cannot be used at {member}", sink.name);
            Err(Failure::new(Exit::Partial, text).said_by(member, error.to_string()))
        }
    }
}

fn missing(group: &GroupConfig, side: usize, name: &str) -> Failure {
    let text = format!("{} has no collection called {name}", group.members[side]);
    let hint = format!(
        "set `create_collections = true` in [group.{}], or name the collections that pair",
        group.name
    );
    Failure::new(Exit::Partial, text).hint(hint)
}

fn not_made(group: &GroupConfig, side: usize, name: &str, error: &Error) -> Failure {
    let member = &group.members[side];
    let text = format!("the collection {name} could not be made at {member}");
    Failure::new(Exit::Partial, text).said_by(member, error.to_string())
}

/// The next run would not find it by the name of its pair.
fn renamed(group: &GroupConfig, side: usize, name: &str, other: &str) -> Failure {
    let member = &group.members[side];
    let text =
        format!("the collection {name} was made at {member}, but is called {} there", Printable(other));
    Failure::new(Exit::Plugin, text).hint(format!(
        "nothing was written; to use it, pair the two names under `collections` in [group.{}]",
        group.name
    ))
}

/// It was not asked for: the words are ours.
fn not_begun(group: &GroupConfig, side: usize, name: &str, error: &Error) -> Failure {
    let text = format!("the collection {name} could not be made at {}", group.members[side]);
    Failure::new(Exit::Partial, text).because(error)
}
