//! `forge run --watch`: runs again whenever something that the stages are made from changes.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::common::Global;
use super::run::{RunArgs, display, once};
use super::session::{Session, find_project, run_facts};
use super::world::RealWorld;
use super::{CliError, Exit, signals};
use crate::config::{self, PathKind, World};
use crate::engine::Event;
use crate::model::{Input, Project};
use crate::plan::Facts;
use crate::stages::OnError;

/// Changes count once nothing has happened for so long: editors write in several strokes.
const QUIET: Duration = Duration::from_millis(200);
/// But no later than this: something may write all the time.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many changed paths are named.
const NAMED: usize = 3;

type Events = mpsc::UnboundedReceiver<notify::Result<notify::Event>>;

/// What the stages are made from.
#[derive(PartialEq)]
enum Made {
    /// The project, and what lies behind its inputs.
    From(Box<(Project, Facts)>),
    /// Its files have these faults.
    Faulty(String),
}

pub(super) fn run(global: &Global, args: &RunArgs) -> Result<Exit, CliError> {
    let mut args = args.clone();
    let mut shown = display(global, args.quiet);
    let runtime = super::common::runtime()?;
    // a signal counts whenever it comes, between two runs too
    let mut stop = {
        let _within = runtime.enter();
        signals::Stop::listen()
    };
    loop {
        let (mut events, watcher, places) = watch(global, &args)?;
        // after it is watched, before it is used: no change is missed
        let known = look(global, &args)?.0;
        let done = Session::load(global, &args.choice)
            .and_then(|session| once(global, &args, &session, shown, None));
        let exit = done.unwrap_or_else(|error| {
            error.print(global);
            error.exit()
        });
        if exit == Exit::Interrupted {
            return Ok(exit);
        }
        // the first run was asked to, the others run because of a change
        args.force.clear();
        shown = display(global, args.quiet);
        shown.0.event(Event::Watching { places });
        let root = find_project(global)?;
        let next = || look(global, &args).map(|(made, _)| made);
        let waiting = wait(&root, &mut events, stop.as_mut(), &known, next);
        let changed = runtime.block_on(waiting)?;
        drop(watcher);
        match changed {
            None => return Ok(exit),
            Some(paths) => shown.0.event(Event::Changed { paths }),
        }
    }
}

/// Waits until something else comes of a change; gives the changed paths, or none when it was interrupted.
async fn wait(
    root: &Path,
    events: &mut Events,
    stop: Option<&mut signals::Stop>,
    known: &Made,
    next: impl Fn() -> Result<Made, CliError>,
) -> Result<Option<Vec<String>>, CliError> {
    let stopped = async {
        match stop {
            Some(stop) => drop(stop.asked().await),
            None => std::future::pending().await,
        }
    };
    tokio::pin!(stopped);
    loop {
        let mut paths = tokio::select! {
            paths = change(root, events) => paths,
            () = &mut stopped => return Ok(None),
        };
        let late = tokio::time::sleep(PATIENCE);
        tokio::pin!(late);
        loop {
            tokio::select! {
                more = change(root, events) => paths.extend(more),
                () = tokio::time::sleep(QUIET) => break,
                () = &mut late => break,
            }
        }
        if next()? != *known {
            let paths = paths.into_iter().take(NAMED).collect();
            return Ok(Some(paths));
        }
    }
}

/// The paths of the next change to anything but what forge itself writes, relative to the project.
async fn change(root: &Path, events: &mut Events) -> BTreeSet<String> {
    loop {
        let Some(event) = events.recv().await else {
            return std::future::pending().await;
        };
        let Ok(event) = event else { continue };
        if matches!(event.kind, EventKind::Access(_)) {
            continue;
        }
        let own = |path: &PathBuf| path.starts_with(root.join(".forge"));
        let paths: BTreeSet<String> = event
            .paths
            .iter()
            .filter(|path| !own(path))
            .map(|path| path.strip_prefix(root).unwrap_or(path))
            .map(|path| path.display().to_string())
            .filter(|path| !path.is_empty())
            .collect();
        if !paths.is_empty() {
            return paths;
        }
    }
}

