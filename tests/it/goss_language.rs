//! forge's language of gossfiles beside the real goss: verdicts, counts and texts must agree, byte for byte.

use forge::goss::Answer;

use super::support::goss::{Bench, Said};

/// Values, each once as it is and, if it is a text, once as a stream.
const CONTENTS: &[&str] = &[
    "''",
    "foo",
    "' foo '",
    "\"foo\\nbar\\nbaz\"",
    "\"foo\\nbar\\n\"",
    "\"a <b> & 'c' \\\"d\\\" é \\t \\u2028\"",
    "'5'",
    "'5.0'",
    "' 42 '",
    "'1.2.3'",
    "'true'",
    "5",
    "-3",
    "0",
    "5.0",
    "1.5",
    "1e21",
    "123456789012",
    "true",
    "false",
    "~",
    "[]",
    "[foo, bar, baz]",
    "[foo, foo, a-rather-long-element-of-a-list]",
    "[1, two, 3.5, true]",
    "['1.2.3', '2.0.0']",
    "[[a], {b: c}]",
    "{}",
    "{foo: bar}",
    "'{\"a\": {\"b\": [1, 2, {\"c\": \"d\"}]}, \"n\": 5, \"s\": \"foo\", \"t\": true, \"z\": null}'",
    "'[{\"name\": \"x\", \"v\": 1}, {\"name\": \"y\", \"v\": 2}]'",
];

/// Matchers, good and bad.
const MATCHERS: &[&str] = &[
    "foo",
    "''",
    "\"foo\\nbar\\n\"",
    "\"fob\\nbar\\nqux\\nbaz\\n\"",
    "5",
    "5.0",
    "-3",
    "0",
    "'5'",
    "true",
    "false",
    "[foo]",
    "[foo, foo]",
    "[foo, qux, quux]",
    "[1, true]",
    "['/^b.r$/', '!qux', foo]",
    "['!foo', '!/ba/']",
    "['\\foo', '\\!foo', '/x/y']",
    "[{have-prefix: f}, {have-suffix: z}]",
    "[{have-prefix: b}, {have-prefix: b}, bar]",
    "{equal: foo}",
    "{equal: 5}",
    "{equal: 5.0}",
    "{equal: true}",
    "{equal: [foo, bar, baz]}",
    "{equal: {foo: bar}}",
    "{equal: [foo, 5]}",
    "{have-prefix: fo}",
    "{have-prefix: 5}",
    "{have-suffix: baz}",
    "{have-suffix: <b>}",
    "{contain-substring: oo}",
    "{contain-substring: '&'}",
    "{match-regexp: '^fo+'}",
    "{match-regexp: '\\Qo\\E$'}",
    "{match-regexp: '(?m)^bar$'}",
    "{have-len: 3}",
    "{have-len: 0}",
    "{have-len: 2.0}",
    "{have-len: many}",
    "{have-key: foo}",
    "{have-key: {have-prefix: x}}",
    "{have-key: 5}",
    "{contain-element: foo}",
    "{contain-element: {have-prefix: ba}}",
    "{contain-element: 5}",
    "{contain-element: true}",
    "{contain-element: [foo]}",
    "{contain-element: {gt: 1}}",
    "{contain-elements: [foo, bar]}",
    "{contain-elements: [{match-regexp: 'o{2}'}, baz]}",
    "{contain-elements: []}",
    "{contain-elements: foo}",
    "{consist-of: [foo, bar, baz]}",
    "{consist-of: [{have-prefix: b}, {have-prefix: ba}, foo]}",
    "{consist-of: [foo]}",
    "{consist-of: [{gt: 0}, two, 3.5, true]}",
    "{consist-of: []}",
    "{have-patterns: [foo, '/ba[rz]/', '!qux']}",
    "{have-patterns: ['', '!']}",
    "{have-patterns: [qux, foo, '/(/']}",
    "{have-patterns: [5]}",
    "{have-patterns: foo}",
    "{not: foo}",
    "{not: {contain-element: foo}}",
    "{not: {contain-elements: [foo]}}",
    "{not: {consist-of: [foo, bar, baz]}}",
    "{not: {have-patterns: [foo]}}",
    "{not: {gt: 3}}",
    "{not: {not: {have-len: 3}}}",
    "{not: {and: [{have-len: 3}, {have-prefix: f}]}}",
    "{and: [{have-len: 3}, {have-prefix: f}]}",
    "{and: [{have-prefix: f}, {contain-element: foo}, {gt: 3}]}",
    "{and: [{not: {have-prefix: x}}, {match-regexp: 'x<y'}]}",
    "{or: [{have-prefix: '1'}, {have-suffix: '&'}, foo]}",
    "{or: [{gt: 3}, {lt: 0}]}",
    "{gt: 3}",
    "{ge: 5}",
    "{lt: 5.5}",
    "{le: '5'}",
    "{semver-constraint: '>=1.0.0 <2.0.0'}",
    "{semver-constraint: '>1.x || !=1.2.3'}",
    "{semver-constraint: what}",
    "{gjson: {a.b.#: 3}}",
    "{gjson: {'#.name': [x, y]}}",
];

