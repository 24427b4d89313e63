//! What questions need: the system's lists and files, and which of them are asked together.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::goss::{Question, Transport};

/// How many addresses are dialled by one part: they begin together, and together they have the time of one.
const DIALLED: usize = 10;

/// Addresses that one part dials.
pub(in crate::guest::facts) struct Dial {
    /// The part's name.
    pub(in crate::guest::facts) part: String,
    /// What each of them has.
    pub(super) limit: Duration,
    /// The questions.
    pub(in crate::guest::facts) numbers: Vec<usize>,
}

/// Which addresses are dialled together.
pub(in crate::guest::facts) fn dials(questions: &[Question]) -> Vec<Dial> {
    let mut by_limit = BTreeMap::<Duration, Vec<usize>>::new();
    for (number, question) in questions.iter().enumerate() {
        if let Question::Addr {
            transport: Transport::Tcp,
            local: None,
            timeout,
            ..
        } = question
        {
            by_limit.entry(*timeout).or_default().push(number);
        }
    }
    let parts = by_limit
        .iter()
        .flat_map(|(limit, numbers)| numbers.chunks(DIALLED).map(|some| (*limit, some.to_vec())));
    parts
        .enumerate()
        .map(|(at, (limit, numbers))| Dial {
            part: format!("a{at}"),
            limit,
            numbers,
        })
        .collect()
}

/// The system's own lists that answer a question.
pub(super) const fn lists(question: &Question) -> &'static [&'static str] {
    match question {
        Question::Process { .. } => &["processes"],
        Question::Port { .. } => &["sockets"],
        Question::Interface { .. }
        | Question::Addr {
            transport: Transport::Udp,
            ..
        } => &["interfaces"],
        _ => &[],
    }
}

/// The system's files that answer a question.
pub(in crate::guest::facts) fn files(question: &Question) -> &'static [&'static str] {
    match question {
        Question::Group { .. } => &["/etc/group"],
        Question::User { .. } => &["/etc/group", "/etc/passwd"],
        Question::Mount { .. } => &["/proc/self/mountinfo"],
        Question::Dns { server: None, .. } => &["/etc/hosts", "/etc/resolv.conf"],
        Question::Addr {
            transport: Transport::Udp,
            ..
        } => &[
            "/etc/hosts",
            "/etc/resolv.conf",
            "/etc/services",
            "/proc/net/route",
            "/proc/net/ipv6_route",
        ],
        Question::Addr { port, .. } if port.parse::<u16>().is_err() => &["/etc/services"],
        _ => &[],
    }
}
