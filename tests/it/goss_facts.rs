//! Facts beside those of the real goss: the same machine, the same gossfile, every resource and attribute, true and false.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use simple_dns::rdata::{A, AAAA, CAA, CNAME, MX, NS, PTR, RData, SRV, TXT};
use simple_dns::{
    CLASS, CharacterString, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE,
};

use crate::support::Sandbox;

/// What is asked about each kind of resource: the attribute that names it, the required attribute, and for each attribute a matcher
/// that holds for most and one that holds for nothing.
type Kind = (
    &'static str,
    &'static str,
    &'static str,
    Vec<(&'static str, Value, Value)>,
);

fn any() -> Value {
    json!({"match-regexp": "(?s).*"})
}

fn number() -> (Value, Value) {
    (json!({"ge": -1}), json!({"lt": -5}))
}

fn texts(names: &[&'static str]) -> Vec<(&'static str, Value, Value)> {
    names
        .iter()
        .map(|name| (*name, any(), json!("no such value")))
        .collect()
}

fn numbers(names: &[&'static str]) -> Vec<(&'static str, Value, Value)> {
    names
        .iter()
        .map(|name| (*name, number().0, number().1))
        .collect()
}

fn lists(names: &[&'static str]) -> Vec<(&'static str, Value, Value)> {
    names
        .iter()
        .map(|name| {
            (
                *name,
                json!({"not": {"have-len": 99}}),
                json!({"have-len": 99}),
            )
        })
        .collect()
}

fn flag(name: &'static str) -> Vec<(&'static str, Value, Value)> {
    vec![(name, json!(true), json!(false))]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn kinds() -> Vec<(Kind, Vec<&'static str>)> {
    let streams = |names: &[&'static str]| -> Vec<_> {
        let bad = json!({"have-patterns": ["no such line"]});
        names
            .iter()
            .map(|name| {
                (
                    *name,
                    json!({"not": {"contain-substring": "no such line"}}),
                    bad.clone(),
                )
            })
            .collect()
    };
    vec![
        (
            (
                "file",
                "path",
                "exists",
                [
                    flag("exists"),
                    texts(&[
                        "mode",
                        "owner",
                        "group",
                        "filetype",
                        "linked-to",
                        "md5",
                        "sha256",
                        "sha512",
                    ]),
                    numbers(&["size", "uid", "gid"]),
                    streams(&["contents"]),
                ]
                .concat(),
            ),
            vec![
                "DIR/plain",
                "DIR/link",
                "DIR/dangling",
                "DIR/dir",
                "DIR/empty",
                "DIR/odd 'name",
                "DIR/suid",
                "DIR/none",
                "DIR/plain/x",
                "/dev/null",
                "~/",
                "/etc/../etc//passwd",
            ],
        ),
        (
            (
                "user",
                "username",
                "exists",
                [
                    flag("exists"),
                    numbers(&["uid", "gid"]),
                    texts(&["home", "shell"]),
                    lists(&["groups"]),
                ]
                .concat(),
            ),
            vec!["root", "nobody", "no-such-user"],
        ),
        (
            (
                "group",
                "groupname",
                "exists",
                [flag("exists"), numbers(&["gid"])].concat(),
            ),
            vec!["root", "tty", "no-such-group"],
        ),
        (
            (
                "package",
                "name",
                "installed",
                [flag("installed"), lists(&["versions"])].concat(),
            ),
            vec!["bash", "dpkg", "no-such-package", "libc6:amd64", "libc-bin"],
        ),
        (
            (
                "service",
                "name",
                "running",
                [flag("running"), flag("enabled")].concat(),
            ),
            vec![
                "ssh",
                "cron",
                "no-such-service",
                "a/b",
                "systemd-journald",
                "dbus.socket",
            ],
        ),
        (
            ("process", "comm", "running", flag("running")),
            vec!["no-such-process", "cargo-of-no-one"],
        ),
        (
            (
                "port",
                "port",
                "listening",
                [flag("listening"), lists(&["ip"])].concat(),
            ),
            vec![
                "tcp:OPEN",
                "OPEN",
                "tcp:CLOSED",
                "tcp6:CLOSED",
                "udp:OPENUDP",
                "udp6:1",
            ],
        ),
        (
            ("kernel-param", "name", "value", texts(&["value"])),
            vec![
                "kernel.ostype",
                "net.ipv4.ip_forward",
                "net.ipv4.tcp_rmem",
                "no.such.key",
            ],
        ),
        (
            (
                "mount",
                "mountpoint",
                "exists",
                [
                    flag("exists"),
                    lists(&["opts", "vfs-opts"]),
                    texts(&["source", "filesystem"]),
                    numbers(&["usage"]),
                ]
                .concat(),
            ),
            vec!["/", "/dev"],
        ),
        (
            (
                "interface",
                "name",
                "exists",
                [flag("exists"), lists(&["addrs"]), numbers(&["mtu"])].concat(),
            ),
            vec!["lo", "no-such-link"],
        ),
        (
            ("addr", "address", "reachable", flag("reachable")),
            vec![
                "tcp://127.0.0.1:OPEN",
                "127.0.0.1:OPEN",
                "tcp://localhost:OPEN",
                "tcp://127.0.0.1:CLOSED",
                "udp://127.0.0.1:9",
                "udp://no-such.invalid:9",
            ],
        ),
        (
            (
                "command",
                "exec",
                "exit-status",
                [numbers(&["exit-status"]), streams(&["stdout", "stderr"])].concat(),
            ),
            vec![
                "true",
                "echo out; echo err >&2; exit 3",
                "printf 'no end'",
                "cat",
                "no-such-command-at-all",
                "printf '\\000\\377x'",
            ],
        ),
        (
            (
                "http",
                "url",
                "status",
                [numbers(&["status"]), streams(&["headers", "body"])].concat(),
            ),
            vec![
                "http://127.0.0.1:OPEN/",
                "http://127.0.0.1:OPEN/moved",
                "http://127.0.0.1:OPEN/loop",
                "http://127.0.0.1:OPEN/chunks",
                "http://127.0.0.1:CLOSED/",
                "ftp://127.0.0.1/",
            ],
        ),
        (
            (
                "dns",
                "resolve",
                "resolvable",
                [flag("resolvable"), lists(&["addrs"])].concat(),
            ),
            vec!["localhost", "127.0.0.1"],
        ),
    ]
}

/// Records that only a server has: each is asked with its type.
const NAMES: [&str; 11] = [
    "A:host.test",
    "AAAA:host.test",
    "host.test",
    "MX:host.test",
    "NS:host.test",
    "SRV:host.test",
    "TXT:host.test",
    "CAA:host.test",
    "CNAME:host.test",
    "PTR:10.1.2.3",
    "A:none.test",
];

/// A gossfile with every kind, thing and attribute, twice; and what it asks of the servers of this test.
fn gossfile(dir: &Path, open: u16, udp: u16, closed: u16, dns: u16) -> Value {
    let mut all = BTreeMap::<&str, serde_json::Map<String, Value>>::new();
    let mut count = 0;
    let mut add = |kind: &'static str,
                   name: &'static str,
                   thing: &str,
                   more: Value,
                   required: (&str, Value),
                   attribute: (&str, Value)| {
        count += 1;
        let mut body = serde_json::Map::new();
        body.insert(name.into(), json!(thing));
        body.extend(more.as_object().cloned().unwrap_or_default());
        body.insert(required.0.into(), required.1);
        body.insert(attribute.0.into(), attribute.1);
        all.entry(kind)
            .or_default()
            .insert(format!("{count:04}"), Value::Object(body));
    };
    for ((kind, name, required, attributes), things) in kinds() {
        for thing in things {
            let thing = thing
                .replace("DIR", dir.to_str().unwrap())
                .replace("OPENUDP", &udp.to_string())
                .replace("OPEN", &open.to_string())
                .replace("CLOSED", &closed.to_string());
            let holds = attributes
                .iter()
                .find(|(name, ..)| *name == required)
                .map(|(_, good, _)| good.clone())
                .unwrap();
            for (attribute, good, bad) in &attributes {
                for matcher in [good, bad] {
                    add(
                        kind,
                        name,
                        &thing,
                        json!({}),
                        (required, holds.clone()),
                        (attribute, matcher.clone()),
                    );
                }
            }
        }
    }
    for thing in NAMES {
        for matcher in [json!({"not": {"have-len": 99}}), json!({"have-len": 99})] {
            let server = json!({"server": format!("127.0.0.1:{dns}"), "timeout": 3000});
            add(
                "dns",
                "resolve",
                thing,
                server,
                ("resolvable", json!(true)),
                ("addrs", matcher),
            );
        }
    }
    serde_json::to_value(all).unwrap()
}

/// Answers HTTP requests for ever.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let Some(Ok(first)) = lines.next() else {
                return;
            };
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let answer = match first.split(' ').nth(1).unwrap() {
                "/moved" => "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
                "/loop" => "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n",
                "/chunks" => {
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n"
                }
                _ => "HTTP/1.1 404 Not Found\r\nX-b: 1\r\nx-A: 2\r\nContent-Length: 4\r\n\r\nbody",
            };
            let _ = stream.write_all(answer.as_bytes());
        });
    }
}

