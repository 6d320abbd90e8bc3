//! A new configuration, as `init` writes it.

use std::fmt;

/// A pair of members that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Name of the group.
    pub group: String,
    /// Its members.
    pub members: Vec<DraftMember>,
}

/// One side of a [`Draft`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftMember {
    /// Name of the member.
    pub name: String,
    /// The plugin that knows its place.
    pub plugin: String,
    /// Where it is, as the user wrote it; what the plugin calls `path`.
    pub place: String,
}

/// The text of the configuration file.
impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Paths: ~ is your home; relative ones are seen from the folder of this file.")?;
        for member in &self.members {
            writeln!(f, "\n[member.{}]", member.name)?;
            writeln!(f, "plugin = {}", Quoted(&member.plugin))?;
            writeln!(f, "path = {}", Quoted(&member.place))?;
        }
        let names: Vec<String> = self.members.iter().map(|member| Quoted(&member.name).to_string()).collect();
        writeln!(f, "\n[group.{}]", self.group)?;
        writeln!(f, "members = [{}]", names.join(", "))?;
        writeln!(f, "collections = \"all\"         # or some: [\"family\", \"work\"]")?;
        writeln!(f, "create_collections = true   # make on one side what only the other has")
    }
}

/// A TOML basic string.
struct Quoted<'t>(&'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04X}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}
