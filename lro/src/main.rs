//! `lro`: gets and waits for long-running operations, through the block.
#![deny(unsafe_code)]

mod bars;
mod command;
mod connection;
mod demo;
mod emulate;
mod exit;
mod failure_scope;
mod get;
mod journal;
mod limits;
mod log;
mod names;
mod pasted;
mod print;
mod progress;
mod report;
mod results;
mod services;
mod signals;
mod tally;
mod terminal;
mod wait;
mod waiting;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    command::run().into()
}
