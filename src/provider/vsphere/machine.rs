//! A running machine on a server.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::watch;

use super::address::{self, Choice, Life};
use super::error::{Attempts, asked};
use super::keys::{self, Part};
use super::launch::Draft;
use super::{Lab, Shared, hardware, owned, text, translate};
use crate::model::{self, Keys, Remote};
use crate::provider::{
    Address, AtRest, Checkpoint, LaunchSpec, Machine, Mark, ProviderError, Screen, Sight, Typing,
    fingerprint,
};
use crate::sys::Cancel;
use crate::vim::{ApiType, KeyEvent, Ref, VimError, Waiting};

/// Between two looks at the screen.
const LOOK: Duration = Duration::from_millis(400);
/// Keys in one call: a lost answer is worth no more.
const BATCH: usize = 24;
/// Right after power-on a machine has no keyboard yet.
const KEYBOARD: Duration = Duration::from_secs(5);

/// A running machine; dropped, it is removed.
pub(super) struct VsphereMachine {
    shared: Arc<Shared>,
    lab: Arc<Lab>,
    vm: Ref,
    draft: Option<Draft>,
    mark: Mark,
    life: watch::Receiver<Life>,
    cancel: Cancel,
    seen: Option<(Instant, Screen)>,
    /// Its identity, once it has been asked for.
    uuid: OnceLock<String>,
}

impl VsphereMachine {
    pub(super) fn new(
        shared: &Arc<Shared>,
        lab: Arc<Lab>,
        vm: Ref,
        draft: Draft,
        spec: LaunchSpec,
        cancel: Cancel,
    ) -> Self {
        let (sender, life) = watch::channel(Life {
            on: true,
            ..Life::default()
        });
        let choice = Choice {
            network: shared.settings.guest_network,
            nic: shared.settings.guest_nic.clone(),
            port: spec.ssh_port,
        };
        tokio::spawn(address::follow(
            Arc::clone(&lab),
            vm.clone(),
            choice,
            sender,
        ));
        Self {
            shared: Arc::clone(shared),
            lab,
            vm,
            draft: Some(draft),
            mark: spec.mark,
            life,
            cancel,
            seen: None,
            uuid: OnceLock::new(),
        }
    }

    fn gone(&self) -> Result<(), ProviderError> {
        let life = self.life.borrow();
        let message = match (life.gone, life.on) {
            (true, _) => "the machine is gone from the server",
            (false, false) => "the machine turned itself off",
            (false, true) => return Ok(()),
        };
        Err(ProviderError::Gone(message.to_owned()))
    }

    async fn send(&self, mut events: &[KeyEvent]) -> Result<(), ProviderError> {
        let patience = Instant::now() + KEYBOARD;
        while !events.is_empty() {
            let batch = &events[..events.len().min(BATCH)];
            match self.lab.client.put_keys(&self.vm, batch).await {
                Ok(taken) => {
                    let taken = usize::try_from(taken).unwrap_or(0).min(batch.len());
                    events = &events[taken..];
                    if taken == 0 && Instant::now() >= patience {
                        let message = "the machine's keyboard takes no keys";
                        return Err(ProviderError::Failed(message.to_owned()));
                    }
                }
                Err(error @ VimError::Fault(_)) => {
                    let privilege = error.is("NoPermission");
                    if privilege || Instant::now() >= patience {
                        return Err(translate(error));
                    }
                    self.gone()?;
                    self.pause(LOOK).await?;
                }
                Err(error) => return Err(translate(error)),
            }
        }
        Ok(())
    }

    async fn pause(&self, time: Duration) -> Result<(), ProviderError> {
        let slept = self.cancel.run(tokio::time::sleep(time)).await;
        slept.ok_or(ProviderError::Cancelled)
    }

    /// The screen as PNG.
    async fn picture(&self) -> Result<Vec<u8>, ProviderError> {
        let png = self.lab.client.screenshot(&self.vm).await;
        png.map_err(translate)
    }

    /// Takes a snapshot of the machine, which is off; again if the server restarts meanwhile.
    async fn rest(&self) -> Result<Remote, ProviderError> {
        let tell = |text: &str| (self.shared.around.tell)(text.to_owned());
        let mut attempts = Attempts::new("the last snapshot", &self.cancel, &tell);
        loop {
            match self.rest_once().await.map_err(translate) {
                Err(error) => attempts.after(error).await?,
                taken => return taken,
            }
        }
    }

