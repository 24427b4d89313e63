//! `kind = "provision"` and its steps.

use crate::config::keys::ACTIONS;
use crate::config::loader::unreadable;
use crate::config::tree::{Node, Table, Value};
use crate::diag::{Diagnostic, Span, or_list};
use crate::model::{Duration, Provision, Shell, ShellSource, Ssh, Step, StepAction, Text, Trim};

use super::checks::checks;
use super::stage::{Here, Inherited, Lowering};
use super::when::When;
use super::{command, machine};

/// The longest title that is made of a script's own text.
const TITLE: usize = 60;

/// See the module.
pub(super) fn provision(
    lowering: &Lowering<'_>,
    here: &Here<'_>,
    hand_on: &mut Inherited,
) -> Option<Provision> {
    let (hardware, ssh) = machine::machine(here, None, hand_on);
    let shutdown = machine::shutdown(here, hand_on);
    let mut steps = Vec::new();
    for node in here.get("steps").map(Node::one_or_many).unwrap_or_default() {
        let Some(table) = node.as_table() else {
            continue;
        };
        if takes_part(lowering, here, table) {
            steps.extend(step(here, node.span, table, ssh.as_ref()));
        }
    }
    Some(Provision {
        hardware,
        ssh: ssh?,
        steps,
        shutdown,
        checkpoint: machine::checkpoint(here, here.get("checkpoint")).unwrap_or_default(),
        trim: trim(here),
        vm_name: machine::vm_name(here),
    })
}

fn trim(here: &Here<'_>) -> Trim {
    here.get("trim")
        .and_then(|node| here.site.word(node, Trim::WORDS))
        .and_then(|word| Trim::from_word(&word))
        .unwrap_or_default()
}

/// Whether `only` and `except` let the step run at these axis values.
fn takes_part(lowering: &Lowering<'_>, here: &Here<'_>, table: &Table) -> bool {
    let holds = |key: &str| {
        let when = table
            .get(key)
            .map(|node| When::read(lowering.loader, lowering.axes, node));
        when.map(|when| when.holds(&here.key.axes))
    };
    holds("only") != Some(false) && holds("except") != Some(true)
}

fn step(here: &Here<'_>, span: Span, table: &Table, ssh: Option<&Ssh>) -> Option<Step> {
    let site = &here.site;
    let title = table.get("name").and_then(|node| site.literal(node));
    let retries = table.get("retries").and_then(|node| site.u32(node, 0));
    let timeout = table.get("timeout").and_then(|node| site.duration(node));
    let pause_before = table
        .get("pause_before")
        .and_then(|node| site.duration(node));
    let (default_title, action) = action(here, span, table, ssh)?;
    Some(Step {
        title: title.unwrap_or(default_title),
        action,
        retries: retries.unwrap_or(0),
        timeout,
        pause_before,
        checkpoint: machine::checkpoint(here, table.get("checkpoint")),
    })
}

fn action(
    here: &Here<'_>,
    span: Span,
    table: &Table,
    ssh: Option<&Ssh>,
) -> Option<(String, StepAction)> {
    let known = ACTIONS.iter().map(|key| key.name);
    let mut actions = table
        .entries
        .iter()
        .filter(|entry| ACTIONS.iter().any(|key| key.name == entry.key));
    let Some(entry) = actions.next() else {
        let message = format!("a step needs one of {}", or_list(known));
        here.site.fault("missing-key", message, span);
        return None;
    };
    if let Some(second) = actions.next() {
        here.site.push(
            Diagnostic::error(
                "two-actions",
                format!("a step does one thing: `{}` or `{}`", entry.key, second.key),
            )
            .label(second.key_span, "")
            .label(entry.key_span, "the first one")
            .help("make two steps of it"),
        );
    }
    let node = &entry.node;
    match entry.key.as_str() {
        "upload" => upload(here, node),
        "shell" => shell(here, node),
        "local" => local(here, node),
        "reboot" => reboot(here, node, ssh),
        "pause" => {
            let duration = here.site.duration(node)?;
            Some((format!("pause {duration}"), StepAction::Pause(duration)))
        }
        _ => {
            let table = node.as_table()?;
            Some(("check".to_owned(), StepAction::Check(checks(here, table))))
        }
    }
}

fn upload(here: &Here<'_>, node: &Node) -> Option<(String, StepAction)> {
    let table = node.as_table()?;
    let to = here
        .site
        .required(table, "to", "`upload`", node.span)
        .and_then(|node| here.site.text(node));
    let source = here.site.required(table, "source", "`upload`", node.span)?;
    let source = existing(here, source, "the source")?;
    let to = to?;
    Some((
        format!("upload {source}"),
        StepAction::Upload { source, to },
    ))
}

