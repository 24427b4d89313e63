//! What goss and forge are asked about things, attribute by attribute, true and false; and whether both say the same.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// An attribute, a matcher that holds for most, and one that holds for nothing.
type Attribute = (&'static str, Value, Value);

/// What is asked about things of a kind: the attribute that names one, the required attribute, and all.
struct Kind {
    name: &'static str,
    required: &'static str,
    attributes: Vec<Attribute>,
}

fn any() -> Value {
    json!({"match-regexp": "(?s).*"})
}
fn number() -> (Value, Value) {
    (json!({"ge": -1}), json!({"lt": -5}))
}
fn texts(names: &[&'static str]) -> Vec<Attribute> {
    names
        .iter()
        .map(|name| (*name, any(), json!("no such value")))
        .collect()
}
fn numbers(names: &[&'static str]) -> Vec<Attribute> {
    names
        .iter()
        .map(|name| (*name, number().0, number().1))
        .collect()
}
fn lists(names: &[&'static str]) -> Vec<Attribute> {
    names
        .iter()
        .map(|name| {
            (
                *name,
                json!({"not": {"have-len": 99}}),
                json!({"have-len": 99}),
            )
        })
        .collect()
}
fn flag(name: &'static str) -> Vec<Attribute> {
    vec![(name, json!(true), json!(false))]
}

fn streams(names: &[&'static str]) -> Vec<Attribute> {
    let good = json!({"not": {"contain-substring": "no such line"}});
    let bad = json!({"have-patterns": ["no such line"]});
    names
        .iter()
        .map(|name| (*name, good.clone(), bad.clone()))
        .collect()
}

fn kind(name: &'static str, required: &'static str, attributes: &[Vec<Attribute>]) -> Kind {
    Kind {
        name,
        required,
        attributes: attributes.concat(),
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn asked(of: &str) -> Kind {
    let flagged = |name, required| kind(name, required, &[flag(required)]);
    match of {
        "file" => kind(
            "path",
            "exists",
            &[
                flag("exists"),
                texts(&[
                    "mode",
                    "owner",
                    "group",
                    "filetype",
                    "linked-to",
                    "md5",
                    "sha256",
                    "sha512",
                ]),
                numbers(&["size", "uid", "gid"]),
                streams(&["contents"]),
            ],
        ),
        "user" => kind(
            "username",
            "exists",
            &[
                flag("exists"),
                numbers(&["uid", "gid"]),
                texts(&["home", "shell"]),
                lists(&["groups"]),
            ],
        ),
        "group" => kind("groupname", "exists", &[flag("exists"), numbers(&["gid"])]),
        "package" => kind(
            "name",
            "installed",
            &[flag("installed"), lists(&["versions"])],
        ),
        "service" => kind(
            "name",
            "running",
            &[flag("running"), flag("enabled"), lists(&["runlevels"])],
        ),
        "process" => flagged("comm", "running"),
        "port" => kind("port", "listening", &[flag("listening"), lists(&["ip"])]),
        "kernel-param" => kind("name", "value", &[texts(&["value"])]),
        "mount" => kind(
            "mountpoint",
            "exists",
            &[
                flag("exists"),
                lists(&["opts", "vfs-opts"]),
                texts(&["source", "filesystem"]),
                numbers(&["usage"]),
            ],
        ),
        "interface" => kind(
            "name",
            "exists",
            &[flag("exists"), lists(&["addrs"]), numbers(&["mtu"])],
        ),
        "addr" => flagged("address", "reachable"),
        "command" => kind(
            "exec",
            "exit-status",
            &[numbers(&["exit-status"]), streams(&["stdout", "stderr"])],
        ),
        "http" => kind(
            "url",
            "status",
            &[numbers(&["status"]), streams(&["headers", "body"])],
        ),
        "dns" => kind(
            "resolve",
            "resolvable",
            &[flag("resolvable"), lists(&["addrs"])],
        ),
        other => panic!("nothing is asked about {other}"),
    }
}

/// A gossfile under construction.
#[derive(Default)]
pub(crate) struct Matrix {
    all: BTreeMap<&'static str, Map<String, Value>>,
    count: u32,
}

impl Matrix {
    /// Every attribute of this thing, with a matcher that holds and one that does not.
    pub(crate) fn add(&mut self, kind: &'static str, thing: &str) {
        self.add_with(kind, thing, &json!({}));
    }

    /// The same, asked as `more` says.
    pub(crate) fn add_with(&mut self, kind: &'static str, thing: &str, more: &Value) {
        let Kind {
            name,
            required,
            attributes,
        } = asked(kind);
        let holds = attributes
            .iter()
            .find(|(name, ..)| *name == required)
            .map(|(_, good, _)| good.clone());
        let holds = holds.unwrap();
        for (attribute, good, bad) in &attributes {
            for matcher in [good, bad] {
                self.count += 1;
                let mut body = Map::new();
                body.insert(name.into(), json!(thing));
                body.extend(more.as_object().cloned().unwrap_or_default());
                body.insert(required.into(), holds.clone());
                body.insert((*attribute).into(), matcher.clone());
                let of = self.all.entry(kind).or_default();
                of.insert(format!("{:04}", self.count), Value::Object(body));
            }
        }
    }

    /// The gossfile, in JSON.
    pub(crate) fn text(&self) -> String {
        json!(self.all).to_string()
    }
}

/// A result without what time and words of errors decide.
fn essence(result: &Value) -> Value {
    // Go tells bytes that are no text from the replacement character itself
    let text = result.to_string().replace("\\\\ufffd", "\u{fffd}");
    let mut result: Value = serde_json::from_str(&text).unwrap();
    let fields = result.as_object_mut().unwrap();
    for name in ["start-time", "end-time", "duration"] {
        fields.remove(name);
    }
    // goss shows no list where it has none
    if fields["property"] == "runlevels" && fields["matcher-result"]["actual"].is_null() {
        fields["matcher-result"]["actual"] = json!([]);
        for line in ["summary-line", "summary-line-compact"] {
            let text = fields[line].as_str().unwrap_or_default();
            let text = text.replace("Expected\n    null", "Expected\n    []");
            fields[line] = json!(text.replace("Expected null", "Expected []"));
        }
    }
    if !fields["err"].is_null() {
        // the reason is the system's, in its own words
        fields.insert("err".into(), json!("an error"));
        for name in ["matcher-result", "summary-line", "summary-line-compact"] {
            fields.remove(name);
        }
    }
    result
}
fn by_place(report: &str) -> BTreeMap<String, Value> {
    let report: Value = serde_json::from_str(report).unwrap_or_else(|e| panic!("{e}: {report}"));
    let results = report["results"].as_array().unwrap();
    let place = |result: &Value| {
        format!(
            "{} {} {}",
            result["resource-type"], result["resource-id"], result["property"]
        )
    };
    results
        .iter()
        .map(|result| (place(result), result.clone()))
        .collect()
}
/// What differs on purpose, each with its reason in docs/goss.md.
fn differs(goss: &Value) -> bool {
    let text = |name: &str| goss[name].as_str().unwrap_or_default().to_owned();
    // goss counts what has no blocks as the smallest of all numbers
    text("resource-type") == "Mount"
        && text("property") == "usage"
        && goss["matcher-result"]["actual"]
            .as_f64()
            .is_some_and(|usage| usage < -1e18)
}

/// Holds forge's report (JSON) to goss's; how many results there are.
pub(crate) fn agree(theirs: &str, ours: &str) -> usize {
    let (theirs, ours) = (by_place(theirs), by_place(ours));
    let other: Vec<String> = theirs
        .iter()
        .filter(|(_, result)| !differs(result))
        .filter_map(|(place, result)| {
            let own = ours.get(place).map(essence);
            let goss = essence(result);
            (own.as_ref() != Some(&goss)).then(|| {
                format!(
                    "{place}\n  goss:  {result}\n  forge: {}",
                    ours.get(place).unwrap_or(&Value::Null)
                )
            })
        })
        .collect();
    assert!(
        other.is_empty(),
        "{} of {} differ:\n{}",
        other.len(),
        theirs.len(),
        other.join("\n")
    );
    assert_eq!(theirs.len(), ours.len());
    theirs.len()
}
