//! Which addresses may be reached. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use stead_kernel::ports::Reach;

/// What an address is, as far as reaching it is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Anyone's.
    Public,
    /// This machine's, or of a network that is not everyone's.
    Private,
    /// Never to be reached: link-local, metadata services, multicast, no address at all.
    Never,
}

use Class::{Never, Private};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, h: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, h), prefix)
}

/// IPv4 networks that are not public; the first that matches counts. After IANA's registry of special-purpose
/// addresses (RFC 6890), with the metadata services of clouds that lie outside 169.254.0.0/16.
const V4: [(Ipv4Net, Class); 19] = [
    (v4(100, 100, 100, 200, 32), Never), // Alibaba Cloud's metadata
    (v4(168, 63, 129, 16, 32), Never),   // Azure's wire server
    (v4(192, 0, 0, 192, 32), Never),     // Oracle Cloud's metadata
    (v4(169, 254, 0, 0, 16), Never),     // link-local
    (v4(0, 0, 0, 0, 8), Never),          // "this network"; Linux takes 0.0.0.0 for loopback
    (v4(224, 0, 0, 0, 4), Never),        // multicast
    (v4(255, 255, 255, 255, 32), Never), // broadcast
    (v4(127, 0, 0, 0, 8), Private),      // loopback
    (v4(10, 0, 0, 0, 8), Private),       // private use
    (v4(172, 16, 0, 0, 12), Private),    // private use
    (v4(192, 168, 0, 0, 16), Private),   // private use
    (v4(100, 64, 0, 0, 10), Private),    // carrier-grade NAT, overlay networks
    (v4(192, 0, 0, 0, 24), Private),     // protocol assignments
    (v4(192, 0, 2, 0, 24), Private),     // documentation
    (v4(192, 88, 99, 0, 24), Private),   // 6to4 relays, deprecated
    (v4(198, 18, 0, 0, 15), Private),    // benchmarks
    (v4(198, 51, 100, 0, 24), Private),  // documentation
    (v4(203, 0, 113, 0, 24), Private),   // documentation
    (v4(240, 0, 0, 0, 4), Private),      // reserved
];

/// The same for IPv6. What is outside `2000::/3` is not public either; see [`classify_v6`].
const V6: [(Ipv6Net, Class); 14] = [
    (v6(0xfd00, 0xec2, 0, 0x254, 128), Never), // AWS' metadata
    (v6(0xfd00, 0xec2, 0, 0x23, 128), Never),  // AWS' credentials of pods
    (v6(0xfd20, 0xce, 0, 0x254, 128), Never),  // Google Cloud's metadata
    (v6(0, 0, 0, 0, 128), Never),              // unspecified
    (v6(0xfe80, 0, 0, 0, 10), Never),          // link-local
    (v6(0xff00, 0, 0, 0, 8), Never),           // multicast
    (v6(0, 0, 0, 1, 128), Private),            // loopback
    (v6(0xfc00, 0, 0, 0, 7), Private),         // unique local
    (v6(0xfec0, 0, 0, 0, 10), Private),        // site-local, deprecated
    (v6(0x64, 0xff9b, 1, 0, 48), Private),     // local translation
    (v6(0x2001, 0, 0, 0, 23), Private),        // protocol assignments, Teredo included
    (v6(0x2001, 0xdb8, 0, 0, 32), Private),    // documentation
    (v6(0x3fff, 0, 0, 0, 20), Private),        // documentation
    (v6(0x5f00, 0, 0, 0, 16), Private),        // segment routing
];

/// What an address is. Addresses that carry another one inside are what that one is.
pub(super) fn classify(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => embedded(address).map_or_else(|| classify_v6(address), classify_v4),
    }
}

fn classify_v4(address: Ipv4Addr) -> Class {
    V4.iter()
        .find(|(network, _)| network.contains(&address))
        .map_or(Class::Public, |(_, class)| *class)
}

fn classify_v6(address: Ipv6Addr) -> Class {
    let global_unicast = address.octets().first().is_some_and(|byte| byte >> 5 == 1);
    let elsewhere = if global_unicast { Class::Public } else { Private };
    V6.iter()
        .find(|(network, _)| network.contains(&address))
        .map_or(elsewhere, |(_, class)| *class)
}

