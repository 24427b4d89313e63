//! Names: by the system's own files and resolver, or by a server that is asked over TCP from inside the system.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question as Asked, RCODE, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    Answer, Ended, Network, OTHERWISE, Question, Truth, answer, late, part, span, unreached,
};

impl Network<'_> {
    pub(super) async fn dns(&self, number: usize, question: &Question) -> Answer {
        let Question::Dns {
            name,
            record,
            server,
            timeout,
        } = question
        else {
            return Answer::default();
        };
        let found = match server {
            Some(server) => {
                self.records_of(name, record.as_deref(), server, *timeout)
                    .await
            }
            None => self.addresses_of(number, name, *timeout).await,
        };
        let found = found.map(|mut found| {
            found.sort();
            found
        });
        answer([
            (
                "resolvable",
                found.clone().map(|found| Truth::Bool(!found.is_empty())),
            ),
            ("addrs", found.map(Truth::List)),
        ])
    }

    /// As the system itself finds it: its hosts file first, then what `getent` says, then its servers.
    pub(super) async fn addresses_of(
        &self,
        number: usize,
        name: &str,
        timeout: Duration,
    ) -> Result<Vec<String>, String> {
        if let Some(known) = self.known(name)? {
            return Ok(known);
        }
        let own = part(number);
        match self.records.ended(&own) {
            Some(Ended { late: true, .. }) => {
                Err(format!("DNS lookup timed out ({})", span(timeout)))
            }
            Some(Ended {
                status: Some(0), ..
            }) => {
                let text = self.records.text(&own, &own)?;
                let mut ips: Vec<String> = text
                    .lines()
                    .filter_map(|line| line.split_whitespace().next())
                    .map(ToOwned::to_owned)
                    .collect();
                ips.sort();
                ips.dedup();
                Ok(ips)
            }
            Some(Ended {
                status: Some(OTHERWISE),
                ..
            }) => self.lookup(name, timeout).await,
            Some(_) => Ok(Vec::new()),
            None => Err("the system did not tell".to_owned()),
        }
    }

    /// What the system knows without asking: addresses, and names in its hosts file.
    fn known(&self, name: &str) -> Result<Option<Vec<String>>, String> {
        if let Ok(ip) = name.parse::<IpAddr>() {
            return Ok(Some(vec![ip.to_string()]));
        }
        let hosts = self.records.look("/etc/hosts")?.unwrap_or_default();
        let found = of_hosts(&String::from_utf8_lossy(hosts), name);
        Ok((!found.is_empty()).then_some(found))
    }

    /// By the system's own servers.
    async fn lookup(&self, name: &str, timeout: Duration) -> Result<Vec<String>, String> {
        let text = self.records.look("/etc/resolv.conf")?.unwrap_or_default();
        let resolver = Resolver::parse(&String::from_utf8_lossy(text));
        let mut trouble = Err("the system names no DNS server".to_owned());
        for server in &resolver.servers {
            trouble = Ok(());
            for name in resolver.candidates(name) {
                match self.records_of(&name, None, server, timeout).await {
                    Ok(found) if found.is_empty() => {}
                    Ok(found) => return Ok(found),
                    Err(reason) => trouble = Err(reason),
                }
            }
            if trouble.is_ok() {
                break;
            }
        }
        trouble.map(|()| Vec::new())
    }

    /// What a server says; without a type of record, all addresses.
    async fn records_of(
        &self,
        name: &str,
        record: Option<&str>,
        server: &str,
        timeout: Duration,
    ) -> Result<Vec<String>, String> {
        let (host, port) = split(server);
        let kinds = kinds(record);
        let query_name = match record {
            Some("PTR") => reverse(name)?,
            _ => name.trim_end_matches('.').to_owned(),
        };
        let mut queries = Vec::new();
        for kind in &kinds {
            queries.push(query(&query_name, *kind)?);
        }
        self.waited(1);
        let dialled = self.dialler.dial(host, port, timeout).await;
        let (mut stream, end) = dialled
            .map_err(|end| format!("DNS server {host}:{port}: {}", unreached(end, timeout)))?;
        let work = async {
            let mut found = Vec::new();
            for (query, kind) in queries.iter().zip(&kinds) {
                let length =
                    u16::try_from(query.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
                stream
                    .write_all(&[&length.to_be_bytes(), query.as_slice()].concat())
                    .await?;
                stream.flush().await?;
                let length = stream.read_u16().await?;
                let mut reply = vec![0; length.into()];
                stream.read_exact(&mut reply).await?;
                found.extend(of_reply(&reply, *kind).map_err(std::io::Error::other)?);
            }
            Ok::<_, std::io::Error>(found)
        };
        match tokio::time::timeout_at(end, work).await {
            Ok(found) => {
                found.map_err(|e| format!("DNS server {host}:{port}: {e} (it is asked over TCP)"))
            }
            Err(_) => Err(format!("DNS server {host}:{port}: {}", late(timeout))),
        }
    }
}

