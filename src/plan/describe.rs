//! What each kind of stage depends on.
//!
//! Default is *in*. Every struct is destructured in full, so that a new field does not compile until it has its place
//! here; what stays out is bound to `_` with the reason beside it. An order that matters is in the names (`step 3`).

use super::ingredients::{FILE, KIND, PROVIDER, UPSTREAM};
use super::symbolic::symbolic;
use super::{Facts, FileFacts, FileKind, Ingredients, InputFault, PlanError, inputs};
use crate::model::{
    Boot, Check, CheckSet, CheckSource, Checksum, Clone, Command, CommandLine, Digest, Disk,
    Export, Hardware, Input, IsoBase, IsoSource, Kickstart, Layout, Login, Matcher, MediaFile,
    MediaVia, Name, Nic, PackOva, Property, Provision, Shell, ShellSource, Ssh, Stage, StageKey,
    StageKind, Step, StepAction, Text, Verify,
};

/// The revision of a kind: raised when forge does the same settings differently, so that what older versions built is
/// stale.
#[must_use]
pub const fn revision(kind: &StageKind) -> u32 {
    match kind {
        StageKind::Command(_)
        | StageKind::IsoBase(_)
        | StageKind::Clone(_)
        | StageKind::Provision(_)
        | StageKind::Export(_)
        | StageKind::PackOva(_)
        | StageKind::Verify(_) => 1,
    }
}

/// Everything that the result of `stage` depends on. `upstream` gives the digests of the artifacts that it consumes; one
/// that is not known yet enters as `pending`.
pub fn ingredients(
    stage: &Stage,
    facts: &Facts,
    upstream: &dyn Fn(&StageKey) -> Option<Digest>,
) -> Result<Ingredients, PlanError> {
    let mut sheet = Sheet {
        stage,
        facts,
        prefix: String::new(),
        out: Ingredients::default(),
        faults: Vec::new(),
    };
    sheet.stage(upstream);
    if sheet.faults.is_empty() {
        Ok(sheet.out)
    } else {
        Err(PlanError::Inputs(sheet.faults))
    }
}

/// What an SSH login is for.
#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    /// A way to do something in the guest.
    Work,
    /// The login itself is under test.
    Test,
}

struct Sheet<'a> {
    stage: &'a Stage,
    facts: &'a Facts,
    /// `step 3 `, or nothing.
    prefix: String,
    out: Ingredients,
    faults: Vec<InputFault>,
}