/// Watches all that the stages are made from; returns how many places those are, too.
fn watch(
    global: &Global,
    args: &RunArgs,
) -> Result<(Events, notify::RecommendedWatcher, usize), CliError> {
    let wrong = |error: notify::Error| {
        CliError::environment(format!("cannot watch the project's files: {error}"))
    };
    let (sender, events) = mpsc::unbounded_channel();
    let mut watcher = notify::recommended_watcher(move |event| {
        // nobody listens any more when forge ends
        let _ = sender.send(event);
    })
    .map_err(wrong)?;
    let (_, places) = look(global, args)?;
    let mut watched = BTreeSet::new();
    for place in &places {
        let (dir, mode) = match place.is_dir() {
            true => (place.as_path(), RecursiveMode::Recursive),
            // editors put a new file in the place of the old one
            false => (existing(place), RecursiveMode::NonRecursive),
        };
        if watched.insert((dir.to_owned(), mode == RecursiveMode::Recursive)) {
            watcher.watch(dir, mode).map_err(wrong)?;
        }
    }
    Ok((events, watcher, places.len()))
}

/// The nearest directory above that is there.
fn existing(place: &Path) -> &Path {
    let mut above = place.ancestors().skip(1);
    above.find(|dir| dir.is_dir()).unwrap_or(Path::new("/"))
}

/// What the stages are made from now, and where that lies.
fn look(global: &Global, args: &RunArgs) -> Result<(Made, BTreeSet<PathBuf>), CliError> {
    let root = find_project(global)?;
    let world = Recorder::default();
    let loaded = config::load(&root, &world, &args.choice.overrides());
    let places = world.places.into_inner();
    let mut places = places.unwrap_or_else(PoisonError::into_inner);
    places.insert(root.join("builds.toml"));
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(faults) => {
            let text = crate::diag::render(&faults, false);
            return Ok((Made::Faulty(text), places));
        }
    };
    let session = Session::of(global, root.clone(), loaded)?;
    let stages = match session.select(&args.choice, &args.targets) {
        Ok(stages) => stages,
        Err(error) => return Ok((Made::Faulty(format!("{error:?}")), places)),
    };
    for input in session.stages(&stages).flat_map(crate::plan::inputs_of) {
        places.insert(root.join(match input {
            Input::Path(path) => path,
            Input::Glob(glob) => Input::fixed_part(&glob).to_owned(),
            Input::Unignored(path) if Input::is_glob(&path) => Input::fixed_part(&path).to_owned(),
            Input::Unignored(path) => path,
        }));
    }
    let host = session.host(run_facts(), OnError::Cleanup)?;
    let facts = session.survey(&host, &stages);
    // what commands have told that they read; what lies outside of the project does not change all the time
    let found = facts.found.values().flatten().flatten();
    let found = found.filter(|path| !path.starts_with('/'));
    places.extend(found.map(|path| root.join(path)));
    let made = (Project::clone(&session.project), facts);
    Ok((Made::From(Box::new(made)), places))
}

/// The real world, noting what is read of it.
#[derive(Default)]
struct Recorder {
    places: Mutex<BTreeSet<PathBuf>>,
}

impl Recorder {
    fn note(&self, path: &Path) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.insert(path.to_owned());
    }
}

impl World for Recorder {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.note(path);
        RealWorld.read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.note(dir);
        RealWorld.list(dir)
    }

    fn find(&self, dir: &Path, depth: usize) -> io::Result<Vec<PathBuf>> {
        self.note(dir);
        RealWorld.find(dir, depth)
    }

    fn kind(&self, path: &Path) -> io::Result<PathKind> {
        RealWorld.kind(path)
    }

    fn env(&self, name: &str) -> Option<String> {
        RealWorld.env(name)
    }

    fn command(&self, line: &str, dir: &Path) -> Result<String, String> {
        RealWorld.command(line, dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_lies_in_the_directory_before_its_first_wildcard() {
        for (glob, dir) in [
            ("scripts/mini/**", "scripts/mini"),
            ("scripts/*.sh", "scripts"),
            ("*.sh", ""),
            ("a/b{c,d}/e", "a"),
        ] {
            assert_eq!(Input::fixed_part(glob), dir, "{glob}");
        }
    }

    #[test]
    fn what_is_not_there_is_waited_for_where_it_would_be() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("not/there/yet");
        assert_eq!(existing(&place), dir.path());
    }

    #[tokio::test]
    async fn what_forge_writes_itself_and_what_is_only_read_is_no_change() {
        let root = Path::new("/p");
        let (sender, mut events) = mpsc::unbounded_channel();
        let event = |kind, path: &str| Ok(notify::Event::new(kind).add_path(path.into()));
        let any = EventKind::Any;
        let read = EventKind::Access(notify::event::AccessKind::Any);
        for (kind, path) in [
            (any, "/p/.forge/forge.db"),
            (read, "/p/builds.toml"),
            (any, "/p/scripts/a.sh"),
        ] {
            sender.send(event(kind, path)).unwrap();
        }
        let changed = change(root, &mut events).await;
        assert_eq!(changed, BTreeSet::from(["scripts/a.sh".to_owned()]));
    }
}
