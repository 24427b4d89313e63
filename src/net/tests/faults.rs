use super::server::{Reply, Server};
use super::*;

#[tokio::test]
async fn a_cut_connection_is_taken_up_where_it_broke() {
    let bench = Bench::new();
    let body = content(500_000);
    let served = body.clone();
    let server = Server::start(move |number, asked| {
        let reply = Reply::ranged(asked, &served, "\"1\"");
        if number < 8 { reply.cut(50_000) } else { reply }
    })
    .await;
    let fetched = bench
        .fetch(&[&server.url("x.iso")], &sha256(&body))
        .await
        .unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), body);
    let asked = server.asked();
    assert_eq!(asked.len(), 9);
    assert_eq!(asked[8].header("range").as_deref(), Some("bytes=400000-"));
    assert!(
        bench
            .notices()
            .starts_with("the connection breaks off after 48.8KiB of 488.3KiB ("),
        "{}",
        bench.notices()
    );
}

#[tokio::test]
async fn a_connection_that_breaks_forever_is_given_up_and_kept() {
    let bench = Bench::new();
    let body = content(1000);
    let served = body.clone();
    let server = Server::start(move |number, asked| {
        Reply::ranged(asked, &served, "\"1\"").cut(if number == 0 { 600 } else { 0 })
    })
    .await;
    let error = bench
        .fetch(&[&server.url("x.iso")], &sha256(&body))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the connection breaks off after 600B of 1000B ("),
        "{error}"
    );
    assert!(error.environment());
    assert_eq!(server.asked().len(), 6);
    assert_eq!(bench.left().len(), 2);
}

#[tokio::test]
async fn a_server_that_ignores_ranges_starts_again() {
    let bench = Bench::new();
    let body = content(100_000);
    let served = body.clone();
    let server = Server::start(move |number, _| {
        let reply = Reply::new("200 OK", &served).header("etag", "\"1\"");
        if number == 0 {
            reply.cut(60_000)
        } else {
            reply
        }
    })
    .await;
    let fetched = bench
        .fetch(&[&server.url("x.iso")], &sha256(&body))
        .await
        .unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), body);
    assert!(
        bench
            .notices()
            .ends_with("the server sends the whole file; starting from the beginning")
    );
}

#[tokio::test]
async fn a_changed_file_is_not_mixed_with_the_old_one() {
    let bench = Bench::new();
    let (old, new) = (content(100_000), vec![7; 90_000]);
    let (first, second) = (old.clone(), new.clone());
    // the first server heeds If-Range, the second one only tells its new tag
    let heeding = Server::start(move |number, asked| match number {
        0 => Reply::ranged(asked, &first, "\"1\"").cut(60_000),
        _ => Reply::ranged(asked, &second, "\"2\""),
    })
    .await;
    let fetched = bench.fetch(&[&heeding.url("x.iso")], "none").await.unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), new);
    let second = new.clone();
    let careless = Server::start(move |number, asked| match number {
        0 => Reply::ranged(asked, &old, "\"1\"").cut(60_000),
        1 => Reply::new("206 Partial Content", &second[60_000..])
            .header("content-range", "bytes 60000-89999/90000")
            .header("etag", "\"2\""),
        _ => Reply::ranged(asked, &second, "\"2\""),
    })
    .await;
    let fetched = bench
        .fetch(&[&careless.url("x.iso")], "none")
        .await
        .unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), new);
    assert!(
        bench
            .notices()
            .ends_with("the server has another version by now; starting from the beginning")
    );
}

#[tokio::test]
async fn without_any_mark_nothing_is_resumed() {
    let bench = Bench::new();
    let body = content(10_000);
    let served = body.clone();
    let server = Server::start(move |number, _| {
        let reply = Reply::new("200 OK", &served);
        if number == 0 { reply.cut(5_000) } else { reply }
    })
    .await;
    let fetched = bench.fetch(&[&server.url("x.iso")], "none").await.unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), body);
    assert_eq!(server.asked()[1].header("range"), None);
}

