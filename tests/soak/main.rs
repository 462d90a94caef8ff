//! A soak: 200 calls in flight until there were as many as is asked, against a server that answers and fails in every
//! way, and whether all of them are accounted for and nothing grows.
//!
//! `cargo run --release --example soak -- 5000` makes five million calls, which takes about an hour; without a number
//! it makes 20,000. A second number is the seed of the answers (1). Half of the calls are made by a host with fresh
//! instances, half by one with reused instances. It needs Linux, and exits with 1 if a call is missing, counted twice
//! or reported differently from the server's record, or if memory, descriptors or connections of the last quarter
//! exceed those of the second. It counts, and times nothing: how busy the machine is changes no verdict.

mod calls;
mod ledger;
mod outcome;
mod plan;
mod samples;
mod server;

use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use crate::plan::Plan;
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
        [thousands] => number(thousands).map(|thousands| soak(thousands, 1)),
        [thousands, seed] => number(thousands)
            .zip(number(seed))
            .map(|(thousands, seed)| soak(thousands, seed)),
        _ => None,
    };
    match is_well {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => {
            eprintln!("usage: soak [THOUSANDS-OF-CALLS [SEED]]");
            ExitCode::from(2)
        }
    }
}

/// From so many thousands of calls on, some answers are large.
const LONG: u64 = 1000;

/// Says whether all is well.
fn soak(thousands: u64, seed: u64) -> bool {
    let plan = Plan {
        seed,
        has_large: thousands >= LONG,
    };
    let calls = u32::try_from(thousands * 1000).expect("at most four billion calls");
    let mut server = Server::start(plan);
    let runtime = runtime();
    let (port, reports) = (server.port, server.reports());
    let samples = runtime.block_on(calls::run(port, plan, calls, reports));
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
