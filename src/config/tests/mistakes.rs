//! What is said of each mistake: with its place, and a way out.

use super::{TWO, complaint, group};

/// A member with these lines, the first of which is line 4.
fn member(lines: &str) -> String {
    format!("[member.a]\nplugin = \"vdir\"\npath = \"/a\"\n{lines}")
}

/// Each text, and all that is said of it.
fn assert_told(cases: &[(String, &str)]) {
    for (text, expected) in cases {
        assert_eq!(complaint(text), *expected, "for:\n{text}");
    }
}

#[test]
fn what_is_no_toml_and_what_is_no_key_is_told_with_its_place() {
    assert_told(&[
        ("state = ".to_owned(), "1:9: string values must be quoted, expected literal string"),
        ("a = 1\na = 2".into(), "2:1: duplicate key"),
        ("stat = \"x\"".into(), "1:1: unknown key `stat` at the top (did you mean `state`?)"),
        ("[grup.x]".into(), "1:2: unknown key `grup` at the top (did you mean `group`?)"),
        (
            "[defaults]\nconflct = 1".into(),
            "2:1: unknown key `conflct` in [defaults] (did you mean `conflict`?)",
        ),
        ("[defaults.journal]\nday = 1".into(), "2:1: unknown key `day` in `journal` (did you mean `days`?)"),
        (
            "[defaults.max_delete]\nx = 1".into(),
            "2:1: unknown key `x` in `max_delete` (known here: count, percent)",
        ),
        (member("requird = false"), "4:1: unknown key `requird` in member `a` (did you mean `required`?)"),
        (
            member("exension = \"vcf\""),
            "4:1: unknown key `exension` in member `a` (did you mean `extension`?)",
        ),
        (
            member("[member.a.sandbox]\nreed = []"),
            "5:1: unknown key `reed` in the sandbox (did you mean `read`?)",
        ),
        (
            group("collection = \"all\""),
            "9:1: unknown key `collection` in group `g` (did you mean `collections`?)",
        ),
    ]);
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_the_right_one() {
    assert_told(&[
        ("state = 1".into(), "1:9: `state` must be a text in quotes, not a number"),
        ("state = \"\"".into(), "1:9: `state` is empty"),
        ("broker = \"yes\"".into(), "1:10: `broker` must be true or false, not a text"),
        (member("required = \"no\""), "4:12: `required` must be true or false, not a text"),
        (member("marker = \"x\""), "4:10: `marker` must be true or false, not a text"),
        ("member = 3".into(), "1:10: `member` must be a table, not a number"),
        ("[defaults]\nmax_delete = { percent = 101 }".into(), "2:26: `percent` must lie between 0 and 100"),
        ("[defaults]\nmax_delete = { count = -1 }".into(), "2:24: `count` must lie between 0 and 4294967295"),
        (
            "[defaults]\njournal = { size = \"1 gig\" }".into(),
            "2:20: `size` is not a size (write a number with a unit, such as \"256MiB\")",
        ),
    ]);
}

#[test]
fn a_word_that_is_none_is_told_with_those_that_are() {
    assert_told(&[
        (
            "[defaults]\nedit_vs_delete = \"edits\"".into(),
            "2:18: `edit_vs_delete` cannot be \"edits\" (did you mean `edit`?)",
        ),
        (
            "[defaults]\nconflict = \"ours\"".into(),
            "2:12: `conflict` cannot be \"ours\" (write \"queue\", \"keep-both\", \"newest\", \"merge\", { prefer = \
             \"member\" } or { command = [\"…\"] })",
        ),
        (
            "[defaults]\nconflict = {}".into(),
            "2:12: `conflict` says nothing (write \"queue\", \"keep-both\", \"newest\", \"merge\", { prefer = \
             \"member\" } or { command = [\"…\"] })",
        ),
        ("[defaults]\nconflict = { command = [] }".into(), "2:24: `command` is empty"),
        (
            "[defaults]\nconflict = { command = [\"meld\", \"{left}\"] }".into(),
            "2:24: the command has no `{result}` (say where it leaves its result, or name none of the files: then all \
             four are added at its end)",
        ),
        (
            "[defaults]\nconflict = { command = [3] }".into(),
            "2:25: `command` must be a text in quotes, not a number",
        ),
        (
            "[defaults]\nreadonly = \"kepe\"".into(),
            "2:12: `readonly` cannot be \"kepe\" (did you mean `keep`?)",
        ),
        ("[defaults]\nmatch = \"uid\"".into(), "2:9: `match` cannot be \"uid\" (known here: content, key)"),
        ("[defaults]\nmax_update = 101".into(), "2:14: `max_update` must lie between 0 and 100"),
        (
            group("mode = \"mirror\""),
            "9:8: `mode` cannot be \"mirror\" (write \"mirror:MEMBER\", or leave it out: then the changes of all \
             members count)",
        ),
        (group("mode = \"mirror:c\""), "9:8: `c` is not a member of this group (did you mean `a`?)"),
        (
            group("mode = \"mirror:a\"\nconflict = \"newest\""),
            "10:1: `conflict` means nothing in a group with `mode` (the member that is mirrored wins, whatever others \
             change; leave one of the two out)",
        ),
        (
            "[defaults]\nconflict = { prefers = 1 }".into(),
            "2:14: unknown key `prefers` in `conflict` (did you mean `prefer`?)",
        ),
    ]);
}

#[test]
fn a_member_that_cannot_be_is_told_with_what_is_missing() {
    let crm = |lines: &str| format!("[member.a]\nplugin = \"crm\"\n{lines}");
    assert_told(&[
        (
            "[member.a]\nplugn = \"vdir\"".into(),
            "1:9: the key `plugin` is missing in member `a` (is `plugn` meant to be `plugin`?)",
        ),
        ("[member.a]\nplugin = \"vdir\"".into(), "1:9: the plugin vdir needs `path` in member `a`"),
        ("[member.a]\nplugin = \"a b\"".into(), "2:10: \"a b\" cannot be the name of a plugin"),
        (
            "[member.\"a/b\"]\nplugin = \"x\"".into(),
            "1:9: \"a/b\" cannot be the name of a member (use letters, digits, - and _, at most 64)",
        ),
        (
            "[member.a]\nplugin = \"x\"\n[member.A]\nplugin = \"x\"".into(),
            "3:9: the members `a` and `A` differ only in upper and lower case",
        ),
        (member("options = { path = \"/b\" }"), "4:13: `path` is said twice in member `a`"),
        (crm("x = [1]"), "3:5: `x` must be a text, a number, or true or false"),
    ]);
}

#[test]
fn a_sandbox_that_cannot_be_is_told_with_what_can() {
    assert_told(&[
        (
            member("[member.a.sandbox]\nnetwork = [\"host\"]"),
            "5:12: \"host\" is not a host and a port (write it as \"dav.example.org:443\", \"127.0.0.1:8080\", \
             \"[::1]:8080\", \"10.0.0.0/8:443\", \"*:443\" for any public host, or \"tcp:443\" for a port that it \
             connects to by itself)",
        ),
        (
            member("[member.a.sandbox]\nnetwork = [\"tcp:443\", \"h:443\"]"),
            "5:23: `network` names ports (\"tcp:443\") beside hosts, and they do not go together (name hosts, which \
             the broker connects to, or ports, which the plugin connects to by itself)",
        ),
        (
            member("[member.a.sandbox]\nmemory = \"64KiB\""),
            "5:10: `memory` is too little for any program to start: it must be at least 4 MiB (write a number with \
             a unit, such as \"64MiB\")",
        ),
        (
            member("[member.a.sandbox]\nrestart = { max = 0 }"),
            "5:19: `max` must be at least 1 (with 1, a plugin that has crashed is not started again)",
        ),
        (
            member("[member.a.sandbox]\nrestart = { times = 3 }"),
            "5:13: unknown key `times` in `restart` (known here: max, within)",
        ),
        (
            member("[member.a.sandbox]\ncalls_timeout = \"30\""),
            "5:17: `calls_timeout` is not a length of time (write a number with a unit (ms, s, m, h), such as \"30s\")",
        ),
        (
            member("[member.a.sandbox]\nprofile = \"open\""),
            "5:11: `profile` cannot be \"open\" (known here: strict, network, none)",
        ),
    ]);
}

#[test]
fn a_group_that_cannot_be_is_told_with_what_is_wrong() {
    assert_told(&[
        ("[group.g]".into(), "1:8: the key `members` is missing in group `g` (name two members, or more)"),
        (
            format!("{TWO}[group.g]\nmember = [\"a\", \"b\"]"),
            "8:1: unknown key `member` in group `g` (did you mean `members`?)",
        ),
        (
            format!("{TWO}[group.g]\nmembers = [\"a\", \"c\"]"),
            "8:17: no member is called `c` (did you mean `b`?)",
        ),
        (
            format!("{TWO}[group.g]\nmembers = [\"a\"]"),
            "8:11: a group of one member has nothing to keep `a` the same as (name two members, or more)",
        ),
        (
            format!("{TWO}[group.g]\nmembers = []"),
            "8:11: a group of no members keeps nothing the same (name two members, or more)",
        ),
        (format!("{TWO}[group.g]\nmembers = [\"a\", \"a\"]"), "8:17: `a` is named twice"),
        (
            format!("{TWO}[group.g]\nmembers = [\"a\", \"bb\"]"),
            "8:17: no member is called `bb` (did you mean `b`?)",
        ),
        (group("conflict = { prefer = \"c\" }"), "9:23: no member is called `c` (did you mean `a`?)"),
        (
            group("collections = \"book\""),
            "9:15: `collections` cannot be \"book\" (write \"all\", or a list: [\"book\"])",
        ),
        (group("collections = []"), "9:15: `collections` is empty (write \"all\", or leave it out)"),
        (group("collections = [\"x\", \"x\"]"), "9:21: a collection of `x` is named twice"),
        (
            group("collections = [\"x\", { a = \"y\", b = \"x\" }]"),
            "9:21: a collection of `y` is named twice",
        ),
        (
            group("collections = [{ a = \"x\" }]"),
            "9:16: this collection has no name at `b` (every member of the group has to be named: b = \"…\")",
        ),
        (
            group("collections = [{ a = \"x\", b = \"y\", c = \"z\" }]"),
            "9:36: `c` is not a member of this group (did you mean `a`?)",
        ),
    ]);
}
