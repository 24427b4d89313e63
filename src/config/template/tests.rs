use minijinja::context;

use super::*;
use crate::model::{Late, Name, StageKey};

struct Here;

impl Bind for Here {
    fn stage(&self, name: &Name) -> StageKey {
        StageKey {
            name: name.clone(),
            axes: [(Name::parse("os").unwrap(), "mini".to_owned())].into(),
        }
    }

    fn secret(&self, scope: Name, variable: String) -> Late {
        Late::Secret {
            scope,
            variable,
            digest: None,
        }
    }
}

fn render(text: &str) -> Result<Val, Vec<Fault>> {
    let values = context! {
        common => context! { cpus => 4, name => "x", list => vec![1, 2], deep => context! { er => true }, half => 0.5 },
        os_x2d_one => context! { a => "b" },
        run => context! { date => fact("run.date") },
        vcenter => context! { password => secret("vcenter", "password") },
        stages => context! { build => context! { outputs => context! { iso => output("build", "iso") } } },
    };
    let explain = |r: &Ref, index: usize| Fault {
        range: r.path[index].1.clone(),
        code: "undefined",
        message: format!("{} has no {}", r.dotted(), r.path[index].0),
        help: Vec::new(),
    };
    let templates = Templates::default();
    let view = View {
        values: &values,
        bind: &Here,
        explain: &explain,
    };
    let first = templates.get(text).render(&view);
    assert_eq!(first, templates.get(text).render(&view));
    first
}

fn shown(text: &str) -> String {
    match render(text) {
        Ok(Val::Text(text)) => text.to_string(),
        other => format!("{other:?}"),
    }
}

fn fault_of(text: &str) -> (String, String) {
    let faults = render(text).unwrap_err();
    (
        text[faults[0].range.clone()].to_owned(),
        faults[0].message.clone(),
    )
}

#[test]
fn one_expression_keeps_its_type() {
    assert_eq!(render("{{ common.cpus }}"), Ok(Val::Int(4)));
    assert_eq!(render("{{ common.half }}"), Ok(Val::Float(0.5)));
    assert_eq!(render("{{ common.deep.er }}"), Ok(Val::Bool(true)));
    assert_eq!(
        render("{{ common.list }}"),
        Ok(Val::List(vec![Val::Int(1), Val::Int(2)]))
    );
    assert_eq!(
        render("{{ common.deep }}"),
        Ok(Val::Map(vec![("er".into(), Val::Bool(true))]))
    );
    assert_eq!(shown("{{ common.cpus }}0"), "40");
    assert_eq!(shown("{{ os-one.a }}"), "b");
}

#[test]
fn statements_render_as_a_whole() {
    assert_eq!(shown("{% if common.cpus > 2 %}many{% endif %}\n"), "many\n");
    assert_eq!(
        shown("{% for i in common.list %}{{ i }},{% endfor %} ${#a}"),
        "1,2, ${#a}"
    );
    assert_eq!(shown("a {{- common.name -}} b {# gone #}"), "axb ");
}

#[test]
fn late_values_stay_late() {
    assert_eq!(
        shown("{{ stages.build.outputs.iso }}"),
        "${stages.build[os=mini].outputs.iso}"
    );
    assert_eq!(
        shown("at {{ run.date }}: {{ vcenter.password }}"),
        "at ${run.date}: ${vcenter.password}"
    );
    assert_eq!(shown("{{ [run.date, 'x'] | join('-') }}"), "${run.date}-x");
    assert_eq!(
        shown("{% if true %}{{ run.date }}{% endif %}"),
        "${run.date}"
    );
}

#[test]
fn late_values_cannot_be_looked_into() {
    for text in [
        "{{ run.date | upper }}",
        "{% if run.date == 'x' %}{% endif %}",
        "{{ run.date | length }}",
    ] {
        let (place, message) = fault_of(text);
        assert_eq!(
            (place.as_str(), message.as_str()),
            ("run.date", "`run.date` is known only when the stage runs")
        );
    }
    for text in [
        "{{ ('a' ~ run.date) | replace('a', 'b') }}",
        "{{ run.date[3:] }}",
        "{{ [run.date] | tojson }}",
    ] {
        assert_eq!(
            fault_of(text).1,
            "this value is known only when the stage runs",
            "{text}"
        );
    }
}

#[test]
fn filters_do_what_their_names_say() {
    assert_eq!(
        shown("{{ 'a/b/c.txt' | basename }} {{ 'a/b/c.txt' | dirname }}"),
        "c.txt a/b"
    );
    assert_eq!(shown("{{ '[Tab] x.' | regex_escape }}"), r"\[Tab\] x\.");
    assert_eq!(shown("{{ common.nope | default('d') }}"), "d");
    assert_eq!(shown("{{ {'a': '<'} | tojson }}"), "{\"a\":\"<\"}");
    assert_eq!(shown("{{ 'abc' | replace('b', 'x') | upper }}"), "AXC");
    assert_eq!(
        shown("{{ '/a' | dirname }}{{ 'a' | dirname }}{{ ' b ' | trim }}"),
        "/.b"
    );
}

#[test]
fn faults_point_at_the_variable() {
    assert_eq!(
        fault_of("x {{ common.cups }}"),
        ("cups".into(), "common.cups has no cups".into())
    );
    assert_eq!(fault_of("{{ nope.x | upper }}").0, "nope");
    assert_eq!(fault_of("{% if nope %}{% endif %}").0, "nope");
    assert_eq!(render("{{ a.b }} {{ c.d }}").unwrap_err().len(), 2);
}

#[test]
fn broken_templates_say_what_is_wrong() {
    assert_eq!(
        fault_of("a {{ b"),
        ("{{".into(), "`{{` without its `}}`".into())
    );
    let (place, message) = fault_of("a {{ b c }}");
    assert_eq!(place, "b c");
    assert!(message.starts_with("syntax error"), "{message}");
    assert_eq!(
        fault_of("{{ 'a' | uper }}"),
        ("uper".into(), "unknown filter `uper`".into())
    );
    assert_eq!(fault_of("ok\n  {% if %}\n").0, "{% if %}");
    assert!(
        fault_of("{{ common.name + 1 }}")
            .1
            .contains("invalid operation")
    );
}
