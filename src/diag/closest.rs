//! Near names: what the user may have meant.

/// The known word nearest to `word`, if it is near enough to be worth a hint: at most a third of the longer word's length
/// away, swaps of neighbours counting as one. Case does not count, so that `Memory` finds `memory`.
#[must_use]
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .filter(|candidate| *candidate != word)
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let distance = strsim::osa_distance(&lower, &other);
            let length = lower.chars().count().max(other.chars().count());
            (distance * 3 <= length).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `` `a`, `b` or `c` ``.
#[must_use]
pub fn or_list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|w| format!("`{w}`")).collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_words_are_offered() {
        let known = ["memory", "cpus", "disks", "ssh"];
        assert_eq!(closest("memroy", known), Some("memory"));
        assert_eq!(closest("Cpus", known), Some("cpus"));
        assert_eq!(closest("shs", known), Some("ssh"));
        assert_eq!(closest("network", known), None);
        assert_eq!(closest("", known), None);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(or_list([]), "");
        assert_eq!(or_list(["a"]), "`a`");
        assert_eq!(or_list(["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
