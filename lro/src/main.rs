//! `lro`: gets and waits for long-running operations, through the block.
#![deny(unsafe_code)]

mod connection;
mod demo;
mod emulate;
mod get;
mod log;
mod names;
mod poll;
mod polling;
mod print;
mod record;
mod services;
mod wait;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gets the latest state of long-running operations, through the Get block
#[derive(Parser)]
#[command(name = "lro", version, after_help = EXIT_CODES)]
struct Arguments {
    /// Show on standard error what is asked and answered; never a credential
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 success; 1 permanent failure; 2 usage; 3 an operation failed (wait, poll); \
75 transient failure, try again later; 130 poll was interrupted.\nA token comes from GOOGLE_OAUTH_ACCESS_TOKEN or --access-token-env, never from an argument, and stays outside \
of the sandbox. HTTPS_PROXY and NO_PROXY are followed.";

#[derive(Subcommand)]
enum Command {
    Get(get::Get),
    Wait(wait::Wait),
    Poll(poll::Poll),
    Services(services::Services),
    Emulate(emulate::Emulate),
    Demo(demo::Demo),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log::start(arguments.verbose);
    let done = tokio::runtime::Runtime::new()
        .map_err(|error| Stop::permanent(format!("cannot start the async runtime: {error}")))
        .and_then(|runtime| runtime.block_on(run(arguments.command)));
    match done {
        Ok(code) => code,
        Err(Stop { code, message }) => {
            print::error_line(&format!("error: {message}"));
            ExitCode::from(code)
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, Stop> {
    match command {
        Command::Get(get) => get.run().await,
        Command::Wait(wait) => wait.run().await,
        Command::Poll(poll) => poll.run().await,
        Command::Services(services) => services.run(),
        Command::Emulate(emulate) => emulate.run().await,
        Command::Demo(demo) => demo.run().await,
    }
}

/// Why the command cannot go on.
struct Stop {
    code: u8,
    message: String,
}

/// EX_TEMPFAIL of sysexits.h: try again later.
const EX_TEMPFAIL: u8 = 75;

impl Stop {
    /// Exit code 2: what was typed, or is in a file that was named, cannot be used.
    fn usage(message: impl Into<String>) -> Stop {
        Stop {
            code: 2,
            message: message.into(),
        }
    }

    /// Exit code 75: try again later.
    fn transient(message: impl Into<String>) -> Stop {
        Stop {
            code: EX_TEMPFAIL,
            message: message.into(),
        }
    }

    /// Exit code 1: something on this machine is in the way.
    fn permanent(message: impl Into<String>) -> Stop {
        Stop {
            code: 1,
            message: message.into(),
        }
    }
}

/// An error with its causes, on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
