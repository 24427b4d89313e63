//! Appliances before judges that are not forge's: virt-v2v, COT, qemu-img, GNU tar, bsdtar, openssl.

use std::fs;

use forge::model::Firmware;

use super::support::Sandbox;
use super::support::appliance::{Content, appliance, as_vmdk, libvmdk, tool};

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
        let (raw, vmdk) = (
            format!("{name}-{i}.raw"),
            format!("{out}/{name}-disk{}.vmdk", i + 1),
        );
        tool("qemu-img", &["check", &vmdk], &root);
        tool("qemu-img", &["compare", &raw, &vmdk], &root);
        tool("qemu-img", &["convert", "-O", "raw", &vmdk, "back"], &root);
        tool("qemu-img", &["compare", &raw, "back"], &root);
        let content = fs::read(root.join(&raw)).unwrap();
        assert_eq!(libvmdk(&vmdk, &root), as_vmdk(content), "{vmdk}");
    }
    signature(sandbox, name);
}

/// The signature as openssl sees it; GNU tar takes the package apart.
fn signature(sandbox: &Sandbox, name: &str) {
    let root = sandbox.root();
    let line = format!(
        "tar -xf {name}.ova {name}.mf {name}.cert && openssl x509 -in {name}.cert -noout -pubkey > public.pem && \
         head -1 {name}.cert | cut -d' ' -f2 | tr -d '\\r\\n' | python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))' > signature && \
         openssl dgst -sha256 -verify public.pem -signature signature {name}.mf"
    );
    let said = tool("sh", &["-c", &line], &root);
    assert_eq!(said, "Verified OK\n");
}

#[test]
fn appliances_are_what_everybody_else_takes_them_for() {
    let sandbox = with_keys();
    let three = [Content::Full, Content::Empty, Content::Odd];
    for (name, firmware, contents) in [
        ("bios-odd", Firmware::Bios, &three[2..]),
        ("bios-empty", Firmware::Bios, &three[1..2]),
        ("bios-full", Firmware::Bios, &three[..1]),
        ("bios-3", Firmware::Bios, &three[..]),
        ("uefi-odd", Firmware::Efi, &three[2..]),
        ("uefi-empty", Firmware::Efi, &three[1..2]),
        ("uefi-full", Firmware::EfiSecure, &three[..1]),
        ("uefi-3", Firmware::EfiSecure, &three[..]),
    ] {
        appliance(&sandbox, name, firmware, contents);
        let ova = format!("{name}.ova");
        let args = [&["ova", "pack", name, "-o", &ova], &OWN[..]].concat();
        let _ = sandbox.forge(&args).exits(0);
        let _ = sandbox
            .forge(&[
                "ova",
                "verify",
                &ova,
                "--ca-file",
                "own.pem",
                "--for",
                "vsphere,workstation,ovftool,virt-v2v",
            ])
            .exits(0)
            .prints(&format!("{ova}: in order"));
        judge(&sandbox, name, firmware, contents.len());
    }
}

/// COT reads both versions. VirtualBox does too, but is not to be had for tests; virt-v2v knows the elements of OVF 1 only.
#[test]
fn an_appliance_is_one_of_ovf_2_where_that_is_asked_for() {
    let sandbox = Sandbox::empty();
    let root = sandbox.root();
    let three = [Content::Full, Content::Empty, Content::Odd];
    appliance(&sandbox, "app", Firmware::Efi, &three);
    let pack = ["ova", "pack", "app", "-o", "app.ova", "--ovf", "2.0"];
    let _ = sandbox.forge(&pack).exits(0);
    let said = sandbox.forge(&["ova", "verify", "app.ova"]).exits(0).stdout;
    assert!(said.contains("warning[ovf-version]"), "{said}");
    let said = sandbox
        .forge(&["ova", "verify", "app.ova", "--for", "vsphere,ovftool"])
        .exits(0);
    let _ = said.prints("app.ova: in order");
    let said = tool(
        "virt-v2v",
        &["-i", "ova", "app.ova", "--print-source"],
        &root,
    );
    assert_eq!(said.matches("[scsi]").count(), 0, "{said}");
    let inspect = |ova: &str| sandbox.forge(&["ova", "inspect", ova]).exits(0).stdout;
    let _ = sandbox
        .forge(&["ova", "pack", "app", "-o", "first.ova"])
        .exits(0);
    let hardware = |text: String| {
        let lines = text.lines().filter(|line| !line.starts_with("file"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(hardware(inspect("app.ova")), hardware(inspect("first.ova")));
    // The same machine for COT, which knows both; it wants no manifest that it cannot read.
    let cot = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-judges/bin/cot");
    let info = |ova: &str| {
        let _ = sandbox.forge(&["ova", "unpack", ova, "out"]).exits(0);
        fs::remove_file(root.join("out/app.mf")).unwrap();
        let said = tool(cot, &["info", "--verbose", "out/app.ovf"], &root);
        fs::remove_dir_all(root.join("out")).unwrap();
        assert!(
            !said.contains("ERROR") && !said.contains("WARNING"),
            "{said}"
        );
        said
    };
    let (first, second) = (info("first.ova"), info("app.ova"));
    assert_eq!(first, second);
    assert!(
        second.contains("app-disk3.vmdk") && second.contains("Storage & <more>"),
        "{second}"
    );
    let _ = sandbox
        .forge(&["ova", "pack", "app", "--ovf", "3"])
        .exits(2)
        .complains("2.0");
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
