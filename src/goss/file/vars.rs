//! Variables for templates.

use std::collections::BTreeMap;

use crate::diag::{Diagnostic, Diagnostics, SourceMap};
use crate::goss::Value;
use crate::goss::yaml;

/// What `.Vars` is. Files are merged deeply, later ones win; inline ones replace whole entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vars {
    map: BTreeMap<String, Value>,
}

impl Vars {
    /// Without any.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Merges a file of YAML or JSON; `name` is what people call it.
    pub fn file(&mut self, name: &str, text: &str) -> Result<(), Box<Diagnostics>> {
        for (key, value) in read(name, text)? {
            merge(&mut self.map, key, value);
        }
        Ok(())
    }

    /// Sets variables from YAML or JSON that stands elsewhere: on the command line, in a stage.
    pub fn inline(&mut self, name: &str, text: &str) -> Result<(), Box<Diagnostics>> {
        self.map.extend(read(name, text)?);
        Ok(())
    }

    /// Sets variables.
    pub fn set(&mut self, map: BTreeMap<String, Value>) {
        self.map.extend(map);
    }

    pub(super) fn to_value(&self) -> Value {
        Value::Map(self.map.clone())
    }
}

fn read(name: &str, text: &str) -> Result<BTreeMap<String, Value>, Box<Diagnostics>> {
    let mut sources = SourceMap::default();
    let file = sources.add(name, text);
    let fault = match yaml::sniff(file, text) {
        Ok(node) => match node.to_value() {
            Value::Map(map) => return Ok(map),
            Value::Null => return Ok(BTreeMap::new()),
            _ => {
                let message = format!("expected variables by name, found {}", node.what());
                Diagnostic::error("wrong-type", message).label(node.span, "")
            }
        },
        Err(fault) => fault,
    };
    let mut faults = Diagnostics::default();
    faults.push(fault);
    faults.sources = sources.into();
    Err(Box::new(faults))
}

fn merge(map: &mut BTreeMap<String, Value>, key: String, value: Value) {
    match (map.get_mut(&key), value) {
        (Some(Value::Map(old)), Value::Map(new)) => {
            for (key, value) in new {
                merge(old, key, value);
            }
        }
        (_, value) => {
            map.insert(key, value);
        }
    }
}
