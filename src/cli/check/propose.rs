//! Checks proposed from what a machine is like now, as `goss add` and `goss autoadd` make them.

use std::time::Duration;

use super::super::{CliError, Exit};
use super::files::write;
use super::{print, unreached};
use crate::goss::{Answer, Question, Resource, ResourceKind, Truth};
use crate::guest::facts::{System, gather};
use crate::guest::suite::{Asking, DirFiles};
use crate::sys::Cancel;

/// What is wished for.
pub(super) struct Wish {
    asked: Vec<Asked>,
    /// Only what is there is proposed.
    found_only: bool,
    /// Names of processes whose ports are proposed too.
    processes: Vec<String>,
}

/// One proposal to be made.
struct Asked {
    kind: &'static str,
    name: String,
    question: Question,
}

impl Wish {
    pub(super) fn new(add: &[String], autoadd: &[String]) -> Result<Self, CliError> {
        if let Some((kind, names)) = add.split_first() {
            let mut kinds = ResourceKind::ALL.to_vec();
            kinds.retain(|kind| *kind != ResourceKind::Matching);
            let known = kinds.iter().find(|known| known.key() == kind);
            let known = *known.ok_or_else(|| {
                let mut kinds: Vec<&str> = kinds.iter().map(|kind| kind.key()).collect();
                kinds.sort_unstable();
                let near = crate::diag::closest(kind, kinds.iter().copied())
                    .map(|near| format!("did you mean `{near}`?"));
                let help = near.unwrap_or_else(|| format!("kinds: {}", kinds.join(", ")));
                CliError::input(format!("there is no kind of check `{kind}`")).help(help)
            })?;
            let asked = names.iter().filter_map(|name| Asked::new(known, name));
            return Ok(Self {
                asked: asked.collect(),
                found_only: false,
                processes: Vec::new(),
            });
        }
        let kinds = |name: &String| match name.contains('/') {
            true => vec![ResourceKind::File],
            false => vec![
                ResourceKind::Group,
                ResourceKind::Package,
                ResourceKind::Port,
                ResourceKind::Process,
                ResourceKind::Service,
                ResourceKind::User,
            ],
        };
        let each = autoadd.iter().flat_map(|name| {
            kinds(name)
                .into_iter()
                .filter_map(move |kind| Asked::new(kind, name))
        });
        let processes = autoadd.iter().filter(|name| !name.contains('/')).cloned();
        Ok(Self {
            asked: each.collect(),
            found_only: true,
            processes: processes.collect(),
        })
    }
}

impl Asked {
    /// None for a kind that asks nothing.
    fn new(kind: ResourceKind, name: &str) -> Option<Self> {
        // as goss writes them
        let name = match kind {
            ResourceKind::Addr if !name.contains("://") => format!("tcp://{name}"),
            ResourceKind::Port if !name.contains(':') => format!("tcp:{name}"),
            _ => name.to_owned(),
        };
        Some(Self {
            kind: kind.key(),
            question: Resource::plain_question(kind, &name)?,
            name,
        })
    }

    /// The attributes of a proposal: the name in a gossfile, and the name in an answer.
    const fn attributes(&self) -> &'static [(&'static str, &'static str)] {
        match self.question {
            Question::Addr { .. } => &[("reachable", "reachable")],
            Question::Command { .. } => &[
                ("exit-status", "exit-status"),
                ("stdout", "stdout"),
                ("stderr", "stderr"),
            ],
            Question::Dns { .. } => &[("resolvable", "resolvable"), ("addrs", "addrs")],
            Question::File { .. } => &[
                ("exists", "exists"),
                ("mode", "mode"),
                ("owner", "owner"),
                ("group", "group"),
                ("linked-to", "linkedto"),
                ("filetype", "filetype"),
            ],
            Question::Group { .. } => &[("exists", "exists"), ("gid", "gid")],
            Question::Http { .. } => &[("status", "status")],
            Question::Interface { .. } => {
                &[("exists", "exists"), ("addrs", "addrs"), ("mtu", "mtu")]
            }
            Question::KernelParam { .. } => &[("value", "value")],
            Question::Mount { .. } => &[
                ("exists", "exists"),
                ("opts", "opts"),
                ("vfs-opts", "vfs-opts"),
                ("source", "source"),
                ("filesystem", "filesystem"),
            ],
            Question::Package { .. } => &[("installed", "installed"), ("versions", "version")],
            Question::Port { .. } => &[("listening", "listening"), ("ip", "ip")],
            Question::Process { .. } => &[("running", "running")],
            Question::Service { .. } => &[("enabled", "enabled"), ("running", "running")],
            Question::User { .. } => &[
                ("exists", "exists"),
                ("uid", "uid"),
                ("gid", "gid"),
                ("groups", "groups"),
                ("home", "home"),
                ("shell", "shell"),
            ],
        }
    }

    /// The proposal's lines; an error if not even the first attribute is known.
    fn lines(&self, answer: &Answer) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        for (at, (name, reported)) in self.attributes().iter().enumerate() {
            match answer.values.get(reported) {
                Some(Ok(value)) => lines.push(format!("{name}: {}", yaml(value))),
                Some(Err(reason)) if at == 0 => return Err(reason.clone()),
                _ => {}
            }
        }
        Ok(lines)
    }

    /// Whether the thing is there.
    fn found(&self, answer: &Answer) -> bool {
        let yes = |name: &str| answer.values.get(name) == Some(&Ok(Truth::Bool(true)));
        match self.question {
            Question::Service { .. } => yes("enabled") || yes("running"),
            _ => self
                .attributes()
                .first()
                .is_some_and(|(_, reported)| yes(reported)),
        }
    }
}

