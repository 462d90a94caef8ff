//! The command, as a shell runs it.

#[allow(dead_code)]
#[path = "../../../host/tests/embedding/crafted.rs"]
mod crafted;
mod emulate;
mod get;
mod limits;
mod secrets;
mod services;
mod terminal;
mod wait;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use testing::PATIENCE;
use tokio::time::timeout;

/// The command with these arguments, and nothing of this process's environment.
fn lro(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lro"));
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    command
        .args(arguments)
        .env_clear()
        .env("XDG_CACHE_HOME", cache)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What a command came to.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(output: Output) -> Ended {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Both streams: what no credential may be in.
    fn shown(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    #[track_caller]
    fn with_code(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "{}", self.shown());
        self
    }
}

/// Runs it while the servers of the test go on.
async fn run(mut command: Command) -> Ended {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    Ended::of(output.await.unwrap())
}

/// How a command that was started ends, in good time.
async fn ended(child: Child) -> Ended {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    Ended::of(timeout(PATIENCE, output).await.unwrap().unwrap())
}

/// Sends a signal to a command.
fn signal(child: &Child, signal: &str) {
    let kill = format!("kill -{signal} {}", child.id());
    let killed = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(killed.success());
}
