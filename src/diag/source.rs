//! The files that faults are shown in.

use std::ops::Range;
use std::sync::OnceLock;

/// A file in a [`SourceMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(usize);

/// A range of bytes in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which file.
    pub file: FileId,
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The span `range` of `file`.
    #[must_use]
    pub const fn new(file: FileId, range: Range<usize>) -> Self {
        Self {
            file,
            start: range.start,
            end: range.end,
        }
    }
}

/// A file's name and text. The text does not show in `Debug`: files of variables may hold secrets.
#[derive(Clone)]
pub struct Source {
    /// As shown to people: relative to the project.
    pub name: String,
    /// Its content.
    pub text: String,
    /// Where its lines begin, found at the first question: files may be long, and have a question for each of their stages.
    lines: OnceLock<Vec<usize>>,
}

impl Source {
    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let after = self.text.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(after).collect()
        })
    }
}

/// Whole lines of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    pub(super) text: &'a str,
    /// Where it begins in the file.
    pub(super) start: usize,
    /// The number of its first line; the first line of the file is 1.
    pub(super) line: usize,
}

impl Source {
    /// The lines that `range` touches: what is said of a few lines must not cost reading all of a long file.
    pub(super) fn window(&self, range: Range<usize>) -> Window<'_> {
        let lines = self.lines();
        let line_of = |at: usize| lines.partition_point(|start| *start <= at).max(1);
        let line = line_of(range.start.min(self.text.len()));
        let start = lines.get(line - 1).copied().unwrap_or(0);
        let last = line_of(range.end.clamp(start, self.text.len()));
        let end = lines.get(last).copied().unwrap_or(self.text.len());
        Window {
            text: self.text.get(start..end).unwrap_or_default(),
            start,
            line,
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({}, {} bytes)", self.name, self.text.len())
    }
}

/// All files that have been read, in reading order.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<Source>,
}

impl SourceMap {
    /// Adds a file.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        self.files.push(Source {
            name: name.into(),
            text: text.into(),
            lines: OnceLock::new(),
        });
        FileId(self.files.len() - 1)
    }

    /// The file with this id; none if the id is another map's.
    #[must_use]
    pub fn get(&self, id: FileId) -> Option<&Source> {
        self.files.get(id.0)
    }

    /// The text of a span; empty where there is none.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file)
            .and_then(|source| source.text.get(span.start..span.end))
            .unwrap_or_default()
    }

    /// The line and column (in characters) of a span's start; both begin at 1.
    #[must_use]
    pub fn position(&self, span: Span) -> (usize, usize) {
        let Some(source) = self.get(span.file) else {
            return (1, 1);
        };
        let mut at = span.start.min(source.text.len());
        while !source.text.is_char_boundary(at) {
            at -= 1;
        }
        let line = source.lines().partition_point(|start| *start <= at);
        let line_start = source.lines()[line - 1];
        (line, source.text[line_start..at].chars().count() + 1)
    }

    /// `file:line` of a span.
    #[must_use]
    pub fn place(&self, span: Span) -> String {
        let name = self.get(span.file).map_or("?", |source| &source.name);
        format!("{name}:{}", self.position(span).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let mut map = SourceMap::default();
        let file = map.add("a.toml", "x = 1\ny = \"ä\" # z\n");
        let span = Span::new(file, 15..16);
        assert_eq!(map.text(span), "#");
        assert_eq!(map.position(span), (2, 9));
        assert_eq!(map.place(span), "a.toml:2");
    }

    #[test]
    fn a_span_past_the_end_has_a_position_all_the_same() {
        let mut map = SourceMap::default();
        let file = map.add("a", "ä");
        assert_eq!(map.position(Span::new(file, 1..9)), (1, 1));
        assert_eq!(map.position(Span::new(file, 99..99)), (1, 2));
        assert_eq!(map.text(Span::new(file, 99..99)), "");
    }
}
