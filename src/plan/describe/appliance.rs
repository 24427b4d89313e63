//! What is handed out: disks as files, appliances, and their verification.

use super::super::ingredients::PROVIDER;
use super::super::inputs;
use super::Sheet;
use super::machine::Purpose;
use crate::model::{
    Algorithm, Export, OvfVersion, PackOva, Property, Publish, Signing, Variant, Verify,
};

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
            full_version,
            product_url,
            vendor_url,
            app_url,
            class,
            instance,
            annotation,
            eulas,
            transports,
            hardware_versions,
            tpm,
            digest,
            variant,
            ovf,
            sign,
            template,
            manifest,
        } = pack;
        self.files(inputs::of_appliance(template.as_ref(), sign.as_ref()));
        self.text("name", name);
        for property in properties {
            self.property(property);
        }
        let keys: Vec<&str> = properties.iter().map(|p| p.key.as_str()).collect();
        self.add("property order", keys.join(" "));
        self.text("product", product);
        self.optional("vendor", vendor.as_ref());
        self.text("version", version);
        self.optional("annotation", annotation.as_ref());
        for (what, text) in [
            ("full version", full_version),
            ("product url", product_url),
            ("vendor url", vendor_url),
            ("app url", app_url),
            ("class", class),
            ("instance", instance),
        ] {
            self.optional(what, text.as_ref());
        }
        for (i, eula) in eulas.iter().enumerate() {
            let name = if i == 0 {
                "eula".to_owned()
            } else {
                format!("eula {}", i + 1)
            };
            self.text(name, eula);
        }
        self.deployment(transports, hardware_versions, *tpm);
        self.form((*digest, *variant, *ovf), sign.as_ref());
        for (field, value) in manifest {
            self.text(format!("manifest {field}"), value);
        }
    }

    fn property(&mut self, property: &Property) {
        let Property {
            key,
            value,
            user_configurable,
            kind,
            password,
            qualifiers,
            category,
            label,
            description,
        } = property;
        self.text(format!("property {key}"), value);
        self.flag(
            &format!("property {key} user configurable"),
            *user_configurable,
        );
        self.flag(&format!("property {key} password"), *password);
        if kind != "string" {
            self.add(format!("property {key} type"), kind.clone());
        }
        if let Some(qualifiers) = qualifiers {
            self.add(format!("property {key} qualifiers"), qualifiers.clone());
        }
        for (what, text) in [
            ("category", category),
            ("label", label),
            ("description", description),
        ] {
            self.optional(&format!("property {key} {what}"), text.as_ref());
        }
    }

    fn deployment(&mut self, transports: &[String], hardware_versions: &[u32], tpm: bool) {
        if !transports.is_empty() {
            self.add("transport", transports.join(" "));
        }
        if !hardware_versions.is_empty() {
            let versions: Vec<String> = hardware_versions.iter().map(u32::to_string).collect();
            self.add("hardware versions", versions.join(" "));
        }
        self.flag("tpm", tpm);
    }

    fn form(
        &mut self,
        (digest, variant, ovf): (Algorithm, Variant, OvfVersion),
        sign: Option<&Signing>,
    ) {
        if digest != Algorithm::Sha256 {
            self.add("manifest digest", digest.to_string());
        }
        if variant != Variant::default() {
            self.add("variant", variant.to_string());
        }
        if ovf != OvfVersion::default() {
            self.add("ovf", ovf.to_string());
        }
        if let Some(Signing {
            key_file,
            certificate,
        }) = sign
        {
            // another key would not fit the certificate, whose content is an input
            self.text("sign key file", key_file);
            self.text("sign certificate", certificate);
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
