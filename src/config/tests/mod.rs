//! Loading, seen from outside.

mod diagnostics;
mod language;
mod repository;
mod support;
