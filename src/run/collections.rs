//! Collections: which of each member belong together, and which are made.

use std::collections::{BTreeMap, BTreeSet};

use outrigger_engine::MemberIndex;
use outrigger_protocol::{Effect, Error, OperationId, Printable, Sink};
use outrigger_store::{Collection, Store};
use uuid::Uuid;

use super::crew::{Crew, FEWEST};
use super::session::MemberSession;
use super::stored::ask;
use super::together;
use crate::config::{Collections, Config, GroupConfig, ListedCollection, nearest};
use crate::exit::Exit;
use crate::plan::Plan;
use crate::report::Failure;

/// One collection across the group.
pub(super) struct Mapped {
    /// Its name at the first member: what the state is kept under.
    pub(super) name: String,
    /// What it is at each member, in their order.
    pub(super) at: Vec<Place>,
}

/// A collection at one member.
#[derive(Clone)]
pub(super) enum Place {
    /// It is there, or was made.
    Sink(Box<Sink>),
    /// It would be made, were this not a dry run.
    ToMake,
    /// The member takes no part in it.
    Absent,
}

impl Place {
    pub(super) fn sink(&self) -> Option<&Sink> {
        match self {
            Self::Sink(sink) => Some(sink),
            Self::ToMake | Self::Absent => None,
        }
    }
}

fn at_hand(sink: Sink) -> Place {
    Place::Sink(Box::new(sink))
}

/// What can be synchronised, and why the rest cannot.
#[derive(Default)]
pub(super) struct Found {
    pub(super) collections: Vec<Mapped>,
    pub(super) failures: Vec<Failure>,
    /// Collections that were named on the command line and are not there.
    pub(super) unknown: Vec<Failure>,
}

/// What it takes to find the collections of a group.
pub(super) struct Search<'s> {
    pub(super) config: &'s Config,
    pub(super) group: &'s GroupConfig,
    pub(super) crew: &'s Crew<'s>,
    pub(super) store: &'s Store,
    /// Collections that the state knows items of.
    pub(super) known: BTreeSet<String>,
    pub(super) dry_run: bool,
    /// Nothing is made that is not in it.
    pub(super) plan: Option<&'s Plan>,
}

/// At which members a collection was, and is not any more; by its name.
type Gone = BTreeMap<String, Vec<bool>>;

