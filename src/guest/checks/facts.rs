//! Facts about files, ports, processes, services, kernel parameters, accounts and packages: one POSIX script asks for all
//! of them at once. It gets by with busybox; there is no need of bash, ss, curl or python in the guest.
//!
//! Each fact is a record in the script's output: a line with a mark that nothing else contains and the fact's key, then
//! the value. A fact that could not be got has `!` behind its key and the reason as its value; one that is missing was
//! not got either. So nothing that the guest cannot answer is ever taken for an answer.

use std::collections::BTreeMap;

use crate::guest::{Exec, Guest, GuestError, quote};
use crate::model::{Check, Digest, Resource};
use crate::sys::Cancel;

/// How long the script may run.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(120);

/// What the guest has told, by key.
#[derive(Debug, Default)]
pub(super) struct Facts(BTreeMap<String, Vec<u8>>);

impl Facts {
    /// Asks for the facts of these checks (by number; those that need no script are ignored).
    pub(super) async fn gather(
        guest: &Guest,
        checks: &[(usize, &Check)],
        cancel: &Cancel,
    ) -> Result<Self, GuestError> {
        let Some(body) = script(checks) else {
            return Ok(Self::default());
        };
        let mark = format!("forge-{}", Digest::of(body.as_bytes()).short());
        let script = format!("N={mark}\n{PRELUDE}{body}p end\n");
        let exec = Exec {
            command: "exec /bin/sh -s".to_owned(),
            stdin: Some(script.into_bytes()),
            timeout: Some(LIMIT),
        };
        let captured = guest.capture(&exec, cancel).await?;
        let facts = Self::parse(&captured.stdout, &mark);
        if facts.0.contains_key("end") {
            return Ok(facts);
        }
        Err(GuestError::Failed(format!(
            "the guest's shell cannot run the script for checks: {}",
            captured.complaint()
        )))
    }

    fn parse(output: &[u8], mark: &str) -> Self {
        let head = format!("\n{mark} ").into_bytes();
        let mut facts = Self::default();
        let mut rest = output;
        while let Some(start) = rest.windows(head.len()).position(|w| w == head) {
            let record = &rest[start + head.len()..];
            let next = record.windows(head.len()).position(|w| w == head);
            let end = next.unwrap_or(record.len());
            let line = record[..end].iter().position(|b| *b == b'\n');
            let line = line.unwrap_or(end);
            let key = String::from_utf8_lossy(&record[..line]).into_owned();
            let value = record[..end].get(line + 1..).unwrap_or_default();
            facts.0.insert(key, value.to_vec());
            rest = &record[end..];
        }
        facts
    }

    /// A fact as it came.
    pub(super) fn get(&self, key: &str) -> Result<String, String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if let Some(reason) = self.0.get(&format!("{key}!")) {
            let reason = text(reason);
            return Err(match reason.trim() {
                "" => "the guest could not tell".to_owned(),
                reason => reason.to_owned(),
            });
        }
        let value = self.0.get(key).map(|bytes| text(bytes));
        value.ok_or_else(|| "the guest did not tell".to_owned())
    }

    /// A fact of one line, trimmed.
    pub(super) fn line(&self, key: &str) -> Result<String, String> {
        self.get(key).map(|text| text.trim().to_owned())
    }

    /// A fact that is yes or no.
    pub(super) fn flag(&self, key: &str) -> Result<bool, String> {
        match self.line(key)?.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(other.to_owned()),
        }
    }
}

/// What a check is about: its name, unless a setting says otherwise.
pub(super) fn subject<'a>(check: &'a Check, setting: &str) -> &'a str {
    let set = check.setting(setting).and_then(|value| value.as_str());
    set.unwrap_or(&check.name)
}

