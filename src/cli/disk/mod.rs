//! `forge disk`: disk images on their own, built by forge or not.

mod check;
mod convert;
mod info;
mod pick;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::common::{self, Global};
use super::half::enter;
use super::progress::with_bar;
use super::{CliError, Exit};
use crate::image::disk::DiskError;

/// Convert, show and check disk images: VMDK, qcow2, raw
#[derive(Args, Debug)]
pub(super) struct DiskArgs {
    #[command(subcommand)]
    command: DiskCommand,
}

#[derive(Debug, Subcommand)]
enum DiskCommand {
    /// Write a disk as another image; what is only zeros takes no room in it
    Convert(convert::ConvertArgs),
    /// Show what an image says about itself
    Info {
        /// The image, or an appliance (OVA) with disks
        image: PathBuf,
        /// Of an appliance, only this disk: its number or its file's name
        #[arg(long, value_name = "N|NAME")]
        disk: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Look at every table and every byte of data, and say what is wrong
    Check {
        /// The image, or an appliance (OVA) with disks
        image: PathBuf,
        /// Of an appliance, only this disk: its number or its file's name
        #[arg(long, value_name = "N|NAME")]
        disk: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The formats that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Stream-optimized: compressed, as appliances carry it
    Vmdk,
    /// As VMware's desktop products run from it
    VmdkSparse,
    /// As QEMU runs from it
    Qcow2,
    /// The disk's bytes as they are
    Raw,
}

pub(super) fn run(global: &Global, args: DiskArgs) -> Result<Exit, CliError> {
    match args.command {
        DiskCommand::Convert(args) => convert::run(global, args),
        DiskCommand::Info { image, disk, json } => {
            info::run(&image, disk.as_deref(), json || global.json())
        }
        DiskCommand::Check { image, disk, json } => {
            check::run(global, &image, disk.as_deref(), json || global.json())
        }
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what errors are mapped with"
)]
fn disk_error(error: DiskError) -> CliError {
    CliError::input(format!("cannot read {error}"))
}
