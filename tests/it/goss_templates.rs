//! Templates beside the real goss: what comes out must be the same bytes, and what goss refuses must be refused.

use std::collections::BTreeMap;

use super::support::goss::{Bench, shown};
use forge::goss::{Spec, Vars};

const VARS: &str = "
name: web
count: 3
ratio: 2.5
big: 12345678901
on: true
off: false
none: ~
empty: ''
list: [c, a, b]
mixed: [1, two, 3.5, true, ~]
nested: {x: {y: {z: deep}}, list: [{n: 1}, {n: 2}]}
hosts: {beta: 2, alpha: 1}
text: \"  Some <b>Text</b> & 'more' \\\"quoted\\\"\\n\"
lines: \"one\\ntwo\\nthree\"
version: 1.2.3
words: the quick brown fox
json: '{\"a\": [1, {\"b\": null}], \"c\": 1.5}'
";

/// Constructs of the language.
const LANGUAGE: &[&str] = &[
    "plain {{ .Vars.name }} text",
    "{{.Vars.count}}|{{.Vars.ratio}}|{{.Vars.big}}|{{.Vars.on}}|{{.Vars.none}}|{{.Vars.empty}}|",
    "{{ .Vars.list }} {{ .Vars.mixed }} {{ .Vars.nested }} {{ .Vars.hosts }}",
    "{{ $.Vars.nested.x.y.z }} {{ .Vars.nested.x }}",
    "a  {{- .Vars.name -}}  b {{- /* gone */ -}} c {{/* gone */}} d",
    "{{ \"str\\t\\x41\\u00e9\\\"\" }} {{ `raw \\n` }} {{ 'x' }} {{ '\\n' }}",
    "{{ 1 }} {{ -2 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1_000 }} {{ 1e3 }} {{ 1.50 }} {{ .5 }} {{ true }}",
    "{{ $x := 5 }}{{ $x }}{{ $x = 6 }}{{ $x }}",
    "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $x := 3 }}{{ $x }}{{ end }}{{ $x }}",
    "{{ if .Vars.on }}yes{{ else }}no{{ end }}",
    "{{ if .Vars.off }}yes{{ else if .Vars.empty }}empty{{ else if eq .Vars.count 3 }}three{{ else }}no{{ end }}",
    "{{ if and .Vars.on (gt .Vars.count 2) }}both{{ end }}",
    "{{ with .Vars.nested.x }}{{ .y.z }}{{ end }}{{ with .Vars.none }}x{{ else }}none{{ end }}",
    "{{ with $v := .Vars.name }}{{ $v }}{{ . }}{{ end }}",
    "{{ with .Vars.none }}x{{ else with .Vars.name }}{{ . }}{{ else }}z{{ end }}",
    "{{ range .Vars.list }}<{{ . }}>{{ end }}",
    "{{ range $i, $v := .Vars.list }}{{ $i }}={{ $v }},{{ end }}",
    "{{ range $k, $v := .Vars.hosts }}{{ $k }}:{{ $v }};{{ end }}",
    "{{ range $v := .Vars.list }}{{ $v }}{{ end }}",
    "{{ range .Vars.none }}x{{ else }}nothing{{ end }}{{ range mkSlice }}x{{ else }}empty{{ end }}",
    "{{ range 3 }}{{ . }}{{ end }} {{ range $i := 2 }}{{ $i }}{{ end }}",
    "{{ range .Vars.list }}{{ if eq . \"a\" }}{{ continue }}{{ end }}{{ . }}{{ end }}",
    "{{ range .Vars.list }}{{ if eq . \"a\" }}{{ break }}{{ end }}{{ . }}{{ end }}",
    "{{ range .Vars.nested.list }}{{ .n }}{{ $.Vars.name }}{{ end }}",
    "{{ $s := \"\" }}{{ range .Vars.list }}{{ $s = print $s . }}{{ end }}{{ $s }}",
    "{{ define \"t\" }}[{{ . }}]{{ end }}{{ template \"t\" .Vars.name }}{{ template \"t\" 5 }}{{ template \"t\" }}",
    "{{ define \"u\" }}{{ range . }}{{ . }}-{{ end }}{{ end }}{{ template \"u\" .Vars.list }}",
    "{{ block \"b\" .Vars.name }}block {{ . }}{{ end }}",
    "{{ define \"root\" }}{{ .Vars.name }}{{ end }}{{ template \"root\" . }}{{ template \"root\" $ }}",
    "{{ .Vars.name | printf \"%s-%d\" \"a\" | len }}",
    "{{ (index .Vars.nested.list 1).n }} {{ (index .Vars.nested \"x\").y }}",
    "{{ index .Vars \"nested\" \"x\" \"y\" \"z\" }} {{ index .Vars.list 1 }} {{ index .Vars.hosts \"no\" }}",
    "{{ slice .Vars.list 1 3 }} {{ slice .Vars.list }} {{ slice .Vars.list 1 }} {{ .Vars.name | }}",
    "{{ len .Vars.name }} {{ len .Vars.list }} {{ len .Vars.hosts }}",
    "{{ not true }} {{ not 0 }} {{ not .Vars.none }} {{ not \"x\" }}",
    "{{ and 1 2 }} {{ and 0 2 }} {{ or 0 \"\" 3 }} {{ or 0 \"\" }} {{ and true }} {{ .Vars.name | or \"\" }}",
    "{{ or true (index .Vars.list 99) }} {{ and false (index .Vars.list 99) }}",
    "{{ eq 1 1 }} {{ eq \"a\" \"b\" \"a\" }} {{ ne 1 2 }} {{ lt 1 2 }} {{ le 2 2 }} {{ gt 1.5 2.5 }} {{ ge \"b\" \"a\" }}",
    "{{ eq .Vars.none nil }} {{ ne .Vars.name \"x\" }} {{ eq true .Vars.on }} {{ 3 | eq .Vars.count }}",
    "{{ print 1 2 \"a\" \"b\" 3 4.5 nil }} {{ println \"x\" 1 }}|{{ print }}",
    "{{ printf \"%v %d %s %q %t %5d|%-5d|%05d %x %X %o %b %c %U\" 1 2 \"s\" \"q\" true 42 42 42 255 255 8 5 65 65 }}",
    "{{ printf \"%f %.2f %8.3f|%-8.1f| %e %g %G %.3g %6.2f%%\" 1.5 1.255 3.14159 2.5 12345.678 1e-7 1e21 1234.5 99.5 }}",
    "{{ printf \"%5s|%-5s|%.2s|%q|%x|% x|%#x\" \"ab\" \"ab\" \"abcd\" \"a\\nb\" \"hi\" \"hi\" \"hi\" }}",
    "{{ printf \"%v %v %v %+v\" .Vars.list .Vars.hosts .Vars.nested .Vars.mixed }}",
    "{{ printf \"%d %s\" \"x\" 5 }} {{ printf \"%d\" }} {{ printf \"x\" 1 \"a\" }} {{ printf \"%!\" }} {{ printf \"%z\" 1 }}",
    "{{ printf \"%[2]d %[1]d\" 1 2 }} {{ printf \"%*d|%-*d|\" 5 42 5 42 }} {{ printf \"%.*f\" 2 3.14159 }}",
    "{{ printf \"%T %T %T %T %T %T\" 1 1.5 \"s\" true .Vars.list .Vars.hosts }}",
    "{{ printf \"%#v %#v %#v %#v\" 1 \"s\" .Vars.list .Vars.hosts }}",
    "{{ printf \"%s %d %q\" .Vars.list .Vars.nested.list .Vars.list }}",
    "{{ printf \"%+d % d %+.1f %08.3f %+q %#q %#o %x\" 5 5 1.25 -3.14159 \"é\" \"a`b\" 8 -255 }}",
    "{{ printf \"%t %v %s\" .Vars.on .Vars.none .Vars.none }} {{ printf \"%6t|%-6v|\" true false }}",
    "{{ html .Vars.text }} {{ js .Vars.text }} {{ urlquery .Vars.text }} {{ html 1 2 }}",
    "{{ .Env.LAB_NAME }} {{ getEnv \"LAB_NAME\" }} {{ getEnv \"NOT_THERE\" \"other\" }} {{ getEnv \"NOT_THERE\" }}|",
    "{{ readFile \"data.txt\" }}|{{ readFile \"data.txt\" | len }}",
    "{{ regexMatch \"^w.b$\" .Vars.name }} {{ regexMatch \"x\" .Vars.name }} {{ \"ABC\" | toLower }} {{ toUpper \"é\" }}",
    "{{ findStringSubmatch \"(\\\\d+)\\\\.(\\\\d+)\" \"v10.20\" }} {{ get (findStringSubmatch \"(?P<maj>\\\\d+)\" \"v10\") \"maj\" }}",
    "{{ range mkSlice \"a\" 2 true }}{{ . }} {{ end }}",
    "{{ range $n, $p := mkSlice 80 443 }}port{{ $n }}:{{ $p }}\n{{ end }}",
    "{{- range .Vars.list }}\n  {{ . }}:\n    exists: true\n{{- end }}",
    "{{ if ne .Vars.count 3 }}a{{ else }}b{{ end }}{{ if lt (len .Vars.list) 5 }}short{{ end }}",
    "{{ 1e6 }} {{ 123456789.0 }} {{ 100000.0 }} {{ 0.0001 }} {{ 0.00001 }} {{ printf \"%g %v\" 1234567.0 1e20 }} {{ toJson 1e20 }}",
    "{{ .Vars.version }} {{ $v := .Vars.version }}{{ printf \"%s\" $v }}",
    "{{ true | not }} {{ 5 | printf \"%d\" | printf \"<%s>\" }}",
    "{{ ((( .Vars.name ))) }} {{ (print \"a\" | printf \"%s%s\" \"b\") }}",
    "{{with 5}}{{.}}{{end}}{{if 0}}a{{else}}b{{end}}{{range $i,$e:=.Vars.list}}{{$i}}{{$e}}{{end}}",
    "{{/* comment */}}{{- /* trimmed */ -}}   end",
    "{{ \"}}\" }} {{ `{{` }} { { }} }",
    "{{ $a := dict \"k\" 1 }}{{ $_ := set $a \"l\" 2 }}{{ $a.k }}{{ $a.l }}{{ $_ := unset $a \"k\" }}{{ $a }}",
    "{{ $x, $y := 1, 2 }}",
    "{{ range $i, $v := .Vars.list }}{{ if $i }}, {{ end }}{{ $v }}{{ end }}",
    "{{ define \"rec\" }}{{ if gt . 0 }}{{ . }}{{ template \"rec\" (sub . 1 | int) }}{{ end }}{{ end }}{{ template \"rec\" 4 }}",
    "{{ .Vars.nested.x.y.z | upper | repeat 2 | quote }}",
    "{{ if (and (eq .Vars.name \"web\") (or .Vars.off (not .Vars.off))) }}deep{{ end }}",
    "{{ 3 | gt 5 }} {{ len \"héllo\" }} {{ index \"abc\" 1 }}",
    "{{ $m := .Vars.hosts }}{{ range $k := keys $m | sortAlpha }}{{ $k }}={{ get $m $k }} {{ end }}",
];

