//! What installers report to forge's own server, made harmless: texts of strangers, in bounded sizes.

use axum::body::Body;
use axum::http::Uri;
use futures_util::StreamExt as _;

use super::source::percent_decoded;

/// As much of a body is read; the rest is not.
const BODY: usize = 16 << 10;
/// As many characters of a message are kept, and of a name.
const MESSAGE: usize = 2000;
const NAME: usize = 100;
/// As many lines.
const LINES: usize = 20;
/// As many reports are taken from one machine.
pub(super) const REPORTS: usize = 1000;
/// The name of a report that ends the stage.
const FAIL: &str = "fail";

/// What an installer has reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What stands behind the report URL: `post-started`. May be empty.
    pub name: String,
    /// The `message` of the query, else the body: at most 20 lines and 2000 characters, without control characters.
    pub message: String,
}

impl Report {
    /// Whether it says that the installation has failed, and why.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        (self.name == FAIL).then(|| match self.message.as_str() {
            "" => "no reason given".to_owned(),
            message => message.to_owned(),
        })
    }

    /// The report whose `name` stood behind the report URL, still encoded.
    pub(super) async fn read(name: &str, uri: &Uri, body: Body) -> Self {
        let message = match field(uri.query().unwrap_or_default(), "message") {
            Some(message) => message,
            None => text(body).await,
        };
        Self {
            name: harmless(&percent_decoded(name).replace('/', " "), NAME).replace('\n', " "),
            message: harmless(&message, MESSAGE),
        }
    }
}

/// The body's beginning. `curl --data-urlencode message=…` sends a form; anything else is the message itself.
async fn text(body: Body) -> String {
    let mut bytes = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        let room = BODY - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if bytes.len() == BODY {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    match text.starts_with("message=") {
        true => field(&text, "message").unwrap_or_default(),
        false => text.into_owned(),
    }
}

/// The value of a field in `a=1&b=2`.
fn field(query: &str, name: &str) -> Option<String> {
    let mut fields = query.split('&').filter_map(|field| field.split_once('='));
    let (_, value) = fields.find(|(known, _)| *known == name)?;
    Some(percent_decoded(&value.replace('+', " ")))
}

/// Without control characters (a tab is a space), blank lines at the ends, and what is too much.
fn harmless(text: &str, limit: usize) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    let kept = lines[..lines.len().min(LINES)].join("\n");
    let shown = |c: char| match c {
        '\n' => Some(c),
        '\t' => Some(' '),
        c if c.is_control() => None,
        c => Some(c),
    };
    let mut chars = kept.chars().filter_map(shown);
    let mut text: String = chars.by_ref().take(limit).collect();
    if lines.len() > LINES || chars.next().is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    async fn read(name: &str, uri: &str, body: &str) -> (String, String) {
        let uri = uri.parse().unwrap();
        let report = Report::read(name, &uri, Body::from(body.to_owned())).await;
        (report.name, report.message)
    }

    #[tokio::test]
    async fn messages_come_in_the_query_as_a_form_or_as_the_body() {
        let expected = ("post".to_owned(), "a & b, 50%".to_owned());
        for (uri, body) in [
            ("/report/t/post?x=1&message=a+%26%20b,+50%25", ""),
            ("/report/t/post", "message=a+%26+b%2C+50%25"),
            ("/report/t/post", "a & b, 50%\n"),
        ] {
            assert_eq!(read("post", uri, body).await, expected, "{uri} {body}");
        }
        assert_eq!(read("", "/r", "").await, (String::new(), String::new()));
        assert_eq!(read("a%2Fb/c", "/r", "").await.0, "a b c");
    }

    #[tokio::test]
    async fn what_is_too_much_or_harmful_is_left_out() {
        let (_, message) = read("x", "/r", "\u{1b}[31mred\u{7}\tone\r\ntwo\n").await;
        assert_eq!(message, "[31mred one\ntwo");
        let (_, message) = read("x", "/r", &"y".repeat(100_000)).await;
        assert_eq!(message, format!("{}…", "y".repeat(MESSAGE)));
        let (_, message) = read("x", "/r", &"z\n".repeat(30)).await;
        assert_eq!(message.lines().count(), LINES);
        assert!(message.ends_with('…'));
    }

    #[test]
    fn a_failure_always_has_a_reason() {
        let report = |name: &str, message: &str| Report {
            name: name.into(),
            message: message.into(),
        };
        assert_eq!(report("post", "x").failure(), None);
        assert_eq!(report("fail", "x").failure().as_deref(), Some("x"));
        assert_eq!(
            report("fail", "").failure().as_deref(),
            Some("no reason given")
        );
    }

    proptest! {
        #[test]
        fn no_text_gets_through_with_control_characters_or_without_bounds(text in "\\PC*|(?s).*") {
            let kept = harmless(&text, 50);
            prop_assert!(kept.chars().count() <= 51);
            prop_assert!(kept.lines().count() <= LINES);
            prop_assert!(!kept.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
