//! Two folders, and a configuration that keeps them the same.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder that goes with its value.
pub(crate) struct Pair {
    root: TempDir,
}

impl Pair {
    /// The first of the two holds so many vCards of some 200 bytes.
    pub(crate) fn new(folder: &Path, plugin: &str, items: usize) -> Self {
        let root = tempfile::Builder::new().prefix("outrigger-bench-").tempdir_in(folder).unwrap();
        let pair = Self { root };
        for member in ["a", "b"] {
            fs::create_dir_all(pair.book(member)).unwrap();
        }
        (0..items).for_each(|number| put(&pair.book("a"), number));
        fs::write(pair.config(), configuration(plugin)).unwrap();
        pair
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.member("outrigger.toml")
    }

    pub(crate) fn member(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn book(&self, member: &str) -> PathBuf {
        self.member(member).join("book")
    }

    /// How many items a member holds.
    pub(crate) fn count(&self, member: &str) -> usize {
        fs::read_dir(self.book(member)).unwrap().count()
    }
}

fn configuration(plugin: &str) -> String {
    let member = |name| format!("[member.{name}]\nplugin = \"{plugin}\"\npath = \"./{name}\"\n");
    let group = "[group.pair]\nmembers = [\"a\", \"b\"]\ncollections = \"all\"\n";
    format!("state = \"./state\"\n{}{}{group}", member("a"), member("b"))
}

fn put(book: &Path, number: usize) {
    let uid = format!("{:08x}-{number:08}", number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff);
    let card = format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:Person {number}\r\nN:Person;{number};;;\r\n\
         EMAIL;TYPE=INTERNET,HOME:{number}@example.org\r\nTEL;TYPE=CELL:+49 170 {number:07}\r\nEND:VCARD\r\n"
    );
    fs::write(book.join(format!("{uid}.vcf")), card).unwrap();
}
