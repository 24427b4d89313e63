use super::*;
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn output_input_and_status_arrive_as_they_are() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let exec = Exec {
        stdin: Some((0..=255).collect()),
        ..Exec::new("cat; printf 'a\\000b' >&2; exit 7")
    };
    let captured = guest.capture(&exec, &Cancel::new()).await.unwrap();
    assert_eq!(captured.stdout, (0..=255).collect::<Vec<u8>>());
    assert_eq!(captured.stderr, b"a\0b");
    assert_eq!(captured.status, 7);
    assert_eq!(sh(&guest, "kill -KILL $$").await.status, 137);
    assert_eq!(sh(&guest, "# nothing").await, Captured::default());
    assert_eq!(sh(&guest, "no-such-program-here").await.status, 127);
}

#[tokio::test]
async fn much_output_on_both_streams_while_reading_much_input_does_not_lock_up() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let input = vec![b'x'; 4 << 20];
    let exec = Exec {
        stdin: Some(input.clone()),
        ..Exec::new("tee /dev/stderr")
    };
    let captured = guest.capture(&exec, &Cancel::new()).await.unwrap();
    assert_eq!(captured.status, 0);
    assert!(captured.stdout == input && captured.stderr == input);
}

#[tokio::test]
async fn output_is_seen_while_the_command_still_runs() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let fifo = sshd.dir.path().join("fifo");
    // the command ends only after its first line was seen here
    let command = format!(
        "mkfifo {0}; echo first; read x < {0}; echo $x",
        fifo.display()
    );
    let mut seen = Vec::new();
    let mut on_output = |_: Stream, bytes: &[u8]| {
        if seen.is_empty() {
            let fifo = fifo.clone();
            std::thread::spawn(move || std::fs::write(fifo, "second\n").unwrap());
        }
        seen.extend_from_slice(bytes);
    };
    let status = guest
        .run(&Exec::new(command), &mut on_output, &Cancel::new())
        .await;
    assert_eq!(status.unwrap(), 0);
    assert_eq!(seen, b"first\nsecond\n");
}

#[tokio::test]
async fn a_command_that_hangs_is_ended_with_its_children() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let exec = Exec {
        timeout: Some(Duration::from_millis(500)),
        ..Exec::new("sleep 600 & trap '' TERM; echo $! $$; wait; sleep 600")
    };
    let mut seen = Vec::new();
    let mut on_output = |_: Stream, bytes: &[u8]| seen.extend_from_slice(bytes);
    let error = guest.run(&exec, &mut on_output, &Cancel::new()).await;
    let error = error.unwrap_err();
    assert_eq!(error.to_string(), "the command took longer than 0.5 s");
    assert!(matches!(error, GuestError::Timeout { .. }));
    let text = String::from_utf8(seen).unwrap();
    for pid in text.split_whitespace() {
        assert!(!runs(pid.parse().unwrap()), "{pid} still runs");
    }
    assert_eq!(sh(&guest, "echo next").await.stdout, b"next\n");
}

#[tokio::test]
async fn a_cancelled_command_is_ended_too() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let cancel = Cancel::new();
    let mut seen = Vec::new();
    let mut on_output = |_: Stream, bytes: &[u8]| {
        seen.extend_from_slice(bytes);
        cancel.cancel(CancelKind::Graceful);
    };
    let exec = Exec::new("echo $$; exec sleep 600");
    let result = guest.run(&exec, &mut on_output, &cancel).await;
    assert!(matches!(result, Err(GuestError::Cancelled)));
    let pid = String::from_utf8(seen).unwrap().trim().parse().unwrap();
    assert!(!runs(pid));
}

#[tokio::test]
async fn a_command_that_takes_no_input_can_be_ended_as_well() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let exec = Exec {
        stdin: Some(vec![0; 64 << 20]),
        timeout: Some(Duration::from_millis(500)),
        ..Exec::new("echo $$; exec sleep 600")
    };
    let mut seen = Vec::new();
    let mut on_output = |_: Stream, bytes: &[u8]| seen.extend_from_slice(bytes);
    let result = guest.run(&exec, &mut on_output, &Cancel::new()).await;
    assert!(matches!(result, Err(GuestError::Timeout { .. })));
    let pid = String::from_utf8(seen).unwrap().trim().parse().unwrap();
    assert!(!runs(pid));
}

#[tokio::test]
async fn a_cut_connection_is_lost_and_no_failed_command() {
    let sshd = Sshd::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = sshd.target();
    let server = target.addr;
    target.addr = listener.local_addr().unwrap();
    let relay = tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(server).await.unwrap();
            // one after the other, so that aborting this task cuts the connection
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    });
    let guest = connect(&target).await.unwrap();
    let mut on_output = |_: Stream, _: &[u8]| relay.abort();
    let exec = Exec::new("echo started; exec sleep 5");
    let error = guest.run(&exec, &mut on_output, &Cancel::new()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, GuestError::Lost(_)), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("lost the connection to the guest: ")
    );
    assert!(error.help().unwrap().contains("expect_disconnect"));
}

#[tokio::test]
async fn an_idle_connection_that_has_died_is_replaced() {
    let mut sshd = Sshd::start();
    let guest = guest(&sshd).await;
    // the session's own server process lives on when the listener goes: end it from inside
    let pid = sh(&guest, "echo $PPID").await.stdout;
    let pid = String::from_utf8(pid).unwrap();
    sshd.stop();
    sshd.launch();
    let pid = pid.trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_eq!(sh(&guest, "echo again").await.stdout, b"again\n");
}

#[tokio::test]
async fn commands_run_beside_each_other() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let fifo = sshd.dir.path().join("fifo");
    sh(&guest, &format!("mkfifo {}", fifo.display())).await;
    let (write, read) = (
        format!("echo met > {}", fifo.display()),
        format!("cat {}", fifo.display()),
    );
    // each waits for the other
    let (_, read) = tokio::join!(sh(&guest, &write), sh(&guest, &read));
    assert_eq!(read.stdout, b"met\n");
}

#[tokio::test]
#[ignore = "takes 100 seconds: longer than silence is borne"]
async fn a_silent_command_is_not_taken_for_a_lost_connection() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    assert_eq!(sh(&guest, "sleep 100; exit 4").await.status, 4);
}

#[tokio::test]
#[ignore = "takes 90 seconds: longer than silence is borne"]
async fn a_guest_that_is_silent_for_good_is_lost() {
    let sshd = Sshd::start();
    let guest = guest(&sshd).await;
    let mut server = None;
    let mut on_output = |_: Stream, bytes: &[u8]| {
        let pid = String::from_utf8_lossy(bytes).trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        server = Some(pid);
    };
    let exec = Exec::new("echo $PPID; exec sleep 95");
    let error = guest.run(&exec, &mut on_output, &Cancel::new()).await;
    rustix::process::kill_process(server.unwrap(), rustix::process::Signal::KILL).unwrap();
    let text = error.unwrap_err().to_string();
    assert_eq!(
        text,
        "lost the connection to the guest: nothing heard for 75 s"
    );
}
