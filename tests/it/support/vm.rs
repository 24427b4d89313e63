//! The repository's own project, built once for all tests with real guests.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::Sandbox;

/// The repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The cache that tests with real guests share, kept between runs: packages, ISO images, layers.
pub(crate) fn shared_cache() -> PathBuf {
    std::env::var_os("FORGE_TEST_CACHE")
        .map_or_else(|| repository().join("target/test-cache"), PathBuf::from)
}

/// A copy of the repository's project (not of its code) that shares the cache.
pub(crate) fn project() -> Sandbox {
    let sandbox = Sandbox::empty().with_cache(&shared_cache());
    for part in ["builds.toml", "vars", "kickstart", "scripts"] {
        copy_tree(&repository().join(part), &sandbox.path(part));
    }
    // a fixed version: no git here
    let text = sandbox.read("builds.toml");
    let version = regex::Regex::new(r"(?m)^version = \{ command = .*$").unwrap();
    assert!(
        version.is_match(&text),
        "builds.toml takes its version from git"
    );
    sandbox.write(
        "builds.toml",
        &version.replace(&text, "version = \"1.2.3\""),
    );
    sandbox
}

/// A project in which `forge run ova` has been done; tests take copies of it with [`fork`].
pub(crate) fn built() -> &'static Sandbox {
    static BUILT: OnceLock<Sandbox> = OnceLock::new();
    BUILT.get_or_init(|| {
        let sandbox = project();
        let _ = sandbox.forge(&["run", "ova"]).exits(0);
        sandbox
    })
}

/// A copy of the built project, records and outputs included, that a test may change.
pub(crate) fn fork() -> Sandbox {
    let built = built();
    let sandbox = Sandbox::empty().with_cache(&shared_cache());
    copy_tree(&built.root(), &sandbox.root());
    sandbox
}

/// Copies a file or a tree with modes and times.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp")
        .arg("-aT")
        .args([from, to])
        .status()
        .unwrap();
    assert!(status.success(), "cp {} {}", from.display(), to.display());
}
