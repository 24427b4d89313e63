//! Facts of this machine, by a real SSH server and without one: both ways must tell the same.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::goss::{FileWants, Transport, Truth};
use crate::guest::Guest;
use crate::guest::tests::sshd::Sshd;
use crate::sys::CancelKind;

async fn guest(sshd: &Sshd) -> Guest {
    let deadline = Instant::now() + Duration::from_secs(20);
    Guest::connect(&sshd.target(), deadline, &Cancel::new(), &|_| {})
        .await
        .unwrap()
}

async fn ask(place: Place<'_>, questions: &[Question]) -> Gathered {
    let system = System { place, sudo: false };
    gather(&system, questions, AT_ONCE, &Cancel::new())
        .await
        .unwrap()
}

/// What both ways tell.
async fn both(sshd: &Sshd, questions: &[Question]) -> Vec<Answer> {
    let guest = guest(sshd).await;
    let mut far = ask(Place::Guest(&guest), questions).await.answers;
    let mut near = ask(Place::Local, questions).await.answers;
    for answer in far.iter_mut().chain(&mut near) {
        answer.took = Duration::ZERO;
    }
    for ((question, far), near) in questions.iter().zip(&far).zip(&near) {
        assert_eq!(far, near, "{question:?}");
    }
    far
}

fn value<'a>(answer: &'a Answer, name: &str) -> &'a Result<Truth, String> {
    answer
        .values
        .get(name)
        .unwrap_or_else(|| panic!("no {name}: {answer:?}"))
}

fn text(text: &str) -> Result<Truth, String> {
    Ok(Truth::Text(text.to_owned()))
}

fn bytes(text: &str) -> Result<Truth, String> {
    Ok(Truth::Bytes(text.as_bytes().to_vec()))
}

fn error(answer: &Answer, name: &str) -> String {
    value(answer, name).clone().unwrap_err()
}

fn command(exec: &str, millis: u64) -> Question {
    Question::Command {
        exec: exec.to_owned(),
        timeout: Duration::from_millis(millis),
    }
}

fn file(path: &Path) -> Question {
    let wants = FileWants {
        contents: true,
        md5: true,
        sha256: true,
        sha512: true,
    };
    Question::File {
        path: path.to_str().unwrap().to_owned(),
        wants,
    }
}

#[tokio::test]
async fn files_of_any_name_and_content() {
    let sshd = Sshd::start();
    let at = sshd.dir.path();
    let content: Vec<u8> = (0..=255).chain(*b"\nforge- q0\n").collect();
    let odd = at.join("it's \"a\"\nfile");
    std::fs::write(&odd, &content).unwrap();
    std::fs::set_permissions(&odd, std::fs::Permissions::from_mode(0o4640)).unwrap();
    symlink("it's\n", at.join("link")).unwrap();
    std::fs::write(at.join("large"), vec![b'\n'; 5_000_000]).unwrap();
    std::fs::write(at.join("empty"), "").unwrap();
    std::fs::write(at.join("huge"), "").unwrap();
    std::fs::File::options()
        .write(true)
        .open(at.join("huge"))
        .unwrap()
        .set_len(20 << 20)
        .unwrap();
    let questions: Vec<_> = [
        "it's \"a\"\nfile",
        "link",
        "large",
        "none",
        "empty/below",
        "",
        "huge",
    ]
    .map(|name| file(&at.join(name)))
    .to_vec();
    let answers = both(&sshd, &questions).await;
    assert_eq!(value(&answers[0], "contents"), &Ok(Truth::Bytes(content)));
    assert_eq!(value(&answers[0], "mode"), &text("4640"));
    assert_eq!(value(&answers[0], "size"), &Ok(Truth::Int(267)));
    assert_eq!(value(&answers[0], "filetype"), &text("file"));
    assert_eq!(
        value(&answers[0], "owner"),
        &text(&crate::guest::tests::sshd::user())
    );
    assert_eq!(error(&answers[0], "linkedto"), "readlink: invalid argument");
    assert_eq!(
        (
            value(&answers[1], "linkedto"),
            value(&answers[1], "filetype")
        ),
        (&text("it's\n"), &text("symlink"))
    );
    assert!(error(&answers[1], "contents").ends_with("no such file or directory"));
    let Ok(Truth::Bytes(large)) = value(&answers[2], "contents") else {
        panic!()
    };
    assert_eq!(large.len(), 5_000_000);
    assert_eq!(value(&answers[3], "exists"), &Ok(Truth::Bool(false)));
    assert!(error(&answers[4], "exists").ends_with("not a directory"));
    assert_eq!(value(&answers[5], "filetype"), &text("directory"));
    assert!(error(&answers[5], "contents").ends_with("is a directory"));
    assert_eq!(error(&answers[6], "contents"), "it is longer than 16 MiB");
    for (name, length) in [("md5", 32), ("sha256", 64), ("sha512", 128)] {
        let Ok(Truth::Text(digest)) = value(&answers[2], name) else {
            panic!()
        };
        assert_eq!(digest.len(), length);
    }
}