/// Sprig's functions.
const SPRIG: &[&str] = &[
    "trim \"  a b \" | quote",
    "trimAll \"$\" \"$5.00$\"",
    "trimSuffix \"-\" \"a--\"",
    "trimPrefix \"-\" \"--a\"",
    "upper \"héllo\"",
    "lower \"HÉLLO\"",
    "title \"hello wide world it's\"",
    "untitle \"First Try Here\"",
    "list (repeat 3 \"ab\") (substr 0 5 \"hello world\") (substr 6 -1 \"hello world\") (nospace \"a b\\tc\") (trunc 5 \"hello world\") (trunc -5 \"hello world\")",
    "list (abbrev 5 \"hello world\") (abbrev 50 \"hello\") (abbrevboth 5 10 \"1234 5678 9123\") (initials \"First Try\")",
    "list (swapcase \"hEllo World\") (snakecase \"FirstName\") (snakecase \"HTTPServer\") (kebabcase \"FirstName\") (camelcase \"http_server\")",
    "wrap 10 \"the quick brown fox jumps\"",
    "wrapWith 5 \"\\t\" \"Hello Wonderful World\"",
    "list (contains \"cat\" \"catch\") (hasPrefix \"cat\" \"catch\") (hasSuffix \"ch\" \"catch\") (contains \"x\" \"y\")",
    "quote \"a\\\"b\" 5 nil true",
    "squote \"a\" 5",
    "cat \"hello\" \"beautiful\" 5 nil",
    "indent 4 \"a\\nb\"",
    "nindent 2 \"a\\nb\"",
    "replace \" \" \"-\" \"I Am Henry\"",
    "list (plural \"one\" \"many\" 1) (plural \"one\" \"many\" 0)",
    "list (sha1sum \"x\") (sha256sum \"x\") (sha512sum \"x\") (adler32sum \"hello\")",
    "list (atoi \"42\") (atoi \"x\") (int \"7\") (int 3.9) (int64 \"12\") (float64 \"1.5\") (toDecimal \"0755\") (int true)",
    "list (toString 5) (toString true) (toString .Vars.list)",
    "toStrings .Vars.mixed",
    "join \"-\" .Vars.list",
    "list (join \",\" .Vars.mixed) (join \",\" 5)",
    "sortAlpha .Vars.list",
    "split \"$\" \"foo$bar$baz\"",
    "splitn \"$\" 2 \"foo$bar$baz\"",
    "splitList \"$\" \"foo$bar$baz\"",
    "splitList \"\" \"abc\"",
    "list (until 5) (until -3) (untilStep 3 10 2) (untilStep 3 1 1) (seq 5) (seq -3) (seq 0 2) (seq 0 2 10) (seq 0 -2 -5)",
    "list (add 1 2 3) (add1 5) (sub 5 3) (mul 2 3 4) (div 7 2) (mod 7 3) (max 1 5 3) (min 4 2 3) (biggest 1 2) (add \"3\" 4.9)",
    "list (addf 1.5 2 3) (add1f 2.5) (subf 7.5 2 3) (mulf 1.5 2 2) (divf 10 2 4) (maxf 1 2.5 1.3) (minf 1 2.5 1.3) (addf 0.1 0.2)",
    "list (floor 3.9) (ceil 3.1) (round 3.745 2) (round 123.5555 3) (floor \"2.7\")",
    "list (default \"d\" \"\") (default \"d\" \"x\") (default 5 0) (default \"d\" nil) (\"\" | default \"p\")",
    "list (empty \"\") (empty 0) (empty .Vars.list) (empty (list)) (empty nil) (empty false)",
    "list (coalesce 0 \"\" 3 4) (all 1 \"\" 2) (any 0 \"\" 2) (ternary \"a\" \"b\" true) (ternary \"a\" \"b\" false)",
    "list (compact (list 1 \"a\" \"\" 0 nil)) (uniq (list 1 1 2 \"a\" \"a\")) (reverse .Vars.list) (without (list 1 2 3) 1 3)",
    "list (has 4 (list 1 4)) (has \"c\" .Vars.list) (has 9 (list 1)) (first .Vars.list) (last .Vars.list) (rest .Vars.list) (initial .Vars.list)",
    "list (append .Vars.list \"d\") (prepend .Vars.list \"z\") (concat (list 1 2) (list 3)) (chunk 2 (list 1 2 3 4 5)) (first (list))",
    "list (tuple 1 2) (list) (list \"a\" nil)",
    "dict \"a\" 1 \"b\" \"x\" \"c\"",
    "list (get .Vars.hosts \"beta\") (get .Vars.hosts \"no\") (hasKey .Vars.hosts \"alpha\") (hasKey .Vars.hosts \"no\")",
    "list (pluck \"n\" (dict \"n\" 1) (dict \"m\" 2) (dict \"n\" 3)) (keys .Vars.hosts | sortAlpha) (pick .Vars.hosts \"alpha\") (omit .Vars.hosts \"alpha\")",
    "merge (dict \"a\" 1) (dict \"a\" 2 \"b\" (dict \"c\" 3))",
    "mergeOverwrite (dict \"a\" 1 \"k\" (dict \"x\" 1)) (dict \"a\" 2 \"k\" (dict \"y\" 2))",
    "list (dig \"x\" \"y\" \"z\" \"none\" .Vars.nested) (dig \"x\" \"q\" \"z\" \"none\" .Vars.nested)",
    "values (dict \"a\" 1)",
    "list (toJson .Vars.hosts) (toJson \"<a>\") (toRawJson \"<a>\") (toJson .Vars.ratio)",
    "toPrettyJson .Vars.nested",
    "list (fromJson .Vars.json) (fromJson \"{bad\")",
    "list (b64enc \"hello\") (b64dec \"aGVsbG8=\") (b32enc \"hello\") (b32dec \"NBSWY3DP\")",
    "list (typeOf \"a\") (typeOf 1) (typeOf 1.5) (typeOf .Vars.list) (kindOf .Vars.list) (kindOf .Vars.hosts) (kindIs \"int\" 1) (typeIs \"string\" \"a\") (deepEqual (list 1) (list 1))",
    "list (base \"/a/b.txt\") (dir \"/a/b.txt\") (clean \"/a/../b//c/.\") (ext \"/a/b.tar.gz\") (isAbs \"/a\") (base \"\") (dir \"a\") (osBase \"/x/y\")",
    "list (semverCompare \"^1.2.0\" \"1.3.0\") (semverCompare \"~1.2.0\" \"1.3.0\") (semverCompare \">=1.0, <2.0\" \"1.5.0\") (semverCompare \"1.x\" \"1.9.1\") (semverCompare \"1.0 - 2.0\" \"1.5.0\") (semverCompare \">1.2 || 0.9.x\" \"0.9.5\")",
    "list (semverCompare \"1.2.3\" \"1.2.3\") (semverCompare \"!=1.2.x\" \"1.3.0\") (semverCompare \"<=1.2\" \"1.2.9\") (semverCompare \">1\" \"1.5.0\") (semverCompare \"^0.2\" \"0.2.9\") (semverCompare \"*\" \"3.0.0\") (semverCompare \">=1.0.0\" \"1.1.0-beta\") (semverCompare \">=1.0.0-0\" \"1.1.0-beta\") (semverCompare \"^v1\" \"v1.4\")",
    "list (semver \"1.2.3-beta.1+x\").Major (semver \"1.2.3-beta.1+x\").Prerelease (semver \"v1.2\").Patch",
    "list (regexFind \"[a-zA-Z][1-9]\" \"abcd1234\") (regexFindAll \"[2,4,6,8]\" \"123456789\" -1) (regexFindAll \"[0-9]\" \"1234\" 2) (regexReplaceAll \"a(x*)b\" \"-ab-axxb-\" \"${1}W\") (regexReplaceAllLiteral \"a(x*)b\" \"-ab-axxb-\" \"${1}\")",
    "list (regexSplit \"z+\" \"pizza\" -1) (regexSplit \"z\" \"pizza\" 2) (regexQuoteMeta \"1.2.3\") (mustRegexMatch \"^a\" \"abc\")",
    "list (env \"LAB_NAME\") (env \"NOT_THERE\") (expandenv \"in $LAB_NAME and ${HOME}\")",
    "hello",
    "list (durationRound \"2400h10m5s\") (durationRound \"90s\") (durationRound \"1h\") (durationRound \"x\") (durationRound \"800ms\")",
    "toDate \"2006-01-02\" \"2017-12-31\" | dateModify \"-25h30m\" | date \"02/01/2006 15:04:05\"",
    "list (toDate \"2006-01-02 15:04:05\" \"2024-02-29 23:59:58\") (toDate \"2006-01-02\" \"2024-02-29\" | unixEpoch) (toDate \"2006-01-02\" \"2024-02-29\" | date \"Mon Jan _2 3:04PM 06 2 1\")",
    "list (date \"2006-01-02\" 0) (dateInZone \"2006-01-02T15:04:05Z07:00\" 86400 \"UTC\") (htmlDateInZone 0 \"UTC\" | default \"x\")",
    "urlParse \"http://admin:secret@server.com:8080/api?list=false#anchor\" | toJson",
    "urlJoin (dict \"fragment\" \"f\" \"host\" \"host:80\" \"path\" \"/path\" \"query\" \"query\" \"scheme\" \"http\")",
];

