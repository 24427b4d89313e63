//! Includes and the merge of what they bring.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Vars, lower};
use crate::diag::{Diagnostic, Diagnostics, Severity, SourceMap, Span};
use crate::goss::template::{self, World};
use crate::goss::yaml::{self, Syntax};
use crate::goss::{Resource, ResourceKind, clean};

/// How deep files may include each other.
const DEPTH: usize = 50;

/// Where gossfiles come from.
pub trait Files {
    /// A file's text.
    fn read(&self, path: &str) -> Result<String, String>;
    /// The paths that fit a pattern (`*`, `?`, `[…]` within one name), sorted; none if there are none.
    fn glob(&self, pattern: &str) -> Result<Vec<String>, String>;
}

/// Which gossfile is loaded.
#[derive(Clone, Copy, Debug)]
pub enum Spec<'a> {
    /// This path, read through [`Files`]; what it includes is found beside it.
    Path(&'a str),
    /// This text, written in what it looks like; what it includes is found in the working directory.
    Text {
        /// What people call it.
        name: &'a str,
        /// Its content.
        text: &'a str,
    },
}

/// Resources in the order in which they were read.
pub(super) struct Loaded {
    pub(super) resources: Vec<Resource>,
    pub(super) warnings: Diagnostics,
}

pub(super) fn load(
    spec: &Spec<'_>,
    files: &dyn Files,
    vars: &Vars,
    world: &dyn World,
) -> Result<Loaded, Diagnostics> {
    let mut loader = Loader {
        files,
        vars,
        world,
        syntax: match spec {
            Spec::Path(path) => Syntax::of(path),
            Spec::Text { .. } => None,
        },
        sources: SourceMap::default(),
        faults: Diagnostics::default(),
    };
    let all = match spec {
        Spec::Path(path) => {
            if loader.syntax.is_none() {
                let message = format!("`{path}` is neither .yaml, .yml nor .json");
                loader.faults.push(Diagnostic::error("gossfile", message));
            }
            loader.file(path, 1, None)
        }
        Spec::Text { name, text } => loader.text(name, text, "", 1),
    };
    if !loader.faults.has_errors() && all.resources.is_empty() {
        let name = match spec {
            Spec::Path(name) | Spec::Text { name, .. } => name,
        };
        loader.faults.push(Diagnostic::error(
            "gossfile",
            format!("`{name}` has no checks"),
        ));
    }
    loader.faults.sources = Arc::new(loader.sources);
    if loader.faults.has_errors() {
        return Err(only_errors(&loader.faults));
    }
    Ok(Loaded {
        resources: all.resources,
        warnings: loader.faults,
    })
}

/// Warnings help nobody who has to mend errors first.
fn only_errors(faults: &Diagnostics) -> Diagnostics {
    let mut errors = Diagnostics::default();
    for fault in faults
        .iter()
        .filter(|fault| fault.severity == Severity::Error)
    {
        errors.push(fault.clone());
    }
    errors.sources = Arc::clone(&faults.sources);
    errors
}

/// What the template of one file becomes.
pub(super) fn render(
    spec: &Spec<'_>,
    files: &dyn Files,
    vars: &Vars,
    world: &dyn World,
) -> Result<String, Diagnostics> {
    let mut sources = SourceMap::default();
    let fault = match spec {
        Spec::Text { name, text } => rendered(name, text, vars, world, &mut sources),
        Spec::Path(path) => match files.read(path) {
            Ok(text) => rendered(path, &text, vars, world, &mut sources),
            Err(error) => {
                let message = format!("`{path}` cannot be read: {error}");
                Err(Diagnostic::error("gossfile", message))
            }
        },
    };
    fault.map_err(|fault| {
        let mut faults = Diagnostics::default();
        faults.push(fault);
        faults.sources = Arc::new(sources);
        faults
    })
}

fn rendered(
    name: &str,
    text: &str,
    vars: &Vars,
    world: &dyn World,
    sources: &mut SourceMap,
) -> Result<String, Diagnostic> {
    let file = sources.add(name, text);
    template::render(text, &vars.to_value(), world).map_err(|fault| fault.diagnostic(file, text))
}

struct Loader<'a> {
    files: &'a dyn Files,
    vars: &'a Vars,
    world: &'a dyn World,
    /// What the first file is written in, and so all of them.
    syntax: Option<Syntax>,
    sources: SourceMap,
    faults: Diagnostics,
}

