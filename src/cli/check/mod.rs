//! `forge check`: gossfiles against any machine, or this one.

mod files;
mod propose;
mod reach;

use std::io::Write as _;
use std::time::Duration;

use clap::Args;

use super::common::{self, Global};
use super::{CliError, Exit, signals};
use crate::goss::{self, Format, Options, Resource, Spec, Vars};
use crate::guest::GuestError;
use crate::guest::facts::System;
use crate::guest::suite::{self, Asking, Attempt, DirFiles, Ended, LoadError, Retry};
use crate::sys::Cancel;

/// Run gossfiles against a machine over SSH, or against this one; nothing is installed there
#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    reach: reach::ReachArgs,
    /// A gossfile (may be repeated); `-` reads standard input
    #[arg(
        short,
        long = "gossfile",
        value_name = "FILE",
        env = "GOSS_FILE",
        default_value = "./goss.yaml"
    )]
    gossfile: Vec<String>,
    /// A JSON or YAML file with variables for templates (may be repeated, later ones win)
    #[arg(long, value_name = "FILE", env = "GOSS_VARS")]
    vars: Vec<String>,
    /// Variables for templates as JSON or YAML; they win over those in files
    #[arg(long, value_name = "TEXT", env = "GOSS_VARS_INLINE")]
    vars_inline: Option<String>,
    /// How results are shown: documentation, json, `json_oneline`, junit, nagios, prometheus, rspecish, silent, structured, tap
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        env = "GOSS_FMT",
        default_value = "rspecish"
    )]
    format: String,
    /// `exclude_raw`, perfdata, pretty, sort or verbose (may be repeated)
    #[arg(
        short = 'o',
        long,
        value_name = "OPTION",
        env = "GOSS_FMT_OPTIONS",
        value_delimiter = ','
    )]
    format_options: Vec<String>,
    /// Ask again as long as less than this time is over and not all holds (`30s`, `1m30s`)
    #[arg(
        short,
        long,
        value_name = "TIME",
        env = "GOSS_RETRY_TIMEOUT",
        default_value = "0s"
    )]
    retry_timeout: String,
    /// How long to wait between two attempts
    #[arg(
        short,
        long,
        value_name = "TIME",
        env = "GOSS_SLEEP",
        default_value = "1s"
    )]
    sleep: String,
    /// How many questions may be under way at once
    #[arg(
        long,
        value_name = "NUMBER",
        env = "GOSS_MAX_CONCURRENT",
        default_value_t = 50
    )]
    max_concurrent: usize,
    /// The package manager, if it is not the one that the machine seems to have
    #[arg(long, value_name = "NAME", value_parser = ["apk", "dpkg", "pacman", "rpm"])]
    package: Option<String>,
    /// No colours, whatever the terminal can do
    #[arg(long, env = "GOSS_NOCOLOR")]
    no_color: bool,
    /// Say on standard error how often the machine was waited for, and how long
    #[arg(long)]
    stats: bool,
    /// Print the gossfiles as their templates make them, with all that they include, instead of asking
    #[arg(long, conflicts_with_all = ["add", "autoadd"])]
    render: bool,
    /// Propose checks of the machine instead, as it is now: a kind and names (`--add service sshd crond`)
    #[arg(long, value_names = ["KIND", "NAME"], num_args = 2.., conflicts_with = "autoadd")]
    add: Vec<String>,
    /// Propose checks of all that has one of these names: packages, services, processes and their ports, users, groups, files
    #[arg(long, value_name = "NAME", num_args = 1..)]
    autoadd: Vec<String>,
    /// Write proposals into the gossfile instead of printing them; what it says about other things stays
    #[arg(short, long)]
    write: bool,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: CheckArgs) -> Result<Exit, CliError> {
    let format = Format::parse(&args.format).ok_or_else(|| {
        let known: Vec<_> = Format::ALL.iter().map(|(name, _)| *name).collect();
        CliError::input(format!("there is no format `{}`", args.format))
            .help(format!("formats: {}", known.join(", ")))
    })?;
    options(
        &args,
        Options::new(std::time::SystemTime::UNIX_EPOCH, Duration::ZERO),
    )?;
    let asking = Asking {
        at_once: args.max_concurrent.max(1),
        manager: args.package.clone(),
        retry: Some(Retry {
            timeout: files::span("--retry-timeout", &args.retry_timeout)?,
            sleep: files::span("--sleep", &args.sleep)?,
        }),
    };
    let color = !args.no_color && global.colour_stdout();
    let files = files::gossfiles(global.directory.clone())?;
    let vars = files::vars(&files, &args.vars, args.vars_inline.as_deref())?;
    let runtime = common::runtime()?;
    let result = runtime.block_on(async {
        let cancel = Cancel::new();
        signals::watch(&cancel, common::warn);
        let reached = reach::reach(&args.reach, &cancel).await?;
        let system = reached.system();
        if !args.add.is_empty() || !args.autoadd.is_empty() {
            let wish = propose::Wish::new(&args.add, &args.autoadd)?;
            let at = if args.write {
                args.gossfile.first().map(String::as_str)
            } else {
                None
            };
            return propose::run(&system, &wish, &asking, at, &files, &cancel).await;
        }
        let job = Job {
            args: &args,
            format,
            color,
            cancel: &cancel,
        };
        if args.render {
            return job.render(&system, &files, &vars).await;
        }
        let resources = job.load(&system, &files, &vars).await?;
        job.check(&system, &resources, &asking).await
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Err(CliError::Message {
            exit: Exit::Interrupted,
            ..
        }) => Ok(Exit::Interrupted),
        other => other,
    }
}

/// What one run needs.
struct Job<'a> {
    args: &'a CheckArgs,
    format: Format,
    color: bool,
    cancel: &'a Cancel,
}

