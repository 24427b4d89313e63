//! Files that nobody meant: loading ends with faults, never with a panic.

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::support::FakeWorld;
use crate::diag::render;

const SAMPLE: &str = include_str!("../../../builds.toml");

/// Pieces that make trouble where they land.
const PIECES: &[&str] = &[
    "\"",
    "'",
    "\"\"\"",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "{{",
    "}}",
    "{%",
    "%}",
    "{{ axis.os }}",
    "{{ a-b.c }}",
    "= 1\n",
    "\n",
    "\\",
    "\\u00e4",
    "ä",
    "\u{e000}",
    "-1",
    "9999999999999999999",
    "1e400",
    "true",
    "[]",
    "{}",
    "kind = \"clone\"\n",
    "[stages.iso-base]\n",
    "from = \"verify\"\n",
    "<enter",
    "1979-05-27",
    "when = {}\n",
    "#",
    "{{ stages.clone.outputs.x }}",
    "{{ run.date | upper }}",
    "{{ '",
    "\0",
    "\r\n",
];

fn world(builds: &str) -> FakeWorld {
    let mut world = FakeWorld::new(builds)
        .file(
            "vars/common.toml",
            include_str!("../../../vars/common.toml"),
        )
        .file("vars/vcenter.toml", "server = \"x\"")
        .file("scripts/k3s/x", "x")
        .file(
            "scripts/goss/goss.yaml",
            "command:\n  x:\n    exit-status: 0\n",
        );
    for os in ["mini", "centos7", "photon3"] {
        world = world.file(
            &format!("vars/{os}.toml"),
            include_str!("../../../vars/mini.toml"),
        );
    }
    for script in ["install", "harden", "cleanup"] {
        world = world.file(&format!("scripts/{script}.sh"), "true");
    }
    world.file("kickstart/mini/ks.cfg", "{{ common.ssh_password }}")
}

/// Loads, and draws what comes out.
fn survives(builds: &str) -> usize {
    match world(builds).load() {
        Ok(loaded) => render(&loaded.warnings, false).len(),
        Err(faults) => {
            assert!(faults.has_errors());
            render(&faults, true).len()
        }
    }
}

fn border(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn mutations_never_panic(edits in prop::collection::vec((0usize..SAMPLE.len(), 0usize..40, 0usize..PIECES.len()), 1..4)) {
        let mut text = SAMPLE.to_owned();
        for (at, removed, piece) in edits {
            let start = border(&text, at);
            let end = border(&text, start + removed).max(start);
            text.replace_range(start..end, PIECES[piece]);
        }
        survives(&text);
    }

    #[test]
    fn lines_in_any_order_never_panic(seed in any::<u64>()) {
        let mut lines: Vec<&str> = SAMPLE.lines().collect();
        let mut state = seed | 1;
        for index in (1..lines.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if state >> 62 == 0 {
                lines.swap(index, usize::try_from(state >> 33).unwrap() % (index + 1));
            }
        }
        survives(&lines.join("\n"));
    }

    #[test]
    fn templates_never_panic(template in "[ a-z.{}%#|'\"\\[\\]()=-]{0,40}") {
        let text = format!("[scopes.a]\nvalues = {{ b = 1 }}\n[stages.x]\nkind = \"command\"\nscopes = \"a\"\nrun = '''\n{{{{ {template} }}}} {template}'''\n");
        survives(&text);
    }
}

#[test]
fn the_sample_itself_is_read() {
    assert!(
        survives(SAMPLE) > 0,
        "two of its five systems have no files here"
    );
}
