//! What is typed: the subcommands, and what they have in common.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};

use crate::demo::Demo;
use crate::emulate::Emulate;
use crate::exit::{self, ExitCode, ExitError};
use crate::get::Get;
use crate::log;
use crate::services::Services;
use crate::terminal;
use crate::wait::Wait;

/// Gets the latest state of long-running operations, through the Get block
#[derive(Parser)]
#[command(name = "lro", version, after_help = after_help())]
struct Arguments {
    /// Show each request and its answer on standard error; never a credential
    #[arg(short, long, global = true, display_order = 100)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

fn after_help() -> String {
    format!(
        "{}\nA token comes from GOOGLE_OAUTH_ACCESS_TOKEN or --access-token-env, never from an argument, and stays \
         outside the sandbox. HTTPS_PROXY and NO_PROXY are followed. The compiled block is kept in ~/.cache/lro \
         ($XDG_CACHE_HOME/lro).",
        exit::codes()
    )
}

#[derive(Subcommand)]
enum Command {
    Get(Box<Get>),
    Wait(Box<Wait>),
    Services(Services),
    Emulate(Emulate),
    Demo(Demo),
}

/// Runs the command that was typed, and says on standard error why it ended early if it did.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_parsed(error),
    };
    log::start(arguments.verbose);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            return ExitError::permanent(format!("cannot start the async runtime: {error}")).show();
        }
    };
    // An error is shown while the runtime hears signals: standard error may be a pipe that nobody reads.
    let code = runtime.block_on(async {
        let ended = match arguments.command {
            Command::Get(get) => get.run().await,
            Command::Wait(wait) => wait.run().await,
            Command::Services(services) => services.run(),
            Command::Emulate(emulate) => emulate.run().await,
            Command::Demo(demo) => demo.run().await,
        };
        ended.unwrap_or_else(ExitError::show)
    });
    log::drain();
    // Dropping it would wait for what blocks a thread: a look-up that hangs, a reader that does not read.
    runtime.shutdown_background();
    code
}

/// Prints the help that was asked for, or what is wrong with the arguments.
fn not_parsed(mut error: clap::Error) -> ExitCode {
    let typed = error.get(ContextKind::InvalidSubcommand);
    if typed == Some(&ContextValue::String("poll".to_owned())) {
        let wait = ContextValue::Strings(vec!["wait".to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, wait);
    }
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    // It may quote an argument that would act on the terminal.
    let is_visible = |argument: OsString| {
        let argument = argument.to_string_lossy();
        terminal::visible(&argument) == argument
    };
    if std::env::args_os().all(is_visible) {
        // With colours. If it cannot be written, the exit code has to do.
        let _ = error.print();
    } else {
        for line in error.to_string().lines() {
            terminal::error_line(&terminal::visible(line));
        }
    }
    match is_help {
        true => ExitCode::Success,
        false => ExitCode::Usage,
    }
}