impl Job<'_> {
    /// Prints the gossfiles as they are meant.
    async fn render(
        &self,
        system: &System<'_>,
        files: &DirFiles,
        vars: &Vars,
    ) -> Result<Exit, CliError> {
        for path in &self.args.gossfile {
            let text = input(path)?;
            let rendered = suite::render(
                system,
                &spec(path, text.as_deref()),
                files,
                vars,
                self.cancel,
            )
            .await;
            print(&rendered.map_err(unloaded)?);
        }
        Ok(Exit::Done)
    }

    /// All resources of all gossfiles, in order.
    async fn load(
        &self,
        system: &System<'_>,
        files: &DirFiles,
        vars: &Vars,
    ) -> Result<Vec<Resource>, CliError> {
        let mut resources = Vec::new();
        for path in &self.args.gossfile {
            let text = input(path)?;
            let loaded = suite::load(
                system,
                &spec(path, text.as_deref()),
                files,
                vars,
                self.cancel,
            )
            .await;
            let (suite, _) = loaded.map_err(unloaded)?;
            if !suite.warnings.is_empty() {
                let text = crate::diag::render(&suite.warnings, self.color);
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            resources.extend(suite.resources);
        }
        Ok(resources)
    }

    async fn check(
        &self,
        system: &System<'_>,
        resources: &[Resource],
        asking: &Asking,
    ) -> Result<Exit, CliError> {
        let Retry { timeout, sleep } = asking.retry.unwrap_or(Retry {
            timeout: Duration::ZERO,
            sleep: Duration::ZERO,
        });
        let mut attempts = 1;
        let mut tell = |attempt: &Attempt, elapsed: Duration| {
            attempts += 1;
            let _ = self.show(attempt);
            let (sleep, timeout) = (goss_span(sleep), goss_span(timeout));
            print(&format!(
                "Retrying in {sleep} (elapsed/timeout time: {:.3}s/{timeout})\n\n\nAttempt #{attempts}:\n",
                elapsed.as_secs_f64()
            ));
        };
        let ended = suite::ask_until(system, resources, asking, self.cancel, &mut tell).await;
        let Ended {
            attempt, expired, ..
        } = ended.map_err(|e| unreached(&e))?;
        let code = self.show(&attempt)?;
        if self.args.stats {
            let line = format!(
                "{} questions, {} round trips, {:.3} s",
                resources.len(),
                attempt.round_trips,
                attempt.took.as_secs_f64()
            );
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        if expired && code != 0 {
            return Err(CliError::environment(format!(
                "timeout of {} reached before tests entered a passing state",
                goss_span(timeout)
            )));
        }
        Ok(match code {
            0 => Exit::Done,
            2 => Exit::Critical,
            _ => Exit::Failed,
        })
    }

    /// Prints an attempt; goss's exit code for it.
    fn show(&self, attempt: &Attempt) -> Result<i32, CliError> {
        let mut shown = Options::new(attempt.started, attempt.took);
        shown.color = self.color;
        let shown = options(self.args, shown)?;
        let rendered = goss::write(self.format, &attempt.groups, &shown);
        print(&rendered.text);
        Ok(rendered.code)
    }
}

/// Standard input, if the gossfile is called so.
fn input(path: &str) -> Result<Option<String>, CliError> {
    (path == "-").then(files::standard_input).transpose()
}

fn spec<'a>(path: &'a str, text: Option<&'a str>) -> Spec<'a> {
    match text {
        Some(text) => Spec::Text {
            name: "standard input",
            text,
        },
        None => Spec::Path(path),
    }
}

fn print(text: &str) {
    // a reader that has seen enough is no fault
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn options(args: &CheckArgs, mut options: Options) -> Result<Options, CliError> {
    for name in &args.format_options {
        if !options.set(name) {
            return Err(
                CliError::input(format!("there is no format option `{name}`"))
                    .help(format!("options: {}", Options::NAMES.join(", "))),
            );
        }
    }
    Ok(options)
}

/// A span as Go writes it.
fn goss_span(span: Duration) -> String {
    crate::guest::facts::span(span)
}

fn unloaded(error: LoadError) -> CliError {
    match error {
        LoadError::Faults(faults) => CliError::Project(faults),
        LoadError::System(error) => unreached(&error),
    }
}

/// A machine that cannot be asked.
fn unreached(error: &GuestError) -> CliError {
    if matches!(error, GuestError::Cancelled) {
        return CliError::Message {
            exit: Exit::Interrupted,
            message: error.to_string(),
            help: Vec::new(),
        };
    }
    let help = reach::help(error);
    let shown = CliError::environment(error.to_string());
    match help {
        Some(help) => shown.help(help),
        None => shown,
    }
}
