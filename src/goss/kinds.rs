//! All resource types and their attributes.

use std::fmt;

/// What a resource is. The order is the one in which goss tries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// A command's exit status and output.
    Command,
    /// An answer to an HTTP request that comes from the system itself.
    Http,
    /// An address that the system can reach.
    Addr,
    /// A name that the system can resolve.
    Dns,
    /// An installed package.
    Package,
    /// A service of the init system.
    Service,
    /// A file, a directory, a link.
    File,
    /// Processes of a name.
    Process,
    /// An account of `/etc/passwd`.
    User,
    /// A group of `/etc/group`.
    Group,
    /// A listening port.
    Port,
    /// A value below `/proc/sys`.
    KernelParam,
    /// A mount point.
    Mount,
    /// A network interface.
    Interface,
    /// A value that the gossfile itself has: nothing is asked.
    Matching,
}

/// What an attribute is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Must hold; goss complains when it is missing.
    Required,
    /// Must hold if it is there.
    Expected,
    /// Must hold if it is there and no empty list.
    Searched,
    /// Describes how to ask: text.
    Text,
    /// Describes how to ask: a whole number.
    Int,
    /// Describes how to ask: yes or no.
    Bool,
    /// Describes how to ask: texts.
    Texts,
    /// Anything.
    Any,
}

/// An attribute of a resource type.
#[derive(Debug)]
pub(super) struct Attribute {
    /// As gossfiles write it.
    pub(super) name: &'static str,
    /// As reports and answers name it.
    pub(super) reported: &'static str,
    pub(super) role: Role,
}

const fn attribute(name: &'static str, role: Role) -> Attribute {
    Attribute {
        name,
        reported: name,
        role,
    }
}

const fn renamed(name: &'static str, reported: &'static str, role: Role) -> Attribute {
    Attribute {
        name,
        reported,
        role,
    }
}

use Role::{Any, Bool, Expected, Int, Required, Searched, Text, Texts};

const ADDR: &[Attribute] = &[
    attribute("address", Text),
    attribute("local-address", Text),
    attribute("timeout", Int),
    attribute("reachable", Required),
];
const COMMAND: &[Attribute] = &[
    attribute("exec", Text),
    attribute("timeout", Int),
    attribute("exit-status", Required),
    attribute("stdout", Searched),
    attribute("stderr", Searched),
];
const DNS: &[Attribute] = &[
    attribute("resolve", Text),
    attribute("server", Text),
    attribute("timeout", Int),
    attribute("resolvable", Required),
    attribute("addrs", Expected),
];
const FILE: &[Attribute] = &[
    attribute("path", Text),
    attribute("exists", Required),
    attribute("mode", Expected),
    attribute("owner", Expected),
    attribute("uid", Expected),
    attribute("group", Expected),
    attribute("gid", Expected),
    renamed("linked-to", "linkedto", Expected),
    attribute("filetype", Expected),
    attribute("contains", Searched),
    attribute("contents", Searched),
    attribute("size", Expected),
    attribute("md5", Expected),
    attribute("sha256", Expected),
    attribute("sha512", Expected),
];
const GROUP: &[Attribute] = &[
    attribute("groupname", Text),
    attribute("exists", Required),
    attribute("gid", Expected),
];
const HTTP: &[Attribute] = &[
    attribute("url", Text),
    attribute("method", Text),
    attribute("allow-insecure", Bool),
    attribute("no-follow-redirects", Bool),
    attribute("timeout", Int),
    attribute("request-headers", Texts),
    attribute("request-body", Text),
    attribute("username", Text),
    attribute("password", Text),
    attribute("ca-file", Text),
    attribute("cert-file", Text),
    attribute("key-file", Text),
    attribute("proxy", Text),
    attribute("status", Required),
    renamed("headers", "Headers", Searched),
    renamed("body", "Body", Searched),
];
const INTERFACE: &[Attribute] = &[
    attribute("name", Text),
    attribute("exists", Required),
    attribute("addrs", Expected),
    attribute("mtu", Expected),
];
const KERNEL_PARAM: &[Attribute] = &[attribute("name", Text), attribute("value", Required)];
const MATCHING: &[Attribute] = &[
    attribute("content", Any),
    attribute("as-reader", Bool),
    attribute("matches", Required),
];
const MOUNT: &[Attribute] = &[
    attribute("mountpoint", Text),
    attribute("timeout", Int),
    attribute("exists", Required),
    attribute("opts", Expected),
    attribute("vfs-opts", Expected),
    attribute("source", Expected),
    attribute("filesystem", Expected),
    attribute("usage", Expected),
];
const PACKAGE: &[Attribute] = &[
    attribute("name", Text),
    attribute("installed", Required),
    renamed("versions", "version", Expected),
];
const PORT: &[Attribute] = &[
    attribute("port", Text),
    attribute("listening", Required),
    attribute("ip", Expected),
];
const PROCESS: &[Attribute] = &[attribute("comm", Text), attribute("running", Required)];
const SERVICE: &[Attribute] = &[
    attribute("name", Text),
    attribute("enabled", Expected),
    attribute("running", Expected),
    attribute("runlevels", Expected),
];
const USER: &[Attribute] = &[
    attribute("username", Text),
    attribute("exists", Required),
    attribute("uid", Expected),
    attribute("gid", Expected),
    attribute("home", Expected),
    attribute("groups", Expected),
    attribute("shell", Expected),
];

