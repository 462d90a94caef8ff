//! A soak: 200 calls in flight for as long as is asked, against a server that answers and fails in every way,
//! and whether all of them are accounted for and nothing grows.
//!
//! `cargo run --release --example soak -- 3600` soaks for an hour; a second number is the seed of the answers
//! (1). Half of the calls are of a host with fresh instances, half of one with reused instances. It needs
//! Linux, and exits with 1 where a call is missing, counted twice or told other than the server has it, or
//! where memory, descriptors or connections of the last quarter are over those of the second.

mod answer;
mod calls;
mod ledger;
mod outcome;
mod samples;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::answer::Plan;
use crate::server::Server;

/// The allocator that `lro` has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
    let is_well = match arguments.as_slice() {
        ["serve", seed, large] => number(seed).map(|seed| {
            let has_large = *large == "large";
            server::serve(&runtime(), Plan { seed, has_large })
        }),
        [] => Some(soak(20, 1)),
        [seconds] => number(seconds).map(|seconds| soak(seconds, 1)),
        [seconds, seed] => number(seconds)
            .zip(number(seed))
            .map(|(seconds, seed)| soak(seconds, seed)),
        _ => None,
    };
    match is_well {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => {
            eprintln!("usage: soak [SECONDS [SEED]]");
            ExitCode::from(2)
        }
    }
}

/// From so many seconds on, some answers are large.
const LONG: u64 = 600;

/// Says whether all is well.
fn soak(seconds: u64, seed: u64) -> bool {
    let plan = Plan {
        seed,
        has_large: seconds >= LONG,
    };
    let mut server = Server::start(plan);
    let runtime = runtime();
    let (port, reports) = (server.port, server.reports());
    let time = Duration::from_secs(seconds);
    let samples = runtime.block_on(calls::run(port, plan, time, reports));
    let are_accounted_for = server.verdict();
    println!();
    let is_flat = samples.verdict();
    are_accounted_for && is_flat
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}
