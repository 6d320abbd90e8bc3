//! Settings of a member: `path`, `extension`, `marker`.

use std::path::{Path, PathBuf};

use outrigger_plugin_sdk::protocol::{Error, Member};

use crate::failure::{configuration, unavailable};
use crate::names::Format;

const NAMES: [&str; 3] = ["path", "extension", "marker"];

/// The file that says: this folder is the right one, and mounted.
pub(crate) const MARKER: &str = ".outrigger-marker";

/// Settings that can work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The folder that holds a folder per collection.
    pub(crate) path: PathBuf,
    /// Only items of this format.
    pub(crate) only: Option<Format>,
    marker: bool,
}

impl Options {
    /// Reads the settings of a member.
    pub(crate) fn of(member: &Member) -> Result<Self, Error> {
        member.options.iter().try_for_each(|(name, _)| known(name))?;
        let path = member
            .option("path")
            .ok_or_else(|| configuration("\"path\" is missing: the folder of folders"))?;
        Ok(Self {
            path: absolute(path)?,
            only: member.option("extension").map(only).transpose()?,
            marker: member.option("marker").map_or(Ok(false), yes_or_no)?,
        })
    }

    /// Whether the store is there: a stick that is not mounted has no marker.
    pub(crate) fn check_present(&self) -> Result<(), Error> {
        if self.is_present() {
            return Ok(());
        }
        let marker = self.path.join(MARKER);
        let marker = marker.display();
        Err(unavailable(format!(
            "{marker} is missing: is the right disk mounted? If it is, and was never marked, make that file, empty"
        )))
    }

    /// The same as an answer.
    pub(crate) fn is_present(&self) -> bool {
        !self.marker || self.path.join(MARKER).is_file()
    }

    /// Whether items of this format are wanted.
    pub(crate) fn wants(&self, format: Format) -> bool {
        self.only.is_none_or(|only| only == format)
    }
}

fn absolute(path: &str) -> Result<PathBuf, Error> {
    if Path::new(path).is_absolute() {
        return Ok(path.into());
    }
    Err(configuration(format!("\"path\" must be absolute, not \"{path}\"")))
}

fn only(extension: &str) -> Result<Format, Error> {
    let formats = [Format::Vcard, Format::Icalendar];
    let found = formats.into_iter().find(|format| format.extension() == extension);
    found.ok_or_else(|| configuration(format!("\"extension\" is \"vcf\" or \"ics\", not \"{extension}\"")))
}

fn yes_or_no(value: &str) -> Result<bool, Error> {
    value.parse().map_err(|_| configuration(format!("\"marker\" is \"true\" or \"false\", not \"{value}\"")))
}

fn known(name: &str) -> Result<(), Error> {
    if NAMES.contains(&name) {
        return Ok(());
    }
    let nearest = NAMES.into_iter().min_by_key(|known| strsim::osa_distance(known, name)).unwrap_or_default();
    Err(configuration(format!("unknown option \"{name}\": did you mean \"{nearest}\"?")))
}

#[cfg(test)]
mod tests {
    use outrigger_plugin_sdk::protocol::Blame;

    use super::*;

    pub(crate) fn member(options: &[(&str, &str)]) -> Member {
        Member::new("laptop", options.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect())
    }

    fn refused(options: &[(&str, &str)]) -> String {
        let error = Options::of(&member(options)).unwrap_err();
        assert_eq!(error.blame, Blame::Configuration);
        error.message
    }

    #[test]
    fn settings_are_read() {
        let here = std::env::temp_dir();
        let path = here.to_str().unwrap();
        let options =
            Options::of(&member(&[("path", path), ("extension", "ics"), ("marker", "true")])).unwrap();
        assert_eq!(options, Options { path: here, only: Some(Format::Icalendar), marker: true });
    }

    #[test]
    fn an_unknown_option_names_the_nearest() {
        assert!(refused(&[("pth", "/x")]).contains("did you mean \"path\""));
        assert!(refused(&[("path", "/x"), ("extention", "vcf")]).contains("did you mean \"extension\""));
        assert!(refused(&[("path", "/x"), ("maker", "true")]).contains("did you mean \"marker\""));
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        assert!(refused(&[]).contains("\"path\" is missing"));
        assert!(refused(&[("path", "contacts")]).contains("must be absolute"));
        assert!(
            refused(&[("path", std::env::temp_dir().to_str().unwrap()), ("extension", "txt")])
                .contains("vcf")
        );
        assert!(
            refused(&[("path", std::env::temp_dir().to_str().unwrap()), ("marker", "yes")]).contains("true")
        );
    }

    #[test]
    fn without_its_marker_the_store_is_unavailable() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_str().unwrap();
        let options = Options::of(&member(&[("path", path), ("marker", "true")])).unwrap();
        assert!(options.check_present().unwrap_err().message.contains("mounted"));
        std::fs::write(root.path().join(MARKER), "").unwrap();
        options.check_present().unwrap();
    }
}
