//! Lists of checksums as publishers write them.

use crate::model::Algorithm;

/// A line of a list.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    algorithm: Algorithm,
    hex: String,
    name: Option<&'a str>,
}

/// What a list says about a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Its checksum, the strongest if there are several kinds.
    Checksum(Algorithm, String),
    /// Two digests of one kind.
    Ambiguous,
    /// It is not listed; these are, the nearest name first.
    Missing(Vec<String>),
}

/// Looks for the first of `names` that the list in `text` has. A list that is one lone digest fits any name.
pub(super) fn find(text: &str, names: &[String]) -> Found {
    let lines: Vec<Line<'_>> = text.lines().filter_map(parse).collect();
    if let [
        Line {
            algorithm,
            hex,
            name: None,
        },
    ] = lines.as_slice()
    {
        return Found::Checksum(*algorithm, hex.clone());
    }
    for name in names {
        let mut matching: Vec<&Line<'_>> = lines
            .iter()
            .filter(|line| line.name.map(base) == Some(name.as_str()))
            .collect();
        matching.sort_by_key(|line| std::cmp::Reverse(line.algorithm));
        let Some(best) = matching.first() else {
            continue;
        };
        if matching
            .iter()
            .any(|line| line.algorithm == best.algorithm && line.hex != best.hex)
        {
            return Found::Ambiguous;
        }
        return Found::Checksum(best.algorithm, best.hex.clone());
    }
    let mut listed: Vec<String> = lines
        .iter()
        .filter_map(|l| l.name)
        .map(|n| base(n).to_owned())
        .collect();
    listed.dedup();
    Found::Missing(near(listed, names.first().map_or("", String::as_str)))
}

/// The nearest name if one is near, else the first few.
fn near(mut listed: Vec<String>, name: &str) -> Vec<String> {
    let distance = |other: &String| strsim::damerau_levenshtein(other, name);
    if let Some(nearest) = listed.iter().min_by_key(|other| distance(other))
        && distance(nearest) * 3 <= name.chars().count()
    {
        return vec![nearest.clone()];
    }
    listed.truncate(5);
    listed
}

fn base(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

/// `hash  name`, `hash *name`, `SHA256 (name) = hash`, or a lone hash; anything else (comments, signatures) is no line.
fn parse(line: &str) -> Option<Line<'_>> {
    let line = line.trim();
    if let Some((kind, rest)) = line.split_once(" (")
        && let Some((name, hex)) = rest.rsplit_once(") = ")
    {
        let kind = kind.replace('-', "");
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|a| a.as_str().eq_ignore_ascii_case(&kind))?;
        let hex = digits(hex, algorithm)?;
        return Some(Line {
            algorithm,
            hex,
            name: Some(name),
        });
    }
    // GNU escapes names with a backslash or newline by a backslash before the digest; such names are not looked for
    let (hex, name) = match line.split_once([' ', '\t']) {
        Some((hex, name)) => (hex, Some(name.trim_start().trim_start_matches('*'))),
        None => (line, None),
    };
    let algorithm = Algorithm::ALL
        .into_iter()
        .find(|a| a.hex_len() == hex.len())?;
    Some(Line {
        algorithm,
        hex: digits(hex, algorithm)?,
        name,
    })
}

fn digits(hex: &str, algorithm: Algorithm) -> Option<String> {
    (hex.len() == algorithm.hex_len() && hex.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| hex.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str) -> Vec<String> {
        vec![name.to_owned()]
    }

    #[test]
    fn gnu_bsd_and_lone_digests_are_read() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        let found = |text: &str, name| match find(text, &names(name)) {
            Found::Checksum(algorithm, hex) => format!("{algorithm}:{hex}"),
            other => panic!("{other:?}"),
        };
        let gnu = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{a}  ./iso/x.iso\n{b} *y.iso\n"
        );
        assert_eq!(found(&gnu, "x.iso"), format!("sha256:{a}"));
        assert_eq!(found(&gnu, "y.iso"), format!("sha256:{}", "b".repeat(64)));
        let bsd = format!(
            "# x (1).iso: 5 bytes\nMD5 (x (1).iso) = {}\nSHA256 (x (1).iso) = {a}\n",
            "c".repeat(32)
        );
        assert_eq!(found(&bsd, "x (1).iso"), format!("sha256:{a}"));
        assert_eq!(
            found(&format!("{}\n", "d".repeat(128)), "any"),
            format!("sha512:{}", "d".repeat(128))
        );
    }

    #[test]
    fn a_missing_name_tells_the_nearest() {
        let hex = "a".repeat(40);
        let list = format!("{hex}  debian-12.5.0-netinst.iso\n{hex}  other\n");
        assert_eq!(
            find(&list, &names("debian-12.6.0-netinst.iso")),
            Found::Missing(vec!["debian-12.5.0-netinst.iso".into()])
        );
        assert_eq!(
            find("nothing here", &names("x")),
            Found::Missing(Vec::new())
        );
        let several = format!("{hex}  one\n{hex}  two\n");
        assert_eq!(
            find(&several, &names("x.iso")),
            Found::Missing(vec!["one".into(), "two".into()])
        );
    }

    #[test]
    fn two_digests_for_one_name_are_ambiguous() {
        let list = format!("{}  a/x\n{}  b/x\n", "a".repeat(64), "b".repeat(64));
        assert_eq!(find(&list, &names("x")), Found::Ambiguous);
    }
}
