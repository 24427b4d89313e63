//! Which proxy a request takes, from the system's environment.

use std::net::IpAddr;

use url::{Host, Url};

use super::Network;

impl Network<'_> {
    /// The proxy for `url`: the question's own, or the environment's.
    pub(super) fn proxy(&self, own: Option<&str>, url: &Url) -> Result<Option<Url>, String> {
        if let Some(own) = own {
            return parse(own).map(Some);
        }
        let Some(environment) = self.records.look("proxies")? else {
            return Ok(None);
        };
        let environment = String::from_utf8_lossy(environment).into_owned();
        let mut lines = environment.lines();
        let mut line = || lines.next().map(str::trim).filter(|line| !line.is_empty());
        let (http, https, none) = (line(), line(), line());
        let chosen = if url.scheme() == "https" { https } else { http };
        match chosen {
            Some(proxy) if !spared(url, none.unwrap_or_default()) => parse(proxy).map(Some),
            _ => Ok(None),
        }
    }
}

fn parse(proxy: &str) -> Result<Url, String> {
    let with_scheme = if proxy.contains("://") {
        proxy.to_owned()
    } else {
        format!("http://{proxy}")
    };
    let url = Url::parse(&with_scheme).map_err(|e| format!("proxy {proxy}: {e}"))?;
    match url.scheme() {
        "http" => Ok(url),
        other => Err(format!("proxies of the kind `{other}` are not spoken to")),
    }
}

/// Whether `no_proxy` spares the URL its proxy; this machine itself never has one.
fn spared(url: &Url, none: &str) -> bool {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => Some(IpAddr::from(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::from(ip)),
        _ => None,
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    let port = url.port_or_known_default();
    none.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .any(|entry| {
            let (name, wanted) = match entry.rsplit_once(':') {
                Some((name, wanted)) if !name.contains(':') && wanted.parse::<u16>().is_ok() => {
                    (name, wanted.parse().ok())
                }
                _ => (entry, None),
            };
            if wanted.is_some() && wanted != port {
                return false;
            }
            if name == "*" {
                return true;
            }
            if let (Some(ip), Some((net, bits))) = (ip, name.split_once('/')) {
                return within(ip, net, bits) == Some(true);
            }
            let bare = name.trim_start_matches("*.").trim_start_matches('.');
            let below = host
                .strip_suffix(bare)
                .is_some_and(|rest| rest.ends_with('.'));
            below || (host == bare && !name.starts_with(['.', '*']))
        })
}

fn within(ip: IpAddr, net: &str, bits: &str) -> Option<bool> {
    let bits: u32 = bits.parse().ok()?;
    match (ip, net.parse().ok()?) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or_default();
            Some(ip.to_bits() & mask == net.to_bits() & mask)
        }
        (IpAddr::V6(ip), IpAddr::V6(net)) => {
            let mask = u128::MAX
                .checked_shl(128 - bits.min(128))
                .unwrap_or_default();
            Some(ip.to_bits() & mask == net.to_bits() & mask)
        }
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_spares_names_domains_addresses_and_networks() {
        let spare = |url: &str, none: &str| spared(&Url::parse(url).unwrap(), none);
        assert!(
            spare("http://localhost/", "")
                && spare("http://127.0.0.9/", "")
                && spare("http://[::1]:8/", "")
        );
        assert!(
            spare("http://a.example.com/", "x, example.com")
                && spare("http://example.com/", "example.com")
        );
        assert!(
            !spare("http://example.com/", ".example.com")
                && spare("http://a.example.com/", "*.example.com")
        );
        assert!(!spare("http://badexample.com/", "example.com"));
        assert!(
            spare("http://10.1.2.3/", "10.0.0.0/8") && !spare("http://11.1.2.3/", "10.0.0.0/8")
        );
        assert!(
            spare("http://x:81/", "x:81")
                && !spare("http://x:82/", "x:81")
                && spare("http://x/", "*")
        );
    }

    #[test]
    fn proxies_are_urls_or_hosts() {
        assert_eq!(parse("p:3128").unwrap().as_str(), "http://p:3128/");
        assert_eq!(
            parse("socks5://p:1").unwrap_err(),
            "proxies of the kind `socks5` are not spoken to"
        );
    }
}
