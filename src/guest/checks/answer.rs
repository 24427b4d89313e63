//! From facts to the value of one attribute.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::facts::{Facts, subject};
use super::matcher::Actual;
use crate::model::{Check, Resource};

/// The value of an attribute, or why the guest cannot tell it.
pub(super) fn answer(
    facts: &Facts,
    number: usize,
    check: &Check,
    property: &str,
) -> Result<Actual, String> {
    match check.resource {
        Resource::File => file(facts, number, property),
        Resource::Port => port(facts, subject(check, "port"), property),
        Resource::Process => process(facts, subject(check, "comm"), property),
        Resource::Service => facts
            .flag(&format!("{number}.{property}"))
            .map(Actual::Bool),
        Resource::KernelParam => facts.line(&format!("{number}.value")).map(Actual::Text),
        Resource::User => user(facts, subject(check, "username"), property),
        Resource::Group => group(facts, subject(check, "groupname"), property),
        Resource::Package => {
            let versions = lines(&facts.get(&format!("{number}.package"))?);
            Ok(match property {
                "installed" => Actual::Bool(!versions.is_empty()),
                _ => Actual::List(versions),
            })
        }
        Resource::Command | Resource::Http => Err("it is asked otherwise".to_owned()),
    }
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

fn number(text: &str) -> Result<Actual, String> {
    let parsed = text.parse().map(Actual::Number);
    parsed.map_err(|_| format!("`{text}` is no number"))
}

fn file(facts: &Facts, number_of: usize, property: &str) -> Result<Actual, String> {
    let key = |name: &str| format!("{number_of}.{name}");
    if property == "exists" {
        return facts.flag(&key("exists")).map(Actual::Bool);
    }
    match property {
        "contents" => return facts.get(&key("contents")).map(Actual::Text),
        "linked-to" => return facts.line(&key("linked-to")).map(Actual::Text),
        "md5" | "sha256" | "sha512" => {
            let line = facts.line(&key(property))?;
            // a leading backslash marks a file name with escapes
            let digest = line.trim_start_matches('\\').split(' ').next();
            return Ok(Actual::Text(
                digest.unwrap_or_default().to_ascii_lowercase(),
            ));
        }
        _ => {}
    }
    let stat = facts.line(&key("stat"))?;
    let odd = || format!("stat answers {stat:?}");
    let fields: Vec<&str> = stat.splitn(7, ' ').collect();
    let [mode, size, uid, gid, owner, group, kind] = fields[..] else {
        return Err(odd());
    };
    match property {
        "mode" => Ok(Actual::Text(format!("{mode:0>4}"))),
        "size" => number(size),
        "uid" => number(uid),
        "gid" => number(gid),
        "owner" => Ok(Actual::Text(owner.to_owned())),
        "group" => Ok(Actual::Text(group.to_owned())),
        "filetype" => Ok(Actual::Text(
            match kind {
                "regular file" | "regular empty file" => "file",
                "symbolic link" => "symlink",
                "fifo" => "pipe",
                "character special file" => "character-device",
                "block special file" => "block-device",
                other => other,
            }
            .to_owned(),
        )),
        _ => Err(odd()),
    }
}

fn process(facts: &Facts, name: &str, property: &str) -> Result<Actual, String> {
    // the kernel keeps 15 bytes of a name
    let mut end = name.len().min(15);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let all = facts.get("comm")?;
    let count = all.lines().filter(|comm| *comm == &name[..end]).count();
    Ok(match property {
        "running" => Actual::Bool(count > 0),
        _ => Actual::Number(f64::from(u32::try_from(count).unwrap_or(u32::MAX))),
    })
}

fn port(facts: &Facts, port: &str, property: &str) -> Result<Actual, String> {
    let (protocol, port) = port.split_once(':').unwrap_or(("tcp", port));
    let port: u16 = port.parse().map_err(|_| format!("`{port}` is no port"))?;
    let table = facts.get(&format!("net.{protocol}"))?;
    let addresses = listeners(&table, protocol, port);
    Ok(match property {
        "listening" => Actual::Bool(!addresses.is_empty()),
        _ => Actual::List(addresses),
    })
}

/// The local addresses that listen on `port`, from `/proc/net/tcp` and the like.
fn listeners(table: &str, protocol: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let mut addresses = Vec::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, ..] = fields[..] else {
            continue;
        };
        let Some((address, number)) = local.split_once(':') else {
            continue;
        };
        let listens = protocol.starts_with("udp") || state == LISTEN;
        if listens
            && u16::from_str_radix(number, 16) == Ok(port)
            && let Some(address) = address_of(address)
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

/// An address as the kernel prints it: 32-bit words in the machine's order (little-endian on all that forge builds).
fn address_of(hex: &str) -> Option<String> {
    let words: Option<Vec<u32>> = (0..hex.len() / 8)
        .map(|i| u32::from_str_radix(hex.get(i * 8..i * 8 + 8)?, 16).ok())
        .collect();
    let bytes: Vec<u8> = words?.iter().flat_map(|w| w.to_le_bytes()).collect();
    match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => Some(Ipv4Addr::from(four).to_string()),
        Err(_) => {
            let sixteen = <[u8; 16]>::try_from(bytes.as_slice()).ok()?;
            Some(Ipv6Addr::from(sixteen).to_string())
        }
    }
}

