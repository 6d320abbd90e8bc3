//! Settle: what a person chose for a conflict becomes the state, and the next run carries it out.

use std::io::{self, Write};

use outrigger_engine::{Canonical, Content, Digest, Key, MemberIndex, Supplied, keep_both_copy};
use outrigger_protocol::{Printable, Words, limits};
use outrigger_store::{ErrorKind, Kept, Resolution};
use uuid::Uuid;

use super::find::Dispute;
use super::sides::Side;
use crate::clock;
use crate::config::{Config, GroupConfig, nearest};
use crate::handed::has_marks;
use crate::report::{Failure, called, shell_word};
use crate::{run, state};

/// What becomes of an item that members contradict each other about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// What this member holds goes to all.
    Take(String),
    /// What was chosen before, and no member has yet, goes to all.
    Chosen,
    /// All changes in one, where nothing was changed twice.
    Merge,
    /// What the first member holds stays, every other content becomes an item of its own.
    KeepBoth,
    /// It is deleted everywhere.
    Delete,
    /// These bytes go to all.
    Content(Vec<u8>),
}

/// What was settled, and what the next run does about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The conflict as it was.
    pub dispute: Dispute,
    /// What happens at each member, in their order.
    pub effects: Vec<Effect>,
    /// Items that are made besides.
    pub copies: usize,
}

/// What the next run does at one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it is so already.
    Stays,
    /// The item is made.
    Create,
    /// The item is overwritten; what was there goes to the undo journal.
    Update,
    /// The item is deleted; it goes to the undo journal.
    Delete,
    /// Nothing: the member takes no such writes, and differs.
    Refused,
}

/// Settles a conflict as chosen. No run may be busy with the group; it is done when this returns.
///
/// # Errors
/// The choice does not fit the conflict, or that is no more what was shown; a run is busy with the
/// group; the state cannot be written.
pub fn settle(config: &Config, dispute: Dispute, choice: &Choice) -> Result<Settled, Failure> {
    let group = config.group(&dispute.group).ok_or_else(|| run::unknown_group(config, &dispute.group))?;
    let resolution = resolution(&dispute, choice)?;
    let store = state::take(config, group)?;
    let now = state::ask(group, store.conflict(&dispute.collection, dispute.conflict.row))?;
    let is_it = now.is_some_and(|now| Dispute::new(group, &dispute.collection, now).id == dispute.id);
    if !is_it {
        return Err(changed(&dispute));
    }
    let (effects, copies) = effects(config, &dispute, &resolution);
    let done = store.resolve(&dispute.collection, dispute.conflict.row, resolution).wait();
    done.map_err(|error| match error.kind() {
        ErrorKind::NoConflict => changed(&dispute),
        _ => run::store_failure(&group.name, &error),
    })?;
    close(group, store)?;
    Ok(Settled { dispute, effects, copies })
}

fn close(group: &GroupConfig, store: outrigger_store::Store) -> Result<(), Failure> {
    store.close().map_err(|error| run::store_failure(&group.name, &error))
}

fn resolution(dispute: &Dispute, choice: &Choice) -> Result<Resolution, Failure> {
    match choice {
        Choice::Take(member) => take(dispute, member).map(Resolution::Take),
        Choice::Delete => Ok(Resolution::Delete),
        Choice::Chosen => chosen(dispute),
        Choice::Merge => merged(dispute),
        Choice::KeepBoth => keep_both(dispute),
        Choice::Content(data) => content(dispute, data.clone()),
    }
}

fn take(dispute: &Dispute, name: &str) -> Result<MemberIndex, Failure> {
    let members = &dispute.collection.members;
    let Some(place) = members.iter().position(|member| member == name) else {
        let failure = Failure::usage(format!("{name} is no member of the group {}", dispute.group));
        let hint = match nearest(name, members.iter().map(String::as_str)) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("its members are {}", members.join(", ")),
        };
        return Err(failure.hint(hint));
    };
    if dispute.conflict.members.get(place).is_none_or(|held| held.content.is_none()) {
        let failure = Failure::usage(format!("{name} does not have this item"));
        return Err(failure
            .hint(format!("`outrigger conflicts resolve {} --delete` deletes it everywhere", dispute.id)));
    }
    Ok(MemberIndex::at(place))
}

fn chosen(dispute: &Dispute) -> Result<Resolution, Failure> {
    let known = dispute.conflict.chosen.as_ref().and_then(|chosen| chosen.copy.clone());
    match known {
        Some(Kept { data, .. }) => content(dispute, data),
        None => {
            Err(Failure::usage(format!("nothing was chosen before for {}", dispute.id)).hint(see(dispute)))
        }
    }
}

fn merged(dispute: &Dispute) -> Result<Resolution, Failure> {
    if let Some(data) = dispute.merged() {
        return content(dispute, data);
    }
    let why = if dispute.sides().len() < 2 {
        "only one content is left: there is nothing to merge it with"
    } else if dispute.copies().is_none() {
        "what members hold is not kept"
    } else if dispute.conflict.base.is_none() {
        "what all of them had before is not kept: from `conflict = \"merge\"` on, the last two contents of each \
         item that was written are"
    } else {
        "the same was changed twice, or it is no card or event"
    };
    Err(Failure::usage(format!("{} cannot be merged: {why}", dispute.id)).hint(see(dispute)))
}

/// The other ways.
fn see(dispute: &Dispute) -> String {
    format!("`outrigger conflicts show {}` says what can be done", dispute.id)
}

