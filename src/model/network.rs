//! Networks of the Internet Protocol.

use std::net::{IpAddr, Ipv4Addr};

/// A network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// An address in it.
    pub address: IpAddr,
    /// How many of the leading bits are the network's.
    pub prefix: u8,
}

impl Network {
    /// Parses `10.20.0.0/16` or `2001:db8::/32`; an address alone is a network of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        (prefix <= longest).then_some(Self { address, prefix })
    }

    /// Whether the address lies in it.
    #[must_use]
    pub fn contains(&self, other: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
            IpAddr::V6(v6) => u128::from(v6),
        };
        let mask = match self.prefix {
            0 => 0,
            prefix => u128::MAX << (128 - u32::from(prefix)),
        };
        self.address.is_ipv4() == other.is_ipv4() && (bits(self.address) ^ bits(other)) & mask == 0
    }

    /// The mask of an IPv4 network, `255.255.0.0`; `None` for IPv6.
    #[must_use]
    pub fn mask(&self) -> Option<Ipv4Addr> {
        let bits = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32)));
        self.address
            .is_ipv4()
            .then(|| Ipv4Addr::from(bits.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_is_in_them() {
        let holds = |network: &str, address: &str| {
            Network::parse(network)
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(holds("10.20.0.0/16", "10.20.255.1"));
        assert!(!holds("10.20.0.0/16", "10.21.0.1"));
        assert!(holds("0.0.0.0/0", "192.0.2.1"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1"));
        assert!(holds("192.0.2.7", "192.0.2.7"));
        for bad in ["", "10.0.0.0/33", "lan", "10.0.0/8"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn masks_have_the_bits_of_the_prefix() {
        let mask = |network| {
            Network::parse(network)
                .unwrap()
                .mask()
                .map(|m| m.to_string())
        };
        assert_eq!(mask("10.20.0.0/16").unwrap(), "255.255.0.0");
        assert_eq!(mask("10.20.0.7/24").unwrap(), "255.255.255.0");
        assert_eq!(mask("0.0.0.0/0").unwrap(), "0.0.0.0");
        assert_eq!(mask("192.0.2.7").unwrap(), "255.255.255.255");
        assert_eq!(mask("2001:db8::/32"), None);
    }
}