/// What goss refuses.
const WRONG: &[&str] = &[
    "{{ .Vars.nope }}",
    "{{ .Vars.name.field }}",
    "{{ .Vars.none.field }}",
    "{{ .Nope }}",
    "{{ nofunc 1 }}",
    "{{ $x }}",
    "{{ if true }}",
    "{{ end }}",
    "{{ else }}",
    "{{ if true }}{{ else }}{{ else }}{{ end }}",
    "{{ range 1.5 }}{{ end }}",
    "{{ range .Vars.name | upper | len | print }}x{{ end }}{{ .Vars.nope }}",
    "{{ .Vars.name",
    "{{ \"open }}",
    "{{ /* open",
    "{{ 'ab' }}",
    "{{ 1x }}",
    "{{ . | 5 }}",
    "{{ 5 6 }}",
    "{{ .Vars.name .Vars.count }}",
    "{{ template \"nope\" }}",
    "{{ break }}",
    "{{ index .Vars.list 9 }}",
    "{{ index .Vars.none 1 }}",
    "{{ slice .Vars.name 1 }}",
    "{{ eq 1 \"a\" }}",
    "{{ eq 1 1.0 }}",
    "{{ lt true false }}",
    "{{ upper 5 }}",
    "{{ len 5 }}",
    "{{ fail \"on purpose\" }}",
    "{{ readFile \"not-there\" }}",
    "{{ .Env.NOT_THERE }}",
    "{{ regexMatch \"(\" \"a\" }}",
    "{{ upper }}",
    "{{ upper \"a\" \"b\" }}",
    "{{ () }}",
    "{{ | upper }}",
    "{{ $x = 5 }}",
];

