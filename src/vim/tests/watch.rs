use crate::vim::watch::merge;
use crate::vim::{Element, Properties};

fn value(xml: &str) -> Option<Element> {
    Element::parse(xml).ok()
}

#[test]
fn a_change_of_a_part_changes_the_whole() {
    let mut seen = Properties::default();
    assert!(merge(
        &mut seen,
        "info",
        value("<val><state>queued</state></val>")
    ));
    assert!(merge(&mut seen, "info.state", value("<val>running</val>")));
    assert!(merge(&mut seen, "info.progress", value("<val>7</val>")));
    let info = seen.get("info").unwrap();
    assert_eq!(
        (info.text_of("state"), info.u64_of("progress")),
        (Some("running"), Some(7))
    );
    assert!(merge(&mut seen, "info.progress", None));
    assert_eq!(seen.get("info").unwrap().u64_of("progress"), None);
}

#[test]
fn a_property_comes_and_goes() {
    let mut seen = Properties::default();
    assert!(merge(
        &mut seen,
        "runtime.question",
        value("<val><id>1</id></val>")
    ));
    assert!(seen.get("runtime.question").is_some());
    assert!(merge(&mut seen, "runtime.question", None));
    assert!(seen.get("runtime.question").is_none());
}

#[test]
fn a_change_within_a_list_wants_the_whole_anew() {
    let mut seen = Properties::default();
    assert!(merge(&mut seen, "config.hardware.device", value("<val/>")));
    assert!(!merge(
        &mut seen,
        "config.hardware.device[4000].connectable",
        value("<val/>")
    ));
    assert!(merge(&mut seen, "info", value("<val/>")));
    assert!(!merge(&mut seen, "info.reason.name", value("<val/>")));
}
