//! Downloads of install media through the binary, from a server of the test's own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha2::Digest as _;

use super::support::Sandbox;

/// What the server has: 300 KiB that are no ISO.
fn content() -> Vec<u8> {
    (0..300_u32 << 10).map(|i| (i * 7 % 251) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A server with a few bad habits; it remembers what was asked of it.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // a client that goes away early is none of the server's business
                let _ = answer(stream, &seen);
            }
        });
        Self { port, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Output without the port, which changes.
    fn mask(&self, text: &str) -> String {
        text.replace(&format!(":{}", self.port), ":[PORT]")
    }
}

/// The path that is asked for, and from where on.
fn request(stream: &TcpStream) -> std::io::Result<(String, Option<usize>)> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut range = None;
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
        let lower = line.to_ascii_lowercase();
        if let Some(from) = lower.trim().strip_prefix("range: bytes=") {
            range = from.trim_end_matches('-').parse().ok();
        }
    }
    Ok((path, range))
}

fn answer(mut stream: TcpStream, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let (path, range) = request(&stream)?;
    let asked = range.map_or_else(|| path.clone(), |from| format!("{path} from {from}"));
    let earlier = seen
        .lock()
        .unwrap()
        .iter()
        .any(|old| old.starts_with(&path));
    seen.lock().unwrap().push(asked);
    let content = content();
    match path.as_str() {
        "/page.iso" => {
            let page = "<!doctype html><title>Please log in</title>";
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                page.len()
            )
        }
        "/good.iso" | "/cut.iso" => {
            let from = range.unwrap_or(0);
            let status = if range.is_some() {
                format!(
                    "206 Partial Content\r\nContent-Range: bytes {from}-{}/{}",
                    content.len() - 1,
                    content.len()
                )
            } else {
                "200 OK".to_owned()
            };
            let rest = &content[from..];
            write!(
                stream,
                "HTTP/1.1 {status}\r\nETag: \"one\"\r\nAccept-Ranges: bytes\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                rest.len()
            )?;
            let end = if path == "/cut.iso" && !earlier {
                rest.len() / 3
            } else {
                rest.len()
            };
            stream.write_all(&rest[..end])
        }
        _ => write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
    }
}

/// A project that installs from these addresses; a machine that starts gives up soon.
fn project(urls: &[String], checksum: &str) -> Sandbox {
    Sandbox::new(&format!(
        r#"
version = 1
[machine]
cpus = 1
memory = "128MiB"
disks = [{{ size = "64MiB" }}]
[stages.iso-base]
iso = {{ urls = {urls:?}, checksum = "{checksum}" }}
boot = {{ wait_text = "never on the screen", wait_timeout = "1s", keys = "<enter>" }}
ssh = {{ user = "root", password = "x", timeout = "1s" }}
"#
    ))
}

impl Server {
    fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }
}

#[test]
fn a_wrong_checksum_keeps_the_file_aside_and_tells_both_digests() {
    let server = Server::start();
    let wrong = "0".repeat(64);
    let sandbox = project(&[server.url("good.iso")], &format!("sha256:{wrong}"));
    let output = sandbox.forge(&["run", "iso-base"]).exits(1);
    insta::assert_snapshot!(server.mask(&output.all()), @r#"
    exit 1
    --- stdout
    forge | -- run [RUN] of iso-base: 1 stage
    iso-base | -- started: never built
    iso-base | -- fetching the iso
    iso-base | -- failed after [TIME]: cannot fetch `good.iso` from http://127.0.0.1:[PORT]/good.iso: the sha256 is 08bd0d2c3c803b495243770cd5068c1a95dfce1c12c60f43a9e57c7812c6419c, not 0000000000000000000000000000000000000000000000000000000000000000; the file is kept aside as [CACHE]/downloads/good.iso.bad

    failed iso-base: cannot fetch `good.iso` from http://127.0.0.1:[PORT]/good.iso: the sha256 is 08bd0d2c3c803b495243770cd5068c1a95dfce1c12c60f43a9e57c7812c6419c, not 0000000000000000000000000000000000000000000000000000000000000000; the file is kept aside as [CACHE]/downloads/good.iso.bad
      at          fetching the iso
      log         [ROOT]/.forge/logs/[RUN]/iso-base.log
      help        if the publisher has replaced the file, write the new checksum; else do not use it

    failed after [TIME]: 1 stage failed

      failed  iso-base
    --- stderr
    "#);
    let all = output.all();
    assert!(all.contains(&wrong) && all.contains(&sha256(&content())));
    let bad: Vec<_> = walkdir::WalkDir::new(sandbox.cache())
        .into_iter()
        .map(|e| e.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|e| e == "bad"))
        .collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert_eq!(std::fs::read(&bad[0]).unwrap(), content());
    let listed = sandbox.forge(&["cache", "ls"]).exits(0);
    assert!(
        !listed.stdout.contains(&sha256(&content())[..12]),
        "it is not used"
    );
}

