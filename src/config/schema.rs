//! The JSON Schema of `builds.toml`, made from the tables that the reader uses.

use serde_json::{Map, Value, json};

use crate::model::StageKind;

use super::keys;
use super::shape::{Keys, Shape};

/// What a string looks like that is rendered before it is read.
const TEMPLATE: &str = r"\{\{|\{%";

/// The JSON Schema of `builds.toml`.
#[must_use]
pub fn schema() -> Value {
    let mut definitions = Definitions::default();
    let root = definitions.table(&keys::FILE);
    for kind in StageKind::NAMES {
        definitions.stage(kind);
    }
    definitions.0.insert("stage".to_owned(), any_stage());
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "builds.toml",
        "description": "A project of forge: the stages that make virtual-machine images.",
    });
    if let (Value::Object(schema), Value::Object(root)) = (&mut schema, root) {
        schema.extend(root);
    }
    definitions.0.sort_keys();
    schema["definitions"] = Value::Object(definitions.0);
    schema
}

/// The schemas of tables, each once.
#[derive(Default)]
struct Definitions(Map<String, Value>);

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

/// A stage whose name is no kind: `kind` tells which one it is.
fn any_stage() -> Value {
    let by_kind = StageKind::NAMES.iter().map(|kind| {
        json!({
            "if": { "properties": { "kind": { "const": kind } } },
            "then": reference(kind),
        })
    });
    json!({
        "type": "object",
        "properties": { "kind": { "enum": StageKind::NAMES } },
        "required": ["kind"],
        "allOf": by_kind.collect::<Vec<_>>(),
    })
}

/// `[stages]`: those that are named after a kind need not say it.
fn stages() -> Value {
    let named = StageKind::NAMES.iter().map(|kind| {
        let schema = json!({
            "if": { "required": ["kind"] },
            "then": reference("stage"),
            "else": reference(kind),
        });
        ((*kind).to_owned(), schema)
    });
    json!({
        "type": "object",
        "properties": named.collect::<Map<_, _>>(),
        "additionalProperties": reference("stage"),
    })
}

/// A value, or a template that gives it.
fn or_template(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": TEMPLATE }] })
}

impl Definitions {
    fn stage(&mut self, kind: &str) {
        let (Some(stage), Some(change)) = (keys::stage(kind), keys::stage_override(kind)) else {
            return;
        };
        let mut schema = self.table(stage);
        schema["properties"]["kind"] = json!({
            "const": kind,
            "description": "How it is done; not needed where the stage's name is a kind.",
        });
        schema["properties"]["overrides"] = json!({
            "type": "array",
            "items": reference(&format!("{kind}-override")),
            "description": stage.find("overrides").map_or("", |key| key.doc),
        });
        self.0.insert(kind.to_owned(), schema);
        let mut change = self.table(change);
        change["required"] = json!(["when"]);
        self.0.insert(format!("{kind}-override"), change);
    }

    fn table(&mut self, keys: &Keys) -> Value {
        let properties: Map<String, Value> = keys
            .iter()
            .map(|key| {
                // beside a reference a description does not count in this draft: it goes around it
                let mut schema = match self.of(&key.shape) {
                    Value::Object(object) if object.contains_key("$ref") => {
                        json!({ "allOf": [object] })
                    }
                    schema => schema,
                };
                schema["description"] = key.doc.into();
                (key.name.to_owned(), schema)
            })
            .collect();
        json!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        })
    }

    fn named(&mut self, keys: &'static Keys) -> Value {
        let name: String = keys.what.chars().filter(|c| !"`[]".contains(*c)).collect();
        let name = name.replace(' ', "-");
        if !self.0.contains_key(&name) {
            self.0.insert(name.clone(), Value::Null);
            let table = self.table(keys);
            self.0.insert(name.clone(), table);
        }
        reference(&name)
    }

    fn provider(&mut self) -> Value {
        json!({
            "type": "object",
            "properties": { "type": { "enum": keys::PROVIDERS } },
            "required": ["type"],
            "if": { "properties": { "type": { "const": "vsphere" } } },
            "then": self.named(&keys::VSPHERE),
            "else": self.named(&keys::QEMU),
        })
    }

    fn of(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Text | Shape::Size | Shape::Duration => json!({ "type": "string" }),
            Shape::Name => {
                json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" })
            }
            Shape::Bool => or_template(&json!({ "type": "boolean" })),
            Shape::Int(min, max) if *max == i64::MAX => {
                or_template(&json!({ "type": "integer", "minimum": min }))
            }
            Shape::Int(min, max) => {
                or_template(&json!({ "type": "integer", "minimum": min, "maximum": max }))
            }
            Shape::Word(words) => or_template(&json!({ "enum": words })),
            Shape::List(inner) => or_template(&json!({ "type": "array", "items": self.of(inner) })),
            Shape::OneOrMany(inner) => {
                let one = self.of(inner);
                json!({ "anyOf": [one, { "type": "array", "items": one }] })
            }
            Shape::Map(Shape::Stage) => stages(),
            Shape::Map(inner) => {
                json!({ "type": "object", "additionalProperties": self.of(inner) })
            }
            Shape::Keys(keys) => self.named(keys),
            Shape::Either(a, b) => json!({ "anyOf": [self.of(a), self.of(b)] }),
            Shape::Any => json!({}),
            Shape::Provider => self.provider(),
            Shape::Stage => reference("stage"),
        }
    }
}
