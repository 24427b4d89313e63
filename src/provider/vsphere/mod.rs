//! VMware vSphere and ESXi as a provider: machines that live on a server, reached by its own API.
//!
//! A machine is made under a temporary name that stands in the journal, and is removed with it unless it is finished: then
//! it has been turned off and a snapshot taken, and it is the snapshot that later stages start from, as linked clones.
//! It gets its own name only when its stage is recorded.

mod address;
mod clone;
mod copy;
mod error;
mod hardware;
mod inventory;
mod keys;
mod labels;
mod launch;
mod library;
mod library_iso;
mod machine;
mod media;
mod owned;
mod place;
mod preflight;
mod settings;
mod source;
mod text;
mod transfer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use self::error::{misfit, misplaced, translate};
use self::place::Place;
use super::{
    Appliance, Exported, LaunchSpec, Machine, Mark, Provider, ProviderError, Published, Screen,
    Sight, Work,
};
use crate::model::{Digest, Hardware, MachineSource, Remote};
use crate::sys::{Cancel, Guard, Journal};
use crate::vim::{Client, Ref, Waiting};

pub use crate::vim::WhileAway;

pub use settings::Settings;

/// How long clean-up on the server is waited for at the end.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// A server that runs machines.
pub struct Vsphere {
    shared: Arc<Shared>,
}

/// What the provider and its machines share.
struct Shared {
    /// The provider's name in `builds.toml`.
    name: String,
    settings: Settings,
    run: String,
    around: WhileAway,
    lab: OnceCell<Arc<Lab>>,
    /// Clean-up that is under way.
    cleaning: Mutex<Vec<tokio::task::JoinHandle<()>>>,
    /// Finished machines that have not got their name yet, with their lines in the journal.
    finished: Mutex<BTreeMap<String, (Ref, Guard)>>,
}

/// A session with the server, and the places there.
struct Lab {
    client: Client,
    place: Place,
    run: String,
    serial: AtomicU32,
    /// Names of machines, as far as they were seen.
    names: Mutex<BTreeMap<String, String>>,
    /// Hardware in whose way nothing stood.
    passed: Mutex<Vec<Hardware>>,
    /// Machines by their uuid, as far as they were found.
    machines: Mutex<BTreeMap<String, Ref>>,
}

/// A lock whose holder may have panicked: what it guards is whole between any two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lab {
    /// A part of a name that no other machine has.
    fn stamp(&self) -> String {
        let number = self.serial.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.run)
    }

    fn note_name(&self, uuid: &str, name: &str) {
        locked(&self.names).insert(uuid.to_owned(), name.to_owned());
    }

    fn has_name(&self, uuid: &str, name: &str) -> bool {
        let names = locked(&self.names);
        names.get(uuid).is_some_and(|known| known == name)
    }
}

