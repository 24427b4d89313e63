//! The types of properties, and whether a value is one of its type.

/// The types of properties: those of the specification, and those that VMware has added.
pub const PROPERTY_TYPES: &[&str] = &[
    "string", "boolean", "uint8", "sint8", "uint16", "sint16", "uint32", "sint32", "uint64",
    "sint64", "real32", "real64", "int", "password", "ip",
];

/// Types that the specification does not have.
const VMWARE: &[&str] = &["int", "password", "ip"];

/// What is wrong with a property's type, its qualifiers or its value, in words. An empty value is one that is not set.
#[must_use]
pub fn property_faults(kind: &str, qualifiers: Option<&str>, value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    // `ip:NETWORK` takes the address from the network's pool
    if !PROPERTY_TYPES.contains(&kind) && !kind.starts_with("ip:") {
        faults.push(format!("`{kind}` is no type of a property"));
    } else if !value.is_empty() && !fits(kind, value) {
        faults.push(format!("`{value}` is no value of type {kind}"));
    }
    let Some(text) = qualifiers else {
        return faults;
    };
    match parse(text) {
        None => faults.push(format!(
            "the qualifiers `{text}` cannot be read; expected `MinLen(1)`, `MaxLen(9)`, `ValueMap{{\"a\", \"b\"}}`"
        )),
        Some(qualifiers) if !value.is_empty() => {
            let broken = qualifiers.iter().filter(|q| !q.holds(value));
            faults.extend(broken.map(|q| format!("`{value}` is not {}", q.words())));
        }
        Some(_) => {}
    }
    faults
}

/// Whether only VMware knows a type.
#[must_use]
pub fn is_vmwares_property_type(kind: &str) -> bool {
    VMWARE.contains(&kind) || kind.starts_with("ip:")
}

fn fits(kind: &str, value: &str) -> bool {
    let within = |least: i128, most: i128| {
        value
            .parse::<i128>()
            .is_ok_and(|n| (least..=most).contains(&n))
    };
    match kind {
        "boolean" => ["true", "false"].contains(&value.to_ascii_lowercase().as_str()),
        "uint8" => within(0, u8::MAX.into()),
        "sint8" => within(i8::MIN.into(), i8::MAX.into()),
        "uint16" => within(0, u16::MAX.into()),
        "sint16" => within(i16::MIN.into(), i16::MAX.into()),
        "uint32" => within(0, u32::MAX.into()),
        "sint32" | "int" => within(i32::MIN.into(), i32::MAX.into()),
        "uint64" => within(0, u64::MAX.into()),
        "sint64" => within(i64::MIN.into(), i64::MAX.into()),
        "real32" | "real64" => value.parse::<f64>().is_ok_and(f64::is_finite),
        _ => true,
    }
}

enum Qualifier {
    MinLen(usize),
    MaxLen(usize),
    ValueMap(Vec<String>),
}

impl Qualifier {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::MinLen(least) => value.chars().count() >= *least,
            Self::MaxLen(most) => value.chars().count() <= *most,
            Self::ValueMap(values) => values.iter().any(|v| v == value),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::MinLen(least) => format!("at least {least} characters long"),
            Self::MaxLen(most) => format!("at most {most} characters long"),
            Self::ValueMap(values) => format!("one of `{}`", values.join("`, `")),
        }
    }
}

/// `MinLen(1) MaxLen(9)`, `ValueMap{"a", "b"}`; with commas between them or not.
fn parse(text: &str) -> Option<Vec<Qualifier>> {
    let mut found = Vec::new();
    let mut rest = text.trim_matches([' ', ',']);
    while !rest.is_empty() {
        let open = rest.find(['(', '{'])?;
        let name = rest[..open].trim();
        let close = if rest[open..].starts_with('(') {
            ')'
        } else {
            '}'
        };
        let length = end_of(&rest[open + 1..], close)?;
        let body = &rest[open + 1..open + 1 + length];
        found.push(match name {
            "MinLen" => Qualifier::MinLen(body.trim().parse().ok()?),
            "MaxLen" => Qualifier::MaxLen(body.trim().parse().ok()?),
            "ValueMap" => Qualifier::ValueMap(quoted(body)?),
            _ => return None,
        });
        rest = rest[open + 2 + length..].trim_matches([' ', ',']);
    }
    Some(found)
}

/// Where the bracket closes; not within quotes.
fn end_of(text: &str, close: char) -> Option<usize> {
    let mut within = false;
    text.char_indices().find_map(|(at, c)| {
        within ^= c == '"';
        (c == close && !within).then_some(at)
    })
}

fn quoted(text: &str) -> Option<Vec<String>> {
    let mut values = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let body = rest.strip_prefix('"')?;
        let (value, after) = body.split_once('"')?;
        values.push(value.to_owned());
        rest = after.trim();
        rest = rest.strip_prefix(',').map_or(rest, str::trim);
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(kind: &str, value: &str, qualifiers: Option<&str>) -> String {
        property_faults(kind, qualifiers, value).join("; ")
    }

    #[test]
    fn values_are_held_to_their_types_and_qualifiers() {
        for (kind, value, qualifiers) in [
            ("string", "anything", None),
            ("boolean", "True", None),
            ("uint8", "255", None),
            ("sint8", "-128", None),
            ("uint64", "18446744073709551615", None),
            ("real32", "1.5e3", None),
            ("ip:VM Network", "", None),
            ("string", "", Some("MinLen(3)")),
            ("string", "äöü", Some("MinLen(3),MaxLen(3)")),
            (
                "string",
                "b)",
                Some(r#"ValueMap{"a", "b)", "c}"} MinLen(1)"#),
            ),
        ] {
            assert_eq!(faults(kind, value, qualifiers), "", "{kind} {value}");
        }
        for (kind, value, qualifiers, fault) in [
            ("text", "x", None, "`text` is no type of a property"),
            ("boolean", "yes", None, "`yes` is no value of type boolean"),
            ("uint8", "256", None, "`256` is no value of type uint8"),
            ("uint16", "-1", None, "`-1` is no value of type uint16"),
            ("real64", "NaN", None, "`NaN` is no value of type real64"),
            (
                "string",
                "ab",
                Some("MinLen(3)"),
                "`ab` is not at least 3 characters long",
            ),
            (
                "string",
                "ab",
                Some("MaxLen(1)"),
                "`ab` is not at most 1 characters long",
            ),
            (
                "string",
                "d",
                Some(r#"ValueMap{"a","b"}"#),
                "`d` is not one of `a`, `b`",
            ),
        ] {
            assert_eq!(faults(kind, value, qualifiers), fault);
        }
        for unreadable in ["MinLen", "MinLen(x)", "Foo(1)", "ValueMap{a}", "MinLen(1"] {
            let fault = faults("string", "x", Some(unreadable));
            assert!(fault.starts_with(&format!("the qualifiers `{unreadable}` cannot be read")));
        }
    }
}
