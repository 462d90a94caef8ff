//! What `-v` shows: each request with its answer, by the name of its operation, and how each call ended. It holds no
//! credential and nothing of an answer.
//!
//! A thread of its own writes the lines: standard error may be a pipe that nobody reads, and what logs goes on.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::visible::visible;

/// Writes events of the host, the emulator and this command to standard error; without `-v` warnings alone.
pub fn start(verbose: bool) {
    let level = match verbose {
        true => Level::DEBUG,
        false => Level::WARN,
    };
    // Of no other crate: nobody has checked what they log for secrets.
    let ours = Targets::new()
        .with_target("operations_host", level)
        .with_target("operations_emulator", level)
        .with_target("lro", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| Line)
        .with_ansi(false)
        .with_target(false)
        .with_filter(ours);
    tracing_subscriber::registry().with(lines).init();
}

/// What the lines about an operation begin with: its name, as it was typed.
pub fn operation(name: &str) -> tracing::Span {
    tracing::info_span!("operation", name)
}

/// How much longer than its limits a command writes, so that a reader gets its last line whole.
pub const LAST_WRITE: Duration = Duration::from_millis(500);

/// What the thread that writes is given.
enum Message {
    Line(String),
    /// Says that what came before is written.
    Written(mpsc::Sender<()>),
}

/// To the thread that writes, once there was a line.
static WRITER: OnceLock<mpsc::Sender<Message>> = OnceLock::new();

/// Lines that wait to be written, those that were, and those for which there was no room.
static WAITING: AtomicUsize = AtomicUsize::new(0);
static WRITTEN: AtomicUsize = AtomicUsize::new(0);
static LOST: AtomicUsize = AtomicUsize::new(0);

/// The most lines that wait: of a wait for thousands of operations, some seconds.
const MAX_WAITING: usize = 100_000;

/// A line, which is written as a whole.
struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if WAITING.load(Relaxed) >= MAX_WAITING {
            LOST.fetch_add(1, Relaxed);
            return Ok(line.len());
        }
        let text = String::from_utf8_lossy(line);
        let text = visible(text.trim_end_matches('\n')).into_owned() + "\n";
        WAITING.fetch_add(1, Relaxed);
        // The receiver lives as long as the process.
        let _ = WRITER.get_or_init(writer).send(Message::Line(text));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts the thread.
fn writer() -> mpsc::Sender<Message> {
    let (sender, messages) = mpsc::channel();
    thread::spawn(move || {
        for message in messages {
            match message {
                Message::Line(mut line) => {
                    let lost = LOST.swap(0, Relaxed);
                    if lost > 0 {
                        line += &format!(
                            "{lost} lines of -v are missing here: they are read too slowly\n"
                        );
                    }
                    // If nobody reads them, the exit code has to do.
                    let _ = io::stderr().lock().write_all(line.as_bytes());
                    WAITING.fetch_sub(1, Relaxed);
                    WRITTEN.fetch_add(1, Relaxed);
                }
                Message::Written(done) => _ = done.send(()),
            }
        }
    });
    sender
}

/// Waits until the lines so far are written, as long as somebody reads them.
pub fn drain() {
    let Some(writer) = WRITER.get() else { return };
    let (done, is_done) = mpsc::channel();
    if writer.send(Message::Written(done)).is_err() {
        return;
    }
    let mut written = WRITTEN.load(Relaxed);
    while let Err(mpsc::RecvTimeoutError::Timeout) = is_done.recv_timeout(LAST_WRITE) {
        let now = WRITTEN.load(Relaxed);
        if now == written {
            return;
        }
        written = now;
    }
}
