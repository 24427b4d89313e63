//! The tests' own vCenter (`tests/vcenter`), whose machines are real QEMU guests.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::{Sandbox, vm};

/// A running server; it ends with this, and all its guests do.
pub(crate) struct VCenter {
    child: Child,
    ready: Value,
}

impl VCenter {
    pub(crate) fn start() -> Self {
        Self::with(&["-bare-vm", "bare"])
    }

    /// One with these flags.
    pub(crate) fn with(flags: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // guests of servers that run side by side have addresses of their own
        let number = std::process::id() % 200 + NEXT.fetch_add(1, Ordering::Relaxed);
        let net = format!("127.78.{}", number % 250 + 1);
        let program = vm::repository().join("target/test-vcenter/vcenter-double");
        let mut child = Command::new(&program)
            .args(["-max-mem", "512", "-max-cpus", "2", "-guest-net", &net])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}; tests/vcenter/build makes it", program.display()));
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        Self {
            child,
            ready: serde_json::from_str(&line).unwrap(),
        }
    }

    pub(crate) fn get(&self, key: &str) -> &str {
        self.ready[key].as_str().unwrap()
    }

    /// The repository's project, built by QEMU already, with this server as its provider `lab`.
    pub(crate) fn project(&self) -> Sandbox {
        let sandbox = vm::fork()
            .env("VCENTER_SERVER", self.get("url"))
            .env("VCENTER_USERNAME", self.get("username"))
            .env("VCENTER_PASSWORD", self.get("password"));
        let text = sandbox.read("builds.toml");
        let ca = format!("[providers.lab]\nca_file = \"{}\"\n", self.get("ca"));
        sandbox.write("builds.toml", &text.replacen("[providers.lab]\n", &ca, 1));
        sandbox
    }

    fn control(&self, method: &str, path: &str, body: &str) -> String {
        let url = format!("{}{path}", self.get("control"));
        let output = Command::new("curl")
            .args(["-sS", "--fail-with-body", "-X", method, "-d", body, &url])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Switches a fault on, for `count` times (-1: until it is switched off).
    pub(crate) fn fault(&self, name: &str, count: i32, matches: &str, arg: &Value) {
        let fault = serde_json::json!({"name": name, "count": count, "match": matches, "arg": arg});
        self.control("POST", "/fault", &fault.to_string());
    }

    /// Waits until the server holds an upload; gives its file's name.
    pub(crate) fn held(&self) -> String {
        serde_json::from_str(&self.control("GET", "/held", "")).unwrap()
    }

    pub(crate) fn no_faults(&self) {
        self.control("DELETE", "/faults", "");
    }

    /// How often a method was called since [`VCenter::forget_calls`].
    pub(crate) fn calls(&self, method: &str) -> u64 {
        let calls: Value = serde_json::from_str(&self.control("GET", "/calls", "")).unwrap();
        calls["calls"][method].as_u64().unwrap_or(0)
    }

    pub(crate) fn forget_calls(&self) {
        self.control("DELETE", "/calls", "");
    }

    /// What VMware's own client says.
    pub(crate) fn govc(&self, args: &[&str]) -> String {
        let output = Command::new(vm::repository().join("target/test-vcenter/govc"))
            .args(args)
            .env("GOVC_URL", self.get("url"))
            .env("GOVC_USERNAME", self.get("username"))
            .env("GOVC_PASSWORD", self.get("password"))
            .env("GOVC_INSECURE", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "govc {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The machines that are there, but for the one that was there before.
    pub(crate) fn machines(&self) -> Vec<String> {
        let found = self.govc(&["find", "/", "-type", "m"]);
        let names = found.lines().filter_map(|line| line.rsplit('/').next());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.retain(|name| name != "bare");
        names.sort();
        names
    }

    /// Asserts that nothing of forge's is on the server but finished machines and whole install media.
    pub(crate) fn is_tidy(&self, sandbox: &Sandbox) {
        let machines = self.machines();
        assert!(
            machines.iter().all(|name| !name.contains(".forge-")),
            "{machines:?}"
        );
        let files = self.govc(&["datastore.ls", "-ds", "Packer"]);
        if files.lines().any(|line| line == "forge") {
            let media = self.govc(&["datastore.ls", "-ds", "Packer", "forge"]);
            let whole = |name: &str| name.len() == 64 + 4 && name.ends_with(".iso");
            assert!(media.lines().all(whole), "{media}");
        }
        let journal = std::fs::read_dir(sandbox.path(".forge/journal")).unwrap();
        let left: Vec<_> = journal.map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for VCenter {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let _ = self.child.wait();
    }
}
