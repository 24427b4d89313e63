use std::collections::BTreeMap;

use super::*;
use crate::goss::{Answer, Spec, Truth, Vars, load};

struct Nowhere;

impl crate::goss::Files for Nowhere {
    fn read(&self, path: &str) -> Result<String, String> {
        Err(path.into())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        Err(pattern.into())
    }
}

impl crate::goss::World for Nowhere {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn environment(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn read_file(&self, path: &str) -> Result<Vec<u8>, String> {
        Err(path.into())
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

const TEXT: &str = "
file:
  /a:
    title: A file
    meta: {severity: 1, tags: [x]}
    exists: true
    mode: '0644'
  /b: {exists: true, mode: '0600', contents: [x]}
user:
  u: {exists: true, uid: {gt: 5}}
";

fn results() -> Vec<Vec<TestResult>> {
    let suite = load(
        &Spec::Text {
            name: "t",
            text: TEXT,
        },
        &Nowhere,
        &Vars::new(),
        &Nowhere,
    )
    .unwrap();
    let answer = |values: Vec<(&'static str, Result<Truth, String>)>| Answer {
        values: values.into_iter().collect(),
        took: Duration::from_millis(7),
    };
    let answers = [
        answer(vec![
            ("exists", Ok(Truth::Bool(true))),
            ("mode", Ok(Truth::Text("0600".into()))),
        ]),
        answer(vec![("exists", Ok(Truth::Bool(false)))]),
        answer(vec![
            ("exists", Ok(Truth::Bool(true))),
            ("uid", Err("no such <user>".into())),
        ]),
    ];
    suite
        .resources
        .iter()
        .zip(&answers)
        .map(|(resource, answer)| crate::goss::judge(resource, answer))
        .collect()
}

fn written(format: &str, options: &[&str]) -> Rendered {
    let mut how = Options::new(SystemTime::UNIX_EPOCH, Duration::from_millis(1500));
    for option in options {
        assert!(how.set(option));
    }
    write(Format::parse(format).unwrap(), &results(), &how)
}

#[test]
fn failures_are_told_in_full() {
    let expected = "\
.FFSS.F

Failures/Skipped:

Title: A file
Meta:
    severity: 1
    tags: [x]
File: /a: mode:
Expected
    \"0600\"
to equal
    \"0644\"
diff
    --- test
    +++ actual
    @@ -1 +1 @@
    -0644
    +0600

File: /b: exists:
Expected
    false
to equal
    true
File: /b: mode: skipped
File: /b: contents: skipped

User: u: uid:
Error
    no such <user>

Total Duration: 1.500s
Count: 7, Failed: 3, Skipped: 2
";
    assert_eq!(
        written("rspecish", &[]),
        Rendered {
            text: expected.into(),
            code: 1
        }
    );
}

#[test]
fn every_format_has_its_code() {
    let codes = [
        "rspecish",
        "documentation",
        "json",
        "json_oneline",
        "junit",
        "nagios",
        "prometheus",
        "structured",
        "tap",
        "silent",
    ]
    .map(|format| written(format, &[]).code);
    assert_eq!(codes, [1, 1, 1, 1, 1, 2, 0, 0, 1, 1]);
    assert_eq!(Format::parse("xml"), None);
    assert!(!Options::new(SystemTime::UNIX_EPOCH, Duration::ZERO).set("loud"));
    assert_eq!(written("silent", &[]).text, "");
    let nothing = write(
        Format::Tap,
        &[vec![]],
        &Options::new(SystemTime::UNIX_EPOCH, Duration::ZERO),
    );
    assert_eq!(
        nothing,
        Rendered {
            text: "1..0\n".into(),
            code: 0
        }
    );
}

#[test]
fn machines_read_no_colours() {
    let mut how = Options::new(SystemTime::UNIX_EPOCH, Duration::ZERO);
    how.color = true;
    for (name, format) in Format::ALL {
        let colored = write(format, &results(), &how).text.contains('\u{1b}');
        assert_eq!(
            colored,
            matches!(name, "rspecish" | "documentation" | "tap" | "nagios") && name != "nagios",
            "{name}"
        );
    }
    how.verbose = true;
    assert!(
        write(Format::Nagios, &results(), &how)
            .text
            .contains("\u{1b}[31mFile: /a: mode:")
    );
}

#[test]
fn json_is_json_and_oneline_is_one_line() {
    let pretty = written("json", &["pretty"]).text;
    let line = written("json_oneline", &["pretty"]).text;
    assert_eq!(line.lines().count(), 1);
    let value: serde_json::Value = serde_json::from_str(&pretty).unwrap();
    assert_eq!(
        value,
        serde_json::from_str::<serde_json::Value>(&line).unwrap()
    );
    assert_eq!(value["summary"]["failed-count"], 3);
    assert_eq!(value["results"][6]["err"], "no such <user>");
    assert_eq!(value["results"][0]["duration"], 7_000_000);
    assert_eq!(value["results"][0]["start-time"], "1970-01-01T00:00:00Z");
    assert_eq!(value["results"][0]["meta"]["severity"], 1.0);
}

#[test]
fn lists_for_machines() {
    let tap = "1..7\nok 1 - File: /a: exists: matches expectation: true\nnot ok 2 - File: /a: mode: Expected \"0600\" to equal \"0644\"\n";
    assert!(written("tap", &[]).text.starts_with(tap));
    assert!(
        written("tap", &[])
            .text
            .contains("ok 4 - # SKIP File: /b: mode: skipped\n")
    );
    let nagios = "GOSS CRITICAL - Count: 7, Failed: 3, Skipped: 2, Duration: 1.500s|total=7 failed=3 skipped=2 duration=1.500s\nFail 1 - File: /a: mode: Expected \"0600\" to equal \"0644\"\n";
    assert!(
        written("nagios", &["perfdata", "verbose"])
            .text
            .starts_with(nagios)
    );
    let junit = written("junit", &[]).text;
    assert!(junit.contains("<testcase name=\"User u uid\" time=\"0.000\">\n<system-err>User: u: uid: Error no such &lt;user&gt;</system-err>\n<failure>"));
    assert!(junit.contains(
        "tests=\"7\" failures=\"3\" skipped=\"2\" time=\"1.500\" timestamp=\"1970-01-01T00:00:00Z\""
    ));
    let metrics = written("prometheus", &["verbose"]).text;
    assert!(
        metrics.contains(
            "goss_tests_outcomes_total{outcome=\"skip\",resource_id=\"/b\",type=\"file\"} 2\n"
        ),
        "{metrics}"
    );
    assert!(metrics.contains("goss_tests_run_outcomes_total{outcome=\"fail\"} 1\n"));
    assert_eq!(
        summary_line(&results()[0][1]),
        "File: /a: mode: Expected \"0600\" to equal \"0644\""
    );
}