/// Resources by type and key: a later one takes the place of an earlier one.
#[derive(Default)]
struct Merged {
    resources: Vec<Resource>,
    places: HashMap<(ResourceKind, String), usize>,
}

impl Merged {
    /// Adds a resource; true if it took another's place.
    fn add(&mut self, resource: Resource) -> bool {
        let place = (resource.kind, resource.key.clone());
        if let Some(at) = self.places.get(&place) {
            self.resources[*at] = resource;
            return true;
        }
        self.places.insert(place, self.resources.len());
        self.resources.push(resource);
        false
    }
}

impl Loader<'_> {
    fn file(&mut self, path: &str, depth: usize, span: Option<Span>) -> Merged {
        let text = match self.files.read(path) {
            Ok(text) => text,
            Err(error) => {
                self.fault(format!("`{path}` cannot be read: {error}"), span);
                return Merged::default();
            }
        };
        let dir = path
            .rsplit_once('/')
            .map_or("", |(dir, _)| if dir.is_empty() { "/" } else { dir });
        self.text(path, &text, dir, depth)
    }

    fn fault(&mut self, message: String, span: Option<Span>) {
        let fault = Diagnostic::error("gossfile", message);
        self.faults.push(match span {
            Some(span) => fault.label(span, "included here"),
            None => fault,
        });
    }

    fn text(&mut self, name: &str, text: &str, dir: &str, depth: usize) -> Merged {
        let rendered;
        let mut shown = name.to_owned();
        let text = if template::is_template(text) {
            match self::rendered(name, text, self.vars, self.world, &mut self.sources) {
                Ok(output) => rendered = output,
                Err(fault) => {
                    self.faults.push(fault);
                    return Merged::default();
                }
            }
            shown.push_str(" (rendered)");
            rendered.as_str()
        } else {
            text
        };
        let file = self.sources.add(shown, text);
        // goss reads what is included as it reads the first file; YAML reads JSON too
        let syntax = match self.syntax {
            Some(Syntax::Json) => Syntax::of(name).or(self.syntax),
            other => other,
        };
        let node = match syntax {
            Some(syntax) => yaml::parse(file, text, syntax),
            None => yaml::sniff(file, text),
        };
        match node {
            Ok(node) => {
                let read = lower::read(&node, &mut self.faults);
                self.merge(read, dir, depth)
            }
            Err(fault) => {
                self.faults.push(fault);
                Merged::default()
            }
        }
    }

    /// Own resources first, then those of included files in the order of their keys.
    fn merge(&mut self, read: lower::Read, dir: &str, depth: usize) -> Merged {
        let mut merged = Merged::default();
        for (resource, _) in read.resources {
            merged.add(resource);
        }
        for include in read.includes.into_values() {
            let pattern = join(dir, &include.path);
            if depth + 1 >= DEPTH {
                let message = format!(
                    "`{pattern}` is included through {DEPTH} files: do they include each other?"
                );
                self.fault(message, Some(include.span));
                return merged;
            }
            let paths = match self.files.glob(&pattern) {
                Ok(paths) if paths.is_empty() => {
                    self.fault(format!("no file fits `{pattern}`"), Some(include.span));
                    continue;
                }
                Ok(paths) => paths,
                Err(error) => {
                    self.fault(format!("`{pattern}`: {error}"), Some(include.span));
                    continue;
                }
            };
            for path in paths {
                for resource in self.file(&path, depth + 1, Some(include.span)).resources {
                    let what = format!("{}: {}", resource.kind, resource.key);
                    if merged.add(resource) {
                        let message =
                            format!("`{what}` of `{path}` takes the place of an earlier one");
                        self.faults.push(
                            Diagnostic::warning("overridden", message).label(include.span, ""),
                        );
                    }
                }
            }
        }
        merged
    }
}

/// A path beside `dir`, without `.` and `..`.
fn join(dir: &str, path: &str) -> String {
    let whole = if path.starts_with('/') || dir.is_empty() {
        path.to_owned()
    } else {
        format!("{dir}/{path}")
    };
    match clean(&whole) {
        path if path == "." => String::new(),
        path => path,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_are_joined() {
        for (dir, path, joined) in [
            ("", "a.yaml", "a.yaml"),
            ("x/y", "../a.yaml", "x/a.yaml"),
            ("x", "/a/./b.yaml", "/a/b.yaml"),
            ("/", "a", "/a"),
            (".", "../../a", "../../a"),
            ("/x", "../../a", "/a"),
        ] {
            assert_eq!(super::join(dir, path), joined);
        }
    }
}
