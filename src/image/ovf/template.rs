//! A user's own template instead of the descriptor that [`super::write()`] makes. What it gives is held to the schema, and
//! must describe a machine.

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::{Value, json};

use super::devices::Devices;
use super::xml::escape;
use super::{Description, OvfError, Written, guest, parse, write};
use crate::model::Firmware;

/// Renders a minijinja template with what is known of an appliance. Values are escaped as XML wants it.
pub fn render(template: &str, description: &Description) -> Result<Written, OvfError> {
    let Written { text, warnings } = write(description)?;
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    // line ends and tabs too: in an attribute they would become spaces
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => Ok(out.write_str(&escape(text, true))?),
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.set_keep_trailing_newline(true);
    let fail = |e: minijinja::Error| {
        let line = e
            .line()
            .map(|line| format!("line {line}: "))
            .unwrap_or_default();
        let detail = e.detail().map(|d| format!(": {d}")).unwrap_or_default();
        OvfError::Template(format!("{line}{}{detail}", e.kind()))
    };
    let rendered = environment
        .render_str(template, values(description, &text)?)
        .map_err(fail)?;
    let envelope = parse(rendered.as_bytes())?;
    if let Some(fault) = envelope.schema_faults.first() {
        return Err(OvfError::Schema(fault.clone()));
    }
    if let Some(section) = envelope.without_info.first() {
        return Err(OvfError::Schema(format!("`{section}` has no `Info`")));
    }
    envelope.lower()?;
    Ok(Written {
        text: rendered,
        warnings,
    })
}

/// The variables of a template.
fn values(description: &Description, ovf: &str) -> Result<Value, OvfError> {
    let Description {
        name,
        hardware,
        disks,
        nvram,
        product,
        annotation,
        eulas,
        deploy,
    } = description;
    let devices = Devices::new(hardware, &mut Vec::new())?;
    let os = guest::os(hardware.guest_id.as_deref(), hardware.hardware_version);
    let properties = product.properties.iter().map(|p| {
        json!({
            "key": p.key, "value": p.value, "type": p.kind, "user_configurable": p.user_configurable,
            "password": p.password, "qualifiers": p.qualifiers, "category": p.category,
            "label": p.label, "description": p.description,
        })
    });
    let disks = disks.iter().zip(&hardware.disks).map(|(file, disk)| {
        json!({
            "file": file.href, "size": file.size.bytes(), "capacity": file.capacity.bytes(),
            "populated": file.populated.bytes(), "controller": disk.controller,
        })
    });
    Ok(json!({
        "name": name,
        "cpus": hardware.cpus,
        "cores_per_socket": hardware.cores_per_socket,
        "memory_mib": hardware.memory.mib(),
        "firmware": if hardware.firmware == Firmware::Bios { "bios" } else { "efi" },
        "secure_boot": hardware.firmware == Firmware::EfiSecure,
        "tpm": deploy.tpm,
        "hardware_version": deploy.families(hardware).join(" "),
        "guest": { "id": os.id, "version": os.version, "os_type": os.guest_id },
        "networks": devices.networks,
        "nics": devices.nics.iter().map(|(adapter, network)| json!({ "type": adapter, "network": network })).collect::<Vec<_>>(),
        "disks": disks.collect::<Vec<_>>(),
        "nvram": nvram.as_ref().map(|file| json!({ "file": file.href, "size": file.size.bytes() })),
        "product": {
            "name": product.name, "vendor": product.vendor, "version": product.version,
            "full_version": product.full_version, "product_url": product.product_url,
            "vendor_url": product.vendor_url, "app_url": product.app_url,
            "class": deploy.class, "instance": deploy.instance,
        },
        "properties": properties.collect::<Vec<_>>(),
        "transports": deploy.transports(&product.properties),
        "annotation": annotation,
        "eulas": eulas,
        "ovf": ovf,
    }))
}
