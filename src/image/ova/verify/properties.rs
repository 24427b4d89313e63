//! The properties: what a deployer may set, and how that reaches the guest.

use std::collections::BTreeSet;

use super::Importer;
use super::descriptor::Lint;
use crate::model::is_vmwares_property_type;

/// Checks the properties of a descriptor.
pub(super) fn check(lint: &mut Lint<'_>) {
    let properties = &lint.envelope.product.properties;
    let mut keys = BTreeSet::new();
    for property in properties {
        let key = &property.key;
        if !keys.insert(key) {
            let message = format!("two properties are called `{key}`");
            lint.error("property", message, &[Importer::Vcenter]);
        }
        for fault in property.faults() {
            let message = format!("the property `{key}`: {fault}");
            lint.error("property-value", message, &[Importer::Vcenter]);
        }
        if is_vmwares_property_type(&property.kind) {
            let message = format!("the property `{key}` has the type `{}`", property.kind);
            lint.warning("property-type", message, &[Importer::Others]);
        }
        if (property.password || property.kind == "password") && !property.value.is_empty() {
            let message =
                format!("the property `{key}` is a password, and whoever has the file can read it");
            lint.warning("property-password", message, &[]);
        }
    }
    let open = properties.iter().any(|p| p.user_configurable);
    if open && lint.envelope.transports.is_empty() {
        let message = "properties may be set, but no `ovf:transport` carries them to the guest";
        lint.warning("transport", message, &[]);
    }
    for transport in &lint.envelope.transports {
        if !["iso", "com.vmware.guestInfo"].contains(&transport.as_str()) {
            let message = format!("the transport `{transport}` is not known");
            lint.error("transport", message, &[Importer::Vcenter]);
        }
    }
}