impl ResourceKind {
    /// All of them, in goss's order.
    pub const ALL: [Self; 15] = [
        Self::Command,
        Self::Http,
        Self::Addr,
        Self::Dns,
        Self::Package,
        Self::Service,
        Self::File,
        Self::Process,
        Self::User,
        Self::Group,
        Self::Port,
        Self::KernelParam,
        Self::Mount,
        Self::Interface,
        Self::Matching,
    ];

    /// The name in gossfiles.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Addr => "addr",
            Self::Command => "command",
            Self::Dns => "dns",
            Self::File => "file",
            Self::Group => "group",
            Self::Http => "http",
            Self::Interface => "interface",
            Self::KernelParam => "kernel-param",
            Self::Matching => "matching",
            Self::Mount => "mount",
            Self::Package => "package",
            Self::Port => "port",
            Self::Process => "process",
            Self::Service => "service",
            Self::User => "user",
        }
    }

    /// The name in reports.
    #[must_use]
    pub const fn reported(self) -> &'static str {
        match self {
            Self::Addr => "Addr",
            Self::Command => "Command",
            Self::Dns => "DNS",
            Self::File => "File",
            Self::Group => "Group",
            Self::Http => "HTTP",
            Self::Interface => "Interface",
            Self::KernelParam => "KernelParam",
            Self::Matching => "Matching",
            Self::Mount => "Mount",
            Self::Package => "Package",
            Self::Port => "Port",
            Self::Process => "Process",
            Self::Service => "Service",
            Self::User => "User",
        }
    }

    /// The attributes, those that must hold in the order in which they are tried.
    pub(super) const fn attributes(self) -> &'static [Attribute] {
        match self {
            Self::Addr => ADDR,
            Self::Command => COMMAND,
            Self::Dns => DNS,
            Self::File => FILE,
            Self::Group => GROUP,
            Self::Http => HTTP,
            Self::Interface => INTERFACE,
            Self::KernelParam => KERNEL_PARAM,
            Self::Matching => MATCHING,
            Self::Mount => MOUNT,
            Self::Package => PACKAGE,
            Self::Port => PORT,
            Self::Process => PROCESS,
            Self::Service => SERVICE,
            Self::User => USER,
        }
    }

    /// The attribute that says what is asked for when the key does not.
    pub(super) const fn name_attribute(self) -> Option<&'static str> {
        match self {
            Self::Matching => None,
            _ => Some(self.attributes()[0].name),
        }
    }

    /// Whether a first attribute that does not hold makes the others pointless.
    pub(super) const fn gates(self) -> bool {
        !matches!(self, Self::Command | Self::Service)
    }

    /// Attributes for which goss once took text for a number.
    pub(super) fn was_text(self, name: &str) -> bool {
        matches!(
            (self, name),
            (Self::Command, "exit-status") | (Self::Group, "gid") | (Self::User, "uid" | "gid")
        )
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}
