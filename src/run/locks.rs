//! Locks: what a run must hold alone, and what the keepers of its plugins hold with it.
//!
//! Two groups may share a member, also under two names. A member counts as the same where its
//! *place* is the same: the plugin, and the folder that it works on.

use std::collections::HashMap;
use std::fs::{File, canonicalize};
use std::path::Path;
use std::time::Duration;

use outrigger_store::lock_member;

use super::stored::store_exit;
use crate::config::{GroupConfig, MemberConfig};
use crate::report::Failure;

/// Takes the locks of all members, in their order, each within `patience`.
///
/// In the order of the places, whatever the order in the group: so no two runs wait for each other.
///
/// # Errors
/// Somebody else holds one, or two members are one place.
pub(super) fn take(
    state: &Path,
    members: &[&MemberConfig],
    patience: Duration,
) -> Result<Vec<File>, Failure> {
    let mut places: Vec<_> = members.iter().map(|member| place(member)).zip(members).enumerate().collect();
    places.sort_by(|(_, (one, _)), (_, (other, _))| one.cmp(other));
    let mut locks = Vec::new();
    for (index, (place, member)) in places {
        let taken = lock_member(state, &place, patience);
        locks.push((index, taken.map_err(|error| in_use(member, &error))?));
    }
    locks.sort_by_key(|(index, _)| *index);
    Ok(locks.into_iter().map(|(_, lock)| lock).collect())
}

/// Fails if a group would keep a place the same as itself, also through a link, which the text of the
/// configuration does not show.
pub(super) fn check_apart(group: &GroupConfig, members: &[&MemberConfig]) -> Result<(), Failure> {
    let mut seen = HashMap::new();
    for member in members {
        if let Some(other) = seen.insert(place(member), &member.name) {
            let text = format!(
                "the members {other} and {} of the group {} are the same place",
                member.name, group.name
            );
            return Err(Failure::usage(text).hint("give each of them a folder of its own"));
        }
    }
    Ok(())
}

/// What tells a member from all others: its plugin, and the folder that this one works on, without
/// symbolic links. Of a plugin that we know nothing of, all its settings; of an end that is found, its
/// name.
fn place(member: &MemberConfig) -> String {
    if let Some(locate) = &member.locate {
        return format!("an end\n{}", locate.name);
    }
    let resolved = |path: &str| canonicalize(path).map(|path| path.to_string_lossy().into_owned());
    let mut settings: Vec<String> = match member.place() {
        Some(path) => vec![resolved(path).unwrap_or_else(|_| path.to_owned())],
        None => member.options.iter().map(|(name, value)| format!("{name}={value}")).collect(),
    };
    settings.sort(); // their order in the file means nothing
    format!("{}\n{}", member.plugin, settings.join("\n"))
}

fn in_use(member: &MemberConfig, error: &outrigger_store::Error) -> Failure {
    let failure = Failure::new(store_exit(error), format!("the member {} cannot be used now", member.name))
        .because(error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Places};
    use crate::exit::Exit;

    fn config(text: &str) -> Config {
        Config::parse(&format!("state = \"/s\"\n{text}"), Path::new("/c.toml"), &Places::default()).unwrap()
    }

    fn vdir(name: &str, more: &str) -> String {
        format!("[member.{name}]\nplugin = \"vdir\"\n{more}\n")
    }

    #[cfg(unix)]
    #[test]
    fn x3_a_member_is_the_same_under_any_name_and_by_any_way() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let text = vdir("a", &format!("path = {real:?}"))
            + &vdir("b", &format!("path = {link:?}\nextension = \"vcf\""))
            + &vdir("c", "path = \"/elsewhere\"")
            + "[group.g]\nmembers = [\"a\", \"b\"]";
        let config = config(&text);
        let [a, b, c] = ["a", "b", "c"].map(|name| config.member(name).unwrap());
        assert_eq!(place(a), place(b));
        assert_ne!(place(a), place(c));
        let group = config.group("g").unwrap();
        assert_eq!(check_apart(group, &[a, b]).unwrap_err().exit, Exit::Usage);
        check_apart(group, &[a, c]).unwrap();
    }

    #[test]
    fn x3_a_plugin_that_is_not_ours_is_told_by_all_its_settings() {
        let config = config(
            "[member.a]\nplugin = \"crm\"\nurl = \"x\"\n[member.b]\nplugin = \"crm\"\nurl = \"y\"\n\
             [member.c]\nplugin = \"dav\"\nurl = \"x\"\n[member.d]\nplugin = \"crm\"\nurl = \"x\"\n",
        );
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| place(config.member(name).unwrap()));
        assert!(a != b && a != c && a == d);
    }

    #[test]
    fn x3_an_end_that_is_found_is_the_same_under_any_name_of_the_member() {
        let config = config(
            "[member.a]\nlocate = { rendezvous = \"notes\" }\n[member.b]\nlocate = { socket = \"/s\", name = \"notes\" }\n\
             [member.c]\nlocate = { rendezvous = \"other\" }\n",
        );
        let [a, b, c] = ["a", "b", "c"].map(|name| place(config.member(name).unwrap()));
        assert!(a == b && a != c);
    }

    #[test]
    fn x3_two_runs_on_one_member_do_not_meet_and_do_not_wait_for_ever() {
        let state = tempfile::tempdir().unwrap();
        let config =
            config(&(vdir("a", "path = \"/a\"") + &vdir("b", "path = \"/b\"") + &vdir("c", "path = \"/c\"")));
        let [a, b, c] = ["a", "b", "c"].map(|name| config.member(name).unwrap());
        let first = take(state.path(), &[a, b], Duration::ZERO).unwrap();
        let failure = take(state.path(), &[b, c], Duration::ZERO).unwrap_err();
        assert_eq!((failure.exit, &*failure.message), (Exit::Locked, "the member b cannot be used now"));
        drop(first);
        take(state.path(), &[c, b], Duration::ZERO).unwrap();
    }
}
