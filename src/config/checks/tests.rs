use super::*;
use crate::model::{Check, Resource};

const SAMPLE: &str = r#"
# a comment with {{ braces }} is no template
command:
  list:
    title: lists things
    meta: {why: because}
    exec: "ls | head"
    exit-status: 0
    stdout: [plain, "!absent", "/^re+/", '!/x\Q.\E/', '\!literal', /usr/bin]
    stderr: ""
    timeout: 1500
  "true":
    exit-status: {or: [0, {gt: 3}]}
    timeout: 2s
file:
  /etc/passwd:
    mode: "644"
    exists: true
    owner: root
    contains: ["root:"]
    size: {and: [{ge: 10}, {lt: 1e6}]}
    filetype: file
    linked-to: {have-prefix: /}
port:
  tcp:22: &listening {listening: true, ip: [0.0.0.0]}
  "8080": {<<: *listening, ip: []}
service:
  sshd: {enabled: true, running: true, skip: false}
http:
  http://localhost/health:
    status: 200
    allow-insecure: true
    request-headers: ["Accept: text/plain"]
    body: {match-regexp: ok}
process:
  sshd: {running: true, count: {ge: 1}}
kernel-param:
  net.ipv4.ip_forward: {value: "1"}
user:
  root: {exists: true, groups: {consist-of: [root]}, shell: {not: {have-suffix: nologin}}}
group:
  root: {exists: true, gid: 0}
package:
  bash: {installed: true, versions: {contain-element: {contain-substring: "5."}}}
"#;

fn show(check: &Check) -> String {
    let expect = check.expect.iter().map(|(name, m)| format!("{name} {m}"));
    let settings = check.settings.iter().map(|(name, v)| format!("{name}={v}"));
    let all: Vec<_> = settings.chain(expect).collect();
    format!("{} {}: {}", check.resource, check.name, all.join("; "))
}

#[test]
fn a_gossfile_becomes_checks() {
    let set = parse_gossfile("goss.yaml", SAMPLE).unwrap_or_else(|e| panic!("{e:?}"));
    let shown: Vec<_> = set.checks.iter().map(show).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    command list: exec="ls | head"; timeout=1500; exit-status 0; stdout lines with ["plain", "!absent", "/^re+/", "!/x\\./", "!literal", "/usr/bin"]; stderr ""
    command true: timeout=2000; exit-status one of [0, > 3]
    file /etc/passwd: exists true; mode "0644"; owner "root"; contents lines with ["root:"]; size all of [>= 10, < 1000000]; filetype "file"; linked-to prefix "/"
    port tcp:22: listening true; ip elements ["0.0.0.0"]
    port 8080: listening true; ip elements []
    service sshd: enabled true; running true
    http http://localhost/health: allow-insecure=true; request-headers=["Accept: text/plain"]; status 200; body match of /ok/
    process sshd: running true; count >= 1
    kernel-param net.ipv4.ip_forward: value "1"
    user root: exists true; groups exactly ["root"]; shell not (suffix "nologin")
    group root: exists true; gid 0
    package bash: installed true; versions element (text with "5.")
    "#);
    let first = &set.checks[0];
    assert_eq!(first.resource, Resource::Command);
    assert_eq!(first.title.as_deref(), Some("lists things"));
}

/// The faults as `line:column message (help)`.
fn faults(text: &str) -> Vec<String> {
    let faults = parse_gossfile("g.yaml", text).unwrap_err();
    let show = |fault: &Diagnostic| {
        let span = fault.labels[0].span;
        let (line, column) = faults.sources.position(span);
        format!(
            "{line}:{column} {} ({})",
            fault.message,
            fault.help.join("; ")
        )
    };
    faults.iter().map(show).collect()
}

fn one(text: &str) -> String {
    let all = faults(text);
    assert_eq!(all.len(), 1, "{all:#?}");
    all[0].clone()
}

