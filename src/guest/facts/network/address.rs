//! Addresses: whether the system reaches them.

use std::net::IpAddr;
use std::time::Duration;

use super::super::answers::{local_addresses, routes_to};
use super::{Answer, Ended, Network, OTHERWISE, Question, Truth, Unreached, answer, part};
use crate::goss::Transport;
use crate::guest::facts::system::Dialler;

/// What the script has found out about an address.
#[derive(PartialEq, Eq)]
enum Reached {
    /// Whether it accepts a connection.
    Told(Result<bool, String>),
    /// Nothing: a connection must tell.
    Unknown,
}

impl Network<'_> {
    pub(super) async fn address(&self, number: usize, question: &Question) -> Answer {
        let Question::Addr {
            transport,
            host,
            port,
            local,
            timeout,
        } = question
        else {
            return Answer::default();
        };
        let from: Option<Option<IpAddr>> = local.as_ref().map(|local| local.parse().ok());
        let to = (host.as_str(), port.as_str());
        let reachable = match transport {
            Transport::Udp => self.datagram(number, to, from.flatten(), *timeout).await,
            Transport::Tcp => match (from, self.dialler) {
                // Go takes an address that is none as a failure to dial
                (Some(None), _) => Ok(false),
                (Some(_), Dialler::Trunk(_)) if self.reached(number) == Reached::Unknown => {
                    Err("an address to dial from needs nc in the guest".to_owned())
                }
                _ => match self.reached(number) {
                    Reached::Told(reached) => reached,
                    Reached::Unknown => self.connection(from.flatten(), to, *timeout).await,
                },
            },
        };
        answer([("reachable", reachable.map(Truth::Bool))])
    }

    /// What the script has found out.
    fn reached(&self, number: usize) -> Reached {
        if self.is_here {
            return Reached::Unknown;
        }
        let dialled = self.dialled.get(&number);
        if let Some(told) = dialled.and_then(|part| self.text(part)) {
            for said in ["y", "n"] {
                if told.lines().any(|line| line == format!("{number} {said}")) {
                    return Reached::Told(Ok(said == "y"));
                }
            }
        }
        let own = part(number);
        Reached::Told(match self.records.ended(dialled.unwrap_or(&own)) {
            Some(Ended { late: true, .. }) => Ok(false),
            Some(Ended {
                status: Some(OTHERWISE),
                ..
            }) => return Reached::Unknown,
            Some(Ended {
                status: Some(status),
                ..
            }) if dialled.is_none() => Ok(status == 0),
            _ => Err("the system did not tell".to_owned()),
        })
    }

    async fn connection(
        &self,
        from: Option<IpAddr>,
        (host, port): (&str, &str),
        timeout: Duration,
    ) -> Result<bool, String> {
        if !self.is_here {
            self.waited(1);
        }
        let Some(port) = service(port, "tcp", self.text("/etc/services").as_deref()) else {
            return Ok(false);
        };
        // goss dials the machine itself where no host is named
        let host = if host.is_empty() { "localhost" } else { host };
        match self.dialler.dial_from(from, host, port, timeout).await {
            Ok(_) => Ok(true),
            Err(Unreached::Refused(_) | Unreached::Late) => Ok(false),
            Err(Unreached::Forbidden(reason)) => Err(reason),
        }
    }

    /// A datagram is never answered for sure: what can be told is whether the name has an address and the address a route.
    async fn datagram(
        &self,
        number: usize,
        (host, port): (&str, &str),
        from: Option<IpAddr>,
        timeout: Duration,
    ) -> Result<bool, String> {
        if service(port, "udp", self.text("/etc/services").as_deref()).is_none() {
            return Ok(false);
        }
        if let Some(from) = from
            && !from.is_loopback()
            && !local_addresses(self.records)?.contains(&from)
        {
            return Ok(false);
        }
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        let ips = match host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) => self
                .addresses_of(number, host, timeout)
                .await?
                .iter()
                .filter_map(|ip| ip.parse().ok())
                .collect(),
        };
        Ok(ips.iter().any(|ip| routes_to(self.records, *ip)))
    }

    fn text(&self, key: &str) -> Option<String> {
        let bytes = self.records.look(key).ok()??;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// A port's number, or that of a service by the system's list of them.
fn service(port: &str, protocol: &str, services: Option<&str>) -> Option<u16> {
    if let Ok(number) = port.parse() {
        return Some(number);
    }
    services?.lines().find_map(|line| {
        let line = line.split('#').next()?;
        let mut words = line.split_whitespace();
        let (name, number) = (words.next()?, words.next()?);
        let (number, of) = number.split_once('/')?;
        let named = name == port || words.any(|alias| alias == port);
        (named && of == protocol).then(|| number.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_numbers_by_name_and_alias() {
        let list = "# list\ndomain 53/tcp\ndomain 53/udp # name server\nhttp 80/tcp www\n";
        assert_eq!(service("443", "tcp", None), Some(443));
        assert_eq!(service("domain", "udp", Some(list)), Some(53));
        assert_eq!(service("www", "tcp", Some(list)), Some(80));
        assert_eq!(
            (service("www", "udp", Some(list)), service("x", "tcp", None)),
            (None, None)
        );
    }
}
