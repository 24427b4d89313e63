//! What a project may say about QEMU under `[providers.NAME]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::firmware::Flash;

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accelerator {
    /// The host's hypervisor if a probe guest really runs under it, else translation.
    #[default]
    Auto,
    /// Linux's hypervisor.
    Kvm,
    /// macOS's hypervisor.
    Hvf,
    /// Windows' hypervisor.
    Whpx,
    /// QEMU's own translation of instructions: runs everywhere, ten times slower.
    Tcg,
}

impl Accelerator {
    /// The words that users write.
    pub const WORDS: &'static [&'static str] = &["auto", "kvm", "hvf", "whpx", "tcg"];

    /// The accelerator that `word` names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "auto" => Self::Auto,
            "kvm" => Self::Kvm,
            "hvf" => Self::Hvf,
            "whpx" => Self::Whpx,
            "tcg" => Self::Tcg,
            _ => return None,
        })
    }

    /// As users and QEMU write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Kvm => "kvm",
            Self::Hvf => "hvf",
            Self::Whpx => "whpx",
            Self::Tcg => "tcg",
        }
    }
}

/// How QEMU is found and started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The emulator; none: `qemu-system-x86_64` on the search path.
    pub binary: Option<PathBuf>,
    /// What executes the guest's instructions.
    pub accelerator: Accelerator,
    /// The CPU model; none: the host's own under a hypervisor, a quick one with all that today's systems ask for otherwise.
    pub cpu: Option<String>,
    /// UEFI firmware that is taken instead of what distributions install.
    pub(super) flash: Option<Flash>,
}

/// A setting that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No setting has this name.
    #[error("a qemu provider has no setting `{0}`; known: {known}", known = Settings::NAMES.join(", "))]
    Unknown(String),
    /// Not one of the words for an accelerator.
    #[error("unknown accelerator `{0}`; known: {known}", known = Accelerator::WORDS.join(", "))]
    Accelerator(String),
    /// Code and variables are made for each other.
    #[error("`{0}` is set, but `{1}` is not: firmware needs both of its files")]
    HalfFirmware(&'static str, &'static str),
}

impl Settings {
    /// The names of the settings.
    pub const NAMES: &'static [&'static str] = &[
        "accelerator",
        "binary",
        "cpu",
        "firmware_code",
        "firmware_vars",
    ];

    /// Reads the settings of a `[providers.NAME]` table. Paths are relative to the project's directory, `root`; a
    /// `binary` without a directory is looked for on the search path.
    pub fn parse(table: &BTreeMap<String, String>, root: &Path) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        let (mut code, mut vars) = (None, None);
        for (name, value) in table {
            match name.as_str() {
                "binary" if value.contains('/') => settings.binary = Some(root.join(value)),
                "binary" => settings.binary = Some(PathBuf::from(value)),
                "accelerator" => {
                    settings.accelerator = Accelerator::from_word(value)
                        .ok_or_else(|| SettingsError::Accelerator(value.clone()))?;
                }
                "cpu" => settings.cpu = Some(value.clone()),
                "firmware_code" => code = Some(root.join(value)),
                "firmware_vars" => vars = Some(root.join(value)),
                _ => return Err(SettingsError::Unknown(name.clone())),
            }
        }
        settings.flash = match (code, vars) {
            (None, None) => None,
            (Some(code), Some(vars)) => Some(Flash { code, vars }),
            (Some(_), None) => {
                return Err(SettingsError::HalfFirmware(
                    "firmware_code",
                    "firmware_vars",
                ));
            }
            (None, Some(_)) => {
                return Err(SettingsError::HalfFirmware(
                    "firmware_vars",
                    "firmware_code",
                ));
            }
        };
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(table: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings::parse(&table.iter().map(owned).collect(), Path::new("/project"))
    }

    fn fault(name: &str, value: &str) -> String {
        parse(&[(name, value)]).unwrap_err().to_string()
    }

    #[test]
    fn settings_are_read_and_mistakes_told() {
        for word in Accelerator::WORDS {
            let settings = parse(&[("accelerator", word)]).unwrap();
            assert_eq!(settings.accelerator.as_str(), *word);
        }
        for (written, path) in [
            ("/opt/qemu", "/opt/qemu"),
            ("tools/qemu", "/project/tools/qemu"),
            ("qemu-kvm", "qemu-kvm"),
        ] {
            let settings = parse(&[("binary", written)]).unwrap();
            assert_eq!(settings.binary, Some(path.into()));
        }
        assert_eq!(
            parse(&[("cpu", "max")]).unwrap().cpu.as_deref(),
            Some("max")
        );
        let flash = parse(&[("firmware_code", "/c.fd"), ("firmware_vars", "v.fd")]);
        assert_eq!(
            flash.unwrap().flash,
            Some(Flash {
                code: "/c.fd".into(),
                vars: "/project/v.fd".into()
            })
        );
        assert_eq!(
            fault("accelerator", "xen"),
            "unknown accelerator `xen`; known: auto, kvm, hvf, whpx, tcg"
        );
        assert_eq!(
            fault("binry", "x"),
            "a qemu provider has no setting `binry`; known: accelerator, binary, cpu, firmware_code, firmware_vars"
        );
        assert_eq!(
            fault("firmware_code", "x"),
            "`firmware_code` is set, but `firmware_vars` is not: firmware needs both of its files"
        );
        assert_eq!(
            fault("firmware_vars", "x"),
            "`firmware_vars` is set, but `firmware_code` is not: firmware needs both of its files"
        );
    }

    #[test]
    fn the_language_has_exactly_these_settings() {
        let schema = crate::config::schema();
        let keys = &schema["definitions"]["a-provider-of-type-qemu"]["properties"];
        let mut keys: Vec<&str> = keys
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .filter(|key| !["type", "scopes"].contains(key))
            .collect();
        keys.sort_unstable();
        assert_eq!(keys, Settings::NAMES);
        let words = &schema["definitions"]["a-provider-of-type-qemu"]["properties"]["accelerator"];
        assert_eq!(
            words["anyOf"][0]["enum"],
            serde_json::json!(Accelerator::WORDS)
        );
    }
}
