use std::fs;
use std::process::Command;

use proptest::prelude::*;

use super::super::manifest::Manifest;
use super::super::tests::{archive, make, members};
use super::*;
use crate::image::Window;
use crate::image::ova::UnpackLimits;
use crate::model::{Algorithm, Digest};

type Members = Vec<(String, Vec<u8>)>;

fn verify(package: &Package) -> Report {
    package
        .verify(&Options::default(), &|_| {}, &Cancel::new())
        .unwrap()
}

/// The findings' codes of a good package that was changed; `resum` makes the manifest fit again.
fn codes(resum: Resum, change: &dyn Fn(&mut Members)) -> Vec<String> {
    let mut members = members();
    change(&mut members);
    if resum == Resum::Yes {
        let sums = members
            .iter()
            .filter(|(name, _)| !name.ends_with(".mf"))
            .map(|(name, bytes)| (name.as_str(), Digest::of(bytes).hex()));
        let manifest = Manifest::of(Algorithm::Sha256, sums)
            .to_string()
            .into_bytes();
        if let Some(mf) = members.iter_mut().find(|(name, _)| name.ends_with(".mf")) {
            mf.1 = manifest;
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let report = verify(&archive(&dir.path().join("x.ova"), &members));
    let severity = |f: &Finding| {
        if f.severity == Severity::Error {
            "!"
        } else {
            ""
        }
    };
    let code = |f: &Finding| format!("{}{}", severity(f), f.code);
    report.findings.iter().map(code).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Resum {
    Yes,
    No,
}

fn replace(from: &'static str, to: &'static str) -> impl Fn(&mut Members) {
    move |members: &mut Members| {
        let text = String::from_utf8(members[0].1.clone()).unwrap();
        assert!(text.contains(from), "{from} is not in\n{text}");
        members[0].1 = text.replace(from, to).into_bytes();
    }
}

#[test]
fn what_we_pack_has_no_findings_in_a_tar_or_unpacked() {
    let made = make();
    let package = Package::open(&made.pack("app").unwrap().0).unwrap();
    assert_eq!(verify(&package).to_string(), "");
    let dir = made.dir.path().join("out");
    let paths = package
        .unpack(&dir, UnpackLimits::NONE, &|_| {}, &Cancel::new())
        .unwrap();
    assert_eq!(verify(&Package::open(&paths[0]).unwrap()).to_string(), "");
}

#[test]
fn faults_of_the_tar_file_are_found() {
    let no = |change: &dyn Fn(&mut Members)| codes(Resum::No, change);
    assert_eq!(no(&|m| m.rotate_left(1)), ["!tar-order"]);
    assert_eq!(no(&|m| m.swap(1, 2)), Vec::<&str>::new());
    assert_eq!(no(&|m| m[2].0.insert_str(0, "./")), ["!tar-name"]);
    assert_eq!(no(&|m| m.push(m[2].clone())), ["!tar-twice"]);
    let two = no(&|m| m.push(("b.ovf".into(), m[0].1.clone())));
    assert_eq!(two, ["!tar-twice", "!manifest-lacks"]);
    let other = no(&|m| m[1].0 = "other.mf".into());
    assert_eq!(other, ["!manifest-name"]);
    let middle = no(&|m| {
        m.swap(1, 2);
        m.push(("readme.txt".into(), Vec::new()));
    });
    assert_eq!(middle, ["tar-order", "file-unknown", "!manifest-lacks"]);
    assert_eq!(no(&|m| m.truncate(2)), ["!file-missing", "!manifest-file"]);
    assert_eq!(no(&|m| drop(m.remove(1))), ["manifest"]);
    assert_eq!(no(&|m| drop(m.remove(0))), ["!ovf", "!manifest-file"]);
}

#[test]
fn other_dialects_of_tar_are_told() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in members() {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    for (format, code) in [("gnu", "tar-format"), ("pax", "tar-format"), ("ustar", "")] {
        let output = Command::new("tar")
            .current_dir(dir.path())
            .args([&format!("--format={format}"), "-cf", "x.ova"])
            .args(["app.ovf", "app.mf", "app-disk1.vmdk"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let report = verify(&Package::open(&dir.path().join("x.ova")).unwrap());
        let found = report.findings.iter().map(|f| f.code);
        assert!(found.clone().all(|f| f == code), "{format}: {report}");
        assert_eq!(found.count(), if code.is_empty() { 0 } else { 3 });
        assert!(!report.has_errors());
    }
    // Without its end, and cut within the disk.
    let path = dir.path().join("x.ova");
    let bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
    let disk_end = (end + 512).next_multiple_of(512);
    fs::write(&path, &bytes[..disk_end]).unwrap();
    let report = verify(&Package::open(&path).unwrap());
    assert_eq!(report.findings[0].code, "tar-end", "{report}");
    fs::write(&path, &bytes[..end - 2000]).unwrap();
    let report = verify(&Package::open(&path).unwrap());
    assert_eq!(report.findings[0].code, "tar-damage", "{report}");
}

#[test]
fn faults_of_the_descriptor_are_found() {
    let yes = |from, to| codes(Resum::Yes, &replace(from, to));
    for (from, to, code) in [
        ("<Envelope", "<Envelop", "!ovf"),
        ("vmx-15", "vmx-16", "!hardware-family"),
        ("vmx-15", "virtualbox-2.2", "!hardware-family"),
        ("other4xLinux64Guest", "centos7-64", "!os-type"),
        (" vmw:osType=\"other4xLinux64Guest\"", "", "os-type"),
        (
            "<Network ovf:name=\"VM Network\"",
            "<Network ovf:name=\"Other\"",
            "network",
        ),
        (
            "<rasd:Connection>VM Network</rasd:Connection>",
            "",
            "network",
        ),
        ("InstanceID>2<", "InstanceID>1<", "!item-id"),
        ("<Info>The machine's disks</Info>", "", "ovf-info"),
        (">lsilogic<", ">LsiLogic<", "item-subtype"),
        ("ovf:capacity=\"2\"", "ovf:capacity=\"3\"", "!disk-capacity"),
        ("ovf:capacity=\"2\"", "ovf:capacity=\"two\"", "!hardware"),
        (
            "ovf:populatedSize=\"",
            "ovf:populatedSize=\"9",
            "disk-populated",
        ),
        ("ovf:size=\"", "ovf:size=\"9", "!file-size"),
        ("ovf:size=", "ovf:sizes=", "file-size"),
        ("vmdk.html#streamOptimized", "qcow", "!disk-format"),
        (
            "<Product>App</Product>",
            "<Product>App</Product><Property ovf:key=\"k\" ovf:userConfigurable=\"true\"/>",
            "transport",
        ),
        (
            "<Product>App</Product>",
            "<Product>App</Product><Property ovf:key=\"k\"/><Property ovf:key=\"k\"/>",
            "!property",
        ),
        (
            "<ProductSection>",
            "<FooSection><Info/></FooSection><ProductSection>",
            "ovf-section",
        ),
        (
            "vmw:key=\"firmware\" vmw:value=\"bios\"",
            "vmw:key=\"bootOptions.efiSecureBootEnabled\" vmw:value=\"true\"",
            "",
        ),
    ] {
        let found = yes(from, to);
        if code.is_empty() {
            assert_eq!(found, Vec::<String>::new(), "{from} → {to}");
        } else {
            assert!(found.contains(&code.to_owned()), "{from} → {to}: {found:?}");
        }
    }
}

/// What is replaced in the descriptor, by what, which rule that breaks, and who cares.
const RULES: &[(&str, &str, &str, Importer)] = &[
    ("vmx-15", "vmx-20", "hardware-new", Importer::Esxi),
    ("vmx-15", "vmx-99", "!hardware-family", Importer::Esxi),
    ("vmx-15", "vmx-10", "hardware-old", Importer::Vcenter),
    (
        "OperatingSystemSection ovf:id=\"101\"",
        "OperatingSystemSection ovf:id=\"Linux\"",
        "!os-id",
        Importer::Virtualbox,
    ),
    (
        "vmw:value=\"bios\"",
        "vmw:value=\"efi\"",
        "firmware-lost",
        Importer::Virtualbox,
    ),
    (
        ">lsilogic<",
        ">VirtualSCSI<",
        "scsi-type",
        Importer::Virtualbox,
    ),
    (
        ">lsilogic</rasd:ResourceSubType>\n        <rasd:ResourceType>6<",
        ">vmware.nvme.controller</rasd:ResourceSubType>\n        <rasd:ResourceType>20<",
        "!item-subtype",
        Importer::Virtualbox,
    ),
    (
        ">lsilogic</rasd:ResourceSubType>\n        <rasd:ResourceType>6<",
        ">PIIX4</rasd:ResourceSubType>\n        <rasd:ResourceType>5<",
        "!item-subtype",
        Importer::Esxi,
    ),
    (">E1000<", ">VmxNet3<", "nic-type", Importer::Virtualbox),
    (">E1000<", ">virtio<", "!nic-type", Importer::Esxi),
    (">E1000<", ">Token Ring<", "nic-type", Importer::Esxi),
    (
        "ResourceType>3<",
        "ResourceType>24<",
        "item-type",
        Importer::Virtualbox,
    ),
    (
        "byte * 2^20</rasd:Alloc",
        "KiloBytes</rasd:Alloc",
        "!memory-unit",
        Importer::Virtualbox,
    ),
    (
        "VirtualQuantity>512<",
        "VirtualQuantity>511<",
        "!memory-size",
        Importer::Esxi,
    ),
    (
        "Parent>3<",
        "Parent>1<",
        "!item-parent",
        Importer::Virtualbox,
    ),
    (
        "AddressOnParent>0<",
        "AddressOnParent>7<",
        "!item-place",
        Importer::Esxi,
    ),
    (
        "<Item>",
        "<Item><rasd:InstanceID>90</rasd:InstanceID><rasd:ResourceSubType>lsilogic</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></Item><Item>",
        "!controllers",
        Importer::Virtualbox,
    ),
    (
        "<Item>",
        "<Item ovf:required=\"false\"><rasd:InstanceID>90</rasd:InstanceID><rasd:ResourceSubType>vmware.vtpm</rasd:ResourceSubType><rasd:ResourceType>1</rasd:ResourceType></Item><Item>",
        "!tpm",
        Importer::Esxi,
    ),
    (
        "<VirtualHardwareSection>",
        "<VirtualHardwareSection ovf:transport=\"pigeon\">",
        "!transport",
        Importer::Vcenter,
    ),
    (
        "<Product>App</Product>",
        "<Product>App</Product><Property ovf:key=\"k\" ovf:type=\"uint8\" ovf:value=\"x\"/>",
        "!property-value",
        Importer::Vcenter,
    ),
    (
        "<Product>App</Product>",
        "<Product>App</Product><Property ovf:key=\"k\" ovf:type=\"ip\"/>",
        "property-type",
        Importer::Others,
    ),
];

#[test]
fn every_rule_says_who_cares_and_nobody_else_hears_of_it() {
    for (from, to, code, importer) in RULES {
        let mut list = members();
        replace(from, to)(&mut list);
        let dir = tempfile::tempdir().unwrap();
        let package = archive(&dir.path().join("x.ova"), &list);
        let codes = |importers: Vec<Importer>| -> Vec<String> {
            let options = Options {
                importers,
                ..Options::default()
            };
            let report = package.verify(&options, &|_| {}, &Cancel::new()).unwrap();
            let mark = |f: &Finding| {
                if f.severity == Severity::Error {
                    "!"
                } else {
                    ""
                }
            };
            report
                .findings
                .iter()
                .map(|f| format!("{}{}", mark(f), f.code))
                .collect()
        };
        let code = (*code).to_owned();
        assert!(
            codes(vec![]).contains(&code),
            "{from} → {to}: {:?}",
            codes(vec![])
        );
        assert!(
            codes(vec![*importer]).contains(&code),
            "{code} for {importer}"
        );
        let other = [Importer::VirtV2v, Importer::Workstation];
        let other = other.into_iter().find(|o| o != importer).unwrap();
        assert!(!codes(vec![other]).contains(&code), "{code} for {other}");
    }
    let password = codes(
        Resum::Yes,
        &replace(
            "<Product>App</Product>",
            "<Product>App</Product><Property ovf:key=\"k\" ovf:type=\"string\" ovf:password=\"true\" ovf:value=\"x\"/>",
        ),
    );
    assert_eq!(password, ["property-password"]);
    let schema = codes(
        Resum::Yes,
        &replace(
            "ovf:diskId=\"vmdisk1\"",
            "ovf:diskId=\"vmdisk1\" ovf:x=\"\"",
        ),
    );
    assert_eq!(schema, Vec::<String>::new(), "attributes may be anything");
    let schema = codes(Resum::Yes, &replace("<Product>App</Product>", "<Foo/>"));
    assert_eq!(schema, ["schema"]);
}

#[test]
fn every_importer_has_a_word() {
    for word in Importer::WORDS {
        assert!(Importer::parse(word).is_some(), "{word}");
    }
    assert_eq!(Importer::parse("qemu"), None);
    for importer in importer::EVERYBODY {
        let words = Importer::WORDS.iter().filter_map(|w| Importer::parse(w));
        assert!(words.flatten().any(|i| i == importer), "{importer}");
    }
}

#[test]
fn faults_of_the_manifest_are_found() {
    let mf = |from: &'static str, to: &'static str| {
        codes(Resum::No, &move |members: &mut Members| {
            let text = String::from_utf8(members[1].1.clone()).unwrap();
            members[1].1 = text.replace(from, to).into_bytes();
        })
    };
    assert_eq!(
        mf("SHA256(", "SHA256 ("),
        ["!manifest-line", "!manifest-line"]
    );
    assert_eq!(
        mf("app.ovf", "app2.ovf"),
        ["!manifest-file", "!manifest-lacks"]
    );
    let sha1 = codes(Resum::No, &|members| {
        let text = "SHA1(app.ovf)= da39a3ee5e6b4b0d3255bfef95601890afd80709\n";
        members[1].1 = text.into();
    });
    assert_eq!(sha1, ["manifest-digest", "!digest", "!manifest-lacks"]);
    let sha512 = codes(Resum::No, &|members| {
        replace("vmx-15", "vmx-13")(members);
        members[1].1 = format!("SHA512(app.ovf)= {}\n", "0".repeat(128)).into();
    });
    assert_eq!(
        sha512,
        [
            "manifest-digest",
            "manifest-unchecked",
            "!digest",
            "!manifest-lacks"
        ]
    );
    let garbled = codes(Resum::No, &|members| members[2].1[65_560] ^= 0xff);
    assert_eq!(garbled, ["!digest", "!grain"]);
    let signed = codes(Resum::No, &|m| m.insert(2, ("app.cert".into(), vec![1])));
    assert_eq!(signed, ["!cert-form"]);
    let bare = codes(Resum::No, &|m| m[1].0 = "app.cert".into());
    assert_eq!(bare, ["manifest", "!signature"]);
}

#[test]
fn the_disk_that_qemu_writes_is_found_wanting() {
    let found = codes(Resum::Yes, &|members| {
        let len = members[2].1.len();
        members[2].1.truncate(len - 512);
    });
    for code in ["!end-of-stream", "!file-size", "!tables"] {
        assert!(found.contains(&code.to_owned()), "{found:?}");
    }
    let no_vmdk = codes(Resum::Yes, &|members| members[2].1[0] = b'Q');
    assert_eq!(no_vmdk, ["!vmdk"]);
}

#[test]
fn a_finding_reads_as_one_line() {
    let mut list = members();
    list.rotate_left(1);
    let dir = tempfile::tempdir().unwrap();
    let report = verify(&archive(&dir.path().join("x.ova"), &list));
    assert_eq!(
        report.to_string(),
        "error[tar-order]: `app.ovf`: it is not the first file of the package \
         (refused by ovftool, Workstation, others)\n"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["findings"][0]["severity"], "error");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn garbled_packages_never_panic_and_never_write_outside(
        cut in 0_usize..6000,
        changes in prop::collection::vec((0_usize..12_000, any::<u8>()), 1..10),
    ) {
        let made = make();
        let (path, _) = made.pack("app").unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - cut);
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.ova");
        fs::write(&path, bytes).unwrap();
        let package = Package::of_archive(&Window::open(&path).unwrap());
        let _ = package.verify(&Options::default(), &|_| {}, &Cancel::new());
        let _ = package.inspect();
        let _ = package.unpack(&dir.path().join("out"), UnpackLimits::NONE, &|_| {}, &Cancel::new());
        let outside = fs::read_dir(dir.path()).unwrap().count();
        prop_assert!(outside <= 2);
    }
}

#[test]
fn descriptors_of_other_programs_have_the_faults_that_they_are_known_for() {
    let dir = tempfile::tempdir().unwrap();
    let codes = |text: &str| -> Vec<String> {
        let path = dir.path().join("x.ovf");
        fs::write(&path, text).unwrap();
        let report = verify(&Package::open(&path).unwrap());
        let told = report
            .findings
            .iter()
            .filter(|f| !f.code.starts_with("file-") && f.code != "manifest");
        told.map(|f| f.code.to_owned()).collect()
    };
    let vmware = include_str!("../../../../fuzz/corpus/ovf/vmware.ovf");
    assert_eq!(codes(vmware), ["firmware-lost", "scsi-type", "nic-type"]);
    let virtualbox = include_str!("../../../../fuzz/corpus/ovf/virtualbox.ovf");
    assert_eq!(
        codes(virtualbox),
        ["hardware-family", "os-type", "item-subtype"]
    );
    let image_builder = include_str!("../../../../fuzz/corpus/ovf/image-builder.ovf");
    assert_eq!(codes(image_builder), ["os-type", "scsi-type", "nic-type"]);
}
