//! `forge clean`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;

use super::common::{self, Choice, Global};
use super::session::{Session, run_facts, store_error};
use super::{CliError, Exit};
use crate::model::{Digest, MachineState, Size, StageKey};
use crate::net;
use crate::stages::{Host, OnError, remove_machines};
use crate::store::{Db, Kept, Limits, StepCheckpoint, Store};
use crate::sys::FileLock;

/// Remove what stages have left: artifacts, machines, records; the next run builds them anew
#[derive(Args, Debug)]
pub(super) struct CleanArgs {
    /// Stages or targets; none: all stages of the project at all axis values
    targets: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    /// Also remove downloads and everything else in the cache that no other project needs
    #[arg(long)]
    cache: bool,
    /// Only what was made longer ago than this, such as `30d`
    #[arg(long, value_name = "DURATION")]
    older_than: Option<String>,
    /// Show what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: CleanArgs) -> Result<Exit, CliError> {
    let session = Session::load(global, &args.choice)?;
    let age = args.older_than.as_deref().map(parse_age).transpose()?;
    let host = session.host(run_facts(), OnError::Cleanup)?;
    let (store, db) = (Arc::clone(&host.store), Arc::clone(&host.db));
    let _lock =
        FileLock::try_acquire(&session.state_dir().join("lock"), "forge clean").map_err(|e| {
            CliError::environment(format!("another forge works on this project: {e}"))
                .help("wait until it has finished")
        })?;
    let runtime = common::runtime()?;
    if !args.dry_run {
        runtime.block_on(reclaim(&host));
    }
    let mut cleaner = Cleaner {
        session: &session,
        store: &store,
        db: &db,
        servers: (&host, &runtime),
        dry_run: args.dry_run,
        removed: Vec::new(),
        bytes: 0,
    };
    for key in stages(&session, &args, &db)? {
        cleaner.stage(&key, age)?;
    }
    cleaner.collect(args.cache)?;
    runtime.block_on(host.close());
    let verb = if args.dry_run {
        "would remove"
    } else {
        "removed"
    };
    let mut text: String = cleaner
        .removed
        .iter()
        .map(|what| format!("{verb} {what}\n"))
        .collect();
    text.push_str(&match cleaner.removed.len() {
        0 => "nothing to clean\n".to_owned(),
        _ => format!("{verb} {} in the cache\n", Size::from_bytes(cleaner.bytes)),
    });
    common::print(text.as_bytes())?;
    Ok(Exit::Done)
}

/// The named stages at the chosen axis values, without what they depend on; all recorded ones without names.
fn stages(session: &Session, args: &CleanArgs, db: &Db) -> Result<Vec<StageKey>, CliError> {
    if args.targets.is_empty() {
        let mut all: BTreeSet<StageKey> = session
            .project
            .stages
            .iter()
            .map(|s| s.key.clone())
            .collect();
        // stages that builds.toml no longer has
        all.extend(db.recorded_stages().map_err(|e| store_error(&e))?);
        return Ok(all.into_iter().collect());
    }
    let names: BTreeSet<&str> = args
        .targets
        .iter()
        .flat_map(|target| {
            match session
                .project
                .targets
                .iter()
                .find(|(name, _)| name.as_str() == target)
            {
                Some((_, stages)) => stages.iter().map(crate::model::Name::as_str).collect(),
                None => vec![target.as_str()],
            }
        })
        .collect();
    let selected = session.select(&args.choice, &args.targets)?;
    Ok(selected
        .into_iter()
        .filter(|key| names.contains(key.name.as_str()))
        .collect())
}

/// Finishes what killed forges have left on servers, and tells it.
pub(super) async fn reclaim(host: &Host) {
    let (removed, wrong) = crate::stages::reclaim(host).await;
    for what in removed {
        common::warn(&format!("cleaned up after a forge that was killed: {what}"));
    }
    wrong.iter().for_each(|text| common::warn(text));
}

struct Cleaner<'a> {
    session: &'a Session,
    store: &'a Store,
    db: &'a Db,
    servers: (&'a Host, &'a tokio::runtime::Runtime),
    dry_run: bool,
    removed: Vec<String>,
    bytes: u64,
}

