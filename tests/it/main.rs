//! forge from outside: the binary, its output and its exit codes. Tests named `vm_…` run real guests.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod appliances;
mod check;
mod clones;
mod commands;
mod corpus;
mod disk;
mod disk_judges;
mod download;
mod faults;
mod goss_facts;
mod goss_guests;
mod goss_language;
mod goss_templates;
mod init;
mod input;
mod killed;
mod layering;
mod layers;
mod library;
mod make;
mod nightly;
mod packed_disks;
mod read;
mod shortcut;
mod storage;
mod support;
mod vcenter;
mod vcenter_faults;
mod vcenter_interrupted;
mod vm;
mod watch;
