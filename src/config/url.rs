//! Host and port of a URL: all of it that a sandbox needs.

use outrigger_broker::Grant;

/// `dav.example.org:443` of `https://ana@dav.example.org/x`; also of `dav.example.org:443`. `None`
/// where no host or no port can be told: schemes other than these two need their port.
pub(super) fn endpoint_of(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let authority = rest.split(['/', '?', '#']).next()?;
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let port = match scheme.to_ascii_lowercase().as_str() {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    };
    let whole = match port {
        Some(port) if !has_port(place) => format!("{}:{port}", place.trim_end_matches(':')),
        _ => place.to_owned(),
    };
    let one_host = whole.parse().is_ok_and(|grant: Grant| grant.is_one_host());
    one_host.then(|| whole.to_ascii_lowercase())
}

/// Whether something follows a colon behind the host; the colons of an IPv6 address are in brackets.
fn has_port(place: &str) -> bool {
    let behind = place.rsplit_once(']').map_or(place, |(_, behind)| behind);
    behind.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_a_port() {
        for (text, expected) in [
            ("https://dav.example.org", "dav.example.org:443"),
            ("HTTPS://DAV.example.org:8443/a:1?b#c", "dav.example.org:8443"),
            ("http://ana:p@ss@host/", "host:80"),
            ("http://host:/", "host:80"),
            ("https://[::1]/x", "[::1]:443"),
            ("https://[::1]:7/x", "[::1]:7"),
            ("imap://host:143", "host:143"),
            ("host:143", "host:143"),
        ] {
            assert_eq!(endpoint_of(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_names_none_grants_nothing() {
        for text in [
            "",
            "host",
            "https://",
            "imap://host",
            "https:///x",
            "https://a b/",
            "file:///x",
            "::1",
            "https://*",
            "https://tcp",
        ] {
            assert_eq!(endpoint_of(text), None, "{text}");
        }
    }
}
