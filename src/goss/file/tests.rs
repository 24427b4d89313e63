use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::*;
use crate::goss::{Answer, Outcome, Question, Truth, Value, judge};

struct Shelf(BTreeMap<&'static str, &'static str>);

impl Files for Shelf {
    fn read(&self, path: &str) -> Result<String, String> {
        self.0
            .get(path)
            .map(|text| (*text).to_owned())
            .ok_or_else(|| "there is no such file".into())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        if pattern.contains('[') {
            return Err("a class has no end".into());
        }
        let fits = |path: &str| match pattern.split_once('*') {
            Some((start, end)) => path.starts_with(start) && path.ends_with(end),
            None => path == pattern,
        };
        Ok(self
            .0
            .keys()
            .filter(|path| fits(path))
            .map(|path| (*path).to_owned())
            .collect())
    }
}

struct Nowhere;

impl World for Nowhere {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn environment(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn read_file(&self, _: &str) -> Result<Vec<u8>, String> {
        Err("there are no files".into())
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

fn lines(faults: &Diagnostics) -> String {
    let line = |fault: &Diagnostic| {
        let place = fault.labels.first().map_or_else(String::new, |label| {
            let (line, column) = faults.sources.position(label.span);
            let name = faults
                .sources
                .get(label.span.file)
                .map_or("?", |source| &source.name);
            format!("{name}:{line}:{column}: ")
        });
        let help: String = fault.help.iter().map(|help| format!(" ({help})")).collect();
        format!("{place}{}{help}", fault.message)
    };
    faults.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn loaded(files: &[(&'static str, &'static str)]) -> Result<Suite, String> {
    let shelf = Shelf(files.iter().copied().collect());
    let mut vars = Vars::new();
    vars.file("vars.yaml", "name: web\nlist: [80, 443]")
        .unwrap();
    load(&Spec::Path(files[0].0), &shelf, &vars, &Nowhere).map_err(|faults| lines(&faults))
}

fn faults(text: &'static str) -> String {
    match loaded(&[("g.yaml", text)]) {
        Ok(suite) => format!("loaded, with warnings: {}", lines(&suite.warnings)),
        Err(faults) => faults,
    }
}

const MISTAKES: &[(&str, &str)] = &[
    (
        "file: {/a: {exist: true}}",
        "g.yaml:1:13: `file` has no attribute `exist` (did you mean `exists`?)",
    ),
    (
        "gossfile: {a.yaml: {fil: x}}",
        "g.yaml:1:21: `gossfile` has no attribute `fil` (did you mean `file`?)\ng.yaml:1:12: no file fits `a.yaml`",
    ),
    (
        "file: {/a: ~}",
        "g.yaml:1:8: `/a` of `file` has no attributes (write `{}` for none)",
    ),
    (
        "file: [x]",
        "g.yaml:1:7: expected checks by name, found a list",
    ),
    (
        "[x]",
        "g.yaml:1:1: expected resource types with their checks, found a list",
    ),
    (
        "addr: {a: {reachable: true, timeout: '5'}}",
        "g.yaml:1:38: expected an integer, found a string",
    ),
    (
        "addr: {a: {reachable: true, skip: maybe}}",
        "g.yaml:1:35: expected a boolean, found a string",
    ),
    (
        "addr: {a: {reachable: true, skip: []}}",
        "g.yaml:1:35: expected a boolean, found a list",
    ),
    (
        "addr: {a: {reachable: true, title: [x]}}",
        "g.yaml:1:36: expected a string, found a list",
    ),
    (
        "addr: {a: {reachable: true, meta: x}}",
        "g.yaml:1:35: expected a map, found a string",
    ),
    (
        "http: {a: {status: 200, request-headers: x}}",
        "g.yaml:1:42: expected a list of strings, found a string",
    ),
    (
        "http: {a: {status: 200, request-headers: [x]}}",
        "g.yaml:1:8: the header `x` is not `Name: value`",
    ),
    (
        "command: {a: {exit-status: x}}",
        "g.yaml:1:28: expected an integer, found a string",
    ),
    ("{}", "`g.yaml` has no checks"),
    ("x: {y: z}", "`g.yaml` has no checks"),
    ("a: [", "g.yaml"),
    (
        "file: {{ .Vars.nam }}",
        "g.yaml:1:10: there is no entry `nam` (did you mean `name`?)",
    ),
    (
        "file: {{ uper .Vars.name }}",
        "g.yaml:1:10: there is no function `uper` (did you mean `upper`?)",
    ),
    (
        "fil{{ `e` }}: {/a: {x: 1}}",
        "g.yaml (rendered):1:13: `file` has no attribute `x`",
    ),
];

#[test]
fn every_mistake_has_its_place() {
    for (text, expected) in MISTAKES {
        let found = faults(text);
        assert!(found.contains(expected), "{text}\n{found}");
    }
}

#[test]
fn old_spellings_are_taken_with_a_warning() {
    let text = "file: {/a: {exists: true, contains: [x]}}\ncommand: {c: {exit-status: '0'}}\ndns: {d: {resolveable: true}}\ngroup: {g: {exists: true, gid: '0'}}";
    let suite = loaded(&[("g.yaml", text)]).unwrap();
    let expected = "g.yaml:1:27: `contains` is now written `contents`\n\
                    g.yaml:2:15: `exit-status` should be an integer, not a string\n\
                    g.yaml:3:11: `resolveable` is now written `resolvable`\n\
                    g.yaml:4:27: `gid` should be an integer, not a string";
    assert_eq!(lines(&suite.warnings), expected);
    let answer = Answer {
        values: [("exit-status", Ok(Truth::Int(0)))].into(),
        took: Duration::ZERO,
    };
    assert_eq!(
        judge(&suite.resources[0], &answer)[0].outcome,
        Outcome::Pass
    );
}

#[test]
fn includes_are_merged_in_goss_s_order() {
    let suite = loaded(&[
        ("d/g.yaml", "user: {root: {exists: true, title: own}}\ngossfile:\n  sub/*.yaml: {}\n  z: {file: ../e.json}\n  skipped.yaml: {skip: true}\n"),
        ("d/sub/a.yaml", "user: {root: {exists: true, title: a}, bin: {exists: true}}\ngossfile: {b/*.yml: {}}"),
        ("d/sub/b/c.yml", "file: {/c: {exists: true}}"),
        ("d/sub/z.yaml", "{{ range .Vars.list }}\n{{ end }}user: {root: {exists: true, title: z}}"),
        ("e.json", "{\"port\": {\"tcp:22\": {\"listening\": true}}}"),
    ])
    .unwrap();
    let shown: Vec<String> = suite
        .resources
        .iter()
        .map(|r| {
            format!(
                "{} {} {}",
                r.kind,
                r.id(),
                r.title.clone().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        shown,
        ["file /c ", "user root z", "user bin ", "port tcp:22 "]
    );
    let warnings = lines(&suite.warnings);
    assert_eq!(
        warnings,
        "d/g.yaml:3:3: `user: root` of `d/sub/a.yaml` takes the place of an earlier one\n\
         d/g.yaml:3:3: `user: root` of `d/sub/z.yaml` takes the place of an earlier one"
    );
}

#[test]
fn includes_that_cannot_be_are_told() {
    let loops = loaded(&[(
        "g.yaml",
        "gossfile: {g.yaml: {}}\nuser: {root: {exists: true}}",
    )])
    .unwrap_err();
    assert_eq!(
        loops,
        "g.yaml:1:12: `g.yaml` is included through 50 files: do they include each other?"
    );
    let bad = loaded(&[("g.yaml", "gossfile: {'[a': {}}")]).unwrap_err();
    assert_eq!(bad, "g.yaml:1:12: `[a`: a class has no end");
    let none = loaded(&[("g.yaml", "gossfile: {a.yaml: {}}")]).unwrap_err();
    assert_eq!(none, "g.yaml:1:12: no file fits `a.yaml`");
    let missing = load(
        &Spec::Path("no.yaml"),
        &Shelf(BTreeMap::new()),
        &Vars::new(),
        &Nowhere,
    );
    assert_eq!(
        lines(&missing.unwrap_err()),
        "`no.yaml` cannot be read: there is no such file"
    );
    let kind = loaded(&[("g.txt", "user: {root: {exists: true}}")]).unwrap_err();
    assert_eq!(kind, "`g.txt` is neither .yaml, .yml nor .json");
}

#[test]
fn a_file_is_checked_without_a_system() {
    let check = |text: &str| lines(&check("g.yaml", text));
    assert_eq!(check("file: {/a: {exists: true}}"), "");
    assert_eq!(check("file: {/a: {exists: {{ .Vars.x }}}}"), "");
    assert_eq!(
        check("file: {/a: {exists: {{ nope }}}}"),
        "g.yaml:1:24: there is no function `nope`"
    );
    assert_eq!(
        check("file: {/a: {exists: true, size: {gtt: 5}}}"),
        "g.yaml:1:8: `size` of `/a` can never hold: Syntax Error: Unknown matcher: gtt (did you mean `gt`?)"
    );
    assert_eq!(
        check("file: {/a: {mode: '0644'}}"),
        "g.yaml:1:8: `exists` of `/a` can never hold: Syntax Error: Missing required attribute"
    );
}

#[test]
fn variables_are_merged() {
    let mut vars = Vars::new();
    vars.file("a", "a: {x: 1, y: 2}\nb: [1]").unwrap();
    vars.file("b", "{\"a\": {\"y\": 3}, \"b\": [2]}").unwrap();
    vars.inline("c", "c: 5").unwrap();
    assert_eq!(vars.to_value().to_string(), "map[a:map[x:1 y:3] b:[2] c:5]");
    vars.inline("d", "a: {z: 1}").unwrap();
    vars.set(BTreeMap::from([("c".to_owned(), Value::Bool(true))]));
    assert_eq!(vars.to_value().to_string(), "map[a:map[z:1] b:[2] c:true]");
    assert_eq!(
        lines(&vars.file("e", "[1]").unwrap_err()),
        "e:1:1: expected variables by name, found a list"
    );
    assert!(vars.file("f", "a: [").is_err());
    vars.file("g", "").unwrap();
}

fn question(text: &'static str) -> Option<Question> {
    loaded(&[("g.yaml", text)]).unwrap().resources[0].question()
}

#[test]
fn resources_ask() {
    let shown = |text: &'static str| format!("{:?}", question(text));
    let cases = [
        (
            "addr: {'tcp://[::1]:80': {reachable: true}}",
            r#"Some(Addr { transport: Tcp, host: "::1", port: "80", local: None, timeout: 500ms })"#,
        ),
        (
            "addr: {x: {address: 'udp://h:53', local-address: 1.2.3.4, timeout: 9, reachable: true}}",
            r#"Some(Addr { transport: Udp, host: "h", port: "53", local: Some("1.2.3.4"), timeout: 9ms })"#,
        ),
        (
            "command: {x: {exec: 'echo a', exit-status: 0, timeout: 0}}",
            r#"Some(Command { exec: "echo a", timeout: 10s })"#,
        ),
        (
            "dns: {'MX:a.b': {resolvable: true, server: 9.9.9.9}}",
            r#"Some(Dns { name: "a.b", record: Some("MX"), server: Some("9.9.9.9"), timeout: 500ms })"#,
        ),
        (
            "dns: {'a:b': {resolvable: true}}",
            r#"Some(Dns { name: "a:b", record: None, server: None, timeout: 500ms })"#,
        ),
        (
            "file: {/a: {exists: true, contains: [x], md5: y, contents: []}}",
            r#"Some(File { path: "/a", wants: FileWants { contents: true, md5: true, sha256: false, sha512: false } })"#,
        ),
        (
            "port: {'22': {listening: true}}",
            r#"Some(Port { protocol: "tcp", port: "22" })"#,
        ),
        (
            "port: {'udp6:53': {listening: true}}",
            r#"Some(Port { protocol: "udp6", port: "53" })"#,
        ),
        (
            "mount: {/: {exists: true}}",
            r#"Some(Mount { point: "/", timeout: 1s })"#,
        ),
        ("matching: {x: {content: 1, matches: 1}}", "None"),
        ("user: {x: {exists: true, skip: yes}}", "None"),
        ("service: {x: {}}", "None"),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn requests_have_all_that_was_written() {
    let Some(Question::Http {
        headers,
        login,
        cert,
        body,
        method,
        ..
    }) = question(
        "http: {'http://h': {status: 200, request-headers: ['A: b: c'], username: u, password: p, cert-file: /c, request-body: x}}",
    )
    else {
        panic!("no question");
    };
    assert_eq!(headers, [("A".to_owned(), "b: c".to_owned())]);
    assert_eq!(login, Some(("u".into(), "p".into())));
    assert_eq!(cert, Some(("/c".into(), String::new())));
    assert_eq!((body.as_deref(), method.as_str()), (Some("x"), "GET"));
}

#[test]
fn what_differs_has_another_fingerprint() {
    let texts = [
        "user: {x: {exists: true}}",
        "user: {x: {exists: 'true'}}",
        "user: {y: {exists: true}}",
        "user: {x: {exists: true, uid: 5}}",
        "user: {x: {exists: true, uid: 5.0}}",
        "user: {x: {exists: true, title: t}}",
        "user: {x: {exists: true, skip: true}}",
        "user: {x: {exists: true, username: y}}",
        "group: {x: {exists: true}}",
    ];
    let prints: std::collections::BTreeSet<String> = texts
        .iter()
        .map(|text| loaded(&[("g.yaml", text)]).unwrap().resources[0].fingerprint())
        .collect();
    assert_eq!(prints.len(), texts.len());
}

#[test]
fn a_first_attribute_that_does_not_hold_gates_the_others() {
    let suite = loaded(&[("g.yaml", "file: {/a: {exists: false, mode: '0644', owner: root}}\nservice: {s: {enabled: true, running: true}}")]).unwrap();
    let outcomes =
        |number: usize, values: Vec<(&'static str, Result<Truth, String>)>| -> Vec<Outcome> {
            let answer = Answer {
                values: values.into_iter().collect(),
                took: Duration::ZERO,
            };
            judge(&suite.resources[number], &answer)
                .iter()
                .map(|result| result.outcome)
                .collect()
        };
    use Outcome::{Fail, Pass, Skip};
    // it holds, and says no: there is nothing to look at
    assert_eq!(
        outcomes(1, vec![("exists", Ok(Truth::Bool(false)))]),
        [Pass, Skip, Skip]
    );
    assert_eq!(
        outcomes(1, vec![("exists", Ok(Truth::Bool(true)))]),
        [Fail, Skip, Skip]
    );
    assert_eq!(
        outcomes(1, vec![("exists", Err("no".into()))]),
        [Fail, Skip, Skip]
    );
    assert_eq!(outcomes(1, vec![]), [Fail, Skip, Skip]);
    let service = vec![
        ("enabled", Ok(Truth::Bool(false))),
        ("running", Ok(Truth::Bool(true))),
    ];
    assert_eq!(outcomes(0, service), [Fail, Pass]);
    let silent = judge(&suite.resources[0], &Answer::default());
    assert_eq!(
        silent[1].error.as_deref(),
        Some("the system did not tell `running`")
    );
}
