//! `forge init`: a project that works, of this repository's own files.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use include_dir::{Dir, include_dir};

use super::common::{self, Global};
use super::{CliError, Exit};

static SCRIPTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scripts");
static KICKSTART: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/kickstart");
static VARS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/vars");

/// What forge writes into a project and nobody commits.
const IGNORED: &[&str] = &[".forge/", "output/"];

/// Start a project: builds.toml and the files that it needs
#[derive(Args, Debug)]
#[command(
    after_help = "Templates:\n  mini      a tiny Linux, built and verified within a minute or two\n  debian12  a Debian 12 server with systemd and apt\n  empty     a builds.toml to start from"
)]
pub(super) struct InitArgs {
    /// What to start from: mini, debian12 or empty
    #[arg(default_value = "mini")]
    template: String,
    /// Where; made if it is not there
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
}

/// A kind of project.
struct Template {
    name: &'static str,
    builds: &'static str,
    /// Files and directories of the repository that it needs.
    parts: &'static [&'static str],
    /// What `forge run` makes of it.
    makes: &'static str,
}

static TEMPLATES: &[Template] = &[
    Template {
        name: "mini",
        builds: include_str!("init/mini.toml"),
        parts: &[
            "kickstart/mini",
            "scripts/cleanup.sh",
            "scripts/goss",
            "scripts/harden.sh",
            "scripts/install.sh",
            "scripts/k3s",
            "scripts/mini-iso",
            "vars/common.toml",
            "vars/mini.toml",
        ],
        makes: "build and verify the appliance",
    },
    Template {
        name: "debian12",
        builds: include_str!("init/debian12.toml"),
        parts: &[
            "kickstart/debian12",
            "scripts/cleanup.sh",
            "scripts/debian-iso",
            "scripts/goss",
            "scripts/harden.sh",
            "scripts/install.sh",
            "scripts/k3s",
            "scripts/mini-iso",
            "vars/common.toml",
            "vars/debian12.toml",
        ],
        makes: "build and verify the appliance",
    },
    Template {
        name: "empty",
        builds: include_str!("init/empty.toml"),
        parts: &[],
        makes: "do it",
    },
];

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: InitArgs) -> Result<Exit, CliError> {
    let template = find(&args.template)?;
    let dir = match &global.directory {
        Some(base) => base.join(&args.dir),
        None => args.dir.clone(),
    };
    let files = files(template, &project_name(&dir));
    if !args.force {
        refuse(&dir, &files)?;
    }
    for (path, content) in &files {
        write(&dir.join(path), content)?;
    }
    ignore(&dir.join(".gitignore"))?;
    let text = next_steps(template, &args.dir, files.len());
    common::print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn find(name: &str) -> Result<&'static Template, CliError> {
    let names = || TEMPLATES.iter().map(|template| template.name);
    if let Some(found) = TEMPLATES.iter().find(|template| template.name == name) {
        return Ok(found);
    }
    let error = CliError::input(format!("there is no template `{name}`"));
    Err(match crate::diag::closest(name, names()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!(
            "templates: {}; a directory comes second: `forge init mini {name}`",
            names().collect::<Vec<_>>().join(", ")
        )),
    })
}

/// The directory's name in letters that file names and host names may have.
fn project_name(dir: &Path) -> String {
    let full = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    // `x/..` has no name of its own before it is resolved
    let full = full.canonicalize().unwrap_or(full);
    let name = full.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name
        .chars()
        .map(|c| match c.is_ascii_alphanumeric() {
            true => c.to_ascii_lowercase(),
            false => '-',
        })
        .collect();
    let name = name.trim_matches('-');
    match name.is_empty() {
        true => "image".to_owned(),
        false => name.chars().take(40).collect(),
    }
}

/// All files of the project, `builds.toml` last: without it a half-written project is none.
fn files(template: &Template, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for (prefix, tree) in [
        ("kickstart", &KICKSTART),
        ("scripts", &SCRIPTS),
        ("vars", &VARS),
    ] {
        collect(tree, Path::new(prefix), &mut files);
    }
    files.retain(|(path, _)| template.parts.iter().any(|part| path.starts_with(part)));
    let builds = template.builds.replace("@NAME@", name);
    files.push(("builds.toml".into(), builds.into_bytes()));
    files
}

fn collect(dir: &Dir<'_>, prefix: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for file in dir.files() {
        files.push((prefix.join(file.path()), file.contents().to_vec()));
    }
    for sub in dir.dirs() {
        collect(sub, prefix, files);
    }
}

/// Leaves alone what is somebody else's.
fn refuse(dir: &Path, files: &[(PathBuf, Vec<u8>)]) -> Result<(), CliError> {
    let differs = |(path, content): &&(PathBuf, Vec<u8>)| match fs::read(dir.join(path)) {
        Ok(there) => there != *content,
        Err(error) => error.kind() != ErrorKind::NotFound,
    };
    let message = if dir.join("builds.toml").exists() {
        format!("there is a project in `{}` already", dir.display())
    } else {
        let mut in_the_way = files.iter().filter(differs);
        let Some((first, _)) = in_the_way.next() else {
            return Ok(());
        };
        let others = match in_the_way.count() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "`{}`{others} would be overwritten",
            dir.join(first).display()
        )
    };
    Err(CliError::input(message).help("`--force` overwrites, or choose another directory"))
}

fn write(path: &Path, content: &[u8]) -> Result<(), CliError> {
    let parent = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(parent).and_then(|()| fs::write(path, content));
    let written = written.and_then(|()| match content.starts_with(b"#!") {
        true => fs::set_permissions(path, fs::Permissions::from_mode(0o755)),
        false => Ok(()),
    });
    written.map_err(|e| CliError::environment(format!("cannot write `{}`: {e}", path.display())))
}

/// Adds to `.gitignore` what is not in it yet.
fn ignore(path: &Path) -> Result<(), CliError> {
    let mut text = fs::read_to_string(path).unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for entry in IGNORED {
        let known = |line: &str| line.trim().trim_matches('/') == entry.trim_matches('/');
        if !text.lines().any(known) {
            text.push_str(&format!("{entry}\n"));
        }
    }
    write(path, text.as_bytes())
}

fn next_steps(template: &Template, dir: &Path, count: usize) -> String {
    let (name, makes) = (template.name, template.makes);
    let noun = if count == 1 { "file" } else { "files" };
    let here = dir == Path::new(".");
    let (place, enter) = match here {
        true => (String::new(), String::new()),
        false => (
            format!(" in {}", dir.display()),
            format!("  cd {}\n", dir.display()),
        ),
    };
    format!(
        "made a project of the template `{name}`{place}: {count} {noun}\n\nnext:\n{enter}  forge plan    show what would run, and why\n  forge run     {makes}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_template_is_there() {
        for template in TEMPLATES {
            let files = files(template, "x");
            for part in template.parts {
                assert!(
                    files.iter().any(|(path, _)| path.starts_with(part)),
                    "{}: {part}",
                    template.name
                );
            }
        }
    }

    #[test]
    fn a_project_is_called_like_its_directory() {
        for (dir, name) in [
            ("/a/My Image_2", "my-image-2"),
            ("/a/--x--", "x"),
            ("/", "image"),
            ("/a/…", "image"),
        ] {
            assert_eq!(project_name(Path::new(dir)), name);
        }
    }
}
