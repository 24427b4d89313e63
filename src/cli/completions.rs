//! `forge completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::common::Global;
use super::{Arguments, CliError, Exit};

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(
    after_help = "bash: source <(forge completions bash)\nzsh:  forge completions zsh > ~/.zfunc/_forge\nfish: forge completions fish | source"
)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(_global: &Global, args: CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "forge", &mut script);
    super::common::print(&script)?;
    Ok(Exit::Done)
}
