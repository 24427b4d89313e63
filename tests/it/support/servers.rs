//! Servers that tests ask: HTTP and DNS.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};

use simple_dns::rdata::{A, AAAA, CAA, CNAME, MX, NS, PTR, RData, SRV, TXT};
use simple_dns::{
    CLASS, CharacterString, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE,
};

/// Records that only a server has: each is asked with its type.
pub(crate) const NAMES: [&str; 11] = [
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

/// A web server on a port of its own.
pub(crate) fn web_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || serve(&listener));
    port
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
pub(crate) fn name_server() -> u16 {
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
