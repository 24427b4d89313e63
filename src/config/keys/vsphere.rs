//! Keys of what only vSphere knows of a machine.

use super::key;
use crate::config::shape::Keys;
use crate::config::shape::Shape::{self, Bool, Int, List, OneOrMany, Size, Text, Word};
use crate::model::Provisioning;

/// `machine.vsphere`.
pub(super) static VSPHERE: Keys = Keys {
    what: "`vsphere`",
    groups: &[&[
        key("cpu_hot_add", Bool, "CPUs can be added while it runs."),
        key("memory_hot_add", Bool, "Memory can be added while it runs."),
        key(
            "cpu_reservation",
            Int(0, 1_000_000),
            "Of the processors, in MHz.",
        ),
        key("memory_reservation", Size, "Of the memory."),
        key("nested", Bool, "The guest can run machines itself."),
        key(
            "tpm",
            Bool,
            "A virtual TPM; vCenter needs a key provider for it.",
        ),
        key("video_memory", Size, "Memory of the video card: `16MiB`."),
        key(
            "tools_upgrade",
            Bool,
            "VMware Tools are brought up to date when it is turned on.",
        ),
        key(
            "sync_time",
            Bool,
            "VMware Tools set the guest's clock by the host's.",
        ),
        key(
            "linked",
            Bool,
            "Clones share the disks of what they come from (true if not said), or are full copies.",
        ),
        key("template", Bool, "A finished machine becomes a template."),
        key(
            "provisioning",
            Word(Provisioning::WORDS),
            "How the disks take their space.",
        ),
        key("notes", Text, "A note for people."),
        key(
            "extra_config",
            Shape::Map(&Text),
            "Entries of the machine's extra configuration: `disk.EnableUUID`.",
        ),
        key(
            "vapp_properties",
            Shape::Map(&Text),
            "Values of vApp properties, for clones of machines that have such.",
        ),
        key(
            "customization",
            Shape::Keys(&CUSTOMIZATION),
            "What VMware Tools make of a clone's guest at its first start.",
        ),
    ]],
};

static CUSTOMIZATION: Keys = Keys {
    what: "`customization`",
    groups: &[&[
        key(
            "spec",
            Text,
            "The name of a specification that the server keeps, instead of the other keys.",
        ),
        key(
            "hostname",
            Text,
            "The guest's name, without a domain; none: the machine's.",
        ),
        key("domain", Text, "Its domain."),
        key("time_zone", Text, "Its time zone: `Europe/Berlin`."),
        key("dns_servers", OneOrMany(&Text), "Name servers."),
        key("dns_suffixes", OneOrMany(&Text), "Domains to search."),
        key(
            "nics",
            List(&Shape::Keys(&CUSTOM_NIC)),
            "One for each network adapter, in order; the others use DHCP.",
        ),
    ]],
};

static CUSTOM_NIC: Keys = Keys {
    what: "a network adapter of `customization`",
    groups: &[&[
        key(
            "address",
            Text,
            "Its address with the length of the network's prefix, `10.20.0.7/24`; none: DHCP.",
        ),
        key("gateway", Text, "The gateway."),
    ]],
};
