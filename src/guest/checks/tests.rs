//! Checks against this machine, through a real SSH server; both answers of every attribute.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::config::checks::parse_gossfile;
use crate::guest::tests::sshd::{Sshd, user};
use crate::sys::CancelKind;

async fn guest(sshd: &Sshd) -> Guest {
    let deadline = Instant::now() + Duration::from_secs(20);
    Guest::connect(&sshd.target(), deadline, &Cancel::new(), &|_| {})
        .await
        .unwrap()
}

/// The results as `subject outcome`, with what was found if it is no pass.
async fn results(guest: &Guest, gossfile: &str) -> Vec<String> {
    let set = parse_gossfile("g", gossfile).unwrap_or_else(|e| panic!("{e:?}"));
    let report = run(guest, &set, &Cancel::new()).await.unwrap();
    let show = |r: &CheckResult| {
        let name = r.name.rsplit('/').next().unwrap_or_default();
        let head = format!("{name} {} {}", r.property, r.outcome.as_str());
        match r.outcome {
            Outcome::Pass | Outcome::Skip => head,
            Outcome::Fail | Outcome::Error => format!("{head}: {}", r.found),
        }
    };
    report.results.iter().map(show).collect()
}

fn all_pass(results: &[String]) {
    let others: Vec<_> = results.iter().filter(|r| !r.ends_with(" pass")).collect();
    assert!(others.is_empty() && !results.is_empty(), "{others:#?}");
}

fn sample(dir: &std::path::Path) {
    std::fs::write(dir.join("it's"), "one\ntwo\n").unwrap();
    std::fs::set_permissions(dir.join("it's"), Permissions::from_mode(0o640)).unwrap();
    symlink("it's", dir.join("link")).unwrap();
}

#[tokio::test]
async fn files() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let dir = sshd.dir.path();
    sample(dir);
    let at = dir.display();
    let owner = user();
    all_pass(
        &results(
            &guest,
            &format!(
                r#"
file:
  "{at}/it's":
    exists: true
    mode: "0640"
    size: 8
    owner: {owner}
    uid: {{ge: 0}}
    gid: {{ge: 0}}
    group: {{not: nobody}}
    filetype: file
    contents: [two, "!three", "/^o.e$/"]
    md5: 2094b601daac3d68f5aed51d3c20f7cd
    sha256: c3f9c8c283a2b1f2f1896f27a01cbe3cddc0c9d93f752e4639035a0f5b36f6e8
  {at}/link: {{exists: true, filetype: symlink, linked-to: "it's", contents: "one\ntwo\n"}}
  {at}: {{exists: true, filetype: directory}}
  ~: {{exists: true, filetype: directory}}
  /dev/null: {{exists: true, filetype: character-device}}
  {at}/none: {{exists: false, mode: "0644"}}
"#
            ),
        )
        .await
        .into_iter()
        .filter(|line| line != "none mode skip")
        .collect::<Vec<_>>(),
    );
}

#[tokio::test]
async fn files_that_are_otherwise() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let dir = sshd.dir.path();
    sample(dir);
    let at = dir.display();
    let owner = user();
    let wrong = format!(
        r#"
file:
  "{at}/it's": {{exists: true, mode: "0644", size: {{lt: 8}}, owner: nobody, filetype: pipe, linked-to: x, contents: [three],
    sha512: "{:0128}"}}
  {at}/none: {{exists: true, contents: [x]}}
  {at}: {{exists: true, contents: [x]}}
  {at}/link: {{exists: false}}
"#,
        0
    );
    let got = results(&guest, &wrong).await;
    let expected = [
        "it's exists pass".to_owned(),
        "it's mode fail: \"0640\"".to_owned(),
        "it's size fail: 8".to_owned(),
        format!("it's owner fail: {owner:?}"),
        "it's filetype fail: \"file\"".to_owned(),
        "it's linked-to error: it is no link".to_owned(),
        "it's contents fail: not met: `three`, in \"one\\ntwo\\n\"".to_owned(),
    ];
    assert_eq!(got[..7], expected);
    assert!(got[7].starts_with("it's sha512 fail: \""));
    let dir_name = dir.file_name().unwrap().to_string_lossy();
    let expected = [
        "none exists fail: false".to_owned(),
        "none contents skip".to_owned(),
        format!("{dir_name} exists pass"),
        format!("{dir_name} contents error: it cannot be read"),
        "link exists fail: true".to_owned(),
    ];
    assert_eq!(got[8..], expected);
}

