//! From what a system said to what is reported.

use std::collections::BTreeMap;
use std::time::Duration;

use super::kinds::Role;
use super::matcher::{self, MatcherResult, Subject};
use super::resource::Expectation;
use super::{Answer, Resource, ResourceKind, Truth, Value};

/// How an expectation fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Pass,
    /// It does not hold, or could not be tried.
    Fail,
    /// It was not tried.
    Skip,
}

/// One attribute of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct TestResult {
    /// How it fared.
    pub outcome: Outcome,
    /// The resource's type.
    pub kind: ResourceKind,
    /// [`Resource::id`].
    pub id: String,
    /// The attribute's reported name.
    pub property: &'static str,
    /// The resource's title.
    pub title: Option<String>,
    /// The resource's notes.
    pub meta: Option<BTreeMap<String, Value>>,
    /// Why it could not be tried to the end.
    pub error: Option<String>,
    /// What was expected and found; without content for what was skipped or could not even be begun.
    pub told: MatcherResult,
    /// How long the system took to answer: all of it is counted for a resource's first attribute.
    pub took: Duration,
}

/// Judges a resource by the answer to its question; a resource without a question takes an empty answer. There is one result for
/// each attribute that must hold: when the first one does not (or is false), the others are skipped.
#[must_use]
pub fn judge(resource: &Resource, answer: &Answer) -> Vec<TestResult> {
    let mut results: Vec<TestResult> = Vec::with_capacity(resource.len());
    let mut skip = resource.skip;
    for (number, expectation) in resource.expectations.iter().enumerate() {
        let mut result = TestResult {
            outcome: Outcome::Skip,
            kind: resource.kind,
            id: resource.id(),
            property: expectation.attribute.reported,
            title: resource.title.clone(),
            meta: resource.meta.clone(),
            error: None,
            told: MatcherResult::default(),
            took: if number == 0 {
                answer.took
            } else {
                Duration::ZERO
            },
        };
        if !skip {
            try_out(resource, expectation, answer, &mut result);
        }
        if number == 0 && resource.kind.gates() {
            let said_no = result.told.actual == Value::Bool(false).into();
            skip |= result.outcome != Outcome::Pass || said_no;
        }
        results.push(result);
    }
    results
}

fn try_out(
    resource: &Resource,
    expectation: &Expectation,
    answer: &Answer,
    result: &mut TestResult,
) {
    let subject = match subject(resource, expectation, answer) {
        Ok(subject) => subject,
        Err(error) => {
            result.outcome = Outcome::Fail;
            result.error = Some(error);
            return;
        }
    };
    let verdict = matcher::judge(subject, &expectation.expected);
    result.outcome = if verdict.holds {
        Outcome::Pass
    } else {
        Outcome::Fail
    };
    result.error = verdict.error;
    result.told = verdict.told.unwrap_or_default();
}

fn subject(
    resource: &Resource,
    expectation: &Expectation,
    answer: &Answer,
) -> Result<Subject, String> {
    if resource.kind == ResourceKind::Matching {
        let content = resource
            .settings
            .get("content")
            .cloned()
            .unwrap_or(Value::Null);
        if resource.flag("as-reader") {
            let text = content.to_string().into_bytes();
            return Ok(Subject::Stream(text, "*strings.Reader"));
        }
        return Ok(Subject::Value(content));
    }
    let reported = expectation.attribute.reported;
    let name = if reported == "contains" {
        "contents"
    } else {
        reported
    };
    match answer.values.get(name) {
        Some(Ok(truth)) => Ok(subject_of(truth, resource.kind, reported)),
        Some(Err(error)) => Err(error.clone()),
        None => Err(format!("the system did not tell `{reported}`")),
    }
}

fn subject_of(truth: &Truth, kind: ResourceKind, reported: &str) -> Subject {
    Subject::Value(match truth {
        Truth::Bool(flag) => Value::Bool(*flag),
        Truth::Int(number) => Value::Int(*number),
        Truth::Text(text) => Value::Text(text.clone()),
        Truth::List(all) => Value::Texts(all.clone()),
        Truth::Bytes(bytes) => {
            let stream = match (kind, reported) {
                (ResourceKind::File, _) => "*os.File",
                (ResourceKind::Http, "Headers") => "*strings.Reader",
                (ResourceKind::Http, _) => "*http.bodyEOFSignal",
                _ => "*bytes.Reader",
            };
            return Subject::Stream(bytes.clone(), stream);
        }
    })
}

impl Resource {
    /// What is wrong with its matchers before anything is asked, with the attribute that has the fault.
    pub(super) fn faults(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.expectations.iter().filter_map(|expectation| {
            let fault = matcher::fault(&expectation.expected)?;
            Some((expectation.attribute.name, fault))
        })
    }
}

impl Expectation {
    /// Whether goss would report this attribute at all.
    pub(super) fn counts(role: Role, expected: &Value) -> bool {
        match role {
            Role::Required => true,
            Role::Expected => *expected != Value::Null,
            Role::Searched => !matches!(expected, Value::Null) && *expected != Value::List(vec![]),
            Role::Text | Role::Int | Role::Bool | Role::Texts | Role::Any => false,
        }
    }
}
