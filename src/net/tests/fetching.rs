use super::super::{Place, known};
use super::server::{Reply, Server};
use super::*;

#[tokio::test]
async fn a_download_is_verified_and_known_afterwards() {
    let bench = Bench::new();
    let body = content(300_000);
    let served = body.clone();
    let server = Server::start(move |_, asked| Reply::ranged(asked, &served, "\"1\"")).await;
    let sum = sha256(&body);
    let fetched = bench.fetch(&[&server.url("d/x.iso")], &sum).await.unwrap();
    assert_eq!(std::fs::read(&fetched.path).unwrap(), body);
    assert_eq!(
        (fetched.digest, fetched.place),
        (Digest::of(&body), Place::Downloaded)
    );
    assert_eq!(fetched.from, server.url("d/x.iso"));
    assert_eq!(
        bench.progress.lock().unwrap().last(),
        Some(&(300_000, Some(300_000)))
    );
    assert_eq!(bench.left().len(), 2);
    bench.store(&fetched);
    drop(fetched);
    assert_eq!(bench.left(), Vec::<String>::new());
    let again = bench
        .fetch(&["http://other.invalid/renamed.iso"], &sum)
        .await
        .unwrap();
    assert_eq!((again.place, again.size.bytes()), (Place::Stored, 300_000));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn other_checksums_are_known_once_fetched() {
    let bench = Bench::new();
    let server = Server::start(|_, asked| Reply::ranged(asked, b"abc", "\"1\"")).await;
    let cache = bench.root().join("cache");
    for sum in [
        "md5:900150983cd24fb0d6963f7d28e17f72",
        "a9993e364706816aba3e25717850c26c9cd0d89d",
        "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
         2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ] {
        let checksum = Checksum::parse(sum).unwrap();
        assert_eq!(known(&cache, &checksum), None);
        bench.fetch(&[&server.url("x")], sum).await.unwrap();
        assert_eq!(known(&cache, &checksum), Some(Digest::of(b"abc")));
    }
    let sum = Checksum::parse(&sha256(b"abc")).unwrap();
    assert_eq!(known(&cache, &sum), Some(Digest::of(b"abc")));
    assert_eq!(known(&cache, &Checksum::None), None);
}

#[tokio::test]
async fn local_files_are_used_where_they_lie() {
    let bench = Bench::new();
    std::fs::create_dir(bench.root().join("iso")).unwrap();
    let path = bench.root().join("iso/a b.iso");
    std::fs::write(&path, b"local").unwrap();
    let url = format!("file://{}", path.display()).replace(' ', "%20");
    for address in ["iso/a b.iso", url.as_str(), path.to_str().unwrap()] {
        let fetched = bench.fetch(&[address], &sha256(b"local")).await.unwrap();
        assert_eq!(
            (fetched.path.as_path(), fetched.place),
            (path.as_path(), Place::Local)
        );
        assert_eq!(
            (fetched.digest, fetched.size.bytes()),
            (Digest::of(b"local"), 5)
        );
    }
    assert_eq!(bench.left(), Vec::<String>::new());
    let error = bench
        .fetch(&["iso/a b.iso"], &sha256(b"other"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with(&format!(
            "the sha256 is {}, not {}",
            Digest::of(b"local"),
            Digest::of(b"other")
        )),
        "{error}"
    );
    assert!(path.exists());
    let error = bench.fetch(&["iso"], "none").await.unwrap_err().to_string();
    assert!(error.ends_with("iso is not a file"), "{error}");
    let error = bench
        .fetch(&["nowhere.iso"], "none")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("No such file or directory (os error 2)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_checksum_comes_from_a_list_beside_the_file() {
    let bench = Bench::new();
    let list = format!(
        "# list\n{}  other.iso\nSHA256 (x-1.2.iso) = {}\n",
        "0".repeat(64),
        Digest::of(b"iso")
    );
    let served = list.clone();
    let server = Server::start(move |_, asked| match asked.path.as_str() {
        "/SUMS" => Reply::new("200 OK", served.as_bytes()),
        "/x-1.2.iso" => Reply::new("200 OK", b"iso"),
        _ => Reply::new("404 Not Found", b""),
    })
    .await;
    std::fs::write(bench.root().join("SUMS"), list).unwrap();
    for list in [server.url("SUMS"), "SUMS".to_owned()] {
        let fetched = bench
            .fetch(&[&server.url("x-1.2.iso")], &format!("file:{list}"))
            .await
            .unwrap();
        assert_eq!(fetched.digest, Digest::of(b"iso"));
    }
}

#[tokio::test]
async fn a_list_that_does_not_help_is_told() {
    let bench = Bench::new();
    let server = Server::start(|_, asked| match asked.path.as_str() {
        "/page" => Reply::new("200 OK", b"<!DOCTYPE html><title>Moved</title>"),
        _ => Reply::new("404 Not Found", b""),
    })
    .await;
    std::fs::write(
        bench.root().join("SUMS"),
        format!("{}  x-1.2.iso\n", "0".repeat(64)),
    )
    .unwrap();
    let missing = bench
        .fetch(&[&server.url("x-1.3.iso")], "file:SUMS")
        .await
        .unwrap_err();
    assert_eq!(
        missing.to_string(),
        "`x-1.3.iso` is not in the list of checksums `SUMS`"
    );
    assert_eq!(missing.help(), ["it names `x-1.2.iso`"]);
    let html = bench
        .fetch(
            &[&server.url("x-1.2.iso")],
            &format!("file:{}", server.url("page")),
        )
        .await
        .unwrap_err();
    assert!(
        html.to_string()
            .ends_with("the server sends a web page (HTML) instead of the file, titled `Moved`")
    );
    let gone = bench
        .fetch(&["x"], &format!("file:{}", server.url("gone")))
        .await
        .unwrap_err();
    assert!(
        gone.to_string()
            .ends_with("/gone` cannot be read: the server answers 404 Not Found"),
        "{gone}"
    );
    std::fs::write(bench.root().join("EMPTY"), "").unwrap();
    let empty = bench.fetch(&["x"], "file:EMPTY").await.unwrap_err();
    assert_eq!(
        empty.help(),
        ["it has no line of the form `DIGEST  NAME` or `SHA256 (NAME) = DIGEST`"]
    );
    std::fs::write(
        bench.root().join("TWICE"),
        format!("{0}  x\n{1}  x\n", "0".repeat(64), "1".repeat(64)),
    )
    .unwrap();
    let twice = bench.fetch(&["x"], "file:TWICE").await.unwrap_err();
    assert_eq!(
        twice.to_string(),
        "the list of checksums `TWICE` has several digests for `x`"
    );
}

#[tokio::test]
async fn a_list_with_a_weak_digest_only_is_told() {
    let bench = Bench::new();
    std::fs::write(bench.root().join("x"), b"abc").unwrap();
    std::fs::write(
        bench.root().join("SUMS"),
        "900150983cd24fb0d6963f7d28e17f72 *x\n",
    )
    .unwrap();
    bench.fetch(&["x"], "file:SUMS").await.unwrap();
    assert_eq!(bench.notices(), "SUMS has only md5, which can be forged");
}

#[tokio::test]
async fn without_a_checksum_the_server_is_asked_whether_it_changed() {
    let bench = Bench::new();
    let server =
        Server::start(
            |number, asked| match (number, asked.header("if-none-match").as_deref()) {
                (0, None) => Reply::new("200 OK", b"one").header("etag", "\"1\""),
                (1, Some("\"1\"")) => Reply::new("304 Not Modified", b""),
                (2, Some("\"1\"")) => Reply::new("200 OK", b"two").header("etag", "\"2\""),
                other => panic!("{other:?}"),
            },
        )
        .await;
    let url = server.url("x.iso");
    bench.store(&bench.fetch(&[&url], "none").await.unwrap());
    let same = bench.fetch(&[&url], "none").await.unwrap();
    assert_eq!(
        (same.place, same.digest),
        (Place::Stored, Digest::of(b"one"))
    );
    let new = bench.fetch(&[&url], "none").await.unwrap();
    assert_eq!(
        (new.place, new.digest),
        (Place::Downloaded, Digest::of(b"two"))
    );
}

#[tokio::test]
async fn two_at_once_fetch_once() {
    let bench = Bench::new();
    let body = content(100_000);
    let served = body.clone();
    let server = Server::start(move |_, asked| Reply::ranged(asked, &served, "\"1\"")).await;
    let (url, sum) = (server.url("x.iso"), sha256(&body));
    let urls = [url.as_str()];
    let one = async {
        let fetched = bench.fetch(&[&url], &sum).await.unwrap();
        while bench.notices().is_empty() {
            tokio::task::yield_now().await;
        }
        bench.store(&fetched);
    };
    let (_, two) = tokio::join!(one, bench.fetch(&urls, &sum));
    assert_eq!(two.unwrap().place, Place::Stored);
    assert_eq!(server.asked().len(), 1);
    let told = bench.notices();
    let expected = format!(
        "waiting for process {} (forge fetching x.iso), which fetches the same file",
        std::process::id()
    );
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_cancelled_download_keeps_what_it_has() {
    let bench = Bench::new();
    let body = content(200_000);
    let served = body.clone();
    let cancel = bench.cancel.clone();
    let server = Server::start(move |number, asked| {
        let mut reply = Reply::ranged(asked, &served, "\"1\"");
        if number == 0 {
            reply.cut = Some(150_000);
            reply.hang = true;
        }
        reply
    })
    .await;
    let (url, sum) = (server.url("x.iso"), sha256(&body));
    let urls = [url.as_str()];
    let stop = async {
        while bench
            .progress
            .lock()
            .unwrap()
            .last()
            .is_none_or(|(done, _)| *done < 150_000)
        {
            tokio::task::yield_now().await;
        }
        cancel.cancel(crate::sys::CancelKind::Graceful);
    };
    let (first, ()) = tokio::join!(bench.fetch(&urls, &sum), stop);
    assert_eq!(first.unwrap_err().to_string(), "interrupted");
    let bench = Bench {
        cancel: Cancel::new(),
        ..bench
    };
    bench.fetch(&[&url], &sum).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[1].header("if-range").as_deref(), Some("\"1\""));
    assert_eq!(asked[1].header("range").as_deref(), Some("bytes=150000-"));
}
