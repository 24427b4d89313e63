//! What a machine is installed from: the ISO, the kickstart files, the boot keys.

use crate::config::loader::unreadable;
use crate::config::tree::{Node, Table, offset_in_literal};
use crate::diag::{Diagnostic, Span};
use crate::model::{
    Boot, Checksum, Duration, IsoSource, Keys, Kickstart, LIBRARY, Late, Layout, MediaFile,
    MediaVia, Part, Text,
};

use super::stage::Here;

/// `iso = { … }`.
pub(super) fn iso(here: &Here<'_>) -> Option<IsoSource> {
    let site = &here.site;
    let table = site
        .required(&here.table, "iso", &here.what(), here.decl.span)?
        .as_table()?;
    let span = here
        .table
        .entry("iso")
        .map_or(here.decl.span, |entry| entry.key_span);
    let nodes = [table.get("url"), table.get("urls")];
    if nodes.iter().all(Option::is_none) {
        site.fault("missing-key", "`iso` needs `url` or `urls`", span);
    }
    let urls: Vec<Text> = nodes
        .into_iter()
        .flatten()
        .flat_map(|node| site.texts(node))
        .collect();
    for node in nodes.into_iter().flatten() {
        urls.iter().for_each(|url| check_place(here, url, node));
    }
    let is_output = |url: &Text| url.late().any(|late| matches!(late, Late::Output { .. }));
    let checksum = match table.get("checksum") {
        Some(node) => Some(checksum(here, node)?),
        None if !urls.is_empty() && !urls.iter().all(is_output) => {
            site.push(
                Diagnostic::error("missing-key", "`iso` needs `checksum`")
                    .label(span, "")
                    .help("`sha256:…`, `file:URL` of a list of checksums, or `none`; only the output of a stage needs none"),
            );
            return None;
        }
        None => None,
    };
    (!urls.is_empty()).then_some(IsoSource { urls, checksum })
}

/// An item of a content library is written in full.
fn check_place(here: &Here<'_>, url: &Text, node: &Node) {
    let shown = url.to_string();
    let Some(rest) = shown.strip_prefix(LIBRARY) else {
        return;
    };
    let parts: Vec<&str> = rest.split('/').collect();
    if matches!(parts[..], [_, _] | [_, _, _]) && parts.iter().all(|part| !part.is_empty()) {
        return;
    }
    here.site.push(
        Diagnostic::error("bad-value", format!("`{shown}` names no item of a content library"))
            .label(node.span, "")
            .help("`library://LIBRARY/ITEM`, or `library://LIBRARY/ITEM/FILE.iso` where the item has several files"),
    );
}

fn checksum(here: &Here<'_>, node: &Node) -> Option<Checksum> {
    let text = here.site.literal(node)?;
    let checksum = match Checksum::parse(&text) {
        Ok(checksum) => checksum,
        Err(error) => {
            here.site.fault("bad-value", error.to_string(), node.span);
            return None;
        }
    };
    let warning = match &checksum {
        Checksum::Hex { algorithm, .. } if algorithm.is_weak() => Some(format!(
            "{algorithm} protects against accidents only: prefer sha256"
        )),
        Checksum::None => Some("the ISO is not verified".to_owned()),
        Checksum::Hex { .. } | Checksum::File(_) => None,
    };
    if let Some(message) = warning {
        let message = format!("{message} (`{}`)", here.key);
        let fault = Diagnostic::warning("weak-checksum", message)
            .label(node.span, "")
            .about(&here.key);
        here.site.push(here.site.with_origin(fault, node));
    }
    Some(checksum)
}

/// `kickstart = { … }`.
pub(super) fn kickstart(here: &Here<'_>, node: &Node) -> Option<Kickstart> {
    let site = &here.site;
    let table = node.as_table()?;
    let via = match table
        .get("via")
        .and_then(|node| site.word(node, &["floppy", "cd", "http"]))
        .as_deref()
    {
        Some("cd") => MediaVia::Cd,
        Some("http") => MediaVia::Http,
        _ => MediaVia::Floppy,
    };
    let template = table
        .get("template")
        .and_then(|node| site.bool(node))
        .unwrap_or(true);
    let label = table.get("label").and_then(|node| site.literal(node));
    let dir_node = site.required(table, "dir", "`kickstart`", node.span)?;
    let dir = site.literal(dir_node)?;
    let mut files = Vec::new();
    match site.loader.world.list(&site.loader.root.join(&dir)) {
        Ok(paths) => {
            for path in paths {
                let path = path.to_string_lossy().replace('\\', "/");
                files.extend(media_file(here, &dir, path, template, dir_node.span));
            }
            if files.is_empty() {
                let message = format!("the directory `{dir}` has no files");
                site.fault("missing-file", message, dir_node.span);
            }
        }
        Err(error) => site.push(unreadable("the directory", &dir, &error, dir_node.span)),
    }
    Some(Kickstart {
        files,
        via,
        label: label.unwrap_or_else(|| "OEMDRV".to_owned()),
    })
}