#[tokio::test]
async fn commands_run_beside_each_other_and_none_holds_up_the_others() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    for place in [Place::Guest(&guest), Place::Local] {
        commands_run(place, &guest).await;
    }
}

async fn commands_run(place: Place<'_>, guest: &Guest) {
    let mut questions = vec![
        command("echo hello; echo oops >&2; exit 3", 10_000),
        command("echo begun; sleep 611 & sleep 612", 700),
        command("trap '' TERM; while :; do sleep 613; done", 700),
        command("cat; echo \"$N$T$MAX$PARTS\"", 10_000),
        command("head -c 17000000 /dev/zero", 20_000),
        command("kill -KILL $$", 10_000),
        command("no-such-command-here", 10_000),
        command("set", 10_000),
        // what is left running has its say no more, and holds up nobody
        command("sleep 614 & echo $!", 10_000),
    ];
    questions.extend((0..40).map(|number| command(&format!("echo {number}"), 10_000)));
    let told = ask(place, &questions).await;
    let answers = &told.answers;
    assert_eq!(told.round_trips, 1);
    assert_eq!(value(&answers[0], "exit-status"), &Ok(Truth::Int(3)));
    assert_eq!(
        (value(&answers[0], "stdout"), value(&answers[0], "stderr")),
        (&bytes("hello\n"), &bytes("oops\n"))
    );
    for late in [1, 2] {
        for name in ["exit-status", "stdout", "stderr"] {
            assert_eq!(
                error(&answers[late], name),
                "Command execution timed out (700ms)"
            );
        }
    }
    assert_eq!(
        value(&answers[3], "stdout"),
        &bytes("\n"),
        "nothing of the script reaches a command"
    );
    assert_eq!(error(&answers[4], "stdout"), "it is longer than 16 MiB");
    assert_eq!(value(&answers[4], "exit-status"), &Ok(Truth::Int(0)));
    assert_eq!(value(&answers[5], "exit-status"), &Ok(Truth::Int(137)));
    assert_eq!(value(&answers[6], "exit-status"), &Ok(Truth::Int(127)));
    let Ok(Truth::Bytes(variables)) = value(&answers[7], "stdout") else {
        panic!()
    };
    assert!(!String::from_utf8_lossy(variables).contains("forge-"));
    for (number, answer) in answers[9..].iter().enumerate() {
        assert_eq!(value(answer, "stdout"), &bytes(&format!("{number}\n")));
    }
    nothing_is_left(&answers[8], guest).await;
}

