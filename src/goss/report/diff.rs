//! A unified diff of two texts with one line of context, by longest common blocks (Ratcliff and Obershelp), which is what goss
//! shows.

use std::collections::HashMap;

/// How many equal lines stand around a change.
const CONTEXT: usize = 1;
/// From so many lines on, lines that come often begin no block.
const MANY: usize = 200;

/// Texts that differ, as lines.
pub(super) fn unified(want: &str, got: &str) -> String {
    let (a, b) = (lines(want), lines(got));
    let mut out = String::new();
    for group in groups(&a, &b) {
        if out.is_empty() {
            out.push_str("--- test\n+++ actual\n");
        }
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        let range = |start, end| range(start, end);
        let (left, right) = (range(first.a.0, last.a.1), range(first.b.0, last.b.1));
        out.push_str(&format!("@@ -{left} +{right} @@\n"));
        for step in group {
            if step.equal {
                push(&mut out, ' ', &a[step.a.0..step.a.1]);
            } else {
                push(&mut out, '-', &a[step.a.0..step.a.1]);
                push(&mut out, '+', &b[step.b.0..step.b.1]);
            }
        }
    }
    out
}

/// Lines with their ends; the last one gets one more.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.split('\n').map(|line| format!("{line}\n")).collect();
    if lines.is_empty() {
        lines.push("\n".into());
    }
    lines
}

fn push(out: &mut String, mark: char, lines: &[String]) {
    for line in lines {
        out.push(mark);
        out.push_str(line);
    }
}

fn range(start: usize, end: usize) -> String {
    match end - start {
        1 => format!("{}", start + 1),
        0 => format!("{start},0"),
        length => format!("{},{length}", start + 1),
    }
}

/// A stretch of both texts.
#[derive(Clone, Copy)]
struct Step {
    equal: bool,
    a: (usize, usize),
    b: (usize, usize),
}

fn groups(a: &[String], b: &[String]) -> Vec<Vec<Step>> {
    let mut steps = steps(a, b);
    if let Some(first) = steps.first_mut().filter(|step| step.equal) {
        first.a.0 = first.a.0.max(first.a.1.saturating_sub(CONTEXT));
        first.b.0 = first.b.0.max(first.b.1.saturating_sub(CONTEXT));
    }
    if let Some(last) = steps.last_mut().filter(|step| step.equal) {
        last.a.1 = last.a.1.min(last.a.0 + CONTEXT);
        last.b.1 = last.b.1.min(last.b.0 + CONTEXT);
    }
    let mut groups = Vec::new();
    let mut group: Vec<Step> = Vec::new();
    for mut step in steps {
        if step.equal && step.a.1 - step.a.0 > 2 * CONTEXT {
            group.push(Step {
                a: (step.a.0, step.a.1.min(step.a.0 + CONTEXT)),
                b: (step.b.0, step.b.1.min(step.b.0 + CONTEXT)),
                ..step
            });
            groups.push(std::mem::take(&mut group));
            step.a.0 = step.a.0.max(step.a.1.saturating_sub(CONTEXT));
            step.b.0 = step.b.0.max(step.b.1.saturating_sub(CONTEXT));
        }
        group.push(step);
    }
    let unchanged = group.len() == 1 && group[0].equal;
    if !(group.is_empty() || unchanged) {
        groups.push(group);
    }
    groups
}

fn steps(a: &[String], b: &[String]) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (at, bt, size) in blocks(a, b) {
        if i < at || j < bt {
            steps.push(Step {
                equal: false,
                a: (i, at),
                b: (j, bt),
            });
        }
        (i, j) = (at + size, bt + size);
        if size > 0 {
            steps.push(Step {
                equal: true,
                a: (at, i),
                b: (bt, j),
            });
        }
    }
    steps
}

/// Equal blocks in order, neighbours joined; an empty one stands at the end.
fn blocks(a: &[String], b: &[String]) -> Vec<(usize, usize, usize)> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, line) in b.iter().enumerate() {
        places.entry(line).or_default().push(at);
    }
    if b.len() >= MANY {
        places.retain(|_, all| all.len() <= b.len() / 100 + 1);
    }
    let mut found = Vec::new();
    let mut open = vec![(0, a.len(), 0, b.len())];
    while let Some((alo, ahi, blo, bhi)) = open.pop() {
        let (i, j, size) = longest(a, b, &places, (alo, ahi), (blo, bhi));
        if size == 0 {
            continue;
        }
        found.push((i, j, size));
        if alo < i && blo < j {
            open.push((alo, i, blo, j));
        }
        if i + size < ahi && j + size < bhi {
            open.push((i + size, ahi, j + size, bhi));
        }
    }
    found.sort_unstable();
    let mut joined: Vec<(usize, usize, usize)> = Vec::new();
    for (i, j, size) in found {
        match joined.last_mut() {
            Some(last) if last.0 + last.2 == i && last.1 + last.2 == j => last.2 += size,
            _ => joined.push((i, j, size)),
        }
    }
    joined.push((a.len(), b.len(), 0));
    joined
}

fn longest(
    a: &[String],
    b: &[String],
    places: &HashMap<&str, Vec<usize>>,
    (alo, ahi): (usize, usize),
    (blo, bhi): (usize, usize),
) -> (usize, usize, usize) {
    let (mut i, mut j, mut size) = (alo, blo, 0);
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for (at, line) in a.iter().enumerate().take(ahi).skip(alo) {
        let mut next = HashMap::new();
        for bt in places.get(line.as_str()).into_iter().flatten().copied() {
            if bt < blo || bt >= bhi {
                continue;
            }
            let before = bt
                .checked_sub(1)
                .and_then(|before| lengths.get(&before))
                .copied()
                .unwrap_or(0);
            let length: usize = before + 1;
            next.insert(bt, length);
            if length > size {
                (i, j, size) = (at + 1 - length, bt + 1 - length, length);
            }
        }
        lengths = next;
    }
    while i > alo && j > blo && a[i - 1] == b[j - 1] {
        (i, j, size) = (i - 1, j - 1, size + 1);
    }
    while i + size < ahi && j + size < bhi && a[i + size] == b[j + size] {
        size += 1;
    }
    (i, j, size)
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn changes_have_a_line_around_them() {
        let diff = unified("a\nb\nc\nd\ne\nf", "a\nb\nx\nd\ne\nf\ng");
        let expected =
            "--- test\n+++ actual\n@@ -2,3 +2,3 @@\n b\n-c\n+x\n d\n@@ -6 +6,2 @@\n f\n+g\n";
        assert_eq!(diff, expected);
        assert_eq!(
            unified("a", "b"),
            "--- test\n+++ actual\n@@ -1 +1 @@\n-a\n+b\n"
        );
        assert_eq!(
            unified("", "b\n"),
            "--- test\n+++ actual\n@@ -1 +1,2 @@\n+b\n \n"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_texts_panic(a in "[ab\n]{0,20}", b in "[ab\n]{0,20}") {
            proptest::prop_assert_eq!(unified(&a, &b).is_empty(), a == b);
        }
    }
}
