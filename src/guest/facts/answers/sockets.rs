//! Listening ports, interfaces, routes: from `/proc/net` and `ip`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Records, Value};
use crate::goss::Truth;

pub(super) fn port(
    records: &Records,
    protocol: &str,
    port: &str,
    set: &mut dyn FnMut(&'static str, Value),
) {
    let listeners =
        match protocol {
            "tcp" | "tcp6" | "udp" | "udp6" => records
                .text(&format!("net.{protocol}"), "lists")
                .map(|table| {
                    let port = port.parse().ok();
                    port.map_or_else(Vec::new, |port| listeners(&table, protocol, port))
                }),
            _ => Ok(Vec::new()),
        };
    set(
        "listening",
        listeners.clone().map(|all| Truth::Bool(!all.is_empty())),
    );
    set("ip", listeners.map(Truth::List));
}

/// The local addresses that listen on `port`, one for each socket.
fn listeners(table: &str, protocol: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let listener = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (address, number) = fields.next()?.split_once(':')?;
        let state = fields.nth(1)?;
        let listens = protocol.starts_with("udp") || state == LISTEN;
        (listens && u16::from_str_radix(number, 16) == Ok(port)).then(|| address_of(address))?
    };
    table
        .lines()
        .filter_map(listener)
        .map(|ip| ip.to_string())
        .collect()
}

/// An address as the kernel prints it: 32-bit words in the machine's order (little-endian on all that forge builds).
fn address_of(hex: &str) -> Option<IpAddr> {
    let words: Option<Vec<u32>> = (0..hex.len() / 8)
        .map(|i| u32::from_str_radix(hex.get(i * 8..i * 8 + 8)?, 16).ok())
        .collect();
    let bytes: Vec<u8> = words?.iter().flat_map(|w| w.to_le_bytes()).collect();
    if let Ok(four) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(bytes.as_slice())
        .ok()
        .map(|sixteen| Ipv6Addr::from(sixteen).into())
}

pub(super) fn interface(records: &Records, name: &str, set: &mut dyn FnMut(&'static str, Value)) {
    let mtu = records.text("links", "lists").map(|links| {
        let lines = links.lines().filter_map(|line| line.rsplit_once(' '));
        let mut named = lines.filter(|(link, _)| *link == name);
        named.next().and_then(|(_, mtu)| mtu.parse().ok())
    });
    let missing = || "route ip+net: no such network interface".to_owned();
    set("exists", mtu.clone().map(|mtu| Truth::Bool(mtu.is_some())));
    let exists = mtu.clone().is_ok_and(|mtu| mtu.is_some());
    set(
        "mtu",
        mtu.and_then(|mtu| mtu.map(Truth::Int).ok_or_else(missing)),
    );
    let addresses = addresses(records).map(|all| {
        let of = all.into_iter().filter(|(link, ..)| link == name);
        Truth::List(of.map(|(_, ip, prefix)| format!("{ip}/{prefix}")).collect())
    });
    set("addrs", if exists { addresses } else { Err(missing()) });
}

/// All addresses of this system's interfaces, with their prefixes.
fn addresses(records: &Records) -> Result<Vec<(String, IpAddr, u8)>, String> {
    match records.look("ifconfig")? {
        Some(table) => Ok(of_ifconfig(&String::from_utf8_lossy(table))),
        None => Ok(of_ip(&records.text("addresses", "lists")?)),
    }
}

/// Of `ip -o addr`: `2: eth0    inet 10.0.2.15/24 brd …`, `… inet 10.0.0.1 peer 10.0.0.2/32 …`.
fn of_ip(table: &str) -> Vec<(String, IpAddr, u8)> {
    let address = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let link = words
            .next()?
            .trim_end_matches(':')
            .split('@')
            .next()?
            .to_owned();
        let family = words.next()?;
        let first = words.next().filter(|_| family.starts_with("inet"))?;
        let second = if words.next() == Some("peer") {
            words.next()
        } else {
            None
        };
        let ip: IpAddr = first.split('/').next()?.parse().ok()?;
        let full = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = second
            .unwrap_or(first)
            .split_once('/')
            .map_or(Some(full), |(_, prefix)| prefix.parse().ok())?;
        Some((link, ip, prefix))
    };
    table.lines().filter_map(address).collect()
}