/// What a command has left running goes on; what was ended does not.
async fn nothing_is_left(answer: &Answer, guest: &Guest) {
    let Ok(Truth::Bytes(left)) = value(answer, "stdout") else {
        panic!()
    };
    let end = format!("kill {}", String::from_utf8_lossy(left));
    let end = crate::guest::Exec::new(end);
    let ended = guest.capture(&end, &Cancel::new()).await.unwrap();
    assert_eq!(ended.status, 0, "it goes on");
    let list = crate::guest::Exec::new("cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    let left = guest.capture(&list, &Cancel::new()).await.unwrap();
    let left = String::from_utf8_lossy(&left.stdout).into_owned();
    for seconds in ["sleep 611", "sleep 612", "sleep 613"] {
        assert!(
            !left.contains(&format!("{seconds} ")),
            "{seconds} still runs"
        );
    }
}

fn yes() -> Result<Truth, String> {
    Ok(Truth::Bool(true))
}

fn no() -> Result<Truth, String> {
    Ok(Truth::Bool(false))
}

#[tokio::test]
async fn accounts_packages_and_services() {
    let sshd = Sshd::start();
    let name = str::to_owned;
    let package = |name: &str, manager: Option<&str>| Question::Package {
        name: name.to_owned(),
        manager: manager.map(str::to_owned),
    };
    let questions = [
        Question::User { name: name("root") },
        Question::Group { name: name("root") },
        Question::User {
            name: name("nobody-of-this-name"),
        },
        Question::Group {
            name: name("none-of-this-name"),
        },
        package("bash", None),
        package("no-such-package", None),
        package("bash", Some("apk")),
        Question::Service {
            name: name("no-such-service"),
        },
        Question::Service { name: name("a/b") },
    ];
    let answers = both(&sshd, &questions).await;
    assert_eq!(
        (value(&answers[0], "uid"), value(&answers[0], "home")),
        (&Ok(Truth::Int(0)), &text("/root"))
    );
    assert_eq!(value(&answers[1], "gid"), &Ok(Truth::Int(0)));
    assert_eq!(
        (value(&answers[2], "exists"), value(&answers[3], "exists")),
        (&no(), &no())
    );
    assert_eq!(
        error(&answers[2], "uid"),
        "user: unknown user nobody-of-this-name"
    );
    assert_eq!(
        (
            value(&answers[4], "installed"),
            value(&answers[5], "installed")
        ),
        (&yes(), &no())
    );
    assert_eq!(error(&answers[5], "version"), "Package version not found");
    assert_eq!(
        error(&answers[6], "installed"),
        "apk manages no packages here"
    );
    for service in &answers[7..] {
        assert_eq!(
            (value(service, "enabled"), value(service, "running")),
            (&no(), &no())
        );
    }
}

#[tokio::test]
async fn what_the_kernel_tells() {
    let sshd = Sshd::start();
    let name = str::to_owned;
    let mount = |point: &str| Question::Mount {
        point: name(point),
        timeout: Duration::from_secs(1),
    };
    let questions = [
        Question::KernelParam {
            key: name("kernel.ostype"),
        },
        Question::KernelParam {
            key: name("no.such.key"),
        },
        Question::Interface { name: name("lo") },
        Question::Interface {
            name: name("none0"),
        },
        Question::Process {
            comm: name("no-such-process"),
        },
        mount("/proc"),
        mount("/no/such/mount"),
    ];
    let answers = both(&sshd, &questions).await;
    assert_eq!(value(&answers[0], "value"), &text("Linux"));
    assert_eq!(error(&answers[1], "value"), "could not find the given key");
    assert_eq!(value(&answers[2], "mtu"), &Ok(Truth::Int(65536)));
    let Ok(Truth::List(addresses)) = value(&answers[2], "addrs") else {
        panic!()
    };
    assert!(addresses.contains(&name("127.0.0.1/8")), "{addresses:?}");
    assert_eq!(
        (value(&answers[3], "exists"), value(&answers[4], "running")),
        (&no(), &no())
    );
    assert_eq!(
        (
            value(&answers[5], "filesystem"),
            value(&answers[5], "usage")
        ),
        (&text("proc"), &Ok(Truth::Int(0)))
    );
    assert_eq!(
        value(&answers[6], "exists"),
        &no(),
        "a mount that is not there is not there"
    );
}

/// A server that answers each connection by what its first line says.
async fn serve(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let mut request = Vec::new();
            while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                let mut piece = [0; 1024];
                match stream.read(&mut piece).await {
                    Ok(n) if n > 0 => request.extend_from_slice(&piece[..n]),
                    _ => return,
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let answer = match request.split(' ').nth(1).unwrap_or_default() {
                "/chunks" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n".to_owned(),
                "/moved" => "HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n".to_owned(),
                "/loop" => "HTTP/1.1 301 Moved\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n".to_owned(),
                "/mute" => return tokio::time::sleep(Duration::from_secs(60)).await,
                _ => format!("HTTP/1.1 201 Created\r\nx-b: 2\r\nX-A: 1\r\nX-A: 0\r\nContent-Length: {}\r\n\r\n{request}", request.len()),
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}

fn http(url: String) -> Question {
    Question::Http {
        url,
        method: "GET".into(),
        timeout: Duration::from_millis(1500),
        allow_insecure: false,
        no_follow_redirects: false,
        headers: Vec::new(),
        body: None,
        login: None,
        ca_file: None,
        cert: None,
        proxy: None,
    }
}

async fn web_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(listener));
    port
}

async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[tokio::test]
async fn requests_go_out_from_inside_of_the_system() {
    let sshd = Sshd::start();
    let port = web_server().await;
    let url = |path: &str| http(format!("http://127.0.0.1:{port}{path}"));
    let mut stay = url("/moved");
    if let Question::Http {
        no_follow_redirects,
        ..
    } = &mut stay
    {
        *no_follow_redirects = true;
    }
    let refused = http(format!("http://127.0.0.1:{}/", closed_port().await));
    let questions = [
        url("/chunks"),
        url("/moved"),
        stay,
        url("/loop"),
        url("/mute"),
        refused,
    ];
    let answers = both(&sshd, &questions).await;
    assert_eq!(value(&answers[0], "Body"), &bytes("hello world"));
    assert_eq!(value(&answers[1], "status"), &Ok(Truth::Int(201)));
    assert_eq!(value(&answers[2], "status"), &Ok(Truth::Int(302)));
    assert!(error(&answers[3], "status").ends_with("stopped after 10 redirects"));
    assert!(error(&answers[4], "status").ends_with("no answer within 1.5s"));
    assert!(error(&answers[5], "status").ends_with("does not answer"));
}

#[tokio::test]
async fn requests_carry_what_the_question_says() {
    let sshd = Sshd::start();
    let port = web_server().await;
    let mut rich = http(format!("http://127.0.0.1:{port}/rich?a=b#c"));
    let mut proxied = http("http://no.such.name/x".into());
    if let Question::Http {
        method,
        headers,
        body,
        login,
        ..
    } = &mut rich
    {
        *method = "POST".into();
        headers.push(("Host".into(), "other.example".into()));
        headers.push(("X-Own".into(), "1".into()));
        *body = Some("payload".into());
        *login = Some(("user".into(), "pass".into()));
    }
    if let Question::Http { proxy, .. } = &mut proxied {
        *proxy = Some(format!("http://127.0.0.1:{port}"));
    }
    let answers = both(&sshd, &[rich, proxied]).await;
    let Ok(Truth::Bytes(sent)) = value(&answers[0], "Body") else {
        panic!()
    };
    let sent = String::from_utf8_lossy(sent);
    let lines = [
        "POST /rich?a=b HTTP/1.1\r\n",
        "Host: other.example\r\n",
        "X-Own: 1\r\n",
        "Authorization: Basic dXNlcjpwYXNz\r\n",
        "Content-Length: 7\r\n",
    ];
    for line in lines {
        assert!(sent.contains(line), "{line}: {sent}");
    }
    let Ok(Truth::Bytes(headers)) = value(&answers[0], "Headers") else {
        panic!()
    };
    assert!(String::from_utf8_lossy(headers).ends_with("X-A: 0\nX-A: 1\nX-B: 2"));
    let Ok(Truth::Bytes(sent)) = value(&answers[1], "Body") else {
        panic!()
    };
    assert!(String::from_utf8_lossy(sent).starts_with("GET http://no.such.name/x HTTP/1.1\r\n"));
}

/// openssl's server on a free port, with a certificate of its own for `localhost`; its file, and the port.
fn tls_server(dir: &Path) -> (std::process::Child, u16) {
    let port = crate::guest::tests::sshd::free_port().port();
    let key = dir.join("tls");
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
    assert!(std::io::BufRead::lines(out).any(|line| line.unwrap().starts_with("ACCEPT")));
    (server, port)
}

#[tokio::test]
async fn https_trusts_whom_the_system_or_the_question_trusts() {
    let sshd = Sshd::start();
    let (mut server, port) = tls_server(sshd.dir.path());
    let named = http(format!("https://localhost:{port}/"));
    let (mut insecure, mut own, mut wrong_name) = (
        named.clone(),
        named.clone(),
        http(format!("https://127.0.0.1:{port}/")),
    );
    if let Question::Http { allow_insecure, .. } = &mut insecure {
        *allow_insecure = true;
    }
    for question in [&mut own, &mut wrong_name] {
        if let Question::Http { ca_file, .. } = question {
            *ca_file = Some(sshd.dir.path().join("tls.crt").to_str().unwrap().to_owned());
        }
    }
    let questions = [insecure, named, own, wrong_name];
    let guest = guest(&sshd).await;
    let mut told = Vec::new();
    for place in [Place::Guest(&guest), Place::Local] {
        told.push(ask(place, &questions).await.answers);
    }
    server.kill().unwrap();
    server.wait().unwrap();
    for answers in told {
        assert_eq!(value(&answers[0], "status"), &Ok(Truth::Int(200)));
        assert!(error(&answers[1], "status").contains("certificate"));
        assert_eq!(value(&answers[2], "status"), &Ok(Truth::Int(200)));
        assert!(error(&answers[3], "status").contains("certificate"));
    }
}

#[tokio::test]
async fn addresses_are_reached_or_not() {
    let sshd = Sshd::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap().port().to_string();
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    let address = |transport, host: &str, port: &str| Question::Addr {
        transport,
        host: host.into(),
        port: port.into(),
        local: None,
        timeout: Duration::from_millis(1000),
    };
    let questions = [
        address(Transport::Tcp, "127.0.0.1", &open),
        address(Transport::Tcp, "localhost", &open),
        address(Transport::Tcp, "127.0.0.1", &closed),
        address(Transport::Udp, "127.0.0.1", &closed),
        address(Transport::Udp, "127.0.0.1", "no-such-port"),
        address(Transport::Udp, "240.0.0.1.bad", "1"),
    ];
    let answers = both(&sshd, &questions).await;
    let reached: Vec<_> = answers
        .iter()
        .map(|answer| value(answer, "reachable") == &Ok(Truth::Bool(true)))
        .collect();
    assert_eq!(reached, [true, true, false, true, false, false]);
}

#[tokio::test]
async fn a_guest_that_forbids_forwarding_is_asked_by_nc_or_says_so() {
    let sshd = Sshd::start_with("AllowTcpForwarding no");
    let guest = guest(&sshd).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(listener));
    let told = ask(
        Place::Guest(&guest),
        &[http(format!("http://127.0.0.1:{port}/chunks"))],
    )
    .await;
    if crate::sys::process::find_program(&["nc"]).is_some() {
        assert_eq!(value(&told.answers[0], "Body"), &bytes("hello world"));
    } else {
        assert!(error(&told.answers[0], "status").contains("forbids forwarding"));
    }
}

