//! The figures of the host, in one run and side by side: `cargo bench --bench host`.
//!
//! Everything goes to one server, a process of its own on loopback with two threads, which gives every
//! request the same operation. What is compared takes turns, round after round, so that a busy machine
//! slows all of it; the ratios are the figures, the absolute times the machine's.
//! `cargo bench --bench host -- call tls` prints two sections of the table: there are `call`, `flight`,
//! `tls`, `instance`, `start` and `flood`; `reused` and `fresh` run one alone, for a profiler, with `sans-io-`
//! before it that of the block without imports, and with `-one` behind it one call after another.

mod clients;
mod flood;
mod measure;
mod server;
mod table;

use std::path::Path;
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

/// The allocator that `lro` has, for all that is compared.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["serve", ca_file] => two_threads().block_on(server::serve(ca_file)),
        ["flood", world, endpoint, calls, ca @ ..] => two_threads().block_on(flood::flood(
            world,
            endpoint,
            calls.parse().expect("a number of calls"),
            ca.first().map(Path::new),
        )),
        ["idle", endpoint, instances] => two_threads().block_on(flood::idle(
            endpoint,
            instances.parse().expect("a number of instances"),
        )),
        // `cargo bench` adds --bench.
        sections => {
            let named = |argument: &&&str| !argument.starts_with('-');
            let sections: Vec<&str> = sections.iter().filter(named).copied().collect();
            table::print(&two_threads(), &sections);
        }
    }
    ExitCode::SUCCESS
}

fn two_threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}
