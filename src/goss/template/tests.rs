use proptest::prelude::*;

use super::*;

struct Small;

impl World for Small {
    fn env(&self, name: &str) -> Option<String> {
        (name == "A").then(|| "b".to_owned())
    }

    fn environment(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("A".to_owned(), "b".to_owned())])
    }

    fn read_file(&self, _: &str) -> Result<Vec<u8>, String> {
        Err("there is no such file".into())
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

fn rendered(text: &str) -> Result<String, Fault> {
    let list = Value::List(vec!["a".into(), Value::Int(2)]);
    let vars = Value::Map([("name".to_owned(), "web".into()), ("list".to_owned(), list)].into());
    render(text, &vars, &Small)
}

const FAULTS: &[(&str, (usize, usize), &str)] = &[
    ("a {{ .Vars.nam }}", (5, 14), "there is no entry `nam`"),
    ("{{ if true }}", (3, 5), "this `if` has no `end`"),
    (
        "x{{ end }}",
        (4, 7),
        "unexpected `end`: nothing is open here",
    ),
    (
        "{{ if 1 }}{{ else }}{{ else }}{{ end }}",
        (23, 27),
        "a second `else`",
    ),
    ("{{ .Vars.name", (0, 2), "this action has no end"),
    ("{{/* x", (0, 4), "this comment has no end"),
    (
        "{{/* x */ 5 }}",
        (0, 9),
        "a comment must be all that stands between `{{` and `}}`",
    ),
    ("{{ \"x }}", (3, 4), "this string has no end"),
    ("{{ `x }}", (3, 4), "this raw string has no end"),
    ("{{ \"\\q\" }}", (4, 6), "Go knows no such escape"),
    (
        "{{ 'ab' }}",
        (3, 4),
        "a character stands alone between its quotes",
    ),
    ("{{ 1x }}", (3, 5), "`1x` is not a number"),
    ("{{ ? }}", (3, 4), "unexpected `?` in an action"),
    ("{{ a\"b\" }}", (4, 5), "unexpected `\"` in an action"),
    ("{{ $x }}", (3, 5), "there is no variable `$x` here"),
    ("{{ $x = 1 }}", (3, 5), "there is no variable `$x` here"),
    ("{{ upr 1 }}", (3, 6), "there is no function `upr`"),
    (
        "{{ randInt 1 2 }}",
        (3, 10),
        "`randInt` gives another result at each run, which a check must not",
    ),
    (
        "{{ }}",
        (3, 5),
        "expected a value, found the end of the action",
    ),
    (
        "{{ (1 }}",
        (6, 8),
        "expected `)`, found the end of the action",
    ),
    (
        "{{ 1 | 2 }}",
        (7, 8),
        "a value cannot take the result of what stands before it",
    ),
    ("{{ 1 2 }}", (5, 6), "only a function takes arguments"),
    (
        "{{ 1 | .Vars.name }}",
        (7, 17),
        "only a function takes the result of what stands before it",
    ),
    (
        "{{ template 5 }}",
        (12, 13),
        "expected a name in quotes, found `5`",
    ),
    ("{{ template \"t\" }}", (3, 11), "there is no template `t`"),
    ("{{ break }}", (3, 8), "`break` stands in no `range`"),
    (
        "{{ if 1 }}{{ define \"t\" }}{{ end }}{{ end }}",
        (13, 19),
        "`define` must not stand within another block",
    ),
    ("{{ define \"t\" }}", (3, 9), "this block has no `end`"),
    (
        "{{ range $a, b := 1 }}{{ end }}",
        (13, 14),
        "expected a second variable, found `b`",
    ),
    (
        "{{ range $a, $b 1 }}{{ end }}",
        (16, 17),
        "expected `:=`, found `1`",
    ),
    (
        "{{ range 1.5 }}{{ end }}",
        (9, 12),
        "`range` cannot go through 1.5 (float64)",
    ),
    (
        "{{ range . }}{{ end }}",
        (9, 10),
        "`range` cannot go through goss's own data",
    ),
    ("{{ .Nope }}", (3, 8), "there is no `.Nope`"),
    ("{{ .Vars.name.x }}", (3, 15), "a string has no field `x`"),
    (
        "{{ (index .Vars.list 1).x }}",
        (3, 25),
        "a int has no field `x`",
    ),
    ("{{ nil.x }}", (3, 6), "a constant has no fields"),
    (
        "{{ upper 5 }}",
        (3, 10),
        "`upper`: argument 1 must be a string, not 5 (int)",
    ),
    (
        "{{ upper }}",
        (3, 8),
        "`upper`: takes 1 arguments, 0 are given",
    ),
    (
        "{{ index .Vars.list 9 }}",
        (3, 21),
        "`index`: there is no element 9",
    ),
    (
        "{{ readFile \"x\" }}",
        (3, 15),
        "`readFile`: there is no such file",
    ),
    ("{{ fail \"why\" }}", (3, 13), "`fail`: why"),
    ("{{ and }}", (3, 6), "`and` takes at least one argument"),
];

#[test]
fn faults_have_their_place() {
    for (text, at, message) in FAULTS {
        let fault = rendered(text).unwrap_err();
        assert_eq!(
            (&fault.at, fault.message.as_str()),
            (at, *message),
            "{text}"
        );
    }
    assert_eq!(
        rendered("{{ uper 1 }}").unwrap_err().help.unwrap(),
        "did you mean `upper`?"
    );
    assert_eq!(
        rendered("{{ $name := 1 }}{{ $nam }}")
            .unwrap_err()
            .help
            .unwrap(),
        "did you mean `$name`?"
    );
}

#[test]
fn what_would_never_end_ends() {
    let endless = [
        "{{ define \"t\" }}{{ template \"t\" }}{{ end }}{{ template \"t\" }}",
        "{{ range 9000000000 }}x{{ end }}",
        "{{ range 3000 }}{{ range 3000 }}x{{ end }}{{ end }}",
        "{{ repeat 900000000 \"x\" }}",
        "{{ until 900000000 }}",
        "{{ indent 900000000 \"x\" }}",
    ];
    for text in endless {
        assert!(rendered(text).is_err(), "{text}");
    }
    let deep = format!("{}1{}", "{{ if 1 }}".repeat(500), "{{ end }}".repeat(500));
    assert_eq!(
        rendered(&deep).unwrap_err().message,
        "blocks are nested too deeply"
    );
    let parentheses = format!("{{{{ {}1{} }}}}", "(".repeat(500), ")".repeat(500));
    assert!(rendered(&parentheses).is_err());
}

#[test]
fn dictionaries_change_where_they_are() {
    let text = "{{ $d := dict }}{{ range .Vars.list }}{{ $_ := set $d (print .) 1 }}{{ end }}{{ $d }}{{ $_ := set .Vars \"new\" 5 }}{{ .Vars.new }}";
    assert_eq!(rendered(text).unwrap(), "map[2:1 a:1]5");
}

#[test]
fn a_text_without_actions_is_no_template() {
    assert!(!is_template("a } b {"));
    assert!(is_template("a {{ b"));
    assert_eq!(
        check("{{ if }}").unwrap_err().message,
        "expected a value, found the end of the action"
    );
}

const WORDS: &str = r#"(\{\{-? |\}\}| -\}\}|if |else |end |range |with |define |template |block |break|\$x|:=|= |\.Vars|\.name|"t"|`r`|'c'|\(|\)|\||, |printf |index |upper |set |dict |repeat |[0-9]{1,3}|\.| |/\*|\*/|é|\\|%[a-z*0-9]){0,24}"#;

proptest! {
    #[test]
    fn no_words_panic(text in WORDS) {
        let _ = rendered(&text);
    }

    #[test]
    fn no_text_panics(text in "[{}\\-a-c.$|()\"'`:= \n/*0-9é]{0,40}") {
        let _ = rendered(&text);
    }

    #[test]
    fn no_format_panics(format in "[%+# 0-9.*\\[\\]a-zA-Zé-]{0,16}") {
        let text = format!("{{{{ printf {} 5 \"aé\" 2.5 .Vars.list nil }}}}", serde_json::to_string(&format).unwrap());
        let _ = rendered(&text);
    }

    #[test]
    fn text_without_actions_stays(text in "[^{}]{0,40}") {
        prop_assert_eq!(rendered(&text).unwrap(), text);
    }
}
