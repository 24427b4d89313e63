//! forge from outside: the binary, its output and its exit codes. Tests named `vm_…` run real guests.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod clones;
mod commands;
mod download;
mod faults;
mod init;
mod input;
mod layering;
mod library;
mod nightly;
mod read;
mod storage;
mod support;
mod vcenter;
mod vcenter_faults;
mod vcenter_interrupted;
mod vm;
