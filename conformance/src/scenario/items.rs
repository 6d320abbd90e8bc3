//! A whole run with the corpus: written, listed, read, overwritten, deleted; then another run.

use std::collections::BTreeSet;

use outrigger_protocol::{
    Code, CommitKind, CommitOutcome, Dedupe, Href, Initialized, ObjectId, Printable, Revision, limits,
};

use super::Scene;
use super::names::Names;
use crate::corpus::{Format, Item};
use crate::findings::{Findings, Step, Stop, hold};
use crate::life::{Found, Listed};
use crate::rule::Rule;
use crate::talk::{Talk, told};

/// Items of the corpus.
const CORPUS: usize = 50;

/// An item as the plugin has it.
struct Stored {
    item: Item,
    href: Href,
    revision: Revision,
}

/// What this room asks of a sink.
const WRITING: [Rule; 10] = [
    Rule::RoundTrip,
    Rule::Complete,
    Rule::NoUidTwice,
    Rule::LongHref,
    Rule::Stale,
    Rule::DeleteAgain,
    Rule::ItemAgain,
    Rule::Remarshal,
    Rule::Runs,
    Rule::NewNames,
];

/// Rules: complete, no-uid-twice, round-trip, long-href, stale, delete-again, item-again, runs,
/// new-names.
pub(super) fn items(scene: &Scene<'_>, findings: &mut Findings) -> Step<()> {
    scene.play(findings, |talk, findings| {
        talk.greet(super::WINDOW)?;
        let made = talk.initialize(scene.subject)?;
        let instance = made.instance;
        let Some((sink, format)) = super::writable(talk, instance, findings, &WRITING)? else {
            return Ok(());
        };
        let (sink, dedupe) = (sink.object, sink.dedupe());
        talk.open_run(sink, false)?;
        let (mut names, mut before) = (Names::default(), list(talk, sink)?);
        // Before anything is written: a pair that is no identity is not to be found by its items.
        let mut marshalled = remarshal(talk, &made, sink, &before)?;
        let mut stored = round_trip(talk, sink, format)?;
        findings.held(Rule::RoundTrip);
        let listed = list(talk, sink)?;
        findings.held(Rule::NoUidTwice);
        if marshalled == 0 {
            marshalled = remarshal(talk, &made, sink, &listed)?;
        }
        if marshalled > 0 {
            findings.held(Rule::Remarshal);
        } else {
            findings.skip(Rule::Remarshal, "no item of a format that it marshals is there");
        }
        names.follow(talk, both(&mut before, &mut stored))?;
        complete(&before, &stored, &listed)?;
        if listed.complete {
            findings.held(Rule::Complete);
        } else {
            findings.skip(Rule::Complete, "it marks no listing complete: its deletions will not be seen");
        }
        stale(talk, sink, format, &mut stored)?;
        findings.held(Rule::Stale);
        names.follow(talk, both(&mut before, &mut stored))?;
        delete_again(talk, sink, format, &mut stored)?;
        findings.held(Rule::DeleteAgain);
        match dedupe {
            Dedupe::Token | Dedupe::Conditional => {
                item_again(talk, sink, format)?;
                findings.held(Rule::ItemAgain);
            }
            Dedupe::Lookup | Dedupe::None => {
                findings
                    .skip(Rule::ItemAgain, "it says that it does not recognise a create that comes again");
            }
        }
        long_href(talk, sink, format)?;
        findings.held(Rule::LongHref);
        let mut listed = list(talk, sink)?;
        names.follow(talk, both(&mut before, &mut stored))?;
        talk.close_run(sink)?;
        names.follow(talk, both(&mut listed, &mut []))?;
        another_run(talk, sink, &listed, names.or(Rule::Runs))?;
        findings.held(Rule::Runs);
        names.found(talk.level, findings);
        talk.settle(Rule::Ping, "the answer to PING")
    })
}

/// The names of all that is remembered.
fn both<'n>(listed: &'n mut Listed, stored: &'n mut [Stored]) -> impl Iterator<Item = &'n mut Href> {
    let listed = listed.changes.iter_mut().map(|change| &mut change.href);
    listed.chain(stored.iter_mut().map(|stored| &mut stored.href))
}

fn list(talk: &mut Talk<'_>, sink: ObjectId) -> Step<Listed> {
    let listed = talk.list(sink)?;
    let mut seen = BTreeSet::new();
    let twice = listed.changes.iter().find(|change| !seen.insert(&change.href));
    hold(twice.is_none(), Rule::NoUidTwice, || {
        twice.map_or_else(String::new, |change| format!("\"{}\" was listed twice", change.href))
    })?;
    Ok(listed)
}