#[tokio::test]
async fn commands() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let good = r#"
command:
  echo hello; echo oops >&2; exit 3:
    exit-status: 3
    stdout: [hello, "!oops", /^h/]
    stderr: "oops\n"
  other: {exec: "printf 5", stdout: {and: [{gt: 4}, {have-len: 1}]}, exit-status: {or: [0, 1]}}
"#;
    all_pass(&results(&guest, good).await);
    let bad = r#"
command:
  "false": {exit-status: 0, stdout: [x]}
  no-such-program: {exit-status: 0}
  skipped: {skip: true, exit-status: 0}
"#;
    assert_eq!(
        results(&guest, bad).await,
        [
            "false exit-status fail: 1",
            "false stdout fail: not met: `x`, in \"\"",
            "no-such-program exit-status fail: 127",
            "skipped exit-status skip",
        ]
    );
}

#[tokio::test]
async fn a_check_that_hangs_does_not_hold_up_the_others() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let fifo = sshd.dir.path().join("fifo");
    // the first ends only because the second runs
    let text = format!(
        r#"
command:
  first: {{exec: "mkfifo {0}; read x <{0}; echo $x", stdout: [met], exit-status: 0}}
  hangs: {{exec: "sleep 600", timeout: 700, exit-status: 0}}
  second: {{exec: "while ! [ -p {0} ]; do :; done; echo met >{0}", exit-status: 0}}
"#,
        fifo.display()
    );
    assert_eq!(
        results(&guest, &text).await,
        [
            "first exit-status pass",
            "first stdout pass",
            "hangs exit-status error: the command took longer than 0.7 s",
            "second exit-status pass",
        ]
    );
}

#[tokio::test]
async fn ports_processes_and_kernel_parameters() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let port = sshd.target().addr.port();
    let free = crate::guest::tests::sshd::free_port().port();
    let real = std::fs::read_to_string("/proc/sys/kernel/ostype").unwrap();
    let real = real.trim();
    let text = format!(
        r#"
port:
  tcp:{port}: {{listening: true, ip: [127.0.0.1]}}
  "{port}": {{listening: true, ip: {{consist-of: [127.0.0.1]}}}}
  tcp6:{port}: {{listening: false}}
  tcp:{free}: {{listening: false}}
  udp:{port}: {{listening: false}}
process:
  sshd: {{running: true, count: {{ge: 1}}}}
  a-name-that-nobody-has: {{running: false}}
kernel-param:
  kernel.ostype: {{value: {real}}}
  kernel/pid_max: {{value: {{gt: 1}}}}
"#
    );
    let got = results(&guest, &text).await;
    all_pass(&got);
    let text = format!(
        r#"
port:
  tcp:{port}: {{listening: false, ip: [0.0.0.0]}}
  tcp:{free}: {{listening: true, ip: []}}
process:
  sshd: {{running: false, count: 0}}
  a-name-that-nobody-has: {{running: true, count: 1}}
kernel-param:
  kernel.ostype: {{value: "1"}}
  no.such.value: {{value: "1"}}
"#
    );
    let got = results(&guest, &text).await;
    assert_eq!(got[0], format!("tcp:{port} listening fail: true"));
    assert_eq!(got[1], format!("tcp:{port} ip skip"));
    assert_eq!(got[2], format!("tcp:{free} listening fail: false"));
    assert_eq!(got[4], "sshd running fail: true");
    assert_eq!(got[6], "a-name-that-nobody-has running fail: false");
    assert_eq!(got[7], "a-name-that-nobody-has count skip");
    assert_eq!(got[8], format!("kernel.ostype value fail: {real:?}"));
    assert!(
        got[9].starts_with("no.such.value value error: cat: "),
        "{}",
        got[9]
    );
}