/// Those that only JSON text can meet.
const GJSON: &[&str] = &[
    "{gjson: {n: 5}}",
    "{gjson: {n: {gt: 6}}}",
    "{gjson: {s: foo}}",
    "{gjson: {s: {have-len: 4}}}",
    "{gjson: {t: false}}",
    "{gjson: {a.b: [1, 2]}}",
    "{gjson: {a.b: {consist-of: [1, 2]}}}",
    "{gjson: {a.b.2.c: {not: d}}}",
    "{gjson: {a: {have-key: c}}}",
    "{gjson: {z: foo}}",
    "{gjson: {'#(name==\"y\").v': 3}}",
    "{gjson: {'@this': {have-len: 3}}}",
];

fn matrix() -> String {
    let mut text = String::from("matching:\n");
    for (c, content) in CONTENTS.iter().enumerate() {
        let gjson = GJSON
            .iter()
            .filter(|_| content.starts_with("'{") || content.starts_with("'["));
        for (m, matcher) in MATCHERS.iter().chain(gjson).enumerate() {
            // a text is a stream, too; goss falls over an `or` without a result within a `not`
            text.push_str(&format!(
                "  c{c:02}-m{m:02}:\n    content: {content}\n    matches: {matcher}\n"
            ));
            if content.starts_with(['\'', '"', 'f']) && !content.starts_with("false") {
                text.push_str(&format!(
                    "  s{c:02}-m{m:02}:\n    content: {content}\n    as-reader: true\n    matches: {matcher}\n"
                ));
            }
        }
    }
    text
}

fn nothing(_: &forge::goss::Resource) -> Answer {
    Answer::default()
}

/// The first lines that differ, and how many do.
fn agree(what: &str, goss: &Said, ours: &Said) {
    if goss == ours {
        return;
    }
    let mut differing = Vec::new();
    let (theirs, own): (Vec<&str>, Vec<&str>) =
        (goss.text.lines().collect(), ours.text.lines().collect());
    for number in 0..theirs.len().max(own.len()) {
        let (theirs, own) = (theirs.get(number), own.get(number));
        if theirs != own {
            let near = goss
                .text
                .lines()
                .take(number + 20)
                .filter(|line| line.contains("resource-id"));
            let near = near.last().unwrap_or_default().trim();
            differing.push(format!(
                "line {number} {near}\n  goss: {theirs:?}\n  ours: {own:?}"
            ));
        }
    }
    let shown: Vec<&str> = differing.iter().take(12).map(String::as_str).collect();
    panic!(
        "{what}: exit {} and {}; {} lines differ\n{}",
        goss.code,
        ours.code,
        differing.len(),
        shown.join("\n")
    );
}

#[test]
fn every_matcher_says_what_goss_says() {
    let text = matrix();
    let checks = text.matches("matches:").count();
    assert!(checks >= 3000, "{checks}");
    let bench = Bench::new(&[("goss.yaml", &text)]);
    for (format, options) in [
        ("documentation", &["sort"][..]),
        ("json", &["sort", "pretty"]),
        ("tap", &["sort", "exclude_raw"]),
    ] {
        let goss = bench.validate("goss.yaml", None, format, options);
        let ours = bench.judged("goss.yaml", None, format, options, nothing);
        agree(format, &goss, &ours);
    }
}

/// Titles, notes, skips, checks with and without faults: all that formats show.
const SHOWN: &str = r#"
matching:
  holds:
    title: A check that <holds>
    meta: {severity: 1, tags: [a, b], deep: {x: 1.5}}
    content: foo
    matches: foo
  fails:
    title: A check that fails
    content: 'foo & <bar>'
    matches: {contain-substring: 'qux'}
  skipped:
    skip: true
    content: 5
    matches: 6
  breaks:
    content: abc
    matches: {gt: 3}
  missing:
    content: [a, b]
    matches: {consist-of: [a, {have-prefix: c}]}
  lines:
    as-reader: true
    content: |
      one
      two
      three
    matches: [one, '/^t.o$/', '!four', five]
  long:
    content: |
      one
      two
      three
      four
      five
      six
    matches: |
      one
      2
      three
      four
      five
      six
      seven
  two words "and" more:
    content: true
    matches: true
