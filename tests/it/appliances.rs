//! Appliances before judges that are not forge's: virt-v2v, COT, qemu-img, GNU tar, bsdtar, openssl.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use forge::image::RawDisk;
use forge::image::ovf::{self, Deploy, Description, DiskFile, Product, Property};
use forge::image::vmdk::{self, WriteOptions};
use forge::model::{Controller, Digest, Disk, Firmware, Hardware, Nic, NicAdapter, Size};
use forge::sys::Cancel;

use super::support::Sandbox;

/// What is on a disk, and its size: one that is no multiple of a grain is rounded up.
#[derive(Clone, Copy)]
enum Content {
    Empty,
    Full,
    Odd,
}

fn raw(path: &Path, content: Content) {
    let (size, data): (u64, Vec<u8>) = match content {
        Content::Empty => (8 << 20, Vec::new()),
        Content::Full => {
            // no two grains are alike, and none compresses well
            let bytes =
                (0_u64..(2 << 20) / 32).flat_map(|i| *Digest::of(&i.to_le_bytes()).as_bytes());
            (2 << 20, bytes.collect())
        }
        Content::Odd => ((5 << 20) + 512, b"odd".repeat(100_000)),
    };
    fs::write(path, data).unwrap();
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(size)
        .unwrap();
}

fn hardware(firmware: Firmware, disks: &[DiskFile]) -> Hardware {
    let nic = |adapter, network: &str| Nic {
        adapter,
        network: network.into(),
        mac: None,
    };
    let disk = |disk: &DiskFile| Disk {
        size: disk.capacity,
        controller: Controller::Pvscsi,
    };
    Hardware {
        cpus: 2,
        cores_per_socket: 1,
        memory: Size::from_mib(512),
        firmware,
        disks: disks.iter().map(disk).collect(),
        nics: vec![
            nic(NicAdapter::Vmxnet3, "VM Network"),
            nic(NicAdapter::E1000, "Storage & <more>"),
        ],
        guest_id: Some("debian12_64Guest".into()),
        hardware_version: 15,
        vsphere: None,
    }
}

/// A machine's OVF with its disks, in a directory of the sandbox.
fn appliance(sandbox: &Sandbox, name: &str, firmware: Firmware, contents: &[Content]) {
    let dir = sandbox.path(name);
    fs::create_dir(&dir).unwrap();
    let mut disks = Vec::new();
    for (i, content) in contents.iter().enumerate() {
        let source = sandbox.path(&format!("{name}-{i}.raw"));
        raw(&source, *content);
        let href = format!("{name}-disk{}.vmdk", i + 1);
        let mut out = File::create(dir.join(&href)).unwrap();
        let options = WriteOptions::new(&href, Digest::of(href.as_bytes()));
        let disk = RawDisk::open(&source).unwrap();
        let info = vmdk::write(&disk, &options, &mut out, &|_| {}, &Cancel::new()).unwrap();
        disks.push(DiskFile {
            href,
            size: info.size,
            capacity: info.capacity,
            populated: info.populated,
        });
    }
    let description = Description {
        name: name.into(),
        hardware: hardware(firmware, &disks),
        disks,
        nvram: None,
        product: Product {
            name: "Tested".into(),
            properties: vec![Property {
                key: "hostname".into(),
                qualifiers: Some("MinLen(1) MaxLen(63)".into()),
                user_configurable: true,
                ..Property::default()
            }],
            ..Product::default()
        },
        annotation: Some("line one\nline two".into()),
        eulas: vec!["Agree.".into()],
        deploy: Deploy::default(),
    };
    let text = ovf::write(&description).unwrap().text;
    fs::write(dir.join(format!("{name}.ovf")), text).unwrap();
}

fn tool(program: &str, args: &[&str], dir: &Path) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("LIBGUESTFS_BACKEND", "direct")
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; `scripts/test` installs it"));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text
}

