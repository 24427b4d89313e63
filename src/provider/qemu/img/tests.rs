use super::*;

fn write_blocks(path: &Path, blocks: &[(u64, u8)]) {
    use std::io::{Seek as _, Write as _};
    let mut file = std::fs::File::create(path).unwrap();
    for (block, byte) in blocks {
        file.seek(std::io::SeekFrom::Start(block << 16)).unwrap();
        file.write_all(&[*byte; 1 << 16]).unwrap();
    }
    file.set_len(1 << 20).unwrap();
}

/// A qcow2 layer with these blocks of 64 KiB, above `backing`.
async fn layer(img: &Img, path: &Path, backing: Option<&Path>, blocks: &[(u64, u8)]) {
    img.create(path, Size::from_mib(1), backing.map(|b| (b, "qcow2")))
        .await
        .unwrap();
    let writes: Vec<String> = blocks
        .iter()
        .map(|(block, byte)| format!("write -P {byte} {} 65536", block << 16))
        .collect();
    let image = json!({ "driver": "qcow2", "file": { "driver": "file", "filename": path }, "backing": null });
    let mut command = process::command("qemu-io", "test");
    for write in &writes {
        command.args(["-c", write]);
    }
    command.arg(format!("json:{image}"));
    assert!(command.output().await.unwrap().status.success());
}

#[tokio::test]
async fn vm_a_chain_is_flattened_by_its_given_order_not_by_its_headers() {
    let dir = tempfile::tempdir().unwrap();
    let img = Img::locate("test").unwrap();
    let base = dir.path().join("base.qcow2");
    let top = dir.path().join("top.qcow2");
    layer(&img, &base, None, &[(0, 1), (1, 1)]).await;
    layer(&img, &top, Some(Path::new("/nowhere/gone")), &[(1, 2)]).await;
    let info = img.info(&top, Some("qcow2")).await.unwrap();
    assert_eq!(
        (info.virtual_size, info.backing.as_deref()),
        (Size::from_mib(1), Some("gone"))
    );
    // the store may move
    let moved = dir.path().join("moved");
    std::fs::rename(&base, &moved).unwrap();
    let raw = dir.path().join("flat.raw");
    let told = std::sync::Mutex::new(Vec::new());
    img.convert(
        &[moved, top],
        &raw,
        FlatFormat::Raw,
        &|done| told.lock().unwrap().push(done),
        &Cancel::new(),
    )
    .await
    .unwrap();
    let expected = dir.path().join("expected");
    write_blocks(&expected, &[(0, 1), (1, 2)]);
    assert!(std::fs::read(&raw).unwrap() == std::fs::read(&expected).unwrap());
    assert_eq!(told.lock().unwrap().last(), Some(&1000));
    let info = img.info(&raw, None).await.unwrap();
    assert_eq!(info.format, "raw");
    assert!(info.actual_size < info.virtual_size, "{info:?}");
}

#[tokio::test]
async fn vm_a_failure_tells_the_reason() {
    let img = Img::locate("test").unwrap();
    let error = img
        .info(Path::new("/no/such.qcow2"), None)
        .await
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("`qemu-img info` failed: Could not open '/no/such.qcow2'")
            && message.ends_with("No such file or directory"),
        "{message}"
    );
    assert!(img.version().await.unwrap().contains('.'));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_with_its_name() {
    let img = Img::at(Path::new("/no/qemu-img"), "test");
    let error = img.version().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "/no/qemu-img: No such file or directory (os error 2)"
    );
}

#[test]
fn progress_and_version_are_read() {
    assert_eq!(
        progress_in("    (0.00/100%)\r    (12.34/100%)\r  (1"),
        Some(123)
    );
    assert_eq!(progress_in("nothing"), None);
    assert_eq!(
        version_in("QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright"),
        "7.2.22"
    );
}