/// The reply to a DNS query about `host.test` or `10.1.2.3`.
fn reply(query: &[u8]) -> Vec<u8> {
    let query = Packet::parse(query).unwrap();
    let question = query.questions[0].clone();
    let mut reply = Packet::new_reply(query.id());
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
    let name = question.qname.to_string();
    let other = |text: &'static str| Name::new(text).unwrap();
    let QTYPE::TYPE(kind) = question.qtype else {
        panic!()
    };
    let data = match (name.as_str(), kind) {
        ("host.test", TYPE::A) => vec![
            RData::A(A {
                address: 0x0a01_0203,
            }),
            RData::A(A {
                address: 0x0101_0101,
            }),
        ],
        ("host.test", TYPE::AAAA) => vec![RData::AAAA(AAAA { address: 1 })],
        ("host.test", TYPE::MX) => vec![RData::MX(MX {
            preference: 10,
            exchange: other("mail.test"),
        })],
        ("host.test", TYPE::NS) => vec![RData::NS(NS(other("ns.test")))],
        ("host.test", TYPE::CNAME) => vec![RData::CNAME(CNAME(other("other.test")))],
        ("host.test", TYPE::SRV) => vec![RData::SRV(SRV {
            priority: 1,
            weight: 2,
            port: 3,
            target: other("srv.test"),
        })],
        ("host.test", TYPE::TXT) => vec![RData::TXT(
            TXT::new()
                .with_string("a=b c")
                .unwrap()
                .with_string("plain")
                .unwrap(),
        )],
        ("host.test", TYPE::CAA) => vec![RData::CAA(CAA {
            flag: 0,
            tag: CharacterString::new(b"issue").unwrap(),
            value: b"ca.test".into(),
        })],
        ("3.2.1.10.in-addr.arpa", TYPE::PTR) => vec![RData::PTR(PTR(other("host.test")))],
        _ => {
            *reply.rcode_mut() = RCODE::NameError;
            Vec::new()
        }
    };
    reply.questions.push(question.clone());
    for rdata in data {
        reply.answers.push(ResourceRecord::new(
            question.qname.clone(),
            CLASS::IN,
            60,
            rdata,
        ));
    }
    reply.build_bytes_vec().unwrap()
}

