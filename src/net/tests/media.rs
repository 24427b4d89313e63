use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::super::{Heard, MediaContent, MediaServer};

/// A server whose ear writes down what it hears.
async fn listening() -> (MediaServer, Arc<Mutex<Vec<String>>>) {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&lines);
    let bind = "127.0.0.1:0".parse().unwrap();
    let server = MediaServer::start(bind, move |what, _| {
        heard.lock().unwrap().push(match what {
            Heard::Request(request) => {
                format!("{} {} {}", request.path, request.status, request.detail)
            }
            Heard::Report(report) => format!("report {}: {}", report.name, report.message),
        });
    });
    (server.await.unwrap(), lines)
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn files_are_served_and_unknown_paths_tell_the_known_ones() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("big"), vec![5; 200_000]).unwrap();
    let (server, lines) = listening().await;
    server.serve(BTreeMap::from([
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
    ]));
    let client = client();
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
    assert_eq!(body, b"there are: /3/ks.json, /big, /ks.cfg, /lost\n");
    let head = client.head(format!("{base}/big")).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "200000");
    assert_eq!(
        client.post(&base).send().await.unwrap().status().as_u16(),
        405
    );
    let asked: Vec<(String, u16)> = server
        .hearing()
        .borrow()
        .requests
        .iter()
        .map(|request| (request.path.clone(), request.status))
        .collect();
    assert_eq!(asked[0], ("ks.cfg".to_owned(), 200));
    assert_eq!(asked[4], ("ks.cgf".to_owned(), 404));
    let lines = lines.lock().unwrap().clone();
    assert_eq!(lines[0], "ks.cfg 200 ");
    assert_eq!(
        lines[4],
        "ks.cgf 404 there are: /3/ks.json, /big, /ks.cfg, /lost"
    );
}

#[tokio::test]
async fn reports_are_heard_from_whoever_knows_the_url_and_from_nobody_else() {
    let (server, lines) = listening().await;
    let client = client();
    let base = format!("http://127.0.0.1:{}", server.port());
    let url = format!("{base}{}", server.report_path());
    assert_eq!(server.report_path().len(), "/report/".len() + 32);
    let mut hearing = server.hearing();

    let answer = client.get(format!("{url}/post-started")).send().await;
    assert_eq!(answer.unwrap().text().await.unwrap(), "ok\n");
    let _ = client.post(&url).body("three\nlines\nhere").send().await;
    let strange = client.get(format!("{base}/report/0000/fail")).send().await;
    assert_eq!(strange.unwrap().status().as_u16(), 404);
    let near = client.get(format!("{url}x/fail")).send().await;
    assert_eq!(near.unwrap().status().as_u16(), 404);
    assert_eq!(hearing.borrow_and_update().failure(), None);

    let _ = client
        .get(format!("{url}/fail?message=no+disk"))
        .send()
        .await;
    let failed = hearing.wait_for(|heard| heard.failure().is_some()).await;
    assert_eq!(failed.unwrap().failure().as_deref(), Some("no disk"));
    let lines = lines.lock().unwrap().clone();
    assert_eq!(lines[0], "report post-started: ");
    assert_eq!(lines[1], "report : three\nlines\nhere");
    assert_eq!(lines[2], "report/0000/fail 404 there are no files");
    assert_eq!(lines[4], "report fail: no disk");
}

#[tokio::test]
async fn a_flood_of_reports_ends_and_a_failure_still_gets_through() {
    let (server, lines) = listening().await;
    let client = client();
    let base = format!("http://127.0.0.1:{}", server.port());
    let url = format!("{base}{}", server.report_path());
    let get = async |what: &str| {
        let answer = client.get(format!("{url}/{what}")).send().await;
        answer.unwrap().status().as_u16()
    };
    for _ in 0..1000 {
        assert_eq!(get("again").await, 200);
    }
    assert_eq!(get("again").await, 429);
    assert_eq!(get("fail").await, 200);
    assert_eq!(lines.lock().unwrap().len(), 1001);
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let (server, _) = listening().await;
    let address = server.address();
    let mut hearing = server.hearing();
    drop(server);
    // the sender lives as long as the serving task
    while hearing.changed().await.is_ok() {}
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
