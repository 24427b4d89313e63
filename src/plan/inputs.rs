//! What a stage reads beside `builds.toml`.

use crate::model::{
    Checks, Checksum, Command, Input, IsoSource, Kickstart, Login, MediaFile, PROJECT_PUBLIC_KEY,
    ShellSource, Signing, Stage, StageKind, Step, StepAction,
};

/// Whether what the stage reads is looked at again when it has run: a command is quick, and people work on its inputs
/// meanwhile. A machine has read its files long before the stage's end.
#[must_use]
pub fn rereads(stage: &Stage) -> bool {
    match &stage.kind {
        StageKind::Command(command) => !command.inputs.is_empty() || command.discovers.is_some(),
        _ => false,
    }
}

/// Every file, tree and glob whose content is an ingredient of `stage`; sorted, each once.
#[must_use]
pub fn inputs_of(stage: &Stage) -> Vec<Input> {
    let mut inputs = match &stage.kind {
        StageKind::Command(command) => of_command(command),
        StageKind::IsoBase(iso_base) => {
            let mut inputs = of_kickstart(iso_base.kickstart.as_ref());
            inputs.extend(of_iso(&iso_base.iso));
            inputs
        }
        StageKind::Provision(provision) => provision.steps.iter().flat_map(of_step).collect(),
        StageKind::Verify(verify) => of_checks(&verify.checks),
        StageKind::PackOva(pack) => of_appliance(pack.template.as_ref(), pack.sign.as_ref()),
        StageKind::Clone(_) | StageKind::Export(_) | StageKind::Publish(_) => Vec::new(),
    };
    inputs.extend(stage.ssh().and_then(|ssh| of_login(&ssh.login)));
    inputs.sort();
    inputs.dedup();
    inputs
}

/// The descriptor's template, and the certificate of a signature.
pub(super) fn of_appliance(template: Option<&String>, sign: Option<&Signing>) -> Vec<Input> {
    let certificate = sign.and_then(|sign| sign.certificate.as_literal());
    let files = template.cloned().into_iter().chain(certificate);
    files.map(|file| path(&file)).collect()
}

/// The project's own key, where it is used.
pub(super) fn of_login(login: &Login) -> Option<Input> {
    login
        .generate_key
        .then(|| Input::Path(PROJECT_PUBLIC_KEY.to_owned()))
}

pub(super) fn of_command(command: &Command) -> Vec<Input> {
    command.inputs.clone()
}

pub(super) fn of_kickstart(kickstart: Option<&Kickstart>) -> Vec<Input> {
    let files = kickstart.iter().flat_map(|kickstart| &kickstart.files);
    files
        .filter_map(|file| match file {
            // its rendered content is an ingredient by itself
            MediaFile::Text { .. } => None,
            MediaFile::Copy { source, .. } => Some(path(source)),
        })
        .collect()
}

/// A local ISO and a local list of checksums are inputs where nothing else says what the content must be.
pub(super) fn of_iso(iso: &IsoSource) -> Vec<Input> {
    let IsoSource { urls, checksum } = iso;
    let mut inputs = Vec::new();
    if let Some(Checksum::File(list)) = checksum {
        inputs.extend(local(list).map(path));
    }
    // with several mirrors, a local one need not be there
    if let (false, [only]) = (matches!(checksum, Some(Checksum::Hex { .. })), &urls[..]) {
        let literal = only.as_literal();
        inputs.extend(literal.as_deref().and_then(local).map(path));
    }
    inputs
}

pub(super) fn of_step(step: &Step) -> Vec<Input> {
    match &step.action {
        StepAction::Upload { source, .. } => vec![path(source)],
        StepAction::Shell(shell) => shell
            .scripts
            .iter()
            .filter_map(|script| match script {
                ShellSource::Inline(_) => None,
                ShellSource::File(file) => Some(path(file)),
            })
            .collect(),
        StepAction::Local(command) => of_command(command),
        StepAction::Check(checks) => of_checks(checks),
        StepAction::Reboot { .. } | StepAction::Pause(_) => Vec::new(),
    }
}

