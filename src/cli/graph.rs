//! `forge graph`.

use clap::{Args, ValueEnum};

use super::common::{self, Choice, Global};
use super::session::Session;
use super::{CliError, Exit};
use crate::report::{GraphView, Paint};

/// Draw the stages and what they depend on
#[derive(Args, Debug)]
pub(super) struct GraphArgs {
    /// Targets or stages; none: the project's default
    targets: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    /// How it is drawn
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: GraphFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GraphFormat {
    /// A tree
    Text,
    /// Graphviz
    Dot,
    /// Mermaid, for Markdown
    Mermaid,
    /// A picture for browsers
    Svg,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: GraphArgs) -> Result<Exit, CliError> {
    let session = Session::load(global, &args.choice)?;
    let stages = session.select(&args.choice, &args.targets)?;
    let view = GraphView::new(&session.project, &session.graph, &stages);
    let text = match args.format {
        GraphFormat::Text => view.text(Paint::new(global.colour_stdout())),
        GraphFormat::Dot => view.dot(),
        GraphFormat::Mermaid => view.mermaid(),
        GraphFormat::Svg => view.svg(),
    };
    common::print(text.as_bytes())?;
    Ok(Exit::Done)
}