/// A DNS server that speaks UDP, as goss asks, and TCP, as forge asks.
fn name_server() -> u16 {
    let (udp, tcp) = loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            break (udp, tcp);
        }
    };
    let port = tcp.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut query) {
            let _ = udp.send_to(&reply(&query[..length]), from);
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut length = [0; 2];
                while stream.read_exact(&mut length).is_ok() {
                    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                    stream.read_exact(&mut query).unwrap();
                    let reply = reply(&query);
                    let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
                    stream
                        .write_all(&[&length, reply.as_slice()].concat())
                        .unwrap();
                }
            });
        }
    });
    port
}

/// What differs on purpose, each with its reason in docs/goss.md.
fn differs(goss: &Value) -> bool {
    let text = |name: &str| goss[name].as_str().unwrap_or_default().to_owned();
    // goss counts what has no blocks as the smallest of all numbers
    text("resource-type") == "Mount"
        && text("property") == "usage"
        && goss["matcher-result"]["actual"] == json!(i64::MIN)
}

/// A result without what time and words of errors decide.
fn essence(result: &Value) -> Value {
    // Go tells bytes that are no text from the replacement character itself
    let text = result.to_string().replace("\\\\ufffd", "\u{fffd}");
    let mut result: Value = serde_json::from_str(&text).unwrap();
    let fields = result.as_object_mut().unwrap();
    for name in ["start-time", "end-time", "duration"] {
        fields.remove(name);
    }
    if !fields["err"].is_null() {
        // the reason is the system's, in its own words
        fields.insert("err".into(), json!("an error"));
        for name in ["matcher-result", "summary-line", "summary-line-compact"] {
            fields.remove(name);
        }
    }
    result
}

