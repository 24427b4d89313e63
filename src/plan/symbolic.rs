//! Texts as they enter fingerprints: late values as `${name}`, never their content.

use crate::model::{Part, Text};

/// The symbolic form of `text`, different for different texts: where a literal could be taken for a late value
/// (`${run.date}` typed out), every `$` of the literals is doubled. Shell's `${FOO}` has no point in it and late values
/// always have one, so that ordinary scripts stay as they are.
pub(super) fn symbolic(text: &Text) -> String {
    let parts = merged(text);
    if !parts
        .iter()
        .enumerate()
        .any(|(i, p)| ambiguous(&parts, i, p))
    {
        return text.to_string();
    }
    let mut out = String::new();
    for part in &parts {
        match part {
            Part::Literal(literal) => out.push_str(&literal.replace('$', "$$")),
            Part::Late(late) => out.push_str(&format!("${{{late}}}")),
        }
    }
    out
}

/// The parts with neighbouring literals joined and empty ones gone.
fn merged(text: &Text) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for part in text.parts() {
        match (parts.last_mut(), part) {
            (_, Part::Literal(next)) if next.is_empty() => {}
            (Some(Part::Literal(last)), Part::Literal(next)) => last.push_str(next),
            _ => parts.push(part.clone()),
        }
    }
    parts
}

fn ambiguous(parts: &[Part], at: usize, part: &Part) -> bool {
    let Part::Literal(literal) = part else {
        return false;
    };
    let before_late = matches!(parts.get(at + 1), Some(Part::Late(_)));
    if before_late && literal.ends_with('$') {
        return true;
    }
    literal.match_indices("${").any(|(i, _)| {
        let rest = &literal[i + 2..];
        match rest.split_once('}') {
            Some((name, _)) => name.contains('.'),
            None => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Late, RunVar};

    fn late(var: RunVar) -> Part {
        Part::Late(Late::Run(var))
    }

    #[test]
    fn a_typed_out_symbol_differs_from_the_late_value() {
        let real = Text::from_parts(vec![late(RunVar::Date)]);
        assert_eq!(symbolic(&real), "${run.date}");
        assert_eq!(symbolic(&"${run.date}".into()), "$${run.date}");
        assert_eq!(symbolic(&"echo ${HOME} $PATH".into()), "echo ${HOME} $PATH");
    }

    proptest! {
        #[test]
        fn different_texts_have_different_symbols(a in texts(), b in texts()) {
            prop_assert_eq!(symbolic(&a) == symbolic(&b), merged(&a) == merged(&b), "{:?} {:?}", a, b);
        }
    }

    fn texts() -> impl Strategy<Value = Text> {
        let part = prop_oneof![
            "[$a]|\\$\\{|\\}|\\$\\{run\\.date\\}|run\\.date\\}|\\.".prop_map(Part::Literal),
            Just(late(RunVar::Date)),
        ];
        proptest::collection::vec(part, 0..4).prop_map(Text::from_parts)
    }
}
