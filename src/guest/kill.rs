//! Ending what a command has started in the guest.

use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Connection, Limits};
use super::exec::{Feed, Running};
use crate::sys::Cancel;

/// How long the clean-up may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// Ends the process `pid`, its session, its group and all their descendants: politely, and after a second by force.
/// Whether that worked cannot be known for sure; nothing is reported.
pub(super) async fn kill(connection: &mut Connection, pid: u32) {
    // whoever cancelled the command must not cancel its clean-up
    let cancel = Cancel::new();
    let limits = Limits {
        deadline: Some(Instant::now() + PATIENCE),
        cancel: &cancel,
    };
    let script = script(pid);
    let Ok(channel) = connection
        .drive(limits, ssh2::Session::channel_session)
        .await
    else {
        return;
    };
    let feed = Feed::Bytes(Vec::new());
    let start = Running::start(connection, channel, &script, feed, limits).await;
    if let Ok(mut running) = start {
        let _ = running
            .follow(connection, &mut |_, _| {}, limits, &|_| {})
            .await;
    }
}

/// Fields of `/proc/PID/stat` after the name: state, parent, group, session. The processes are gathered again before the
/// second signal: a shell that ignores the first one goes on to its next command.
fn script(pid: u32) -> String {
    format!(
        r#"all=" {pid} "
gather() {{
  while :; do
    more=
    for f in /proc/[0-9]*/stat; do
      {{ read -r line <"$f"; }} 2>/dev/null || continue
      id=${{line%% *}}
      case "$all" in *" $id "*) continue ;; esac
      set -- ${{line##*) }}
      case "$all" in *" $2 "*) more="$more$id "; continue ;; esac
      if [ "$3" = {pid} ] || [ "$4" = {pid} ]; then more="$more$id "; fi
    done
    [ -n "$more" ] || break
    all="$all$more"
  done
}}
alive() {{
  for p in $all; do
    {{ read -r line </proc/$p/stat; }} 2>/dev/null || continue
    case "${{line##*) }}" in Z*) ;; *) return 0 ;; esac
  done
  return 1
}}
gather
kill -TERM $all 2>/dev/null
if alive; then
  sleep 1
  gather
  kill -KILL $all 2>/dev/null
  n=0
  while alive && [ $n -lt 1000 ]; do n=$((n + 1)); done
fi
:"#
    )
}
