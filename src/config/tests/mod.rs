//! Loading, seen from outside.

mod expand;
mod language;
mod messages_file;
mod messages_machine;
mod messages_stage;
mod messages_template;
mod repository;
mod robust;
mod schema;
mod support;
