//! What a project may say about a vSphere server under `[providers.NAME]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::{Duration, Network, Secret};
use crate::vim::{Endpoint, Trust};

/// Where machines are made on a server, and how it is reached.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `host`, `host:port` or a URL.
    pub server: Option<String>,
    /// The account.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// The certificate to accept, whoever vouches for it.
    pub tls_thumbprint: Option<String>,
    /// Accept any certificate.
    pub insecure: bool,
    /// More authorities.
    pub ca_file: Option<PathBuf>,
    /// The datacenter; none: the only one.
    pub datacenter: Option<String>,
    /// The cluster.
    pub cluster: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The datastore, or a cluster of them; none: the only one.
    pub datastore: Option<String>,
    /// The folder of machines, `a/b`; none: the datacenter's own.
    pub folder: Option<String>,
    /// The network of adapters whose own is not there.
    pub network: Option<String>,
    /// The resource pool; none: that of the cluster or host.
    pub resource_pool: Option<String>,
    /// The address of this host that guests are told.
    pub http_address: Option<String>,
    /// Where a guest's address is looked for.
    pub guest_network: Option<Network>,
    /// How long an address must stay the same.
    pub address_settle: Option<Duration>,
    /// The folder of the datastore for install media.
    pub iso_folder: Option<String>,
    /// Why other settings are not known: the environment lacks their variables.
    pub unset: Vec<String>,
}

impl Settings {
    /// From the settings as written, rendered, with secrets filled in; `root` is where relative paths begin.
    pub fn parse(settings: &BTreeMap<String, String>, root: &Path) -> Result<Self, String> {
        let get = |key: &str| settings.get(key).filter(|text| !text.is_empty()).cloned();
        let guest_network = match get("guest_network") {
            Some(text) => Some(Network::parse(&text).ok_or_else(|| {
                format!("`guest_network = \"{text}\"` is no network such as `10.20.0.0/16`")
            })?),
            None => None,
        };
        let settle = match get("address_settle") {
            Some(text) => {
                Some(Duration::parse(&text).map_err(|e| format!("`address_settle`: {e}"))?)
            }
            None => None,
        };
        Ok(Self {
            server: get("server"),
            username: get("username"),
            password: get("password").map(Secret::new),
            tls_thumbprint: get("tls_thumbprint"),
            insecure: get("insecure").is_some_and(|word| word == "true"),
            ca_file: get("ca_file").map(|path| root.join(path)),
            datacenter: get("datacenter"),
            cluster: get("cluster"),
            host: get("host"),
            datastore: get("datastore"),
            folder: get("folder"),
            network: get("network"),
            resource_pool: get("resource_pool").filter(|name| name != "Resources"),
            http_address: get("http_address"),
            guest_network,
            address_settle: settle,
            iso_folder: get("iso_folder"),
            unset: Vec::new(),
        })
    }

    /// How the server is reached, or the settings that are missing for it.
    pub fn endpoint(&self) -> Result<Endpoint, Vec<&'static str>> {
        let missing: Vec<&'static str> = [
            ("server", self.server.is_none()),
            ("username", self.username.is_none()),
            ("password", self.password.is_none()),
        ]
        .into_iter()
        .filter_map(|(name, missing)| missing.then_some(name))
        .collect();
        let (Some(server), Some(username), Some(password)) =
            (&self.server, &self.username, &self.password)
        else {
            return Err(missing);
        };
        let trust = match (&self.tls_thumbprint, self.insecure) {
            (Some(thumbprint), _) => Trust::Thumbprint(thumbprint.clone()),
            (None, true) => Trust::Insecure,
            (None, false) => Trust::Verify,
        };
        Ok(Endpoint {
            server: server.clone(),
            username: username.clone(),
            password: password.clone(),
            trust,
            ca_file: self.ca_file.clone(),
        })
    }

    /// The parts of the provider's identity: a machine made elsewhere is another one.
    #[must_use]
    pub fn identity(&self) -> Vec<(String, String)> {
        let parts = [
            ("server", &self.server),
            ("datacenter", &self.datacenter),
            ("cluster", &self.cluster),
            ("host", &self.host),
            ("datastore", &self.datastore),
        ];
        let known = parts
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        known.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_for_a_login_is_named() {
        let settings = |pairs: &[(&str, &str)]| {
            let map = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            Settings::parse(&map.collect(), Path::new("/p"))
        };
        let none = settings(&[("server", ""), ("username", "root")]).unwrap();
        assert_eq!(none.endpoint().unwrap_err(), ["server", "password"]);
        let all = settings(&[
            ("server", "vc"),
            ("username", "root"),
            ("password", "p"),
            ("insecure", "true"),
            ("tls_thumbprint", "AA"),
            ("ca_file", "ca.pem"),
        ])
        .unwrap();
        assert_eq!(all.ca_file.as_deref(), Some(Path::new("/p/ca.pem")));
        let endpoint = all.endpoint().unwrap();
        assert_eq!(endpoint.trust, Trust::Thumbprint("AA".into()));
        assert!(
            settings(&[("guest_network", "lan")])
                .unwrap_err()
                .contains("lan")
        );
    }
}
