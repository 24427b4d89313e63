//! Arguments, wiring, exit codes; one file per command, no logic.

mod ask;
mod cache;
mod check;
mod clean;
mod common;
mod completions;
mod console;
mod disk;
mod doctor;
mod error;
mod explain;
mod graph;
mod half;
mod init;
mod logs;
mod ova;
mod plan;
mod progress;
mod run;
mod runs;
mod schema;
mod screenshot;
mod session;
mod shortcut;
mod signals;
mod ssh;
mod validate;
mod vars;
mod watch;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use error::{CliError, Exit};

/// Build, cache, verify and ship virtual-machine images from one file.
#[derive(Debug, Parser)]
#[command(
    name = "forge",
    version,
    max_term_width = 100,
    after_help = "Start with `forge init`, or look at `forge plan` in a project."
)]
struct Arguments {
    #[command(flatten)]
    global: common::Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArgs),
    Run(run::RunArgs),
    Plan(plan::PlanArgs),
    Clean(clean::CleanArgs),
    Explain(explain::ExplainArgs),
    Graph(graph::GraphArgs),
    Vars(vars::VarsArgs),
    Validate(validate::ValidateArgs),
    Logs(logs::LogsArgs),
    Runs(runs::RunsArgs),
    Ssh(ssh::SshArgs),
    Screenshot(screenshot::ScreenshotArgs),
    Console(console::ConsoleArgs),
    Cache(cache::CacheArgs),
    Doctor(doctor::DoctorArgs),
    Ova(ova::OvaArgs),
    Check(check::CheckArgs),
    Disk(disk::DiskArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
}

/// Runs forge with the process's arguments and environment.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            let code = if error.use_stderr() {
                Exit::Input
            } else {
                Exit::Done
            };
            return code.into();
        }
    };
    let global = arguments.global;
    let result = match arguments.command {
        Command::Init(args) => init::run(&global, args),
        Command::Run(args) => run::run(&global, args),
        Command::Plan(args) => plan::run(&global, args),
        Command::Clean(args) => clean::run(&global, args),
        Command::Explain(args) => explain::run(&global, args),
        Command::Graph(args) => graph::run(&global, args),
        Command::Vars(args) => vars::run(&global, args),
        Command::Validate(args) => validate::run(&global, args),
        Command::Logs(args) => logs::run(&global, args),
        Command::Runs(args) => runs::run(&global, args),
        Command::Ssh(args) => ssh::run(&global, args),
        Command::Screenshot(args) => screenshot::run(&global, args),
        Command::Console(args) => console::run(&global, args),
        Command::Cache(args) => cache::run(&global, args),
        Command::Doctor(args) => doctor::run(&global, args),
        Command::Ova(args) => ova::run(&global, args),
        Command::Check(args) => check::run(&global, args),
        Command::Disk(args) => disk::run(&global, args),
        Command::Schema(args) => schema::run(&global, args),
        Command::Completions(args) => completions::run(&global, args),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.print(&global);
            error.exit().into()
        }
    }
}
