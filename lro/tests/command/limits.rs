//! What ends a command whatever else hangs: its deadline and signals.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::{Ended, ended, lro, signal};
use testing::authorized_user;
use testing::server::{Server, json};

/// A folder with a FIFO that glibc opens, and waits for, when it looks up a name without a dot (hostname(7)).
fn hanging_look_up() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("mkfifo")
        .arg(folder.path().join("aliases"))
        .status();
    assert!(made.unwrap().success());
    folder
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[tokio::test]
async fn a_look_up_that_hangs_holds_up_neither_deadline_nor_signals() {
    let folder = hanging_look_up();
    let command = |arguments: &[&str]| {
        let mut command = lro(&[arguments, &["--endpoint", "https://hangs/v1"]].concat());
        command.env("HOSTALIASES", folder.path().join("aliases"));
        command.spawn().unwrap()
    };
    let get = command(&["get", "operations/o", "--timeout-ms", "1000"]);
    let late = ended(get).await.with_code(75);
    assert!(late.stderr.contains("transient"), "{}", late.stderr);

    let wait = command(&["wait", "operations/o", "--deadline", "1s"]);
    ended(wait).await.with_code(75);

    let mut wait = command(&["-v", "wait", "operations/o"]);
    let stderr = BufReader::new(wait.stderr.take().unwrap());
    // Then the look-up is under way.
    let asked = tokio::task::spawn_blocking(|| {
        let mut lines = stderr.lines();
        while !lines.next().unwrap().unwrap().contains(" request ") {}
        lines
    });
    let mut lines = asked.await.unwrap();
    signal(&wait, "INT");
    ended(wait).await.with_code(130);
    assert!(lines.any(|line| line.unwrap().contains("interrupted with 1 left")));
}

/// Whether a line of `/proc/PID/status` says that the process catches SIGINT (proc(5)).
fn catches_interrupt(line: &str) -> bool {
    const SIGINT: u64 = 1 << (2 - 1);
    let caught = line.strip_prefix("SigCgt:");
    caught.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & SIGINT != 0)
}

