use crate::model::Secret;
use crate::vim::tls::{Thumbprint, shown};
use crate::vim::{DatastorePath, Endpoint, Trust};

fn base(server: &str) -> Result<String, String> {
    let endpoint = Endpoint {
        server: server.into(),
        username: "u".into(),
        password: Secret::new("p"),
        trust: Trust::Verify,
        ca_file: None,
    };
    endpoint.base().map(String::from).map_err(|e| e.to_string())
}

#[test]
fn a_server_is_a_host_or_its_address() {
    for (server, expected) in [
        ("vc.example.org", "https://vc.example.org/"),
        ("vc.example.org:8443", "https://vc.example.org:8443/"),
        ("https://vc.example.org/sdk", "https://vc.example.org/"),
        ("HTTPS://vc:443/", "https://vc/"),
        ("10.0.0.1", "https://10.0.0.1/"),
        ("fd00::1", "https://[fd00::1]/"),
        ("[fd00::1]:444", "https://[fd00::1]:444/"),
    ] {
        assert_eq!(base(server).as_deref(), Ok(expected), "{server}");
    }
}

#[test]
fn what_is_no_server_is_refused_without_telling_secrets() {
    assert!(
        base("http://vc")
            .unwrap_err()
            .contains("`http://` is not supported")
    );
    assert!(base("").is_err());
    assert!(base("vc/other").unwrap_err().contains("`/other`"));
    let error = base("https://root:hunter2@vc").unwrap_err();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn thumbprints_are_read_with_and_without_colons() {
    assert!(
        matches!(Thumbprint::parse(&"ab:".repeat(20)), Some(Thumbprint::Sha1(d)) if d == [0xab; 20])
    );
    assert!(
        matches!(Thumbprint::parse(&"0F".repeat(32)), Some(Thumbprint::Sha256(d)) if d == [15; 32])
    );
    for wrong in ["", "abc", &"zz".repeat(20), &"ab".repeat(21)] {
        assert_eq!(Thumbprint::parse(wrong), None, "{wrong}");
    }
    let shown = shown(b"");
    assert!(shown.starts_with("E3:B0:C4:42:98"), "{shown}");
    assert_eq!(shown.len(), 95);
    assert!(Thumbprint::parse(&shown).is_some());
}

#[test]
fn datastore_paths() {
    let path = DatastorePath::parse("[my ds] a//b c/d.iso").unwrap();
    assert_eq!(
        (path.datastore.as_str(), path.path.as_str()),
        ("my ds", "a/b c/d.iso")
    );
    assert_eq!(path.to_string(), "[my ds] a/b c/d.iso");
    let (folder, name) = path.split().unwrap();
    assert_eq!(
        (folder.to_string().as_str(), name),
        ("[my ds] a/b c", "d.iso")
    );
    let root = DatastorePath::new("ds", "/");
    assert_eq!(root.to_string(), "[ds]");
    assert!(root.split().is_none());
    assert_eq!(root.join("x").to_string(), "[ds] x");
    assert_eq!(DatastorePath::parse("no"), None);
}
