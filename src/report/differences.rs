//! Differences: two texts line by line.

/// Cells of the table that finds the longest common sequence. Texts that would need more, after their
/// common beginning and end are taken off, count as different in between.
const MOST: usize = 4 << 20;

/// A part of two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Lines that both have.
    Same(&'a [&'a [u8]]),
    /// Lines that stand in one in the place of those in the other; one of both may have none.
    Other(&'a [&'a [u8]], &'a [&'a [u8]]),
}

/// The lines of a text, each with its end.
#[must_use]
pub fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// What two texts have in common, and what not, in their order. Costs 16 MiB of memory at most.
#[must_use]
pub fn differences<'a>(left: &'a [&'a [u8]], right: &'a [&'a [u8]]) -> Vec<Part<'a>> {
    let same = |pair: &(&&[u8], &&[u8])| pair.0 == pair.1;
    let head = left.iter().zip(right).take_while(same).count();
    let (begin, left) = left.split_at(head);
    let right = right.get(head..).unwrap_or_default();
    let tail = left.iter().rev().zip(right.iter().rev()).take_while(same).count();
    let (left, end) = left.split_at(left.len() - tail);
    let (right, _) = right.split_at(right.len() - tail);
    let mut parts = vec![Part::Same(begin)];
    if left.len().saturating_mul(right.len()) > MOST {
        parts.push(Part::Other(left, right));
    } else {
        parts.extend(between(left, right));
    }
    parts.push(Part::Same(end));
    parts.retain(|part| !matches!(part, Part::Same([]) | Part::Other([], [])));
    parts
}

/// By the longest common sequence.
fn between<'a>(mut left: &'a [&'a [u8]], mut right: &'a [&'a [u8]]) -> Vec<Part<'a>> {
    let lengths = Lengths::of(left, right);
    let mut parts = Vec::new();
    while !left.is_empty() || !right.is_empty() {
        let (here, there) = lengths.until_common(left, right);
        parts.push(Part::Other(take(&mut left, here), take(&mut right, there)));
        let same = left.iter().zip(right).take_while(|(left, right)| left == right).count();
        parts.push(Part::Same(take(&mut left, same)));
        take(&mut right, same);
    }
    parts
}

/// Takes the first lines away.
fn take<'a>(lines: &mut &'a [&'a [u8]], count: usize) -> &'a [&'a [u8]] {
    let (taken, rest) = lines.split_at(count);
    *lines = rest;
    taken
}

/// How long the longest common sequence is of what is left of two texts.
struct Lengths {
    columns: usize,
    /// By how many lines are left of both.
    cells: Vec<u32>,
}

impl Lengths {
    fn of(left: &[&[u8]], right: &[&[u8]]) -> Self {
        let columns = right.len() + 1;
        let mut lengths = Self { columns, cells: vec![0; columns * (left.len() + 1)] };
        for (i, this) in (1..).zip(left.iter().rev()) {
            for (j, that) in (1..).zip(right.iter().rev()) {
                let longest = if this == that {
                    lengths.at(i - 1, j - 1) + 1
                } else {
                    lengths.at(i - 1, j).max(lengths.at(i, j - 1))
                };
                lengths.cells[i * columns + j] = longest;
            }
        }
        lengths
    }

    fn at(&self, left: usize, right: usize) -> u32 {
        self.cells.get(left * self.columns + right).copied().unwrap_or(0)
    }

    /// So many lines of both stand before the next one that they have in common.
    fn until_common(&self, left: &[&[u8]], right: &[&[u8]]) -> (usize, usize) {
        let (mut here, mut there) = (0, 0);
        while here < left.len() || there < right.len() {
            if left.get(here) == right.get(there) {
                break;
            }
            let (i, j) = (left.len() - here, right.len() - there);
            let skips_left = i > 0 && (j == 0 || self.at(i - 1, j) >= self.at(i, j - 1));
            if skips_left { here += 1 } else { there += 1 }
        }
        (here, there)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(left: &str, right: &str) -> Vec<String> {
        let (left, right) = (lines(left.as_bytes()), lines(right.as_bytes()));
        let text = |lines: &[&[u8]]| String::from_utf8(lines.concat()).unwrap().replace('\n', "/");
        let told = |part: &Part<'_>| match part {
            Part::Same(lines) => text(lines),
            Part::Other(left, right) => format!("-{} +{}", text(left), text(right)),
        };
        differences(&left, &right).iter().map(told).collect()
    }

    #[test]
    fn what_differs_stands_beside_each_other_and_the_rest_once() {
        assert_eq!(told("a\nb\nc\nd\n", "a\nx\nc\ny\nd\n"), ["a/", "-b/ +x/", "c/", "- +y/", "d/"]);
        assert_eq!(told("a\n", "a\n"), ["a/"]);
        assert_eq!(told("", "a"), ["- +a"]);
        assert_eq!(told("a\nb\n", ""), ["-a/b/ +"]);
        assert!(told("", "").is_empty());
    }

    #[test]
    fn what_would_take_too_long_to_compare_is_different_in_between() {
        let many = |what: &str| (0..3_000).map(|n| format!("{what}{n}\n")).collect::<String>();
        let (left, right) = (format!("head\n{}tail\n", many("l")), format!("head\n{}tail\n", many("r")));
        let parts = told(&left, &right);
        assert_eq!((parts.len(), &*parts[0], &*parts[2]), (3, "head/", "tail/"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn both_texts_can_be_had_back(left in "[ab\n]{0,40}", right in "[ab\n]{0,40}") {
            let (one, other) = (lines(left.as_bytes()), lines(right.as_bytes()));
            let (mut first, mut second) = (Vec::new(), Vec::new());
            for part in differences(&one, &other) {
                let (a, b) = match part { Part::Same(same) => (same, same), Part::Other(a, b) => (a, b) };
                first.extend(a.concat());
                second.extend(b.concat());
            }
            prop_assert_eq!((first, second), (left.into_bytes(), right.into_bytes()));
        }
    }
}
