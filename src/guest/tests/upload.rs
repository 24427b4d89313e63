use super::*;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) fn sample(dir: &Path) {
    std::fs::create_dir_all(dir.join("sub/empty")).unwrap();
    std::fs::write(dir.join("sub/grüße 'n' $x.txt"), "hello").unwrap();
    std::fs::write(dir.join("run.sh"), "#!/bin/sh\necho ran\n").unwrap();
    std::fs::set_permissions(dir.join("run.sh"), Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(dir.join("sub"), Permissions::from_mode(0o750)).unwrap();
    symlink("run.sh", dir.join("link")).unwrap();
    std::fs::write(dir.join("big"), vec![7; 5_000_000]).unwrap();
}

pub(super) fn check_sample(to: &Path) {
    let mode = |path: &str| to.join(path).metadata().unwrap().mode() & 0o7777;
    assert_eq!(
        std::fs::read(to.join("sub/grüße 'n' $x.txt")).unwrap(),
        b"hello"
    );
    assert_eq!(std::fs::read(to.join("big")).unwrap(), vec![7; 5_000_000]);
    assert_eq!(
        (mode("run.sh"), mode("big"), mode("sub")),
        (0o755, 0o644, 0o750)
    );
    assert_eq!(
        std::fs::read_link(to.join("link")).unwrap(),
        Path::new("run.sh")
    );
    assert!(to.join("sub/empty").is_dir());
}

async fn upload(guest: &Guest, source: &Path, to: &str) -> Result<u64, GuestError> {
    guest.upload(source, to, &|_| {}, &Cancel::new()).await
}

#[tokio::test]
async fn the_contents_of_a_tree_arrive_as_they_are() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let (source, to) = (sshd.dir.path().join("src"), sshd.dir.path().join("a b/to"));
    sample(&source);
    let sent = AtomicU64::new(0);
    let progress = |bytes| sent.store(bytes, Ordering::Relaxed);
    let cancel = Cancel::new();
    let to_text = to.to_str().unwrap();
    let bytes = guest.upload(&source, to_text, &progress, &cancel).await;
    assert_eq!(bytes.unwrap(), 5_000_000 + 5 + 19);
    assert!(sent.load(Ordering::Relaxed) > 5_000_000);
    check_sample(&to);
    // again, over what is there
    upload(&guest, &source, to_text).await.unwrap();
    check_sample(&to);
}

#[tokio::test]
async fn a_guest_without_tar_gets_the_same_tree() {
    let sshd = Sshd::prepare("");
    let bin = sshd.dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let tools = ["cat", "chmod", "mkdir", "mv", "rm", "ln", "wc", "sh"];
    for tool in tools {
        let found = crate::sys::process::find_program(&[tool]).unwrap();
        symlink(found, bin.join(tool)).unwrap();
    }
    let mut sshd = sshd;
    sshd.options = format!("SetEnv PATH={} HOME=/nowhere", bin.display());
    sshd.launch();
    let guest = guest(&sshd).await;
    assert_eq!(sh(&guest, "command -v tar").await.status, 127);
    let (source, to) = (sshd.dir.path().join("src"), sshd.dir.path().join("to"));
    sample(&source);
    upload(&guest, &source, to.to_str().unwrap()).await.unwrap();
    check_sample(&to);
}

#[tokio::test]
async fn a_file_goes_to_a_path_or_into_a_directory() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let dir = sshd.dir.path();
    let (source, root) = (dir.join("tool"), dir.to_str().unwrap());
    std::fs::write(&source, b"\0binary").unwrap();
    std::fs::set_permissions(&source, Permissions::from_mode(0o755)).unwrap();
    upload(&guest, &source, &format!("{root}/x/renamed"))
        .await
        .unwrap();
    upload(&guest, &source, &format!("{root}/y/"))
        .await
        .unwrap();
    for place in ["x/renamed", "y/tool"] {
        assert_eq!(std::fs::read(dir.join(place)).unwrap(), b"\0binary");
        assert_eq!(dir.join(place).metadata().unwrap().mode() & 0o777, 0o755);
    }
    guest
        .upload_bytes(
            b"secret".to_vec(),
            &format!("{root}/x/key"),
            0o600,
            &Cancel::new(),
        )
        .await
        .unwrap();
    assert_eq!(dir.join("x/key").metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(dir.join("x")).unwrap().count(), 2);
}

#[tokio::test]
async fn what_cannot_be_read_here_or_written_there_is_told() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let dir = sshd.dir.path();
    let error = upload(&guest, &dir.join("missing"), "/tmp/x")
        .await
        .unwrap_err();
    assert!(matches!(error, GuestError::Local { .. }), "{error}");
    std::fs::write(dir.join("file"), "x").unwrap();
    std::fs::create_dir(dir.join("tree")).unwrap();
    let to = dir.join("file/below");
    for source in ["file", "tree"] {
        let error = upload(&guest, &dir.join(source), to.to_str().unwrap()).await;
        let text = error.unwrap_err().to_string();
        assert!(
            text.starts_with(&format!("cannot write {} in the guest", to.display())),
            "{text}"
        );
        assert!(text.contains("mkdir"), "{text}");
    }
    let text = upload(&guest, &dir.join("file"), dir.to_str().unwrap()).await;
    assert!(text.unwrap_err().to_string().ends_with("is a directory"));
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_sent_does_not_arrive_cut_short() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let to = sshd.dir.path().join("to");
    // the kernel says 4096 bytes for this file, and reading it gives fewer
    let source = Path::new("/sys/devices/system/cpu/online");
    let error = upload(&guest, source, to.to_str().unwrap()).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("has become shorter"), "{text}");
    assert!(!to.exists());
}
