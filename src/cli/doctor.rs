//! `forge doctor`.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::common::{self, Choice, Global};
use super::session::{Session, cache_dir, find_project, run_facts};
use super::{CliError, Exit};
use crate::model::{Controller, Disk, Firmware, Hardware, Nic, NicAdapter, Size};
use crate::provider::qemu::{Qemu, Settings};
use crate::provider::{Provider, ProviderError};
use crate::report::{self, Finding, Health, Paint};
use crate::stages::OnError;
use crate::store::Store;
use crate::sys::{self, Journal};

/// Below this, builds fail in the middle.
const LITTLE_SPACE: u64 = 5 << 30;

/// Show what this host has and lacks for building images, with the fix
#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// Look at this provider of the project: whether it is reached, and whether the machines can be made there
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: DoctorArgs) -> Result<Exit, CliError> {
    let cache = cache_dir(global)?;
    if let Some(name) = &args.provider {
        let findings = of_provider(global, name)?;
        return show(global, &args, &findings);
    }
    let mut findings = Vec::new();
    if find_project(global).is_ok() {
        findings.push(match Session::load(global, &Choice::default()) {
            Ok(session) => good(
                "project",
                session.root.join("builds.toml").display().to_string(),
            ),
            Err(_) => bad("project", "builds.toml has faults", "see `forge validate`"),
        });
    }
    let runtime = common::runtime()?;
    match Store::open_as(&cache, &run_facts().id) {
        Ok(store) => findings.extend(runtime.block_on(qemu(&cache, store.journal()))),
        Err(error) => findings.push(bad(
            "cache",
            &error.to_string(),
            "set FORGE_CACHE_DIR to a directory that can be written",
        )),
    }
    findings.push(program(
        "ssh",
        "`forge ssh` needs it",
        "install openssh-client",
    ));
    findings.push(program(
        "ssh-keygen",
        "`forge ssh` needs it",
        "install openssh-client",
    ));
    findings.push(space(&cache));
    show(global, &args, &findings)
}

fn show(global: &Global, args: &DoctorArgs, findings: &[Finding]) -> Result<Exit, CliError> {
    let text = if args.json || global.json() {
        format!("{:#}\n", report::doctor_json(findings))
    } else {
        report::doctor_text(findings, Paint::new(global.colour_stdout()))
    };
    common::print(text.as_bytes())?;
    let broken = findings.iter().any(|finding| finding.health == Health::Bad);
    Ok(if broken {
        Exit::Environment
    } else {
        Exit::Done
    })
}

/// Whether a provider of the project is reached, and what stands in the way of the project's machines there.
fn of_provider(global: &Global, name: &str) -> Result<Vec<Finding>, CliError> {
    let choice = Choice {
        provider: Some(name.to_owned()),
        ..Choice::default()
    };
    let session = Session::load(global, &choice)?;
    let host = session.host(run_facts(), OnError::Cleanup)?;
    let keys = session.select(&choice, &[])?;
    let runtime = common::runtime()?;
    let known = host
        .providers
        .iter()
        .find(|(known, _)| known.as_str() == name);
    let (described, errors) = runtime.block_on(async {
        let errors = crate::stages::preflight(&host, session.stages(&keys), true).await;
        let described = match known {
            Some((_, provider)) => provider.describe().await,
            None => String::new(),
        };
        host.close().await;
        (described, errors)
    });
    let mut findings = Vec::new();
    for (_, error) in errors {
        let (message, help) = explained(error);
        findings.push(bad(name, &message, &help));
    }
    if findings.is_empty() {
        findings.push(good(name, described));
    }
    Ok(findings)
}

/// What is wrong, and what to do.
fn explained(fault: ProviderError) -> (String, String) {
    match fault {
        ProviderError::Environment { message, help } | ProviderError::Broken { message, help } => {
            (message, help)
        }
        other => (other.to_string(), "see docs/troubleshooting.md".into()),
    }
}

async fn qemu(cache: &Path, journal: &Arc<Journal>) -> Vec<Finding> {
    let qemu = Qemu::new(Settings::default(), cache, Arc::clone(journal));
    let mut findings = Vec::new();
    for (what, firmware) in [("qemu", Firmware::Bios), ("uefi firmware", Firmware::Efi)] {
        let faults = qemu.preflight(&hardware(firmware)).await;
        if faults.is_empty() {
            let detail = if firmware == Firmware::Bios {
                qemu.describe().await
            } else {
                "found".into()
            };
            findings.push(good(what, detail));
        }
        for fault in faults {
            let (message, help) = explained(fault);
            // without QEMU both firmwares say the same
            if !findings.iter().any(|f: &Finding| f.detail == message) {
                findings.push(bad(what, &message, &help));
            }
        }
    }
    if let Some(qemu) = findings.first_mut()
        && qemu.health == Health::Good
        && qemu.detail.contains("tcg")
    {
        qemu.health = Health::Poor;
        qemu.fix = vec![
            "without a hypervisor machines run about ten times slower; builds work all the same"
                .into(),
        ];
    }
    findings
}

fn hardware(firmware: Firmware) -> Hardware {
    Hardware {
        cpus: 1,
        cores_per_socket: 1,
        memory: Size::from_mib(256),
        firmware,
        disks: vec![Disk {
            size: Size::from_mib(1024),
            controller: Controller::Virtio,
        }],
        nics: vec![Nic {
            adapter: NicAdapter::Virtio,
            network: String::new(),
            mac: None,
        }],
        guest_id: None,
        hardware_version: 15,
        vsphere: None,
    }
}

fn program(name: &str, why: &str, fix: &str) -> Finding {
    match sys::process::find_program(&[name]) {
        Some(path) => good(name, path.display().to_string()),
        None => Finding {
            health: Health::Poor,
            ..bad(name, &format!("not on the search path; {why}"), fix)
        },
    }
}

fn space(cache: &Path) -> Finding {
    let place = cache.ancestors().find(|dir| dir.exists()).unwrap_or(cache);
    match sys::fs::free_space(place) {
        Ok(free) => {
            let detail = format!("{} free for {}", Size::from_bytes(free), cache.display());
            if free < LITTLE_SPACE {
                bad(
                    "disk space",
                    &detail,
                    "`forge cache gc` frees what no record needs; or set FORGE_CACHE_DIR",
                )
            } else {
                good("disk space", detail)
            }
        }
        Err(e) => bad(
            "disk space",
            &format!("{}: {e}", cache.display()),
            "set FORGE_CACHE_DIR to a directory that can be written",
        ),
    }
}

fn good(what: &str, detail: String) -> Finding {
    Finding {
        what: what.into(),
        health: Health::Good,
        detail,
        fix: Vec::new(),
    }
}

fn bad(what: &str, detail: &str, fix: &str) -> Finding {
    Finding {
        what: what.into(),
        health: Health::Bad,
        detail: detail.into(),
        fix: vec![fix.into()],
    }
}
