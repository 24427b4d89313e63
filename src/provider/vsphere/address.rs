//! What a running machine tells of itself: its power, its guest's addresses, its questions. Followed by one wait on the
//! server, as long as the machine is ours.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Lab, Settings};
use crate::model::Network;
use crate::provider::Address;
use crate::sys::Cancel;
use crate::vim::{Element, Properties, Ref, VimError};

/// How long one wait goes on; then another begins.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// Between two tries when the server cannot be reached.
const PAUSE: Duration = Duration::from_secs(2);

/// What is known of a running machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) on: bool,
    /// The guest's SSH port, and what else is seen.
    pub(super) address: Address,
    /// What the machine asks before it goes on.
    pub(super) question: Option<String>,
    /// It is not there any more.
    pub(super) gone: bool,
}

/// How an address is chosen.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) network: Option<Network>,
    /// The adapter: its number from 1, or its address.
    pub(super) nic: Option<String>,
    pub(super) port: u16,
}

/// The address of this host that guests are told: the one that leads to them, or to `server`.
pub(super) fn of_this_host(settings: &Settings, server: &str) -> String {
    if let Some(address) = &settings.http_address {
        return address.clone();
    }
    let guest = settings.guest_network;
    let guest = guest.map(|network| network.address.to_string());
    let server = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let towards = guest.unwrap_or_else(|| server.to_owned());
    // no packet is sent: the system only chooses a route
    let route = |family: &str| -> std::io::Result<SocketAddr> {
        let socket = UdpSocket::bind((family, 0))?;
        socket.connect((towards.as_str(), 443))?;
        socket.local_addr()
    };
    let local = route("0.0.0.0").or_else(|_| route("::"));
    local.map_or_else(
        |_| "127.0.0.1".to_owned(),
        |address| address.ip().to_string(),
    )
}

