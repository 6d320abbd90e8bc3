//! Conflict policies: keep both, the newest, a merge or a command.

use outrigger_engine::{ConflictPolicy, MemberIndex};

use crate::sim::stories::{PUT, all, conflicts, in_sync, rest, texts};
use crate::sim::{A, B, C, Edit, Fault, Merges, World, card, text_in};

/// A and B edited item 0 without each other, under this policy.
fn edited(members: usize, conflict: ConflictPolicy) -> World {
    let mut world = World::new(members);
    // From the beginning: what is agreed is kept for merging.
    world.settings.conflict = conflict;
    world.edit(A, PUT(0, 0));
    rest(&mut world);
    world.edit(A, PUT(0, 1));
    world.edit(B, PUT(0, 2));
    world
}

/// What the items of a member are called, in order.
fn titles(world: &World, at: MemberIndex) -> Vec<String> {
    let mut titles: Vec<String> =
        texts(world, at).iter().map(|data| text_in(data).unwrap().to_owned()).collect();
    titles.sort();
    titles
}

#[test]
fn keep_both_makes_the_second_an_item_of_its_own_with_member_and_day_in_its_title() {
    for members in 2..=3 {
        let mut world = edited(members, ConflictPolicy::KeepBoth);
        let outcome = world.run();
        assert_eq!((conflicts(&outcome), outcome.summary().resolved), (0, 1));
        rest(&mut world);
        for at in world.all() {
            assert_eq!(titles(&world, at), ["1", "2 (m1\\, 2026-11-22)"], "{at:?}");
        }
        assert_eq!(all(&world, 0), vec![Some(1); members], "the first keeps its UID");
    }
}

#[test]
fn keep_both_keeps_all_three() {
    let mut world = edited(3, ConflictPolicy::KeepBoth);
    world.edit(C, PUT(0, 3));
    rest(&mut world);
    for at in world.all() {
        assert_eq!(titles(&world, at), ["1", "2 (m1\\, 2026-11-22)", "3 (m2\\, 2026-11-22)"]);
    }
}

#[test]
fn keep_both_leaves_what_has_no_uid_to_a_person() {
    let mut world = World::new(3);
    world.settings.conflict = ConflictPolicy::KeepBoth;
    for (at, text) in [(A, 1), (B, 2)] {
        world.edit(at, Edit::PutBare { name: 0, text });
    }
    assert_eq!(conflicts(&world.run()), 1);
    rest(&mut world);
    assert_eq!(world.members.iter().map(|member| member.items.len()).collect::<Vec<_>>(), [1, 1, 0]);
}

/// Text and the time at which it says it was written.
fn stamped(text: u8, time: Option<&str>) -> Vec<u8> {
    let line = time.map(|time| format!("REV:2026{time}Z\r\n")).unwrap_or_default();
    let card = String::from_utf8(card(Some(0), text)).unwrap();
    card.replace("END:", &format!("{line}END:")).into_bytes()
}

/// A and B wrote at these times; what all have then.
fn newest(members: usize, times: [Option<&str>; 2], is_trusted: [bool; 2]) -> (Vec<Option<u8>>, u64) {
    let mut world = in_sync(members);
    world.settings.conflict = ConflictPolicy::Newest;
    for (member, trusted) in world.settings.members.iter_mut().zip(is_trusted) {
        member.reliable_times = trusted;
    }
    for ((at, text), time) in [(A, 1), (B, 2)].into_iter().zip(times) {
        let href = world.members[at.index()].by_uid(0).unwrap();
        world.write(at, &href, stamped(text, time));
    }
    // Each overwrites the other by the policy, if it does, and not unseen.
    for [old, new] in [[1, 2], [2, 1]] {
        world
            .causes
            .outvoted(&stamped(old, times[usize::from(old) - 1]), &stamped(new, times[usize::from(new) - 1]));
    }
    world.run();
    let waiting = rest(&mut world).summary().conflicts;
    (all(&world, 0), waiting)
}

#[test]
fn the_newest_wins_wherever_it_is() {
    for members in 2..=3 {
        let (early, late) = (Some("0101T000000"), Some("0101T000001"));
        assert_eq!(newest(members, [early, late], [true; 2]), (vec![Some(2); members], 0));
        assert_eq!(newest(members, [late, early], [true; 2]), (vec![Some(1); members], 0));
    }
}

#[test]
fn the_newest_is_not_guessed_of_a_tie_an_unknown_time_or_a_clock_that_is_not_trusted() {
    let (early, late) = (Some("0101T000000"), Some("0101T000001"));
    for (times, is_trusted) in [
        ([late, late], [true, true]),
        ([None, late], [true, true]),
        ([early, None], [true, true]),
        ([early, late], [true, false]),
        ([late, early], [true, false]),
    ] {
        for members in 2..=3 {
            let expected = [Some(1), Some(2), Some(0)][..members].to_vec();
            assert_eq!(newest(members, times, is_trusted), (expected, 1), "{times:?} {is_trusted:?}");
        }
    }
}

/// A merge and a command are one to the engine: the driver makes one of all.
#[test]
fn a_merge_is_written_to_all() {
    for members in 2..=3 {
        let mut world = edited(members, ConflictPolicy::Resolve);
        let outcome = world.run();
        assert_eq!((outcome.merges, outcome.summary().resolved, conflicts(&outcome)), (1, 1, 0));
        rest(&mut world);
        for at in world.all() {
            assert_eq!(titles(&world, at), ["1+2"], "{at:?}");
        }
        assert!(world.store.rows.values().all(|row| row.supplied.is_none()), "members hold it now");
        let undone: Vec<_> = world.store.undo.iter().map(|undo| undo.data.clone()).collect();
        assert!([1u8, 2].iter().all(|text| undone.contains(&card(Some(0), *text))), "both can be undone");
    }
}

#[test]
fn a_merge_that_fails_or_is_no_such_item_waits_for_a_person() {
    for (members, merges) in
        [(2, Merges::Refused), (2, Merges::Nonsense), (3, Merges::Refused), (3, Merges::Nonsense)]
    {
        let mut world = edited(members, ConflictPolicy::Resolve);
        world.merges = merges;
        let outcome = world.run();
        assert_eq!((outcome.merges, conflicts(&outcome), outcome.writes), (1, 1, vec![]), "{merges:?}");
        rest(&mut world);
        assert_eq!(all(&world, 0)[..2], [Some(1), Some(2)]);
    }
}

#[test]
fn three_edits_are_merged_at_once() {
    let mut world = edited(3, ConflictPolicy::Resolve);
    world.edit(C, PUT(0, 3));
    let outcome = world.run();
    assert_eq!((outcome.merges, outcome.summary().resolved, conflicts(&outcome)), (1, 1, 0));
    rest(&mut world);
    for at in world.all() {
        assert_eq!(titles(&world, at), ["1+2+3"], "{at:?}");
    }
}

#[test]
fn a_merge_in_a_group_of_whom_one_is_away_reaches_it_later() {
    let mut world = edited(3, ConflictPolicy::Resolve);
    world.run_with(&[Fault::Away { member: C }]);
    assert_eq!((titles(&world, A), titles(&world, B)), (vec!["1+2".to_owned()], vec!["1+2".to_owned()]));
    rest(&mut world);
    assert_eq!(titles(&world, C), ["1+2"]);
}
