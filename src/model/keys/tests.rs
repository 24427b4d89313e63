use proptest::prelude::*;

use super::*;
use KeyAction::{Down, Press, Up, Wait};

fn parse(text: &str) -> Vec<KeyAction> {
    Keys::parse(text).unwrap().0
}

fn error(text: &str) -> KeyError {
    Keys::parse(text).unwrap_err()
}

fn typed(text: &str) -> Vec<KeyAction> {
    text.chars().map(|c| Press(Key::Char(c))).collect()
}

#[test]
fn a_boot_line_reads_as_its_keys() {
    let mut keys = vec![Press(Key::Tab)];
    keys.extend(typed(" text ks=hd:fd0:/ks.cfg"));
    keys.extend([Press(Key::Enter), Wait(Duration::from_secs(1))]);
    assert_eq!(parse("<tab> text ks=hd:fd0:/ks.cfg<enter><wait>"), keys);
}

#[test]
fn special_keys_have_all_of_packers_names_in_any_case() {
    for (name, key) in SPECIALS {
        for text in [
            format!("<{name}>"),
            format!("<{}>", name.to_uppercase()),
            format!("<{}>", name.to_lowercase()),
        ] {
            assert_eq!(parse(&text), [Press(*key)], "{text}");
        }
        assert_eq!(
            parse(&format!("<{name}On><{name}OFF>")),
            [Down(*key), Up(*key)]
        );
    }
}

#[test]
fn waits_have_seconds_units_and_fractions() {
    for (text, millis) in [
        ("<wait>", 1_000),
        ("<WAIT5>", 5_000),
        ("<wait10>", 10_000),
        ("<wait1m20s>", 80_000),
        ("<wait1.5s>", 1_500),
        ("<wait250ms>", 250),
        ("<wait1h1m1s1ms>", 3_661_001),
    ] {
        assert_eq!(parse(text), [Wait(Duration::from_millis(millis))], "{text}");
    }
    let nanos = |n| Wait(std::time::Duration::from_nanos(n).into());
    assert_eq!(
        parse("<wait3us><wait4µs><wait5ns>"),
        [nanos(3_000), nanos(4_000), nanos(5)]
    );
}

#[test]
fn waits_that_say_nothing_are_errors() {
    for (text, message) in [
        ("<wait0>", "`<wait0>` waits for no time at all"),
        ("<wait0.0s>", "`<wait0.0s>` waits for no time at all"),
        ("<wait1.5>", "`1.5` lacks a unit of time"),
        ("<wait1m20>", "`1m20` lacks a unit of time"),
        ("<wait1..5s>", "`1..5s` is no time to wait"),
        ("<wait3parsecs>", "unknown unit of time `parsecs`"),
        ("<wait25h>", "`<wait25h>` is longer than a day"),
    ] {
        let error = error(text);
        assert_eq!(
            (error.message.as_str(), error.at),
            (message, 0..text.len()),
            "{text}"
        );
        assert!(error.help.unwrap().contains("<wait5>"));
    }
}

#[test]
fn keys_are_held_and_let_go() {
    assert_eq!(
        parse("<leftCtrlOn>c<leftCtrlOff>"),
        [
            Down(Key::LeftCtrl),
            Press(Key::Char('c')),
            Up(Key::LeftCtrl)
        ]
    );
    assert_eq!(
        parse("<aOn><AoFF>"),
        [Down(Key::Char('a')), Up(Key::Char('A')), Up(Key::Char('a'))]
    );
    assert_eq!(
        parse("<<On><>On>< On>x"),
        [
            Down(Key::Char('<')),
            Down(Key::Char('>')),
            Down(Key::Char(' ')),
            Press(Key::Char('x')),
            Up(Key::Char(' ')),
            Up(Key::Char('>')),
            Up(Key::Char('<')),
        ]
    );
}

#[test]
fn what_is_still_held_is_let_go_at_the_end_last_first() {
    assert_eq!(
        parse("<leftCtrlOn><leftAltOn><leftAltOn><del>"),
        [
            Down(Key::LeftCtrl),
            Down(Key::LeftAlt),
            Down(Key::LeftAlt),
            Press(Key::Delete),
            Up(Key::LeftAlt),
            Up(Key::LeftCtrl)
        ]
    );
}