fn bench() -> Bench {
    Bench::new(&[
        ("vars.yaml", VARS),
        ("data.txt", "  some data\nof two lines\n\n"),
    ])
}

const END: &str = "\n#the end of this template\n";

/// What `goss render --debug` says a template becomes.
fn rendered(bench: &Bench, text: &str) -> Result<String, String> {
    bench.write("goss.yaml", &format!("{text}{END}"));
    let (said, errors) = bench.goss(&[
        "-g",
        "goss.yaml",
        "--vars",
        "vars.yaml",
        "render",
        "--debug",
    ]);
    let text = said
        .text
        .strip_prefix("DEBUG: file after text/template render\n");
    match text.and_then(|text| text.split_once(END)) {
        Some((text, _)) => Ok(text.to_owned()),
        None => Err(errors),
    }
}

/// What forge says it becomes.
fn ours(bench: &Bench, text: &str) -> Result<String, String> {
    let mut vars = Vars::new();
    vars.file("vars.yaml", VARS).unwrap();
    let rendered = forge::goss::render(&Spec::Text { name: "t", text }, bench, &vars, bench);
    rendered.map_err(|faults| shown(&faults))
}

/// Renders all cases at once, and those one by one that goss refuses.
fn compare(cases: impl IntoIterator<Item = String>) {
    let cases: Vec<String> = cases.into_iter().collect();
    let bench = bench();
    let mut faults = Vec::new();
    let all: Vec<(usize, &String)> = cases.iter().enumerate().collect();
    let mark = |number: usize| format!("=== {number} ===");
    let mut good = String::new();
    let mut expected: BTreeMap<usize, Result<String, String>> = BTreeMap::new();
    for (number, case) in &all {
        match ours(&bench, case) {
            Ok(_) => good.push_str(&format!("{}{case}", mark(*number))),
            Err(_) => {
                expected.insert(*number, rendered(&bench, case));
            }
        }
    }
    match rendered(&bench, &good) {
        Ok(text) => {
            let mut rest = text.as_str();
            let numbers: Vec<usize> = all
                .iter()
                .map(|(n, _)| *n)
                .filter(|n| !expected.contains_key(n))
                .collect();
            for (position, number) in numbers.iter().enumerate() {
                rest = rest.strip_prefix(mark(*number).as_str()).unwrap_or(rest);
                let end = numbers
                    .get(position + 1)
                    .and_then(|next| rest.find(&mark(*next)));
                let (one, after) = rest.split_at(end.unwrap_or(rest.len()));
                expected.insert(*number, Ok(one.to_owned()));
                rest = after;
            }
        }
        // one that goss refuses hides all others
        Err(_) => {
            for (number, case) in &all {
                expected
                    .entry(*number)
                    .or_insert_with(|| rendered(&bench, case));
            }
        }
    }
    for (number, case) in &all {
        let own = ours(&bench, case);
        match (&expected[number], &own) {
            (Ok(theirs), Ok(own)) if theirs == own => {}
            (Err(_), Err(_)) => {}
            (theirs, own) => faults.push(format!("{case}\n  goss: {theirs:?}\n  ours: {own:?}")),
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        cases.len(),
        faults.join("\n")
    );
}

#[test]
fn constructs_render_the_same_bytes() {
    compare(LANGUAGE.iter().map(|case| (*case).to_owned()));
}

#[test]
fn functions_of_sprig_give_the_same() {
    compare(SPRIG.iter().map(|case| format!("{{{{ {case} }}}}")));
}

#[test]
fn what_goss_refuses_is_refused() {
    let bench = bench();
    for case in WRONG {
        assert!(rendered(&bench, case).is_err(), "goss takes {case}");
        assert!(
            ours(&bench, case).is_err(),
            "forge takes {case}: {:?}",
            ours(&bench, case)
        );
    }
}