fn media_file(
    here: &Here<'_>,
    dir: &str,
    path: String,
    template: bool,
    span: Span,
) -> Option<MediaFile> {
    let source = format!("{}/{path}", dir.trim_end_matches('/'));
    if !template {
        return Some(MediaFile::Copy { path, source });
    }
    match here.site.loader.text_file(&source) {
        Ok(Some(file)) => match here.site.render_file(&file.text) {
            Ok(content) => Some(MediaFile::Text { path, content }),
            Err(faults) => {
                for fault in faults.iter().filter(|fault| !fault.code.is_empty()) {
                    let place = Span::new(file.id, fault.range.clone());
                    here.site.push(fault.at(place).label(span, "read for this"));
                }
                None
            }
        },
        Ok(None) => Some(MediaFile::Copy { path, source }),
        Err(error) => {
            here.site
                .push(unreadable("the file", &source, &error, span));
            None
        }
    }
}

/// `boot = { … }`.
pub(super) fn boot(here: &Here<'_>) -> Boot {
    let site = &here.site;
    let empty = Table::default();
    let table = here.table("boot").unwrap_or(&empty);
    let duration = |key: &str| table.get(key).and_then(|node| site.duration(node));
    let layout = table
        .get("layout")
        .and_then(|node| site.word(node, &["us", "de", "fr", "gb"]));
    Boot {
        wait: duration("wait"),
        wait_text: table.get("wait_text").and_then(|node| pattern(here, node)),
        wait_timeout: duration("wait_timeout").unwrap_or(Duration::from_secs(5 * 60)),
        keys: table
            .get("keys")
            .and_then(|node| keys(here, node))
            .unwrap_or_default(),
        interval: duration("interval"),
        layout: match layout.as_deref() {
            Some("de") => Layout::De,
            Some("fr") => Layout::Fr,
            Some("gb") => Layout::Gb,
            _ => Layout::Us,
        },
    }
}

/// A pattern to wait for; an empty one is none: templates cannot leave a key out.
fn pattern(here: &Here<'_>, node: &Node) -> Option<String> {
    let text = here.site.literal(node)?;
    if text.is_empty() {
        return None;
    }
    match regex::RegexBuilder::new(&text).multi_line(true).build() {
        Ok(_) => Some(text),
        Err(error) => {
            let why = error.to_string();
            let why = why
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            here.site.push(
                Diagnostic::error("bad-value", format!("not a regular expression: {why}"))
                    .label(node.span, "")
                    .help("characters such as `[`, `(` and `.` stand for themselves after a backslash; write it in single quotes"),
            );
            None
        }
    }
}

/// Boot keys, checked with something in the place of late values.
fn keys(here: &Here<'_>, node: &Node) -> Option<Text> {
    let text = here.site.text(node)?;
    let sample = |part: &Part| match part {
        Part::Literal(literal) => literal.clone(),
        Part::Late(Late::HttpPort) => "8080".to_owned(),
        Part::Late(Late::Report) => "http://10.0.2.2:8080/report/0".to_owned(),
        Part::Late(_) => "10.0.2.2".to_owned(),
    };
    let typed: String = text.parts().iter().map(sample).collect();
    if let Err(error) = Keys::parse(&typed) {
        let span = place_of(here, node, typed.get(error.at.clone()).unwrap_or_default());
        here.site.push(
            Diagnostic::error("boot-keys", error.message)
                .label(span, "")
                .maybe_help(error.help),
        );
        return None;
    }
    Some(text)
}

/// Where `part` stands in the string of `node`; the whole string if it comes from a variable.
fn place_of(here: &Here<'_>, node: &Node, part: &str) -> Span {
    let sources = here.site.loader.sources.borrow();
    let raw = sources.text(node.span);
    let at = node
        .as_text()
        .and_then(|text| text.find(part))
        .filter(|_| !part.is_empty());
    match at {
        Some(at) => {
            let place = |at| node.span.start + offset_in_literal(raw, at);
            Span::new(node.span.file, place(at)..place(at + part.len()))
        }
        None => node.span,
    }
}
