//! Grants of network: which hosts a plugin may reach through the broker (decisions P5).
//!
//! An entry is `host:port` (that name, whatever its case, with or without a dot at its end),
//! an address (`127.0.0.1:8080`, `[::1]:8080`), a block of them (`10.0.0.0/8:443`, `[fd00::/8]:443`),
//! or `*:443`: any public host at that port. A name opens public addresses only.
//!
//! `tcp:443` grants a port instead: the sandbox lets the plugin connect to it by itself, wherever that
//! is, and the broker has no part in it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use outrigger_protocol::limits::MAX_HOST;

use crate::address::{canonical, is_public};

/// A text that is no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a host and a port")]
pub struct BadGrant(String);

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    hosts: Hosts,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    AnyPublic,
    Name(Name),
    Block(Block),
    /// None through the broker.
    Direct,
}

/// Addresses that begin alike.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    address: IpAddr,
    bits: u8,
}

impl Block {
    fn holds(&self, address: IpAddr) -> bool {
        let (ours, theirs) = match (self.address, canonical(address)) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (u128::from(ours.to_bits()) << 96, u128::from(theirs.to_bits()) << 96)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits(), theirs.to_bits()),
            _ => return false,
        };
        (ours ^ theirs).leading_zeros() >= u32::from(self.bits)
    }
}

impl FromStr for Block {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(front, bits)| (front, Some(bits)));
        let address = canonical(address.parse().map_err(drop)?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(drop))?;
        if bits <= most { Ok(Self { address, bits }) } else { Err(()) }
    }
}

/// A name of a host as it is compared: small letters, no dot at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ();

    /// Letters, digits, `-` and `_` in labels of 1 to 63, at most 253 in all. So nothing in it means
    /// anything to whoever looks it up, or to a terminal.
    fn from_str(text: &str) -> Result<Self, ()> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_fit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(is_fit);
        if name.len() <= MAX_HOST && name.split('.').all(is_label) {
            Ok(Self(name.to_ascii_lowercase()))
        } else {
            Err(())
        }
    }
}

/// What a plugin names: a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Name(Name),
    Address(IpAddr),
}

impl FromStr for Host {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.parse() {
            Ok(address) => Ok(Self::Address(canonical(address))),
            Err(_) => text.parse().map(Self::Name),
        }
    }
}

impl Grant {
    /// Whether it is about one host: a name or an address.
    #[must_use]
    pub fn is_one_host(&self) -> bool {
        match &self.hosts {
            Hosts::Name(_) => true,
            Hosts::Block(block) => block.bits == if block.address.is_ipv4() { 32 } else { 128 },
            Hosts::AnyPublic | Hosts::Direct => false,
        }
    }
}

impl FromStr for Grant {
    type Err = BadGrant;

    fn from_str(text: &str) -> Result<Self, BadGrant> {
        let bad = || BadGrant(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(bad)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let hosts = match (bracketed, host) {
            (None, "*") => Hosts::AnyPublic,
            (None, "tcp") => Hosts::Direct,
            // Without brackets nobody can tell where the address ends and the port begins.
            (None, host) if host.contains(':') => return Err(bad()),
            (None, host) => match host.parse() {
                Ok(block) => Hosts::Block(block),
                Err(()) => Hosts::Name(host.parse().map_err(|()| bad())?),
            },
            (Some(host), _) if host.contains(':') => Hosts::Block(host.parse().map_err(|()| bad())?),
            (Some(_), _) => return Err(bad()),
        };
        Ok(Self { hosts, port })
    }
}

/// All that a plugin may reach.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grants {
    entries: Vec<Grant>,
    /// Any public host at any port: the plugin is in no sandbox, and could go there by itself.
    all_public: bool,
}

/// Why an address or a name may not be reached, and the entry that would allow it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing in the list has to do with it.
    NotListed { entry: String },
    /// It is listed by a name, or as one of all public ones, and is not public.
    NotPublic { address: IpAddr, entry: String },
}

impl Grants {
    /// # Errors
    /// The first text that is no entry.
    pub(crate) fn parse(entries: &[String], all_public: bool) -> Result<Self, BadGrant> {
        let entries = entries.iter().map(|entry| entry.parse()).collect::<Result<_, _>>()?;
        Ok(Self { entries, all_public })
    }