"#;

#[test]
fn every_format_prints_the_same() {
    let fine =
        "matching:\n  a: {content: 5, matches: 5}\n  b: {content: 5, matches: 6, skip: true}\n";
    let one = "matching:\n  a: {content: 5, matches: 6}\n";
    let bench = Bench::new(&[
        ("shown.yaml", SHOWN),
        ("fine.yaml", fine),
        ("one.yaml", one),
    ]);
    let formats: [(&str, &[&[&str]]); 9] = [
        ("rspecish", &[&["sort"], &["sort", "exclude_raw"]]),
        ("documentation", &[&["sort"], &["sort", "exclude_raw"]]),
        (
            "json",
            &[&["sort"], &["sort", "pretty"], &["sort", "exclude_raw"]],
        ),
        ("structured", &[&["sort"], &["sort", "pretty"]]),
        ("junit", &[&["sort"], &["sort", "exclude_raw"]]),
        ("tap", &[&["sort"]]),
        ("nagios", &[&[], &["perfdata"]]),
        ("prometheus", &[&[]]),
        ("silent", &[&[]]),
    ];
    for (format, sets) in formats {
        for options in sets {
            for spec in ["shown.yaml", "fine.yaml", "one.yaml"] {
                // what goss says of all depends on the order in which it tried them
                if format == "prometheus" && spec != "one.yaml" {
                    continue;
                }
                let goss = bench.validate(spec, None, format, options);
                let ours = bench.judged(spec, None, format, options, nothing);
                agree(&format!("{format} {options:?} {spec}"), &goss, &ours);
            }
        }
    }
    // goss does not sort these
    for (format, options) in [("nagios", ["verbose"]), ("prometheus", ["verbose"])] {
        for spec in ["one.yaml", "fine.yaml"] {
            if format == "prometheus" && spec != "one.yaml" {
                continue;
            }
            let sorted = |said: Said| {
                let mut lines: Vec<String> = said.text.lines().map(str::to_owned).collect();
                lines.sort();
                Said {
                    text: lines.join("\n"),
                    ..said
                }
            };
            let goss = sorted(bench.validate(spec, None, format, &options));
            let ours = sorted(bench.judged(spec, None, format, &options, nothing));
            agree(&format!("{format} {options:?} {spec}"), &goss, &ours);
        }
    }
}

#[test]
fn json_is_read_as_goss_reads_it() {
    let text = r#"{"matching": {
        "int": {"content": 5, "matches": {"equal": 5}},
        "big": {"content": 123456789012, "matches": "1.23456789012e+11"},
        "list": {"content": [1, "a", null, {"b": [true]}], "matches": {"consist-of": [1, "a", {"have-len": 1}]}},
        "text": {"content": "a\u00e9\n", "matches": {"have-len": 4}, "meta": {"k": 1}},
        "len": {"content": "abc", "matches": {"have-len": 3.9}},
        "twice": {"content": 1, "content": 2, "matches": 2}
    }}"#;
    let bench = Bench::new(&[("goss.json", text)]);
    for (format, options) in [("documentation", ["sort"]), ("json", ["sort"])] {
        let goss = bench.validate("goss.json", None, format, &options);
        let ours = bench.judged("goss.json", None, format, &options, nothing);
        agree(format, &goss, &ours);
    }
}

