//! What the checks have found, and how it is written down.

use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use serde_json::{Value, json};

use crate::model::Resource;

/// The results of all checks, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckReport {
    /// One per attribute.
    pub results: Vec<CheckResult>,
    /// How long all of it took.
    pub duration: Duration,
}

/// What became of one attribute of a check.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckResult {
    /// What was looked at.
    pub resource: Resource,
    /// Which one.
    pub name: String,
    /// What people call it.
    pub title: Option<String>,
    /// The attribute.
    pub property: String,
    /// What was asked for, in words.
    pub expected: String,
    /// What is there, or why that is not known.
    pub found: String,
    /// The verdict.
    pub outcome: Outcome,
    /// How long the asking took.
    pub duration: Duration,
}

/// A verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As expected.
    Pass,
    /// Otherwise.
    Fail,
    /// The guest could not tell.
    Error,
    /// Not asked.
    Skip,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Skip => "skip",
        }
    }
}

impl CheckReport {
    /// How many results have this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        let of = self.results.iter().filter(|r| r.outcome == outcome);
        of.count()
    }

    /// Whether nothing failed and everything could be told.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.count(Outcome::Fail) + self.count(Outcome::Error) == 0
    }

    /// `12 passed, 1 failed, 2 skipped`.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut parts = vec![format!("{} passed", self.count(Outcome::Pass))];
        for (outcome, word) in [
            (Outcome::Fail, "failed"),
            (Outcome::Error, "not known"),
            (Outcome::Skip, "skipped"),
        ] {
            let count = self.count(outcome);
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        parts.join(", ")
    }

    /// What is not as it should be.
    pub fn troubles(&self) -> impl Iterator<Item = &CheckResult> {
        let trouble = |r: &&CheckResult| matches!(r.outcome, Outcome::Fail | Outcome::Error);
        self.results.iter().filter(trouble)
    }
}

impl CheckResult {
    /// What was asked: `port tcp:22 listening`.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("{} {} {}", self.resource, self.name, self.property)
    }
}

impl std::fmt::Display for CheckResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let subject = self.subject();
        match self.outcome {
            Outcome::Pass => write!(f, "{subject}: {}", self.expected),
            Outcome::Skip => write!(f, "{subject}: skipped"),
            Outcome::Fail => write!(
                f,
                "{subject}: expected {}, found {}",
                self.expected, self.found
            ),
            Outcome::Error => write!(f, "{subject}: not known: {}", self.found),
        }
    }
}

/// The report as `JUnit` XML.
#[must_use]
pub fn to_junit(report: &CheckReport, suite: &str) -> String {
    let mut out = Writer::new_with_indent(Vec::new(), b' ', 2);
    let written = junit(&mut out, report, suite);
    debug_assert!(written.is_ok(), "writing to memory does not fail");
    String::from_utf8_lossy(&out.into_inner()).into_owned() + "\n"
}

fn junit(out: &mut Writer<Vec<u8>>, report: &CheckReport, suite: &str) -> std::io::Result<()> {
    let count = |outcome| report.count(outcome).to_string();
    let seconds = |time: Duration| format!("{:.3}", time.as_secs_f64());
    out.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    out.create_element("testsuite")
        .with_attribute(("name", clean(suite).as_str()))
        .with_attribute(("tests", report.results.len().to_string().as_str()))
        .with_attribute(("failures", count(Outcome::Fail).as_str()))
        .with_attribute(("errors", count(Outcome::Error).as_str()))
        .with_attribute(("skipped", count(Outcome::Skip).as_str()))
        .with_attribute(("time", seconds(report.duration).as_str()))
        .write_inner_content(|out| {
            for result in &report.results {
                let name = match &result.title {
                    Some(title) => format!("{title}: {} {}", result.name, result.property),
                    None => format!("{} {}", result.name, result.property),
                };
                let case = out
                    .create_element("testcase")
                    .with_attribute(("classname", result.resource.as_str()))
                    .with_attribute(("name", clean(&name).as_str()))
                    .with_attribute(("time", seconds(result.duration).as_str()));
                let tag = match result.outcome {
                    Outcome::Pass => {
                        case.write_empty()?;
                        continue;
                    }
                    Outcome::Fail => "failure",
                    Outcome::Error => "error",
                    Outcome::Skip => "skipped",
                };
                let text = clean(&result.to_string());
                case.write_inner_content(|out| {
                    let trouble = out.create_element(tag);
                    match result.outcome {
                        Outcome::Skip => trouble.write_empty()?,
                        _ => trouble
                            .with_attribute(("message", text.as_str()))
                            .write_text_content(BytesText::new(&clean(&result.found)))?,
                    };
                    Ok(())
                })?;
            }
            Ok(())
        })?;
    Ok(())
}

