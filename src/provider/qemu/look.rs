//! Looking at a machine that another forge runs, over a control socket of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::io_error;
use super::qmp::{Qmp, QmpError};
use super::screen::{self, Cells};
use crate::provider::{ProviderError, Screen, Sight, fingerprint};

/// How long QEMU may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The socket for those who look, beside the control socket and with a name no longer than its.
pub(super) fn control(beside: &Path) -> PathBuf {
    beside.with_file_name("see.sock")
}

/// The socket of the serial line, likewise.
pub(super) fn line(beside: &Path) -> PathBuf {
    beside.with_file_name("tty.sock")
}

/// A connection to the machine's QEMU.
struct Looker {
    qmp: Qmp,
    socket: PathBuf,
}

impl Looker {
    async fn connect(sight: &Sight) -> Result<Self, ProviderError> {
        let gone = || ProviderError::Gone("the machine has ended meanwhile".to_owned());
        let socket = sight.control.clone().ok_or_else(gone)?;
        let stream = UnixStream::connect(&socket).await.map_err(|_| gone())?;
        let qmp = tokio::time::timeout(PATIENCE, Qmp::start(stream)).await;
        // QEMU speaks with one at a time
        let busy = || ProviderError::Timeout("somebody else looks at the machine".to_owned());
        let qmp = qmp.map_err(|_| busy())?.map_err(|e| told(&e))?;
        Ok(Self { qmp, socket })
    }

    async fn ask(&self, command: &str, arguments: Value) -> Result<Value, ProviderError> {
        let answer = tokio::time::timeout(PATIENCE, self.qmp.execute(command, arguments)).await;
        let late = || ProviderError::Timeout(format!("qemu did not answer `{command}`"));
        answer.map_err(|_| late())?.map_err(|e| told(&e))
    }
}

fn told(error: &QmpError) -> ProviderError {
    match error {
        QmpError::Closed => ProviderError::Gone("the machine has ended meanwhile".to_owned()),
        QmpError::Refused { .. } => ProviderError::Failed(error.to_string()),
    }
}

/// Writes the screen as a PNG file and returns its text.
pub(super) async fn look(sight: &Sight, png: &Path) -> Result<Screen, ProviderError> {
    let looker = Looker::connect(sight).await?;
    let beside = |name: &str| looker.socket.with_file_name(name);
    let arguments = json!({ "filename": png, "format": "png" });
    match looker.ask("screendump", arguments).await {
        // before 7.1 QEMU only writes PPM
        Err(ProviderError::Failed(_)) => {
            let file = beside("see.ppm");
            looker
                .ask("screendump", json!({ "filename": file }))
                .await?;
            screen::ppm_to_png(&file, png)?;
        }
        other => drop(other?),
    }
    let file = beside("see.bin");
    let arguments = json!({ "val": screen::ADDRESS, "size": screen::SIZE, "filename": file });
    looker.ask("pmemsave", arguments).await?;
    let window = std::fs::read(&file).map_err(|e| io_error(&file, e))?;
    Ok(Screen {
        text: Cells::decode(&window).map(|cells| cells.text()),
        fingerprint: fingerprint(&window),
    })
}

/// Starts the VNC server at a socket beside the control socket; nobody but this user gets there.
pub(super) async fn vnc(sight: &Sight) -> Result<String, ProviderError> {
    let looker = Looker::connect(sight).await?;
    let socket = looker.socket.with_file_name("vnc.sock");
    let listening = looker.ask("query-vnc", Value::Null).await?;
    if listening["enabled"] != true {
        let address = json!({ "type": "unix", "path": socket });
        let arguments = json!({ "type": "vnc", "addresses": [address] });
        looker.ask("display-update", arguments).await?;
    }
    Ok(format!("unix:{}", socket.display()))
}
