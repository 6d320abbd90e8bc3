//! Configuration: what of it decides what a plan means.

use sha2::{Digest as _, Sha256};

use crate::config::{Config, GroupConfig, MemberConfig};

/// A digest over all that decides what is done in a group. Comments and places in the file are no part of
/// it, nor what plugins may use.
pub(super) fn digest(config: &Config, group: &GroupConfig) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: String| {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    };
    let GroupConfig { name, members, collections, create_collections, mirror, policies, at: _ } = group;
    add(config.state.to_string_lossy().into_owned());
    add(format!("{name:?} {members:?} {collections:?} {create_collections} {mirror:?} {policies:?}"));
    members.iter().filter_map(|name| config.member(name)).for_each(|member| add(place(member)));
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn place(member: &MemberConfig) -> String {
    let MemberConfig { name, plugin, read_only, no_delete, reliable_times, locate, options, .. } = member;
    format!("{name:?} {plugin:?} {read_only} {no_delete} {reliable_times} {locate:?} {options:?}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Places;

    const TEXT: &str = "state = \"/s\"\n[member.a]\nplugin = \"vdir\"\npath = \"/a\"\n[member.b]\nplugin = \"vdir\"\n\
                        path = \"/b\"\n[group.g]\nmembers = [\"a\", \"b\"]\n";

    fn of(text: &str) -> String {
        let config = Config::parse(text, Path::new("/c.toml"), &Places::default()).unwrap();
        digest(&config, config.group("g").unwrap())
    }

    #[test]
    fn what_decides_what_is_done_makes_another_configuration_and_nothing_else() {
        assert_eq!(
            of(TEXT),
            of(&format!("# a comment\n\n{TEXT}\n[member.c]\nplugin = \"vdir\"\npath = \"/c\"\n"))
        );
        for (old, new) in [
            ("\"/a\"", "\"/x\""),
            ("\"/s\"", "\"/t\""),
            ("path = \"/b\"\n", "path = \"/b\"\nread_only = true\n"),
            ("\"a\", \"b\"]", "\"a\", \"b\"]\nconflict = \"merge\""),
            ("\"a\", \"b\"]", "\"b\", \"a\"]"),
            ("\"a\", \"b\"]", "\"a\", \"b\"]\nmax_delete = { count = 6, percent = 25 }"),
        ] {
            assert_ne!(of(TEXT), of(&TEXT.replace(old, new)), "{new}");
        }
    }
}
