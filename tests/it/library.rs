//! Content libraries, tags and storage policies: what of vCenter is reached by its other APIs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::support::vcenter::Running;
use super::support::vcenter::VCenter;
use super::support::{Output, Sandbox};
use super::vcenter::no_secrets;

const LIBRARY: &str = "images";

/// A server with an empty library.
fn server() -> VCenter {
    let server = VCenter::start();
    server.govc(&["library.create", "-ds", "Packer", LIBRARY]);
    server
}

/// The repository's project, built, with a stage that puts its appliance into the library.
fn project(server: &VCenter) -> Sandbox {
    let sandbox = server.project();
    let text = sandbox.read("builds.toml");
    let stage = "\n[stages.publish]\nfrom = \"pack-ova\"\nprovider = \"lab\"\nlibrary = \"images\"\nitem = \"k3s-{{ axis.os }}\"\n";
    sandbox.write("builds.toml", &(text + stage));
    sandbox
}

fn publish(sandbox: &Sandbox) -> Output {
    sandbox.forge(&["run", "publish"])
}

fn change(sandbox: &Sandbox, from: &str, to: &str) {
    let text = sandbox.read("builds.toml");
    assert!(text.contains(from), "no `{from}` in {text}");
    sandbox.write("builds.toml", &text.replacen(from, to, 1));
}

/// An item of the library, as VMware's client tells it.
fn item(server: &VCenter, name: &str) -> Option<Value> {
    let path = format!("/{LIBRARY}/{name}");
    let told: Value =
        serde_json::from_str(&server.govc(&["library.info", "-json", &path])).unwrap();
    told.as_array()?.first().cloned()
}

fn version(server: &VCenter, name: &str) -> String {
    item(server, name).unwrap()["content_version"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The names of an item's files with the digests of what lies on the datastore.
fn shelved(server: &VCenter, name: &str) -> BTreeMap<String, String> {
    let item = item(server, name).unwrap();
    let text = |key: &str| item[key].as_str().unwrap().to_owned();
    let dir = PathBuf::from(server.get("dir")).join(format!(
        "datastores/Packer/contentlib-{}/{}",
        text("library_id"),
        text("id")
    ));
    digests(&dir)
}

fn digests(dir: &std::path::Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(dir).unwrap();
    files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let digest = forge::model::Digest::of(&std::fs::read(&path).unwrap());
            (name, digest.hex())
        })
        .collect()
}

/// What the library should hold: the appliance's own files.
fn packed(sandbox: &Sandbox, version: &str) -> BTreeMap<String, String> {
    let name = format!("k3s-mini-{version}");
    let mut files = digests(&sandbox.path(&format!("output/{name}")));
    files.retain(|file, _| {
        [".ovf", ".mf", ".vmdk"]
            .iter()
            .any(|end| file.ends_with(end))
    });
    assert_eq!(files.len(), 3, "{files:?}");
    files
}

