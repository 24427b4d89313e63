//! Guest ids of vSphere and the CIM codes that OVF has for the same systems.

/// Prefixes of `vmw:osType` with the code of CIM's `OsType`; the first that fits counts.
const CODES: &[(&str, u32)] = &[
    ("ubuntu", 94),
    ("debian", 96),
    ("rhel", 80),
    ("centos", 107),
    ("rockylinux", 101),
    ("almalinux", 101),
    ("oracleLinux", 109),
    ("sles", 85),
    ("opensuse", 83),
    ("fedora", 101),
    ("vmwarePhoton", 36),
    ("amazonlinux", 101),
    ("coreos", 101),
    ("freebsd", 78),
    ("windows8Server64", 115),
    ("windows9Server64", 112),
    ("windows2019srv", 112),
    ("windows2022srv", 112),
    ("otherLinux64", 101),
    ("other3xLinux64", 101),
    ("other4xLinux64", 101),
    ("other5xLinux64", 101),
    ("other6xLinux64", 101),
    ("other7xLinux64", 101),
    ("otherLinux", 36),
    ("otherGuest64", 102),
];

/// What an `OperatingSystemSection` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Os {
    /// CIM's code.
    pub(super) id: u32,
    /// The system's version, where its name has one.
    pub(super) version: Option<String>,
    /// vSphere's guest id.
    pub(super) guest_id: String,
}

/// The section for a guest id; without one, the newest generic Linux that the hardware version knows.
pub(super) fn os(guest_id: Option<&str>, hardware_version: u32) -> Os {
    let guest_id = guest_id.unwrap_or(match hardware_version {
        ..14 => "other3xLinux64Guest",
        14..20 => "other4xLinux64Guest",
        20.. => "other5xLinux64Guest",
    });
    let known = CODES
        .iter()
        .find(|(prefix, _)| guest_id.starts_with(prefix));
    let id = known.map_or(
        if guest_id.contains("64") { 102 } else { 1 },
        |(_, code)| *code,
    );
    let version = known
        .filter(|(prefix, _)| !prefix.starts_with("other") && !prefix.starts_with("windows"))
        .map(|(prefix, _)| {
            let digits = guest_id[prefix.len()..]
                .chars()
                .take_while(char::is_ascii_digit);
            digits.collect::<String>()
        })
        // `ubuntu64Guest` has a word width, not a version.
        .filter(|digits| !digits.is_empty() && digits != "64");
    Os {
        id,
        version,
        guest_id: guest_id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_ids_have_their_codes_and_versions() {
        for (guest, version, code, os_version) in [
            (Some("debian12_64Guest"), 15, 96, Some("12")),
            (Some("centos7_64Guest"), 15, 107, Some("7")),
            (Some("centos64Guest"), 15, 107, None),
            (Some("ubuntu64Guest"), 15, 94, None),
            (Some("vmwarePhoton64Guest"), 15, 36, None),
            (Some("windows2019srv_64Guest"), 15, 112, None),
            (Some("solaris11_64Guest"), 15, 102, None),
            (Some("otherGuest"), 15, 1, None),
            (None, 13, 101, None),
        ] {
            let os = os(guest, version);
            assert_eq!(
                (os.id, os.version.as_deref()),
                (code, os_version),
                "{guest:?}"
            );
        }
        assert_eq!(os(None, 13).guest_id, "other3xLinux64Guest");
        assert_eq!(os(None, 15).guest_id, "other4xLinux64Guest");
    }
}