    /// Whether the name may be looked up to be connected to. One that may not be reached anyway is
    /// never asked for: the question itself would tell somebody something.
    pub(crate) fn check_name(&self, name: &Name, port: u16) -> Result<(), Refusal> {
        let is_it = |hosts: &Hosts| matches!(hosts, Hosts::Name(listed) if listed == name);
        if self.any(port, is_it) || self.opens_public(port) {
            return Ok(());
        }
        Err(Refusal::NotListed { entry: format!("{}:{port}", name.as_str()) })
    }

    /// Whether an address may be connected to, which a name that passed [`Grants::check_name`] leads
    /// to, or which was named itself.
    pub(crate) fn check_address(&self, address: IpAddr, port: u16, by_name: bool) -> Result<(), Refusal> {
        let address = canonical(address);
        if self.any(port, |hosts| matches!(hosts, Hosts::Block(block) if block.holds(address))) {
            return Ok(());
        }
        let entry = entry(address, port);
        match by_name || self.opens_public(port) {
            true if is_public(address) => Ok(()),
            true => Err(Refusal::NotPublic { address, entry }),
            false => Err(Refusal::NotListed { entry }),
        }
    }

    /// Whether records of the name may be asked for: the name without the labels in front that begin
    /// with `_` is listed, at any port.
    pub(crate) fn check_lookup(&self, name: &Name) -> Result<(), Refusal> {
        let mut base = name.as_str();
        while let Some((_, rest)) = base.split_once('.').filter(|(label, _)| label.starts_with('_')) {
            base = rest;
        }
        let is_it = |entry: &Grant| match &entry.hosts {
            Hosts::AnyPublic => true,
            Hosts::Name(listed) => listed.as_str() == base,
            Hosts::Block(_) | Hosts::Direct => false,
        };
        if self.all_public || self.entries.iter().any(is_it) {
            return Ok(());
        }
        Err(Refusal::NotListed { entry: format!("{base}:443") })
    }

    fn any(&self, port: u16, hosts: impl Fn(&Hosts) -> bool) -> bool {
        self.entries.iter().any(|entry| entry.port == port && hosts(&entry.hosts))
    }

    fn opens_public(&self, port: u16) -> bool {
        self.all_public || self.any(port, |hosts| *hosts == Hosts::AnyPublic)
    }
}