/// Follows the machine until `life` is dropped or the machine is gone.
pub(super) async fn follow(
    lab: std::sync::Arc<Lab>,
    vm: Ref,
    choice: Choice,
    life: watch::Sender<Life>,
) {
    const PATHS: &[&str] = &["runtime.powerState", "guest.net", "runtime.question"];
    let cancel = Cancel::new();
    loop {
        let see = |read: &Properties| {
            let now = look(read, &choice);
            life.send_if_modified(|known| {
                let changed = *known != now;
                *known = now;
                changed
            });
            None::<()>
        };
        let deadline = Instant::now() + LONG;
        let watched = lab.client.watch(&vm, PATHS, deadline, &cancel, see);
        let ended = tokio::select! {
            ended = watched => ended,
            () = life.closed() => return,
        };
        if let Err(error) = ended {
            if error.is("ManagedObjectNotFound") {
                life.send_modify(|known| {
                    known.gone = true;
                    known.on = false;
                });
                return;
            }
            if matches!(error, VimError::Cancelled) {
                return;
            }
            life.send_modify(|known| known.address.seen = error.to_string());
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn look(read: &Properties, choice: &Choice) -> Life {
    let question = read.get("runtime.question").and_then(|q| q.text_of("text"));
    Life {
        on: read.text("runtime.powerState") == Some("poweredOn"),
        address: address(read.get("guest.net"), choice),
        question: question.map(str::to_owned),
        gone: false,
    }
}

/// The first address that fits, adapter by adapter.
fn address(net: Option<&Element>, choice: &Choice) -> Address {
    let mut seen = Vec::new();
    let mut chosen = None;
    for nic in net.map(|net| net.children.as_slice()).unwrap_or_default() {
        let mac = nic.text_of("macAddress").unwrap_or("an adapter");
        let wanted = choice.takes(nic);
        let configured = nic.child("ipConfig").into_iter();
        let configured = configured.flat_map(|config| config.children_named("ipAddress"));
        let texts = configured.filter_map(|entry| entry.text_of("ipAddress"));
        let plain = nic
            .children_named("ipAddress")
            .map(|entry| entry.text.as_str());
        let mut found: Vec<IpAddr> = texts.chain(plain).filter_map(|t| t.parse().ok()).collect();
        found.dedup();
        // a guest is reached by IPv4 unless only the other fits
        found.sort_by_key(IpAddr::is_ipv6);
        for ip in found {
            let fits =
                wanted && !is_link_local(ip) && choice.network.is_none_or(|n| n.contains(ip));
            let remark = if fits { "" } else { " (not looked for)" };
            let text = format!("{mac} has {ip}{remark}");
            if !seen.contains(&text) {
                seen.push(text);
            }
            if fits && chosen.is_none() {
                chosen = Some(SocketAddr::new(ip, choice.port));
            }
        }
    }
    Address {
        ssh: chosen,
        seen: match seen.is_empty() {
            true => "no address is reported yet (VMware Tools report it)".to_owned(),
            false => seen.join(", "),
        },
    }
}

/// The key of a machine's first network adapter; the others follow.
const FIRST_ADAPTER: i64 = 4000;

impl Choice {
    /// Whether addresses of an adapter count. What a guest makes for itself (a bridge, a tunnel) is no adapter of the
    /// machine, which `GuestNicInfo.deviceConfigId` tells: nobody reaches it from outside.
    fn takes(&self, nic: &Element) -> bool {
        let id = nic.text_of("deviceConfigId");
        let key: Option<i64> = id.and_then(|id| id.parse().ok());
        match &self.nic {
            None => key.is_none_or(|key| key >= 0),
            Some(wanted) => match wanted.parse::<i64>() {
                Ok(number) => key == Some(FIRST_ADAPTER + number - 1),
                Err(_) => nic
                    .text_of("macAddress")
                    .is_some_and(|mac| mac.eq_ignore_ascii_case(wanted)),
            },
        }
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_loopback() && !is_test_net(v4),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

/// Loopback addresses beside the usual one are somebody's choice: a simulator's guests have them.
fn is_test_net(v4: std::net::Ipv4Addr) -> bool {
    v4.octets()[1] != 0
}

/// Hands on addresses that have stayed the same for `settle`.
pub(super) fn settled(
    mut life: watch::Receiver<Life>,
    settle: Duration,
) -> watch::Receiver<Address> {
    let (sender, receiver) = watch::channel(life.borrow().address.clone());
    if !settle.is_zero() {
        sender.send_modify(|address| address.ssh = None);
    }
    tokio::spawn(async move {
        loop {
            let now = life.borrow_and_update().address.clone();
            if now.ssh.is_some() && !settle.is_zero() {
                tokio::select! {
                    changed = life.changed() => match changed {
                        Ok(()) if life.borrow().address.ssh != now.ssh => continue,
                        Ok(()) => {}
                        Err(_) => return,
                    },
                    () = tokio::time::sleep(settle) => {}
                }
            }
            sender.send_if_modified(|known| {
                let changed = *known != now;
                *known = now;
                changed
            });
            tokio::select! {
                changed = life.changed() => if changed.is_err() { return },
                () = sender.closed() => return,
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(nics: &[(&str, &[&str])]) -> Element {
        let nics: String = nics
            .iter()
            .map(|(mac, ips)| {
                let ips: String = ips
                    .iter()
                    .map(|ip| format!("<ipAddress><ipAddress>{ip}</ipAddress><state>preferred</state></ipAddress>"))
                    .collect();
                format!("<GuestNicInfo><macAddress>{mac}</macAddress><ipConfig>{ips}</ipConfig></GuestNicInfo>")
            })
            .collect();
        Element::parse(&format!("<val>{nics}</val>")).unwrap()
    }

    fn choose(nics: &[(&str, &[&str])], network: Option<&str>) -> (Option<String>, String) {
        let choice = Choice {
            network: network.map(|n| Network::parse(n).unwrap()),
            nic: None,
            port: 22,
        };
        let address = address(Some(&net(nics)), &choice);
        (address.ssh.map(|a| a.to_string()), address.seen)
    }

    #[test]
    fn the_first_address_that_fits_is_taken_and_the_others_are_told() {
        let nics: &[(&str, &[&str])] = &[
            ("00:50:56:00:00:01", &["fe80::1", "169.254.3.4"]),
            ("00:50:56:00:00:02", &["2001:db8::7", "10.20.0.7"]),
            ("00:50:56:00:00:03", &["192.0.2.9"]),
        ];
        let (chosen, seen) = choose(nics, None);
        assert_eq!(chosen.as_deref(), Some("10.20.0.7:22"));
        assert!(
            seen.contains("00:50:56:00:00:01 has fe80::1 (not looked for)"),
            "{seen}"
        );
        assert_eq!(
            choose(nics, Some("192.0.2.0/24")).0.as_deref(),
            Some("192.0.2.9:22")
        );
        assert_eq!(
            choose(nics, Some("2001:db8::/32")).0.as_deref(),
            Some("[2001:db8::7]:22")
        );
        let (none, seen) = choose(nics, Some("172.16.0.0/12"));
        assert_eq!(none, None);
        assert!(seen.contains("10.20.0.7 (not looked for)"));
    }

    #[test]
    fn an_adapter_can_be_chosen_and_what_the_guest_makes_itself_is_none() {
        let nic = |mac: &str, id: i32, ip: &str| {
            format!(
                "<GuestNicInfo><ipAddress>{ip}</ipAddress><macAddress>{mac}</macAddress><deviceConfigId>{id}</deviceConfigId></GuestNicInfo>"
            )
        };
        let nics = nic("02:42:00:00:00:01", -1, "172.17.0.1")
            + &nic("00:50:56:00:00:01", 4000, "10.0.0.1")
            + &nic("00:50:56:00:00:02", 4001, "10.0.0.2");
        let net = Element::parse(&format!("<val>{nics}</val>")).unwrap();
        let chosen = |nic: Option<&str>| {
            let choice = Choice {
                nic: nic.map(str::to_owned),
                port: 22,
                ..Choice::default()
            };
            let chosen = address(Some(&net), &choice).ssh;
            chosen.map(|address| address.ip().to_string())
        };
        assert_eq!(chosen(None).as_deref(), Some("10.0.0.1"));
        assert_eq!(chosen(Some("2")).as_deref(), Some("10.0.0.2"));
        assert_eq!(
            chosen(Some("00:50:56:00:00:02")).as_deref(),
            Some("10.0.0.2")
        );
        assert_eq!(chosen(Some("3")), None);
    }

    #[test]
    fn a_guest_without_addresses_says_so() {
        let (chosen, seen) = choose(&[], None);
        assert_eq!((chosen, seen.contains("VMware Tools")), (None, true));
    }
}