/// The IPv4 address inside a mapped (`::ffff:0:0/96`), compatible (`::/96`), translated (`64:ff9b::/96`) or 6to4
/// (`2002::/16`) one.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let halves = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(halves(high, low))
        }
        [0x2002, high, low, ..] => Some(halves(high, low)),
        _ => None,
    }
}

/// The rule: what a [`Reach`] allows, with the networks that the administrator opened.
#[derive(Debug)]
pub(super) struct Policy {
    allowed: Vec<IpNet>,
}

impl Policy {
    pub(super) fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Whether the address may be reached.
    pub(super) fn allows(&self, address: IpAddr, reach: Reach) -> bool {
        match classify(address) {
            Class::Public => true,
            Class::Never => false,
            Class::Private => {
                let plain = address.to_canonical();
                reach == Reach::Private || self.allowed.iter().any(|network| network.contains(&plain))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_of_address_has_its_class() {
        use Class::Public;
        for (address, class) in [
            ("8.8.8.8", Public),
            ("1.1.1.1", Public),
            ("100.63.255.255", Public),
            ("172.32.0.1", Public),
            ("2606:4700::1111", Public),
            ("2a00:1450::1", Public),
            ("127.0.0.1", Private),
            ("127.255.255.254", Private),
            ("10.1.2.3", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.0.1", Private),
            ("100.64.0.1", Private),
            ("198.18.0.1", Private),
            ("203.0.113.1", Private),
            ("240.0.0.1", Private),
            ("::1", Private),
            ("fc00::1", Private),
            ("fd12:3456::1", Private),
            ("fec0::1", Private),
            ("2001::1", Private),
            ("2001:db8::1", Private),
            ("4000::1", Private),
            ("169.254.169.254", Never),
            ("169.254.0.1", Never),
            ("100.100.100.200", Never),
            ("168.63.129.16", Never),
            ("192.0.0.192", Never),
            ("0.0.0.0", Never),
            ("0.1.2.3", Never),
            ("224.0.0.1", Never),
            ("239.255.255.255", Never),
            ("255.255.255.255", Never),
            ("::", Never),
            ("fe80::1", Never),
            ("febf::1", Never),
            ("ff02::1", Never),
            ("fd00:ec2::254", Never),
            ("fd20:ce::254", Never),
        ] {
            assert_eq!(classify(address.parse().expect(address)), class, "{address}");
        }
    }

    #[test]
    fn an_address_inside_another_decides() {
        for prefix in ["::ffff:", "::", "64:ff9b::"] {
            for (inner, class) in [
                ("8.8.8.8", Class::Public),
                ("127.0.0.1", Private),
                ("192.168.1.1", Private),
                ("169.254.169.254", Never),
            ] {
                let address = format!("{prefix}{inner}");
                assert_eq!(classify(address.parse().expect("an address")), class, "{address}");
            }
        }
        assert_eq!(classify("2002:7f00:1::1".parse().expect("6to4")), Private);
        assert_eq!(classify("2002:a9fe:a9fe::".parse().expect("6to4")), Never);
        assert_eq!(classify("2002:808:808::".parse().expect("6to4")), Class::Public);
    }

    #[test]
    fn the_allow_list_opens_private_networks_and_nothing_more() {
        let networks =
            ["10.1.0.0/16", "169.254.0.0/16", "0.0.0.0/0"].map(|text| text.parse().expect("a network"));
        let policy = Policy::new(networks.to_vec());
        for (address, public) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("127.0.0.1", true),
            ("169.254.169.254", false),
            ("0.0.0.0", false),
            ("::1", false),
            ("8.8.8.8", true),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(policy.allows(address, Reach::Public), public, "{address}");
        }
    }

    #[test]
    fn private_reach_adds_loopback_and_private_networks_only() {
        let policy = Policy::new(Vec::new());
        for (address, public, private) in [
            ("8.8.8.8", true, true),
            ("127.0.0.1", false, true),
            ("10.0.0.1", false, true),
            ("fd00::1", false, true),
            ("169.254.169.254", false, false),
            ("fd00:ec2::254", false, false),
        ] {
            let address = address.parse().expect("an address");
            let allowed = (
                policy.allows(address, Reach::Public),
                policy.allows(address, Reach::Private),
            );
            assert_eq!(allowed, (public, private), "{address}");
        }
    }
}