/// Items that are there in a format that the plugin marshals, taken apart and made again. Returns
/// how many there were.
fn remarshal(talk: &mut Talk<'_>, made: &Initialized, sink: ObjectId, listed: &Listed) -> Step<usize> {
    let marshalled: Vec<&str> =
        made.formats.iter().filter(|format| !format.plain).map(|format| &*format.name).collect();
    let mut tried = 0;
    let with_format = listed.changes.iter().filter(|change| marshalled.contains(&&*change.format));
    for change in with_format.take(CORPUS) {
        let found = talk.fetch(sink, std::slice::from_ref(&change.href))?;
        let Some(Found::Item(data)) = found.first() else { continue };
        let again = talk.remarshal(made.instance, &change.format, data)?;
        hold(**data == *again, Rule::Remarshal, || {
            let (href, format) = (&change.href, Printable(&change.format));
            format!("\"{href}\" ({format}): {} bytes came back as {} other ones", data.len(), again.len())
        })?;
        tried += 1;
    }
    Ok(tried)
}

/// What a write must come to for the rest to make sense.
fn done(outcome: CommitOutcome, what: &str) -> Step<(Href, Revision)> {
    match outcome {
        CommitOutcome::Done { href, revision, .. } => Ok((href, revision)),
        CommitOutcome::Failed(error) => Err(Stop::Pointless(format!("{what} failed: {}", told(&error)))),
    }
}

/// The outcome of a write that named the revision which the write before it had answered.
fn agreed(outcome: CommitOutcome) -> Step<CommitOutcome> {
    let refused = matches!(&outcome, CommitOutcome::Failed(error) if error.code == Code::PRECONDITION);
    hold(!refused, Rule::Stale, || {
        "a write that named the revision of the last answer was refused: the revision in `Done` is not the \
         one that holds"
            .into()
    })?;
    Ok(outcome)
}

fn round_trip(talk: &mut Talk<'_>, sink: ObjectId, format: Format) -> Step<Vec<Stored>> {
    let corpus = format.items(CORPUS);
    let outcomes = talk.write(sink, corpus.iter().map(|item| format.create(item)).collect())?;
    let mut stored = Vec::new();
    for (item, outcome) in corpus.into_iter().zip(outcomes) {
        let (href, revision) = done(outcome, &format!("creating {}", item.key))?;
        stored.push(Stored { item, href, revision });
    }
    let hrefs: Vec<Href> = stored.iter().map(|stored| stored.href.clone()).collect();
    for (stored, found) in stored.iter().zip(talk.fetch(sink, &hrefs)?) {
        same(&stored.item, &found, Rule::RoundTrip)?;
    }
    Ok(stored)
}

fn same(item: &Item, found: &Found, rule: Rule) -> Step<()> {
    let right = matches!(found, Found::Item(data) if *data == item.data);
    hold(right, rule, || match found {
        Found::Item(data) => {
            let at = item.data.iter().zip(data).take_while(|(ours, theirs)| ours == theirs).count();
            format!(
                "{} was written with {} bytes and read with {}; they differ from byte {at}",
                item.key,
                item.data.len(),
                data.len()
            )
        }
        Found::Nothing => format!("{} was written and is not found", item.key),
        Found::Failed(why) => format!("{} was written and cannot be read: {why}", item.key),
    })
}

/// What was there before and what was created must be listed, if the listing says that it is all.
fn complete(before: &Listed, stored: &[Stored], listed: &Listed) -> Step<()> {
    let named: BTreeSet<&Href> = listed.changes.iter().map(|change| &change.href).collect();
    let before = before.changes.iter().map(|change| &change.href);
    let missing = before.chain(stored.iter().map(|stored| &stored.href)).find(|href| !named.contains(href));
    hold(!listed.complete || missing.is_none(), Rule::Complete, || {
        missing.map_or_else(String::new, |href| {
            format!("\"{href}\" is there, and a listing marked complete does not name it")
        })
    })
}

/// A first update makes the first revision old; then it must not do for anything.
fn stale(talk: &mut Talk<'_>, sink: ObjectId, format: Format, stored: &mut [Stored]) -> Step<()> {
    let Some(target) = stored.first_mut() else { return Ok(()) };
    let old = target.revision.clone();
    let mut newer = target.item.clone();
    newer.data = format.item(CORPUS).data;
    let update = format.write(CommitKind::Update, &newer, &target.href, Some(&old));
    let (href, revision) = done(agreed(talk.write_one(sink, update)?)?, "an update")?;
    (target.href, target.revision, target.item) = (href, revision, newer);
    hold(target.revision != old, Rule::Stale, || "an update did not change the revision".into())?;
    for kind in [CommitKind::Update, CommitKind::Delete] {
        let other = Item { data: format.item(CORPUS + 1).data, ..target.item.clone() };
        let outcome = talk.write_one(sink, format.write(kind, &other, &target.href, Some(&old)))?;
        hold(matches!(outcome, CommitOutcome::Failed(_)), Rule::Stale, || {
            format!("{kind:?} with a revision that is no longer was done")
        })?;
        let found = talk.fetch(sink, std::slice::from_ref(&target.href))?;
        let unchanged = found.first().is_some_and(|found| same(&target.item, found, Rule::Stale).is_ok());
        hold(unchanged, Rule::Stale, || format!("{kind:?} was refused, and changed the item all the same"))?;
    }
    Ok(())
}

