//! Sprig's functions for paths and URLs.

use super::{Call, Function, Outcome, truth};
use crate::goss::{Value, clean};

pub(super) const TABLE: &[Function] = &[
    ("base", 1, 1, |call| Ok(base(call.text(0)?).into())),
    ("osBase", 1, 1, |call| Ok(base(call.text(0)?).into())),
    ("dir", 1, 1, |call| Ok(dir(call.text(0)?).into())),
    ("osDir", 1, 1, |call| Ok(dir(call.text(0)?).into())),
    ("clean", 1, 1, |call| Ok(clean(call.text(0)?).into())),
    ("osClean", 1, 1, |call| Ok(clean(call.text(0)?).into())),
    ("ext", 1, 1, |call| Ok(ext(call.text(0)?).into())),
    ("osExt", 1, 1, |call| Ok(ext(call.text(0)?).into())),
    ("isAbs", 1, 1, |call| truth(call.text(0)?.starts_with('/'))),
    ("osIsAbs", 1, 1, |call| {
        truth(call.text(0)?.starts_with('/'))
    }),
    ("urlParse", 1, 1, url_parse),
    ("urlJoin", 1, 1, url_join),
];

fn base(path: &str) -> String {
    if path.is_empty() {
        return ".".into();
    }
    match path.trim_end_matches('/') {
        "" => "/".into(),
        path => path.rsplit('/').next().unwrap_or(path).to_owned(),
    }
}

fn dir(path: &str) -> String {
    clean(path.rfind('/').map_or("", |at| &path[..=at]))
}

fn ext(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rfind('.').map_or("", |at| &name[at..]).to_owned()
}

/// The pieces of a URL as Sprig names them.
fn url_parse(call: &Call<'_>) -> Outcome {
    let text = call.text(0)?;
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let scheme = rest.split_once(':').filter(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    });
    let (scheme, rest) = scheme.unwrap_or(("", rest));
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (opaque, path) = if !scheme.is_empty() && authority.is_empty() && !path.starts_with('/') {
        (path, "")
    } else {
        ("", path)
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let bare = match host.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or(inner),
        None => host.split(':').next().unwrap_or(host),
    };
    let entries = [
        ("scheme", scheme.to_lowercase().as_str()),
        ("host", host),
        ("hostname", bare),
        ("path", path),
        ("query", query),
        ("opaque", opaque),
        ("fragment", fragment),
        ("userinfo", user),
    ]
    .map(|(key, value)| (key.to_owned(), Value::from(value)));
    Ok(Value::Map(entries.into()))
}

fn url_join(call: &Call<'_>) -> Outcome {
    let map = call.map(0)?;
    let part = |key: &str| map.get(key).and_then(Value::as_text).unwrap_or_default();
    let mut out = String::new();
    if !part("scheme").is_empty() {
        out.push_str(part("scheme"));
        out.push(':');
    }
    out.push_str(part("opaque"));
    if !part("host").is_empty() {
        out.push_str("//");
        if !part("userinfo").is_empty() {
            out.push_str(part("userinfo"));
            out.push('@');
        }
        out.push_str(part("host"));
        if !part("path").is_empty() && !part("path").starts_with('/') {
            out.push('/');
        }
    }
    out.push_str(part("path"));
    for (mark, key) in [('?', "query"), ('#', "fragment")] {
        if !part(key).is_empty() {
            out.push(mark);
            out.push_str(part(key));
        }
    }
    Ok(out.into())
}
