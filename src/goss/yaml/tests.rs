use proptest::prelude::*;

use super::*;
use crate::diag::SourceMap;
use crate::goss::Value;

fn node(text: &str, syntax: Syntax) -> Result<Node, Diagnostic> {
    let file = SourceMap::default().add("test", text);
    parse(file, text, syntax)
}

fn yaml(text: &str) -> Value {
    node(text, Syntax::Yaml).unwrap().to_value()
}

fn message(text: &str, syntax: Syntax) -> String {
    node(text, syntax).unwrap_err().message
}

#[test]
fn plain_scalars_mean_what_goss_takes_them_for() {
    let cases = [
        ("0644", Value::Int(420)),
        ("0o644", Value::Int(420)),
        ("0x1F", Value::Int(31)),
        ("-0b11", Value::Int(-3)),
        ("1_000", Value::Int(1000)),
        ("+5", Value::Int(5)),
        ("08", Value::Float(8.0)),
        ("1.5e3", Value::Float(1500.0)),
        (".5", Value::Float(0.5)),
        ("1.", Value::Float(1.0)),
        (".inf", Value::Float(f64::INFINITY)),
        (
            "18446744073709551615",
            Value::Float(18_446_744_073_709_551_615.0),
        ),
        ("yes", "yes".into()),
        ("no", "no".into()),
        ("on", "on".into()),
        ("~", Value::Null),
        ("", Value::Null),
        ("True", Value::Bool(true)),
        ("tRue", "tRue".into()),
        ("1.2.3", "1.2.3".into()),
        ("1e", "1e".into()),
        ("0x", "0x".into()),
        ("-", Value::List(vec![Value::Null])),
        ("'5'", "5".into()),
        ("\"5\"", "5".into()),
        ("!!str 5", "5".into()),
        ("!!int '5'", Value::Int(5)),
        ("!!float 5", Value::Float(5.0)),
        ("!!binary aGk=", "hi".into()),
        ("|\n  a\n  b\n", "a\nb\n".into()),
    ];
    for (text, value) in cases {
        assert_eq!(yaml(text), value, "{text:?}");
    }
    assert_eq!(
        message("!!int x", Syntax::Yaml),
        "`x` is not what its tag says"
    );
}

#[test]
fn anchors_and_merges_are_resolved() {
    let text = "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\none: {<<: *b, x: 5}\ntwo: {<<: [*b, *m]}\nalias: *b\n";
    let Value::Map(map) = yaml(text) else {
        panic!("no map");
    };
    assert_eq!(map["one"].to_string(), "map[x:5 y:2]");
    assert_eq!(map["two"].to_string(), "map[x:1 y:2 z:4]");
    assert_eq!(map["alias"], map["base"]);
}

#[test]
fn what_cannot_be_read_is_told() {
    let yaml = |text: &str| message(text, Syntax::Yaml);
    assert_eq!(yaml("a: 1\na: 2"), "`a` stands here twice");
    assert_eq!(yaml("<<: 5"), "`<<` takes a map");
    assert_eq!(yaml("[a]: 5"), "a key must be a word");
    assert_eq!(yaml("a: &x [*x]"), "this anchor is not complete here");
    assert_eq!(yaml(&"[".repeat(99)), "the values are nested too deeply");
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let before = level - 1;
        let all = vec![format!("*a{before}"); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{all}]\n"));
    }
    assert_eq!(yaml(&laughs), "the document has too many values");
    let json = |text: &str| message(text, Syntax::Json);
    assert_eq!(json("{a: 1}"), "expected a key in quotes, found `a`");
    assert_eq!(json("[1 2]"), "expected `,` or `]`, found `2`");
    assert_eq!(json("{\"a\": 1 \"b\"}"), "expected `,` or `}`, found `\"`");
    assert_eq!(json("{\"a\" 1}"), "expected `:`, found `1`");
    assert_eq!(json("[1] x"), "expected the end of the text, found `x`");
    assert_eq!(json("\"a"), "this string has no end");
    assert_eq!(json("\"\\q\""), "this string is not JSON");
    assert_eq!(json("yes"), "expected a value, found `y`");
    assert_eq!(json(""), "expected a value, found the end of the text");
    assert_eq!(json(&"[".repeat(99)), "the values are nested too deeply");
}

#[test]
fn json_has_only_floats_and_the_last_of_equal_keys() {
    let value = node(
        "{\"a\": 1, \"b\": [true, null, \"x\\u0041\"], \"a\": 2}",
        Syntax::Json,
    )
    .unwrap();
    assert_eq!(value.to_value().to_string(), "map[a:2 b:[true <nil> xA]]");
    let Kind::Map(entries) = &value.kind else {
        panic!("no map");
    };
    assert_eq!(entries[1].node.to_value(), Value::Float(2.0));
    assert_eq!(
        (entries[0].key_span.start, entries[0].key_span.end),
        (9, 12)
    );
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        (-1000i32..1000).prop_map(|number| serde_json::Value::from(f64::from(number))),
        "\\PC{0,8}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_reads_back(value in json_value()) {
        let expected = Value::from(value.clone());
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            prop_assert_eq!(node(&text, Syntax::Json).unwrap().to_value(), expected.clone());
        }
    }

    #[test]
    fn no_text_panics(text in "[-a-b0-9:{}\\[\\],&*!|>'\"#%@~ \n\té.]{0,40}") {
        let _ = node(&text, Syntax::Yaml);
        let _ = node(&text, Syntax::Json);
    }

    #[test]
    fn no_bytes_panic(text in "\\PC{0,60}") {
        let _ = node(&text, Syntax::Yaml);
        let _ = node(&text, Syntax::Json);
    }
}
