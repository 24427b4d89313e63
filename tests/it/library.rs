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
    sandbox.write("notes.iso", "not forge's");
    import(&server, "k3s-mini", &sandbox.path("notes.iso"));
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

/// Imports a file into the library as an item of its own.
fn import(server: &VCenter, name: &str, file: &std::path::Path) {
    let file = file.to_str().unwrap();
    server.govc(&["library.import", "-n", name, LIBRARY, file]);
}

#[test]
fn vm_a_machine_is_installed_from_an_iso_in_a_library() {
    let server = server();
    let sandbox = project(&server);
    import(&server, "mini", &sandbox.path("output/iso/mini.iso"));
    let text = sandbox.path("builds.toml");
    import(&server, "text", &text);
    let from = |sandbox: &Sandbox, old: &str, new: &str| {
        change(
            sandbox,
            &format!("url = \"{old}\""),
            &format!("url = \"{new}\""),
        );
    };
    let run = |sandbox: &Sandbox| sandbox.forge(&["run", "iso-base", "--provider", "lab"]);
    change(
        &sandbox,
        "iso = { url = \"{{ stages.mini-iso.outputs.iso }}\" }",
        "iso = { url = \"library://imagse/mini\", checksum = \"none\" }",
    );
    let mut told = run(&sandbox).exits(3).stderr;
    from(&sandbox, "library://imagse/mini", "library://images/minni");
    told += &run(&sandbox).exits(3).stderr;
    from(&sandbox, "library://images/minni", "library://images/text");
    told += &run(&sandbox).exits(3).stderr;
    subscribe(&server, "branch", LIBRARY, &["-sub-ondemand=true"]);
    from(&sandbox, "library://images/text", "library://branch/mini");
    told += &run(&sandbox).exits(3).stderr;
    let told: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("lab") || line.contains("help"))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    error: provider `lab`: there is no content library `imagse`
      help: did you mean `images`?
    error: provider `lab`: there is no item in the library `images`: `minni`
      help: did you mean `mini`?
    error: provider `lab`: the item `text` of the content library `images` has no ISO
      help: its files: builds.toml
    error: provider `lab`: `mini.iso` of the item `mini` of the content library `branch` has not come yet
      help: synchronize the item in vCenter, and run it again
    ");
    let local = sandbox.forge(&["run", "iso-base"]).exits(3);
    assert!(
        local
            .stdout
            .contains("is a place on a vSphere server, and QEMU cannot reach it"),
        "{}",
        local.all()
    );

    from(&sandbox, "library://branch/mini", "library://images/mini");
    server.forget_calls();
    let before = shelved(&server, "mini");
    let _ = run(&sandbox).exits(0).prints("iso-base[os=mini] | -- done");
    assert_eq!(server.machines(), ["k3s-iso-base-mini"]);
    assert_eq!(shelved(&server, "mini"), before);
    // nothing was uploaded but the floppy, and that is gone
    server.is_tidy(&sandbox);
    let media = server.govc(&["datastore.ls", "-ds", "Packer", "forge"]);
    assert_eq!(media.trim(), "");
    let _ = run(&sandbox).exits(0).prints("nothing to do");
}

#[test]
fn vm_machines_have_tags_and_a_storage_policy() {
    let server = server();
    let sandbox = project(&server);
    server.govc(&["tags.category.create", "team"]);
    server.govc(&["tags.create", "-c", "team", "platform"]);
    server.govc(&["tags.create", "-c", "team", "web"]);
    let run = |stage: &str| sandbox.forge(&["run", stage, "--provider", "lab"]);
    let vsphere = |tags: &str, policy: &str| {
        format!("vsphere = {{ tags = [{tags}], storage_policy = \"{policy}\" }}\n")
    };
    let wrong = vsphere("\"taem/web\", \"team/platfrom\"", "vSAN Default Policy");
    change(&sandbox, "[machine]\n", &format!("[machine]\n{wrong}"));
    let told = run("iso-base").exits(3).stderr;
    insta::assert_snapshot!(told, @r"
    error: provider `lab`: 3 things stand in the way
      - there is no category of tags `taem`; did you mean `team`?
      - there is no tag in the category `team`: `platfrom`; did you mean `platform`?
      - there is no storage policy `vSAN Default Policy`; did you mean `vSAN Default Storage Policy`?
    ");

    let right = vsphere(
        "\"team/web\", \"team/platform\"",
        "vSAN Default Storage Policy",
    );
    change(&sandbox, &wrong, &right);
    server.fault("rest-expired", 1, "/tag-association", &Value::Null);
    let _ = run("provision").exits(0);
    let policies = server.govc(&["storage.policy.ls", "-i", "vSAN Default Storage Policy"]);
    let policy = policies.trim();
    assert_eq!(policy.len(), 36, "{policy}");
    for name in server.machines() {
        let path = format!("/Packer/vm/Packer/{name}");
        let attached = server.govc(&["tags.attached.ls", "-r", &path]);
        let mut attached: Vec<&str> = attached.lines().collect();
        attached.sort_unstable();
        assert_eq!(attached, ["platform", "web"], "{name}");
        let told = server.govc(&["vm.info", "-e", &name]);
        let noted = |key: &str| {
            told.lines()
                .any(|line| line.contains(key) && line.contains(policy))
        };
        assert!(noted("double.policy:"), "{told}");
        assert_eq!(
            noted("double.diskPolicies:"),
            name.contains("iso-base"),
            "{told}"
        );
    }
    server.is_tidy(&sandbox);
}

#[test]
fn addresses_of_items_and_tags_are_checked_with_the_file() {
    let text = "version = 1\n[machine]\nvsphere = { tags = [\"web\"] }\n[stages.iso-base]\niso = { url = \"library://images\", checksum = \"none\" }\nssh = { user = \"u\", agent = true }\n";
    let faults = Sandbox::new(text).forge(&["validate"]).exits(2);
    insta::assert_snapshot!(faults.stderr, @r#"
    warning: the ISO is not verified (`iso-base`)
     --> builds.toml:5:46
      |
    5 | iso = { url = "library://images", checksum = "none" }
      |                                              ^^^^^^

    error: `web` is no tag of a category
     --> builds.toml:3:20
      |
    3 | vsphere = { tags = ["web"] }
      |                    ^^^^^^^
      |
      = help: such as `team/platform`: the category, a slash, the tag

    error: `library://images` names no item of a content library
     --> builds.toml:5:15
      |
    5 | iso = { url = "library://images", checksum = "none" }
      |               ^^^^^^^^^^^^^^^^^^
      |
      = help: `library://LIBRARY/ITEM`, or `library://LIBRARY/ITEM/FILE.iso` where the item has several files

    2 errors in the project
    "#);
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