#[test]
fn unknown_words_are_told_with_near_names_and_later_ones_as_such() {
    assert!(
        one("comand:\n  x: {}")
            .starts_with("1:1 unknown kind of check `comand` (did you mean `command`?")
    );
    assert!(
        one("dns:\n  x: {}")
            .starts_with("1:1 checks of `dns` are not supported yet (supported: command, file")
    );
    assert!(
        one("file:\n  /x: {exist: true, exists: true}")
            .starts_with("2:8 unknown attribute `exist` of `file` (did you mean `exists`?")
    );
    assert!(
        one("service:\n  x: {running: true, runlevels: []}").starts_with(
            "2:22 `runlevels` of `service` is not supported yet (supported: enabled, running"
        )
    );
    assert!(
        one("command:\n  x: {stdout: {have-sufix: a}}")
            .starts_with("2:16 unknown matcher `have-sufix` (did you mean `have-suffix`?")
    );
    assert!(
        one("command:\n  x: {stdout: {gjson: {}}}")
            .starts_with("2:16 the matcher `gjson` is not supported yet")
    );
    assert!(
        one("file:\n  /x: {filetype: dir}")
            .starts_with("2:18 `dir` is not one of the words known here")
    );
}

#[test]
fn wrong_types_are_told_all_at_once() {
    let text = r#"
file:
  /x: {exists: "yes", mode: 0644, owner: , size: big, sha256: abc}
  /y: 3
  /z: {mode: 644}
command:
  a: {exit-status: true, timeout: soon, exec: [x]}
  b: {exit-status: {gt: x, lt: 3}}
http:
  localhost: {status: 200, request-headers: x, allow-insecure: 1}
port:
  tcp:0: {listening: true}
"#;
    insta::assert_snapshot!(faults(text).join("\n"), @r#"
    3:16 expected true or false, found a string ()
    3:40 expected a string, found nothing ()
    3:50 expected a number, found a string ()
    3:63 expected a checksum in hexadecimal digits, found a string ()
    4:7 expected attributes of the check, found an integer ()
    5:14 expected permissions as a string, like "0644", found an integer (put the digits in quotes: numbers lose the leading zero)
    7:20 expected a number, found a boolean ()
    7:35 expected milliseconds, or a time like "10s", found a string ()
    7:47 expected a string, found a list ()
    8:20 a matcher has exactly one key; `and: [ … ]` joins several ()
    10:45 expected a list of strings, found a string ()
    10:64 expected true or false, found an integer ()
    10:3 `localhost` is no address (an address starts with http:// or https://)
    12:3 `tcp:0` is no port (a port is written as tcp:22, tcp6:22, udp:53 or udp6:53)
    "#);
}

#[test]
fn checks_that_ask_nothing_are_told() {
    assert_eq!(
        one("process:\n  sshd: {}"),
        "2:3 this check of `sshd` asks nothing (what can be asked: running, count)"
    );
    assert!(parse_gossfile("g", "process:\n  sshd: {skip: true}").is_ok());
    assert!(parse_gossfile("g", "").unwrap().checks.is_empty());
    assert!(parse_gossfile("g", "process:").unwrap().checks.is_empty());
}

#[test]
fn templates_are_told_with_their_place() {
    let text = "# {{ no }}\nhttp:\n  http://{{ .Vars.ip }}:80: {status: 200}\n";
    let told = one(text);
    assert!(
        told.starts_with("3:10 templates in gossfiles are not supported yet (write the value"),
        "{told}"
    );
}

#[test]
fn broken_yaml_is_told_with_its_place() {
    assert!(one("file:\n  /x: {exists: true\n").starts_with("3:1 "));
    assert_eq!(one("file: {}\nfile: {}"), "2:1 `file` stands here twice ()");
    assert_eq!(one("file: *x").split_once(' ').unwrap().0, "1:7");
    assert_eq!(
        one("a: 1\n---\nb: 2\n"),
        "3:1 only one document may stand in a file ()"
    );
    assert_eq!(
        one("- a"),
        "1:1 expected resource types with their checks, found a list ()"
    );
    assert_eq!(one("[a]: 1"), "1:1 a key must be a word ()");
    let deep = format!("a: {}", "[".repeat(99));
    assert!(one(&deep).contains("nested too deeply"));
    // places are counted in characters, offsets in bytes
    assert!(
        one("command:\n  grüße: {exit-status: 0, fröhlich: 1}")
            .starts_with("2:27 unknown attribute")
    );
}

#[test]
fn regular_expressions_are_checked_when_read() {
    let told = one("command:\n  x: {stdout: [\"/a(/\"]}");
    assert_eq!(
        told,
        "2:16 this is no regular expression: unclosed group ()"
    );
}

#[test]
fn the_repositorys_own_gossfile_is_understood() {
    let text = include_str!("../../../scripts/goss/goss.yaml");
    let set = parse_gossfile("scripts/goss/goss.yaml", text);
    assert!(set.unwrap_or_else(|e| panic!("{e:?}")).checks.len() > 5);
}