/// A value, in one line of YAML.
fn yaml(value: &Truth) -> String {
    // every JSON string is one of YAML
    let text = |text: &str| serde_json::Value::from(text).to_string();
    match value {
        Truth::Bool(flag) => flag.to_string(),
        Truth::Int(number) => number.to_string(),
        Truth::Text(all) => text(all),
        Truth::List(all) => format!(
            "[{}]",
            all.iter()
                .map(|one| text(one))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        Truth::Bytes(all) => {
            let all = String::from_utf8_lossy(all).into_owned();
            let patterns = all
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(|line| match line.starts_with(['!', '/']) {
                    true => text(&format!("\\{line}")),
                    false => text(line),
                });
            format!("[{}]", patterns.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A name as a key of YAML.
fn key(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let word =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && name.chars().all(plain);
    let special = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    match word && !special.contains(&name.to_ascii_lowercase().as_str()) {
        true => name.to_owned(),
        false => serde_json::Value::from(name).to_string(),
    }
}

/// One proposal: kind, name, lines.
type Proposal = (&'static str, String, Vec<String>);

pub(super) async fn run(
    system: &System<'_>,
    wish: &Wish,
    asking: &Asking,
    at: Option<&str>,
    files: &DirFiles,
    cancel: &Cancel,
) -> Result<Exit, CliError> {
    let mut proposals = propose(system, &wish.asked, wish.found_only, asking, cancel).await?;
    let ports = ports(system, &wish.processes, cancel).await?;
    let ports = ports
        .iter()
        .filter_map(|port| Asked::new(ResourceKind::Port, port));
    let ports: Vec<Asked> = ports.collect();
    proposals.extend(propose(system, &ports, true, asking, cancel).await?);
    proposals.sort();
    proposals.dedup();
    if proposals.is_empty() {
        return Err(CliError::failed("nothing of these names was found")
            .help("`--add KIND NAME` proposes a check of what is not there, too"));
    }
    let Some(at) = at else {
        print(&merge("", &proposals)?);
        return Ok(Exit::Done);
    };
    let path = files.dir.join(at);
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(CliError::input(format!(
                "{} cannot be read: {error}",
                path.display()
            )));
        }
    };
    write(&path, &merge(&before, &proposals)?)?;
    for (kind, name, _) in &proposals {
        print(&format!("{at}: {kind} {name}\n"));
    }
    Ok(Exit::Done)
}

async fn propose(
    system: &System<'_>,
    asked: &[Asked],
    found_only: bool,
    asking: &Asking,
    cancel: &Cancel,
) -> Result<Vec<Proposal>, CliError> {
    let questions: Vec<Question> = asked.iter().map(|asked| asked.question.clone()).collect();
    let told = gather(system, &questions, asking.at_once, cancel)
        .await
        .map_err(|e| unreached(&e))?;
    let mut proposals = Vec::new();
    for (asked, answer) in asked.iter().zip(&told.answers) {
        if found_only && !asked.found(answer) {
            continue;
        }
        let lines = asked.lines(answer).map_err(|reason| {
            CliError::failed(format!("{} {}: {reason}", asked.kind, asked.name))
        })?;
        proposals.push((asked.kind, asked.name.clone(), lines));
    }
    Ok(proposals)
}

/// The ports on which processes of these names listen.
async fn ports(
    system: &System<'_>,
    processes: &[String],
    cancel: &Cancel,
) -> Result<Vec<String>, CliError> {
    let script = r#"for p in /proc/[0-9]*; do
{ read -r c <$p/comm; } 2>/dev/null && [ "$c" = "$name" ] && ls -l $p/fd 2>/dev/null
done | sed -n 's/.*socket:\[\([0-9]*\)\].*/inode \1/p'
for t in tcp tcp6 udp udp6; do sed "s/^/$t /" /proc/net/$t 2>/dev/null; done"#;
    let questions: Vec<Question> = processes
        .iter()
        .map(|name| Question::Command {
            exec: format!("name={}\n{script}", crate::guest::quote(name)),
            timeout: Duration::from_secs(10),
        })
        .collect();
    let told = gather(system, &questions, questions.len(), cancel)
        .await
        .map_err(|e| unreached(&e))?;
    let mut found = Vec::new();
    for answer in told.answers {
        if let Some(Ok(Truth::Bytes(bytes))) = answer.values.get("stdout") {
            found.extend(listening(&String::from_utf8_lossy(bytes)));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// `inode N` lines, then the kernel's tables, each line behind its table's name.
fn listening(text: &str) -> Vec<String> {
    let inodes: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("inode "))
        .collect();
    let port = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [protocol, _, local, _, state, ..] = fields[..] else {
            return None;
        };
        let listens = protocol.starts_with("udp") || state == "0A";
        let inode = fields.get(10)?;
        let number = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        (listens && inodes.contains(inode)).then(|| format!("{protocol}:{number}"))
    };
    text.lines().filter_map(port).collect()
}

/// A gossfile with the proposals in it. What it has already stays as it is, comments too.
fn merge(before: &str, proposals: &[Proposal]) -> Result<String, CliError> {
    let mut lines: Vec<String> = before.lines().map(ToOwned::to_owned).collect();
    for (kind, name, attributes) in proposals {
        let head = lines
            .iter()
            .position(|line| line.trim_end() == format!("{kind}:"));
        let flow = lines.iter().any(|line| {
            line.starts_with(&format!("{kind}: "))
                && !line.trim_end().ends_with(':')
                && !line.contains(": #")
        });
        if (head.is_none() && flow) || before.trim_start().starts_with('{') {
            return Err(CliError::input(format!(
                "the gossfile writes its `{kind}` checks in a form that cannot be added to"
            ))
            .help("leave out `--write` and copy the proposal"));
        }
        let head = head.unwrap_or_else(|| {
            lines.push(format!("{kind}:"));
            lines.len() - 1
        });
        let inside = |line: &&String| line.is_empty() || line.starts_with([' ', '\t', '#']);
        let section = lines[head + 1..].iter().take_while(inside).count();
        let section: Vec<String> = lines[head + 1..head + 1 + section].to_vec();
        let indent = section
            .iter()
            .find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        let indent = indent.map_or(2, |line| line.len() - line.trim_start().len());
        let pad = " ".repeat(indent);
        let known = |line: &String| {
            let own = line
                .strip_prefix(&pad)
                .filter(|rest| !rest.starts_with(' '));
            [
                key(name),
                name.clone(),
                format!("'{name}'"),
                format!("\"{name}\""),
            ]
            .iter()
            .any(|key| {
                own.is_some_and(|own| {
                    own.starts_with(&format!("{key}:"))
                        && !own[key.len() + 1..].starts_with(|c: char| !c.is_whitespace())
                })
            })
        };
        if section.iter().any(known) {
            continue;
        }
        let used = section
            .iter()
            .rposition(|line| !line.trim().is_empty())
            .map_or(0, |last| last + 1);
        let mut entry = vec![format!("{pad}{}:", key(name))];
        entry.extend(attributes.iter().map(|line| format!("{pad}  {line}")));
        let at = head + 1 + used;
        drop(lines.splice(at..at, entry));
    }
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(kind: &'static str, name: &str, lines: &[&str]) -> Proposal {
        (
            kind,
            name.to_owned(),
            lines.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn proposals_are_added_to_a_gossfile_that_keeps_the_rest() {
        let before = "# mine\nport:\n    tcp:22:\n        listening: true  # ssh\n\nuser: {}\n";
        let all = [
            proposal("port", "tcp:22", &["listening: false"]),
            proposal("port", "tcp:80", &["listening: true"]),
            proposal("service", "on", &["enabled: true"]),
        ];
        insta::assert_snapshot!(merge(before, &all).unwrap(), @r#"
        # mine
        port:
            tcp:22:
                listening: true  # ssh
            "tcp:80":
              listening: true

        user: {}
        service:
          "on":
            enabled: true
        "#);
        let flow = merge(before, &[proposal("user", "root", &["exists: true"])]);
        assert!(flow.is_err());
        assert!(merge("{\"port\": {}}", &all).is_err());
    }

    #[test]
    fn ports_are_those_of_the_sockets_that_a_process_holds() {
        let text = "inode 77\ninode 80\ntcp   0: 00000000:0016 00000000:0000 0A 0:0 0:0 0 0 0 77 1\n\
            tcp   1: 00000000:0017 00000000:0000 0A 0:0 0:0 0 0 0 78 1\ntcp 2: 0F02000A:0016 0:0 01 0:0 0:0 0 0 0 80 1\n\
            udp   3: 00000000:0035 00000000:0000 07 0:0 0:0 0 0 0 80 1\n";
        assert_eq!(listening(text), ["tcp:22", "udp:53"]);
    }

    #[test]
    fn values_are_written_so_that_yaml_reads_them_back() {
        assert_eq!(yaml(&Truth::Text("0644".into())), "\"0644\"");
        assert_eq!(
            yaml(&Truth::Bytes(b"a\n\n!b\n/c\n".to_vec())),
            r#"["a", "\\!b", "\\/c"]"#
        );
        assert_eq!(
            (key("/etc/a"), key("a b"), key("8080")),
            ("/etc/a".into(), "\"a b\"".into(), "\"8080\"".into())
        );
    }
}
