use super::*;
use crate::guest::wait::Patience;
use crate::model::Secret;
use std::sync::Mutex;
use std::sync::mpsc;

const QUICK: Patience = Patience {
    refusals: 2,
    span: Duration::from_millis(100),
};

#[tokio::test]
async fn a_server_that_starts_later_is_waited_for() {
    let mut sshd = Sshd::prepare("");
    let target = sshd.target();
    let (said, heard) = mpsc::channel();
    let said = Mutex::new(said);
    let waiter = std::thread::spawn(move || {
        let first: String = heard.recv().unwrap();
        sshd.launch();
        (sshd, first)
    });
    let note = |text: &str| drop(said.lock().unwrap().send(text.to_owned()));
    let guest = Guest::connect(&target, soon(), &Cancel::new(), &note)
        .await
        .unwrap();
    let (_sshd, first) = waiter.join().unwrap();
    assert!(first.contains("connection refused"), "{first}");
    assert_eq!(sh(&guest, "echo up").await.stdout, b"up\n");
}

#[tokio::test]
async fn nobody_there_until_the_deadline_is_told_with_the_last_reason() {
    let sshd = Sshd::prepare("");
    let deadline = Instant::now() + Duration::from_millis(300);
    let error = Guest::connect(&sshd.target(), deadline, &Cancel::new(), &|_| {})
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, GuestError::Refused { .. }), "{text}");
    assert!(text.starts_with("no SSH server answers at 127.0.0.1:"));
    assert!(text.ends_with("connection refused"), "{text}");
    assert!(error.help().unwrap().contains("serial log"));
}

#[tokio::test]
async fn a_port_that_is_open_without_a_banner_is_not_ready() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = SshTarget {
        addr: listener.local_addr().unwrap(),
        ..Sshd::prepare("").target()
    };
    let deadline = Instant::now() + Duration::from_millis(1200);
    let error = Guest::connect(&target, deadline, &Cancel::new(), &|_| {}).await;
    let text = error.unwrap_err().to_string();
    assert!(text.ends_with("no banner comes"), "{text}");
}

#[tokio::test]
async fn a_wrong_key_and_a_wrong_password_are_refused_logins() {
    let sshd = Sshd::start();
    let other = sshd.dir.path().join("other");
    sshd::keygen(&other, "");
    let mut target = sshd.target();
    target.key_files = vec![other];
    target.password = Some(Secret::new("wrong"));
    let cancel = Cancel::new();
    let error = Guest::connect_with(&target, soon(), &cancel, &|_| {}, QUICK)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, GuestError::Auth { .. }), "{text}");
    assert!(text.contains("/other, password not accepted"), "{text}");
    assert!(text.contains("it takes publickey, password"), "{text}");
    assert!(!text.contains("wrong"));
}

#[tokio::test]
async fn passwords_are_taken_directly_and_by_keyboard_interactive() {
    if !sshd::privileged() {
        return;
    }
    for options in [
        "PasswordAuthentication yes",
        "UsePAM yes\nPasswordAuthentication no\nKbdInteractiveAuthentication yes",
    ] {
        let mut sshd = Sshd::prepare(options);
        sshd.own_shadow = true;
        sshd.launch();
        let mut target = sshd.target();
        target.key_files.clear();
        target.password = Some(Secret::new(sshd::PASSWORD));
        let guest = connect(&target).await.unwrap();
        assert_eq!(sh(&guest, "echo in").await.stdout, b"in\n");
        target.password = Some(Secret::new("wrong"));
        let cancel = Cancel::new();
        let error = Guest::connect_with(&target, soon(), &cancel, &|_| {}, QUICK).await;
        assert!(matches!(error, Err(GuestError::Auth { .. })));
    }
}

#[tokio::test]
async fn a_generated_key_lets_us_in() {
    let sshd = Sshd::start();
    let dir = sshd.dir.path();
    for comment in ["forge", "x", "a longer comment", ""] {
        let pair = crate::guest::KeyPair::generate(comment).unwrap();
        let mut target = sshd.target();
        let key = dir.join("generated");
        crate::sys::fs::write_atomic(&key, pair.private.reveal().as_bytes()).unwrap();
        std::fs::write(dir.join("authorized"), format!("{}\n", pair.public)).unwrap();
        target.key_files = vec![key];
        let guest = connect(&target).await.unwrap();
        assert_eq!(sh(&guest, "echo in").await.stdout, b"in\n");
    }
}