pub(super) fn of_checks(checks: &Checks) -> Vec<Input> {
    let Checks {
        gossfiles,
        includes,
        vars_files,
        inline: _,
        scopes: _,
        vars: _,
    } = checks;
    let files = gossfiles.iter().chain(includes).chain(vars_files);
    files.map(|file| path(file)).collect()
}

/// The input for a path as users write it: `./scripts/` is `scripts`.
fn path(text: &str) -> Input {
    let mut trimmed = text.trim_end_matches('/');
    while let Some(rest) = trimmed.strip_prefix("./") {
        trimmed = rest.trim_start_matches('/');
    }
    Input::Path(match trimmed {
        "" if text.starts_with('/') => "/".to_owned(),
        "" => ".".to_owned(),
        _ => trimmed.to_owned(),
    })
}

/// The path in `file://PATH` or a bare path; nothing for other URLs.
fn local(url: &str) -> Option<&str> {
    match url.split_once("://") {
        // a place on a datastore
        _ if url.starts_with('[') => None,
        Some(("file", path)) => Some(path),
        Some(_) => None,
        None => Some(url),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::model::Text;

    #[test]
    fn every_kind_names_what_it_reads() {
        let shown = |stage: &Stage| -> Vec<String> {
            inputs_of(stage).iter().map(|i| format!("{i:?}")).collect()
        };
        assert_eq!(
            shown(&samples::command()),
            [r#"Path("scripts/build.sh")"#, r#"Glob("scripts/mini/**")"#]
        );
        assert_eq!(shown(&samples::iso_base()), [r#"Path("kickstart/motd")"#]);
        assert_eq!(
            shown(&samples::provision()),
            [
                r#"Path("checks.yaml")"#,
                r#"Path("scripts/install.sh")"#,
                r#"Path("scripts/k3s")"#,
                r#"Path("scripts/local.sh")"#
            ]
        );
        assert_eq!(
            shown(&samples::verify()),
            [r#"Path("scripts/goss/goss.yaml")"#]
        );
        assert_eq!(
            shown(&samples::pack_ova()),
            [r#"Path("appliance.ovf.j2")"#, r#"Path("certificate.pem")"#]
        );
        for stage in [samples::clone(), samples::export(), samples::publish()] {
            assert_eq!(inputs_of(&stage), [], "{}", stage.key);
        }
    }

    #[test]
    fn a_local_iso_is_an_input_only_where_its_content_is_not_known_otherwise() {
        let iso = |urls: &[&str], checksum: &str| IsoSource {
            urls: urls.iter().map(|u| Text::literal(*u)).collect(),
            checksum: Some(Checksum::parse(checksum).unwrap()),
        };
        let hex = "c2883a42e402a2330d9c39b4d1e071cf9b3b5898";
        assert_eq!(of_iso(&iso(&["a.iso"], hex)), []);
        assert_eq!(
            of_iso(&iso(&["./a.iso"], "none")),
            [Input::Path("a.iso".into())]
        );
        assert_eq!(
            of_iso(&iso(&["file:///srv/a.iso"], "none")),
            [Input::Path("/srv/a.iso".into())]
        );
        for elsewhere in ["https://x/a.iso", "[ds] a.iso", "library://images/a"] {
            assert_eq!(of_iso(&iso(&[elsewhere], "none")), [], "{elsewhere}");
        }
        assert_eq!(of_iso(&iso(&["a.iso", "https://x/a.iso"], "none")), []);
        assert_eq!(
            of_iso(&iso(&["https://x/a.iso"], "file:SUMS")),
            [Input::Path("SUMS".into())]
        );
    }

    #[test]
    fn paths_lose_what_does_not_matter() {
        for (text, expected) in [
            ("./scripts/", "scripts"),
            (".", "."),
            ("./", "."),
            ("/", "/"),
            ("a/b", "a/b"),
        ] {
            assert_eq!(path(text), Input::Path(expected.into()), "{text}");
        }
    }
}
