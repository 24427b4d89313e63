//! What a gossfile wants to know of a system, and what the system said: the seam between the language and the ways to reach a
//! system.

use std::collections::BTreeMap;
use std::time::Duration;

/// One resource's question. The attributes that an answer has are named as goss reports them (`exists`, `linkedto`, `Body`, …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Can the system reach this address? `reachable`: [`Truth::Bool`].
    Addr {
        /// TCP or UDP (a UDP dial succeeds unless the name or the route fails).
        transport: Transport,
        /// A name or an address, without brackets.
        host: String,
        /// The port as written: a number, or a service's name.
        port: String,
        /// The system's own address to dial from.
        local: Option<String>,
        /// The limit.
        timeout: Duration,
    },
    /// `sh -c` of this. `exit-status`: [`Truth::Int`]; `stdout`, `stderr`: [`Truth::Bytes`].
    Command {
        /// The shell line.
        exec: String,
        /// The limit.
        timeout: Duration,
    },
    /// A name's addresses or records. `resolvable`: [`Truth::Bool`]; `addrs`: [`Truth::List`], sorted.
    Dns {
        /// The name, without the record type.
        name: String,
        /// `A`, `MX`, …: only with a server.
        record: Option<String>,
        /// The server, `ip` or `ip:port`; none: the system's own resolver.
        server: Option<String>,
        /// The limit.
        timeout: Duration,
    },
    /// A path. `exists`, `mode` (`"0644"`), `size`, `owner`, `group`, `uid`, `gid`, `filetype`, `linkedto`, and what `wants` says.
    File {
        /// The path; `~` and `~user` are the system's.
        path: String,
        /// What costs reading the file.
        wants: FileWants,
    },
    /// A group of `/etc/group`. `exists`, `gid`.
    Group {
        /// Its name.
        name: String,
    },
    /// An HTTP request from the system's own view of the network. `status`: [`Truth::Int`]; `Headers`, `Body`: [`Truth::Bytes`].
    Http {
        /// The whole URL.
        url: String,
        /// The method.
        method: String,
        /// The limit.
        timeout: Duration,
        /// Take any certificate.
        allow_insecure: bool,
        /// Answer with the redirection itself.
        no_follow_redirects: bool,
        /// `Name: value` lines.
        headers: Vec<(String, String)>,
        /// The request's body.
        body: Option<String>,
        /// Basic authentication: name and password.
        login: Option<(String, String)>,
        /// Paths on the system: authorities to trust.
        ca_file: Option<String>,
        /// Paths on the system: the client's certificate and key.
        cert: Option<(String, String)>,
        /// The proxy's URL.
        proxy: Option<String>,
    },
    /// A network interface. `exists`, `addrs` (CIDR list), `mtu`.
    Interface {
        /// Its name.
        name: String,
    },
    /// A value below `/proc/sys`. `value`: [`Truth::Text`].
    KernelParam {
        /// `net.ipv4.ip_forward`.
        key: String,
    },
    /// A mount point. `exists`, `opts`, `vfs-opts`, `source`, `filesystem`, `usage`.
    Mount {
        /// Its path.
        point: String,
        /// The limit for asking the file system.
        timeout: Duration,
    },
    /// A package. `installed`, `version` (list).
    Package {
        /// Its name.
        name: String,
        /// `dpkg`, `rpm`, `apk`, `pacman`; none: the system's.
        manager: Option<String>,
    },
    /// A listening port. `listening`, `ip` (list).
    Port {
        /// `tcp`, `tcp6`, `udp`, `udp6`.
        protocol: String,
        /// Its number.
        port: String,
    },
    /// Processes of a name. `running`.
    Process {
        /// As in `/proc/PID/stat`: at most 15 characters.
        comm: String,
    },
    /// A service of the init system. `enabled`, `running`, `runlevels` (list).
    Service {
        /// Its name.
        name: String,
    },
    /// An account of `/etc/passwd`. `exists`, `uid`, `gid`, `home`, `shell`, `groups` (list, sorted).
    User {
        /// Its name.
        name: String,
    },
}

/// How an address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What of a file is asked beside what `lstat` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileWants {
    /// `contents`: [`Truth::Bytes`].
    pub contents: bool,
    /// `md5`.
    pub md5: bool,
    /// `sha256`.
    pub sha256: bool,
    /// `sha512`.
    pub sha512: bool,
}

/// One value of a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Yes or no.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
    /// Texts, in the order in which goss has them.
    List(Vec<String>),
    /// A stream that is searched line by line or as a whole.
    Bytes(Vec<u8>),
}

/// What a system said to one question: each attribute's value, or why there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// By the attribute's reported name. What the question asks for and is not here counts as "the system did not tell".
    pub values: BTreeMap<&'static str, Result<Truth, String>>,
    /// How long the system took for this question.
    pub took: Duration,
}
