//! What each kind of stage depends on.
//!
//! Default is *in*. Every struct is destructured in full, so that a new field does not compile until it has its place
//! here; what stays out is bound to `_` with the reason beside it. An order that matters is in the names (`step 3`).

mod appliance;
mod machine;
mod steps;
#[cfg(test)]
mod tests;

use super::ingredients::{FILE, KIND, UPSTREAM};
use super::symbolic::symbolic;
use super::{Facts, FileFacts, Ingredients, InputFault, PlanError};
use crate::model::{Digest, Input, Stage, StageKey, StageKind, Text};

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
        | StageKind::Verify(_)
        | StageKind::Publish(_) => 1,
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
            Input::Unignored(path) if Input::is_glob(path) => {
                (path, "matches no file that `.gitignore` keeps")
            }
            Input::Unignored(path) => (
                path,
                "does not exist, or has no file that `.gitignore` keeps",
            ),
        };
        let fault = match self.facts.files.get(input) {
            Some(FileFacts::Found(files)) if !files.is_empty() => {
                for file in files {
                    self.add(format!("{FILE}{}", file.path), file.value());
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
            // nor what else runs at the time
            pool: _,
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
            StageKind::Command(command) => {
                self.command(command);
                if command.discovers.is_some() {
                    let newest = self.facts.found(&self.stage.key).first();
                    self.out.set_found(newest.into_iter().flatten(), self.facts);
                }
            }
            StageKind::IsoBase(iso_base) => self.iso_base(iso_base),
            StageKind::Clone(clone) => self.clone_stage(clone),
            StageKind::Provision(provision) => self.provision(provision),
            StageKind::Export(export) => self.export(export),
            StageKind::PackOva(pack) => self.pack_ova(pack),
            StageKind::Verify(verify) => self.verify(verify),
            StageKind::Publish(publish) => self.publish(publish),
        }
    }
}