/// What goss's own pages show, written anew: variables, loops, includes, shared pieces.
#[test]
fn documented_ways_to_write_gossfiles_work() {
    let main = r#"
x-shared:
  length: &length
    have-len: 3
gossfile:
  extra/*.yaml: {}
  '{{ .Vars.role }}.yaml': {}
  never.yaml:
    skip: true
matching:
  {{- range $name, $port := .Vars.ports }}
  port of {{ $name }}:
    content: {{ $port }}
    matches:
      and:
        - gt: 1
        - lt: 65536
  {{- end }}
  {{- if eq .Vars.role "web" }}
  web:
    content: {{ .Vars.hosts | toJson }}
    matches: [www.example.org]
  {{- else }}
  other:
    content: 1
    matches: 2
  {{- end }}
  {{- range mkSlice "foo" "bar" }}
  length of {{ . }}:
    content: {{ . }}
    matches: *length
  {{- end }}
  environment:
    content: '{{ .Env.LAB_NAME }}'
    matches: {match-regexp: '^{{ getEnv "NOT_THERE" "lab" }}'}
  merged:
    <<: &merged {content: a, matches: b}
    matches: a
  json:
    content: '{"os": {"id": "debian", "version": [12, 4]}, "ok": true}'
    matches:
      gjson:
        os.id: debian
        os.version.0: {ge: 12}
        ok: true
"#;
    let bench = Bench::new(&[
        ("goss.yaml", main),
        (
            "vars.yaml",
            "role: web\nports: {http: 80, https: 443, bad: 0}\nhosts: [www.example.org, ftp.example.org]\n",
        ),
        (
            "extra/a.yaml",
            "matching:\n  a: {content: 1, matches: 1}\n  both: {content: 1, matches: 1}\n",
        ),
        (
            "extra/b.yaml",
            "matching:\n  b: {content: 1, matches: 2}\n  both: {content: 1, matches: 2}\ngossfile:\n  ../deep/c.yml: {}\n",
        ),
        (
            "deep/c.yml",
            "matching:\n  c: {content: '{{ .Vars.role }}', matches: web}\n",
        ),
        (
            "web.yaml",
            "matching:\n  web role: {content: yes, matches: 'yes'}\n",
        ),
    ]);
    for (format, options) in [
        ("documentation", ["sort"]),
        ("rspecish", ["sort"]),
        ("json", ["sort"]),
    ] {
        let goss = bench.validate("goss.yaml", Some("vars.yaml"), format, &options);
        assert_eq!(goss.code, 1);
        let ours = bench.judged("goss.yaml", Some("vars.yaml"), format, &options, nothing);
        agree(format, &goss, &ours);
    }
}

#[test]
fn files_that_goss_refuses_are_refused() {
    let cases = [
        "matching:\n  a: {content: 1, matches: 1}\n  a: {content: 1, matches: 1}\n",
        "matching:\n  a: ~\n",
        "matching:\n  a: {content: 1, matchs: 1}\n",
        "matching:\n  a: {content: 1, matches: 1, as-reader: [x]}\n",
        "matching: [a]\n",
        "[a]\n",
        "file:\n  /a: {exists: true, mod: x}\n",
        "command:\n  a: {exit-status: 0, timeout: x}\n",
        "gossfile:\n  nowhere.yaml: {}\n",
        "gossfile:\n  goss.yaml: {}\n",
        "gossfile:\n  goss.yaml: {fil: x}\n",
        "other: {}\n",
        "{}\n",
        "\n",
        "matching: {a: {content: *nope, matches: 1}}\n",
        "matching: {{ .Vars.nope }}\n",
        "matching:\n  a: {content: 1, <<: 5, matches: 1}\n",
    ];
    let bench = Bench::new(&[]);
    for case in cases {
        bench.write("goss.yaml", case);
        let goss = bench.validate("goss.yaml", None, "silent", &[]);
        assert_eq!(goss.code, 78, "goss takes {case}");
        assert!(bench.load("goss.yaml", None).is_err(), "forge takes {case}");
    }
}

#[test]
fn the_project_s_own_gossfile_is_read_as_goss_reads_it() {
    let text = include_str!("../../scripts/goss/goss.yaml");
    let bench = Bench::new(&[("goss.yaml", text)]);
    let (said, errors) = bench.goss(&["-g", "goss.yaml", "render"]);
    assert_eq!(said.code, 0, "{errors}");
    let suite = bench.load("goss.yaml", None).unwrap();
    // what goss would try, by its own rendering of the merged file
    let keys = |kind: &str| -> Vec<String> {
        let start = format!("{kind}:\n");
        let lines = said.text.split_once(start.as_str()).unwrap().1.lines();
        lines
            .take_while(|line| line.starts_with(' '))
            .filter_map(|line| {
                line.strip_prefix("    ")
                    .filter(|rest| !rest.starts_with(' '))
            })
            .map(|line| line.trim_end_matches(':').to_owned())
            .collect()
    };
    for kind in [
        "command",
        "file",
        "service",
        "http",
        "kernel-param",
        "port",
        "process",
    ] {
        let own = suite
            .resources
            .iter()
            .filter(|resource| resource.kind.key() == kind);
        let mut own: Vec<String> = own.map(|resource| resource.key.clone()).collect();
        own.sort();
        let mut theirs = keys(kind);
        theirs.sort();
        assert_eq!(own, theirs, "{kind}");
    }
}