/// Makes a library that shows the items of another one.
fn subscribe(server: &VCenter, name: &str, to: &str, how: &[&str]) {
    let told = server.govc(&["library.info", "-json", to]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let id = told[0]["id"].as_str().unwrap();
    let url = format!(
        "{}/cls/vcsp/lib/{id}",
        server.get("url").trim_end_matches("/sdk")
    );
    let mut args = vec!["library.create", "-ds", "Packer", "-sub", &url];
    args.extend(how);
    args.push(name);
    server.govc(&args);
}

#[test]
fn vm_an_appliance_goes_into_a_library_and_its_next_version_replaces_it() {
    let server = server();
    let sandbox = project(&server);
    server.forget_calls();
    let _ = publish(&sandbox)
        .exits(0)
        .prints("publish[os=mini] | -- uploading `k3s-mini` into the library `images`")
        .prints("publish[os=mini] | `k3s-mini` in the library `images`: version 2");
    assert_eq!(shelved(&server, "k3s-mini"), packed(&sandbox, "1.2.3"));
    let told = item(&server, "k3s-mini").unwrap();
    assert_eq!(told["type"], "ovf");
    let description = told["description"].as_str().unwrap();
    assert!(
        description.contains("forge.project = k3s\nforge.stage = publish[os=mini]\n"),
        "{description}"
    );
    let logins = |server: &VCenter| {
        (
            server.calls("POST /api/session"),
            server.calls("DELETE /api/session"),
        )
    };
    assert_eq!(logins(&server), (1, 1));
    let kept = sandbox.read("output/k3s-mini-1.2.3/publish@os=mini/item.json");
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(
        kept,
        json!({"library": LIBRARY, "item": "k3s-mini", "id": told["id"], "version": "2"})
    );

    let _ = publish(&sandbox).exits(0).prints("nothing to do");

    // another version has other file names: those of the old one go
    change(&sandbox, "version = \"1.2.3\"", "version = \"1.2.4\"");
    let _ = publish(&sandbox).exits(0).prints("version 3");
    assert_eq!(shelved(&server, "k3s-mini"), packed(&sandbox, "1.2.4"));
    let again = item(&server, "k3s-mini").unwrap();
    assert_eq!(again["id"], told["id"]);
    assert_ne!(again["description"], told["description"]);
    no_secrets(&server, &sandbox);
}

#[test]
fn vm_a_publication_goes_on_through_what_a_server_does_for_a_moment() {
    let server = server();
    let sandbox = project(&server);
    // 6.7 has sessions at another place
    server.fault("http-404", -1, "/api/session", &Value::Null);
    server.fault(
        "rest-expired",
        1,
        "/library/item/update-session",
        &Value::Null,
    );
    server.fault(
        "http-502",
        1,
        "/rest/com/vmware/content/library/id:",
        &Value::Null,
    );
    server.fault("cut-transfer", 1, "/cis/data/", &json!(1_000));
    server.forget_calls();
    let _ = publish(&sandbox).exits(0).prints("version 2");
    assert_eq!(shelved(&server, "k3s-mini"), packed(&sandbox, "1.2.3"));
    // the first session of the look before anything ran, and the one after it was ended
    assert_eq!(server.calls("POST /rest/com/vmware/cis/session"), 2);
    assert_eq!(server.calls("DELETE /rest/com/vmware/cis/session"), 1);
}

#[test]
fn vm_a_publication_that_fails_leaves_the_library_as_it_was() {
    let server = server();
    let sandbox = project(&server);
    let fault = || server.fault("library-error", 1, LIBRARY, &json!("the shelf is full"));

    fault();
    let _ = publish(&sandbox)
        .exits(1)
        .prints("the library does not take the files: the shelf is full");
    assert_eq!(item(&server, "k3s-mini"), None);

    // interrupted while a file is on its way
    let args = ["run", "publish", "--output", "plain"];
    server.fault("hold-upload", 1, ".vmdk", &Value::Null);
    let mut running = Running::start(&sandbox, &args);
    running.wait_for("uploading `k3s-mini`");
    assert_eq!(server.held(), "k3s-mini-1.2.3-disk1.vmdk");
    assert_eq!(running.end("-INT").0, Some(130));
    assert_eq!(item(&server, "k3s-mini"), None);

    let _ = publish(&sandbox).exits(0).prints("version 2");
    change(&sandbox, "version = \"1.2.3\"", "version = \"1.2.4\"");
    fault();
    let _ = publish(&sandbox).exits(1).prints("the shelf is full");
    assert_eq!(shelved(&server, "k3s-mini"), packed(&sandbox, "1.2.3"));
    assert_eq!(version(&server, "k3s-mini"), "2");
}

#[test]
fn vm_items_of_others_are_left_alone_and_what_is_not_there_is_told_before_anything_runs() {
    let server = server();
    let sandbox = project(&server);
    let file = sandbox.path("notes.iso");
    std::fs::write(&file, b"not forge's").unwrap();
    let file = file.to_str().unwrap();
    server.govc(&["library.import", "-n", "k3s-mini", LIBRARY, file]);
    let before = shelved(&server, "k3s-mini");
    let _ = publish(&sandbox).exits(3).complains(
        "there is an item `k3s-mini` in the library `images` already, and forge did not make it",
    );
    assert_eq!(shelved(&server, "k3s-mini"), before);

    change(&sandbox, "library = \"images\"", "library = \"imagse\"");
    let output = publish(&sandbox).exits(3);
    insta::assert_snapshot!(output.stderr, @r"
    error: provider `lab`: there is no content library `imagse`
      help: did you mean `images`?
    ");

    subscribe(&server, "branch", LIBRARY, &[]);
    change(&sandbox, "library = \"imagse\"", "library = \"branch\"");
    let output = publish(&sandbox).exits(3);
    insta::assert_snapshot!(output.stderr, @r"
    error: provider `lab`: the content library `branch` shows the items of another one: nothing can be put into it
      help: name a local library, such as the one that it subscribes to
    ");
}

#[test]
fn where_a_publication_goes_is_checked_with_the_file() {
    let text = |publish: &str| {
        format!(
            "version = 1\n[providers.local]\ntype = \"qemu\"\n[providers.lab]\ntype = \"vsphere\"\n\
             [stages.iso-base]\niso = {{ url = \"x.iso\", checksum = \"none\" }}\nssh = {{ user = \"u\", agent = true }}\n\
             [stages.export]\nfrom = \"iso-base\"\n[stages.pack-ova]\nfrom = \"export\"\n[stages.publish]\n{publish}"
        )
    };
    let check = |publish: &str| Sandbox::new(&text(publish)).forge(&["validate"]);
    let _ = check("from = \"pack-ova\"\nlibrary = \"images\"\n").exits(0);
    let faults = check("from = \"export\"\nprovider = \"local\"\nitem = \"\"\n").exits(2);
    insta::assert_snapshot!(faults.stderr, @r#"
    warning: the ISO is not verified (`iso-base`)
     --> builds.toml:7:35
      |
    7 | iso = { url = "x.iso", checksum = "none" }
      |                                   ^^^^^^

    error: the stage `publish` needs `library`
      --> builds.toml:13:9
       |
    13 | [stages.publish]
       |         ^^^^^^^

    error: a stage of kind `publish` cannot come from `export`, of kind `export`
      --> builds.toml:14:8
       |
    14 | from = "export"
       |        ^^^^^^^^
       |
       = help: it comes from a stage of kind `pack-ova`

    error: the provider `local` has no content libraries: it is not of type `vsphere`
      --> builds.toml:15:12
       |
    15 | provider = "local"
       |            ^^^^^^^
       |
       = help: name `lab`

    error: `` cannot be the name of an item: that has 1 to 80 characters
      --> builds.toml:16:8
       |
    16 | item = ""
       |        ^^

    4 errors in the project
    "#);
    let none = text("from = \"pack-ova\"\nlibrary = \"images\"\n")
        .replace("[providers.lab]\ntype = \"vsphere\"\n", "");
    let none = Sandbox::new(&none).forge(&["validate"]).exits(2);
    insta::assert_snapshot!(none.stderr, @r#"
    warning: the ISO is not verified (`iso-base`)
     --> builds.toml:5:35
      |
    5 | iso = { url = "x.iso", checksum = "none" }
      |                                   ^^^^^^

    error: the stage `publish` needs a provider of type `vsphere`
      --> builds.toml:11:9
       |
    11 | [stages.publish]
       |         ^^^^^^^
       |
       = help: content libraries are vCenter's: add `[providers.NAME]` with `type = "vsphere"`

    1 error in the project
    "#);
}
