//! Diagnostics as text, in the manner of rustc and cargo.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::Window;
use super::{Diagnostic, Diagnostics, Label, Severity, SourceMap};

/// Lines longer than this are folded around the place.
const WIDTH: usize = 140;
/// So many are drawn in full, the others have a line each.
const IN_FULL: usize = 20;

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
    let sources = &diagnostics.sources;
    let in_full = diagnostics.iter().take(IN_FULL);
    let drawn: Vec<String> = in_full.map(|d| one(d, sources, &renderer) + "\n").collect();
    let mut text = drawn.join("\n");
    let mut rest = diagnostics.iter().skip(IN_FULL).peekable();
    if rest.peek().is_some() {
        text.push('\n');
    }
    for diagnostic in rest {
        text.push_str(&short(diagnostic, sources));
    }
    text
}

/// A line for a diagnostic: whoever has so many first mends the cause that several of them have.
fn short(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = diagnostic
        .labels
        .first()
        .map(|label| sources.place(label.span));
    let place = place.map_or_else(String::new, |place| format!("{place}: "));
    format!("{severity}: {place}{}\n", diagnostic.message)
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
            let starts = rest[..same].iter().map(|label| label.span.start);
            let ends = rest[..same].iter().map(|label| label.span.end);
            let range = starts.min().unwrap_or(0)..ends.max().unwrap_or(0);
            let window = source.window(range);
            let mut snippet = Snippet::source(window.text)
                .path(&source.name)
                .line_start(window.line);
            for label in &rest[..same] {
                snippet = snippet.annotation(annotation(label, &window, primary));
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
    window: &Window<'_>,
    primary: bool,
) -> annotate_snippets::Annotation<'a> {
    let text = window.text;
    let border = |at: usize| {
        let mut at = at.saturating_sub(window.start).min(text.len());
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
    fn of_very_many_the_first_are_drawn_in_full() {
        let mut sources = SourceMap::default();
        let file = sources.add("builds.toml", "x\n".repeat(40));
        let mut all = Diagnostics::default();
        all.sources = Arc::new(sources);
        for n in 0..30 {
            let fault = Diagnostic::error("x", format!("fault {n}"));
            all.push(fault.label(Span::new(file, 2 * n..2 * n + 1), ""));
        }
        let text = render(&all, false);
        assert_eq!(text.matches("--> builds.toml:").count(), IN_FULL, "{text}");
        let tail = "error: builds.toml:29: fault 28\nerror: builds.toml:30: fault 29\n";
        assert!(text.ends_with(tail), "{text}");
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