/// `p KEY`: starts a record. `f KEY COMMAND…`: a record with the command's output, or with its complaint.
/// `fail REASON`: an error for the last key that was started with `k`.
const PRELUDE: &str = r#"LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
p() { printf '\n%s %s\n' "$N" "$1"; }
f() {
  key=$1
  shift
  if out=$("$@" 2>&1); then p "$key"; else p "$key!"; fi
  printf %s "$out"
}
yes() { p "$1"; printf true; }
no() { p "$1"; printf false; }
file() {
  if out=$(ls -d -- "$2" 2>&1); then
    yes "$1.exists"
    f "$1.stat" stat -c '%a %s %u %g %U %G %F' -- "$2"
    if [ -L "$2" ]; then f "$1.linked-to" readlink -- "$2"; else p "$1.linked-to!"; printf 'it is no link'; fi
  else
    case $out in
    *'o such file'* | *'ot a directory'*) no "$1.exists" ;;
    *) p "$1.exists!"; printf %s "$out" ;;
    esac
  fi
}
contents() {
  [ -e "$2" ] || return
  if [ -f "$2" ] && [ -r "$2" ]; then
    p "$1.contents"
    cat -- "$2" 2>/dev/null || { p "$1.contents!"; printf 'reading it fails'; }
  else
    p "$1.contents!"
    printf 'it cannot be read'
  fi
}
sum() {
  if [ -e "$3" ]; then f "$1.$2" "$2sum" -- "$3"; fi
}
net() {
  if [ -r "/proc/net/$1" ]; then f "net.$1" cat "/proc/net/$1"
  elif [ -r /proc/net/tcp ]; then p "net.$1"
  else p "net.$1!"; printf '/proc/net cannot be read'
  fi
}
processes() {
  out=$(cat /proc/[0-9]*/comm 2>/dev/null)
  if [ -n "$out" ]; then p comm; printf %s "$out"; else p comm!; printf '/proc cannot be read'; fi
}
has_process() {
  short=$(printf '%.15s' "$1")
  for c in /proc/[0-9]*/comm; do
    { read -r comm <"$c"; } 2>/dev/null && [ "$comm" = "$short" ] && return 0
  done
  return 1
}
ask() {
  key=$1
  out=$(systemctl "$2" -- "$3" 2>&1) && { yes "$key"; return; }
  case $out in
  *'ailed to connect'* | *'not been booted'* | *'ccess denied'*) p "$key!"; printf %s "$out" ;;
  *) no "$key" ;;
  esac
}
service() {
  case $2 in */*) no "$1.enabled"; no "$1.running"; return ;; esac
  if [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then
    ask "$1.enabled" is-enabled "$2"
    ask "$1.running" is-active "$2"
    return
  fi
  if command -v rc-service >/dev/null; then
    on=false
    for l in /etc/runlevels/*/"$2"; do [ -e "$l" ] && on=true; done
    p "$1.enabled"; printf %s $on
    if rc-service "$2" status >/dev/null 2>&1; then yes "$1.running"; else no "$1.running"; fi
    return
  fi
  if [ ! -d /etc/init.d ]; then
    p "$1.enabled!"; printf 'no init system is known here (systemd, OpenRC or /etc/init.d)'
    if has_process "$2"; then yes "$1.running"; else p "$1.running!"; printf 'no init system is known here'; fi
    return
  fi
  on=false
  for l in /etc/rc[2345S].d/S[0-9][0-9]"$2" /etc/init.d/S[0-9][0-9]"$2"; do [ -x "$l" ] && on=true; done
  grep -Eq "^[^#]*:respawn:(/etc/init.d/)?([^ ]*/)?$2( |\$)" /etc/inittab 2>/dev/null && on=true
  p "$1.enabled"; printf %s $on
  for s in "/etc/init.d/$2" /etc/init.d/S[0-9][0-9]"$2"; do
    [ -x "$s" ] && grep -q status "$s" && "$s" status >/dev/null 2>&1 </dev/null && { yes "$1.running"; return; }
  done
  if has_process "$2"; then yes "$1.running"; else no "$1.running"; fi
}
package() {
  if command -v dpkg-query >/dev/null; then
    p "$1.package"; dpkg-query -f '${Status} ${Version}\n' -W "$2" 2>/dev/null | sed -n 's/^\(install\|hold\) ok installed //p'
  elif command -v rpm >/dev/null; then
    p "$1.package"; rpm -q --qf '%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\n' "$2" 2>/dev/null || { p "$1.package"; }
  elif command -v apk >/dev/null; then
    p "$1.package"; apk info -e -v "$2" 2>/dev/null | sed "s/^$2-//"
  elif command -v pacman >/dev/null; then
    p "$1.package"; pacman -Q "$2" 2>/dev/null | sed 's/^[^ ]* //'
  else
    p "$1.package!"; printf 'no package manager is known here (dpkg, rpm, apk, pacman)'
  fi
}
"#;

