//! The JSON schema says what the reader says.

use serde_json::Value;

use super::support::FakeWorld;
use crate::config::schema;

fn json(text: &str) -> Value {
    toml::from_str(text).unwrap()
}

#[test]
fn good_samples_are_accepted() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for text in [
        "",
        "version = 1\ndefault = \"a\"\n[stages.a]\nkind = \"command\"\nrun = [\"a\", \"b\"]\nretries = \"{{ x.y }}\"\n",
        "[machine]\ncpus = \"{{ common.cpus }}\"\nmemory = \"4GiB\"\ndisks = \"{{ common.disks }}\"\n",
        "[stages.clone]\nfrom = \"x\"\n[stages.clone.ssh]\nuser = \"u\"\n",
        "[stages.iso-base]\niso = { url = \"x\" }\n[[stages.iso-base.overrides]]\nwhen = { os = [\"a\"] }\niso = { url = \"y\" }\n",
        "[stages.provision]\n[[stages.provision.steps]]\nreboot = true\nonly = { os = \"a\" }\n[[stages.provision.steps]]\nshell = { inline = \"x\" }\n",
        "[stages.verify]\nkind = \"command\"\nrun = \"true\"\n",
        "[providers.a]\ntype = \"vsphere\"\nserver = \"x\"\n[stages.pack-ova]\nproperties = { a = \"b\", c = { value = \"d\" } }\n",
    ] {
        let faults: Vec<String> = validator
            .iter_errors(&json(text))
            .map(|e| e.to_string())
            .collect();
        assert_eq!(faults, [""; 0], "{text}");
    }
}

#[test]
fn what_the_reader_rejects_the_schema_rejects() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for text in [
        "verison = 1\n",
        "version = 2\n",
        "[machine]\ncpu = 1\n",
        "[machine]\nfirmware = \"uefi\"\n",
        "[machine]\ndisks = [{ sise = \"1GiB\" }]\n",
        "[stages.x]\nrun = \"true\"\n",
        "[stages.x]\nkind = \"comand\"\n",
        "[stages.x]\nkind = \"command\"\nrun = \"true\"\niso = { url = \"x\" }\n",
        "[stages.export]\nfrom = \"x\"\nrun = \"true\"\n",
        "[stages.x]\nkind = \"command\"\nrun = \"true\"\n[[stages.x.overrides]]\nrun = \"false\"\n",
        "[providers.a]\ntype = \"qemu\"\nserver = \"x\"\n",
        "[providers.a]\n",
        "[stages.clone]\nfrom = \"a b\"\n",
        "[scopes.a]\nfiel = \"x\"\n",
    ] {
        assert!(!validator.is_valid(&json(text)), "{text}");
        assert!(FakeWorld::new(text).load().is_err(), "{text}");
    }
}

#[test]
fn every_key_is_described() {
    fn walk(value: &Value, path: &str) {
        if let Some(properties) = value.get("properties").and_then(Value::as_object) {
            for (name, schema) in properties {
                let is_shortcut = path.ends_with("/if")
                    || schema.get("if").is_some()
                    || (name == "kind" || name == "type") && schema.get("enum").is_some();
                let doc = schema
                    .get("description")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                assert!(is_shortcut || doc.ends_with('.'), "{path}/{name}: {doc}");
            }
        }
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    let path = format!("{path}/{key}");
                    match value
                        .as_object()
                        .filter(|_| key == "properties" || key == "definitions")
                    {
                        Some(named) => named
                            .iter()
                            .for_each(|(name, value)| walk(value, &format!("{path}/{name}"))),
                        None => walk(value, &path),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, path)),
            _ => {}
        }
    }
    walk(&schema(), "");
}
