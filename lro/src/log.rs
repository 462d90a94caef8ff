//! What `-v` shows: each request with its answer, and how each call ended. It holds no credential, no name and
//! nothing of an answer.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Writes events of the host and of this command to standard error; without `-v` warnings alone.
pub fn start(verbose: bool) {
    let level = match verbose {
        true => Level::DEBUG,
        false => Level::WARN,
    };
    // Of no other crate: nobody has checked what they log for secrets.
    let ours = Targets::new()
        .with_target("operations_host", level)
        .with_target("lro", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_filter(ours);
    tracing_subscriber::registry().with(lines).init();
}
