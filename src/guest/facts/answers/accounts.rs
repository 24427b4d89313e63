//! Users and groups, from `/etc/passwd` and `/etc/group` alone, as goss reads them.

use super::{Records, Value};
use crate::goss::Truth;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// The entries of one of the two files. One that does not exist has none.
fn entries(records: &Records, file: &str) -> Result<Vec<Vec<String>>, String> {
    if records
        .ended("lists")
        .is_none_or(|ended| ended.status.is_none() || ended.late)
    {
        records.get(file, "lists")?;
    }
    let text = String::from_utf8_lossy(records.look(file)?.unwrap_or_default()).into_owned();
    let fields = |line: &str| line.split(':').map(ToOwned::to_owned).collect();
    Ok(text.lines().map(fields).collect())
}

fn find(entries: &[Vec<String>], name: &str, fields: usize) -> Option<Vec<String>> {
    let of = |entry: &&Vec<String>| entry.len() >= fields && entry[0] == name;
    entries.iter().find(of).cloned()
}

fn number(text: &str) -> Value {
    text.parse()
        .map(Truth::Int)
        .map_err(|_| format!("`{text}` is no number"))
}

pub(super) fn group(records: &Records, name: &str, set: &mut dyn FnMut(&'static str, Value)) {
    let entry = entries(records, GROUP).map(|all| find(&all, name, 4));
    set(
        "exists",
        entry.clone().map(|entry| Truth::Bool(entry.is_some())),
    );
    let unknown = || format!("group: unknown group {name}");
    set(
        "gid",
        entry.and_then(|entry| number(&entry.ok_or_else(unknown)?[2])),
    );
}

pub(super) fn user(records: &Records, name: &str, set: &mut dyn FnMut(&'static str, Value)) {
    let entry = entries(records, PASSWD).map(|all| find(&all, name, 7));
    set(
        "exists",
        entry.clone().map(|entry| Truth::Bool(entry.is_some())),
    );
    let entry = entry.and_then(|entry| entry.ok_or_else(|| format!("user: unknown user {name}")));
    let field = |at: usize| entry.clone().map(|entry| entry[at].clone());
    set("uid", field(2).and_then(|text| number(&text)));
    set("gid", field(3).and_then(|text| number(&text)));
    set("home", field(5).map(Truth::Text));
    set("shell", field(6).map(Truth::Text));
    let groups = field(3).and_then(|gid| {
        let member = |entry: &&Vec<String>| {
            entry.len() == 4
                && (entry[2] == gid || entry[3].split(',').any(|member| member == name))
        };
        let all = entries(records, GROUP)?;
        let mut names: Vec<String> = all
            .iter()
            .filter(member)
            .map(|entry| entry[0].clone())
            .collect();
        names.sort();
        Ok(names)
    });
    set("groups", groups.map(Truth::List));
}
