//! All the names that a path goes by on its way: where a link lies matters as much as where it leads,
//! for whoever can replace the link decides that.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// The most links that are followed, as the kernel has it.
const MOST_LINKS: usize = 40;

/// A path as it is written, as it reads after each link that is followed, and without any: the last.
/// Each of them is real up to the next link, and what comes after a `..` is left out of it. What does
/// not exist is taken as written. Never empty; holds for the moment.
pub(crate) fn ways(path: &Path) -> Vec<PathBuf> {
    let mut left: VecDeque<OsString> = parts(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    let (mut real, mut ways) = (PathBuf::new(), Vec::new());
    while let Some(part) = left.pop_front() {
        if part == ".." {
            real.pop();
            continue;
        }
        real.push(part);
        if ways.len() < MOST_LINKS
            && let Ok(target) = real.read_link()
        {
            ways.push(
                left.iter().take_while(|part| *part != "..").fold(real.clone(), |way, part| way.join(part)),
            );
            real.pop();
            left = parts(&target).into_iter().chain(left).collect();
        }
    }
    ways.push(real.canonicalize().unwrap_or(real));
    ways
}

/// The root is one of them: pushed onto a path, it takes its place.
fn parts(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| part.as_os_str().to_owned()).collect()
}

/// Whether a path is below `folder`, or passes through it: then whoever may change the folder's contents
/// decides where the path leads. Not so for the folder itself, by whatever name.
pub fn passes_through(path: &Path, folder: &Path) -> bool {
    ways(folder)
        .pop()
        .is_some_and(|folder| ways(path).iter().any(|way| *way != folder && way.starts_with(&folder)))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// `a/file`, `b -> a`, `c -> b/file`, `loop -> loop`.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        std::fs::create_dir(path.join("a")).unwrap();
        std::fs::write(path.join("a/file"), "").unwrap();
        symlink("a", path.join("b")).unwrap();
        symlink(path.join("b/file"), path.join("c")).unwrap();
        symlink("loop", path.join("loop")).unwrap();
        (folder, path)
    }

    #[test]
    fn every_link_on_the_way_is_named() {
        let (_folder, at) = folder();
        let of = |path: &str| ways(&at.join(path));
        assert_eq!(of("a/file"), [at.join("a/file")]);
        assert_eq!(of("c"), [at.join("c"), at.join("b/file"), at.join("a/file")]);
        assert_eq!(of("b/./gone/x"), [at.join("b/gone/x"), at.join("a/gone/x")]);
        assert_eq!(of("b/../c"), [at.join("b"), at.join("c"), at.join("b/file"), at.join("a/file")]);
        assert!(of("loop").len() <= MOST_LINKS + 1);
    }

    #[test]
    fn what_a_link_leads_out_of_is_passed_through() {
        let (_folder, at) = folder();
        let through = |path: &str, folder: &str| passes_through(&at.join(path), &at.join(folder));
        assert!(
            through("a/file", "a") && through("b/file", "a") && through("a/file", "b") && through("c", "a")
        );
        symlink("/etc", at.join("a/out")).unwrap();
        assert!(through("a/out/passwd", "a") && through("b/out/passwd", "a"));
        assert!(!through("a", "a") && !through("b", "a") && !through("a", "b"), "the folder itself");
        assert!(!through("a/../a", "a/file") && !through("c", "gone"));
    }
}