fn kinds(record: Option<&str>) -> Vec<TYPE> {
    vec![match record {
        Some("A") => TYPE::A,
        Some("AAAA") => TYPE::AAAA,
        Some("CNAME") => TYPE::CNAME,
        Some("MX") => TYPE::MX,
        Some("NS") => TYPE::NS,
        Some("SRV") => TYPE::SRV,
        Some("TXT") => TYPE::TXT,
        Some("PTR") => TYPE::PTR,
        Some("CAA") => TYPE::CAA,
        _ => return vec![TYPE::A, TYPE::AAAA],
    }]
}

fn query(name: &str, kind: TYPE) -> Result<Vec<u8>, String> {
    let mut packet = Packet::new_query(0x464f);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(|e| format!("{name}: {e}"))?;
    packet
        .questions
        .push(Asked::new(name, QTYPE::TYPE(kind), CLASS::IN.into(), false));
    packet.build_bytes_vec().map_err(|e| e.to_string())
}

/// The records of one type. A name that does not exist has none.
fn of_reply(reply: &[u8], kind: TYPE) -> Result<Vec<String>, String> {
    let packet = Packet::parse(reply).map_err(|e| e.to_string())?;
    match packet.rcode() {
        RCODE::NoError | RCODE::NameError => {}
        // goss takes any answer without records for a name that does not resolve
        _ => return Ok(Vec::new()),
    }
    let mut found = Vec::new();
    for answer in &packet.answers {
        match &answer.rdata {
            RData::A(a) if kind == TYPE::A => found.push(Ipv4Addr::from(a.address).to_string()),
            RData::AAAA(a) if kind == TYPE::AAAA => {
                found.push(Ipv6Addr::from(a.address).to_string());
            }
            RData::CNAME(name) if kind == TYPE::CNAME => found.push(full(&name.0)),
            RData::NS(name) if kind == TYPE::NS => found.push(full(&name.0)),
            RData::PTR(name) if kind == TYPE::PTR => found.push(full(&name.0)),
            RData::MX(mx) if kind == TYPE::MX => {
                found.push(format!("{} {}", mx.preference, full(&mx.exchange)));
            }
            RData::SRV(srv) if kind == TYPE::SRV => {
                found.push(format!(
                    "{} {} {} {}",
                    srv.priority,
                    srv.weight,
                    srv.port,
                    full(&srv.target)
                ));
            }
            RData::TXT(txt) if kind == TYPE::TXT => {
                found.extend(txt.iter_raw().map(|(key, value)| {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    value.map_or_else(
                        || text(key),
                        |value| format!("{}={}", text(key), text(value)),
                    )
                }));
            }
            RData::CAA(caa) if kind == TYPE::CAA => {
                found.push(format!(
                    "{} {} {}",
                    caa.flag,
                    caa.tag,
                    String::from_utf8_lossy(&caa.value)
                ));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn full(name: &Name<'_>) -> String {
    format!("{name}.")
}

/// The name under which an address's name is kept.
fn reverse(address: &str) -> Result<String, String> {
    match address.parse() {
        Ok(IpAddr::V4(ip)) => {
            let [a, b, c, d] = ip.octets();
            Ok(format!("{d}.{c}.{b}.{a}.in-addr.arpa"))
        }
        Ok(IpAddr::V6(ip)) => {
            let digits = format!("{:032x}", ip.to_bits());
            let digits: Vec<String> = digits.chars().rev().map(String::from).collect();
            Ok(format!("{}.ip6.arpa", digits.join(".")))
        }
        Err(_) => Err(format!("dns: unrecognized address: {address}")),
    }
}

/// `ip`, `ip:port` or `[ip]:port`.
fn split(server: &str) -> (&str, u16) {
    match server.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host.trim_matches(['[', ']']), port.parse().unwrap_or(53))
        }
        _ => (server.trim_matches(['[', ']']), 53),
    }
}

/// The addresses that a hosts file has for a name.
fn of_hosts(hosts: &str, name: &str) -> Vec<String> {
    let name = name.trim_end_matches('.');
    let line = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let ip: IpAddr = words.next()?.parse().ok()?;
        words
            .any(|word| word.eq_ignore_ascii_case(name))
            .then(|| ip.to_string())
    };
    let mut found: Vec<String> = Vec::new();
    for ip in hosts.lines().filter_map(line) {
        if !found.contains(&ip) {
            found.push(ip);
        }
    }
    found
}