fn entry(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(entries: &[&str]) -> Grants {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        Grants::parse(&entries, false).unwrap()
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_port_of_its_own_opens_nothing_through_the_broker() {
        let grants = grants(&["tcp:443"]);
        let public = "93.184.216.34".parse().unwrap();
        assert!(grants.check_name(&name("tcp"), 443).is_err() && grants.check_lookup(&name("a.b")).is_err());
        assert!(grants.check_address(public, 443, false).is_err());
    }

    #[test]
    fn one_host_is_a_name_or_one_address() {
        let one = |text: &str| text.parse::<Grant>().unwrap().is_one_host();
        assert!(["a.b:1", "10.0.0.1:1", "[::1]:1"].iter().all(|text| one(text)));
        assert!(!["*:1", "tcp:1", "10.0.0.0/8:1"].iter().any(|text| one(text)));
    }

    #[test]
    fn an_entry_is_a_name_an_address_a_block_or_all_that_is_public_with_a_port() {
        for text in [
            "dav.example.org:443",
            "DAV.Example.ORG.:443",
            "localhost:1",
            "a_b:65535",
            "127.0.0.1:80",
            "[::1]:8080",
            "10.0.0.0/8:443",
            "[fd00::/8]:443",
            "*:443",
            "0.0.0.0/0:1",
        ] {
            assert!(text.parse::<Grant>().is_ok(), "{text}");
        }
        for text in [
            "",
            "host",
            ":1",
            "[]:1",
            "host:0",
            "host:70000",
            "host:",
            "::1",
            "::1:80",
            "https://host:1",
            "a b:1",
            "u@h:1",
            "[host]:1",
            "[10.0.0.1]:1",
            "10.0.0.0/33:1",
            "[fd00::/129]:1",
            "10.0.0.0/x:1",
            "*.example.org:443",
            "a..b:1",
            "-\0:1",
            "ä:1",
            "host/8:1",
            "[fd00::]/8:1",
        ] {
            assert!(text.parse::<Grant>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_is_the_same_in_any_case_and_with_a_dot_behind_it_and_no_other() {
        let grants = grants(&["Dav.Example.org:443"]);
        for same in ["dav.example.org", "DAV.EXAMPLE.ORG", "dav.example.org."] {
            assert_eq!(grants.check_name(&name(same), 443), Ok(()), "{same}");
        }
        for other in ["example.org", "www.dav.example.org", "dav.example.org.evil.org", "xdav.example.org"] {
            let entry = format!("{other}:443");
            assert_eq!(grants.check_name(&name(other), 443), Err(Refusal::NotListed { entry }));
        }
        assert!(grants.check_name(&name("dav.example.org"), 444).is_err());
    }

    /// DNS rebinding: whoever owns a listed name points it at this machine.
    #[test]
    fn p5_a_listed_name_does_not_open_an_address_that_is_not_public() {
        let grants = grants(&["dav.example.org:443", "*:80"]);
        for (address, port) in
            [("127.0.0.1", 443), ("169.254.169.254", 80), ("::ffff:10.0.0.1", 443), ("::1", 80)]
        {
            let address = address.parse().unwrap();
            let refused = grants.check_address(address, port, true).unwrap_err();
            let (address, entry) = (canonical(address), entry(canonical(address), port));
            assert_eq!(refused, Refusal::NotPublic { address, entry });
        }
        assert_eq!(grants.check_address("9.9.9.9".parse().unwrap(), 443, true), Ok(()));
    }

    #[test]
    fn an_address_is_opened_by_itself_or_its_block_at_its_port() {
        let grants = grants(&["127.0.0.1:8080", "10.0.0.0/8:443", "[fd00::/8]:443", "[::ffff:172.16.0.1]:1"]);
        let check = |address: &str, port| grants.check_address(address.parse().unwrap(), port, false).is_ok();
        assert!(check("127.0.0.1", 8080) && check("::ffff:127.0.0.1", 8080));
        assert!(check("10.255.0.1", 443) && check("fdff::1", 443) && check("172.16.0.1", 1));
        assert!(!check("127.0.0.2", 8080) && !check("127.0.0.1", 8081) && !check("11.0.0.1", 443));
        assert!(!check("fe00::1", 443) && !check("9.9.9.9", 443) && !check("64:ff9b::a00:1", 443));
    }

    #[test]
    fn all_public_hosts_at_a_port_are_no_private_one_and_no_other_port() {
        let grants = grants(&["*:443"]);
        assert_eq!(grants.check_name(&name("any.where"), 443), Ok(()));
        assert!(grants.check_name(&name("any.where"), 80).is_err());
        assert_eq!(grants.check_address("9.9.9.9".parse().unwrap(), 443, false), Ok(()));
        let refused = grants.check_address("192.168.1.1".parse().unwrap(), 443, false);
        assert!(matches!(refused, Err(Refusal::NotPublic { .. })));
    }

    #[test]
    fn without_a_sandbox_all_that_is_public_is_open_and_the_rest_is_as_listed() {
        let grants = Grants::parse(&["127.0.0.1:25".into()], true).unwrap();
        assert_eq!(grants.check_name(&name("any.where"), 99), Ok(()));
        assert!(grants.check_address("127.0.0.1".parse().unwrap(), 25, true).is_ok());
        assert!(grants.check_address("127.0.0.1".parse().unwrap(), 26, true).is_err());
        assert_eq!(grants.check_lookup(&name("any.where")), Ok(()));
    }

    #[test]
    fn records_are_those_of_a_listed_name_and_of_its_services() {
        let grants = grants(&["example.org:443", "10.0.0.0/8:443"]);
        for listed in ["example.org", "_caldavs._tcp.example.org", "_x.EXAMPLE.org."] {
            assert_eq!(grants.check_lookup(&name(listed)), Ok(()), "{listed}");
        }
        for other in ["dav.example.org", "secret._tcp.example.org", "_tcp", "_caldavs._tcp.evil.org", "org"] {
            assert!(grants.check_lookup(&name(other)).is_err(), "{other}");
        }
    }

    #[test]
    fn what_is_no_name_is_no_host() {
        let long = format!("{}.org", "a".repeat(64));
        for host in ["", ".", "a..b", "a\0b", "a b", "a/b", "a:b", "[::1]", "fe80::1%eth0", "ä.org", &long] {
            assert!(host.parse::<Host>().is_err(), "{host}");
        }
        assert!("a.".repeat(126).parse::<Host>().is_ok(), "251 letters");
        assert!("a.".repeat(128).parse::<Host>().is_err());
        assert_eq!("::ffff:127.0.0.1".parse(), Ok(Host::Address("127.0.0.1".parse().unwrap())));
    }
}
