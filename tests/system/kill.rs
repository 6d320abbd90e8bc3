//! `kill -9` of a plugin, and of the command, at any step: no process stays behind, and the next
//! run ends with equal members, nothing lost and nothing twice (decisions X1-X6; I2 and I4 of docs/design/testing.md).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;

use crate::support::trace::{Aim, Moment, Seen, Step, Victim, interfere, measure, strike};
use crate::support::{LAPTOP, Link, PHONE, World, card, no_process_is_left};

/// Trials of each story at each kind of step. `KILL_TRIALS=100 cargo test --test system kill_`
/// takes more of them.
const TRIALS: usize = 8;

/// What is killed in the middle of.
#[derive(Debug, Clone, Copy)]
struct Story {
    link: Link,
    plot: Plot,
    /// Who plays which part.
    cast: [&'static str; 2],
}

#[derive(Debug, Clone, Copy)]
enum Plot {
    /// Two address books meet for the first time; one has a collection that the other lacks.
    First,
    /// Everything that can happen between two runs.
    Mixed,
}

const STORIES: [Story; 4] = [
    Story { link: Link::Inherited, plot: Plot::Mixed, cast: [LAPTOP, PHONE] },
    Story { link: Link::Named, plot: Plot::Mixed, cast: [PHONE, LAPTOP] },
    Story { link: Link::Inherited, plot: Plot::First, cast: [LAPTOP, PHONE] },
    Story { link: Link::Named, plot: Plot::First, cast: [PHONE, LAPTOP] },
];

type Items = BTreeMap<OsString, Vec<u8>>;

/// A world at the beginning of the run in which somebody is killed, and how it has to end.
struct Stage {
    world: World,
    /// Every content that was in a member.
    before: Vec<Vec<u8>>,
    after: [Items; 2],
}

impl Story {
    fn stage(self) -> Stage {
        let world = World::new(self.link);
        let after = match self.plot {
            Plot::First => first(&world, self.cast),
            Plot::Mixed => mixed(&world, self.cast),
        };
        let before = self.cast.iter().flat_map(|member| world.items(member).into_values()).collect();
        Stage { world, before, after }
    }
}

fn name(uid: &str) -> OsString {
    format!("{uid}.vcf").into()
}

fn first(world: &World, [one, other]: [&str; 2]) -> [Items; 2] {
    let mut after = Items::new();
    for (member, uids) in [(one, "abcdefgxy"), (other, "hijklmxy")] {
        for uid in uids.chars().map(String::from) {
            world.put(member, name(&uid), card(&uid, "first"));
            after.insert(name(&uid), card(&uid, "first").into_bytes());
        }
    }
    let mut after = [after.clone(), after];
    for (side, member) in [one, other].into_iter().enumerate() {
        let content = card("z", member);
        world.put(member, name("z"), &content);
        after[side].insert(name("z"), content.into_bytes());
    }
    let work = world.member(other).join("work");
    std::fs::create_dir(&work).unwrap();
    std::fs::write(work.join("w.vcf"), card("w", "work")).unwrap();
    after
}

fn mixed(world: &World, [one, other]: [&str; 2]) -> [Items; 2] {
    for uid in (0..12).map(|number| format!("b{number}")) {
        world.put(one, name(&uid), card(&uid, "base"));
    }
    world.sync_well();
    for (member, uids) in [(one, ["n0", "n1", "n2"]), (other, ["n3", "n4", "n5"])] {
        for uid in uids {
            world.put(member, name(uid), card(uid, "new"));
        }
    }
    world.put(one, name("b0"), card("b0", "edited"));
    world.put(one, name("b1"), card("b1", "edited"));
    world.put(other, name("b2"), card("b2", "edited"));
    world.put(other, name("b3"), card("b3", "edited"));
    world.delete(one, name("b4"));
    world.delete(other, name("b5"));
    for (edits, deletes, uid) in [(one, other, "b6"), (other, one, "b7")] {
        world.put(edits, name(uid), card(uid, "edited, not deleted"));
        world.delete(deletes, name(uid));
    }
    for member in [one, other] {
        world.put(member, name("b8"), card("b8", member)); // a conflict
        world.put(member, name("b9"), card("b9", "edited alike"));
    }
    let say = |uid: &str, text: &str| (name(uid), card(uid, text).into_bytes());
    let edited = ["b0", "b1", "b2", "b3"].map(|uid| say(uid, "edited"));
    let new = ["n0", "n1", "n2", "n3", "n4", "n5"].map(|uid| say(uid, "new"));
    let kept = ["b6", "b7"].map(|uid| say(uid, "edited, not deleted"));
    let rest = [say("b9", "edited alike"), say("b10", "base"), say("b11", "base")];
    let after: Items = edited.into_iter().chain(new).chain(kept).chain(rest).collect();
    [one, other].map(|member| {
        let mut after = after.clone();
        after.extend([say("b8", member)]);
        after
    })
}

impl Stage {
    /// What must hold however the killed run ended.
    fn check(&self, story: Story, aim: Aim, seen: &Seen) {
        no_process_is_left(self.world.root());
        let context = format!("{story:?}\n{aim:?}\nthe killed run: {:?}\n{}", seen.code, seen.output);
        // Where the command lives, it starts the plugin again, and the run comes to its end.
        assert!(seen.code.is_none_or(|code| code == 3), "{context}");
        // Looking at what a killed run left does not mend it.
        let (members, all) = (self.world.members(), self.world.tree().without_ctime());
        self.world.run(["status"]);
        self.world.run(["plan", "contacts"]);
        all.assert_untouched(&self.world.tree().without_ctime());
        for (before, now) in members.iter().zip(&self.world.members()) {
            before.assert_untouched(now);
        }
        let next = self.world.sync();
        assert_eq!(next.status.code(), Some(3), "one conflict waits\n{context}\n{next:?}");
        for (side, member) in story.cast.into_iter().enumerate() {
            let items = self.world.items(member);
            assert!(
                items == self.after[side],
                "{}\n{context}\n{next:?}",
                differences(member, &items, &self.after[side])
            );
        }
        if matches!(story.plot, Plot::First) {
            for member in story.cast {
                let file = self.world.member(member).join("work").join("w.vcf");
                assert_eq!(std::fs::read_to_string(&file).unwrap(), card("w", "work"), "{context}\n{next:?}");
            }
        }
        self.world.assert_tidy();
        self.assert_nothing_is_lost(&context);
        self.world.assert_at_rest(3);
    }