    async fn rest_once(&self) -> Result<Remote, VimError> {
        let client = &self.lab.client;
        let waiting = Waiting::quiet(&self.cancel);
        let devices = client.devices(&self.vm).await?;
        if let Some(change) = hardware::without_media(&devices) {
            client.reconfigure(&self.vm, &change, &waiting).await?;
        }
        let about = format!("forge: {} {}", self.mark.stage, self.mark.fingerprint);
        // one whose task the server has forgotten
        let read = client.read(&self.vm, &["snapshot"]).await?;
        if let Some(there) = owned::current_snapshot(&read, &about) {
            return self.remote(there).await;
        }
        let made = client.create_snapshot(&self.vm, "forge", &about, false, false, &waiting);
        let snapshot = made.await?;
        self.remote(snapshot).await
    }

    /// Whether another checkpoint leaves room for the snapshot that the finished machine gets.
    async fn has_room(&self) -> Result<(), ProviderError> {
        let read = self.lab.client.read(&self.vm, &["snapshot"]).await;
        let depth = owned::depth(read.map_err(translate)?.get("snapshot"));
        if depth + 2 <= owned::LONGEST_CHAIN {
            return Ok(());
        }
        Err(ProviderError::Failed(format!(
            "the machine stands at {depth} snapshots in a row, and vSphere takes {} at most",
            owned::LONGEST_CHAIN
        )))
    }

    /// The machine at a snapshot.
    async fn remote(&self, snapshot: Ref) -> Result<Remote, VimError> {
        let uuid = match self.uuid.get() {
            Some(known) => known.clone(),
            None => {
                let client = &self.lab.client;
                let read = client.read(&self.vm, &["config.instanceUuid"]).await?;
                let uuid = read.text("config.instanceUuid").map(str::to_owned);
                let uuid =
                    uuid.ok_or_else(|| VimError::Protocol("the machine has no uuid".into()))?;
                self.uuid.get_or_init(|| uuid).clone()
            }
        };
        Ok(Remote {
            name: self.mark.name.clone(),
            uuid,
            snapshot: snapshot.id,
            version: None,
        })
    }
}

/// Looks at a machine that another process runs.
pub(super) async fn look(lab: &Lab, sight: &Sight, png: &Path) -> Result<Screen, ProviderError> {
    let id = sight.id.as_deref().unwrap_or_default();
    let vm = Ref::new("VirtualMachine", id);
    let picture = lab.client.screenshot(&vm).await.map_err(translate)?;
    std::fs::write(png, &picture).map_err(|source| ProviderError::Io {
        path: png.to_owned(),
        source,
    })?;
    Ok(Screen {
        text: text::read(&picture),
        fingerprint: fingerprint(&picture),
    })
}

