//! Gets what is written to the storage while the rest is still worked on, so that whoever makes the file durable at its end
//! waits for little.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use super::Progress;

/// After so many bytes of the disk the storage is asked again.
const STEP: u64 = 64 << 20;

/// Runs `job`, which writes to `out` and reports to the progress that it is given. The storage's own error is the inner one: it
/// is told only once, so nobody else would hear of it. What fails leaves `out` empty: nobody waits for what is of no use.
pub(super) fn run<T, E>(
    out: &File,
    progress: Progress<'_>,
    job: impl FnOnce(Progress<'_>) -> Result<T, E>,
) -> io::Result<Result<T, E>> {
    let next = AtomicU64::new(STEP);
    thread::scope(|scope| {
        let (ask, asked) = sync_channel(1);
        let storage = scope.spawn(move || asked.iter().try_for_each(|()| out.sync_data()));
        let done = job(&|at| {
            if at >= next.load(Ordering::Relaxed) {
                next.store(at + STEP, Ordering::Relaxed);
                // Full: it is busy, and asked once more already.
                let _ = ask.try_send(());
            }
            progress(at);
        });
        drop(ask);
        if done.is_err() {
            let _ = out.set_len(0);
        }
        let stored = storage.join();
        stored.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(done)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_done_comes_back_and_what_fails_leaves_an_empty_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let told = AtomicU64::new(0);
        let tell = |at| told.store(at, Ordering::Relaxed);
        let job = |fails: bool| {
            run(file.as_file(), &tell, |progress| {
                for step in 1..=4 {
                    file.as_file().write_all(&[7; 1000]).map_err(drop)?;
                    progress(step * STEP);
                }
                if fails { Err(()) } else { Ok(9) }
            })
        };
        assert_eq!(job(false).unwrap(), Ok(9));
        assert_eq!(told.load(Ordering::Relaxed), 4 * STEP);
        assert_eq!(file.as_file().metadata().unwrap().len(), 4000);
        assert_eq!(job(true).unwrap(), Err(()));
        assert_eq!(file.as_file().metadata().unwrap().len(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_storages_error_is_told() {
        // This cannot be made durable, as little as a broken disk.
        let full = File::options().write(true).open("/dev/full").unwrap();
        let result = run(&full, &|_| {}, |progress| {
            progress(STEP);
            Ok::<_, ()>(())
        });
        assert!(result.is_err());
    }
}
