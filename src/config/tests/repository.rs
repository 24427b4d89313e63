//! The repository's own project.

use std::io;
use std::path::{Path, PathBuf};

use super::support::stage;
use crate::config::{Loaded, Overrides, PathKind, World, load};
use crate::diag::render;
use crate::model::{Boot, Controller, Firmware, MediaVia, StageKind};

/// The repository's files; nothing else.
struct Repository;

impl World for Repository {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
            let entry = entry?;
            if entry.file_type().is_file() {
                files.push(
                    entry
                        .path()
                        .strip_prefix(dir)
                        .map_err(io::Error::other)?
                        .to_owned(),
                );
            }
        }
        Ok(files)
    }

    fn kind(&self, path: &Path) -> io::Result<PathKind> {
        let is_dir = std::fs::metadata(path)?.is_dir();
        Ok(if is_dir {
            PathKind::Directory
        } else {
            PathKind::File
        })
    }

    fn env(&self, _name: &str) -> Option<String> {
        None
    }

    fn command(&self, _line: &str, _dir: &Path) -> Result<String, String> {
        Ok("1.0.0".to_owned())
    }
}

fn loaded() -> Loaded {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    load(root, &Repository, &Overrides::default())
        .unwrap_or_else(|faults| panic!("{}", render(&faults, false)))
}

#[test]
fn it_loads_at_all_axis_values() {
    let loaded = loaded();
    let keys: Vec<String> = loaded
        .project
        .stages
        .iter()
        .map(|stage| stage.key.to_string())
        .collect();
    let systems = [
        "mini",
        "photon3",
        "centos7",
        "debian12",
        "debian12-efi",
        "debian12-netinst",
    ];
    for os in systems {
        for name in [
            "iso-base",
            "clone",
            "provision",
            "export",
            "pack-ova",
            "verify",
        ] {
            assert!(
                keys.contains(&format!("{name}[os={os}]")),
                "{name} {os}: {keys:?}"
            );
        }
    }
    assert_eq!(keys.len(), 2 + 6 * systems.len());
    let warnings: Vec<&str> = loaded.warnings.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(
        warnings,
        ["sha1 protects against accidents only: prefer sha256 (`iso-base[os=photon3]`)"]
    );
}

#[test]
fn its_base_images_have_their_media_and_keys() {
    let loaded = loaded();
    let base = |os: &str| match &stage(&loaded, &format!("iso-base[os={os}]")).kind {
        StageKind::IsoBase(base) => base.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        base("mini").iso.urls[0].to_string(),
        "${stages.mini-iso.outputs.iso}"
    );
    assert_eq!(base("mini").iso.checksum, None);
    assert_eq!(
        base("centos7").boot.keys.to_string(),
        "<tab> text ks=hd:fd0:/7/ks.cfg<enter><wait>"
    );
    assert_eq!(
        base("photon3").boot.keys.to_string(),
        "<esc><wait> vmlinuz initrd=initrd.img root/dev/ram0 loglevel=3 photon.media=cdrom \
         ks=http://${http.ip}:${http.port}/3/ks.json<enter><wait>"
    );
    assert!(Boot::parse_keys(&base("mini").boot.keys.to_string()).is_ok());
    assert_eq!(
        base("mini").boot.wait_text.as_deref(),
        Some(r"\[Tab\] to edit options")
    );
    // the classic hardware
    let classic = base("centos7").hardware.clone();
    assert_eq!(
        (classic.cpus, classic.memory.to_string()),
        (2, "4GiB".to_owned())
    );
    assert_eq!(classic.disks[0].size.to_string(), "64GiB");
    assert_eq!(classic.hardware_version, 14);
    let needs: Vec<String> = stage(&loaded, "iso-base[os=mini]")
        .needs
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(needs, ["mini-iso"]);
    assert_eq!(stage(&loaded, "iso-base[os=centos7]").needs, []);
}

#[test]
fn its_uefi_image_needs_no_keys_and_hands_its_firmware_on() {
    let loaded = loaded();
    let StageKind::IsoBase(base) = &stage(&loaded, "iso-base[os=debian12-efi]").kind else {
        panic!("iso-base");
    };
    assert_eq!(base.hardware.firmware, Firmware::Efi);
    assert_eq!(base.hardware.disks[0].controller, Controller::Sata);
    assert_eq!(base.boot.wait_text, None);
    assert_eq!(base.boot.keys.to_string(), "");
    let kickstart = base.kickstart.as_ref().unwrap();
    assert_eq!(
        (kickstart.label.as_str(), kickstart.via),
        ("OEMDRV", MediaVia::Floppy)
    );
    let StageKind::Provision(provision) = &stage(&loaded, "provision[os=debian12-efi]").kind else {
        panic!("provision");
    };
    assert_eq!(provision.hardware, base.hardware);
}

#[test]
fn its_schema_is_the_one_of_the_reader_and_accepts_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let wanted = serde_json::to_string_pretty(&crate::config::schema()).unwrap() + "\n";
    let path = root.join("builds.schema.json");
    if std::env::var_os("FORGE_UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == wanted,
        "builds.schema.json is old: `forge schema > builds.schema.json`"
    );
    let validator = jsonschema::validator_for(&crate::config::schema()).unwrap();
    let text = std::fs::read_to_string(root.join("builds.toml")).unwrap();
    let file: serde_json::Value = toml::from_str(&text).unwrap();
    let faults: Vec<String> = validator
        .iter_errors(&file)
        .map(|e| format!("{}: {e}", e.instance_path))
        .collect();
    assert_eq!(faults, [""; 0]);
}