    /// Invariant 11: what was in a member before is in a member or in the journal.
    fn assert_nothing_is_lost(&self, context: &str) {
        let items = [LAPTOP, PHONE].map(|member| self.world.items(member));
        let mut found: Vec<Vec<u8>> = items.into_iter().flat_map(Items::into_values).collect();
        found.extend(self.world.journal());
        for content in &self.before {
            let text = String::from_utf8_lossy(content);
            assert!(found.contains(content), "in no member and not in the journal:\n{text}\n{context}");
        }
    }
}

fn differences(member: &str, found: &Items, wanted: &Items) -> String {
    let names = found.keys().chain(wanted.keys().filter(|name| !found.contains_key(*name)));
    let differs = names.filter(|name| found.get(*name) != wanted.get(*name)).map(|name| {
        let text = |items: &Items| items.get(name).map(|item| String::from_utf8_lossy(item).into_owned());
        format!("{member}: {name:?}\n  found  {:?}\n  wanted {:?}", text(found), text(wanted))
    });
    differs.collect::<Vec<_>>().join("\n")
}

fn wanted() -> usize {
    std::env::var("KILL_TRIALS").map_or(TRIALS, |number| number.parse().unwrap())
}

/// Kills at steps of one kind, spread evenly over each story; at each the plugin or the command,
/// before or after the step.
fn kill_at(step: Step) {
    let wanted = wanted();
    let (mut trials, mut steps) = (0, 0);
    for (index, story) in STORIES.into_iter().enumerate() {
        let measured = {
            let stage = story.stage();
            let seen = measure(&stage.world);
            assert_eq!(seen.code, Some(3), "{story:?}: {}", seen.output);
            seen
        };
        let count = measured.count(step);
        assert!(count > 0, "{story:?} has no step of this kind: {:?}", measured.steps);
        steps += count;
        for trial in 0..wanted {
            let number = trial + index;
            let aim = Aim {
                step,
                nth: 1 + (2 * trial + 1) * count / (2 * wanted),
                moment: if number.is_multiple_of(2) { Moment::Before } else { Moment::After },
                victim: if (number / 2).is_multiple_of(2) { Victim::Plugin } else { Victim::Command },
            };
            let stage = story.stage();
            let seen = strike(&stage.world, aim, measured.marks);
            stage.check(story, aim, &seen);
            trials += usize::from(seen.killed.is_some());
        }
    }
    // Around libtest, which keeps what the macros print to itself where a test passes.
    let told = format!("kill -9 at {step:?}: {trials} trials, spread over {steps} steps\n");
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    assert!(trials >= 20, "only {trials} of the runs came to the step at which to kill");
}

#[test]
fn x2_x3_kill_at_a_frame() {
    kill_at(Step::Frame);
}

#[test]
fn s2_kill_while_listing() {
    kill_at(Step::Listing);
}

#[test]
fn s5_x1_kill_while_writing() {
    kill_at(Step::Writing);
}

#[test]
fn x1_x6_kill_at_the_journal() {
    kill_at(Step::Journal);
}

#[test]
fn x5_kill_before_and_at_the_anchor() {
    kill_at(Step::Anchor);
}

/// Somebody saves an item at the member where it is about to be replaced (b0) or deleted (b4), at
/// any step of the run: what he saved stays, and nothing else is lost.
#[test]
fn s5_x6_a_save_in_the_middle_of_a_run_is_not_lost() {
    let mut saves = 0;
    for (story, uid, by_rename) in [
        (STORIES[0], "b0", false),
        (STORIES[1], "b0", true),
        (STORIES[0], "b4", true),
        (STORIES[1], "b4", false),
    ] {
        let measured = measure(&story.stage().world);
        for (step, trials) in [(Step::Writing, wanted()), (Step::Frame, wanted() / 2)] {
            for trial in 0..trials {
                let nth = 1 + (2 * trial + 1) * measured.count(step) / (2 * trials);
                let mut stage = story.stage();
                // What he saves over is his own affair.
                stage.before.retain(|content| *content != card(uid, "base").into_bytes());
                let [one, other] = story.cast;
                let (file, saved) = (stage.world.file(other, name(uid)), card(uid, "saved meanwhile"));
                let content = saved.clone();
                let (seen, done) = interfere(&stage.world, step, nth, move || match by_rename {
                    true => {
                        let aside = file.with_extension("tmp");
                        std::fs::write(&aside, content).unwrap();
                        std::fs::rename(&aside, &file).unwrap();
                    }
                    false => std::fs::write(&file, content).unwrap(),
                });
                if !done {
                    continue; // a run with fewer frames than the measured one: nothing was saved
                }
                saves += 1;
                no_process_is_left(stage.world.root());
                let context =
                    format!("{story:?} {uid} at {step:?} {nth} of {:?}\n{}", measured.code, seen.output);
                let next = stage.world.sync().expect(3);
                assert_eq!(stage.world.get(other, name(uid)), saved, "{context}\n{next:?}");
                let at_one = stage.world.get(one, name(uid));
                let conflicting = uid == "b0" && at_one == card(uid, "edited");
                assert!(at_one == saved || conflicting, "{at_one}\n{context}\n{next:?}");
                stage.world.assert_tidy();
                stage.assert_nothing_is_lost(&context);
                stage.world.assert_at_rest(3);
            }
        }
    }
    assert!(saves >= 30, "only {saves} of the runs came to the step at which to save");
}
