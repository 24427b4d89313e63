//! Where distributions keep UEFI firmware for QEMU.

use std::path::{Path, PathBuf};

use crate::model::Firmware;

/// The two flash chips of a UEFI machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flash {
    /// The code; shared and never written to.
    pub(super) code: PathBuf,
    /// Fresh variables, copied for each machine.
    pub(super) vars: PathBuf,
}

/// Pairs of files by how good they are: 4 MiB builds first. Names are below one of [`PREFIXES`].
const EFI: &[(&str, &str)] = &[
    ("OVMF/OVMF_CODE_4M.fd", "OVMF/OVMF_VARS_4M.fd"),
    ("edk2/x64/OVMF_CODE.4m.fd", "edk2/x64/OVMF_VARS.4m.fd"),
    (
        "edk2-ovmf/x64/OVMF_CODE.4m.fd",
        "edk2-ovmf/x64/OVMF_VARS.4m.fd",
    ),
    ("OVMF/OVMF_CODE.fd", "OVMF/OVMF_VARS.fd"),
    ("edk2/ovmf/OVMF_CODE.fd", "edk2/ovmf/OVMF_VARS.fd"),
    ("edk2-ovmf/x64/OVMF_CODE.fd", "edk2-ovmf/x64/OVMF_VARS.fd"),
    (
        "qemu/ovmf-x86_64-4m-code.bin",
        "qemu/ovmf-x86_64-4m-vars.bin",
    ),
    ("qemu/ovmf-x86_64-code.bin", "qemu/ovmf-x86_64-vars.bin"),
    // QEMU's own, as Homebrew and source builds install it; it has one template of variables for all
    ("qemu/edk2-x86_64-code.fd", "qemu/edk2-i386-vars.fd"),
];

/// The same with secure boot: variables that carry Microsoft's keys, so that shipped boot loaders are let through.
const EFI_SECURE: &[(&str, &str)] = &[
    ("OVMF/OVMF_CODE_4M.secboot.fd", "OVMF/OVMF_VARS_4M.ms.fd"),
    ("OVMF/OVMF_CODE.secboot.fd", "OVMF/OVMF_VARS.ms.fd"),
    (
        "edk2/ovmf/OVMF_CODE.secboot.fd",
        "edk2/ovmf/OVMF_VARS.secboot.fd",
    ),
    (
        "qemu/ovmf-x86_64-smm-ms-code.bin",
        "qemu/ovmf-x86_64-smm-ms-vars.bin",
    ),
];

/// The directories that packages install data under.
pub(super) const PREFIXES: &[&str] = &[
    "/usr/share",
    "/usr/local/share",
    "/opt/homebrew/share",
    "/run/current-system/sw/share",
];

/// Finds the firmware below one of `prefixes`; `None` for a BIOS, which QEMU brings, is never asked for.
pub(super) fn find(firmware: Firmware, prefixes: &[&Path]) -> Option<Flash> {
    let pairs = match firmware {
        Firmware::Bios => return None,
        Firmware::Efi => EFI,
        Firmware::EfiSecure => EFI_SECURE,
    };
    pairs
        .iter()
        .flat_map(|(code, vars)| {
            prefixes.iter().map(move |prefix| Flash {
                code: prefix.join(code),
                vars: prefix.join(vars),
            })
        })
        .find(|flash| flash.code.is_file() && flash.vars.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_complete_pair_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let touch = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        };
        let prefixes = [Path::new("/nowhere"), dir.path()];
        assert_eq!(find(Firmware::Efi, &prefixes), None);
        touch("OVMF/OVMF_CODE_4M.fd");
        touch("OVMF/OVMF_CODE.fd");
        touch("OVMF/OVMF_VARS.fd");
        let code = |firmware| find(firmware, &prefixes).map(|flash| flash.code);
        assert_eq!(
            code(Firmware::Efi),
            Some(dir.path().join("OVMF/OVMF_CODE.fd"))
        );
        touch("OVMF/OVMF_VARS_4M.fd");
        assert_eq!(
            code(Firmware::Efi),
            Some(dir.path().join("OVMF/OVMF_CODE_4M.fd"))
        );
        assert_eq!(code(Firmware::EfiSecure), None);
        assert_eq!(code(Firmware::Bios), None);
    }
}