#[async_trait]
impl Machine for VsphereMachine {
    async fn type_keys(&mut self, keys: &Keys, typing: &Typing) -> Result<(), ProviderError> {
        for part in keys::plan(keys, typing)? {
            match (part, typing.interval) {
                (Part::Wait(time), _) => self.pause(time).await?,
                (Part::Keys(events), None) => self.send(&events).await?,
                (Part::Keys(events), Some(interval)) => {
                    for event in &events {
                        self.send(std::slice::from_ref(event)).await?;
                        self.pause(interval.std()).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn screen(&mut self) -> Result<Screen, ProviderError> {
        self.gone()?;
        if let Some((looked, _)) = &self.seen {
            let left = LOOK.saturating_sub(looked.elapsed());
            self.pause(left).await?;
        }
        let png = self.picture().await?;
        let fingerprint = fingerprint(&png);
        let screen = match &self.seen {
            Some((_, known)) if known.fingerprint == fingerprint => known.clone(),
            _ => Screen {
                text: text::read(&png),
                fingerprint,
            },
        };
        self.seen = Some((Instant::now(), screen.clone()));
        Ok(screen)
    }

    async fn screenshot(&mut self, to: &Path) -> Result<(), ProviderError> {
        let png = self.picture().await?;
        std::fs::write(to, png).map_err(|source| ProviderError::Io {
            path: to.to_owned(),
            source,
        })
    }

    fn addresses(&mut self) -> watch::Receiver<Address> {
        let settle = self.shared.settings.address_settle;
        address::settled(
            self.life.clone(),
            settle.map_or(Duration::ZERO, model::Duration::std),
        )
    }

    fn console(&self) -> Option<String> {
        let about = self.lab.client.about();
        let (server, id) = (self.lab.client.server(), &self.vm.id);
        // as the servers' own clients have it: the machine's page, from which its console opens
        Some(match (about.api, &about.instance_uuid) {
            (ApiType::VirtualCenter, Some(uuid)) => format!(
                "https://{server}/ui/app/vm;nav=v/urn:vmomi:VirtualMachine:{id}:{uuid}/summary"
            ),
            (ApiType::VirtualCenter, None) => format!("https://{server}/ui"),
            (ApiType::HostAgent, _) => format!("https://{server}/ui/#/host/vms/{id}"),
        })
    }

    fn sight(&self) -> Sight {
        Sight {
            console: self.console(),
            id: Some(self.vm.id.clone()),
            ..Sight::default()
        }
    }

    fn serial_log(&self) -> Option<&Path> {
        None
    }

    async fn power_button(&mut self) -> Result<(), ProviderError> {
        self.gone()?;
        self.lab.client.shutdown_guest(&self.vm).await.map_err(|error| {
            if error.is("ToolsUnavailable") {
                return ProviderError::Environment {
                    message: "VMware Tools do not run in the guest, so it cannot be asked to turn off".into(),
                    help: "install open-vm-tools in it, or set `shutdown` to a command".into(),
                };
            }
            translate(error)
        })
    }

    async fn wait_off(&mut self, timeout: model::Duration) -> Result<(), ProviderError> {
        let mut life = self.life.clone();
        let off = life.wait_for(|life| !life.on);
        let off = tokio::time::timeout(timeout.std(), off);
        match self.cancel.run(off).await {
            None => Err(ProviderError::Cancelled),
            Some(Err(_)) => Err(ProviderError::Timeout(format!(
                "the machine was still on after {timeout}"
            ))),
            Some(Ok(Ok(life))) if life.gone => Err(ProviderError::Gone(
                "the machine is gone from the server".to_owned(),
            )),
            Some(Ok(_)) => Ok(()),
        }
    }

    fn is_on(&mut self) -> bool {
        self.life.borrow().on
    }

    async fn trouble(&mut self) -> ProviderError {
        let mut life = self.life.clone();
        let told = life
            .wait_for(|life| life.question.is_some() || life.gone)
            .await;
        let trouble = told.ok().map(|life| (life.gone, life.question.clone()));
        match trouble {
            Some((true, _)) => {
                ProviderError::Gone("the machine was removed from the server".to_owned())
            }
            Some((false, Some(question))) => asked(&question),
            _ => std::future::pending().await,
        }
    }

    async fn checkpoint(&mut self) -> Result<Checkpoint, ProviderError> {
        let client = &self.lab.client;
        self.has_room().await?;
        let about = format!("forge: {} between its steps", self.mark.stage);
        let waiting = Waiting::quiet(&self.cancel);
        let taken = client.create_snapshot(&self.vm, "forge step", &about, true, false, &waiting);
        let snapshot = taken.await.map_err(translate)?;
        let remote = self.remote(snapshot).await.map_err(translate)?;
        Ok(Checkpoint {
            at_rest: AtRest {
                remote: Some(remote),
                ..AtRest::default()
            },
            memory: None,
        })
    }

    async fn finish(mut self: Box<Self>) -> Result<AtRest, ProviderError> {
        if self.is_on() {
            let waiting = Waiting::quiet(&self.cancel);
            let off = self.lab.client.power_off(&self.vm, &waiting);
            off.await.map_err(translate)?;
        }
        let remote = self.rest().await?;
        if let Some(draft) = self.draft.take() {
            draft.finish(&remote.uuid).await;
        }
        Ok(AtRest {
            remote: Some(remote),
            ..AtRest::default()
        })
    }
}
