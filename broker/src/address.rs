//! Which addresses are out in the world: what a granted name may lead to.
//!
//! A name says nothing of the machine behind it: whoever owns the name may point it at this machine,
//! the router, or the service of a cloud that gives out keys (169.254.169.254). So a name opens
//! public addresses only, and every other address has to be granted itself (decisions P5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that is really meant: an IPv4 address within an IPv6 one (`::ffff:10.0.0.1`) is that
/// IPv4 address.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Whether an address is one that anybody in the world can have: not of this machine, this network,
/// a provider's inner network, a group of receivers, documentation, nor reserved.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Every block of IPv4 that is not for the world (the registry of special addresses, RFC 6890 and
/// later): address, and how many of its bits count.
const NOT_PUBLIC_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10), // a provider's inner network
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4), // and 255.255.255.255
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |(block, bits): &([u8; 4], u32)| {
        (u32::from_be_bytes(*block) ^ address.to_bits()).leading_zeros() >= *bits
    };
    !NOT_PUBLIC_V4.iter().any(within)
}

/// Of IPv6 the world has 2000::/3, but for some blocks of it. A translated address is as public as
/// the IPv4 address within.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match [a, b] {
        [0x64, 0xff9b] if [c, d, e, f] == [0; 4] => is_public_v4(v4(g, h)), // NAT64
        [0x2002, _] => is_public_v4(v4(b, c)),                              // 6to4
        [0x2001, ..0x0200 | 0x0db8] | [0x3fff, ..0x1000] => false, // Teredo and its like; documentation
        _ if [e & 0xfdff, f] == [0, 0x5efe] && !is_public_v4(v4(g, h)) => false, // ISATAP
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_for_the_world_is_not_public() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "2001::1",
            "2001:20::1",
            "100::1",
            "64:ff9b:1::a00:1",
            "5f00::1",
            "4000::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn an_ipv4_address_within_an_ipv6_one_is_as_public_as_it_is() {
        for (within, public) in [
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("::ffff:9.9.9.9", true),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b::9.9.9.9", true),
            ("2002:a00:1::1", false), // 10.0.0.1
            ("2002:7f00:1::1", false),
            ("2002:909:909::1", true), // 9.9.9.9
            ("2a00:1450::5efe:192.168.0.1", false),
            ("2a00:1450::200:5efe:192.168.0.1", false),
        ] {
            assert_eq!(is_public(within.parse().unwrap()), public, "{within}");
        }
    }

    #[test]
    fn the_rest_of_the_world_is_public() {
        for address in [
            "1.1.1.1",
            "9.9.9.9",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "2a00:1450::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        assert!(
            is_public("2001:200::1".parse().unwrap()) && is_public("2001:4860:4860::8888".parse().unwrap())
        );
    }

    #[test]
    fn a_mapped_address_is_the_one_within() {
        assert_eq!(canonical("::ffff:10.0.0.1".parse().unwrap()), "10.0.0.1".parse::<IpAddr>().unwrap());
    }
}
