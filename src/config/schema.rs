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
    let mut root = table(&keys::FILE);
    let mut definitions = Map::new();
    for kind in StageKind::NAMES {
        if let (Some(stage), Some(change)) = (keys::stage(kind), keys::stage_override(kind)) {
            let mut schema = table(stage);
            schema["properties"]["kind"] = json!({
                "const": kind,
                "description": "How it is done; not needed where the stage's name is a kind.",
            });
            schema["properties"]["overrides"]["items"] = reference(&format!("{kind}-override"));
            definitions.insert((*kind).to_owned(), schema);
            let mut change = table(change);
            change["required"] = json!(["when"]);
            definitions.insert(format!("{kind}-override"), change);
        }
    }
    definitions.insert("stage".to_owned(), any_stage());
    let mut object = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "builds.toml",
        "description": "A project of forge: the stages that make virtual-machine images.",
    });
    merge(&mut object, root.take());
    object["definitions"] = Value::Object(definitions);
    object
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

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

fn provider() -> Value {
    json!({
        "type": "object",
        "properties": { "type": { "enum": keys::PROVIDERS } },
        "required": ["type"],
        "if": { "properties": { "type": { "const": "vsphere" } } },
        "then": table(&keys::VSPHERE),
        "else": table(&keys::QEMU),
    })
}

fn table(keys: &Keys) -> Value {
    let properties = keys.iter().map(|key| {
        let mut schema = of(&key.shape);
        if let Value::Object(object) = &mut schema {
            object.insert("description".to_owned(), key.doc.into());
        }
        (key.name.to_owned(), schema)
    });
    json!({
        "type": "object",
        "properties": properties.collect::<Map<_, _>>(),
        "additionalProperties": false,
    })
}

/// A value, or a template that gives it.
fn or_template(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": TEMPLATE }] })
}

fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Text | Shape::Size | Shape::Duration => json!({ "type": "string" }),
        Shape::Name => json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" }),
        Shape::Bool => or_template(&json!({ "type": "boolean" })),
        Shape::Int(min, max) if *max == i64::MAX => {
            or_template(&json!({ "type": "integer", "minimum": min }))
        }
        Shape::Int(min, max) => {
            or_template(&json!({ "type": "integer", "minimum": min, "maximum": max }))
        }
        Shape::Word(words) => or_template(&json!({ "enum": words })),
        Shape::List(inner) => or_template(&json!({ "type": "array", "items": of(inner) })),
        Shape::OneOrMany(inner) => {
            json!({ "anyOf": [of(inner), { "type": "array", "items": of(inner) }] })
        }
        Shape::Map(Shape::Stage) => stages(),
        Shape::Map(inner) => json!({ "type": "object", "additionalProperties": of(inner) }),
        Shape::Keys(keys) => table(keys),
        Shape::Either(a, b) => json!({ "anyOf": [of(a), of(b)] }),
        Shape::Any => json!({}),
        Shape::Provider => provider(),
        Shape::Stage => reference("stage"),
    }
}
