//! The tests' own vCenter (`tests/vcenter`), whose machines are real QEMU guests.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
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
        Self::start_with(&[])
    }

    /// One with more flags.
    pub(crate) fn start_with(flags: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // guests of servers that run side by side have addresses of their own
        let number = std::process::id() % 200 + NEXT.fetch_add(1, Ordering::Relaxed);
        let net = format!("127.78.{}", number % 250 + 1);
        let program = vm::repository().join("target/test-vcenter/vcenter-double");
        let mut child = Command::new(&program)
            .args(["-max-mem", "512", "-max-cpus", "2", "-bare-vm", "bare"])
            .args(["-guest-net", &net])
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
        let text = text.replacen("[providers.lab]\n", &ca, 1);
        // whatever it costs on a busy machine
        let always = "[stages.provision]\ncheckpoint = \"always\"\n";
        let text = text.replacen("[stages.provision]\n", always, 1);
        sandbox.write("builds.toml", &text);
        sandbox
    }

    /// A project of one machine that starts, and whose guest never answers; with a cache of its own.
    pub(crate) fn quick(&self) -> Sandbox {
        quick(&self.address(), self.get("ca"))
            .env("LAB_USERNAME", self.get("username"))
            .env("LAB_PASSWORD", self.get("password"))
    }

    fn control(&self, method: &str, path: &str, body: &str) -> String {
        let url = format!("{}{path}", self.get("control"));
        let output = Command::new("curl")
            .args(["-sS", "--fail-with-body", "--max-time", "300"])
            .args(["-X", method, "-d", body, &url])
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

    /// Switches all faults off; those that have a count must have been met as often.
    pub(crate) fn faults_were_met(&self) {
        let on: Value = serde_json::from_str(&self.control("GET", "/faults", "")).unwrap();
        let left = on.as_array().into_iter().flatten();
        let left: Vec<_> = left.filter(|fault| fault["count"] != -1).collect();
        assert!(left.is_empty(), "{left:?}");
        self.no_faults();
    }

    /// Returns when all faults that have a count have been met.
    pub(crate) fn wait_for_faults(&self) {
        self.control("GET", "/met", "");
    }

    /// The server's service restarts: it is away at once, and there again after some seconds.
    pub(crate) fn restart(&self, seconds: u32) {
        self.control("POST", &format!("/restart?seconds={seconds}"), "");
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        let url = url::Url::parse(self.get("url")).unwrap();
        format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())
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
        let journal = std::fs::read_dir(sandbox.path(".forge/journal")).into_iter();
        let left: Vec<_> = journal
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect();
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

/// A machine whose guest never answers: it is made, starts, and its stage fails after a second.
const QUICK: &str = r#"
version = 1
[project]
name = "quick"

[scopes.login]
env = { username = "LAB_USERNAME", password = "LAB_PASSWORD" }
secret = ["password"]

[providers.lab]
type = "vsphere"
scopes = ["login"]
server = "[SERVER]"
username = "{{ login.username }}"
password = "{{ login.password }}"
ca_file = "[CA]"
datacenter = "Packer"
cluster = "Packer"
datastore = "Packer"
folder = "Packer"
network = "VM Network"

[machine]
cpus = 1
memory = "64MiB"
disks = [{ size = "64MiB", controller = "pvscsi" }]
nics = [{ adapter = "vmxnet3", network = "VM Network" }]
guest_id = "other5xLinux64Guest"

[stages.iso-base]
provider = "lab"
iso = { url = "boot.iso", checksum = "none" }
ssh = { user = "root", password = "forge", timeout = "1s" }
"#;

/// [`VCenter::quick`] without an account.
pub(crate) fn quick(server: &str, ca: &str) -> Sandbox {
    let text = QUICK.replace("[SERVER]", server).replace("[CA]", ca);
    let sandbox = Sandbox::new(&text);
    other_medium(&sandbox, b'0');
    sandbox
}

/// Gives a quick project another ISO file.
pub(crate) fn other_medium(sandbox: &Sandbox, content: u8) {
    std::fs::write(sandbox.path("boot.iso"), vec![content; 300_000]).unwrap();
}

/// Where a run is to be met: a fault that holds it there, what that is about, and its argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase(
    pub(crate) &'static str,
    pub(crate) &'static str,
    pub(crate) u32,
);

/// A run of forge that is in the middle of something.
pub(crate) struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
    said: String,
}

impl Running {
    /// Starts one.
    pub(crate) fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut child = sandbox.start(args);
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            lines,
            said: String::new(),
        }
    }

    /// Starts one and waits until the server holds it.
    pub(crate) fn up_to(server: &VCenter, sandbox: &Sandbox, args: &[&str], phase: Phase) -> Self {
        let Phase(fault, matches, arg) = phase;
        server.fault(fault, 1, matches, &serde_json::json!(arg));
        let mut running = Self::start(sandbox, args);
        server.wait_for_faults();
        server.no_faults();
        assert_eq!(running.child.try_wait().unwrap(), None, "{phase:?}");
        running
    }

    /// Starts one and waits until the server holds it, or else until the guest boots.
    pub(crate) fn in_phase(
        server: &VCenter,
        sandbox: &Sandbox,
        args: &[&str],
        phase: Option<Phase>,
    ) -> Self {
        if let Some(phase) = phase {
            return Self::up_to(server, sandbox, args, phase);
        }
        let mut running = Self::start(sandbox, args);
        running.wait_for("waiting for ssh");
        running
    }

    /// Waits until it says something.
    pub(crate) fn wait_for(&mut self, what: &str) {
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() > 0 {
            self.said.push_str(&line);
            if line.contains(what) {
                return;
            }
            line.clear();
        }
        panic!("forge never said `{what}`:\n{}", self.said);
    }

    /// Waits for its end, after a signal; gives its code and what it has said.
    pub(crate) fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.unwrap().success());
        while self.lines.read_line(&mut self.said).unwrap() > 0 {}
        let said = std::mem::take(&mut self.said);
        (self.child.wait().unwrap().code(), said)
    }

    /// Waits for its end, which is as it should be; gives what it has said.
    pub(crate) fn ends(self, code: i32, words: &[&str]) -> String {
        let (ended, text) = self.end("-CONT");
        assert_eq!(ended, Some(code), "{text}");
        for word in words {
            assert!(text.contains(word), "no `{word}` in\n{text}");
        }
        text
    }
}

impl Drop for Running {
    /// A test that has failed leaves nothing that runs on.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