impl Vsphere {
    /// The provider `name`; nothing is asked of the server before it is needed. `run` makes names unique.
    #[must_use]
    pub fn new(name: &str, settings: Settings, run: &str, around: WhileAway) -> Self {
        let shared = Shared {
            name: name.to_owned(),
            settings,
            run: run.to_owned(),
            around,
            lab: OnceCell::new(),
            cleaning: Mutex::default(),
            finished: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl Shared {
    /// The session, begun at first use; everything that stands in the way is told at once.
    async fn lab(&self) -> Result<Arc<Lab>, Vec<ProviderError>> {
        self.lab.get_or_try_init(|| self.begin()).await.cloned()
    }

    /// [`Shared::lab`] where one reason is enough.
    async fn session(&self) -> Result<Arc<Lab>, ProviderError> {
        self.lab().await.map_err(|errors| {
            let first = errors.into_iter().next();
            first.unwrap_or_else(|| ProviderError::Failed("no session".to_owned()))
        })
    }

    async fn begin(&self) -> Result<Arc<Lab>, Vec<ProviderError>> {
        if !self.settings.unset.is_empty() {
            let unset = self.settings.unset.iter();
            let unset = unset.map(|message| ProviderError::Environment {
                message: message.clone(),
                help: "set it".into(),
            });
            return Err(unset.collect());
        }
        let endpoint = self.settings.endpoint().map_err(|missing| {
            vec![ProviderError::Environment {
                message: format!(
                    "the provider `{}` has no {}",
                    self.name,
                    missing.join(", no ")
                ),
                help: format!(
                    "give it in the environment variable that its scope names, or set it under [providers.{}]",
                    self.name
                ),
            }]
        })?;
        let client = Client::connect(&endpoint, &self.around).await;
        let client = client.map_err(|error| vec![translate(error)])?;
        match place::find(&client, &self.settings).await {
            Ok(place) => Ok(Arc::new(Lab {
                client,
                place,
                run: self.run.clone(),
                serial: AtomicU32::new(0),
                names: Mutex::default(),
                passed: Mutex::default(),
                machines: Mutex::default(),
            })),
            Err(error) => {
                client.logout().await;
                Err(misplaced(error))
            }
        }
    }

    /// Does clean-up that nobody waits for before the end.
    fn clean_up(&self, work: impl Future<Output = ()> + Send + 'static) {
        // without a runtime the process is about to end; the journal knows
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            locked(&self.cleaning).push(runtime.spawn(work));
        }
    }
}

#[async_trait]
impl Provider for Vsphere {
    async fn preflight(&self, hardware: &Hardware) -> Vec<ProviderError> {
        let mut errors: Vec<ProviderError> = hardware::unsupported(hardware)
            .into_iter()
            .map(misfit)
            .collect();
        let lab = match self.shared.lab().await {
            Ok(lab) => lab,
            Err(more) => {
                errors.extend(more);
                return errors;
            }
        };
        errors.extend(
            lab.preflight(hardware, self.shared.settings.network.as_deref())
                .await,
        );
        errors
    }

    async fn transfers(&self) -> Vec<ProviderError> {
        let Ok(lab) = self.shared.lab().await else {
            // told by the other questions
            return Vec::new();
        };
        match lab.unreachable_hosts().await {
            Ok(errors) => errors,
            Err(error) => vec![translate(error)],
        }
    }

    async fn host_address(&self) -> Result<String, ProviderError> {
        let lab = self.shared.session().await?;
        Ok(address::of_this_host(
            &self.shared.settings,
            lab.client.server(),
        ))
    }

    async fn look(&self, sight: &Sight, png: &Path) -> Result<Screen, ProviderError> {
        machine::look(self.shared.session().await?.as_ref(), sight, png).await
    }

    async fn clash(&self, mark: &Mark) -> Option<ProviderError> {
        let lab = self.shared.session().await.ok()?;
        match lab.place.machine(&lab.client, &mark.name).await {
            Ok(Some(vm)) => lab.ours(&vm, mark).await.err(),
            Ok(None) => None,
            Err(error) => Some(translate(error)),
        }
    }

    fn identity(&self) -> Vec<(String, String)> {
        self.shared.settings.identity()
    }

    async fn launch(
        &self,
        spec: LaunchSpec,
        journal: Arc<Journal>,
        cancel: Cancel,
    ) -> Result<Box<dyn Machine>, ProviderError> {
        let lab = self.shared.session().await?;
        let machine = launch::launch(&self.shared, lab, spec, &journal, cancel).await?;
        Ok(Box::new(machine))
    }

    async fn checkpoint_identity(&self, _hardware: &Hardware) -> Option<String> {
        let lab = self.shared.session().await.ok()?;
        let about = lab.client.about();
        // a snapshot with memory goes on on the server that took it
        let server = about.instance_uuid.as_deref();
        Some(format!("vsphere {}", server.unwrap_or(lab.client.server())))
    }

    fn on_server(&self) -> bool {
        true
    }

    fn keeps_finished(&self) -> bool {
        false
    }

    async fn discard(&self, checkpoint: &Remote) -> Result<(), ProviderError> {
        let lab = self.shared.session().await?;
        let Some(snapshot) = owned::snapshot(checkpoint) else {
            return Ok(());
        };
        let cancel = Cancel::new();
        match lab
            .client
            .remove_snapshot(&snapshot, false, &Waiting::quiet(&cancel))
            .await
        {
            Err(error) if error.is("ManagedObjectNotFound") => Ok(()),
            other => other.map_err(translate),
        }
    }

    async fn locate(
        &self,
        source: &MachineSource,
        hardware: &Hardware,
    ) -> Result<Remote, Vec<ProviderError>> {
        let lab = self.shared.lab().await?;
        lab.locate(source, hardware).await
    }

    async fn has_medium(&self, digest: &Digest) -> Result<bool, ProviderError> {
        let lab = self.shared.session().await?;
        let file = media::iso(&self.shared.settings, &lab.place, digest);
        let size = lab
            .client
            .file_size(&lab.place.browser, &file, &Cancel::new())
            .await;
        Ok(size.map_err(translate)?.is_some())
    }

    async fn lost(&self, machines: &[Remote]) -> Result<Vec<(Remote, String)>, ProviderError> {
        let lab = self.shared.session().await?;
        let mut lost = Vec::new();
        for machine in machines {
            if let Some(why) = lab.lost(machine).await.map_err(translate)? {
                lost.push((machine.clone(), why));
            }
        }
        Ok(lost)
    }

    async fn publish(&self, machine: &Remote, mark: &Mark) -> Result<(), ProviderError> {
        let lab = self.shared.session().await?;
        let named = lab.name(machine, mark).await;
        // its record knows it, also without the name, which the next run gives it
        locked(&self.shared.finished).remove(&machine.uuid);
        named
    }

    async fn remove(&self, machine: &Remote, stage: &str) -> Result<bool, ProviderError> {
        let lab = self.shared.session().await?;
        lab.remove(&machine.uuid, stage).await.map_err(translate)
    }

    async fn reclaim(&self, name: &str, recorded: &[Remote]) -> Result<(), ProviderError> {
        let lab = self.shared.session().await?;
        launch::reclaim(&self.shared, &lab, name, recorded).await
    }

    async fn export(
        &self,
        machine: &Remote,
        work: Work<'_>,
    ) -> Result<Vec<Exported>, ProviderError> {
        let lab = self.shared.session().await?;
        transfer::export(&lab, machine, work).await
    }

    async fn preflight_medium(&self, place: &str) -> Option<ProviderError> {
        match self.shared.session().await {
            Ok(lab) => library_iso::find(&lab, place).await.err(),
            Err(error) => Some(error),
        }
    }

    async fn preflight_library(&self, library: &str, mark: Option<&Mark>) -> Option<ProviderError> {
        match self.shared.session().await {
            Ok(lab) => lab.shelf(library, mark).await.err(),
            Err(error) => Some(error),
        }
    }

    async fn publish_appliance(
        &self,
        appliance: &Appliance,
        work: Work<'_>,
    ) -> Result<Published, ProviderError> {
        let lab = self.shared.session().await?;
        library::publish(&self.shared, lab, appliance, work).await
    }

    async fn close(&self) {
        // machines that were finished but never recorded are nobody's
        let finished = std::mem::take(&mut *locked(&self.shared.finished));
        if let Some(lab) = self.shared.lab.get() {
            for (vm, guard) in finished.into_values() {
                match lab.destroy(&vm).await {
                    Ok(()) => drop(guard),
                    // it stays in the journal: the next run tries again
                    Err(_) => std::mem::forget(guard),
                }
            }
        }
        loop {
            let task = locked(&self.shared.cleaning).pop();
            let Some(task) = task else { break };
            // a server that hangs: the journal knows what is left there
            let _ = tokio::time::timeout(PATIENCE, task).await;
        }
        if let Some(lab) = self.shared.lab.get() {
            lab.client.logout().await;
        }
    }

    async fn describe(&self) -> String {
        match self.shared.session().await {
            Ok(lab) => {
                let about = lab.client.about();
                format!("{} at {}", about.full_name, lab.client.server())
            }
            Err(error) => error.to_string(),
        }
    }
}
