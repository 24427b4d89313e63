//! `forge cache`.

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};

use super::clean::parse_age;
use super::common::{self, Global};
use super::session::{cache_dir, find_project, open_store, store_error};
use super::{CliError, Exit};
use crate::model::{Digest, Size};
use crate::net;
use crate::report::{self, CacheSort, DryRun, Paint};
use crate::store::{Limits, Store};

/// What gc leaves alone though nothing that was built last needs it: somebody may come back to it.
const DEFAULT_AGE: &str = "7d";

/// Look after the store: list, verify, collect
#[derive(Args, Debug)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// List what the store has: layers of machines as trees, then files and downloads
    Ls {
        /// In which order
        #[arg(long, value_name = "ORDER", default_value = "used")]
        sort: SortArg,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Read everything and compare it with its digest; what is damaged is set aside
    Verify,
    /// Remove what no stage's last result and no machine needs, by age and size
    Gc {
        /// Keep what was used more recently than this
        #[arg(long, value_name = "DURATION", default_value = DEFAULT_AGE)]
        older_than: String,
        /// Then remove what was used longest ago until the store has no more than this, checkpoints first; else
        /// `FORGE_CACHE_QUOTA`
        #[arg(long, value_name = "SIZE")]
        quota: Option<String>,
        /// Show what would be removed, and why
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Print where the cache lies
    Dir,
}

/// `--sort`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SortArg {
    /// The newest use first
    Used,
    /// The largest first
    Size,
    /// By the names of the stages
    Name,
}

pub(super) fn run(global: &Global, args: CacheArgs) -> Result<Exit, CliError> {
    let cache = cache_dir(global)?;
    let paint = Paint::new(global.colour_stdout());
    match args.command {
        CacheCommand::Dir => common::print(format!("{}\n", cache.display()).as_bytes())?,
        CacheCommand::Ls { sort, json } => list(global, &open(global)?, sort, json)?,
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
            quota,
            dry_run,
        } => {
            let age = parse_age(&older_than)?;
            let quota = quota.as_deref().map(parse_quota).transpose()?;
            let store = open(global)?;
            let quota = quota.or(store.quota().map(Size::bytes));
            gc(&store, Limits { age, quota }, dry_run)?;
        }
    }
    Ok(Exit::Done)
}

fn parse_quota(text: &str) -> Result<u64, CliError> {
    Size::parse(text)
        .map(Size::bytes)
        .map_err(|e| CliError::input(format!("`--quota {text}`: {e}")))
}

/// Opens the store, and has it know the project here, whose records count.
fn open(global: &Global) -> Result<Store, CliError> {
    let store = open_store(&cache_dir(global)?)?;
    if let Ok(root) = find_project(global) {
        store.register(&root).map_err(|e| store_error(&e))?;
    }
    Ok(store)
}

fn list(global: &Global, store: &Store, sort: SortArg, json: bool) -> Result<(), CliError> {
    let inventory = store.inventory().map_err(|e| store_error(&e))?;
    let stored = |digest: &Digest| store.contains(digest);
    let unfinished = net::sweep(store.root(), Duration::ZERO, true, &stored);
    let unfinished = unfinished.map_err(|e| unreadable(&e))?;
    let sort = match sort {
        SortArg::Used => CacheSort::Used,
        SortArg::Size => CacheSort::Size,
        SortArg::Name => CacheSort::Name,
    };
    let listing = report::CacheListing {
        inventory: &inventory,
        origins: &net::origins(store.root()),
        unfinished: &unfinished,
        sort,
    };
    let text = if json || global.json() {
        format!("{:#}\n", report::cache_json(&listing))
    } else {
        report::cache_text(&listing, SystemTime::now())
    };
    common::print(text.as_bytes())
}

fn gc(store: &Store, limits: Limits, dry_run: bool) -> Result<(), CliError> {
    let mut report = store.gc(limits, dry_run).map_err(|e| store_error(&e))?;
    let stored = |digest: &Digest| store.contains(digest);
    let swept = net::sweep(store.root(), limits.age, dry_run, &stored);
    let swept = swept.map_err(|e| unreadable(&e))?;
    report.leftovers += swept.files.len();
    report.freed += swept.bytes;
    let dry = if dry_run { DryRun::Yes } else { DryRun::No };
    common::print(report::gc_text(&report, limits, dry).as_bytes())
}

fn unreadable(error: &std::io::Error) -> CliError {
    CliError::environment(format!("cannot look at the downloads: {error}"))
}
