//! The template engine as forge sets it up: strict, with filters that refuse late values.

use std::borrow::Cow;
use std::sync::LazyLock;

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::late::has_token;

/// Filters that work on a late value, because they do not look into it.
pub(super) const LATE_FILTERS: &[&str] = &["default", "d", "join", "string", "safe", "list"];

/// What a filter says that was given a late value.
pub(super) const TOO_EARLY: &str = "this value is known only when the stage runs";

/// Filters by name, for near names.
pub(super) const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "basename",
    "batch",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "dirname",
    "e",
    "escape",
    "first",
    "float",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "regex_escape",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "chain",
    "zip",
];

/// The one engine: it holds no values, so that compiled expressions can be kept for as long as anyone likes.
pub(super) static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(engine);

fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_keep_trailing_newline(true);
    engine.set_debug(false);
    engine.add_filter("upper", |text: Cow<'_, str>| {
        known(text).map(|t| t.to_uppercase())
    });
    engine.add_filter("lower", |text: Cow<'_, str>| {
        known(text).map(|t| t.to_lowercase())
    });
    engine.add_filter("capitalize", |text: Cow<'_, str>| {
        known(text).map(|t| capitalize(&t))
    });
    engine.add_filter("trim", |text: Cow<'_, str>| {
        known(text).map(|t| t.trim().to_owned())
    });
    engine.add_filter("regex_escape", |text: Cow<'_, str>| {
        known(text).map(|t| regex::escape(&t))
    });
    engine.add_filter("basename", |text: Cow<'_, str>| {
        known(text).map(|t| basename(&t))
    });
    engine.add_filter("dirname", |text: Cow<'_, str>| {
        known(text).map(|t| dirname(&t))
    });
    engine.add_filter(
        "tojson",
        |value: &Value, args: minijinja::value::Rest<Value>| {
            let indent = args.first().and_then(Value::as_i64).filter(|i| *i > 0);
            let text = json(value, indent.is_some())?;
            known(Cow::Owned(text)).map(Cow::into_owned)
        },
    );
    engine.add_filter(
        "replace",
        |text: Cow<'_, str>, from: Cow<'_, str>, to: Cow<'_, str>| {
            known(text).map(|text| text.replace(from.as_ref(), &to))
        },
    );
    engine
}

fn known(text: Cow<'_, str>) -> Result<Cow<'_, str>, Error> {
    if has_token(&text) {
        return Err(Error::new(ErrorKind::InvalidOperation, TOO_EARLY));
    }
    Ok(text)
}

fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + &chars.as_str().to_lowercase()
}

fn basename(path: &str) -> String {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn dirname(path: &str) -> String {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", _)) => "/".to_owned(),
        Some((dir, _)) => dir.to_owned(),
        None => ".".to_owned(),
    }
}

/// JSON as it stands in a file: not escaped for HTML, as the engine's own filter does.
fn json(value: &Value, pretty: bool) -> Result<String, Error> {
    let text = if pretty {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    text.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}