impl Sheet<'_> {
    fn add(&mut self, name: impl AsRef<str>, value: impl Into<String>) {
        let name = format!("{}{}", self.prefix, name.as_ref());
        self.out.add(name.trim_end(), value);
    }

    fn text(&mut self, name: impl AsRef<str>, text: &Text) {
        self.add(name, symbolic(text));
    }

    fn optional(&mut self, name: &str, text: Option<&Text>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.add(name, if value { "yes" } else { "no" });
    }

    fn files(&mut self, inputs: impl IntoIterator<Item = Input>) {
        for input in inputs {
            self.input(&input);
        }
    }

    fn input(&mut self, input: &Input) {
        let (name, none) = match input {
            Input::Path(path) => (path, "does not exist"),
            Input::Glob(glob) => (glob, "matches no file"),
        };
        let fault = match self.facts.files.get(input) {
            Some(FileFacts::Found(files)) if !files.is_empty() => {
                for file in files {
                    let value = match file.kind {
                        FileKind::File => file.digest.hex(),
                        FileKind::Executable => format!("{} executable", file.digest),
                        FileKind::Link => format!("{} link", file.digest),
                        FileKind::EmptyDir => "empty directory".to_owned(),
                    };
                    self.add(format!("{FILE}{}", file.path), value);
                }
                return;
            }
            Some(FileFacts::Found(_) | FileFacts::Missing) => none.to_owned(),
            Some(FileFacts::Unreadable(why)) => why.clone(),
            None => "was not looked at".to_owned(),
        };
        self.faults.push(InputFault {
            stage: self.stage.key.clone(),
            input: name.clone(),
            fault,
            origin: (self.stage.origin.file.clone(), self.stage.origin.line),
        });
    }

    fn stage(&mut self, upstream: &dyn Fn(&StageKey) -> Option<Digest>) {
        let Stage {
            // identity is by what goes in: a stage that was renamed finds its record again; what the axes' values change
            // stands in the settings
            key: _,
            // a place in the file
            origin: _,
            kind,
            from,
            needs,
            // how long and how often one tries does not change what comes out
            timeout: _,
            retries: _,
        } = self.stage;
        self.add(KIND, format!("{}/{}", kind.name(), revision(kind)));
        if let Some(from) = from {
            self.add("from", from.to_string());
        }
        for key in from.iter().chain(needs) {
            let digest = upstream(key).map_or_else(|| "pending".to_owned(), |d| d.hex());
            self.add(format!("{UPSTREAM}{key}"), digest);
        }
        match kind {
            StageKind::Command(command) => self.command(command),
            StageKind::IsoBase(iso_base) => self.iso_base(iso_base),
            StageKind::Clone(clone) => self.clone_stage(clone),
            StageKind::Provision(provision) => self.provision(provision),
            StageKind::Export(export) => self.export(export),
            StageKind::PackOva(pack) => self.pack_ova(pack),
            StageKind::Verify(verify) => self.verify(verify),
        }
    }

    fn command(&mut self, command: &Command) {
        let Command {
            run,
            // the files that they lead to are in, by path and content
            inputs: _,
            outputs,
            env,
            pass_env,
            dir,
            // says when it runs, not what it does
            always: _,
        } = command;
        match run {
            CommandLine::Shell(line) => self.text("run", line),
            CommandLine::Argv(words) => {
                for (i, word) in words.iter().enumerate() {
                    self.text(format!("argument {}", i + 1), word);
                }
            }
        }
        self.files(inputs::of_command(command));
        for (name, path) in outputs {
            self.add(format!("output {name}"), path);
        }
        for (name, value) in env {
            self.text(format!("env {name}"), value);
        }
        // the names alone: a passed value is by declaration one that does not matter (`HOME`, `DISPLAY`, a proxy)
        for name in pass_env {
            self.add(format!("pass env {name}"), "yes");
        }
        if let Some(dir) = dir {
            self.add("dir", dir);
        }
    }

    fn iso_base(&mut self, iso_base: &IsoBase) {
        let IsoBase {
            provider,
            hardware,
            iso,
            kickstart,
            boot,
            ssh,
            shutdown,
        } = iso_base;
        self.provider(provider);
        self.hardware(hardware);
        self.iso(iso);
        if let Some(kickstart) = kickstart {
            self.kickstart(kickstart);
        }
        self.boot(boot);
        self.ssh(ssh, Purpose::Work);
        self.optional("shutdown", shutdown.as_ref());
    }

    /// The machine's later stages depend on the provider through the artifact of the one that installed it.
    fn provider(&mut self, name: &Name) {
        self.add("provider", name.to_string());
        for (part, value) in self.facts.identities.get(name).into_iter().flatten() {
            self.add(format!("{PROVIDER}{part}"), value);
        }
    }

    fn iso(&mut self, iso: &IsoSource) {
        let IsoSource { urls, checksum } = iso;
        if let Some(checksum) = checksum {
            self.add("iso checksum", checksum.to_string());
        }
        // a checksum says what the content is, wherever it comes from
        if !matches!(checksum, Some(Checksum::Hex { .. })) {
            for (i, url) in urls.iter().enumerate() {
                self.text(format!("iso url {}", i + 1), url);
            }
        }
        self.files(inputs::of_iso(iso));
    }

    fn kickstart(&mut self, kickstart: &Kickstart) {
        let Kickstart { files, via, label } = kickstart;
        for file in files {
            match file {
                MediaFile::Text { path, content } => {
                    self.text(format!("kickstart {path}"), content);
                }
                MediaFile::Copy { path, source } => {
                    self.add(format!("kickstart {path}"), format!("copy of {source}"));
                }
            }
        }
        self.files(inputs::of_kickstart(Some(kickstart)));
        let via = match via {
            MediaVia::Floppy => "floppy",
            MediaVia::Cd => "cd",
            MediaVia::Http => "http",
        };
        self.add("kickstart via", via);
        self.add("kickstart label", label);
    }

    fn boot(&mut self, boot: &Boot) {
        let Boot {
            wait,
            wait_text,
            // a deadline: it is met or the stage fails
            wait_timeout: _,
            keys,
            interval,
            layout,
        } = boot;
        // these are in because a menu that is typed at too late, or too fast, boots something else
        if let Some(wait) = wait {
            self.add("boot wait", wait.to_string());
        }
        if let Some(pattern) = wait_text {
            self.add("boot wait text", pattern);
        }
        if let Some(interval) = interval {
            self.add("boot key interval", interval.to_string());
        }
        self.text("boot keys", keys);
        let layout = match layout {
            Layout::Us => "us",
            Layout::De => "de",
            Layout::Fr => "fr",
            Layout::Gb => "gb",
        };
        self.add("boot layout", layout);
    }

    fn ssh(&mut self, ssh: &Ssh, purpose: Purpose) {
        let Ssh {
            user,
            login,
            port,
            // a deadline: it is met or the stage fails
            timeout: _,
        } = ssh;
        self.text("ssh user", user);
        // how the account is proved and where it is reached does not change what is done as it; a wrong one fails
        if purpose == Purpose::Work {
            return;
        }
        let Login {
            password,
            key_file,
            agent,
        } = login;
        self.optional("ssh password", password.as_ref());
        self.optional("ssh key file", key_file.as_ref());
        self.flag("ssh agent", *agent);
        self.add("ssh port", port.to_string());
    }

    fn hardware(&mut self, hardware: &Hardware) {
        let Hardware {
            cpus,
            cores_per_socket,
            memory,
            firmware,
            disks,
            nics,
            guest_id,
            hardware_version,
        } = hardware;
        self.add("cpus", cpus.to_string());
        self.add("cores per socket", cores_per_socket.to_string());
        self.add("memory", exact(*memory));
        self.add("firmware", firmware.to_string());
        for (i, Disk { size, controller }) in disks.iter().enumerate() {
            self.add(format!("disk {} size", i + 1), exact(*size));
            self.add(format!("disk {} controller", i + 1), controller.to_string());
        }
        for (i, Nic { adapter, network }) in nics.iter().enumerate() {
            self.add(format!("nic {} adapter", i + 1), adapter.to_string());
            self.add(format!("nic {} network", i + 1), network);
        }
        if let Some(id) = guest_id {
            self.add("guest id", id);
        }
        self.add("hardware version", hardware_version.to_string());
    }

    fn clone_stage(&mut self, clone: &Clone) {
        let Clone { hardware, ssh } = clone;
        self.hardware(hardware);
        self.ssh(ssh, Purpose::Work);
    }

    fn provision(&mut self, provision: &Provision) {
        let Provision {
            hardware,
            ssh,
            steps,
            shutdown,
        } = provision;
        self.hardware(hardware);
        self.ssh(ssh, Purpose::Work);
        self.optional("shutdown", shutdown.as_ref());
        for (i, step) in steps.iter().enumerate() {
            self.prefix = format!("step {} ", i + 1);
            self.step(step);
        }
        self.prefix.clear();
    }

    fn step(&mut self, step: &Step) {
        let Step {
            // for people
            title: _,
            action,
            // how long and how often one tries does not change what comes out
            retries: _,
            timeout: _,
            // a guest that was given time may be in another state
            pause_before,
        } = step;
        if let Some(pause) = pause_before {
            self.add("pause before", pause.to_string());
        }
        match action {
            StepAction::Upload { source, to } => {
                self.add("", "upload");
                self.files(inputs::of_step(step));
                self.add("source", source);
                self.text("to", to);
            }
            StepAction::Shell(shell) => {
                self.files(inputs::of_step(step));
                self.shell(shell);
            }
            StepAction::Local(command) => {
                self.add("", "local");
                self.command(command);
            }
            StepAction::Reboot {
                command,
                // a deadline: it is met or the stage fails
                timeout: _,
            } => {
                self.add("", "reboot");
                self.optional("command", command.as_ref());
            }
            StepAction::Pause(duration) => {
                self.add("", "pause");
                self.add("for", duration.to_string());
            }
            StepAction::Check(checks) => {
                self.add("", "check");
                self.checks(std::slice::from_ref(checks));
            }
        }
    }

    fn shell(&mut self, shell: &Shell) {
        let Shell {
            scripts,
            env,
            sudo,
            valid_exit_codes,
            interpreter,
            dir,
            expect_disconnect,
        } = shell;
        self.add("", "shell");
        for (i, script) in scripts.iter().enumerate() {
            let name = format!("script {}", i + 1);
            match script {
                ShellSource::Inline(text) => self.text(format!("inline {name}"), text),
                ShellSource::File(path) => self.add(name, path),
            }
        }
        for (name, value) in env {
            self.text(format!("env {name}"), value);
        }
        self.flag("sudo", *sudo);
        let codes: Vec<String> = valid_exit_codes.iter().map(ToString::to_string).collect();
        self.add("valid exit codes", codes.join(" "));
        self.add("interpreter", interpreter);
        self.optional("dir", dir.as_ref());
        self.flag("expect disconnect", *expect_disconnect);
    }

    fn export(&mut self, export: &Export) {
        let Export { name, level } = export;
        // the disks' file names, which an OVF refers to
        self.text("name", name);
        self.add("compression level", level.to_string());
    }

    fn pack_ova(&mut self, pack: &PackOva) {
        let PackOva {
            name,
            properties,
            product,
            vendor,
            version,
            annotation,
            eula,
            manifest,
        } = pack;
        self.text("name", name);
        for property in properties {
            let Property {
                key,
                value,
                user_configurable,
            } = property;
            self.text(format!("property {key}"), value);
            self.flag(
                &format!("property {key} user configurable"),
                *user_configurable,
            );
        }
        let keys: Vec<&str> = properties.iter().map(|p| p.key.as_str()).collect();
        self.add("property order", keys.join(" "));
        self.text("product", product);
        self.optional("vendor", vendor.as_ref());
        self.text("version", version);
        self.optional("annotation", annotation.as_ref());
        self.optional("eula", eula.as_ref());
        for (field, value) in manifest {
            self.text(format!("manifest {field}"), value);
        }
    }

    fn verify(&mut self, verify: &Verify) {
        let Verify {
            provider,
            ssh,
            checks,
            // how long one asks, and how often, does not change what must hold
            retry_timeout: _,
            sleep: _,
        } = verify;
        self.provider(provider);
        self.ssh(ssh, Purpose::Test);
        self.checks(checks);
    }

    fn checks(&mut self, sources: &[CheckSource]) {
        let mut number = std::collections::BTreeMap::new();
        for source in sources {
            let CheckSource {
                file: _, // in by its content, which also covers what a newer forge may read there
                checks: CheckSet { checks },
            } = source;
            self.files(inputs::of_checks(source));
            for check in checks {
                let Check {
                    resource,
                    name,
                    title: _, // for people
                    skip,
                    settings,
                    expect,
                } = check;
                let title = format!("check {resource} {name}");
                let count: &mut usize = number.entry(title.clone()).or_default();
                *count += 1;
                let title = match *count {
                    1 => title,
                    n => format!("{title} ({n})"),
                };
                let mut shown = show_check(settings, expect);
                if *skip {
                    shown = format!("skipped, {shown}");
                }
                self.add(title, shown);
            }
        }
    }
}

fn show_check(settings: &[(String, serde_json::Value)], expect: &[(String, Matcher)]) -> String {
    let settings = settings
        .iter()
        .map(|(key, value)| format!("{key}: {value}"));
    let expect = expect
        .iter()
        .map(|(key, matcher)| format!("{key} = {matcher}"));
    settings.chain(expect).collect::<Vec<_>>().join(", ")
}

/// A size without rounding.
fn exact(size: crate::model::Size) -> String {
    let shown = size.to_string();
    if crate::model::Size::parse(&shown) == Ok(size) {
        shown
    } else {
        format!("{}B", size.bytes())
    }
}
