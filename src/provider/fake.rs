//! A provider without machines, for tests of what stands above: it records what it is asked and plays what a test sets.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Address, AtRest, DiskFile, LaunchSpec, Machine, Provider, ProviderError, Screen, Typing,
};
use crate::model::{Duration, Hardware, Keys, Size};
use crate::sys::{Cancel, Journal};

/// What a test sets and sees. Public fields: it is a test's own bench.
#[derive(Default)]
pub(crate) struct State {
    /// Every machine that was started.
    pub(crate) launched: Vec<LaunchSpec>,
    /// Everything that was typed, as text.
    pub(crate) typed: Vec<String>,
    /// What the screen shows at the next looks; the last one stays.
    pub(crate) screens: VecDeque<String>,
    /// Where the guest is reached; none: it never gets an address.
    pub(crate) ssh: Option<SocketAddr>,
    /// What stands in the way.
    pub(crate) unmet: Vec<String>,
    /// How the next launch fails.
    pub(crate) launch_error: Option<String>,
    /// What a guest writes to its first disk.
    pub(crate) content: Vec<u8>,
    /// Whether the power button turns the machine off.
    pub(crate) deaf: bool,
    /// How many machines are running.
    pub(crate) running: usize,
}

/// The provider.
#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    power: Arc<watch::Sender<bool>>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::default(),
            power: Arc::new(watch::Sender::new(false)),
        }
    }

    /// What has been set and seen; locked, so one look at a time.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The guest turns its machine off.
    pub(crate) fn turn_off(&self) {
        self.power.send_replace(false);
    }
}

struct FakeMachine {
    fake: Fake,
    work: PathBuf,
    disks: usize,
    serial: PathBuf,
    cancel: Cancel,
}

impl Drop for FakeMachine {
    fn drop(&mut self) {
        self.fake.state().running -= 1;
    }
}

impl FakeMachine {
    fn gone(&self) -> Result<(), ProviderError> {
        match *self.fake.power.borrow() {
            true => Ok(()),
            false => Err(ProviderError::Gone(
                "the machine turned itself off".to_owned(),
            )),
        }
    }
}

#[async_trait]
impl Provider for Fake {
    async fn preflight(&self, _hardware: &Hardware) -> Vec<ProviderError> {
        let unmet = self.state().unmet.clone();
        unmet
            .into_iter()
            .map(|message| ProviderError::Environment {
                message,
                help: "a test set this".to_owned(),
            })
            .collect()
    }

    fn identity(&self) -> Vec<(String, String)> {
        vec![("fake".to_owned(), "1".to_owned())]
    }

    async fn launch(
        &self,
        spec: LaunchSpec,
        _journal: Arc<Journal>,
        cancel: Cancel,
    ) -> Result<Box<dyn Machine>, ProviderError> {
        let mut state = self.state();
        if let Some(message) = state.launch_error.take() {
            return Err(ProviderError::Failed(message));
        }
        let serial = spec.work.join("serial.log");
        std::fs::write(&serial, "fake console\n").unwrap();
        let machine = FakeMachine {
            fake: self.clone(),
            work: spec.work.clone(),
            disks: spec.disks.len(),
            serial,
            cancel,
        };
        state.launched.push(spec);
        state.running += 1;
        self.power.send_replace(true);
        Ok(Box::new(machine))
    }

    async fn host_address(&self) -> Result<String, ProviderError> {
        Ok("127.0.0.1".to_owned())
    }

    async fn describe(&self) -> String {
        "fake".to_owned()
    }
}

#[async_trait]
impl Machine for FakeMachine {
    async fn type_keys(&mut self, keys: &Keys, _typing: &Typing) -> Result<(), ProviderError> {
        self.gone()?;
        self.fake.state().typed.push(keys.to_string());
        Ok(())
    }

