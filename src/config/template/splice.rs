//! Puts values that are known before anything is lowered into a string that stays a template for the rest.

use std::ops::Range;

use super::scan::{Piece, Ref, Scan};
use super::{Fault, is_template};

/// What a variable is replaced by.
pub(in crate::config) enum Splice {
    /// This text, which may be a template itself.
    Text(String),
    /// This expression, which is no string: a number, an array, …
    Expression(String),
    /// Nothing: it is another variable.
    Leave,
}

/// What has become of a string.
pub(in crate::config) enum Spliced {
    /// It names none of the variables.
    Same,
    /// It is this variable and nothing else.
    Whole(Ref),
    /// The string with the values in it.
    Text(String),
}

/// Puts what `find` says into `text`; a fault is at its place in `text`.
pub(in crate::config) fn splice(
    text: &str,
    find: &dyn Fn(&Ref) -> Result<Splice, Fault>,
) -> Result<Spliced, Fault> {
    if !is_template(text) {
        return Ok(Spliced::Same);
    }
    let scan = Scan::new(text);
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for variable in &scan.refs {
        let value = find(variable)?;
        let range = variable.range();
        let alone = block_of(text, &scan, variable);
        match (value, alone) {
            (Splice::Leave, _) => {}
            (_, Some(block)) if block == (0..text.len()) => {
                return Ok(Spliced::Whole(variable.clone()));
            }
            (Splice::Text(value) | Splice::Expression(value), Some(block)) => {
                edits.push((block, value));
            }
            (Splice::Text(value), None) if is_template(&value) => {
                return Err(Fault {
                    range,
                    code: "template",
                    message: format!(
                        "`{}` is a template, `{value}`, and cannot be part of an expression",
                        variable.dotted()
                    ),
                    help: vec![format!("write `{{{{ {} }}}}` by itself", variable.dotted())],
                });
            }
            (Splice::Text(value), None) => edits.push((range, quoted(&value))),
            (Splice::Expression(value), None) => edits.push((range, value)),
        }
    }
    if edits.is_empty() {
        return Ok(Spliced::Same);
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (range, value) in edits {
        out.push_str(&text[at..range.start]);
        out.push_str(&value);
        at = range.end;
    }
    out.push_str(&text[at..]);
    Ok(Spliced::Text(out))
}

/// The whole `{{ … }}` that has the variable and nothing else in it.
fn block_of(text: &str, scan: &Scan, variable: &Ref) -> Option<Range<usize>> {
    let range = variable.range();
    scan.pieces.iter().find_map(|piece| {
        let Piece::Expression(inside) = piece else {
            return None;
        };
        let before = text.get(inside.start..range.start)?;
        let after = text.get(range.end..inside.end)?;
        let alone = before.trim().is_empty() && after.trim_matches([' ', ']']).is_empty();
        alone.then(|| inside.start - 2..inside.end + 2)
    })
}

/// A string as expressions write it.
pub(in crate::config) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