/// Everybody's verdict on `NAME.ova`, made of `NAME/`.
fn judge(sandbox: &Sandbox, name: &str, firmware: Firmware, disks: usize) {
    let root = sandbox.root();
    let ova = format!("{name}.ova");
    for lister in ["tar", "bsdtar"] {
        let names = tool(lister, &["-tf", &ova], &root);
        let names: Vec<&str> = names.lines().collect();
        assert_eq!(
            (names[0], names[1]),
            (&*format!("{name}.ovf"), &*format!("{name}.mf"))
        );
        assert_eq!(
            names.iter().filter(|n| n.ends_with(".vmdk")).count(),
            disks,
            "{lister}"
        );
    }
    let source = tool("virt-v2v", &["-i", "ova", &ova, "--print-source"], &root);
    assert!(!source.contains("warning"), "{source}");
    let squeezed: String = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let bios = if firmware == Firmware::Bios {
        "bios"
    } else {
        "uefi"
    };
    for said in [
        format!("source name: {name}"),
        "memory: 536870912 (bytes)".into(),
        "nr vCPUs: 2".into(),
        format!("firmware: {bios}"),
        "Storage & <more>".into(),
    ] {
        assert!(squeezed.contains(&said), "{said}\n{source}");
    }
    assert_eq!(source.matches("[scsi]").count(), disks, "{source}");
    // COT takes every digest of an OVF 1 for SHA1, so it looks at the package without its manifest
    let out = format!("{name}-unpacked");
    let _ = sandbox.forge(&["ova", "unpack", &ova, &out]).exits(0);
    fs::remove_file(root.join(&out).join(format!("{name}.mf"))).unwrap();
    let cot = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-judges/bin/cot");
    let said = tool(cot, &["info", &format!("{out}/{name}.ovf")], &root);
    assert!(
        !said.contains("ERROR") && !said.contains("WARNING"),
        "{said}"
    );
    assert!(
        said.contains("Tested") && said.contains("hostname"),
        "{said}"
    );
    for i in 0..disks {
        let vmdk = format!("{out}/{name}-disk{}.vmdk", i + 1);
        tool(
            "qemu-img",
            &["compare", &format!("{name}-{i}.raw"), &vmdk],
            &root,
        );
    }
}

#[test]
fn appliances_are_what_everybody_else_takes_them_for() {
    let sandbox = Sandbox::empty();
    let one = [Content::Odd];
    let three = [Content::Full, Content::Empty, Content::Odd];
    for (name, firmware, contents) in [
        ("bios-1", Firmware::Bios, &one[..]),
        ("bios-3", Firmware::Bios, &three[..]),
        ("uefi-1", Firmware::Efi, &one[..]),
        ("uefi-3", Firmware::EfiSecure, &three[..]),
    ] {
        appliance(&sandbox, name, firmware, contents);
        let ova = format!("{name}.ova");
        let _ = sandbox.forge(&["ova", "pack", name, "-o", &ova]).exits(0);
        let _ = sandbox
            .forge(&[
                "ova",
                "verify",
                &ova,
                "--for",
                "vsphere,workstation,ovftool,virt-v2v",
            ])
            .exits(0)
            .prints(&format!("{ova}: in order"));
        judge(&sandbox, name, firmware, contents.len());
    }
}

