//! What most commands begin with: the project, its graph, the store and the records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::common::{Choice, Global};
use super::{CliError, world::RealWorld};
use crate::config::{self, Asked, Loaded, Remembering};
use crate::model::{
    Late, Name, Project, ProviderKind, Size, Stage, StageKey, Text, UnresolvedError,
};
use crate::plan::{Facts, Graph, Plan, PlanError};
use crate::provider::Provider;
use crate::provider::qemu::{Qemu, Settings};
use crate::provider::vsphere::{self, Vsphere, WhileAway};
use crate::stages::{Host, OnError, RunFacts, Running};
use crate::store::{Db, Kept, Store};
use crate::sys::{Entry, Journal};

/// Which stages' warnings are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Warn {
    /// Those at the chosen axis values.
    OfChosen,
    /// Those of all.
    OfAll,
}

/// A loaded project.
pub(super) struct Session {
    pub(super) root: PathBuf,
    pub(super) cache: PathBuf,
    pub(super) loaded: Loaded,
    pub(super) project: Arc<Project>,
    pub(super) graph: Graph,
    /// Stages that are needed, are not in the project as far as it is known here, and are up to date.
    pub(super) given: Vec<StageKey>,
    /// What loading asked, and the warnings that it gave, as they were shown.
    pub(super) asked: Vec<Asked>,
    pub(super) warned: String,
}

impl Session {
    /// Loads the project of the working directory, or of the nearest directory above it that has a `builds.toml`.
    pub(super) fn load(global: &Global, choice: &Choice) -> Result<Self, CliError> {
        Self::load_with(global, choice, Warn::OfChosen)
    }

    /// As [`Session::load`], with a say in what is warned of.
    pub(super) fn load_with(
        global: &Global,
        choice: &Choice,
        wanted: Warn,
    ) -> Result<Self, CliError> {
        let root = find_project(global)?;
        let world = Remembering::new(&RealWorld);
        let loaded = config::load(&root, &world, &choice.overrides())?;
        let warned = warnings(global, choice, &loaded, wanted)?;
        show_warnings(&warned);
        Ok(Self {
            asked: world.into_asked(),
            warned,
            ..Self::of(global, root, loaded)?
        })
    }

    /// The session of a project that has been loaded.
    pub(super) fn of(global: &Global, root: PathBuf, loaded: Loaded) -> Result<Self, CliError> {
        let project = Arc::new(loaded.project.clone());
        let graph = Graph::new(&project).map_err(|e| plan_error(&e))?;
        Ok(Self {
            cache: cache_dir(global)?,
            root,
            loaded,
            project,
            graph,
            given: Vec::new(),
            asked: Vec::new(),
            warned: String::new(),
        })
    }

    /// `.forge/` of the project.
    pub(super) fn state_dir(&self) -> PathBuf {
        self.root.join(".forge")
    }

    /// The stages of the chosen targets, in topological order.
    pub(super) fn select(
        &self,
        choice: &Choice,
        targets: &[String],
    ) -> Result<Vec<StageKey>, CliError> {
        let selection = choice.selection(&self.project, targets)?;
        self.graph
            .select(&self.project, &selection)
            .map_err(|e| plan_error(&e))
    }

    /// The one stage called `name` at the chosen axis values.
    pub(super) fn one_stage(&self, choice: &Choice, name: &str) -> Result<StageKey, CliError> {
        let keys = self.select(choice, &[name.to_owned()])?;
        let mut own: Vec<StageKey> = keys
            .into_iter()
            .filter(|key| key.name.as_str() == name || key.to_string() == name)
            .collect();
        match (own.pop(), own.is_empty()) {
            (Some(key), true) => Ok(key),
            (None, _) => Err(CliError::input(format!(
                "`{name}` is a target, not a stage"
            ))),
            (Some(_), false) => Err(CliError::input(format!(
                "`{name}` stands for several stages here"
            ))
            .help("choose one with `--set AXIS=VALUE`")),
        }
    }

    /// The names of what was asked for, for people.
    pub(super) fn target_names(&self, targets: &[String]) -> Vec<String> {
        if targets.is_empty() {
            self.project
                .default
                .iter()
                .map(ToString::to_string)
                .collect()
        } else {
            targets.to_vec()
        }
    }

    /// Opens store and records, for the run `run`; `tell` hears what was finished for killed forges.
    pub(super) fn open(
        &self,
        run: &str,
        tell: &dyn Fn(String),
    ) -> Result<(Arc<Store>, Arc<Db>), CliError> {
        let store = open_for(&self.root, &self.cache, run, tell)?;
        Ok((store, open_records(&self.state_dir())?))
    }

    /// All that surrounds the stages of a command that runs none of them to its end.
    pub(super) fn host(&self, run: RunFacts, on_error: OnError) -> Result<Arc<Host>, CliError> {
        let around = WhileAway {
            tell: Arc::new(|text| super::common::warn(&text)),
            ..WhileAway::default()
        };
        self.host_while(run, on_error, &around)
    }

