//! Meeting a guest again that goes on from a checkpoint: where it was, before anybody tells where it is.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::machine::Session;
use crate::engine::{ExecError, StageContext, StageFailure};
use crate::guest::{Guest, SshTarget};
use crate::store::Met;

/// How long the guest is looked for where it was: it ran there, and runs on.
const LOOKED_FOR: Duration = Duration::from_secs(10);

/// Logs in where the guest was when its machine was kept; a server tells its address only seconds later. By now that
/// address may be another machine's, with the same password even: only the boot that was met there counts. None: it is not
/// there, and has to be looked for where the server tells.
pub(super) async fn meet(
    session: &mut Session,
    context: &StageContext,
    target: &(dyn Fn(SocketAddr) -> Result<SshTarget, StageFailure> + Sync),
    met: &Met,
) -> Result<Option<Guest>, ExecError> {
    let (output, cancel) = (&context.output, &context.cancel);
    output.step("waiting for ssh");
    let target = target(met.address)?;
    let mut addresses = session.machine()?.addresses();
    let elsewhere = async {
        let other = |ssh: SocketAddr| ssh != met.address;
        let told = addresses.wait_for(|address| address.ssh.is_some_and(other));
        if told.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let look = async {
        let deadline = Instant::now() + LOOKED_FOR;
        let guest = Guest::connect(&target, deadline, cancel, &|_| {}).await;
        let guest = guest.ok()?;
        let boot_id = guest.this_boot(cancel).await.ok()?;
        if boot_id != met.boot_id {
            output.note(&format!("at {} is another machine now", met.address));
            return None;
        }
        Some(guest)
    };
    Ok(tokio::select! {
        guest = look => guest,
        () = elsewhere => None,
        // who looks for it next is told the same
        _ = session.trouble() => None,
    })
}