fn keep_both(dispute: &Dispute) -> Result<Resolution, Failure> {
    let sides = dispute.sides();
    let copies = sides.iter().skip(1).map(second_item).collect::<Option<Vec<_>>>();
    match (sides.first(), copies.filter(|copies| !copies.is_empty())) {
        (Some(first), Some(copies)) => {
            Ok(Resolution::KeepBoth { winner: take(dispute, first.first())?, copies })
        }
        _ => {
            let text = format!("{} cannot be kept twice: that needs two contents with a UID", dispute.id);
            Err(Failure::usage(text).hint(see(dispute)))
        }
    }
}

/// A content as an item of its own, with another UID and a mark in its title.
fn second_item(side: &Side<'_>) -> Option<(Key, Supplied)> {
    let Kept { format, data } = side.copy?;
    let uid = Uuid::now_v7().to_string();
    let data = keep_both_copy(data, &uid, &format!("{}, {}", side.first(), clock::today()))?;
    let Canonical { content, key } = Canonical::of(format, &data);
    Some((key?, Supplied { content, format: format.clone(), data }))
}

/// Bytes for all, if they are the same item.
fn content(dispute: &Dispute, data: Vec<u8>) -> Result<Resolution, Failure> {
    let sides = dispute.sides();
    let Some(model) = sides.iter().find_map(|side| side.copy) else {
        let text = "what members hold is not kept, so that its format is not known";
        return Err(Failure::usage(text).hint(see(dispute)));
    };
    let Canonical { content, key } = Canonical::of(&model.format, &data);
    if let Some(why) = refusal(&data, key.as_ref(), Canonical::of(&model.format, &model.data).key.as_ref()) {
        return Err(Failure::usage(format!("this cannot be the content of {}: {why}", dispute.id)));
    }
    Ok(Resolution::Content { supplied: Supplied { content, format: model.format.clone(), data } })
}

fn refusal(data: &[u8], key: Option<&Key>, wanted: Option<&Key>) -> Option<String> {
    if data.is_empty() {
        return Some("it is empty; --delete deletes the item".to_owned());
    }
    if data.len() > limits::MAX_ITEM_DATA {
        return Some(format!("it is larger than an item may be, {} bytes", limits::MAX_ITEM_DATA));
    }
    if has_marks(data) {
        return Some("it still has lines that begin with <<<<<<< or >>>>>>>".to_owned());
    }
    let wanted = wanted.filter(|wanted| Some(*wanted) != key)?;
    Some(format!("it has not the UID {}", Words(&wanted.0)))
}

fn changed(dispute: &Dispute) -> Failure {
    let text = format!("{} is not waiting any more, or not as it was shown", dispute.id);
    Failure::usage(text)
        .hint("`outrigger conflicts` lists what waits; a member that has changed since needs a sync first")
}

/// What the next run does at each member, and how many items it makes besides.
fn effects(config: &Config, dispute: &Dispute, resolution: &Resolution) -> (Vec<Effect>, usize) {
    let held =
        |member: &MemberIndex| dispute.conflict.members.get(member.index()).and_then(|held| held.content);
    let (wanted, copies) = match resolution {
        Resolution::Take(member) => (held(member), 0),
        Resolution::KeepBoth { winner, copies } => (held(winner), copies.len()),
        Resolution::Content { supplied } => (Some(supplied.content), 0),
        Resolution::Delete => (None, 0),
    };
    let wanted = wanted.map(|content| content.digest);
    let members = dispute.collection.members.iter().zip(&dispute.conflict.members);
    let effects = members.map(|(member, held)| limited(config, member, effect(held.content, wanted)));
    (effects.collect(), copies)
}

fn effect(held: Option<Content>, wanted: Option<Digest>) -> Effect {
    match (held, wanted) {
        (Some(held), Some(wanted)) if held.digest != wanted => Effect::Update,
        (Some(_), None) => Effect::Delete,
        (None, Some(_)) => Effect::Create,
        _ => Effect::Stays,
    }
}

fn limited(config: &Config, member: &str, effect: Effect) -> Effect {
    let Some(member) = config.member(member) else { return effect };
    let is_refused =
        member.read_only && effect != Effect::Stays || member.no_delete && effect == Effect::Delete;
    if is_refused { Effect::Refused } else { effect }
}

impl Settled {
    /// Writes what was settled, and what the next run does about it.
    ///
    /// # Errors
    /// `to` takes no more.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let Self { dispute, effects, copies } = self;
        writeln!(
            to,
            "{} is settled: {}   {}",
            dispute.id,
            Printable(dispute.place()),
            Words(dispute.title())
        )?;
        for (member, effect) in dispute.collection.members.iter().zip(effects) {
            writeln!(to, "  {member}   {}", effect.words())?;
        }
        if *copies > 0 {
            writeln!(to, "  all   get another item besides, which is new: {copies} in all")?;
        }
        let target = shell_word(&dispute.place()).unwrap_or_else(|| dispute.group.clone());
        writeln!(to, "the next sync does so:   {} sync {target}", called())
    }
}

impl Effect {
    const fn words(self) -> &'static str {
        match self {
            Self::Stays => "stays as it is",
            Self::Create => "gets it",
            Self::Update => "is overwritten; what it has is kept in the journal",
            Self::Delete => "is deleted; what it has is kept in the journal",
            Self::Refused => "stays as it is: it takes no such writes",
        }
    }
}