fn by_place(report: &str) -> BTreeMap<String, Value> {
    let report: Value = serde_json::from_str(report).unwrap_or_else(|e| panic!("{e}: {report}"));
    let results = report["results"].as_array().unwrap();
    let place = |result: &Value| {
        format!(
            "{} {} {}",
            result["resource-type"], result["resource-id"], result["property"]
        )
    };
    results
        .iter()
        .map(|result| (place(result), result.clone()))
        .collect()
}

/// Files of all kinds.
fn things(dir: &Path) {
    let mode = |name: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.join(name), mode).unwrap();
    };
    std::fs::create_dir_all(dir.join("dir")).unwrap();
    std::fs::write(dir.join("plain"), "one\ntwo\n").unwrap();
    mode("plain", 0o640);
    std::fs::write(dir.join("suid"), [0, 255, b'\n', 128]).unwrap();
    mode("suid", 0o6755);
    std::fs::write(dir.join("empty"), "").unwrap();
    std::fs::write(dir.join("odd 'name"), "x").unwrap();
    std::os::unix::fs::symlink("plain", dir.join("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.join("dangling")).unwrap();
}

#[test]
fn every_resource_and_attribute_is_told_as_goss_tells_it() {
    let sandbox = Sandbox::empty();
    let dir = sandbox.path("things");
    things(&dir);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port();
    std::thread::spawn(move || serve(&listener));
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = datagrams.local_addr().unwrap().port();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let text = gossfile(&dir, open, udp, closed, name_server()).to_string();
    sandbox.write("goss.json", &text);

    let goss = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-goss/goss");
    let theirs = std::process::Command::new(&goss)
        .args(["-g", "goss.json", "validate", "--no-color", "-f", "json"])
        .current_dir(sandbox.root())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}; tests/goss/build makes it", goss.display()));
    let ours = sandbox
        .command(&["check", "--local", "-g", "goss.json", "-f", "json"])
        .output()
        .unwrap();
    assert_eq!(
        ours.status.code(),
        theirs.status.code(),
        "{}",
        String::from_utf8_lossy(&ours.stderr)
    );
    let theirs = by_place(&String::from_utf8_lossy(&theirs.stdout));
    let ours = by_place(&String::from_utf8_lossy(&ours.stdout));
    assert!(theirs.len() > 400, "{}", theirs.len());
    let other: Vec<String> = theirs
        .iter()
        .filter(|(_, result)| !differs(result))
        .filter_map(|(place, result)| {
            let own = ours.get(place).map(essence);
            let goss = essence(result);
            (own.as_ref() != Some(&goss)).then(|| {
                format!(
                    "{place}\n  goss:  {result}\n  forge: {}",
                    ours.get(place).unwrap_or(&Value::Null)
                )
            })
        })
        .collect();
    assert!(
        other.is_empty(),
        "{} of {} differ:\n{}",
        other.len(),
        theirs.len(),
        other.join("\n")
    );
    assert_eq!(theirs.len(), ours.len());
}
