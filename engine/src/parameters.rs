//! Parameters: those of one content line, in an order and a case of their own.

use crate::lines::split_unquoted;

/// The parameters of one line, normalised; kept from line to line for its memory.
#[derive(Default)]
pub(crate) struct Parameters {
    text: Vec<u8>,
    ranges: Vec<(usize, usize)>,
}

impl Parameters {
    /// Takes the parameters of the next line; returns whether they make its value base64.
    pub(crate) fn read(&mut self, parameters: &[u8]) -> bool {
        self.text.clear();
        self.ranges.clear();
        let mut is_base64 = false;
        for parameter in split_unquoted(parameters, b';') {
            is_base64 |= names_base64(parameter);
            self.add(parameter);
        }
        is_base64
    }

    fn push(&mut self, name: &[u8], value: impl Iterator<Item = u8>) {
        let from = self.text.len();
        self.text.extend(name.iter().map(u8::to_ascii_uppercase));
        self.text.extend(value);
        self.ranges.push((from, self.text.len()));
    }

    /// Upper-cases the name; a TYPE list becomes one parameter for each type, in lower case.
    fn add(&mut self, parameter: &[u8]) {
        let name_end = parameter.iter().position(|byte| *byte == b'=').map_or(parameter.len(), |at| at + 1);
        let (name, value) = parameter.split_at(name_end);
        if !name.eq_ignore_ascii_case(b"TYPE=") {
            return self.push(name, value.iter().copied());
        }
        for part in value.split(|byte| matches!(byte, b',' | b'"')).filter(|part| !part.is_empty()) {
            self.push(name, part.iter().map(u8::to_ascii_lowercase));
        }
    }

    /// Writes them sorted and without repetition.
    pub(crate) fn write(&mut self, to: &mut Vec<u8>) {
        let text = |range: &(usize, usize)| self.text.get(range.0..range.1).unwrap_or_default();
        self.ranges.sort_unstable_by(|a, b| text(a).cmp(text(b)));
        self.ranges.dedup_by(|a, b| text(a) == text(b));
        for range in &self.ranges {
            to.push(b';');
            to.extend_from_slice(text(range));
        }
    }
}

/// `ENCODING=b`, `ENCODING=BASE64`, or vCard 2.1's bare `BASE64`.
fn names_base64(parameter: &[u8]) -> bool {
    let mut parts = parameter.splitn(2, |byte| *byte == b'=');
    match (parts.next(), parts.next()) {
        (Some(bare), None) => bare.eq_ignore_ascii_case(b"BASE64"),
        (Some(name), Some(value)) => {
            name.eq_ignore_ascii_case(b"ENCODING")
                && (value.eq_ignore_ascii_case(b"b") || value.eq_ignore_ascii_case(b"BASE64"))
        }
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(parameters: &str) -> (String, bool) {
        let (mut known, mut text) = (Parameters::default(), Vec::new());
        let is_base64 = known.read(parameters.as_bytes());
        known.write(&mut text);
        (String::from_utf8(text).unwrap(), is_base64)
    }

    #[test]
    fn names_are_upper_case_lists_of_types_are_split_and_all_is_sorted() {
        assert_eq!(normal("type=HOME,Cell;x=Y;TYPE=home").0, ";TYPE=cell;TYPE=home;X=Y");
        assert_eq!(normal("pref;TYPE=\"A,b\"").0, ";PREF;TYPE=a;TYPE=b");
    }

    #[test]
    fn base64_has_three_spellings() {
        for parameters in ["ENCODING=b", "encoding=BASE64;TYPE=JPEG", "BASE64"] {
            assert!(normal(parameters).1, "{parameters}");
        }
        assert!(!normal("ENCODING=8BIT").1);
    }
}