#[tokio::test]
async fn many_questions_of_all_kinds_take_three_round_trips_at_most() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(listener));
    let mut questions = Vec::new();
    for number in 0..50 {
        questions.push(command(&format!("echo {number}"), 10_000));
        questions.push(file(Path::new("/etc/passwd")));
        questions.push(http(format!("http://127.0.0.1:{port}/{number}")));
        questions.push(Question::Port {
            protocol: "tcp".into(),
            port: port.to_string(),
        });
    }
    let told = ask(Place::Guest(&guest), &questions).await;
    assert_eq!((told.answers.len(), told.round_trips), (200, 2));
    for (number, four) in told.answers.chunks(4).enumerate() {
        assert_eq!(value(&four[0], "stdout"), &bytes(&format!("{number}\n")));
        assert_eq!(value(&four[1], "exists"), &Ok(Truth::Bool(true)));
        assert_eq!(value(&four[2], "status"), &Ok(Truth::Int(201)), "{number}");
        assert_eq!(
            value(&four[3], "ip"),
            &Ok(Truth::List(vec!["127.0.0.1".into()]))
        );
    }
}

#[tokio::test]
async fn a_guest_that_is_gone_or_cancelled_is_an_error() {
    let mut sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let cancel = Cancel::new();
    cancel.cancel(CancelKind::Graceful);
    let system = System {
        place: Place::Guest(&guest),
        sudo: false,
    };
    let stopped = gather(&system, &[command("sleep 60", 60_000)], 1, &cancel).await;
    assert!(matches!(stopped, Err(GuestError::Cancelled)));
    guest.forget();
    sshd.stop();
    let error = gather(&system, &[command("true", 1000)], 1, &Cancel::new())
        .await
        .unwrap_err();
    assert!(matches!(error, GuestError::Lost(_)), "{error}");
}
