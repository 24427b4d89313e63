//! What a command tells that it has read: rules of Make in a file, and lines of its output.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::engine::Output;

/// The files that the rules in `text` depend on, in their order; or what is wrong with it, with the line's number.
pub(super) fn parse(text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let (mut rules, mut number) = (0, 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        number += 1;
        let first = number;
        let mut rule = line.to_owned();
        while continues(&rule) {
            rule.pop();
            rule.push(' ');
            let Some(next) = lines.next() else {
                return Err(format!("line {number}: it ends within a rule"));
            };
            number += 1;
            rule.push_str(next);
        }
        if rule.trim().is_empty() || rule.trim_start().starts_with('#') {
            continue;
        }
        let (targets, files) =
            split(&rule).ok_or_else(|| format!("line {first}: a rule needs a `:`"))?;
        if words(targets).is_empty() {
            return Err(format!("line {first}: there is nothing before the `:`"));
        }
        found.extend(words(files));
        rules += 1;
    }
    if rules == 0 {
        return Err("there is no rule in it".to_owned());
    }
    Ok(found)
}

/// Whether a line goes on in the next one: an odd number of backslashes ends it.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// A rule at its colon: one with white space or nothing behind it, so that `C:\a` is a path.
fn split(rule: &str) -> Option<(&str, &str)> {
    let bytes = rule.as_bytes();
    let colons = (0..bytes.len()).filter(|at| bytes[*at] == b':');
    let mut ends = colons.filter(|at| bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace));
    ends.next().map(|at| (&rule[..at], &rule[at + 1..]))
}

/// The words of a part of a rule. `\ ` and `\#` are a space and a `#`, `$$` a `$`; any other backslash is one.
fn words(part: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = part.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                let mut slashes = 1;
                while chars.next_if_eq(&'\\').is_some() {
                    slashes += 1;
                }
                let escapes = matches!(chars.peek(), Some(' ' | '\t' | '#'));
                // before a space each pair is one backslash, and the odd one escapes it
                let kept = if escapes { slashes / 2 } else { slashes };
                word.extend(std::iter::repeat_n('\\', kept));
                if escapes && slashes % 2 == 1 {
                    word.extend(chars.next());
                }
            }
            '$' if chars.next_if_eq(&'$').is_some() => word.push('$'),
            space if space.is_ascii_whitespace() => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            other => word.push(other),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// `path` as a command in `dir` means it: relative to the project's `root` where it lies inside, else absolute.
pub(super) fn place(root: &Path, dir: &Path, path: &str) -> String {
    let mut whole = PathBuf::new();
    for part in dir.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            part => whole.push(part),
        }
    }
    let shown = whole.strip_prefix(root).unwrap_or(&whole);
    shown.to_string_lossy().into_owned()
}

/// Takes lines that name a file that was read out of a command's output.
pub(super) struct Lines {
    prefix: String,
    partial: Vec<u8>,
    /// The paths as the command wrote them.
    pub(super) found: BTreeSet<String>,
}

impl Lines {
    /// Lines that begin with `prefix`.
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            partial: Vec::new(),
            found: BTreeSet::new(),
        }
    }

    /// Takes more output, and passes on what is none of these lines.
    pub(super) fn bytes(&mut self, bytes: &[u8], output: &Output) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.end(output);
            }
        }
    }

    /// Output that has no line end is a line now.
    pub(super) fn end(&mut self, output: &Output) {
        let line = std::mem::take(&mut self.partial);
        let text = String::from_utf8_lossy(&line);
        match text.trim_start().strip_prefix(self.prefix.as_str()) {
            Some(path) if !path.trim().is_empty() => {
                self.found.insert(path.trim().to_owned());
            }
            _ => output.bytes(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_make_reads_them() {
        for (text, expected) in [
            ("a.o: a.c a.h\n", &["a.c", "a.h"][..]),
            ("a.o: a.c \\\n  a.h \\\r\n", &["a.c", "a.h"]),
            ("a.o b.o : a.c\na.h:\n\n", &["a.c"]),
            ("# by hand\na.o:", &[]),
            (
                "a.o: with\\ space a\\#b $$x c\\\\ d",
                &["with space", "a#b", "$x", "c\\", "d"],
            ),
            ("a.o: C:\\src\\a.c D:/b.h", &["C:\\src\\a.c", "D:/b.h"]),
            ("C:\\a.o: a.c", &["a.c"]),
        ] {
            // a carriage return at a line's end is no part of it
            let text = text.replace("\\\r\n", "\\\n");
            assert_eq!(parse(&(text + "\n")).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_rule_is_told_with_its_line() {
        for (text, expected) in [
            ("", "there is no rule in it"),
            ("\n# nothing\n", "there is no rule in it"),
            ("a.o: b\n\nno colon here\n", "line 3: a rule needs a `:`"),
            (": a.c\n", "line 1: there is nothing before the `:`"),
            ("x: a\na.o: a.c \\", "line 2: it ends within a rule"),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected, "{text:?}");
        }
    }

    #[test]
    fn paths_are_the_projects_where_they_lie_in_it() {
        let root = Path::new("/p");
        let dir = Path::new("/p/build");
        assert_eq!(place(root, dir, "../src/./a.h"), "src/a.h");
        assert_eq!(place(root, dir, "a.h"), "build/a.h");
        assert_eq!(place(root, dir, "/p/src/a.h"), "src/a.h");
        assert_eq!(
            place(root, dir, "/usr/include/stdio.h"),
            "/usr/include/stdio.h"
        );
        assert_eq!(place(root, dir, "../../other/a.h"), "/other/a.h");
    }

    proptest::proptest! {
        #[test]
        fn whatever_make_quotes_comes_back(paths in proptest::collection::vec("[a-zA-Z0-9 #$/._:-]{0,12}[a-z]", 1..6)) {
            let quoted: Vec<String> = paths.iter().map(|path| {
                path.replace('$', "$$").replace('#', "\\#").replace(' ', "\\ ")
            }).collect();
            let text = format!("a.o: {}\n", quoted.join(" \\\n "));
            proptest::prop_assert_eq!(parse(&text).unwrap(), paths);
        }

        #[test]
        fn no_text_is_too_much(text in "(?s).{0,80}") {
            let _ = parse(&text);
        }
    }
}