fn delete_again(talk: &mut Talk<'_>, sink: ObjectId, format: Format, stored: &mut Vec<Stored>) -> Step<()> {
    let Some(target) = stored.pop() else { return Ok(()) };
    let delete = format.write(CommitKind::Delete, &target.item, &target.href, Some(&target.revision));
    done(agreed(talk.write_one(sink, delete.clone())?)?, "a deletion")?;
    let found = talk.fetch(sink, std::slice::from_ref(&target.href))?;
    hold(found == [Found::Nothing], Rule::DeleteAgain, || {
        format!("\"{}\" was deleted, and reading it does not answer \"not found\"", target.href)
    })?;
    let again = talk.write_one(sink, delete)?;
    let right = match &again {
        CommitOutcome::Done { .. } => true,
        CommitOutcome::Failed(error) => error.code == Code::NOT_FOUND,
    };
    hold(right, Rule::DeleteAgain, || match again {
        CommitOutcome::Failed(error) => format!("the same deletion again was answered {}", told(&error)),
        CommitOutcome::Done { .. } => String::new(),
    })
}

/// Sends a create twice, as after a lost answer: the second time it is done already, or refused.
fn item_again(talk: &mut Talk<'_>, sink: ObjectId, format: Format) -> Step<()> {
    let names =
        |listed: Listed| listed.changes.into_iter().map(|change| change.href).collect::<BTreeSet<_>>();
    let before = names(list(talk, sink)?);
    let item = format.item(CORPUS + 3);
    let create = format.create(&item);
    let (href, _) = done(talk.write_one(sink, create.clone())?, &format!("creating {}", item.key))?;
    let again = talk.write_one(sink, create)?;
    let right = match &again {
        CommitOutcome::Done { href: again, .. } => *again == href,
        CommitOutcome::Failed(error) => error.code == Code::EXISTS,
    };
    hold(right, Rule::ItemAgain, || match &again {
        CommitOutcome::Done { href: again, .. } => format!("it made \"{href}\", and then \"{again}\""),
        CommitOutcome::Failed(error) => format!("it made \"{href}\"; sent again: {}", told(error)),
    })?;
    let after = names(list(talk, sink)?);
    let second = after.iter().find(|name| **name != href && !before.contains(name));
    hold(second.is_none(), Rule::ItemAgain, || {
        let second = second.cloned().unwrap_or_default();
        format!("it answered \"{href}\" both times, and lists \"{second}\" besides")
    })?;
    let found = talk.fetch(sink, std::slice::from_ref(&href))?;
    found.iter().try_for_each(|found| same(&item, found, Rule::ItemAgain))
}

/// Kept under whatever name the plugin says, or refused; never under a name that does not work.
fn long_href(talk: &mut Talk<'_>, sink: ObjectId, format: Format) -> Step<()> {
    let item = format.item(CORPUS + 2);
    let long = Href::from("ü".repeat(limits::MAX_HREF / 2).as_str());
    let outcome = talk.write_one(sink, format.write(CommitKind::Create, &item, &long, None))?;
    let CommitOutcome::Done { href, .. } = outcome else { return Ok(()) };
    let cut = href != long && long.as_bytes().starts_with(href.as_bytes());
    hold(!cut, Rule::LongHref, || format!("the name was cut to {} bytes", href.as_bytes().len()))?;
    let found = talk.fetch(sink, std::slice::from_ref(&href))?;
    for found in &found {
        same(&item, found, Rule::LongHref)?;
    }
    let listed = list(talk, sink)?;
    let named = listed.changes.iter().any(|change| change.href == href);
    hold(named || !listed.complete, Rule::LongHref, || "it was written and is not listed by its name".into())
}

/// Lists once more; other names than before break `rule`.
fn another_run(talk: &mut Talk<'_>, sink: ObjectId, before: &Listed, rule: Rule) -> Step<()> {
    let refused = |stop| match stop {
        Stop::Pointless(why) => Stop::Broken(Rule::Runs, format!("in the second run, {why}")),
        other => other,
    };
    talk.open_run(sink, true).map_err(refused)?;
    let after = talk.list(sink).map_err(refused)?;
    let names = |listed: &Listed| -> BTreeSet<Href> {
        listed.changes.iter().map(|change| change.href.clone()).collect()
    };
    let (before, after) = (names(before), names(&after));
    hold(before == after, rule, || {
        let missing = before.difference(&after).next().map(|href| format!("; \"{href}\" is missing"));
        let (first, second) = (before.len(), after.len());
        format!("the first run left {first} items, the second lists {second}{}", missing.unwrap_or_default())
    })?;
    talk.close_run(sink).map_err(refused)
}