#[tokio::test]
async fn a_damaged_part_from_before_is_fetched_anew() {
    let bench = Bench::new();
    let body = content(10_000);
    let served = body.clone();
    let server = Server::start(move |_, asked| Reply::ranged(asked, &served, "\"1\"")).await;
    std::fs::create_dir_all(bench.downloads()).unwrap();
    let key = format!("sha256-{}", Digest::of(&body));
    for len in [4_000, 20_000] {
        std::fs::write(bench.downloads().join(format!("{key}.part")), vec![0; len]).unwrap();
        let fetched = bench
            .fetch(&[&server.url("x.iso")], &sha256(&body))
            .await
            .unwrap();
        assert_eq!(std::fs::read(fetched.path).unwrap(), body);
    }
    assert!(
        bench
            .notices()
            .contains("its parts do not fit together; starting from the beginning")
    );
    assert!(
        bench.notices().contains(
            "the server's file is shorter than what is here; starting from the beginning"
        )
    );
}

#[tokio::test]
async fn a_finished_part_needs_no_network() {
    let bench = Bench::new();
    let body = content(10_000);
    let served = body.clone();
    let server = Server::start(move |_, asked| Reply::ranged(asked, &served, "\"1\"")).await;
    let url = server.url("x.iso");
    drop(bench.fetch(&[&url], &sha256(&body)).await.unwrap());
    bench.fetch(&[&url], &sha256(&body)).await.unwrap();
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_wrong_checksum_keeps_the_file_aside() {
    let bench = Bench::new();
    let server = Server::start(|_, _| Reply::new("200 OK", b"wrong")).await;
    let url = server.url("x.iso");
    let error = bench.fetch(&[&url], &sha256(b"right")).await.unwrap_err();
    let bad = bench.downloads().join("x.iso.bad");
    assert_eq!(
        error.to_string(),
        format!(
            "cannot fetch `x.iso` from {url}: the sha256 is {}, not {}; the file is kept aside as {}",
            Digest::of(b"wrong"),
            Digest::of(b"right"),
            bad.display()
        )
    );
    assert_eq!(
        error.help(),
        ["if the publisher has replaced the file, write the new checksum; else do not use it"]
    );
    assert!(!error.environment());
    assert_eq!(std::fs::read(bad).unwrap(), b"wrong");
    assert_eq!(bench.left(), ["x.iso.bad"]);
}

#[tokio::test]
async fn mirrors_are_tried_in_order_and_all_errors_told() {
    let bench = Bench::new();
    let server = Server::start(|_, asked| match asked.path.as_str() {
        "/good/x.iso" => Reply::new("200 OK", b"iso"),
        "/html/x.iso" => Reply::new(
            "200 OK",
            b"\n<html><head><title>Log in\n please</title></head></html>",
        ),
        "/typed/x.iso" => {
            Reply::new("200 OK", b"<p>hello</p>").header("content-type", "text/html; charset=utf-8")
        }
        "/busy/x.iso" => Reply::new("503 Service Unavailable", b""),
        _ => Reply::new("404 Not Found", b""),
    })
    .await;
    let place = |name: &str| server.url(&format!("{name}/x.iso"));
    let secret = place("gone").replace("http://", "http://me:geheim@");
    let bad = [
        secret.as_str(),
        &place("html"),
        &place("typed"),
        &place("busy"),
        "ftp://host/x.iso",
    ];
    let error = bench.fetch(&bad, &sha256(b"iso")).await.unwrap_err();
    let expected = format!(
        "cannot fetch `x.iso` from any of 5 places:\n  {}: the server answers 404 Not Found\n  {}: the server sends a web \
         page (HTML) instead of the file, titled `Log in please`\n  {}: the server sends a web page (HTML) instead of the \
         file\n  {}: the server answers 503 Service Unavailable\n  ftp://host/x.iso: `ftp://` is not supported; http, \
         https, file and plain paths are",
        place("gone").replace("http://", "http://me:***@"),
        place("html"),
        place("typed"),
        place("busy")
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(bench.left(), Vec::<String>::new());
    let asked: Vec<String> = server.asked().into_iter().map(|a| a.path).collect();
    assert_eq!(
        asked.iter().filter(|path| *path == "/busy/x.iso").count(),
        3
    );
    let fetched = bench
        .fetch(&[bad[0], &place("good")], &sha256(b"iso"))
        .await
        .unwrap();
    assert_eq!(fetched.from, place("good"));
    assert!(
        bench
            .notices()
            .ends_with("the server answers 404 Not Found; trying the next mirror")
    );
    assert!(!bench.notices().contains("geheim"));
}

#[tokio::test]
async fn another_mirror_goes_on_where_the_first_one_died() {
    let bench = Bench::new();
    let body = content(10_000);
    let served = body.clone();
    let server = Server::start(move |number, asked| match (number, asked.path.as_str()) {
        (0, _) => Reply::ranged(asked, &served, "\"1\"").cut(7_000),
        (_, "/a") => Reply::new("404 Not Found", b""),
        _ => Reply::ranged(asked, &served, "\"other\""),
    })
    .await;
    bench
        .fetch(&[&server.url("a"), &server.url("b")], &sha256(&body))
        .await
        .unwrap();
    let last = server.asked().pop().unwrap();
    assert_eq!(
        (last.path.as_str(), last.header("range").as_deref()),
        ("/b", Some("bytes=7000-"))
    );
    assert_eq!(last.header("if-range"), None);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let mut bench = Bench::new();
    bench.settings.patience = Duration::from_millis(30);
    let server = Server::start(|_, asked| {
        let mut reply = Reply::ranged(asked, &[1; 1000], "\"1\"").cut(10);
        reply.hang = true;
        reply
    })
    .await;
    let error = bench
        .fetch(&[&server.url("x.iso")], &sha256(b"x"))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("nothing came for 30ms, after "), "{error}");
}

#[tokio::test]
async fn an_unreachable_server_is_the_environments_fault() {
    let bench = Bench::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = bench
        .fetch(&[&format!("http://127.0.0.1:{port}/x.iso")], "none")
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the server cannot be reached: Connection refused (os error 111)"),
        "{error}"
    );
    assert_eq!(
        error.help(),
        ["check the network; behind a proxy, set HTTPS_PROXY and HTTP_PROXY"]
    );
    assert!(error.environment());
    // told after each try but the last one
    assert_eq!(bench.notices().matches("trying again").count(), 2);
    let nothing = bench.fetch(&[], "none").await.unwrap_err();
    assert_eq!(nothing.to_string(), "there is no address to fetch from");
}