impl Cleaner<'_> {
    fn stage(&mut self, key: &StageKey, age: Option<Duration>) -> Result<(), CliError> {
        self.checkpoints(key, age)?;
        let Some(last) = self.db.last(key) else {
            return self.kept_machine(key);
        };
        if age.is_some_and(|age| made_within(last.started, age)) {
            return Ok(());
        }
        for file in last
            .artifact
            .files
            .values()
            .filter_map(|file| file.path.as_ref())
        {
            let path = self.session.root.join(file);
            if path.exists() {
                self.removed.push(file.clone());
                if !self.dry_run {
                    remove(&path)?;
                    remove_empty_parents(&path, &self.session.root);
                }
            }
        }
        self.machines(key, self.db.remote_machines(Some(key)))?;
        self.removed.push(format!("the record of {key}"));
        if !self.dry_run {
            let records = self.db.recorded(key).map_err(|e| store_error(&e))?;
            self.doom(records.iter().flat_map(|record| record.artifact.digests()))?;
            self.db.forget(key).map_err(|e| store_error(&e))?;
        }
        self.kept_machine(key)
    }

    /// What of these no record needs in the end goes; written down before the records go.
    fn doom(&self, digests: impl Iterator<Item = Digest>) -> Result<(), CliError> {
        self.store.doom(digests).map_err(|e| store_error(&e))
    }

    /// What the stage could have gone on from, if it was not used within `age`.
    fn checkpoints(&mut self, key: &StageKey, age: Option<Duration>) -> Result<(), CliError> {
        let old = self.db.checkpoints_of(key, age);
        let old = old.map_err(|e| store_error(&e))?;
        if old.is_empty() {
            return Ok(());
        }
        self.removed.push(format!("the checkpoints of {key}"));
        if !self.dry_run {
            self.doom(old.iter().flat_map(StepCheckpoint::digests))?;
            let forgotten = self.db.forget_checkpoints(key, age);
            forgotten.map_err(|e| store_error(&e))?;
        }
        Ok(())
    }

    fn kept_machine(&mut self, key: &StageKey) -> Result<(), CliError> {
        let kept = Kept::new(&self.session.state_dir());
        if let Some(machine) = kept.get(key) {
            self.machines(key, vec![machine.clone()])?;
            self.removed.push(format!("the failed machine of {key}"));
            if !self.dry_run {
                self.doom(machine.digests())?;
                kept.remove(key).map_err(|e| {
                    CliError::environment(format!("cannot remove a failed machine: {e}"))
                })?;
            }
        }
        Ok(())
    }

    /// Machines that the stage has left on servers. They go before what is known of them does.
    fn machines(&mut self, key: &StageKey, machines: Vec<MachineState>) -> Result<(), CliError> {
        let machines: Vec<_> = machines
            .into_iter()
            .filter(|m| m.remote.is_some())
            .collect();
        let (host, runtime) = self.servers;
        if machines.is_empty() {
            return Ok(());
        }
        if self.dry_run {
            let stage = self.session.project.stage(key);
            let leaves_machines = !stage.is_some_and(|stage| stage.kind.hands_on_machine());
            let names = machines
                .iter()
                .filter_map(|machine| machine.remote.as_ref());
            let names = names.map(|remote| format!("the machine {}", remote.name));
            for name in names.filter(|_| leaves_machines) {
                if !self.removed.contains(&name) {
                    self.removed.push(name);
                }
            }
            return Ok(());
        }
        let (removed, wrong) = runtime.block_on(remove_machines(host, key, &machines));
        let names = removed
            .into_iter()
            .map(|name| format!("the machine {name}"));
        self.removed.extend(names);
        match wrong.into_iter().next() {
            None => Ok(()),
            Some(error) => {
                let message = format!("the machine of {key} could not be removed: {error}");
                Err(CliError::environment(message)
                    .help("what is recorded of it is kept: `forge clean` can be run again"))
            }
        }
    }

    /// Frees what the forgotten records alone needed; `everything`: whatever no record needs, install media too. A dry run
    /// cannot know it: the records still stand.
    fn collect(&mut self, everything: bool) -> Result<(), CliError> {
        if self.dry_run {
            return Ok(());
        }
        self.bytes = self.store.tidy().map_err(|e| store_error(&e))?;
        if !everything {
            return Ok(());
        }
        let report = self.store.gc(Limits::default(), false);
        self.bytes += report.map_err(|e| store_error(&e))?.freed;
        let stored = |digest: &Digest| self.store.contains(digest);
        let swept = net::sweep(&self.session.cache, Duration::ZERO, false, &stored);
        let swept = swept.map_err(|e| {
            CliError::environment(format!("cannot remove unfinished downloads: {e}"))
        })?;
        self.bytes += swept.bytes;
        for name in swept.files {
            self.removed.push(format!("the unfinished download {name}"));
        }
        Ok(())
    }
}

fn made_within(started: u64, age: Duration) -> bool {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    now.saturating_sub(started) < age.as_secs()
}

pub(super) fn parse_age(text: &str) -> Result<Duration, CliError> {
    crate::model::Duration::parse(text)
        .map(crate::model::Duration::std)
        .map_err(|e| CliError::input(format!("`--older-than {text}`: {e}")))
}

fn remove(path: &Path) -> Result<(), CliError> {
    crate::sys::fs::remove(path)
        .map_err(|e| CliError::environment(format!("cannot remove {}: {e}", path.display())))
}

fn remove_empty_parents(path: &Path, root: &Path) {
    for parent in path
        .ancestors()
        .skip(1)
        .take_while(|p| *p != root && p.starts_with(root))
    {
        if std::fs::remove_dir(parent).is_err() {
            break;
        }
    }
}