    async fn screen(&mut self) -> Result<Screen, ProviderError> {
        self.gone()?;
        let mut state = self.fake.state();
        let text = match state.screens.len() {
            0 => None,
            1 => state.screens.front().cloned(),
            _ => state.screens.pop_front(),
        };
        let fingerprint = text.as_ref().map_or(0, |text| {
            text.bytes().fold(7u64, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(byte.into())
            })
        });
        Ok(Screen { text, fingerprint })
    }

    async fn screenshot(&mut self, to: &Path) -> Result<(), ProviderError> {
        self.gone()?;
        std::fs::write(to, b"\x89PNG fake").unwrap();
        Ok(())
    }

    fn addresses(&mut self) -> watch::Receiver<Address> {
        watch::Sender::new(Address {
            ssh: self.fake.state().ssh,
            seen: "a fake network".to_owned(),
        })
        .subscribe()
    }

    fn sight(&self) -> super::Sight {
        super::Sight::default()
    }

    fn serial_log(&self) -> Option<&Path> {
        Some(&self.serial)
    }

    async fn power_button(&mut self) -> Result<(), ProviderError> {
        self.gone()?;
        if !self.fake.state().deaf {
            self.fake.turn_off();
        }
        Ok(())
    }

    async fn wait_off(&mut self, timeout: Duration) -> Result<(), ProviderError> {
        let mut power = self.fake.power.subscribe();
        let off = tokio::time::timeout(timeout.std(), power.wait_for(|on| !on));
        match self.cancel.run(off).await {
            None => Err(ProviderError::Cancelled),
            Some(Err(_)) => Err(ProviderError::Timeout(format!(
                "the machine was still on after {timeout}"
            ))),
            Some(Ok(_)) => Ok(()),
        }
    }

    fn is_on(&mut self) -> bool {
        *self.fake.power.borrow()
    }

    async fn finish(self: Box<Self>) -> Result<AtRest, ProviderError> {
        self.fake.turn_off();
        let content = self.fake.state().content.clone();
        let disks = (0..self.disks).map(|number| {
            let path = self.work.join(format!("disk{number}.qcow2"));
            let bytes: &[u8] = if number == 0 { &content } else { b"" };
            std::fs::write(&path, bytes).unwrap();
            DiskFile { layers: vec![path] }
        });
        Ok(AtRest {
            disks: disks.collect(),
            nvram: None,
            remote: None,
        })
    }
}

mod tests {
    use super::*;
    use crate::model::{Drives, Firmware};
    use crate::provider::{DiskSource, Mark};

    fn spec(work: &Path) -> LaunchSpec {
        LaunchSpec {
            name: "test".into(),
            mark: Mark::default(),
            from: None,
            resume: false,
            ovf: None,
            hardware: Hardware {
                cpus: 1,
                cores_per_socket: 1,
                memory: Size::from_mib(64),
                firmware: Firmware::Bios,
                disks: Vec::new(),
                nics: Vec::new(),
                guest_id: None,
                hardware_version: 13,
                vsphere: None,
            },
            disks: vec![DiskSource::New(Size::from_mib(1))],
            nvram: None,
            cds: Vec::new(),
            floppy: None,
            empty: Drives::default(),
            ssh_port: 22,
            memory: None,
            work: work.to_owned(),
        }
    }

    #[tokio::test]
    async fn it_records_and_plays() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Arc::new(Journal::open(&dir.path().join("j"), "r").unwrap());
        let fake = Fake::new();
        fake.state().launch_error = Some("no".into());
        let launch = || fake.launch(spec(dir.path()), Arc::clone(&journal), Cancel::new());
        assert_eq!(launch().await.err().unwrap().to_string(), "no");
        fake.state().screens = ["one".to_owned(), "two".to_owned()].into();
        fake.state().content = b"disk".to_vec();
        fake.state().deaf = true;
        let mut machine = launch().await.unwrap();
        for expected in ["one", "two", "two"] {
            let screen = machine.screen().await.unwrap();
            assert_eq!(screen.text.as_deref(), Some(expected));
        }
        let keys = Keys::parse("a<enter>").unwrap();
        machine.type_keys(&keys, &Typing::default()).await.unwrap();
        machine.power_button().await.unwrap();
        let short = Duration::from_millis(1);
        assert!(matches!(
            machine.wait_off(short).await,
            Err(ProviderError::Timeout(_))
        ));
        fake.turn_off();
        machine.wait_off(short).await.unwrap();
        assert!(matches!(
            machine.screen().await,
            Err(ProviderError::Gone(_))
        ));
        assert_eq!(fake.state().running, 1);
        let rest = machine.finish().await.unwrap();
        assert_eq!(std::fs::read(&rest.disks[0].layers[0]).unwrap(), b"disk");
        assert_eq!(fake.state().typed, ["a<enter>"]);
        let state = fake.state();
        assert_eq!((state.running, state.launched.len()), (0, 1));
    }
}