fn user(facts: &Facts, name: &str, property: &str) -> Result<Actual, String> {
    let passwd = facts.get("passwd")?;
    let entry = find(&passwd, name);
    if property == "exists" {
        return Ok(Actual::Bool(entry.is_some()));
    }
    let fields = entry.ok_or_else(|| format!("there is no user `{name}`"))?;
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    match property {
        "uid" => number(field(2)),
        "gid" => number(field(3)),
        "home" => Ok(Actual::Text(field(5).to_owned())),
        "shell" => Ok(Actual::Text(field(6).to_owned())),
        _ => {
            let groups = facts.get("group")?;
            let member = |line: &&str| {
                let fields: Vec<&str> = line.split(':').collect();
                let primary = fields.get(2) == Some(&field(3));
                let listed = fields
                    .get(3)
                    .is_some_and(|m| m.split(',').any(|m| m == name));
                primary || listed
            };
            let names = groups
                .lines()
                .filter(member)
                .filter_map(|l| l.split(':').next());
            let mut names: Vec<_> = names.map(ToOwned::to_owned).collect();
            names.sort();
            Ok(Actual::List(names))
        }
    }
}

fn group(facts: &Facts, name: &str, property: &str) -> Result<Actual, String> {
    let groups = facts.get("group")?;
    let entry = find(&groups, name);
    if property == "exists" {
        return Ok(Actual::Bool(entry.is_some()));
    }
    let fields = entry.ok_or_else(|| format!("there is no group `{name}`"))?;
    number(fields.get(2).copied().unwrap_or_default())
}

fn find<'a>(file: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let mut entries = file.lines().map(|line| line.split(':').collect::<Vec<_>>());
    entries.find(|fields| fields.first() == Some(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue\n\
        0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n\
        1: 00000000:0016 00000000:0000 0A 00000000:00000000\n\
        2: 0100007F:0016 0100007F:CAFE 01 00000000:00000000\n";
    const TCP6: &str = "  sl  local_address rem_address   st\n\
        0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 0\n\
        1: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0\n";

    #[test]
    fn listeners_are_read_from_the_kernels_table() {
        assert_eq!(listeners(TCP, "tcp", 8080), ["127.0.0.1"]);
        assert_eq!(listeners(TCP, "tcp", 22), ["0.0.0.0"]);
        assert_eq!(listeners(TCP, "udp", 22), ["0.0.0.0", "127.0.0.1"]);
        assert_eq!(listeners(TCP6, "tcp6", 22), ["::1", "::"]);
        assert!(listeners(TCP, "tcp", 23).is_empty());
    }
}