    /// All that surrounds the stages; `around` says what is done while a server is away.
    pub(super) fn host_while(
        &self,
        run: RunFacts,
        on_error: OnError,
        around: &WhileAway,
    ) -> Result<Arc<Host>, CliError> {
        let (store, db) = self.open(&run.id, &|text| (around.tell)(text))?;
        crate::stages::ensure_key(&self.project, &self.root).map_err(|e| {
            CliError::environment(format!(
                "cannot make {}: {e}",
                self.root.join(crate::model::PROJECT_KEY).display()
            ))
        })?;
        let journal = Arc::clone(store.journal());
        journal.keep_machines_in(&self.state_dir().join("journal"));
        let temporaries = journal
            .enter(Entry::of_temporaries(&self.root))
            .map_err(|e| {
                CliError::environment(format!("cannot write {}: {e}", self.cache.display()))
            })?;
        Ok(Arc::new(Host {
            project: self.project.name.clone(),
            whole: Arc::clone(&self.project),
            root: self.root.clone(),
            cache: self.cache.clone(),
            store,
            db,
            providers: self.providers(&run.id, &journal, around)?,
            journal,
            temporaries,
            secrets: Arc::new(self.loaded.secrets.clone()),
            run,
            on_error,
            kept: Kept::new(&self.state_dir()),
            continued: crate::stages::continued(&self.project),
            overhead: crate::stages::Overhead::new(),
            running: Running::new(&self.state_dir()),
            attendant: std::sync::OnceLock::new(),
        }))
    }

    /// The providers that can run machines here.
    fn providers(
        &self,
        run: &str,
        journal: &Arc<Journal>,
        around: &WhileAway,
    ) -> Result<BTreeMap<Name, Arc<dyn Provider>>, CliError> {
        let mut providers: BTreeMap<Name, Arc<dyn Provider>> = BTreeMap::new();
        for (name, config) in &self.project.providers {
            let wrong = |why: String| CliError::input(format!("provider `{name}`: {why}"));
            let provider: Arc<dyn Provider> = match config.kind {
                ProviderKind::Qemu => {
                    let settings = config.settings.iter();
                    let settings = settings.map(|(k, v)| (k.clone(), v.to_string())).collect();
                    let settings = Settings::parse(&settings, &self.root);
                    let settings = settings.map_err(|e| wrong(e.to_string()))?;
                    Arc::new(Qemu::new(settings, &self.cache, Arc::clone(journal)))
                }
                ProviderKind::Vsphere => {
                    let settings = config.settings.iter();
                    let settings = settings
                        .map(|(k, v)| (k.clone(), self.revealed(v)))
                        .collect();
                    let mut settings =
                        vsphere::Settings::parse(&settings, &self.root).map_err(wrong)?;
                    settings.unset = config.unset.values().cloned().collect();
                    Arc::new(Vsphere::new(name.as_str(), settings, run, around.clone()))
                }
            };
            providers.insert(name.clone(), provider);
        }
        Ok(providers)
    }

    /// A provider's setting with its secrets; empty where one of them is not known.
    fn revealed(&self, text: &Text) -> String {
        let secret = |late: &Late| match late {
            Late::Secret {
                scope, variable, ..
            } => self
                .loaded
                .secrets
                .resolve(scope, variable)
                .map(|secret| secret.reveal().to_owned())
                .ok_or_else(|| UnresolvedError(late.to_string())),
            other => Err(UnresolvedError(other.to_string())),
        };
        text.resolve(&secret).unwrap_or_default()
    }

    /// The stages with these keys.
    pub(super) fn stages<'s>(&'s self, keys: &'s [StageKey]) -> impl Iterator<Item = &'s Stage> {
        keys.iter()
            .filter_map(|key| self.graph.stage(&self.project, key))
    }

    /// The plan of these stages as things are now.
    pub(super) fn plan(
        &self,
        host: &Host,
        keys: &[StageKey],
        forced: &BTreeSet<Name>,
    ) -> Result<Plan, PlanError> {
        let facts = self.survey(host, keys);
        let records = host.db.records(&host.store);
        let wanted = (keys, self.given.as_slice());
        crate::plan::make_part(&self.project, &self.graph, wanted, &facts, &records, forced)
    }

    /// Facts for the whole selection, for a plan.
    pub(super) fn survey(&self, host: &Host, keys: &[StageKey]) -> Facts {
        crate::stages::survey_all(host, self.stages(keys))
    }
}

/// Opens the store for a project; `tell` hears what was finished for killed forges.
pub(super) fn open_for(
    root: &Path,
    cache: &Path,
    run: &str,
    tell: &dyn Fn(String),
) -> Result<Arc<Store>, CliError> {
    let store = open_store_as(cache, run)?;
    if let Some(text) = cleaned_up(&store) {
        tell(text);
    }
    store.register(root).map_err(|e| store_error(&e))?;
    Ok(Arc::new(store))
}

