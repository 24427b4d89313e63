//! Diagnostics as text, in the manner of rustc and cargo.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Diagnostic, Diagnostics, Label, Severity, SourceMap};

/// Lines longer than this are folded around the place.
const WIDTH: usize = 140;

/// Draws all diagnostics, one after the other with an empty line between, each ending in a new line. `colour` turns ANSI
/// colours on.
#[must_use]
pub fn render(diagnostics: &Diagnostics, colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    }
    .term_width(WIDTH);
    let drawn: Vec<String> = diagnostics
        .iter()
        .map(|d| one(d, &diagnostics.sources, &renderer) + "\n")
        .collect();
    drawn.join("\n")
}

fn one(diagnostic: &Diagnostic, sources: &SourceMap, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(&diagnostic.message));
    let mut rest = diagnostic.labels.as_slice();
    let mut primary = true;
    while let Some(first) = rest.first() {
        let same = rest
            .iter()
            .take_while(|label| label.span.file == first.span.file)
            .count();
        if let Some(source) = sources.get(first.span.file) {
            let mut snippet = Snippet::source(&source.text).path(&source.name);
            for label in &rest[..same] {
                snippet = snippet.annotation(annotation(label, &source.text, primary));
                primary = false;
            }
            group = group.element(snippet);
        }
        rest = &rest[same..];
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(help));
    }
    renderer.render(&[group])
}

/// A label's annotation, its span brought to character borders inside of the text.
fn annotation<'a>(
    label: &'a Label,
    text: &str,
    primary: bool,
) -> annotate_snippets::Annotation<'a> {
    let border = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, mut end) = (border(label.span.start), border(label.span.end));
    // a value over several lines is shown by its first one
    if let Some(line) = text.get(start..end).and_then(|part| part.find('\n')) {
        end = start + line;
    }
    let kind = if primary {
        AnnotationKind::Primary
    } else {
        AnnotationKind::Context
    };
    let annotation = kind.span(start..end.max(start));
    if label.text.is_empty() {
        annotation
    } else {
        annotation.label(label.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Span;
    use super::*;

    fn sample() -> Diagnostics {
        let mut sources = SourceMap::default();
        let file = sources.add("builds.toml", "[machine]\nmemroy = \"4GiB\"\n");
        let other = sources.add("vars/common.toml", "cpus = \"ä\"\n");
        let mut all = Diagnostics::default();
        all.sources = Arc::new(sources);
        all.push(
            Diagnostic::error("unknown-key", "unknown key `memroy`")
                .label(Span::new(file, 10..16), "")
                .label(Span::new(other, 7..11), "here")
                .help("did you mean `memory`?"),
        );
        all.push(Diagnostic::warning("project", "no place").maybe_help(None::<String>));
        all
    }

    #[test]
    fn a_diagnostic_shows_place_caret_and_help() {
        insta::assert_snapshot!(render(&sample(), false), @r#"
        error: unknown key `memroy`
         --> builds.toml:2:1
          |
        2 | memroy = "4GiB"
          | ^^^^^^
          |
         ::: vars/common.toml:1:8
          |
        1 | cpus = "ä"
          |        --- here
          |
          = help: did you mean `memory`?

        warning: no place
        "#);
    }

    #[test]
    fn colour_is_only_there_when_asked_for() {
        assert!(render(&sample(), true).contains("\u{1b}["));
        assert!(!render(&sample(), false).contains('\u{1b}'));
    }

    #[test]
    fn spans_outside_of_the_text_do_no_harm() {
        let mut all = sample();
        let file = all.iter().next().unwrap().labels[0].span.file;
        all.push(Diagnostic::error("x", "far").label(Span::new(file, 900..1000), ""));
        assert!(render(&all, false).contains("far"));
    }
}