#[test]
fn brackets_are_typed_by_name_and_a_closing_one_as_it_is() {
    assert_eq!(parse("a<lt>b<gt>c>"), typed("a<b>c>"));
}

#[test]
fn an_unknown_name_is_an_error_at_its_place_with_the_nearest_name() {
    let found = error("é<entr>x");
    assert_eq!(
        (found.at.clone(), found.message.as_str()),
        (2..8, "unknown key `<entr>`")
    );
    for (text, help) in [
        ("<entr>", "<enter>"),
        ("<retrun>", "<return>"),
        ("<backspace>", "<bs>"),
        ("<ctrlOn>", "<leftCtrlOn>"),
        ("<leftCrtlOff>", "<leftCtrlOff>"),
        ("<escape>", "<esc>"),
        ("<pagup>", "<pageUp>"),
        ("<f13>", "<f1>"),
        ("<wiat>", "<wait>"),
    ] {
        assert_eq!(
            error(text).help,
            Some(format!("did you mean `{help}`?")),
            "{text}"
        );
    }
    assert_eq!(error("<somethingelse>").help, None);
}

#[test]
fn a_lone_bracket_is_an_error_that_says_how_to_type_it() {
    for (text, at) in [
        ("a < b", 2..3),
        ("<", 0..1),
        ("<>", 0..1),
        ("a <enter", 2..3),
        ("x<y z>", 1..2),
        ("1<2<enter>", 1..2),
    ] {
        let error = error(text);
        assert_eq!(
            (error.at, error.message.as_str()),
            (at, "`<` opens no key name"),
            "{text}"
        );
        assert_eq!(
            error.help.as_deref(),
            Some("write `<lt>` to type the character itself")
        );
    }
}

#[test]
fn line_breaks_and_tabs_are_not_typed_by_accident() {
    let found = error("linux\n");
    assert_eq!(
        (found.at, found.message.as_str()),
        (5..6, "a line break cannot be typed as it is")
    );
    assert!(found.help.unwrap().starts_with("write `<enter>`"));
    assert_eq!(error("a\tb").help.as_deref(), Some("write `<tab>`"));
    assert_eq!(error("\u{1b}").help.as_deref(), Some("write `<esc>`"));
    assert_eq!(
        error("\u{7}").message,
        "a control character cannot be typed as it is"
    );
}

fn any_key() -> impl Strategy<Value = Key> {
    prop_oneof![
        proptest::sample::select(SPECIALS).prop_map(|(_, key)| key),
        any::<char>()
            .prop_filter("control characters are not typed", |c| !c.is_control())
            .prop_map(Key::Char),
    ]
}

fn any_action() -> impl Strategy<Value = KeyAction> {
    prop_oneof![
        any_key().prop_map(Press),
        any_key()
            .prop_filter("white space is held by name", |k| {
                !matches!(k, Key::Char(c) if c.is_whitespace() && *c != ' ')
            })
            .prop_flat_map(|k| prop_oneof![Just(Down(k)), Just(Up(k))]),
        (1u64..86_400_000_000_000).prop_map(|n| Wait(std::time::Duration::from_nanos(n).into())),
        (1u64..86_400).prop_map(|s| Wait(Duration::from_secs(s))),
    ]
}

proptest! {
    #[test]
    fn what_is_shown_reads_back(actions in proptest::collection::vec(any_action(), 0..20)) {
        let mut expected = actions.clone();
        release(&mut expected);
        let shown = Keys(actions).to_string();
        let read = Keys::parse(&shown);
        prop_assert_eq!(read.as_ref().map(|k| &k.0), Ok(&expected), "{}", shown);
    }

    #[test]
    fn no_text_makes_it_panic_and_errors_point_into_it(text in "[<>a-zO0-9. µé\n]{0,20}") {
        match Keys::parse(&text) {
            Ok(keys) => prop_assert_eq!(Keys::parse(&keys.to_string()), Ok(keys)),
            Err(error) => {
                prop_assert!(text.is_char_boundary(error.at.start) && text.is_char_boundary(error.at.end));
                prop_assert!(error.at.start < error.at.end);
            }
        }
    }
}
