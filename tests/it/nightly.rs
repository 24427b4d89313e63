//! What takes minutes: real Debian images, from packages to a verified appliance.

use std::sync::{Mutex, PoisonError};

use super::support::{Sandbox, vm};

/// One project for all systems, one after the other: they share the install ISO, and two builds at a time would only
/// slow each other down.
static PROJECT: Mutex<Option<Sandbox>> = Mutex::new(None);

/// Builds the appliance of `os` and looks at it from outside and inside.
fn builds(os: &str, firmware: &str) {
    let mut project = PROJECT.lock().unwrap_or_else(PoisonError::into_inner);
    let sandbox = project.get_or_insert_with(vm::project);
    let set = format!("os={os}");
    let _ = sandbox.forge(&["run", "ova", "--set", &set]).exits(0);

    let out = format!("output/k3s-{os}-1.2.3");
    let ova = format!("{out}/k3s-{os}-1.2.3.ova");
    let shown = sandbox.forge(&["ova", "inspect", &ova, "--json"]).exits(0);
    assert!(
        shown.stdout.contains(&format!("\"{firmware}\"")),
        "the appliance asks for `{firmware}`: {}",
        shown.stdout
    );
    let _ = sandbox.forge(&["ova", "verify", &ova]).exits(0);
    let junit = sandbox.read(&format!("{out}/verify@os={os}/junit.xml"));
    assert!(
        junit.contains("failures=\"0\"") && junit.contains("testcase"),
        "{junit}"
    );

    let _ = sandbox
        .forge(&["ssh", "provision", "--set", &set, "--exec", LOOK])
        .exits(0)
        .prints(&format!("ID=debian {firmware}"));
    let _ = sandbox
        .forge(&["plan", "ova", "--set", &set, "--detailed-exitcode"])
        .exits(0);
}

/// Tells which system runs, and what has booted it.
const LOOK: &str = "grep -x ID=debian /etc/os-release | tr '\\n' ' '; \
                    if [ -d /sys/firmware/efi ]; then echo efi; else echo bios; fi";

#[test]
#[ignore = "takes minutes: scripts/test --nightly"]
fn vm_nightly_debian12_bios() {
    builds("debian12", "bios");
}

#[test]
#[ignore = "takes minutes: scripts/test --nightly"]
fn vm_nightly_debian12_uefi() {
    builds("debian12-efi", "efi");
}
