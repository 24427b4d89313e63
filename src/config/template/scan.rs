//! What a template consists of, read without evaluating it: its pieces, the variables that it names and the filters.
//!
//! Two things need this. Stage names have hyphens, which expressions read as minus: the scanner rewrites such names to
//! subscripts (`stages.mini-iso` → `stages["mini-iso"]`). And faults must point at the variable that is wrong, and
//! dependencies be known, before anything is evaluated.

use std::ops::Range;

use super::tokens::{Token, Tokens, close, end_of_raw, is_word, next_open};

/// A template's parts.
#[derive(Debug, Default)]
pub(in crate::config) struct Scan {
    /// Literal text and expressions in order.
    pub(super) pieces: Vec<Piece>,
    /// Variables, in order.
    pub(in crate::config) refs: Vec<Ref>,
    /// Names of filters, in order.
    pub(super) filters: Vec<(String, Range<usize>)>,
    /// It has statements, comments or white space control: it is rendered as a whole.
    pub(super) complex: bool,
    /// An expression or statement that never ends.
    pub(super) unclosed: Option<Range<usize>>,
    edits: Vec<(Range<usize>, String)>,
}

/// A stretch of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Literal(Range<usize>),
    /// The inside of `{{ … }}`.
    Expression(Range<usize>),
}

/// A variable with its path: `common.cpus`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct Ref {
    /// Its parts with their places.
    pub(in crate::config) path: Vec<(String, Range<usize>)>,
    /// It may be undefined: a `default` filter or an `is` test follows.
    pub(super) guarded: bool,
    /// It stands in a statement.
    pub(super) in_statement: bool,
    /// The filter that follows at once.
    pub(super) filter: Option<String>,
}

impl Ref {
    /// From the first to the last part.
    pub(in crate::config) fn range(&self) -> Range<usize> {
        let start = self.path.first().map_or(0, |(_, r)| r.start);
        start..self.path.last().map_or(start, |(_, r)| r.end)
    }

    /// The parts joined by dots.
    pub(in crate::config) fn dotted(&self) -> String {
        let parts: Vec<&str> = self.parts().collect();
        parts.join(".")
    }

    /// The parts.
    pub(in crate::config) fn parts(&self) -> impl Iterator<Item = &str> {
        self.path.iter().map(|(part, _)| part.as_str())
    }
}

/// Whether `text` has anything to render.
pub(in crate::config) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// The name under which a root variable with a hyphen is given to expressions.
pub(in crate::config) fn root_name(name: &str) -> String {
    name.replace('-', "_x2d_").replace('.', "_x2e_")
}

impl Scan {
    /// Scans `text`.
    pub(in crate::config) fn new(text: &str) -> Self {
        let mut scan = Self::default();
        let mut at = 0;
        while let Some((open, kind)) = next_open(text, at) {
            scan.literal(at..open);
            let inner = open + 2;
            let Some(end) = close(text, inner, kind) else {
                scan.unclosed = Some(open..text.len());
                return scan;
            };
            at = end + 2;
            let body = &text[inner..end];
            let control = body.starts_with(['-', '+']) || body.ends_with(['-', '+']);
            match kind {
                '{' => {
                    scan.complex |= control;
                    scan.pieces.push(Piece::Expression(inner..end));
                    scan.names(text, inner..end, false);
                }
                '%' => {
                    scan.complex = true;
                    if body.trim_matches(['-', '+', ' ']) == "raw" {
                        at = end_of_raw(text, at);
                    } else {
                        scan.names(text, inner..end, true);
                    }
                }
                _ => scan.complex = true,
            }
        }
        scan.literal(at..text.len());
        scan
    }