/// The script's part for these checks; none if there is nothing to ask.
fn script(checks: &[(usize, &Check)]) -> Option<String> {
    let mut lines = Vec::new();
    let mut once = std::collections::BTreeSet::new();
    for (number, check) in checks {
        let asks = |name: &str| check.expect.iter().any(|(property, _)| property == name);
        match check.resource {
            Resource::Command | Resource::Http => {}
            Resource::File => {
                let path = path(subject(check, "path"));
                lines.push(format!("file {number} {path}"));
                if asks("contents") {
                    lines.push(format!("contents {number} {path}"));
                }
                for sum in ["md5", "sha256", "sha512"].into_iter().filter(|s| asks(s)) {
                    lines.push(format!("sum {number} {sum} {path}"));
                }
            }
            Resource::Group => drop(once.insert("f group cat /etc/group".to_owned())),
            Resource::User => {
                once.insert("f group cat /etc/group".to_owned());
                once.insert("f passwd cat /etc/passwd".to_owned());
            }
            Resource::KernelParam => {
                let name = subject(check, "name");
                let path = match name.contains('/') {
                    true => name.to_owned(),
                    false => name.replace('.', "/"),
                };
                let path = quote(&format!("/proc/sys/{path}"));
                lines.push(format!("f {number}.value cat {path}"));
            }
            Resource::Package => {
                let name = quote(subject(check, "name"));
                lines.push(format!("package {number} {name}"));
            }
            Resource::Port => {
                let port = subject(check, "port");
                let protocol = port.split_once(':').map_or("tcp", |(protocol, _)| protocol);
                once.insert(format!("net {}", quote(protocol)));
            }
            Resource::Process => drop(once.insert("processes".to_owned())),
            Resource::Service => {
                let name = quote(subject(check, "name"));
                lines.push(format!("service {number} {name}"));
            }
        }
    }
    lines.extend(once);
    (!lines.is_empty()).then(|| lines.join("\n") + "\n")
}

/// A path as a shell word; `~` and `~user` at its start mean what they mean to the shell.
fn path(path: &str) -> String {
    let home = path.split('/').next().unwrap_or_default();
    let tilde = home.starts_with('~')
        && home[1..]
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !tilde {
        return quote(path);
    }
    match path.split_once('/') {
        Some((home, rest)) if !rest.is_empty() => format!("{home}/{}", quote(rest)),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart_whatever_they_contain() {
        let output = b"noise\nM 1.a\nline\n\nmore\nM 1.b!\ndenied\nM 1.b\nhalf\nM 2.c\nM end\n";
        let facts = Facts::parse(output, "M");
        assert_eq!(facts.get("1.a").unwrap(), "line\n\nmore");
        assert_eq!(facts.get("1.b").unwrap_err(), "denied");
        assert_eq!(facts.get("2.c").unwrap(), "");
        assert_eq!(facts.get("3.d").unwrap_err(), "the guest did not tell");
        assert_eq!(facts.flag("1.a").unwrap_err(), "line\n\nmore");
        assert!(facts.0.contains_key("end"));
    }

    #[test]
    fn paths_keep_their_tilde() {
        assert_eq!(path("~/a b"), "~/'a b'");
        assert_eq!(path("~root/x"), "~root/x");
        assert_eq!(path("~"), "~");
        assert_eq!(path("~$(id)/x"), "'~$(id)/x'");
        assert_eq!(path("/etc/it's"), r"'/etc/it'\''s'");
    }
}
