//! What is run: commands on this machine, steps and checks in a guest.

use super::super::inputs;
use super::Sheet;
use super::machine::Purpose;
use crate::model::{
    Checks, Command, CommandLine, Discovery, Provision, Shell, ShellSource, Step, StepAction, Trim,
};

impl Sheet<'_> {
    pub(super) fn command(&mut self, command: &Command) {
        let Command {
            run,
            // the files that they lead to are in, by path and content
            inputs: _,
            discovers,
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
        match discovers {
            Some(Discovery::Depfile(path)) => self.add("depfile", path),
            Some(Discovery::Lines(prefix)) => self.add("deps prefix", prefix),
            None => {}
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
            trim,
            // a name can be changed afterwards
            vm_name: _,
        } = provision;
        self.hardware(hardware);
        self.ssh(ssh, Purpose::Work);
        self.optional("shutdown", shutdown.as_ref());
        // what was made before there was a choice counts as that
        if *trim != Trim::default() {
            self.add("trim", trim.as_str());
        }
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
            // how often one saves does not change what is made
            checkpoint: _,
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
                self.checks(checks);
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

    pub(super) fn checks(&mut self, checks: &Checks) {
        let Checks {
            // in by their content
            gossfiles: _,
            includes: _,
            vars_files: _,
            inline,
            scopes,
            vars,
        } = checks;
        self.files(inputs::of_checks(checks));
        for (kind, resources) in object(inline.as_deref().unwrap_or_default()) {
            for (name, body) in resources.as_object().into_iter().flatten() {
                self.add(format!("check {kind} {name}"), body.to_string());
            }
        }
        for (name, value) in object(scopes) {
            self.add(format!("checks see scope {name}"), value.to_string());
        }
        for (name, value) in object(vars.as_deref().unwrap_or_default()) {
            self.add(format!("checks see {name}"), value.to_string());
        }
    }
}

/// The entries of an object in JSON; none if it is something else.
fn object(text: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(text).unwrap_or_default()
}