    fn literal(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.pieces.push(Piece::Literal(range));
        }
    }

    /// The text of `range` with hyphenated names as subscripts.
    pub(super) fn rewritten(&self, text: &str, range: &Range<usize>) -> String {
        let mut out = String::with_capacity(range.len());
        let mut at = range.start;
        for (place, new) in &self.edits {
            if place.start >= at && place.end <= range.end {
                out.push_str(&text[at..place.start]);
                out.push_str(new);
                at = place.end;
            }
        }
        out.push_str(&text[at..range.end]);
        out
    }

    /// The expression that the whole template is.
    pub(super) fn single(&self) -> Option<&Range<usize>> {
        match self.pieces.as_slice() {
            [Piece::Expression(range)] if !self.complex => Some(range),
            _ => None,
        }
    }

    /// Whether the whole template is one expression.
    pub(in crate::config) fn is_single(&self) -> bool {
        self.single().is_some()
    }

    /// Finds variables and filters in an expression or statement.
    fn names(&mut self, text: &str, range: Range<usize>, in_statement: bool) {
        let mut tokens = Tokens {
            text,
            at: range.start,
            end: range.end,
        };
        let mut before = Before::Start;
        while let Some((token, place)) = tokens.next() {
            before = match token {
                Token::Name if before == Before::Pipe => {
                    let name = text[place.clone()].to_owned();
                    self.filters.push((name, place));
                    Before::Value
                }
                Token::Name if before == Before::Is || is_word(&text[place.clone()]) => {
                    match &text[place] {
                        "is" => Before::Is,
                        "not" if before == Before::Is => Before::Is,
                        _ => Before::Start,
                    }
                }
                Token::Name if before == Before::Dot => Before::Value,
                Token::Name => {
                    self.variable(&mut tokens, place, in_statement);
                    Before::Value
                }
                Token::Pipe => Before::Pipe,
                Token::Dot => Before::Dot,
                Token::Text | Token::Other => Before::Start,
            };
        }
    }

    /// Reads on after a variable's first name.
    fn variable(&mut self, tokens: &mut Tokens<'_>, first: Range<usize>, in_statement: bool) {
        let text = tokens.text;
        let first = self.root(tokens, first);
        let mut path = vec![(text[first.clone()].to_owned(), first)];
        loop {
            let mut ahead = Tokens { ..*tokens };
            match ahead.next() {
                Some((Token::Dot, dot)) => match ahead.name_with_hyphens() {
                    Some(place) => {
                        let name = text[place.clone()].to_owned();
                        if name.contains('-') {
                            self.edits
                                .push((dot.start..place.end, format!("[{name:?}]")));
                        }
                        path.push((name, place));
                    }
                    None => break,
                },
                Some((Token::Other, open)) if &text[open.clone()] == "[" => {
                    let Some((Token::Text, name)) = ahead.next() else {
                        break;
                    };
                    match ahead.next() {
                        Some((Token::Other, close)) if &text[close.clone()] == "]" => {}
                        _ => break,
                    }
                    let inside = name.start + 1..name.end.saturating_sub(1).max(name.start + 1);
                    path.push((text[inside.clone()].to_owned(), inside));
                }
                _ => break,
            }
            *tokens = ahead;
        }
        let mut ahead = Tokens { ..*tokens };
        let next = ahead.next();
        let word = next.as_ref().map_or("", |(_, place)| &text[place.clone()]);
        let after = ahead.next().map_or("", |(_, place)| &text[place]);
        // a call (`range(3)`), or the name of an argument (`indent(width=2)`)
        if path.len() == 1 && (word == "(" || (word == "=" && after != "=")) {
            return;
        }
        self.refs.push(Ref {
            path,
            guarded: word == "is" || (word == "|" && matches!(after, "default" | "d")),
            in_statement,
            filter: (word == "|").then(|| after.to_owned()),
        });
    }

    /// A root name with hyphens, if a dot follows: a scope's. Else only its first part: what follows is a minus.
    fn root(&mut self, tokens: &mut Tokens<'_>, first: Range<usize>) -> Range<usize> {
        let mut ahead = Tokens {
            at: first.start,
            ..*tokens
        };
        match ahead.name_with_hyphens() {
            Some(whole) if whole.end > first.end && tokens.text[whole.end..].starts_with('.') => {
                let name = root_name(&tokens.text[whole.clone()]);
                self.edits.push((whole.clone(), name));
                *tokens = ahead;
                whole
            }
            _ => first,
        }
    }
}

/// What stands before a token.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Start,
    Value,
    Pipe,
    Dot,
    Is,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        Scan::new(text).refs.iter().map(Ref::dotted).collect()
    }

    fn rewritten(text: &str) -> String {
        Scan::new(text).rewritten(text, &(0..text.len()))
    }

    #[test]
    fn variables_are_found_with_their_paths() {
        assert_eq!(
            names("a {{ x.y }} b {{ z | default(w.v, true) }}"),
            ["x.y", "z", "w.v"]
        );
        assert_eq!(names("{{ x['y'].z ~ \"q.r\" }}"), ["x.y.z"]);
        assert_eq!(
            names("{% if axis.os == 'a' and not b is defined %}x{% endif %}"),
            ["axis.os", "b"]
        );
        assert_eq!(names("{{ range(3) | join(d=',') }} {{ x(y) }}"), ["y"]);
        assert_eq!(names("{% raw %}{{ x }}{% endraw %}{{ y }}"), ["y"]);
        assert_eq!(names("${#array} {# {{ no }} #}"), [""; 0]);
    }

    #[test]
    fn hyphenated_names_become_subscripts() {
        assert_eq!(
            rewritten("{{ stages.mini-iso.outputs.iso-file }}"),
            "{{ stages[\"mini-iso\"].outputs[\"iso-file\"] }}"
        );
        assert_eq!(
            names("{{ stages.mini-iso.outputs.x }}"),
            ["stages.mini-iso.outputs.x"]
        );
        assert_eq!(
            rewritten("{{ a.b - c.d }} {{ a-b }}"),
            "{{ a.b - c.d }} {{ a-b }}"
        );
        assert_eq!(rewritten("{{ os-x.y }}"), "{{ os_x2d_x.y }}");
        assert_eq!(names("{{ os-x.y }}"), ["os-x.y"]);
        assert_eq!(rewritten("x-y.z {{- a.b -}}"), "x-y.z {{- a.b -}}");
    }

    #[test]
    fn braces_and_quotes_inside_of_expressions_do_not_end_them() {
        let text = "{{ {'a': {'b': 1}}['a'] }}{{ '}}' }}";
        let scan = Scan::new(text);
        assert_eq!(
            scan.pieces,
            [Piece::Expression(2..24), Piece::Expression(28..34)]
        );
        assert!(Scan::new("a {{ b").unclosed.is_some());
        assert!(Scan::new("{{ x }}").single().is_some());
        assert!(Scan::new("{{ x }} ").single().is_none());
    }

    #[test]
    fn guards_and_filters_are_noted() {
        let scan = Scan::new("{{ a.b | default('x') | upper }}{{ c | lower }}{{ d is defined }}");
        let guarded: Vec<bool> = scan.refs.iter().map(|r| r.guarded).collect();
        assert_eq!(guarded, [true, false, true]);
        assert_eq!(scan.refs[1].filter.as_deref(), Some("lower"));
        let filters: Vec<&str> = scan.filters.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(filters, ["default", "upper", "lower"]);
    }
}
