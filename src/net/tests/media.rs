use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::super::{MediaContent, MediaServer};

#[tokio::test]
async fn files_are_served_and_unknown_paths_tell_the_known_ones() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("big"), vec![5; 200_000]).unwrap();
    let files = BTreeMap::from([
        (
            "ks.cfg".to_owned(),
            MediaContent::Bytes(b"install\n".to_vec()),
        ),
        ("/3/ks.json".to_owned(), MediaContent::Bytes(b"{}".to_vec())),
        ("big".to_owned(), MediaContent::File(dir.path().join("big"))),
        (
            "lost".to_owned(),
            MediaContent::File(dir.path().join("lost")),
        ),
    ]);
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&lines);
    let bind = "127.0.0.1:0".parse().unwrap();
    let server = MediaServer::start(bind, files, move |line| log.lock().unwrap().push(line))
        .await
        .unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let base = format!("http://127.0.0.1:{}", server.port());
    let get = async |path: &str| {
        let response = client.get(format!("{base}{path}")).send().await.unwrap();
        (
            response.status().as_u16(),
            response.bytes().await.unwrap().to_vec(),
        )
    };
    assert_eq!(get("//ks.cfg?x=1").await, (200, b"install\n".to_vec()));
    assert_eq!(get("/3/ks%2Ejson").await, (200, b"{}".to_vec()));
    assert_eq!(get("/big").await, (200, vec![5; 200_000]));
    assert_eq!(get("/lost").await.0, 500);
    let (status, body) = get("/ks.cgf").await;
    assert_eq!(status, 404);
    assert_eq!(
        body,
        b"no such file; there are: /3/ks.json, /big, /ks.cfg, /lost\n"
    );
    let head = client.head(format!("{base}/big")).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "200000");
    assert_eq!(
        client.post(&base).send().await.unwrap().status().as_u16(),
        405
    );
    let asked: Vec<(String, u16)> = server
        .requests()
        .borrow()
        .iter()
        .map(|request| (request.path.clone(), request.status))
        .collect();
    assert_eq!(asked[0], ("ks.cfg".to_owned(), 200));
    assert_eq!(asked[4], ("ks.cgf".to_owned(), 404));
    let lines = lines.lock().unwrap().clone();
    assert_eq!(lines[0], "127.0.0.1 asks for /ks.cfg: 8B");
    assert_eq!(
        lines[4],
        "127.0.0.1 asks for /ks.cgf: no such file; there are: /3/ks.json, /big, /ks.cfg, /lost"
    );
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let bind = "127.0.0.1:0".parse().unwrap();
    let server = MediaServer::start(bind, BTreeMap::new(), |_| {})
        .await
        .unwrap();
    let address = server.address();
    let mut requests = server.requests();
    drop(server);
    // the sender lives as long as the serving task
    while requests.changed().await.is_ok() {}
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
