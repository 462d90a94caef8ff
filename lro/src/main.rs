//! `lro`: gets and waits for long-running operations, through the block.
//!
//! | what happens | module |
//! |---|---|
//! | the command line is read, a subcommand runs, the process exits | `command`, `exit`, `log` |
//! | a subcommand | `get`, `wait`, `services`, `emulate`, `demo` |
//! | flags and variables become settings, a credential, TLS | `connection` |
//! | a pasted secret is known by its form, and is not quoted | `credential_form`, `pasted` |
//! | names are read; each is asked for until it is done | `names`, `waiting` |
//! | a deadline or a signal ends a wait | `limits`, `signals` |
//! | a failure stops the whole wait, or ends one operation | `failure_scope` |
//! | a result is written; `--out` is resumed | `results`, `journal`, `asked_of` |
//! | progress is shown; ends are counted and summed up | `report`, `bars`, `progress`, `tally` |
//! | outputs and failures are printed, harmless to a terminal | `print`, `terminal`, `visible` |
#![deny(unsafe_code)]

mod asked_of;
mod bars;
mod command;
mod connection;
mod credential_form;
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
mod visible;
mod wait;
mod waiting;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    command::run().into()
}
