//! Opening the file: format, damage, a fresh start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;
use crate::store::error::{at, is_damage};

/// The format's number, kept in `user_version`. A higher one in a file means a newer forge.
pub(super) const VERSION: i64 = 4;

/// How long another process may hold the file; transactions are short.
const PATIENCE: Duration = Duration::from_secs(10);

const TABLES: &str = "
CREATE TABLE records (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    stage       TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    ingredients TEXT NOT NULL,
    artifact    TEXT NOT NULL,
    started     INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    run         TEXT NOT NULL,
    log         TEXT,
    used        INTEGER NOT NULL,
    use_number  INTEGER NOT NULL,
    UNIQUE (stage, fingerprint)
);
CREATE INDEX records_by_fingerprint ON records (fingerprint, number);
CREATE INDEX records_by_use ON records (stage, use_number);
CREATE TABLE runs (
    id       TEXT PRIMARY KEY,
    number   INTEGER NOT NULL,
    started  INTEGER NOT NULL,
    targets  TEXT NOT NULL,
    outcome  TEXT,
    duration_ms INTEGER
);
CREATE INDEX runs_by_number ON runs (number);
CREATE TABLE run_stages (
    run         TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    stage       TEXT NOT NULL,
    started     INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    reasons     TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    message     TEXT,
    log         TEXT,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE TABLE durations (
    stage       TEXT NOT NULL,
    step        TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    PRIMARY KEY (stage, step)
) WITHOUT ROWID;
CREATE TABLE stat (
    path     BLOB PRIMARY KEY,
    size     INTEGER NOT NULL,
    mtime    INTEGER NOT NULL,
    ctime    INTEGER NOT NULL,
    inode    INTEGER NOT NULL,
    mode     INTEGER NOT NULL,
    digest   BLOB NOT NULL,
    recorded INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1;
";

/// What format 2 has more: checkpoints of running machines.
const UPGRADE_TO_2: &str = "
CREATE TABLE checkpoints (
    stage       TEXT NOT NULL,
    step        INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    state       TEXT NOT NULL,
    used        INTEGER NOT NULL,
    PRIMARY KEY (stage, step)
) WITHOUT ROWID;
PRAGMA user_version = 2;
";

/// What format 3 has more: what is known of a stage's checkpoints from earlier runs.
const UPGRADE_TO_3: &str = "
CREATE TABLE checkpoint_costs (
    stage       TEXT PRIMARY KEY,
    duration_ms INTEGER NOT NULL,
    bytes       INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE failed_steps (
    stage TEXT PRIMARY KEY,
    state BLOB NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 3;
";

/// What format 4 has more: a number that is another one whenever the records have changed, so that whoever has looked at
/// them once need not look again. That a record was used again without becoming another one's successor does not count.
const UPGRADE_TO_4: &str = "
CREATE TABLE generation (number INTEGER NOT NULL);
INSERT INTO generation VALUES (abs(random() / 2));
CREATE TRIGGER record_added AFTER INSERT ON records
    BEGIN UPDATE generation SET number = number + 1; END;
CREATE TRIGGER record_removed AFTER DELETE ON records
    BEGIN UPDATE generation SET number = number + 1; END;
CREATE TRIGGER record_succeeded AFTER UPDATE OF use_number ON records
    BEGIN UPDATE generation SET number = number + 1; END;
PRAGMA user_version = 4;
";

/// Opens `path`; what users should hear comes with it.
pub(super) fn open(path: &Path) -> Result<(Connection, Vec<String>), StoreError> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(at(dir))?;
    }
    let checked = if suspicion(path).exists() {
        Check::All
    } else {
        Check::Head
    };
    match connect(path, checked) {
        Ok(connection) => {
            let _ = crate::sys::fs::remove(&suspicion(path));
            Ok((connection, Vec::new()))
        }
        Err(Failure::Database(source)) if is_damage(&source) => {
            let aside = set_aside(path)?;
            let connection = connect(path, Check::Head).map_err(|failure| failure.told(path))?;
            let warning = format!(
                "{} was damaged ({source}) and is now {}; what was built before is not known any more",
                path.display(),
                aside.display()
            );
            Ok((connection, vec![warning]))
        }
        Err(failure) => Err(failure.told(path)),
    }
}

/// Opens a database that must be there, and mends nothing.
pub(super) fn open_other(path: &Path) -> Result<Connection, StoreError> {
    let error = |source| StoreError::Database {
        path: path.to_owned(),
        source,
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(error)?;
    connection.busy_timeout(PATIENCE).map_err(error)?;
    let version: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(error)?;
    if version > VERSION {
        return Err(newer(path, version));
    }
    Ok(connection)
}

fn newer(path: &Path, found: i64) -> StoreError {
    StoreError::Newer {
        path: path.to_owned(),
        found,
        known: VERSION,
    }
}

enum Failure {
    Newer(i64),
    Database(rusqlite::Error),
    Io(std::io::Error),
}

impl Failure {
    fn told(self, path: &Path) -> StoreError {
        match self {
            Self::Newer(found) => newer(path, found),
            Self::Database(source) => StoreError::Database {
                path: path.to_owned(),
                source,
            },
            Self::Io(source) => at(path)(source),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// How much of the file is looked at.
#[derive(Clone, Copy, PartialEq)]
enum Check {
    /// What opening it reads anyway.
    Head,
    /// Every page: something was wrong with it the last time.
    All,
}

fn connect(path: &Path, check: Check) -> Result<Connection, Failure> {
    if !path.exists() {
        begin(path)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > VERSION {
        return Err(Failure::Newer(version));
    }
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    // a transaction that reads first and then finds that another process wrote could only fail
    connection.set_transaction_behavior(rusqlite::TransactionBehavior::Immediate);
    if version == 0 {
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    }
    if version < VERSION {
        create(&mut connection)?;
    }
    if check == Check::All {
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(Failure::Database(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(found),
            )));
        }
    }
    Ok(connection)
}

/// Makes a new database beside `path` and puts it there whole, so that of several processes that are the first to open it
/// one wins, and none finds it half made; one at a time.
fn begin(path: &Path) -> Result<(), Failure> {
    let dir = path.parent().unwrap_or(Path::new("."));
    // until it is there
    let alone = std::fs::File::open(dir).map_err(Failure::Io)?;
    fs4::fs_std::FileExt::lock_exclusive(&alone).map_err(Failure::Io)?;
    if path.exists() {
        return Ok(());
    }
    // the log of a database that somebody has removed would be taken for that of the new one
    for suffix in ["-wal", "-shm"] {
        crate::sys::fs::remove(&with_suffix(path, suffix)).map_err(Failure::Io)?;
    }
    let place = tempfile::Builder::new()
        .prefix(&crate::sys::fs::temporary_prefix(std::process::id()))
        .tempdir_in(dir)
        .map_err(Failure::Io)?;
    let new = place.path().join("new");
    let mut connection = Connection::open(&new)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    create(&mut connection)?;
    // closing it takes what is in the log into the file, and removes the log
    connection.close().map_err(|(_, error)| error)?;
    match std::fs::hard_link(&new, path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        // a file system without links
        Err(_) => std::fs::rename(&new, path).map_err(Failure::Io),
    }
}

/// Makes the tables, or those that an older format lacks.
fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // another process may have been first
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version < 1 {
        transaction.execute_batch(TABLES)?;
    }
    if version < 2 {
        transaction.execute_batch(UPGRADE_TO_2)?;
    }
    if version < 3 {
        transaction.execute_batch(UPGRADE_TO_3)?;
    }
    if version < 4 {
        transaction.execute_batch(UPGRADE_TO_4)?;
    }
    transaction.commit()
}

/// Has the next forge that opens `path` look at all of it.
pub(super) fn suspect(path: &Path) {
    let _ = std::fs::write(suspicion(path), b"");
}

fn suspicion(path: &Path) -> PathBuf {
    with_suffix(path, ".suspect")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Renames the database and what belongs to it.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let mut aside = with_suffix(path, &format!(".damaged-{}", super::now()));
    let mut number = 1;
    while aside.exists() {
        aside = with_suffix(path, &format!(".damaged-{}-{number}", super::now()));
        number += 1;
    }
    match std::fs::rename(path, &aside) {
        // another process was faster
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(aside),
        other => other.map_err(at(path))?,
    }
    for suffix in ["-wal", "-shm"] {
        let part = with_suffix(path, suffix);
        if part.exists() {
            std::fs::rename(&part, with_suffix(&aside, suffix)).map_err(at(&part))?;
        }
    }
    let _ = crate::sys::fs::remove(&suspicion(path));
    Ok(aside)
}
