//! One resource of a gossfile: what it asks of a system.

use std::collections::BTreeMap;
use std::time::Duration;

use super::kinds::Attribute;
use super::{FileWants, Question, ResourceKind, Transport, Value};

/// One resource and what it must be like.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// Its key in the gossfile.
    pub key: String,
    /// What people call it.
    pub title: Option<String>,
    /// What people noted about it.
    pub meta: Option<BTreeMap<String, Value>>,
    /// Reported as skipped, never asked.
    pub skip: bool,
    /// How to ask.
    pub(super) settings: BTreeMap<&'static str, Value>,
    /// What must hold, in the order in which it is tried.
    pub(super) expectations: Vec<Expectation>,
}

/// One attribute that must hold.
#[derive(Clone, Debug)]
pub(super) struct Expectation {
    pub(super) attribute: &'static Attribute,
    /// The matcher as written; null when a required one is missing.
    pub(super) expected: Value,
}

impl PartialEq for Expectation {
    fn eq(&self, other: &Self) -> bool {
        self.attribute.name == other.attribute.name && self.expected == other.expected
    }
}

impl Resource {
    /// What it is about: the attribute that names it, else the key.
    #[must_use]
    pub fn name(&self) -> &str {
        let own = self.kind.name_attribute().and_then(|name| self.text(name));
        own.unwrap_or(&self.key)
    }

    /// As reports name it: the key, and what it stands for if that is another.
    #[must_use]
    pub fn id(&self) -> String {
        let name = self.name();
        if self.kind == ResourceKind::Command || name == self.key {
            return self.key.clone();
        }
        format!("{}: {name}", self.key)
    }

    /// How many attributes will be reported.
    #[must_use]
    pub fn len(&self) -> usize {
        self.expectations.len()
    }

    /// Whether nothing will be reported: a service without a wish.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expectations.is_empty()
    }

    /// In words for fingerprints: resources that ask or expect different things never show alike.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let expectations: Vec<String> = self
            .expectations
            .iter()
            .map(|expectation| format!("{}={:?}", expectation.attribute.name, expectation.expected))
            .collect();
        format!(
            "{} {:?} title={:?} meta={:?} skip={} {:?} {}",
            self.kind,
            self.key,
            self.title,
            self.meta,
            self.skip,
            self.settings,
            expectations.join(" ")
        )
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.settings
            .get(name)
            .and_then(Value::as_text)
            .filter(|text| !text.is_empty())
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.settings.get(name) == Some(&Value::Bool(true))
    }

    /// A limit in milliseconds; none and zero are goss's default.
    fn timeout(&self, default: u64) -> Duration {
        let given = match self.settings.get("timeout") {
            Some(Value::Int(number)) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        };
        Duration::from_millis(if given == 0 { default } else { given })
    }

    fn expects(&self, name: &str) -> bool {
        self.expectations
            .iter()
            .any(|expectation| expectation.attribute.name == name)
    }

    /// What must be asked of the system; none for one that is skipped, that expects nothing, or that the gossfile answers itself.
    #[must_use]
    pub fn question(&self) -> Option<Question> {
        if self.skip || self.is_empty() {
            return None;
        }
        self.asks()
    }

    /// What a check asks that has nothing but this key; none: nothing.
    #[must_use]
    pub fn plain_question(kind: ResourceKind, key: &str) -> Option<Question> {
        let plain = Self {
            kind,
            key: key.to_owned(),
            title: None,
            meta: None,
            skip: false,
            settings: BTreeMap::new(),
            expectations: Vec::new(),
        };
        plain.asks()
    }

    fn asks(&self) -> Option<Question> {
        let name = self.name().to_owned();
        Some(match self.kind {
            ResourceKind::Addr => self.addr(&name),
            ResourceKind::Command => Question::Command {
                exec: name,
                timeout: self.timeout(10_000),
            },
            ResourceKind::Dns => {
                let (record, name) = match name.split_once(':') {
                    Some((record, host))
                        if !record.is_empty() && record.bytes().all(|b| b.is_ascii_uppercase()) =>
                    {
                        (Some(record.to_owned()), host.to_owned())
                    }
                    _ => (None, name),
                };
                let server = self.owned("server");
                Question::Dns {
                    name,
                    record,
                    server,
                    timeout: self.timeout(500),
                }
            }
            ResourceKind::File => Question::File {
                path: name,
                wants: FileWants {
                    contents: self.expects("contents") || self.expects("contains"),
                    md5: self.expects("md5"),
                    sha256: self.expects("sha256"),
                    sha512: self.expects("sha512"),
                },
            },
            ResourceKind::Group => Question::Group { name },
            ResourceKind::Http => self.http(name),
            ResourceKind::Interface => Question::Interface { name },
            ResourceKind::KernelParam => Question::KernelParam { key: name },
            ResourceKind::Matching => return None,
            ResourceKind::Mount => Question::Mount {
                point: name,
                timeout: self.timeout(1000),
            },
            ResourceKind::Package => Question::Package {
                name,
                manager: None,
            },
            ResourceKind::Port => {
                let (protocol, port) = match name.split_once(':') {
                    Some((protocol, port)) => (protocol.to_owned(), port.to_owned()),
                    None => ("tcp".to_owned(), name),
                };
                Question::Port { protocol, port }
            }
            ResourceKind::Process => Question::Process { comm: name },
            ResourceKind::Service => Question::Service { name },
            ResourceKind::User => Question::User { name },
        })
    }

    fn addr(&self, name: &str) -> Question {
        let (transport, rest) = match name.split_once("://") {
            Some((network, rest)) if network.starts_with("udp") => (Transport::Udp, rest),
            Some((_, rest)) => (Transport::Tcp, rest),
            None => (Transport::Tcp, name),
        };
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        Question::Addr {
            transport,
            host: bare.unwrap_or(host).to_owned(),
            port: port.to_owned(),
            local: self.owned("local-address"),
            timeout: self.timeout(500),
        }
    }

    fn http(&self, url: String) -> Question {
        let headers = match self.settings.get("request-headers") {
            Some(Value::Texts(lines)) => lines
                .iter()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            _ => Vec::new(),
        };
        let pair = |first: &str, second: &str| {
            let both = (self.owned(first), self.owned(second));
            (both != (None, None)).then(|| (both.0.unwrap_or_default(), both.1.unwrap_or_default()))
        };
        Question::Http {
            url,
            method: self.owned("method").unwrap_or_else(|| "GET".into()),
            timeout: self.timeout(5000),
            allow_insecure: self.flag("allow-insecure"),
            no_follow_redirects: self.flag("no-follow-redirects"),
            headers,
            body: self.owned("request-body"),
            login: pair("username", "password"),
            ca_file: self.owned("ca-file"),
            cert: pair("cert-file", "key-file"),
            proxy: self.owned("proxy"),
        }
    }
}
