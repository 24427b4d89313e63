//! What the file means: a [`Project`](crate::model::Project) with all stages at all values of their axes.
//!
//! Every stage is lowered after the one it comes `from`, because hardware, login and shut-down command are inherited along
//! that line. A cycle ends the line here; the graph of the plan is what reports it.

mod checks;
mod command;
mod context;
mod cross;
mod decl;
mod explain;
mod machine;
mod media;
mod pack;
mod project;
mod publish;
mod site;
mod stage;
mod steps;
mod vsphere;
mod when;

pub(super) use project::file;