/// A path in the project at which there is something.
pub(super) fn existing(here: &Here<'_>, node: &Node, what: &str) -> Option<String> {
    let path = command::relative(&here.site, node)?;
    let loader = here.site.loader;
    if let Err(error) = loader.world.kind(&loader.root.join(&path)) {
        here.site.push(unreadable(what, &path, &error, node.span));
        return None;
    }
    Some(path)
}

fn shell(here: &Here<'_>, node: &Node) -> Option<(String, StepAction)> {
    let site = &here.site;
    let table = node.as_table()?;
    let mut scripts = Vec::new();
    let mut failed = false;
    if let Some(inline) = table.get("inline") {
        let lines = site.texts(inline);
        failed |= lines.len() < inline.one_or_many().len()
            && matches!(inline.value, Value::List(_))
            || lines.is_empty();
        scripts.push(ShellSource::Inline(joined(lines)));
    }
    for node in [table.get("script"), table.get("scripts")]
        .into_iter()
        .flatten()
    {
        for node in site.list(node).iter() {
            let path = existing(here, node, "the script");
            failed |= path.is_none();
            scripts.extend(path.map(ShellSource::File));
        }
    }
    if scripts.is_empty() && !failed {
        site.fault(
            "missing-key",
            "`shell` needs `inline`, `script` or `scripts`",
            node.span,
        );
    }
    let codes = table.get("valid_exit_codes").map(|node| {
        let codes = site.list(node);
        codes
            .iter()
            .filter_map(|node| site.int(node, 0, 255)?.try_into().ok())
            .collect()
    });
    let flag = |key: &str| {
        table
            .get(key)
            .and_then(|node| site.bool(node))
            .unwrap_or(false)
    };
    let title = title(&scripts);
    let shell = Shell {
        env: site.text_map(table.table("env")),
        sudo: flag("sudo"),
        valid_exit_codes: codes.unwrap_or_else(|| vec![0]),
        interpreter: table
            .get("interpreter")
            .and_then(|node| site.literal(node))
            .unwrap_or_else(|| "/bin/sh -eu".to_owned()),
        dir: table.get("dir").and_then(|node| site.text(node)),
        expect_disconnect: flag("expect_disconnect"),
        scripts,
    };
    (!failed && !shell.scripts.is_empty()).then_some((title, StepAction::Shell(shell)))
}

/// Lines as one script.
fn joined(lines: Vec<Text>) -> Text {
    let mut parts = Vec::new();
    for (index, line) in lines.into_iter().enumerate() {
        if index > 0 {
            parts.push(crate::model::Part::Literal("\n".to_owned()));
        }
        parts.extend(line.parts().iter().cloned());
    }
    Text::from_parts(parts)
}

fn title(scripts: &[ShellSource]) -> String {
    let names: Vec<String> = scripts
        .iter()
        .map(|script| match script {
            ShellSource::File(path) => path.clone(),
            ShellSource::Inline(text) => first_line(&text.to_string()),
        })
        .collect();
    names.join(", ")
}

fn first_line(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("shell");
    if line.chars().count() <= TITLE {
        return line.to_owned();
    }
    line.chars().take(TITLE - 1).collect::<String>() + "…"
}

fn local(here: &Here<'_>, node: &Node) -> Option<(String, StepAction)> {
    let command = command::command(&here.site, node.as_table()?, "`local`", node.span)?;
    let line = match &command.run {
        crate::model::CommandLine::Shell(line) => line.to_string(),
        crate::model::CommandLine::Argv(words) => {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            words.join(" ")
        }
    };
    Some((
        format!("local: {}", first_line(&line)),
        StepAction::Local(command),
    ))
}

fn reboot(here: &Here<'_>, node: &Node, ssh: Option<&Ssh>) -> Option<(String, StepAction)> {
    let empty = Table::default();
    let table = match &node.value {
        Value::Table(table) => table,
        Value::Bool(false) => {
            here.site.fault(
                "bad-value",
                "a step that does nothing: `reboot` is `true` or a table",
                node.span,
            );
            return None;
        }
        _ => &empty,
    };
    let timeout = table
        .get("timeout")
        .and_then(|node| here.site.duration(node));
    let timeout = timeout.or(ssh.map(|ssh| ssh.timeout));
    let action = StepAction::Reboot {
        command: table.get("command").and_then(|node| here.site.text(node)),
        timeout: timeout.unwrap_or(Duration::from_secs(10 * 60)),
    };
    Some(("reboot".to_owned(), action))
}
