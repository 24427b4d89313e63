//! What a project may say about QEMU under `[providers.NAME]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

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
}

impl Settings {
    /// The names of the settings.
    pub const NAMES: &'static [&'static str] = &["binary", "accelerator", "cpu"];

    /// Reads the settings of a `[providers.NAME]` table.
    pub fn parse(table: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for (name, value) in table {
            match name.as_str() {
                "binary" => settings.binary = Some(PathBuf::from(value)),
                "accelerator" => {
                    settings.accelerator = Accelerator::from_word(value)
                        .ok_or_else(|| SettingsError::Accelerator(value.clone()))?;
                }
                "cpu" => settings.cpu = Some(value.clone()),
                _ => return Err(SettingsError::Unknown(name.clone())),
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, value: &str) -> Result<Settings, SettingsError> {
        Settings::parse(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn settings_are_read_and_mistakes_told() {
        for word in Accelerator::WORDS {
            let settings = parse("accelerator", word).unwrap();
            assert_eq!(settings.accelerator.as_str(), *word);
        }
        assert_eq!(
            parse("binary", "/opt/qemu").unwrap().binary,
            Some("/opt/qemu".into())
        );
        assert_eq!(parse("cpu", "max").unwrap().cpu.as_deref(), Some("max"));
        assert_eq!(
            parse("accelerator", "xen").unwrap_err().to_string(),
            "unknown accelerator `xen`; known: auto, kvm, hvf, whpx, tcg"
        );
        assert_eq!(
            parse("binry", "x").unwrap_err().to_string(),
            "a qemu provider has no setting `binry`; known: binary, accelerator, cpu"
        );
    }
}