#[tokio::test]
async fn the_agent_is_asked() {
    let sshd = Sshd::start();
    let socket = sshd.dir.path().join("agent");
    let mut agent = std::process::Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // it tells its environment once it listens
    let mut line = String::new();
    let mut out = std::io::BufReader::new(agent.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    // the agent's place is an environment variable, which only another process can have
    let child = |socket: &std::path::Path| {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "guest::tests::connect::by_agent", "--ignored"])
            .env("SSH_AUTH_SOCK", socket)
            .env("FORGE_TEST_ADDR", sshd.target().addr.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said)
    };
    let (empty, without) = child(&socket);
    let add = std::process::Command::new("ssh-add")
        .arg("-q")
        .arg(sshd.dir.path().join("user"))
        .env("SSH_AUTH_SOCK", &socket)
        .status();
    assert!(add.unwrap().success());
    let (full, with) = child(&socket);
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(full, "{with}");
    assert!(
        !empty && without.contains("the agent's 0 keys not accepted"),
        "{without}"
    );
    let (gone, silent) = child(&socket.with_extension("none"));
    let message = "the SSH agent (SSH_AUTH_SOCK) does not answer: ";
    assert!(!gone && silent.contains(message), "{silent}");
}

#[tokio::test]
#[ignore = "run by `the_agent_is_asked`, in the agent's environment"]
async fn by_agent() {
    // among the others of `--nightly` it has nobody to ask
    let Ok(addr) = std::env::var("FORGE_TEST_ADDR") else {
        return;
    };
    let target = SshTarget {
        addr: addr.parse().unwrap(),
        user: sshd::user(),
        password: None,
        key_files: Vec::new(),
        agent: true,
        known_hosts: None,
    };
    let cancel = Cancel::new();
    let guest = Guest::connect_with(&target, soon(), &cancel, &|_| {}, QUICK).await;
    assert_eq!(sh(&guest.unwrap(), "echo in").await.stdout, b"in\n");
}

#[tokio::test]
async fn a_login_without_any_proof_says_what_the_server_takes() {
    let sshd = Sshd::start_with("PasswordAuthentication no\nKbdInteractiveAuthentication no");
    let mut target = sshd.target();
    target.key_files.clear();
    target.password = Some(Secret::new("useless"));
    let error = Guest::connect_with(&target, soon(), &Cancel::new(), &|_| {}, QUICK).await;
    let text = error.unwrap_err().to_string();
    assert!(
        text.ends_with("nothing that it takes was given; it takes publickey"),
        "{text}"
    );
}

#[tokio::test]
async fn unusable_keys_are_told_at_once() {
    let sshd = Sshd::start();
    let locked = sshd.dir.path().join("locked");
    sshd::keygen(&locked, "passphrase");
    let public = locked.with_extension("pub");
    let missing = locked.with_extension("missing");
    for (key, reason) in [
        (locked, "protected by a passphrase"),
        (public, "this is a public key"),
        (missing, "No such file"),
    ] {
        let mut target = sshd.target();
        target.key_files = vec![key];
        let error = connect(&target).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(error.help().unwrap().contains("ssh-add"));
    }
}

#[tokio::test]
async fn waiting_can_be_cancelled() {
    let sshd = Sshd::prepare("");
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let note = move |_: &str| stop.cancel(CancelKind::Graceful);
    let error = Guest::connect(&sshd.target(), soon(), &cancel, &note).await;
    assert!(matches!(error, Err(GuestError::Cancelled)));
}

#[tokio::test]
async fn a_restart_is_over_when_another_boot_answers() {
    let mut sshd = Sshd::prepare("");
    let id = sshd.dir.path().join("boot_id");
    std::fs::write(&id, "one").unwrap();
    sshd.launch();
    let target = sshd.target();
    let mut guest = connect(&target).await.unwrap();
    guest.boot_id = format!("cat {}", id.display());
    let (said, heard) = mpsc::channel();
    let said = Mutex::new(said);
    let note = |text: &str| drop(said.lock().unwrap().send(text.to_owned()));
    let other_boot = std::thread::spawn(move || {
        // the old boot answers once more, goes away, and a new one comes
        heard
            .iter()
            .find(|text| text.contains("to go down"))
            .unwrap();
        sshd.stop();
        heard.iter().find(|text| text.contains("refused")).unwrap();
        std::fs::write(&id, "two").unwrap();
        sshd.launch();
        sshd
    });
    let cancel = Cancel::new();
    guest
        .reboot(Some("true"), soon(), &cancel, &note)
        .await
        .unwrap();
    let _sshd = other_boot.join().unwrap();
    assert_eq!(guest.boot_id(&cancel).await.unwrap(), "two");
}

#[tokio::test]
async fn a_restart_that_cannot_work_is_told() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let cancel = Cancel::new();
    let error = guest
        .reboot(Some("echo no >&2; false"), soon(), &cancel, &|_| {})
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "`echo no >&2; false` failed: no");
    let deadline = Instant::now() + Duration::from_millis(400);
    let error = guest.reboot(Some("true"), deadline, &cancel, &|_| {}).await;
    let text = error.unwrap_err().to_string();
    assert!(text.starts_with("restarting the guest ("), "{text}");
}
