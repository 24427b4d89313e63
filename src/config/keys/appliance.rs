//! Keys of stages that make appliances.

use super::key;
use crate::config::shape::Shape::{self, Bool, Either, Int, List, Map, OneOrMany, Text, Word};
use crate::config::shape::{Key, Keys};
use crate::model::{OvfVersion, PROPERTY_TYPES, Variant};

static PROPERTY_SHAPE: Shape = Either(&Text, &PROPERTY_TABLE);
static PROPERTY_TABLE: Shape = Shape::Keys(&PROPERTY);

pub(super) const EXPORT: &[Key] = &[
    key("name", Text, "The files' base name."),
    key("level", Int(1, 12), "How hard the disks are compressed."),
];

pub(super) const PACK_OVA: &[Key] = &[
    key(
        "name",
        Text,
        "The appliance's name: `output/NAME/NAME.ova`.",
    ),
    key(
        "properties",
        Map(&PROPERTY_SHAPE),
        "Properties for whoever deploys it.",
    ),
    key("product", Text, "The product's name."),
    key("vendor", Text, "The vendor."),
    key("version", Text, "The product's version."),
    key(
        "full_version",
        Text,
        "The product's version with everything: build, commit.",
    ),
    key(
        "product_url",
        Text,
        "Where there is more about the product.",
    ),
    key("vendor_url", Text, "Where there is more about the vendor."),
    key(
        "app_url",
        Text,
        "Where the product is reached when it runs.",
    ),
    key(
        "class",
        Text,
        "What stands before the properties' keys in a vApp.",
    ),
    key(
        "instance",
        Text,
        "What stands behind the properties' keys in a vApp.",
    ),
    key("annotation", Text, "A note for people."),
    key(
        "eula",
        OneOrMany(&Text),
        "A license to agree to, or several.",
    ),
    key(
        "transport",
        OneOrMany(&Word(TRANSPORTS)),
        "How properties reach the guest; none: `com.vmware.guestInfo`, if there is one to be set.",
    ),
    key(
        "hardware_versions",
        List(&Int(4, 99)),
        "The hardware versions that it runs on; none: the machine's.",
    ),
    key("tpm", Bool, "Whether it asks for a virtual TPM."),
    key(
        "digest",
        Word(MANIFEST_DIGESTS),
        "The manifest's digests; none: `sha256`.",
    ),
    key(
        "variant",
        Word(Variant::WORDS),
        "Whose importers it is made for; none: `vmware`.",
    ),
    key(
        "ovf",
        Word(OvfVersion::WORDS),
        "The version of OVF; none: `1.1`. Few importers read `2.0`.",
    ),
    key("sign", Shape::Keys(&SIGN), "Who signs it."),
    key(
        "ovf_template",
        Text,
        "A minijinja template of the descriptor; none: forge writes it.",
    ),
    key("manifest", Map(&Text), "Fields for `manifest.json`."),
];

/// The transports of properties.
pub(in crate::config) const TRANSPORTS: &[&str] = &["com.vmware.guestInfo", "iso"];

/// The digests of manifests that are written.
pub(in crate::config) const MANIFEST_DIGESTS: &[&str] = &["sha256", "sha512"];

static SIGN: Keys = Keys {
    what: "a signature",
    groups: &[&[
        key("key_file", Text, "The file with the RSA key, PEM."),
        key(
            "certificate",
            Text,
            "The file with the key's certificate, PEM, and those that lead to its authority.",
        ),
    ]],
};

static PROPERTY: Keys = Keys {
    what: "a property",
    groups: &[&[
        key(
            "value",
            Text,
            "Its value; none: empty, to be set by whoever deploys it.",
        ),
        key(
            "user_configurable",
            Bool,
            "Whether whoever deploys the appliance may change it.",
        ),
        key("type", Word(PROPERTY_TYPES), "Its type; none: `string`."),
        key("password", Bool, "Whether it is shown as dots."),
        key(
            "qualifiers",
            Text,
            "What values it may have: `MinLen(1) MaxLen(63)`, `ValueMap{\"a\", \"b\"}`.",
        ),
        key("category", Text, "The heading that it stands under."),
        key("label", Text, "What it is called, for people."),
        key("description", Text, "What it means, for people."),
    ]],
};