impl Search<'_> {
    /// Finds the collections of all members that belong together (only those named, if any is), and makes
    /// those that are missing where the group says so. One that a member had is never made anew there, and
    /// nothing is made where such a one has gone: a disk that is not mounted looks like that.
    ///
    /// # Errors
    /// The state cannot be read.
    pub(super) async fn find(&self, only: &[String]) -> Result<Found, Failure> {
        let mut found = Found::default();
        let wanted = self.wanted();
        if wanted.is_empty() {
            found.failures.push(nothing_there(self.group));
        }
        let names: Vec<&str> = wanted.iter().map(|one| one.name.as_str()).collect();
        let unknown = only.iter().filter(|name| !names.contains(&name.as_str()));
        found.unknown = unknown.map(|name| no_such_collection(self.group, name, &names)).collect();
        let gone = self.gone(&wanted).await?;
        for wanted in wanted.iter().filter(|one| only.is_empty() || only.contains(&one.name)) {
            self.map(wanted, &gone, &mut found).await;
        }
        Ok(found)
    }

    /// The collections that the group names, or one for every name that any member has.
    fn wanted(&self) -> Vec<ListedCollection> {
        match &self.group.collections {
            Collections::Listed(listed) => listed.clone(),
            Collections::All => {
                let present = self.crew.present();
                let names: BTreeSet<String> =
                    present.iter().flat_map(|(_, session)| names(session)).collect();
                let members = self.group.members.len();
                names.iter().map(|name| ListedCollection::everywhere(name, members)).collect()
            }
        }
    }

    /// What is missing of the collections that are known, at members that had them.
    async fn gone(&self, wanted: &[ListedCollection]) -> Result<Gone, Failure> {
        let mut gone = Gone::new();
        for wanted in wanted.iter().filter(|one| self.known.contains(&one.name)) {
            let present = self.crew.present();
            let missing =
                present.iter().filter(|(member, session)| there(session, *member, wanted).is_none());
            let missing: Vec<MemberIndex> = missing.map(|(member, _)| *member).collect();
            if !missing.is_empty() {
                let mut had = self.had(&wanted.name).await?;
                self.group
                    .indices()
                    .filter(|member| !missing.contains(member))
                    .for_each(|member| had[member.index()] = false);
                gone.insert(wanted.name.clone(), had);
            }
        }
        Ok(gone)
    }

    /// Which members had a collection, as the state knows it.
    async fn had(&self, name: &str) -> Result<Vec<bool>, Failure> {
        let collection = Collection::new(name, &self.group.members);
        let known = ask(&self.group.name, self.store.load(&collection)).await?;
        let had = |member: MemberIndex| {
            let place = member.index();
            let was_listed = known.stores.get(place).is_some_and(Option::is_some)
                || known.anchors.get(place).is_some_and(Option::is_some);
            was_listed || known.rows.iter().any(|row| row.entry(member).is_some())
        };
        Ok(self.group.indices().map(had).collect())
    }

    /// Finds one collection at every member. Where one that is needed cannot take part, or all but
    /// one cannot, it is not synchronised.
    async fn map(&self, wanted: &ListedCollection, gone: &Gone, found: &mut Found) {
        if self.crew.present().iter().all(|(member, session)| there(session, *member, wanted).is_none()) {
            found.failures.push(self.nowhere(wanted));
            return;
        }
        let looked = self.group.indices().map(|member| self.look(member, wanted, gone)).collect();
        let Some(places) = self.settle(looked, found) else { return };
        let makes = self.group.indices().zip(places).map(|(member, place)| self.make(member, wanted, place));
        let made = together::all(makes).await;
        if let Some(at) = self.settle(made, found) {
            found.collections.push(Mapped { name: wanted.name.clone(), at });
        }
    }

    /// What becomes of a collection whose places are these; `None`: nothing.
    fn settle(&self, places: Vec<Result<Place, Failure>>, found: &mut Found) -> Option<Vec<Place>> {
        let usable = |place: &&Result<Place, Failure>| matches!(place, Ok(Place::Sink(_) | Place::ToMake));
        let mut is_enough = places.iter().filter(usable).count() >= FEWEST;
        let mut settled = Vec::new();
        for (member, place) in self.group.indices().zip(places) {
            settled.push(place.unwrap_or_else(|failure| {
                is_enough &= !self.config.needs(self.group, member);
                found.failures.push(failure);
                Place::Absent
            }));
        }
        is_enough.then_some(settled)
    }

    fn look(&self, member: MemberIndex, wanted: &ListedCollection, gone: &Gone) -> Result<Place, Failure> {
        let (group, name) = (self.group, at_member(wanted, member));
        let Some(session) = self.crew.get(member) else { return Ok(Place::Absent) };
        let is_gone = |had: &Vec<bool>| had.get(member.index()) == Some(&true);
        match there(session, member, wanted) {
            Some(sink) => available(group, member, &sink).map(at_hand),
            None if gone.get(&wanted.name).is_some_and(is_gone) => Err(self::gone(group, member, name)),
            None if !group.create_collections => Err(missing(group, member, name)),
            None if gone.values().any(is_gone) => Err(held_back(group, member, name)),
            None => Ok(Place::ToMake),
        }
    }

    async fn make(
        &self,
        member: MemberIndex,
        wanted: &ListedCollection,
        place: Place,
    ) -> Result<Place, Failure> {
        match (place, self.crew.get(member)) {
            (Place::ToMake, Some(_)) if !self.is_planned(member, wanted) => {
                Err(not_planned(self.group, member, at_member(wanted, member)))
            }
            (Place::ToMake, Some(session)) if !self.dry_run => {
                make(self.group, session, member, at_member(wanted, member)).await.map(at_hand)
            }
            (place, _) => Ok(place),
        }
    }

    fn is_planned(&self, member: MemberIndex, wanted: &ListedCollection) -> bool {
        let Some(plan) = self.plan else { return true };
        plan.collection(&self.group.name, &wanted.name).is_some_and(|planned| planned.makes.contains(&member))
    }

    fn nowhere(&self, wanted: &ListedCollection) -> Failure {
        let names: Vec<String> = self.crew.present().iter().flat_map(|(_, session)| names(session)).collect();
        let nearest = nearest(&wanted.name, names.iter().map(String::as_str));
        let text = format!("no member of {} has a collection called {}", self.group.name, wanted.name);
        let failure = Failure::usage(text);
        match nearest {
            Some(nearest) => failure.hint(format!("did you mean `{nearest}`?")),
            None => failure.hint("make it at one of the members; `outrigger check` lists what is there"),
        }
    }
}

/// The collection at one member.
fn there(session: &MemberSession, member: MemberIndex, wanted: &ListedCollection) -> Option<Sink> {
    let name = at_member(wanted, member);
    session.discovered().sinks.iter().find(|sink| sink.name == name).cloned()
}

/// What a member calls it.
fn at_member(wanted: &ListedCollection, member: MemberIndex) -> &str {
    wanted.at_members.get(member.index()).unwrap_or(&wanted.name)
}

/// What the collections of a member are called.
fn names(session: &MemberSession) -> Vec<String> {
    session.discovered().sinks.iter().map(|sink| sink.name.clone()).collect()
}