#[tokio::test]
async fn a_chunked_body_without_length_is_whole_or_cut() {
    let bench = Bench::new();
    let server = Server::start(|number, _| {
        let body: &[u8] = if number == 0 {
            b"3\r\nabc\r\n"
        } else {
            b"3\r\nabc\r\n0\r\n\r\n"
        };
        Reply::new("200 OK", body).header("transfer-encoding", "chunked")
    })
    .await;
    let fetched = bench.fetch(&[&server.url("x.iso")], "none").await.unwrap();
    assert_eq!(std::fs::read(&fetched.path).unwrap(), b"abc");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn too_little_space_is_told_before_anything_is_fetched() {
    let mut bench = Bench::new();
    bench.settings.free_space = |_| Ok(1 << 20);
    let server = Server::start(|_, asked| Reply::ranged(asked, &[0; 3 << 20], "\"1\"")).await;
    let error = bench
        .fetch(
            &[&server.url("x.iso"), "http://never.invalid/x.iso"],
            "none",
        )
        .await
        .unwrap_err();
    let dir = bench.downloads();
    assert_eq!(
        error.to_string(),
        format!("no space left in {}: 2MiB more needed", dir.display())
    );
    assert!(error.help()[0].contains("forge cache gc"));
    assert!(error.environment());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_fills_up_is_told() {
    let bench = Bench::new();
    let server = Server::start(|_, asked| Reply::ranged(asked, &[0; 3 << 20], "\"1\"")).await;
    std::fs::create_dir_all(bench.downloads()).unwrap();
    let sum = sha256(b"x");
    // a device that is always full
    let part = bench
        .downloads()
        .join(format!("{}.part", sum.replace(':', "-")));
    std::os::unix::fs::symlink("/dev/full", part).unwrap();
    let error = bench
        .fetch(&[&server.url("x.iso")], &sum)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("no space left in ") && error.ends_with("3MiB more needed"),
        "{error}"
    );
}

#[test]
fn a_refused_certificate_is_told_as_such() {
    let why = "invalid peer certificate: UnknownIssuer".to_owned();
    let error = super::super::transfer::unreachable(why);
    assert_eq!(
        error.to_string(),
        "the server's certificate is not trusted: invalid peer certificate: UnknownIssuer"
    );
    let attempts = vec![super::super::Attempt {
        from: "https://host/x.iso".into(),
        error,
    }];
    let failed = FetchError::Failed {
        name: "x.iso".into(),
        attempts,
    };
    assert!(failed.environment());
    assert!(failed.help()[0].contains("SSL_CERT_FILE"));
}
