//! The attributes of all resources: the one table that knows them.

use crate::model::Resource;

const FILE_TYPES: [&str; 7] = [
    "file",
    "directory",
    "symlink",
    "socket",
    "pipe",
    "character-device",
    "block-device",
];

/// What an attribute answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Yes or no.
    Bool,
    /// A number.
    Number,
    /// A word or a line.
    Text,
    /// Text with lines: a list asks for patterns.
    Lines,
    /// Several values.
    List,
    /// A file's permissions.
    Mode,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// So many hexadecimal digits.
    Hex(usize),
    /// An element of a list.
    Any,
}

impl Answer {
    /// For `expected …, found …`.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text | Self::OneOf(_) => "a string",
            Self::Lines => "text, or a list of patterns",
            Self::List => "a list",
            Self::Mode => "permissions as a string, like \"0644\"",
            Self::Hex(_) => "a checksum in hexadecimal digits",
            Self::Any => "a value",
        }
    }

    /// What `equal` may be given for it.
    pub(super) const fn of_equal(self) -> Self {
        match self {
            Self::List => Self::Any,
            other => other,
        }
    }
}

/// What an attribute is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Something that must hold.
    Expect(Answer),
    /// A text that says how to ask.
    Text,
    /// A port: `tcp:22`.
    Port,
    /// An address.
    Url,
    /// Yes or no that says how to ask.
    Flag,
    /// Texts that say how to ask.
    Texts,
    /// A time: milliseconds, or a text with a unit.
    Time,
    /// goss has it, forge not yet.
    Later,
}

use Answer::{Bool, Hex, Lines, List, Mode, Number, OneOf};
use Kind::{Expect, Flag, Later, Port, Texts, Time, Url};

pub(super) type Attributes = &'static [(&'static str, Kind)];

/// The attributes of a resource; the first one that must hold is the one without which the others make no sense.
pub(super) const fn attributes(resource: Resource) -> Attributes {
    match resource {
        Resource::Command => COMMAND,
        Resource::File => FILE,
        Resource::Group => GROUP,
        Resource::Http => HTTP,
        Resource::KernelParam => KERNEL_PARAM,
        Resource::Package => PACKAGE,
        Resource::Port => PORT,
        Resource::Process => PROCESS,
        Resource::Service => SERVICE,
        Resource::User => USER,
    }
}

const COMMAND: Attributes = &[
    ("exit-status", Expect(Number)),
    ("stdout", Expect(Lines)),
    ("stderr", Expect(Lines)),
    ("exec", Kind::Text),
    ("timeout", Time),
    ("retry_count", Later),
    ("retry_delay", Later),
];
const FILE: Attributes = &[
    ("exists", Expect(Bool)),
    ("filetype", Expect(OneOf(&FILE_TYPES))),
    ("mode", Expect(Mode)),
    ("size", Expect(Number)),
    ("owner", Expect(Answer::Text)),
    ("group", Expect(Answer::Text)),
    ("uid", Expect(Number)),
    ("gid", Expect(Number)),
    ("linked-to", Expect(Answer::Text)),
    ("contents", Expect(Lines)),
    ("contains", Expect(Lines)),
    ("md5", Expect(Hex(32))),
    ("sha256", Expect(Hex(64))),
    ("sha512", Expect(Hex(128))),
    ("path", Kind::Text),
];
const GROUP: Attributes = &[
    ("exists", Expect(Bool)),
    ("gid", Expect(Number)),
    ("groupname", Kind::Text),
];
const HTTP: Attributes = &[
    ("status", Expect(Number)),
    ("headers", Expect(Lines)),
    ("body", Expect(Lines)),
    ("url", Url),
    ("method", Kind::Text),
    ("timeout", Time),
    ("allow-insecure", Flag),
    ("no-follow-redirects", Flag),
    ("request-headers", Texts),
    ("request-body", Kind::Text),
    ("username", Kind::Text),
    ("password", Kind::Text),
    ("ca-file", Later),
    ("cert-file", Later),
    ("key-file", Later),
    ("proxy", Later),
];
const KERNEL_PARAM: Attributes = &[("value", Expect(Answer::Text)), ("name", Kind::Text)];
const PACKAGE: Attributes = &[
    ("installed", Expect(Bool)),
    ("versions", Expect(List)),
    ("name", Kind::Text),
    ("retry_count", Later),
    ("retry_delay", Later),
];
const PORT: Attributes = &[
    ("listening", Expect(Bool)),
    ("ip", Expect(List)),
    ("port", Port),
];
const PROCESS: Attributes = &[
    ("running", Expect(Bool)),
    ("count", Expect(Number)),
    ("comm", Kind::Text),
];
const SERVICE: Attributes = &[
    ("enabled", Expect(Bool)),
    ("running", Expect(Bool)),
    ("name", Kind::Text),
    ("runlevels", Later),
];
const USER: Attributes = &[
    ("exists", Expect(Bool)),
    ("uid", Expect(Number)),
    ("gid", Expect(Number)),
    ("groups", Expect(List)),
    ("home", Expect(Answer::Text)),
    ("shell", Expect(Answer::Text)),
    ("username", Kind::Text),
];
