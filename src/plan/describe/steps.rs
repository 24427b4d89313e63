//! What is run: commands on this machine, steps and checks in a guest.

use super::super::inputs;
use super::Sheet;
use super::machine::Purpose;
use crate::model::{
    Check, CheckSet, CheckSource, Command, CommandLine, Matcher, Provision, Shell, ShellSource,
    Step, StepAction,
};

impl Sheet<'_> {
    pub(super) fn command(&mut self, command: &Command) {
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

    pub(super) fn provision(&mut self, provision: &Provision) {
        let Provision {
            hardware,
            ssh,
            steps,
            shutdown,
            // how often one saves does not change what is made
            checkpoint: _,
            // a name can be changed afterwards
            vm_name: _,
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

    pub(super) fn step(&mut self, step: &Step) {
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

    pub(super) fn shell(&mut self, shell: &Shell) {
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

    pub(super) fn checks(&mut self, sources: &[CheckSource]) {
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
