use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

fn files(list: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    list.iter()
        .map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec()))
        .collect()
}

/// Runs xorriso on the image; what it says on both streams.
fn xorriso(image: &Path, args: &[&str]) -> String {
    let output = Command::new("xorriso")
        .args(["-report_about", "NOTE"])
        .args(args)
        .env("ISO", image)
        .output()
        .expect("xorriso judges here; `scripts/test` installs it");
    assert!(output.status.success(), "{output:?}");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Unpacks with the names of Rock Ridge (`any`) or Joliet (`norock`) and compares.
fn unpacks(dir: &Path, image: &Path, names: &str, list: &[(String, Vec<u8>)]) -> String {
    let out = dir.join(names);
    let (image, target) = (image.to_str().unwrap(), out.to_str().unwrap());
    let said = xorriso(
        Path::new(image),
        &[
            "-read_fs", names, "-osirrox", "on", "-indev", image, "-extract", "/", target,
        ],
    );
    for (path, bytes) in list {
        let found = fs::read(out.join(path)).unwrap_or_else(|e| panic!("{names}: {path}: {e}"));
        assert!(found == *bytes, "{names}: {path}");
    }
    said
}

#[test]
fn xorriso_finds_every_file_under_its_real_name() {
    let big = vec![b'x'; 300_000];
    let mut list = files(&[
        ("ks.cfg", b"text\n"),
        ("user-data", b"#cloud-config\n"),
        ("Meta-Data", b""),
        ("7/ks.cfg", b"seven\n"),
        (
            "7/scripts/A rather long name with spaces.sh",
            b"#!/bin/sh\n",
        ),
        ("7/scripts/big.bin", &big),
        ("a/b/c/d/e/f/deep.txt", b"deep"),
        ("äöü/€.txt", b"utf"),
    ]);
    // More than one sector of records, and short names that collide.
    list.extend((0..120).map(|i| (format!("many/long-common-prefix-{i}.conf"), vec![i; 3])));
    let image = write("cidata", &list).unwrap();
    assert_eq!(image, write("cidata", &list).unwrap());
    assert_eq!(image.len() % 2048, 0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.iso");
    fs::write(&path, &image).unwrap();
    let said = unpacks(dir.path(), &path, "any", &list);
    assert!(said.contains("Volume id    : 'cidata'"), "{said}");
    unpacks(dir.path(), &path, "norock", &list);
    let script = dir.path().join("any").join(&list[4].0);
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&script), 0o755);
    assert_eq!(mode(&dir.path().join("any/ks.cfg")), 0o644);
}

#[test]
fn plain_iso_names_are_short_and_unique() {
    let list = files(&[
        ("long-name-one.cfg", b""),
        ("long-name-two.cfg", b""),
        (".hidden", b""),
        ("no_ext", b""),
    ]);
    let tree = Tree::new(&list).unwrap();
    let names: Vec<_> = names::identifiers(&tree, names::Flavour::Iso)
        .into_iter()
        .map(|name| String::from_utf8(name).unwrap())
        .collect();
    let expected = [
        "",
        "LONG_NAM.CFG;1",
        "LONG_NA1.CFG;1",
        "_HIDDEN.;1",
        "NO_EXT.;1",
    ];
    assert_eq!(names, expected);
}

#[test]
fn an_empty_volume_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.iso");
    fs::write(&path, write("OEMDRV", &[]).unwrap()).unwrap();
    let said = unpacks(dir.path(), &path, "any", &[]);
    assert!(said.contains("'OEMDRV'"), "{said}");
}

#[test]
fn bad_labels_and_paths_are_refused() {
    assert_eq!(
        write("a/b", &[]).unwrap_err().to_string(),
        "`a/b` is no CD label: up to 32 letters, digits, `-`, `_`, `.` and spaces"
    );
    let long = "x".repeat(104);
    for (path, why) in [
        ("/x", "it has an empty part"),
        ("a/../b", "it leads out of its directory"),
        ("a/b/c/d/e/f/g/h", "it is deeper than eight levels"),
        ("a;1", "it has a character that Joliet forbids"),
        (&long, "a part is longer than 100 characters"),
    ] {
        let error = write("x", &files(&[(path, b"")])).unwrap_err();
        let expected = format!("`{path}` is no path for a CD: {why}");
        assert_eq!(error.to_string(), expected);
    }
    for pair in [["a", "a"], ["a", "a/b"], ["a/b", "a"]] {
        let error = write("x", &files(&[(pair[0], b""), (pair[1], b"")])).unwrap_err();
        assert!(
            error.to_string().contains("there is something else"),
            "{error}"
        );
    }
}

#[test]
fn the_fields_of_the_root_follow_each_other_without_a_gap() {
    let image = write("x", &files(&[("a", b"")])).unwrap();
    // The root's directory follows 19 sectors and four path tables.
    let record = &image[23 * 2048..];
    let mut fields = &record[34..usize::from(record[0])];
    let mut names = Vec::new();
    while fields.len() >= 4 {
        names.push(String::from_utf8_lossy(&fields[..2]).into_owned());
        assert_eq!(fields[3], 1, "version of {names:?}");
        fields = &fields[usize::from(fields[2])..];
    }
    assert_eq!(names, ["SP", "CE", "RR", "PX", "TF"]);
}