/// Opens a project's records.
pub(super) fn open_records(state_dir: &Path) -> Result<Arc<Db>, CliError> {
    let db = Db::open(&state_dir.join("forge.db")).map_err(|e| store_error(&e))?;
    for warning in db.take_warnings() {
        super::common::warn(&warning);
    }
    Ok(Arc::new(db))
}

/// What a run is called and when it began.
pub(super) fn run_facts() -> RunFacts {
    let now = jiff::Timestamp::now();
    let date = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    RunFacts {
        id: format!("{}-{}", now.strftime("%Y%m%d-%H%M%S"), std::process::id()),
        date,
        host,
    }
}

/// Shows [`warnings`].
pub(super) fn show_warnings(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
}

/// The warnings of loading, as they are shown.
fn warnings(
    global: &Global,
    choice: &Choice,
    loaded: &Loaded,
    wanted: Warn,
) -> Result<String, CliError> {
    let chosen = choice.selection(&loaded.project, &[])?.axes;
    let is_chosen = |axis: &Name, value: &String| match chosen.get(axis) {
        Some(values) => values.contains(value),
        None => loaded
            .project
            .axes
            .iter()
            .any(|known| known.name == *axis && known.values.first() == Some(value)),
    };
    let warnings = loaded.warnings.concerning(|stage| {
        stage
            .axes
            .iter()
            .all(|(axis, value)| wanted == Warn::OfAll || is_chosen(axis, value))
    });
    if warnings.is_empty() {
        return Ok(String::new());
    }
    Ok(crate::diag::render(&warnings, global.colour_stderr()))
}

pub(super) fn find_project(global: &Global) -> Result<PathBuf, CliError> {
    let start = match &global.directory {
        Some(dir) => dir.clone(),
        None => std::env::current_dir()
            .map_err(|e| CliError::environment(format!("no working directory: {e}")))?,
    };
    let start = start
        .canonicalize()
        .map_err(|e| CliError::input(format!("cannot use {}: {e}", start.display())))?;
    let found = start
        .ancestors()
        .find(|dir| dir.join("builds.toml").is_file());
    found.map(Path::to_owned).ok_or_else(|| {
        CliError::input(format!(
            "there is no builds.toml in {} or above it",
            start.display()
        ))
        .help("`forge init` makes a project here, or use `-C DIR`")
    })
}

/// `$FORGE_CACHE_DIR`, else `$XDG_CACHE_HOME/forge`, else `~/.cache/forge`.
pub(super) fn cache_dir(global: &Global) -> Result<PathBuf, CliError> {
    let dir = match &global.cache_dir {
        Some(dir) => dir.clone(),
        None => match std::env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()) {
            Some(dir) => PathBuf::from(dir).join("forge"),
            None => std::env::home_dir()
                .map(|home| home.join(".cache/forge"))
                .ok_or_else(|| {
                    CliError::environment("there is no home directory for the cache")
                        .help("set FORGE_CACHE_DIR")
                })?,
        },
    };
    std::path::absolute(&dir)
        .map_err(|e| CliError::environment(format!("cannot use {}: {e}", dir.display())))
}

/// Opens the store for a command that belongs to no project, and tells what was finished for a killed forge.
pub(super) fn open_store(cache: &Path) -> Result<Store, CliError> {
    let store = open_store_as(cache, &run_facts().id)?;
    if let Some(text) = cleaned_up(&store) {
        super::common::warn(&text);
    }
    Ok(store)
}

/// What was finished for killed forges, in a sentence.
fn cleaned_up(store: &Store) -> Option<String> {
    let recovered = store.take_recovered();
    let mut what = recovered.what;
    if what.is_empty() && recovered.processes > 0 {
        what.push("its processes".to_owned());
    }
    let what = (!what.is_empty()).then(|| what.join(", "))?;
    Some(format!("cleaned up after a forge that was killed: {what}"))
}

fn open_store_as(cache: &Path, run: &str) -> Result<Store, CliError> {
    let quota = quota()?;
    let store = Store::open_as(cache, run).map_err(|e| {
        CliError::environment(format!("cannot use the cache {}: {e}", cache.display()))
            .help("set FORGE_CACHE_DIR to a directory that can be written")
    })?;
    Ok(store.limited(quota))
}

/// `$FORGE_CACHE_QUOTA`: how much the store may hold.
fn quota() -> Result<Option<Size>, CliError> {
    const NAME: &str = "FORGE_CACHE_QUOTA";
    let Some(text) = std::env::var_os(NAME).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let text = text.to_string_lossy();
    let quota = Size::parse(&text);
    quota.map(Some).map_err(|e| {
        CliError::input(format!("{NAME}={text}: {e}")).help("such as FORGE_CACHE_QUOTA=50GiB")
    })
}

pub(super) fn plan_error(error: &crate::plan::PlanError) -> CliError {
    let result = CliError::input(error.to_string());
    match error.help() {
        Some(help) => result.help(help),
        None => result,
    }
}

pub(super) fn store_error(error: &crate::store::StoreError) -> CliError {
    let result = CliError::environment(error.to_string());
    match error.help() {
        Some(help) => result.help(help),
        None => result,
    }
}