/// Waits until a command hears signals.
pub async fn until_it_listens(child: &std::process::Child) {
    let status = format!("/proc/{}/status", child.id());
    until(|| {
        let status = fs::read_to_string(&status).unwrap();
        status.lines().any(catches_interrupt)
    })
    .await;
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let come = tokio::time::timeout(testing::PATIENCE, async {
        while !is_so() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    assert!(come.await.is_ok());
}

/// A service whose operations do not fit into a pipe that nobody reads, and the names of twenty of them.
async fn service() -> (Server, Vec<String>) {
    let server = Server::start(|_, asked| async move {
        let value = "x".repeat(10_000);
        json(
            200,
            format!(
                r#"{{"name":"operations/{}","done":true,"response":{{"v":"{value}"}}}}"#,
                asked.id()
            ),
        )
    })
    .await;
    let names = (0..20)
        .map(|number| format!("operations/{number}"))
        .collect();
    (server, names)
}

/// What was written of a command that said how many operations ended: so many whole records.
#[track_caller]
fn assert_nothing_is_lost(ended: &Ended) {
    let whole = ended.stdout.matches('\n').count();
    assert!((1..20).contains(&whole), "{whole}");
    assert!(
        ended.stderr.starts_with(&format!("{whole} of 20 ended")),
        "{whole}: {}",
        ended.stderr
    );
    for line in ended.stdout.split_inclusive('\n').take(whole) {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_does_not_hold_up_the_deadline() {
    let (server, names) = service().await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let endpoint = server.endpoint();
    let arguments = ["--out", "-", "--deadline", "3s", "--endpoint", &endpoint];
    let child = lro(&[&["wait"], &names[..], &arguments].concat())
        .spawn()
        .unwrap();
    let ended = unread(child).await.with_code(75);
    assert_nothing_is_lost(&ended);
    assert!(
        ended.stderr.contains("did not finish by --deadline"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_does_not_hold_up_signals() {
    let (server, names) = service().await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let endpoint = server.endpoint();
    for twice in [false, true] {
        let before = server.asked().len();
        let arguments = ["--out", "-", "--jobs", "1", "--endpoint", &endpoint];
        let child = lro(&[&["wait"], &names[..], &arguments].concat())
            .spawn()
            .unwrap();
        // Each is asked for once the one before is written: a pipe of 64 KiB takes three, and the fourth not whole.
        server
            .until(|seen| seen.asked.len() == before + 4 && seen.in_flight == 0)
            .await;
        signal(&child, "TERM");
        if twice {
            signal(&child, "TERM");
        }
        let ended = unread(child).await.with_code(130);
        if !twice {
            assert_nothing_is_lost(&ended);
        }
    }
}

/// How a command ends of which nothing is read before.
async fn unread(mut child: std::process::Child) -> Ended {
    let mut stdout = child.stdout.take().unwrap();
    let ended = ended(child).await;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut text).unwrap();
    Ended {
        stdout: text,
        ..ended
    }
}

#[tokio::test]
async fn a_token_server_that_is_silent_does_not_hold_up_the_deadline() {
    let silent = Server::raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let (service, _) = service().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.json");
    fs::write(&file, authorized_user(&silent.url("/token")).to_string()).unwrap();
    let (endpoint, file) = (service.endpoint(), file.to_str().unwrap());
    let wait = |more: &[&str]| {
        let connection = ["--endpoint", &endpoint, "--credentials", file];
        lro(&[&["wait", "operations/o"], &connection[..], more].concat())
            .spawn()
            .unwrap()
    };
    let late = ended(wait(&["--deadline", "2s"])).await.with_code(75);
    assert!(
        late.stderr
            .contains("no access token came within 2s (--deadline)"),
        "{}",
        late.stderr
    );
    let interrupted = wait(&[]);
    silent.until(|seen| seen.accepted == 2).await;
    signal(&interrupted, "INT");
    ended(interrupted).await.with_code(130);
    assert_eq!(service.seen().accepted, 0);
}

#[tokio::test]
async fn names_that_do_not_end_hold_up_neither_deadline_nor_signals() {
    let wait = |more: &[&str]| {
        let mut command = lro(&[&["wait", "--names", "-"], more].concat());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        // Nothing is written to it, and it stays open.
        let stdin = child.stdin.take();
        (child, stdin)
    };
    let (late, _stdin) = wait(&["--deadline", "1s"]);
    let late = ended(late).await.with_code(75);
    assert_eq!(
        late.stderr,
        "error: not all of the names came within 1s (--deadline)\n"
    );
    let (interrupted, _stdin) = wait(&[]);
    until_it_listens(&interrupted).await;
    signal(&interrupted, "TERM");
    let interrupted = ended(interrupted).await.with_code(130);
    assert_eq!(
        interrupted.stderr,
        "error: interrupted before anything was asked\n"
    );
}

#[tokio::test]
async fn standard_error_that_nobody_reads_holds_up_neither_deadline_nor_signals() {
    let server = Server::start(|_, asked| async move {
        json(200, format!(r#"{{"name":"operations/{}"}}"#, asked.id()))
    })
    .await;
    let endpoint = server.endpoint();
    let names: Vec<String> = (0..500)
        .map(|number| format!("operations/{number}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let wait = |more: &[&str]| {
        let arguments = ["--endpoint", &endpoint];
        lro(&[&["-v", "wait"], &names[..], &arguments, more].concat())
            .spawn()
            .unwrap()
    };
    // The lines about so many calls do not fit into the pipe.
    let late = wait(&["--deadline", "3s"]);
    let late = with_standard_error_unread(late).await.with_code(75);
    assert!(late.stderr.len() > 60_000, "{}", late.stderr.len());

    let before = server.asked().len();
    let interrupted = wait(&[]);
    server
        .until(|seen| seen.asked.len() >= before + names.len())
        .await;
    signal(&interrupted, "TERM");
    with_standard_error_unread(interrupted).await.with_code(130);
}

/// How a command ends whose standard error is not read before.
async fn with_standard_error_unread(mut child: std::process::Child) -> Ended {
    let mut stderr = child.stderr.take().unwrap();
    let ended = ended(child).await;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut text).unwrap();
    Ended {
        stderr: text,
        ..ended
    }
}