/// Of `ifconfig -a`, in the old form (`inet addr:1.2.3.4 … Mask:255.255.255.0`) or the new one (`inet 1.2.3.4  netmask …`).
fn of_ifconfig(table: &str) -> Vec<(String, IpAddr, u8)> {
    let mut link = String::new();
    let mut all = Vec::new();
    for line in table.lines() {
        if !line.starts_with([' ', '\t']) {
            link = line
                .split([' ', '\t'])
                .next()
                .unwrap_or_default()
                .trim_end_matches(':')
                .to_owned();
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |names: &[&str]| {
            let at = words.iter().position(|word| names.contains(word));
            at.and_then(|at| words.get(at + 1)).copied()
        };
        let with = |start: &str| words.iter().find_map(|word| word.strip_prefix(start));
        if let Some(ip) = with("addr:")
            .or_else(|| after(&["inet"]))
            .and_then(|ip| ip.parse::<Ipv4Addr>().ok())
        {
            let mask = with("Mask:")
                .or_else(|| after(&["netmask"]))
                .and_then(|mask| mask.parse::<Ipv4Addr>().ok());
            let prefix = mask.map_or(32, |mask| {
                u8::try_from(mask.to_bits().leading_ones()).unwrap_or(32)
            });
            all.push((link.clone(), ip.into(), prefix));
        } else if let Some(text) = after(&["inet6"]).map(|word| {
            if word == "addr:" {
                after(&["addr:"]).unwrap_or_default()
            } else {
                word
            }
        }) {
            let (ip, prefix) = text
                .split_once('/')
                .unwrap_or((text, after(&["prefixlen"]).unwrap_or("128")));
            if let (Ok(ip), Ok(prefix)) = (ip.parse::<Ipv6Addr>(), prefix.parse()) {
                all.push((link.clone(), ip.into(), prefix));
            }
        }
    }
    all
}

/// The system's own addresses.
pub(in crate::guest::facts) fn local_addresses(records: &Records) -> Result<Vec<IpAddr>, String> {
    Ok(addresses(records)?
        .into_iter()
        .map(|(_, ip, _)| ip)
        .collect())
}

/// Whether the system has a route to `ip`.
pub(in crate::guest::facts) fn routes_to(records: &Records, ip: IpAddr) -> bool {
    let own = local_addresses(records).is_ok_and(|own| own.contains(&ip));
    if own || ip.is_loopback() || ip.is_unspecified() {
        return true;
    }
    let table = |name: &str| {
        records
            .look(name)
            .ok()
            .flatten()
            .map(|t| String::from_utf8_lossy(t).into_owned())
            .unwrap_or_default()
    };
    match ip {
        IpAddr::V4(ip) => table("/proc/net/route")
            .lines()
            .skip(1)
            .any(|line| leads_v4(line, ip) == Some(true)),
        IpAddr::V6(ip) => table("/proc/net/ipv6_route")
            .lines()
            .any(|line| leads_v6(line, ip) == Some(true)),
    }
}

const UP: u32 = 1;
const REJECT: u32 = 0x200;

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`.
fn leads_v4(line: &str, ip: Ipv4Addr) -> Option<bool> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let hex = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
    let (to, flags, mask) = (hex(1)?, hex(3)?, hex(7)?);
    let ip = u32::from_le_bytes(ip.octets());
    Some(flags & UP != 0 && flags & REJECT == 0 && ip & mask == to & mask)
}

/// `destination prefix source prefix next metric refs use flags device`.
fn leads_v6(line: &str, ip: Ipv6Addr) -> Option<bool> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let to = u128::from_str_radix(fields.first()?, 16).ok()?;
    let prefix = u32::from_str_radix(fields.get(1)?, 16).ok()?;
    let flags = u32::from_str_radix(fields.get(8)?, 16).ok()?;
    let host = 128_u32.checked_sub(prefix)?;
    let mask = u128::MAX.checked_shl(host).unwrap_or_default();
    Some(flags & UP != 0 && flags & REJECT == 0 && ip.to_bits() & mask == to & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue\n\
        0: 00000000:0016 00000000:0000 0A 00000000:00000000\n\
        1: 0100007F:0CEA 00000000:0000 0A 00000000:00000000\n\
        2: 0F02000A:0016 0202000A:A3B4 01 00000000:00000000\n\
        3: 00000000:0016 00000000:0000 0A 00000000:00000000\n";

    #[test]
    fn ports_are_read_from_the_kernels_tables() {
        assert_eq!(listeners(TCP, "tcp", 22), ["0.0.0.0", "0.0.0.0"]);
        assert_eq!(listeners(TCP, "tcp", 3306), ["127.0.0.1"]);
        assert!(listeners(TCP, "tcp", 80).is_empty());
        assert_eq!(listeners(TCP, "udp", 22).len(), 3);
        let six = "0: 00000000000000000000000001000000:0050 0:0000 0A\n";
        assert_eq!(listeners(six, "tcp6", 80), ["::1"]);
        assert_eq!(address_of("bad"), None);
    }

    #[test]
    fn addresses_are_read_from_ip_and_from_both_kinds_of_ifconfig() {
        let ip = "1: lo    inet 127.0.0.1/8 scope host lo\n2: eth0@if3    inet6 fe80::1/64 scope link\n3: ppp0 inet 10.0.0.1 peer 10.0.0.2/32 scope\n4: x <UP> mtu 1\n";
        let show = |all: Vec<(String, IpAddr, u8)>| {
            all.iter()
                .map(|(l, i, p)| format!("{l} {i}/{p}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            show(of_ip(ip)),
            ["lo 127.0.0.1/8", "eth0 fe80::1/64", "ppp0 10.0.0.1/32"]
        );
        let old = "eth0      Link encap:Ethernet\n          inet addr:10.0.2.15  Bcast:10.0.2.255  Mask:255.255.255.0\n          inet6 addr: fe80::5/64 Scope:Link\n";
        let new = "eth0: flags=4163<UP>  mtu 1500\n        inet 10.0.2.15  netmask 255.255.255.0  broadcast 10.0.2.255\n        inet6 fe80::5  prefixlen 64  scopeid 0x20<link>\n";
        for table in [old, new] {
            assert_eq!(
                show(of_ifconfig(table)),
                ["eth0 10.0.2.15/24", "eth0 fe80::5/64"]
            );
        }
    }

    #[test]
    fn routes_lead_where_their_masks_say() {
        let subnet = "eth0 0002000A 00000000 0001 0 0 0 00FFFFFF 0 0 0";
        assert_eq!(leads_v4(subnet, Ipv4Addr::new(10, 0, 2, 9)), Some(true));
        assert_eq!(leads_v4(subnet, Ipv4Addr::new(10, 0, 3, 9)), Some(false));
        let refused = "eth0 0002000A 00000000 0201 0 0 0 00FFFFFF 0 0 0";
        assert_eq!(leads_v4(refused, Ipv4Addr::new(10, 0, 2, 9)), Some(false));
        let link = "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0";
        assert_eq!(leads_v6(link, "fe80::9".parse().unwrap()), Some(true));
        assert_eq!(leads_v6(link, "2001:db8::1".parse().unwrap()), Some(false));
        let all = link.replace("fe80", "0000").replace(" 40 ", " 00 ");
        assert_eq!(leads_v6(&all, "2001:db8::1".parse().unwrap()), Some(true));
        let odd = link.replace(" 40 ", " ff ");
        assert_eq!(leads_v6(&odd, "fe80::9".parse().unwrap()), None);
    }
}
