//! Names: which files are items, and what a new item is called.

use outrigger_plugin_sdk::protocol::{Code, Error, Href, RawDigest};

/// What an item is written in. The extension tells, nothing is opened to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Vcard,
    Icalendar,
}

impl Format {
    /// By the name of a file.
    pub(crate) fn of_file(name: &[u8]) -> Option<Self> {
        let (stem, extension) = name.split_at_checked(name.len().checked_sub(4)?)?;
        match extension.to_ascii_lowercase().as_slice() {
            _ if stem.is_empty() => None,
            b".vcf" => Some(Self::Vcard),
            b".ics" => Some(Self::Icalendar),
            _ => None,
        }
    }

    /// By the name of a format.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Vcard, Self::Icalendar].into_iter().find(|format| format.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vcard => "vcard",
            Self::Icalendar => "icalendar",
        }
    }

    /// What an item of this format begins and ends with.
    pub(crate) const fn component(self) -> &'static str {
        match self {
            Self::Vcard => "VCARD",
            Self::Icalendar => "VCALENDAR",
        }
    }

    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Vcard => "vcf",
            Self::Icalendar => "ics",
        }
    }

    /// A calendar item is called `event` although it may be a to-do: only the content tells, and a
    /// listing does not open files.
    pub(crate) const fn object_type(self) -> &'static str {
        match self {
            Self::Vcard => "contact",
            Self::Icalendar => "event",
        }
    }
}

/// Longest name of a file: what every file system in use holds.
pub(crate) const MAX_NAME: usize = 255;

/// The format of the item that this name can be of; `None` for a foreign file. Hidden files are
/// foreign: temporary files of editors, and ours.
pub(crate) fn item(name: &[u8]) -> Option<Format> {
    let plain = !name.starts_with(b".") && !name.contains(&b'/') && !name.contains(&0);
    let plain =
        plain && (cfg!(unix) || !name.iter().any(|byte| b"\\:".contains(byte))) && name.len() <= MAX_NAME;
    if plain { Format::of_file(name) } else { None }
}

/// The name that a request means.
pub(crate) fn requested(href: &Href) -> Result<&[u8], Error> {
    match item(href.as_bytes()) {
        Some(_) => Ok(href.as_bytes()),
        None => Err(Error::new(
            Code::INVALID,
            format!("\"{href}\" cannot be an item: a plain file name that ends in .vcf or .ics is needed"),
        )),
    }
}

/// Longest stem that is taken over from a key; leaves room for the names of displaced files.
const MAX_STEM: usize = 120;

/// Names to try for a new item, the same each time: the key itself where that is a safe file name
/// on every system, else its digest; then the same with a piece of the digest behind it.
pub(crate) fn for_new(key: &[u8], digest: &RawDigest, format: Format) -> impl Iterator<Item = Vec<u8>> {
    let key = if key.is_empty() { &digest.0 } else { key };
    // Without a UID the key is the name at the other member: the extension is there already.
    let key = if Format::of_file(key) == Some(format) { &key[..key.len() - 4] } else { key };
    let hash = RawDigest::of(key).to_string();
    let stem =
        if is_safe_stem(key) { String::from_utf8_lossy(key).into_owned() } else { hash[..32].to_owned() };
    (0..8).map(move |attempt| match attempt {
        0 => format!("{stem}.{}", format.extension()).into_bytes(),
        n => format!("{stem}-{}{n}.{}", &hash[..8], format.extension()).into_bytes(),
    })
}

fn is_safe_stem(key: &[u8]) -> bool {
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.@+".contains(byte);
    key.len() <= MAX_STEM
        && key.iter().all(safe)
        && key.first().is_some_and(u8::is_ascii_alphanumeric)
        && !is_device(key)
}

/// Windows takes these for devices, whatever follows a dot.
fn is_device(stem: &[u8]) -> bool {
    let base = stem.split(|byte| *byte == b'.').next().unwrap_or_default().to_ascii_lowercase();
    match base.as_slice() {
        b"con" | b"prn" | b"aux" | b"nul" => true,
        [b'c', b'o', b'm', digit] | [b'l', b'p', b't', digit] => digit.is_ascii_digit(),
        _ => false,
    }
}

/// Whether the content says that its UID is `key`: the same item under another name. Folded lines
/// are not joined: a UID so long is not recognised, and nothing worse.
pub(crate) fn has_key(content: &[u8], key: &[u8]) -> bool {
    content.split(|byte| *byte == b'\n').any(|line| uid(line.trim_ascii_end()) == Some(key))
}

fn uid(line: &[u8]) -> Option<&[u8]> {
    let (name, rest) = line.split_at_checked(3)?;
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let is_uid = name.eq_ignore_ascii_case(b"UID") && (colon == 0 || rest.starts_with(b";"));
    is_uid.then(|| rest[colon + 1..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(key: &[u8]) -> String {
        String::from_utf8(for_new(key, &RawDigest::of(b"x"), Format::Vcard).next().unwrap()).unwrap()
    }

    #[test]
    fn items_are_visible_files_with_one_of_two_extensions() {
        assert_eq!(item(b"a.vcf"), Some(Format::Vcard));
        assert_eq!(item(b"\xff\xfe.ICS"), Some(Format::Icalendar));
        for foreign in [&b".a.vcf"[..], b".vcf", b"a.vcf.tmp", b"color", b"../a.vcf", b"a\0.vcf", b"", b"vcf"]
        {
            assert_eq!(item(foreign), None, "{foreign:?}");
        }
        assert_eq!(item(&[&[b'a'; 251][..], b".vcf"].concat()), Some(Format::Vcard));
        assert_eq!(item(&[&[b'a'; 252][..], b".vcf"].concat()), None);
    }

    #[test]
    fn a_safe_key_is_the_name() {
        assert_eq!(first(b"4A1B-77@example.org"), "4A1B-77@example.org.vcf");
    }

    #[test]
    fn any_other_key_is_hashed() {
        for odd in
            [&b"../../etc/passwd"[..], b".hidden", b"-rf", b"a b", b"\xff", b"nul", b"COM1.x", &[b'a'; 121]]
        {
            let name = first(odd);
            assert_eq!(name.len(), 36, "{name}");
            assert!(name[..32].bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
            assert_eq!(name, first(odd), "the same each time");
        }
        assert_ne!(first(b"a b"), first(b"a  b"));
    }

    #[test]
    fn further_names_differ_in_more_than_case() {
        let names: std::collections::HashSet<_> = for_new(b"Abc", &RawDigest::of(b""), Format::Icalendar)
            .chain(for_new(b"abc", &RawDigest::of(b""), Format::Icalendar))
            .map(|name| name.to_ascii_lowercase())
            .collect();
        assert_eq!(names.len(), 15, "only the first name of both folds to one");
    }

    #[test]
    fn the_uid_line_tells_whose_content_it_is() {
        assert!(has_key(b"BEGIN:VCARD\r\nUID:k-1\r\nEND:VCARD\r\n", b"k-1"));
        assert!(has_key(b"BEGIN:VCARD\nuid;VALUE=text:k-1\n", b"k-1"));
        assert!(!has_key(b"BEGIN:VCARD\nX-UID:k-1\nUIDX:k-1\nNOTE:UID:k-1\n", b"k-1"));
    }
}