/// `/etc/resolv.conf`.
struct Resolver {
    servers: Vec<String>,
    search: Vec<String>,
    dots: usize,
}

impl Resolver {
    fn parse(text: &str) -> Self {
        let mut all = Self {
            servers: Vec::new(),
            search: Vec::new(),
            dots: 1,
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => all.servers.extend(words.next().map(ToOwned::to_owned)),
                Some("search" | "domain") => all.search = words.map(ToOwned::to_owned).collect(),
                Some("options") => {
                    let mut dots =
                        words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    all.dots = dots.next_back().unwrap_or(all.dots);
                }
                _ => {}
            }
        }
        all
    }

    /// The names that are tried, in order.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(full) = name.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let below = self
            .search
            .iter()
            .map(|domain| format!("{name}.{}", domain.trim_end_matches('.')));
        let below = below.filter(|name| name.len() < 254);
        if name.matches('.').count() >= self.dots {
            std::iter::once(name.to_owned()).chain(below).collect()
        } else {
            below.chain(std::iter::once(name.to_owned())).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_names_and_files_are_read() {
        assert_eq!(split("1.1.1.1"), ("1.1.1.1", 53));
        assert_eq!(split("1.1.1.1:8053"), ("1.1.1.1", 8053));
        assert_eq!(
            (split("[::1]:8053"), split("::1")),
            (("::1", 8053), ("::1", 53))
        );
        assert_eq!(reverse("10.0.2.15").unwrap(), "15.2.0.10.in-addr.arpa");
        assert!(reverse("::1").unwrap().starts_with("1.0.0.") && reverse("x").is_err());
        let hosts = "127.0.0.1 localhost # me\n::1 LOCALHOST ip6\n127.0.0.1 localhost\nbad x\n";
        assert_eq!(of_hosts(hosts, "localhost"), ["127.0.0.1", "::1"]);
        let resolver =
            Resolver::parse("nameserver 10.0.2.3\nsearch a.b c\noptions ndots:2 rotate\n");
        assert_eq!(resolver.servers, ["10.0.2.3"]);
        assert_eq!(resolver.candidates("x.y"), ["x.y.a.b", "x.y.c", "x.y"]);
        assert_eq!(resolver.candidates("x.y.z")[0], "x.y.z");
        assert_eq!(resolver.candidates("x."), ["x"]);
    }

    #[test]
    fn a_question_has_the_form_that_servers_read() {
        let bytes = query("example.com", TYPE::MX).unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.questions[0].qname.to_string(), "example.com");
        assert!(of_reply(b"xx", TYPE::A).is_err());
    }
}