#[test]
fn a_server_that_has_no_file_or_a_web_page() {
    let server = Server::start();
    let urls = [server.url("none.iso"), server.url("page.iso")];
    let sandbox = project(&urls, &format!("sha256:{}", sha256(&content())));
    let output = sandbox.forge(&["run", "iso-base"]).exits(1);
    insta::assert_snapshot!(server.mask(&output.all()), @r#"
    exit 1
    --- stdout
    forge | -- run [RUN] of iso-base: 1 stage
    iso-base | -- started: never built
    iso-base | -- fetching the iso
    iso-base | http://127.0.0.1:[PORT]/none.iso: the server answers 404 Not Found; trying the next mirror
    iso-base | -- failed after [TIME]: cannot fetch `none.iso` from any of 2 places:
    iso-base | --   http://127.0.0.1:[PORT]/none.iso: the server answers 404 Not Found
    iso-base | --   http://127.0.0.1:[PORT]/page.iso: the server sends a web page (HTML) instead of the file, titled `Please log in`

    failed iso-base: cannot fetch `none.iso` from any of 2 places:
        http://127.0.0.1:[PORT]/none.iso: the server answers 404 Not Found
        http://127.0.0.1:[PORT]/page.iso: the server sends a web page (HTML) instead of the file, titled `Please log in`
      at          fetching the iso
      | http://127.0.0.1:[PORT]/none.iso: the server answers 404 Not Found; trying the next mirror
      log         [ROOT]/.forge/logs/[RUN]/iso-base.log
      help        the file may have moved: look at the download page, or add a mirror to `urls`
      help        a login page, a proxy or a moved download often does that: open the address in a browser

    failed after [TIME]: 1 stage failed

      failed  iso-base
    --- stderr
    "#);
}

#[test]
fn a_missing_local_file_and_a_server_that_is_not_there() {
    let sandbox = project(
        &["none.iso".to_owned()],
        &format!("sha256:{}", "0".repeat(64)),
    );
    insta::assert_snapshot!(sandbox.forge(&["run", "iso-base"]).all(), @r#"
    exit 1
    --- stdout
    forge | -- run [RUN] of iso-base: 1 stage
    iso-base | -- started: never built
    iso-base | -- fetching the iso
    iso-base | -- failed after [TIME]: cannot fetch `none.iso` from [ROOT]/none.iso: [ROOT]/none.iso: No such file or directory (os error 2)

    failed iso-base: cannot fetch `none.iso` from [ROOT]/none.iso: [ROOT]/none.iso: No such file or directory (os error 2)
      at          fetching the iso
      log         [ROOT]/.forge/logs/[RUN]/iso-base.log

    failed after [TIME]: 1 stage failed

      failed  iso-base
    --- stderr
    "#);
    // a port that was free a moment ago
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let sandbox = project(
        &[format!("http://127.0.0.1:{port}/a.iso")],
        &format!("sha256:{}", "0".repeat(64)),
    );
    let output = sandbox.forge(&["run", "iso-base"]).exits(3);
    assert!(
        output.stdout.contains("cannot be reached"),
        "{}",
        output.all()
    );
}

#[test]
fn a_download_cut_in_the_middle_goes_on_where_it_was() {
    let server = Server::start();
    let sum = format!("sha256:{}", sha256(&content()));
    let sandbox = project(&[server.url("cut.iso")], &sum);
    let output = sandbox.forge(&["run", "iso-base"]);
    assert_eq!(
        server.requests(),
        ["/cut.iso", "/cut.iso from 102400"],
        "{}",
        output.all()
    );
    assert!(
        output.stdout.contains("-- starting the machine"),
        "the machine started with it:\n{}",
        output.all()
    );
    let _ = output.exits(1);
    // what has been downloaded once is not downloaded again, whatever its address
    let text = sandbox.read("builds.toml");
    sandbox.write("builds.toml", &text.replace("cut.iso", "elsewhere.iso"));
    let _ = sandbox.forge(&["run", "iso-base"]).exits(1);
    assert_eq!(server.requests().len(), 2);
    let _ = sandbox.forge(&["cache", "verify"]).exits(0);
}

#[test]
fn without_qemu_nothing_is_downloaded() {
    let server = Server::start();
    let sandbox = project(
        &[server.url("good.iso")],
        &format!("sha256:{}", sha256(&content())),
    )
    .env("PATH", "/nowhere");
    let output = sandbox.forge(&["run", "iso-base"]).exits(3);
    insta::assert_snapshot!(server.mask(&output.all()), @r#"
    exit 3
    --- stdout
    forge | -- run [RUN] of iso-base: 1 stage
    iso-base | -- started: never built
    iso-base | -- failed after [TIME]: `qemu-system-x86_64` is not on the search path

    failed iso-base: `qemu-system-x86_64` is not on the search path
      log         [ROOT]/.forge/logs/[RUN]/iso-base.log
      help        install it: `apt install qemu-system-x86 qemu-utils ovmf` (Debian, Ubuntu), `dnf install qemu-kvm qemu-img edk2-ovmf` (Fedora, RHEL), `brew install qemu` (macOS)

    failed after [TIME]: 1 stage failed

      failed  iso-base
    --- stderr
    "#);
    assert!(server.requests().is_empty(), "the host is looked at first");
}
