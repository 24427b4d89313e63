//! `forge disk`: disk images on their own, built by forge or not.

mod convert;
mod look;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::common::{self, Global};
use super::progress::with_bar;
use super::{CliError, Exit};
use crate::image::disk::{self, DiskImage};

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
        /// The image
        image: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Look at every table and every byte of data, and say what is wrong
    Check {
        /// The image
        image: PathBuf,
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
        DiskCommand::Info { image, json } => look::info(&image, json || global.json()),
        DiskCommand::Check { image, json } => look::check(global, image, json || global.json()),
    }
}

fn open(path: &Path) -> Result<DiskImage, CliError> {
    disk::open(path).map_err(|error| CliError::input(format!("cannot read {error}")))
}