/// Makes a collection. The operation is durable first, and forgotten only when it is known what
/// became of it: after a lost answer the next run asks again under the same one, and the member
/// makes no second collection (decisions X1).
async fn make(
    group: &GroupConfig,
    session: &MemberSession,
    member: MemberIndex,
    name: &str,
) -> Result<Sink, Failure> {
    let keeper = session.keeper();
    let operation = keeper.begin_create(name, OperationId(Uuid::now_v7())).await;
    let operation = operation.map_err(|error| not_begun(group, member, name, &error))?;
    let made = create(session, operation, name).await;
    if let Ok(Sink { name: other, .. }) = &made
        && other != name
    {
        // It stays in doubt, so that the next run does not make another one.
        return Err(renamed(group, member, name, other));
    }
    let is_known = made.as_ref().err().is_none_or(|error| error.effect == Effect::NotStarted);
    if is_known && let Err(error) = keeper.end_create(name).await {
        tracing::warn!(name, %error, "what became of the collection is not kept");
    }
    made.map_err(|error| not_made(group, member, name, &error))
}

/// Asks for it, and once more if the plugin dies over that.
async fn create(session: &MemberSession, operation: OperationId, name: &str) -> Result<Sink, Error> {
    let made = session.create_collection(operation, name).await;
    if made.is_ok() || session.runs().await {
        return made;
    }
    match session.serve_again().await {
        Ok(()) => session.create_collection(operation, name).await,
        Err(failure) => {
            tracing::debug!(%failure, "its plugin died over a collection");
            made
        }
    }
}

/// The name under which the state keeps a collection of a member; `None`: the group has no use for it.
pub(super) fn kept_as<'n>(group: &'n GroupConfig, member: MemberIndex, sink: &'n str) -> Option<&'n str> {
    match &group.collections {
        Collections::All => Some(sink),
        Collections::Listed(listed) => {
            listed.iter().find(|one| at_member(one, member) == sink).map(|one| one.name.as_str())
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
    let text = match &group.members[..] {
        [a, b] => format!("neither {a} nor {b} has a collection"),
        _ => format!("no member of {} has a collection", group.name),
    };
    Failure::new(Exit::Partial, text)
        .hint("a member is a folder of folders: each folder in it is one collection")
}

pub(super) fn gone(group: &GroupConfig, member: MemberIndex, name: &str) -> Failure {
    // Others of many may have gone on without it.
    let there = if group.members.len() > FEWEST { " there" } else { "" };
    let (is_mirrored, member) = (group.mirror == Some(member), group.member(member));
    let text = format!(
        "the collection {name} was at {member} and is not there any more; nothing was written{there}"
    );
    let then = if is_mirrored {
        "what it does not hold is then deleted at the others"
    } else {
        "it is then made and filled anew, and nothing is deleted"
    };
    Failure::new(Exit::Guard, text).hint(format!(
        "is the disk of {member} not mounted, or was the folder renamed? Put it back. If it is gone for good: \
         `outrigger reset {member} {} --new-store`, and sync; {then}",
        group.name
    ))
}

/// The failure of the one that has gone says what to do.
fn held_back(group: &GroupConfig, member: MemberIndex, name: &str) -> Failure {
    let member = group.member(member);
    let text = format!("the collection {name} is not made at {member} while one that was there has gone");
    Failure::new(Exit::Guard, text)
}

fn available(group: &GroupConfig, member: MemberIndex, sink: &Sink) -> Result<Sink, Failure> {
    match &sink.unavailable {
        None => Ok(sink.clone()),
        Some(error) => {
            let member = group.member(member);
            let text = format!("the collection {} cannot be used at {member}", sink.name);
            Err(Failure::new(Exit::Partial, text).said_by(member, error.to_string()))
        }
    }
}

fn missing(group: &GroupConfig, member: MemberIndex, name: &str) -> Failure {
    let text = format!("{} has no collection called {name}", group.member(member));
    let hint = format!(
        "set `create_collections = true` in [group.{}], or name the collections that pair",
        group.name
    );
    Failure::new(Exit::Partial, text).hint(hint)
}

fn not_planned(group: &GroupConfig, member: MemberIndex, name: &str) -> Failure {
    let member = group.member(member);
    let text = format!("the collection {name} is not made at {member}: that is not in the plan");
    Failure::new(Exit::Partial, text).hint(format!("plan anew: `outrigger plan {} -o FILE`", group.name))
}

fn not_made(group: &GroupConfig, member: MemberIndex, name: &str, error: &Error) -> Failure {
    let member = group.member(member);
    let text = format!("the collection {name} could not be made at {member}");
    Failure::new(Exit::Partial, text).said_by(member, error.to_string())
}

/// The next run would not find it by its name.
fn renamed(group: &GroupConfig, member: MemberIndex, name: &str, other: &str) -> Failure {
    let member = group.member(member);
    let text =
        format!("the collection {name} was made at {member}, but is called {} there", Printable(other));
    Failure::new(Exit::Plugin, text).hint(format!(
        "nothing was written; to use it, pair the two names under `collections` in [group.{}]",
        group.name
    ))
}

/// It was not asked for: the words are ours.
fn not_begun(group: &GroupConfig, member: MemberIndex, name: &str, error: &Error) -> Failure {
    let text = format!("the collection {name} could not be made at {}", group.member(member));
    Failure::new(Exit::Partial, text).because(error)
}
