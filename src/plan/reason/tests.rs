//! Differences in words.

use super::*;

fn steps(all: &[(&str, &str)]) -> Ingredients {
    let mut ingredients = Ingredients::default();
    for (i, (script, content)) in all.iter().enumerate() {
        let number = i + 1;
        ingredients.add(format!("step {number}"), "shell");
        ingredients.add(format!("step {number} script 1"), *script);
        let digest = crate::model::Digest::of(content.as_bytes());
        ingredients.add(format!("step {number} file:{script}"), digest.hex());
    }
    ingredients
}

fn settings(all: &[(&str, &str)]) -> Ingredients {
    let mut ingredients = Ingredients::default();
    for (name, value) in all {
        ingredients.add(*name, *value);
    }
    ingredients
}

fn diff(old: &Ingredients, new: &Ingredients) -> Vec<String> {
    new.diff(old).iter().map(ToString::to_string).collect()
}

#[test]
fn steps_come_go_change_and_move() {
    let old = steps(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]);
    for (new, expected) in [
        (
            &[("a", "1"), ("b", "2"), ("c", "1"), ("d", "1")][..],
            &["b changed"][..],
        ),
        (
            &[("a", "1"), ("x", "1"), ("b", "1"), ("c", "1"), ("d", "1")],
            &["new step: shell x"],
        ),
        (
            &[("a", "1"), ("c", "1"), ("d", "1")],
            &["step is gone: shell b"],
        ),
        (
            &[("b", "1"), ("c", "1"), ("d", "1"), ("a", "1")],
            &["step moved: shell a"],
        ),
        (
            &[("x", "1"), ("b", "1"), ("c", "2"), ("d", "1"), ("y", "1")],
            &[
                "c changed",
                "new step: shell x",
                "new step: shell y",
                "step is gone: shell a",
            ],
        ),
        (
            &[],
            &[
                "step is gone: shell a",
                "step is gone: shell b",
                "step is gone: shell c",
                "step is gone: shell d",
            ],
        ),
        (&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")], &[]),
    ] {
        assert_eq!(diff(&old, &steps(new)), expected);
    }
}

#[test]
fn equal_steps_at_other_places_are_told_apart() {
    let old = steps(&[("a", "1"), ("b", "1"), ("a", "1")]);
    let new = steps(&[("a", "1"), ("a", "1"), ("b", "1")]);
    assert_ne!(old.fingerprint(), new.fingerprint());
    assert_eq!(diff(&old, &new).len(), 1);
}

#[test]
fn long_values_are_shown_where_they_differ() {
    let run = |word: &str| {
        format!("scripts/build.sh --registry registry.example.org:5000 --{word} --fast")
    };
    let old = settings(&[("run", &run("one")), ("a", "")]);
    let new = settings(&[("run", &run("two")), ("a", "x")]);
    assert_eq!(
        diff(&old, &new),
        [
            "a (empty) → x",
            "run …:5000 --one --fast → …:5000 --two --fast"
        ]
    );
    let long = "y".repeat(90);
    let words = diff(&settings(&[]), &settings(&[("b", &long)]));
    assert_eq!(words, [format!("new b: {}…", "y".repeat(39))]);
    let digest = diff(&settings(&[("c", "1\n2")]), &settings(&[("c", "1\n3")]));
    assert_eq!(digest, ["c changed"]);
}

#[test]
fn what_people_look_for_stands_first_and_the_rest_is_counted() {
    let old = settings(&[
        ("kind", "clone/1"),
        ("upstream:a", "1"),
        ("provider:qemu", "7"),
    ]);
    let new = settings(&[
        ("kind", "clone/2"),
        ("upstream:a", "2"),
        ("upstream:b", "2"),
        ("provider:qemu", "8"),
        ("memory", "4GiB"),
        ("file:x", "1"),
    ]);
    let reasons = new.diff(&old);
    assert_eq!(
        words(&reasons),
        [
            "this forge builds it differently",
            "upstream a changed",
            "new upstream b",
            "new input x",
            "new memory: 4GiB",
            "and 1 more"
        ]
    );
    assert_eq!(reasons[5].to_string(), "provider qemu 7 → 8");
    assert_eq!(new.own_diff(&old).len(), 5);
    assert_eq!(
        diff(&new, &old)[1..3],
        ["upstream a changed", "upstream b is gone"]
    );
}

#[test]
fn plain_reasons_have_their_words() {
    for (reason, word) in [
        (Reason::NeverBuilt, "never built"),
        (Reason::Forced, "forced"),
        (Reason::Always, "always runs"),
        (Reason::ArtifactMissing("x".into()), "artifact missing: x"),
        (Reason::Upstream("a".into(), How::Moved), "upstream a moved"),
        (
            Reason::Step("shell a".into(), How::Changed),
            "step changed: shell a",
        ),
    ] {
        assert_eq!(reason.to_string(), word);
    }
}
