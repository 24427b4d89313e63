//! What all of loading shares: the files read so far, the faults found so far, compiled templates.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::rc::Rc;

use crate::diag::{Diagnostic, Diagnostics, FileId, SourceMap, Span};

use super::World;
use super::template::{Fault, Templates};
use super::tree::{self, Node, Table, offset_in_literal, parse_value};

/// A text file that has been read.
#[derive(Clone)]
pub(super) struct TextFile {
    pub(super) id: FileId,
    pub(super) text: Rc<str>,
}

/// The state of loading a project.
pub(super) struct Loader<'w> {
    pub(super) root: &'w Path,
    pub(super) world: &'w dyn World,
    pub(super) templates: Templates,
    pub(super) sources: RefCell<SourceMap>,
    faults: RefCell<Diagnostics>,
    files: RefCell<HashMap<String, Option<TextFile>>>,
}

impl<'w> Loader<'w> {
    pub(super) fn new(root: &'w Path, world: &'w dyn World) -> Self {
        Self {
            root,
            world,
            templates: Templates::default(),
            sources: RefCell::default(),
            faults: RefCell::default(),
            files: RefCell::default(),
        }
    }

    pub(super) fn push(&self, fault: Diagnostic) {
        self.faults.borrow_mut().push(fault);
    }

    /// How many errors there are so far.
    pub(super) fn errors(&self) -> usize {
        self.faults.borrow().counts().0
    }

    /// Runs what collects faults itself.
    pub(super) fn with_faults(&self, collect: impl FnOnce(&mut Diagnostics)) {
        collect(&mut self.faults.borrow_mut());
    }

    pub(super) fn add_source(&self, name: &str, text: &str) -> FileId {
        self.sources.borrow_mut().add(name, text)
    }

    /// Reads a file of the project, once; `Ok(None)`: it is not text.
    pub(super) fn text_file(&self, path: &str) -> io::Result<Option<TextFile>> {
        if let Some(known) = self.files.borrow().get(path) {
            return Ok(known.clone());
        }
        let bytes = self.world.read(&self.root.join(path))?;
        let file = String::from_utf8(bytes).ok().map(|text| TextFile {
            id: self.add_source(path, &text),
            text: text.into(),
        });
        self.files
            .borrow_mut()
            .insert(path.to_owned(), file.clone());
        Ok(file)
    }

    /// Takes faults that point into files of their own: each file becomes one of this project's.
    pub(super) fn adopt(&self, faults: &Diagnostics) {
        for fault in faults.iter() {
            let mut fault = fault.clone();
            for label in &mut fault.labels {
                let span = label.span;
                let Some(source) = faults.sources.get(span.file) else {
                    continue;
                };
                let known = self.files.borrow().get(&source.name).cloned().flatten();
                let known = known.map_or_else(
                    || self.add_source(&source.name, &source.text),
                    |file| file.id,
                );
                label.span = Span::new(known, span.start..span.end);
            }
            self.push(fault);
        }
    }

    /// A TOML file of the project, and whether all of it could be read; none if it is no text. Faults are reported.
    pub(super) fn toml_file(&self, what: &str, path: &str, span: Span) -> Option<(Table, bool)> {
        let file = match self.text_file(path) {
            Ok(Some(file)) => file,
            Ok(None) => {
                let message = format!("`{path}` is not UTF-8 text");
                self.push(Diagnostic::error("toml", message).label(span, ""));
                return None;
            }
            Err(error) => {
                self.push(unreadable(what, path, &error, span));
                return None;
            }
        };
        let (table, faults) = tree::parse(file.id, &file.text);
        let whole = faults.is_empty();
        faults.into_iter().for_each(|fault| self.push(fault));
        Some((table, whole))
    }

    /// Takes the faults of a template, placed where `node` is written. Those without a code follow from others.
    pub(super) fn template_faults(&self, node: &Node, faults: &[Fault]) {
        for fault in faults.iter().filter(|fault| !fault.code.is_empty()) {
            self.push(self.template_fault(node, fault));
        }
    }

    /// The fault of a template, placed in the file that the string `node` is written in.
    fn template_fault(&self, node: &Node, fault: &Fault) -> Diagnostic {
        let sources = self.sources.borrow();
        let raw = sources.text(node.span);
        // a string that values were put into is no longer as it is written
        let written = parse_value(node.span.file, raw);
        if written.as_ref().and_then(Node::as_text) != node.as_text() {
            return fault.at(node.span);
        }
        let place = |at| node.span.start + offset_in_literal(raw, at);
        let end = place(fault.range.end).max(place(fault.range.start));
        let span = Span::new(node.span.file, place(fault.range.start)..end);
        fault.at(span)
    }

    /// `file:line` of a span.
    pub(super) fn place(&self, span: Span) -> String {
        self.sources.borrow().place(span)
    }

    /// All faults, with the texts that they point into.
    pub(super) fn finish(self) -> Diagnostics {
        let mut faults = self.faults.into_inner();
        faults.sources = std::sync::Arc::new(self.sources.into_inner());
        faults.sort();
        faults
    }
}

impl Fault {
    /// The fault as a diagnostic at `span`.
    pub(super) fn at(&self, span: Span) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(self.code, self.message.clone()).label(span, "");
        diagnostic.help.clone_from(&self.help);
        diagnostic
    }
}

/// The fault of a file that could not be read.
pub(super) fn unreadable(what: &str, path: &str, error: &io::Error, span: Span) -> Diagnostic {
    let why = if error.kind() == io::ErrorKind::NotFound {
        "does not exist".to_owned()
    } else {
        format!("cannot be read: {error}")
    };
    Diagnostic::error("missing-file", format!("{what} `{path}` {why}")).label(span, "")
}