#[tokio::test]
async fn accounts_and_packages() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let text = r#"
user:
  root: {exists: true, uid: 0, gid: 0, home: /root, groups: [root], shell: {have-prefix: /}}
  nobody-at-all: {exists: false}
group:
  root: {exists: true, gid: 0}
  nobody-at-all: {exists: false}
"#;
    all_pass(&results(&guest, text).await);
    let text = r#"
user:
  root: {exists: true, uid: 1, groups: {consist-of: [x]}}
  nobody-at-all: {exists: true, uid: 0}
group:
  root: {exists: true, gid: {gt: 0}}
"#;
    let got = results(&guest, text).await;
    assert_eq!(got[1], "root uid fail: 0");
    assert!(
        got[2].starts_with("root groups fail: [\"root\""),
        "{}",
        got[2]
    );
    assert_eq!(
        got[3..5],
        ["nobody-at-all exists fail: false", "nobody-at-all uid skip"]
    );
    assert_eq!(got[6], "root gid fail: 0");
}

/// Answers so many requests, `/here` and `/stay` by a redirection; tells the requests' heads, sorted.
async fn server(requests: usize) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = async move {
        let mut heads = Vec::new();
        for _ in 0..requests {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                let n = stream.read_buf(&mut head).await.unwrap();
                assert!(n > 0);
            }
            let head = String::from_utf8(head).unwrap();
            let moved = head.contains("/here ") || head.contains("/stay ");
            let answer = if moved { MOVED } else { OK };
            stream.write_all(answer.as_bytes()).await.unwrap();
            heads.push(head);
        }
        heads.sort();
        heads
    };
    (port, tokio::spawn(serve))
}

const OK: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\nhealthy\n";
const MOVED: &str = "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n";

async fn http_answers(options: &str) {
    let sshd = Sshd::start_with(options);
    let guest = guest(&sshd).await;
    let (port, served) = server(4).await;
    let free = crate::guest::tests::sshd::free_port().port();
    let text = format!(
        r#"
http:
  http://127.0.0.1:{port}/health?x=1:
    status: 200
    body: [healthy, "!sick"]
    headers: ["Content-Type: text/plain"]
    request-headers: ["X-Asked: yes"]
    username: me
    password: secret
  http://localhost:{port}/here: {{status: 200, method: head}}
  http://127.0.0.1:{port}/stay: {{status: {{not: 302}}, no-follow-redirects: true}}
  http://127.0.0.1:{free}/: {{status: {{not: 200}}, body: [x]}}
"#
    );
    let got = results(&guest, &text).await;
    all_pass(&got[..4]);
    assert_eq!(got[4], "stay status fail: 302");
    assert!(
        got[5].starts_with("status fail: ") || got[5].starts_with(" status fail: "),
        "{}",
        got[5]
    );
    assert_eq!(got[6].trim(), "body skip");
    let heads = served.await.unwrap();
    let [first, stay, here, there] = &heads[..] else {
        panic!("{heads:?}");
    };
    let first = first.to_lowercase();
    assert!(first.starts_with("get /health?x=1 http/1.1\r\n"), "{first}");
    assert!(
        first.contains(&format!("host: 127.0.0.1:{port}\r\n")),
        "{first}"
    );
    assert!(first.contains("x-asked: yes\r\n"), "{first}");
    assert!(
        first.contains("authorization: basic bwu6c2vjcmv0\r\n"),
        "{first}"
    );
    assert!(stay.starts_with("GET /stay "), "{stay}");
    assert!(here.starts_with("HEAD /here "), "{here}");
    assert!(here.contains(&format!("localhost:{port}\r\n")), "{here}");
    assert!(there.starts_with("HEAD /there "), "{there}");
}

#[tokio::test]
async fn http_is_asked_through_ssh() {
    http_answers("").await;
}

