//! Loading, seen from outside.

mod repository;
mod support;
