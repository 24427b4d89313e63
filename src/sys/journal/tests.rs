use super::*;
use crate::sys::process::RUN_VARIABLE;

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

/// What a forge leaves in the journal that is killed: everything but its lock.
fn kill(journal: Journal, guards: Vec<Guard>) {
    guards.into_iter().for_each(std::mem::forget);
    journal.die();
    std::mem::forget(journal);
}

fn recover(dir: &Path) -> Recovered {
    let mut recovered = Recovered::default();
    for dead in Dead::all(dir).unwrap() {
        recovered.merge(dead.undo().unwrap());
        dead.strike().unwrap();
    }
    recovered
}

#[test]
fn a_dropped_guard_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = dir.path().join("journal");
    let journal = Journal::open(&shelf, "r1").unwrap();
    let work = dir.path().join("work");
    fs::create_dir(&work).unwrap();
    let guard = journal
        .enter(Entry::of_paths("work", vec![work.clone()]))
        .unwrap();
    journal.note("something").unwrap();
    assert_eq!(count(&shelf), 3);
    drop(guard);
    assert!(!work.exists());
    let scratch = journal.scratch("a probe").unwrap();
    let place = scratch.path().to_owned();
    assert!(place.is_dir());
    drop(scratch);
    assert!(!place.exists());
    drop(journal);
    assert_eq!(count(&shelf), 0);
}

#[test]
fn one_lives_until_its_last_entry_is_struck_out() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), "r1").unwrap();
    let guard = journal.enter(Entry::of_paths("late", Vec::new())).unwrap();
    drop(journal);
    assert_eq!(recover(dir.path()), Recovered::default());
    assert_eq!(living(dir.path()).len(), 1);
    drop(guard);
    assert_eq!(count(dir.path()), 0);
}

#[test]
fn what_a_dead_one_left_is_undone_and_what_a_living_one_has_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = dir.path().join("journal");
    let work = dir.path().join("work");
    fs::create_dir(&work).unwrap();
    let spawn = |mark: &str| {
        use std::os::unix::process::CommandExt as _;
        let mut command = std::process::Command::new("sleep");
        let command = command.arg("600").env(RUN_VARIABLE, mark).process_group(0);
        command.spawn().unwrap()
    };
    let (mut marked, mut unmarked, mut other) =
        (spawn("dead-run-1"), spawn("somebody"), spawn("else"));

    let journal = Journal::open(&shelf, "dead-run-1").unwrap();
    let mut entry = journal
        .enter(Entry::of_paths("machine of a", vec![work.clone()]))
        .unwrap();
    entry.add_group(unmarked.id()).unwrap();
    // a process that has this id now is not the one that had it
    let mut reused = Identity::of(other.id()).unwrap();
    reused.start -= 1;
    entry.entry.groups.push(reused);
    entry.write().unwrap();
    let temporary = dir.path().join(format!(".forge-{}-x", std::process::id()));
    fs::write(&temporary, b"").unwrap();
    let temporaries = journal.enter(Entry::of_temporaries(dir.path())).unwrap();
    fs::write(shelf.join(format!("{}.9.new", journal.id())), b"{").unwrap();
    let machine = RemoteMachine {
        provider: "lab".into(),
        name: "vm".into(),
    };
    let server = journal
        .enter(Entry::of_machine("machine `vm`", machine))
        .unwrap();
    journal.note("a note").unwrap();
    let id = journal.id().to_owned();
    kill(journal, vec![entry, server, temporaries]);

    let living = Journal::open(&shelf, "living").unwrap();
    let mine = living.enter(Entry::of_paths("mine", Vec::new())).unwrap();
    let dead = Dead::all(&shelf).unwrap();
    assert_eq!((dead.len(), dead[0].notes()), (1, vec!["a note".into()]));
    assert_eq!(dead[0].id, id);
    assert!(Dead::all(&shelf).unwrap().is_empty(), "somebody is at it");
    drop(dead);

    let reaper = std::thread::spawn(move || {
        marked.wait().unwrap();
        unmarked.wait().unwrap();
    });
    let recovered = recover(&shelf);
    assert_eq!(recovered.what, ["machine of a"]);
    assert_eq!(recovered.processes, 2);
    assert!(!work.exists() && !temporary.exists());
    reaper.join().unwrap();
    assert_eq!(other.try_wait().unwrap(), None, "its id was only the same");
    other.kill().unwrap();
    other.wait().unwrap();

    // the machine stands there until it is gone
    let again = recover(&shelf);
    assert_eq!((again.what.len(), again.machines.len()), (0, 1));
    again.machines[0].clone().strike().unwrap();
    assert_eq!(recover(&shelf), Recovered::default());
    drop((mine, living));
    assert_eq!(count(&shelf), 0);
}

#[test]
fn machines_on_servers_are_written_down_with_their_project() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("cache"), dir.path().join("project"));
    let journal = Journal::open(&here, "r").unwrap();
    journal.keep_machines_in(&there);
    assert!(!there.exists(), "most projects have none");
    let machine = RemoteMachine {
        provider: "lab".into(),
        name: "vm".into(),
    };
    let guard = journal.enter(Entry::of_machine("vm", machine)).unwrap();
    assert_eq!((count(&here), count(&there)), (1, 2));
    drop((guard, journal));
    assert_eq!((count(&here), count(&there)), (0, 0));
}

#[test]
fn others_are_named_and_half_a_note_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (
        Journal::open(dir.path(), "1").unwrap(),
        Journal::open(dir.path(), "2").unwrap(),
    );
    two.note("whole").unwrap();
    let notes = dir.path().join(format!("{}.notes", two.id()));
    let mut file = File::options().append(true).open(notes).unwrap();
    file.write_all(b"ha").unwrap();
    assert_eq!(one.notes_of_others(&[]), ["whole"]);
    assert!(one.lives(two.id()) && !one.lives("nobody"));
    assert!(two.notes_of_others(&[]).is_empty());
}
