//! TOML as a tree that remembers where everything stands.

use toml::de::{DeTable, DeValue};

use crate::diag::{Diagnostic, FileId, Span};

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// What can be written in TOML. Dates are not used by any setting and come as text.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Node>),
    Table(Table),
}

/// Keys with their values in file order.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) node: Node,
}

impl Node {
    /// What kind of value it is, with an article, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a string",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Bool(_) => "a boolean",
            Value::List(_) => "an array",
            Value::Table(_) => "a table",
        }
    }

    pub(super) fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an array; any other value is taken as an array of itself.
    pub(super) fn one_or_many(&self) -> &[Self] {
        match &self.value {
            Value::List(nodes) => nodes,
            _ => std::slice::from_ref(self),
        }
    }

    /// Calls `visit` with every string in the tree.
    pub(super) fn each_text<'a>(&'a self, visit: &mut dyn FnMut(&'a Self, &'a str)) {
        match &self.value {
            Value::Text(text) => visit(self, text),
            Value::List(nodes) => nodes.iter().for_each(|node| node.each_text(visit)),
            Value::Table(table) => table.entries.iter().for_each(|e| e.node.each_text(visit)),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => {}
        }
    }
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(super) fn table(&self, key: &str) -> Option<&Self> {
        self.get(key).and_then(Node::as_table)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.key.as_str())
    }

    /// Puts `entry` in the place of one with the same key, or at the end.
    pub(super) fn put(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|e| e.key == entry.key) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
    }
}

/// Parses `text`; what can be read of a broken file is still returned, with all its faults.
pub(super) fn parse(file: FileId, text: &str) -> (Table, Vec<Diagnostic>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let faults = errors.iter().map(|error| fault(file, text, error));
    (table(file, document.get_ref()), faults.collect())
}

/// Parses one TOML value, as `--var` and the environment give them; none if it is not one.
pub(super) fn parse_value(file: FileId, text: &str) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    Some(node(file, &value))
}

fn fault(file: FileId, text: &str, error: &toml::de::Error) -> Diagnostic {
    let mut message = error.message().trim_end().replace('\n', "; ");
    if let Some(first) = message.get(..1) {
        message = first.to_lowercase() + &message[1..];
    }
    let range = error.span().unwrap_or(text.len()..text.len());
    Diagnostic::error("toml", message).label(Span::new(file, range), "")
}

fn table(file: FileId, table: &DeTable<'_>) -> Table {
    let entries = table.iter().map(|(key, value)| Entry {
        key: key.get_ref().to_string(),
        key_span: Span::new(file, key.span()),
        node: node(file, value),
    });
    Table {
        entries: entries.collect(),
    }
}

fn node(file: FileId, value: &toml::Spanned<DeValue<'_>>) -> Node {
    let converted = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Text(number.to_string()), Value::Int),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(date) => Value::Text(date.to_string()),
        DeValue::Array(values) => Value::List(values.iter().map(|v| node(file, v)).collect()),
        DeValue::Table(inner) => Value::Table(self::table(file, inner)),
    };
    Node {
        span: Span::new(file, value.span()),
        value: converted,
    }
}

/// Where byte `at` of a string's decoded text stands in its written form `raw` (quotes included), as an offset in `raw`.
pub(super) fn offset_in_literal(raw: &str, at: usize) -> usize {
    let quote = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quote| raw.starts_with(quote));
    let Some(quote) = quote else { return at };
    let mut position = quote.len();
    if quote.len() == 3 {
        let rest = &raw[position..];
        position += rest.len()
            - rest
                .strip_prefix("\r\n")
                .or(rest.strip_prefix('\n'))
                .unwrap_or(rest)
                .len();
    }
    if quote.starts_with('\'') {
        return position + at;
    }
    let mut decoded = 0;
    while decoded < at && position < raw.len() {
        let (written, meant) = step(&raw[position..]);
        position += written;
        decoded += meant;
    }
    position + skipped_lines(&raw[position.min(raw.len())..])
}

/// The next character of a basic string: its bytes as written and as decoded.
fn step(rest: &str) -> (usize, usize) {
    let skipped = skipped_lines(rest);
    if skipped > 0 {
        return (skipped, 0);
    }
    let mut chars = rest.chars();
    let first = chars.next().unwrap_or_default();
    if first != '\\' {
        return (first.len_utf8(), first.len_utf8());
    }
    let digits = match chars.next() {
        Some('u') => 4,
        Some('U') => 8,
        Some('x') => 2,
        Some(other) => return (1 + other.len_utf8(), 1),
        None => return (1, 1),
    };
    let meant = rest
        .get(2..2 + digits)
        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
        .and_then(char::from_u32)
        .map_or(1, char::len_utf8);
    ((2 + digits).min(rest.len()), meant)
}

/// The length of a backslash at a line's end with the white space that it swallows; 0 if there is none here.
fn skipped_lines(rest: &str) -> usize {
    let Some(after) = rest.strip_prefix('\\') else {
        return 0;
    };
    let trimmed = after.trim_start_matches([' ', '\t', '\r', '\n']);
    let swallowed = &after[..after.len() - trimmed.len()];
    if swallowed.contains('\n') {
        1 + swallowed.len()
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::SourceMap;

    fn place(text: &str, needle: &str) -> String {
        let file = SourceMap::default().add("a", text);
        let (table, faults) = parse(file, text);
        assert!(faults.is_empty());
        let node = table.get("x").unwrap();
        let raw = &text[node.span.start..node.span.end];
        let decoded = node.as_text().unwrap();
        let at = decoded.find(needle).unwrap();
        raw[offset_in_literal(raw, at)..]
            .chars()
            .take(needle.chars().count())
            .collect()
    }

    #[test]
    fn a_place_in_a_string_is_found_in_its_written_form() {
        for text in [
            r#"x = "plain here""#,
            r#"x = "tab\t \u00e4\U0001F600 ä here""#,
            "x = 'literal \\ here'",
            "x = '''\nfirst\nhere'''",
            "x = \"\"\"\nfirst \\\n    here\"\"\"",
            "x = \"\"\"a\\\"b \\\\ here\"\"\"",
        ] {
            assert_eq!(place(text, "here"), "here", "{text}");
        }
    }

    #[test]
    fn a_broken_file_gives_all_its_faults_and_what_can_be_read() {
        let text = "a = 1\nb = \nc = \"x\nd = 2\na = 3\n";
        let file = SourceMap::default().add("a", text);
        let (table, faults) = parse(file, text);
        assert!(faults.len() >= 3, "{faults:?}");
        assert!(table.get("d").is_some());
    }
}