#[test]
fn a_package_for_virtualbox_concerns_nobody() {
    let sandbox = Sandbox::empty();
    appliance(&sandbox, "app", Firmware::Bios, &[Content::Odd]);
    let _ = sandbox
        .forge(&["ova", "pack", "app", "-o", "plain.ova"])
        .exits(0);
    insta::assert_snapshot!(sandbox.forge(&["ova", "verify", "plain.ova"]).exits(0).stdout, @r"
    warning[scsi-type]: `app.ovf`: the controller `SCSI controller 0` (`VirtualSCSI`) becomes an lsilogic (changed by VirtualBox)
    warning[nic-type]: `app.ovf`: the network card `Network adapter 1` (`vmxnet3`) becomes another one (changed by VirtualBox)
    ");
    let packed = sandbox.forge(&["ova", "pack", "app", "-o", "box.ova", "--for", "virtualbox"]);
    let _ = packed
        .exits(0)
        .complains("for VirtualBox: `VirtualSCSI` becomes `lsilogic`");
    let _ = sandbox
        .forge(&["ova", "verify", "box.ova"])
        .exits(0)
        .prints("box.ova: in order");
    let again = sandbox.forge(&["ova", "verify", "plain.ova", "--for", "esxi"]);
    let _ = again.exits(0).prints("plain.ova: in order");
    let _ = sandbox
        .forge(&["ova", "verify", "plain.ova", "--for", "qemu"])
        .exits(2)
        .complains("virtualbox");
}

/// An appliance `app`, a key and a certificate of `own`, and others of `other`.
fn with_keys() -> Sandbox {
    let sandbox = Sandbox::empty();
    appliance(&sandbox, "app", Firmware::Bios, &[Content::Odd]);
    for (name, key) in [("own", "own.key"), ("other", "other.key")] {
        let subject = format!("/CN={name}");
        let certificate = format!("{name}.pem");
        let args = [
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key,
            "-subj",
            &subject,
            "-days",
            "9",
            "-out",
            &certificate,
        ];
        tool("openssl", &args, &sandbox.root());
    }
    sandbox
}

const OWN: [&str; 4] = ["--key", "own.key", "--certificate", "own.pem"];

#[test]
fn packages_are_signed_and_held_to_their_authorities() {
    let sandbox = with_keys();
    let pack = |out: &str, more: &[&str]| {
        let args = [&["ova", "pack", "app", "-o", out], more].concat();
        let _ = sandbox.forge(&args).exits(0);
    };
    pack("plain.ova", &[]);
    pack("signed.ova", &OWN);
    let _ = sandbox
        .forge(&[&["ova", "sign", "plain.ova", "-o", "later.ova"], &OWN[..]].concat())
        .exits(0);
    assert!(sandbox.path("later.ova").is_file());
    let bytes = |name: &str| fs::read(sandbox.path(name)).unwrap();
    assert!(
        bytes("signed.ova") == bytes("later.ova"),
        "signed at once or later, it is the same"
    );
    let names = tool("bsdtar", &["-tf", "signed.ova"], &sandbox.root());
    assert_eq!(names, "app.ovf\napp.mf\napp.cert\napp-disk1.vmdk\n");
    let verify = |more: &[&str]| {
        let args = [&["ova", "verify", "signed.ova", "--for", "vsphere"], more].concat();
        sandbox.forge(&args)
    };
    let _ = verify(&[]).exits(0).prints("warning[cert-self-signed]");
    let _ = verify(&["--ca-file", "own.pem"])
        .exits(0)
        .prints("signed.ova: in order");
    let _ = verify(&["--ca-file", "other.pem"])
        .exits(1)
        .prints("error[cert-untrusted]");
    let json = verify(&["--ca-file", "own.pem", "--json"]).exits(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["signature"]["signer"], "CN=own");
    assert_eq!(json["signature"]["trusted"], true);
    let _ = sandbox
        .forge(&["ova", "verify", "plain.ova", "--ca-file", "own.pem"])
        .exits(1)
        .prints("error[cert-missing]");
}

#[test]
fn what_is_not_true_is_not_signed() {
    let sandbox = with_keys();
    let args = [&["ova", "pack", "app", "-o", "signed.ova"], &OWN[..]].concat();
    let _ = sandbox.forge(&args).exits(0);
    // a manifest that was changed after it was signed, and one that is not true
    let _ = sandbox
        .forge(&["ova", "unpack", "signed.ova", "out"])
        .exits(0);
    let mf = sandbox.read("out/app.mf");
    sandbox.write("out/app.mf", &format!("{mf}\n"));
    let _ = sandbox
        .forge(&["ova", "verify", "out/app.ovf"])
        .exits(1)
        .prints("error[signature]");
    let _ = sandbox
        .forge(&[&["ova", "sign", "out/app.ovf"], &OWN[..]].concat())
        .exits(0)
        .prints("out/app.cert");
    let _ = sandbox
        .forge(&["ova", "verify", "out/app.ovf", "--for", "esxi"])
        .exits(0);
    sandbox.write("out/app.mf", &mf.replacen("= ", "= 0", 1));
    let _ = sandbox
        .forge(&[&["ova", "sign", "out/app.ovf"], &OWN[..]].concat())
        .exits(2)
        .complains("it is not signed");
    let bad = ["--key", "own.key", "--certificate", "other.pem"];
    let _ = sandbox
        .forge(&[&["ova", "sign", "signed.ova"], &bad[..]].concat())
        .exits(2)
        .complains("own.key: the certificate is not that of the key");
    tool(
        "openssl",
        &[
            "pkcs8",
            "-topk8",
            "-in",
            "own.key",
            "-passout",
            "pass:x",
            "-out",
            "locked.key",
        ],
        &sandbox.root(),
    );
    let locked = ["--key", "locked.key", "--certificate", "own.pem"];
    let said = sandbox
        .forge(&[&["ova", "pack", "app", "-o", "no.ova"], &locked[..]].concat())
        .exits(2);
    let _ = said
        .complains("the key is encrypted")
        .complains("takes the passphrase off");
    assert!(!sandbox.exists("no.ova"));
}

#[test]
fn packing_has_its_ways_and_says_what_is_wrong() {
    let sandbox = Sandbox::empty();
    appliance(
        &sandbox,
        "app",
        Firmware::Bios,
        &[Content::Odd, Content::Empty],
    );
    let pack = |args: &[&str]| sandbox.forge(&[&["ova", "pack"], args].concat());
    let first = pack(&["app", "-o", "one.ova"]).exits(0).stdout;
    let digest = first.split(' ').next().unwrap().to_owned();
    let sum = tool("sha256sum", &["one.ova"], &sandbox.root());
    assert_eq!(sum.split(' ').next(), Some(digest.as_str()));
    let _ = pack(&["app/app.ovf", "-o", "two.ova"])
        .exits(0)
        .prints(&digest);
    let _ = pack(&[
        "app",
        "--digest",
        "sha512",
        "-o",
        "long.ova",
        "--manifest-last",
    ])
    .exits(0);
    let said = sandbox.forge(&["ova", "verify", "long.ova", "--for", "virt-v2v"]);
    let _ = said.exits(0).prints("warning[manifest-unchecked]");
    let _ = sandbox
        .forge(&["ova", "verify", "long.ova", "--for", "esxi"])
        .exits(0)
        .prints("in order");
    let _ = sandbox
        .forge(&["ova", "inspect", "long.ova"])
        .exits(0)
        .prints("manifest    sha512");
    // the manifest that came with it tells the digests
    let _ = sandbox.forge(&["ova", "unpack", "one.ova", "out"]).exits(0);
    let _ = pack(&["out", "-o", "three.ova", "--keep-manifest"])
        .exits(0)
        .prints(&digest);
    let _ = pack(&["out", "-o", "moved.ova", "--keep-manifest", "--move"]).exits(0);
    assert!(!sandbox.exists("out/app-disk1.vmdk") && sandbox.exists("out/app-disk2.vmdk"));
    // a disk that has another name, in a store for instance, is copied: that one keeps its content
    let _ = sandbox
        .forge(&["ova", "unpack", "one.ova", "again"])
        .exits(0);
    let disk = sandbox.path("again/app-disk1.vmdk");
    let content = std::fs::read(&disk).unwrap();
    std::fs::hard_link(&disk, sandbox.path("kept.vmdk")).unwrap();
    let _ = pack(&["again", "-o", "copied.ova", "--move"]).exits(0);
    assert!(!sandbox.exists("again/app-disk1.vmdk"));
    assert!(std::fs::read(sandbox.path("kept.vmdk")).unwrap() == content);
    let _ = sandbox
        .forge(&["ova", "verify", "moved.ova", "--for", "esxi"])
        .exits(0)
        .prints("in order");
}

#[test]
fn what_cannot_be_packed_or_unpacked_is_told() {
    let sandbox = Sandbox::empty();
    appliance(&sandbox, "app", Firmware::Bios, &[Content::Odd]);
    let pack = |args: &[&str]| sandbox.forge(&[&["ova", "pack"], args].concat());
    let _ = pack(&["app", "-o", "one.ova"]).exits(0);
    let _ = sandbox.forge(&["ova", "unpack", "one.ova", "out"]).exits(0);
    std::fs::remove_file(sandbox.path("out/app-disk1.vmdk")).unwrap();
    for (args, why) in [
        (
            &["app", "--keep-manifest"][..],
            "error: cannot read app/app.mf",
        ),
        (&["out", "-o", "x.ova"], "app-disk1.vmdk: No such file"),
        (
            &["app", "-o", "no/such/x.ova"],
            "error: cannot write no/such/x.ova",
        ),
        (&["app", "--digest", "md5"], "sha512"),
        (&["app", "--key", "k"], "--certificate"),
        (&["nowhere"], "error: cannot read nowhere"),
        (&["."], "error: there is no .ovf in ."),
    ] {
        let said = pack(args);
        assert!(said.code == 2 || said.code == 3, "{args:?}");
        let _ = said.complains(why);
    }
    fs::copy(sandbox.path("app/app.ovf"), sandbox.path("app/b.ovf")).unwrap();
    let _ = pack(&["app"]).exits(2).complains("there are 2 .ovf in app");
    let small = [
        "ova",
        "unpack",
        "one.ova",
        "elsewhere",
        "--max-size",
        "1KiB",
    ];
    let _ = sandbox
        .forge(&small)
        .exits(2)
        .complains("`--max-size` allows more");
    assert!(!sandbox.exists("elsewhere"));
    let _ = sandbox
        .forge(&["ova", "unpack", "one.ova", "--max-size", "much"])
        .exits(2)
        .complains("`--max-size much`");
}