#[tokio::test]
async fn http_is_asked_through_nc_where_ssh_forbids_forwarding() {
    if crate::sys::process::find_program(&["nc"]).is_none() {
        // the server's own refusal is tested all the same
        let sshd = Sshd::start_with("AllowTcpForwarding no");
        let guest = guest(&sshd).await;
        let got = results(&guest, "http:\n  http://localhost:1/: {status: 200}").await;
        assert!(
            got[0].contains("status error: the guest's SSH server forbids"),
            "{}",
            got[0]
        );
        return;
    }
    http_answers("AllowTcpForwarding no").await;
}

#[tokio::test]
async fn https_is_asked_with_and_without_a_trusted_certificate() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let (key, port) = (
        sshd.dir.path().join("tls"),
        crate::guest::tests::sshd::free_port().port(),
    );
    let script = format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
           -addext subjectAltName=DNS:localhost -keyout {0} -out {0}.crt 2>/dev/null && \
         exec openssl s_server -accept 127.0.0.1:{port} -key {0} -cert {0}.crt -www",
        key.display()
    );
    let mut server = std::process::Command::new("sh")
        .args(["-c", &script])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let out = std::io::BufReader::new(server.stdout.take().unwrap());
    let listens = std::io::BufRead::lines(out).any(|line| line.unwrap().starts_with("ACCEPT"));
    assert!(listens);
    let text = format!(
        r#"
http:
  https://localhost:{port}/a: {{status: 200, allow-insecure: true, body: [s_server]}}
  https://127.0.0.1:{port}/b: {{status: 200, allow-insecure: true}}
  https://localhost:{port}/c: {{status: 200}}
"#
    );
    let got = results(&guest, &text).await;
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(got[..3], ["a status pass", "a body pass", "b status pass"]);
    assert!(
        got[3].starts_with("c status fail: no answer from localhost"),
        "{}",
        got[3]
    );
    assert!(got[3].contains("certificate"), "{}", got[3]);
}

#[tokio::test]
async fn an_http_server_that_says_nothing_fails_the_check_in_time() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = format!("http:\n  http://localhost:{port}/x: {{status: 200, timeout: 300}}");
    let got = results(&guest, &text).await;
    assert_eq!(got, ["x status fail: no answer within 300 ms"]);
}

#[tokio::test]
async fn checks_are_asked_again_until_they_hold() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let count = sshd.dir.path().join("count");
    let text = format!(
        "command:\n  third: {{exec: 'echo x >>{0}; wc -l <{0}', stdout: {{ge: 3}}}}",
        count.display()
    );
    let set = parse_gossfile("g", &text).unwrap();
    let retry = |timeout| {
        let sleep = Duration::from_millis(1);
        Some(Retry { timeout, sleep })
    };
    let cancel = Cancel::new();
    let notes = std::sync::Mutex::new(Vec::new());
    let note = |text: &str| notes.lock().unwrap().push(text.to_owned());
    let time = Duration::from_secs(20);
    let report = run_until(&guest, &set, retry(time), &cancel, &note).await;
    assert!(report.unwrap().passed());
    let not_yet = "not yet: 0 passed, 1 failed";
    assert_eq!(*notes.lock().unwrap(), [not_yet, not_yet]);
    std::fs::remove_file(&count).unwrap();
    let once = run_until(&guest, &set, retry(Duration::ZERO), &cancel, &note).await;
    assert!(!once.unwrap().passed());
    cancel.cancel(CancelKind::Graceful);
    let stopped = run_until(&guest, &set, None, &cancel, &note).await;
    assert!(matches!(stopped, Err(GuestError::Cancelled)));
}

#[tokio::test]
async fn a_guest_that_is_gone_is_an_error_and_no_report() {
    let mut sshd = Sshd::start();
    let guest = guest(&sshd).await;
    guest.forget();
    sshd.stop();
    let set = parse_gossfile("g", "user:\n  root: {exists: true}").unwrap();
    let error = run(&guest, &set, &Cancel::new()).await.unwrap_err();
    assert!(matches!(error, GuestError::Lost(_)), "{error}");
}
