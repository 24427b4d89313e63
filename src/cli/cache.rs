//! `forge cache`.

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};

use super::clean::parse_age;
use super::common::{self, Choice, Global};
use super::session::{Session, cache_dir, find_project, open_store, store_error};
use super::{CliError, Exit};
use crate::report::{self, DryRun, Paint};
use crate::stages::Kept;
use crate::store::keep_set;

/// What gc leaves alone though no record needs it: a run may still come back to it.
const DEFAULT_AGE: &str = "7d";

/// Look after the store: list, verify, collect
#[derive(Args, Debug)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// List what the store has, the newest use first
    Ls,
    /// Read everything and compare it with its digest; what is damaged is set aside
    Verify,
    /// Remove what no record of any project needs
    Gc {
        /// Also keep what was used more recently than this
        #[arg(long, value_name = "DURATION", default_value = DEFAULT_AGE)]
        older_than: String,
        /// Show what would be removed
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Print where the cache lies
    Dir,
}

pub(super) fn run(global: &Global, args: CacheArgs) -> Result<Exit, CliError> {
    let cache = cache_dir(global)?;
    let paint = Paint::new(global.colour_stdout());
    match args.command {
        CacheCommand::Dir => common::print(format!("{}\n", cache.display()).as_bytes())?,
        CacheCommand::Ls => {
            let objects = open_store(&cache)?.list().map_err(|e| store_error(&e))?;
            common::print(report::cache_text(&objects, SystemTime::now()).as_bytes())?;
        }
        CacheCommand::Verify => {
            let report = open_store(&cache)?
                .verify(&|_, _| {})
                .map_err(|e| store_error(&e))?;
            common::print(report::verify_text(&report, paint).as_bytes())?;
            return Ok(if report.corrupt.is_empty() {
                Exit::Done
            } else {
                Exit::Failed
            });
        }
        CacheCommand::Gc {
            older_than,
            dry_run,
        } => gc(global, parse_age(&older_than)?, dry_run)?,
    }
    Ok(Exit::Done)
}

fn gc(global: &Global, age: Duration, dry_run: bool) -> Result<(), CliError> {
    let report = if find_project(global).is_ok() {
        let session = Session::load(global, &Choice::default())?;
        let (store, db) = session.open()?;
        let mut keep = keep_set(&store, Some((&session.root, &db)), None, Some(age))
            .map_err(|e| store_error(&e))?;
        keep.extend(Kept::new(&session.state_dir()).digests());
        store.gc(&keep, Some(age), dry_run)
    } else {
        let store = open_store(&cache_dir(global)?)?;
        let keep = keep_set(&store, None, None, Some(age)).map_err(|e| store_error(&e))?;
        store.gc(&keep, Some(age), dry_run)
    };
    let report = report.map_err(|e| store_error(&e))?;
    let dry = if dry_run { DryRun::Yes } else { DryRun::No };
    common::print(report::gc_text(&report, dry).as_bytes())
}