/// XML has no way to write most control characters.
fn clean(text: &str) -> String {
    let allowed = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().filter(allowed).collect()
}

/// The report as JSON.
#[must_use]
pub fn to_json(report: &CheckReport) -> Value {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let results = report.results.iter().map(|result| {
        json!({
            "resource": result.resource.as_str(),
            "name": result.name,
            "title": result.title,
            "property": result.property,
            "expected": result.expected,
            "found": result.found,
            "outcome": result.outcome.as_str(),
            "duration_ms": millis(result.duration),
        })
    });
    json!({
        "passed": report.passed(),
        "summary": {
            "pass": report.count(Outcome::Pass),
            "fail": report.count(Outcome::Fail),
            "error": report.count(Outcome::Error),
            "skip": report.count(Outcome::Skip),
        },
        "duration_ms": millis(report.duration),
        "results": results.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> CheckReport {
        let result = |outcome, found: &str| CheckResult {
            resource: Resource::Port,
            name: "tcp:22".into(),
            title: (outcome == Outcome::Fail).then(|| "ssh <up>".into()),
            property: "listening".into(),
            expected: "true".into(),
            found: found.into(),
            outcome,
            duration: Duration::from_millis(5),
        };
        CheckReport {
            results: vec![
                result(Outcome::Pass, "true"),
                result(Outcome::Fail, "false & \u{1b}[0m"),
                result(Outcome::Error, "no /proc"),
                result(Outcome::Skip, ""),
            ],
            duration: Duration::from_millis(1500),
        }
    }

    #[test]
    fn a_report_becomes_junit() {
        insta::assert_snapshot!(to_junit(&report(), "verify/mini"), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuite name="verify/mini" tests="4" failures="1" errors="1" skipped="1" time="1.500">
          <testcase classname="port" name="tcp:22 listening" time="0.005"/>
          <testcase classname="port" name="ssh &lt;up&gt;: tcp:22 listening" time="0.005">
            <failure message="port tcp:22 listening: expected true, found false &amp; [0m">false &amp; [0m</failure>
          </testcase>
          <testcase classname="port" name="tcp:22 listening" time="0.005">
            <error message="port tcp:22 listening: not known: no /proc">no /proc</error>
          </testcase>
          <testcase classname="port" name="tcp:22 listening" time="0.005">
            <skipped/>
          </testcase>
        </testsuite>
        "#);
    }

    #[test]
    fn a_report_becomes_json_and_words() {
        let report = report();
        let value = to_json(&report);
        assert_eq!(value["passed"], false);
        assert_eq!(value["summary"]["error"], 1);
        assert_eq!(value["results"][1]["outcome"], "fail");
        assert_eq!(value["duration_ms"], 1500);
        assert_eq!(
            report.summary(),
            "1 passed, 1 failed, 1 not known, 1 skipped"
        );
        let words: Vec<_> = report.troubles().map(ToString::to_string).collect();
        assert_eq!(words[1], "port tcp:22 listening: not known: no /proc");
        assert!(words[0].starts_with("port tcp:22 listening: expected true, found false"));
    }
}
