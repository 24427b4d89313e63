use super::*;

fn value(yaml: &str) -> Value {
    let file = crate::diag::SourceMap::default().add("test", yaml);
    crate::goss::yaml::parse(file, yaml, crate::goss::yaml::Syntax::Yaml)
        .unwrap()
        .to_value()
}

fn judged(actual: &str, expected: &str) -> Verdict {
    judge(Subject::Value(value(actual)), &value(expected))
}

#[test]
fn matchers_hold_as_in_goss() {
    let cases = [
        ("a", "a", true),
        ("1", "1", true),
        ("1", "'1'", true),
        ("'1'", "1", true),
        ("1.0", "1", true),
        ("1", "{equal: 1.0}", false),
        ("true", "true", true),
        ("'true'", "true", false),
        ("[a, b]", "[b]", true),
        ("[a]", "[a, a]", false),
        ("[a, 1]", "[1, a]", true),
        ("{x: a}", "[a]", true),
        ("abc", "{have-prefix: ab}", true),
        ("abc", "{have-suffix: ab}", false),
        ("[ab, cd]", "{match-regexp: 'b\\nc'}", true),
        ("abc", "{contain-substring: b}", true),
        ("abc", "{have-len: 3}", true),
        ("{a: 1}", "{have-key: a}", true),
        ("{a: 1}", "{have-key: {not: a}}", false),
        ("\"a\\nb\"", "{contain-element: b}", true),
        ("\"a\\nb\"", "{contain-elements: [b, a]}", true),
        ("[a, b]", "{consist-of: [b, {have-prefix: a}]}", true),
        ("[a, b, c]", "{consist-of: [b, a]}", false),
        ("5", "{and: [{gt: 4}, {lt: 6}]}", true),
        ("5", "{or: [{gt: 6}, {le: 5}]}", true),
        ("' 5 '", "{ge: 5}", true),
        ("5", "{not: {lt: 5}}", true),
        (
            "'{\"a\":{\"b\":[1,2]}}'",
            "{gjson: {a.b.1: 2, 'a.b.#': 2}}",
            true,
        ),
        ("1.2.3", "{semver-constraint: '>1.0.0 <2.0.0'}", true),
        (
            "\"foo\\nbar\"",
            "{have-patterns: [foo, '/^b.r$/', '!baz', '!/^oo/']}",
            true,
        ),
        ("foo", "{have-patterns: ['!/o/']}", false),
        ("''", "{have-patterns: ['']}", true),
    ];
    for (actual, expected, holds) in cases {
        let verdict = judged(actual, expected);
        assert_eq!(
            verdict.holds, holds,
            "{actual} {expected}: {:?}",
            verdict.error
        );
    }
}

#[test]
fn mistakes_in_matchers_are_told() {
    let cases = [
        (
            "{have-prefx: a}",
            "Syntax Error: Unknown matcher: have-prefx (did you mean `have-prefix`?)",
        ),
        (
            "{have-prefix: 1}",
            "Syntax Error: Invalid 'have-prefix' argument. Expected string value, but received: int: '\\x01'",
        ),
        (
            "{and: a}",
            "Syntax Error: Invalid 'and' argument. Expected array value, but received: string: \"a\"",
        ),
        (
            "{have-len: a}",
            "Syntax Error: Invalid 'have-len' argument. Expected numeric value, but received: string: \"a\"",
        ),
        (
            "{contain-element: true}",
            "Syntax Error: Invalid 'contain-element' argument. Expected matcher, string or numeric value, but received: bool: %!q(bool=true)",
        ),
        ("~", "Syntax Error: Missing required attribute"),
        (
            "{}",
            "Syntax Error: Invalid matcher configuration. At a given nesting level, only one matcher is allowed. Found multiple matchers: []",
        ),
    ];
    for (expected, error) in cases {
        let verdict = judged("a", expected);
        assert_eq!(verdict.error.as_deref(), Some(error));
        assert!(verdict.told.is_none());
        assert_eq!(fault(&value(expected)).as_deref(), Some(error));
    }
    assert!(fault(&value("{and: [{match-regexp: '('}]}")).is_some());
    assert!(fault(&value("[{have-patterns: ['/(/']}]")).is_some());
    assert!(fault(&value("{not: {semver-constraint: x}}")).is_some());
    assert!(fault(&value("{gt: '5'}")).is_some());
    assert_eq!(fault(&value("{gt: 5}")), None);
}

#[test]
fn a_failure_tells_what_goss_tells() {
    let told = judged("[a, b, c]", "{consist-of: [a, x, {have-len: 9}]}")
        .told
        .unwrap();
    assert_eq!(told.message, "to consist of");
    assert_eq!(told.expected.line(), r#"["a","x",{"have-len":9}]"#);
    let line = |all: &Option<Vec<Shown>>| Shown::All(all.clone().unwrap()).line();
    assert_eq!(line(&told.missing_elements), r#"["x",{"have-len":9}]"#);
    assert_eq!(line(&told.extra_elements), r#"["b","c"]"#);
    assert_eq!(line(&told.found_elements), r#"["a"]"#);
    let verdict = judged("x", "{gt: 5}");
    assert_eq!(
        verdict.error.as_deref(),
        Some("matchers.ToNumeric{}: strconv.ParseFloat: parsing \"x\": invalid syntax")
    );
    let told = verdict.told.unwrap();
    assert_eq!(told.untransformed_value.line(), "\"x\"");
    assert_eq!(told.actual.line(), "0");
    assert_eq!(told.transform_chain.unwrap(), [Transform::ToNumeric]);
}

#[test]
fn streams_are_searched_or_taken_whole() {
    let stream = || Subject::Stream(b"foo\nbar\n".to_vec(), "*bytes.Reader");
    assert!(judge(stream(), &value("[foo, '!baz']")).holds);
    assert!(judge(stream(), &value("\"foo\\nbar\\n\"")).holds);
    assert!(!judge(stream(), &value("foo")).holds);
    let told = judge(stream(), &value("[baz]")).told.unwrap();
    assert_eq!(told.actual.line(), "\"object: *bytes.Reader\"");
    assert_eq!(
        judge(stream(), &value("[1]")).error.unwrap(),
        "HavePatterns matcher expects patterns to be a string. got: \n    <int>: 1"
    );
}
