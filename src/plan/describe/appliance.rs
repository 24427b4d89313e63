//! What is handed out: disks as files, appliances, and their verification.

use super::super::ingredients::PROVIDER;
use super::Sheet;
use super::machine::Purpose;
use crate::model::{Export, PackOva, Property, Publish, Verify};

impl Sheet<'_> {
    pub(super) fn export(&mut self, export: &Export) {
        let Export { name, level } = export;
        // the disks' file names, which an OVF refers to
        self.text("name", name);
        self.add("compression level", level.to_string());
    }

    pub(super) fn pack_ova(&mut self, pack: &PackOva) {
        let PackOva {
            name,
            properties,
            product,
            vendor,
            version,
            annotation,
            eula,
            manifest,
        } = pack;
        self.text("name", name);
        for property in properties {
            let Property {
                key,
                value,
                user_configurable,
            } = property;
            self.text(format!("property {key}"), value);
            self.flag(
                &format!("property {key} user configurable"),
                *user_configurable,
            );
        }
        let keys: Vec<&str> = properties.iter().map(|p| p.key.as_str()).collect();
        self.add("property order", keys.join(" "));
        self.text("product", product);
        self.optional("vendor", vendor.as_ref());
        self.text("version", version);
        self.optional("annotation", annotation.as_ref());
        self.optional("eula", eula.as_ref());
        for (field, value) in manifest {
            self.text(format!("manifest {field}"), value);
        }
    }

    pub(super) fn verify(&mut self, verify: &Verify) {
        let Verify {
            provider,
            ssh,
            checks,
            // how long one asks, and how often, does not change what must hold
            retry_timeout: _,
            sleep: _,
        } = verify;
        self.provider(provider);
        self.ssh(ssh, Purpose::Test);
        self.checks(checks);
    }

    pub(super) fn publish(&mut self, publish: &Publish) {
        let Publish {
            provider,
            library,
            item,
        } = publish;
        self.add("provider", provider.to_string());
        // of all that is known of the provider, a library depends on the server alone
        let identity = self.facts.identities.get(provider);
        let server = identity
            .into_iter()
            .flatten()
            .find(|(part, _)| part == "server");
        if let Some((part, server)) = server {
            self.add(format!("{PROVIDER}{part}"), server);
        }
        self.text("library", library);
        self.optional("item", item.as_ref());
    }
}
