//! The text of `builds.toml` and `vars/` to a [`Project`](crate::model::Project), or every fault with its span.
//!
//! Two steps: the files as typed (a tree that remembers places, checked against the tables of known keys), and what they
//! mean: templates rendered, defaults filled in, references resolved, at all values of the axes. Nothing here reads a
//! file or the environment but through [`World`]; faults are collected, never returned early.

mod asked;
mod expand;
mod keys;
mod loader;
mod lower;
mod schema;
mod scopes;
mod shape;
mod template;
mod tree;
mod world;

pub use asked::{Asked, Question, Remembering};
pub use schema::schema;
pub use world::{Loaded, Overrides, PathKind, Secrets, VariableRow, VariableTable, World, load};

#[cfg(test)]
mod tests;
