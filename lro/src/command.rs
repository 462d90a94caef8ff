//! What is typed: the subcommands, and what they have in common.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};

use crate::demo::Demo;
use crate::emulate::Emulate;
use crate::exit::{self, ExitCode, ExitError};
use crate::get::Get;
use crate::log;
use crate::pasted;
use crate::services::Services;
use crate::terminal;
use crate::visible::visible;
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
    drop_values(&mut error);
    // It may quote a short one that would act on the terminal.
    let is_visible = |argument: OsString| {
        let argument = argument.to_string_lossy();
        visible(&argument) == argument
    };
    if std::env::args_os().all(is_visible) {
        // With colours. If it cannot be written, the exit code has to do.
        let _ = error.print();
    } else {
        for line in error.to_string().lines() {
            terminal::error_line(&visible(line));
        }
    }
    match is_help {
        true => ExitCode::Success,
        false => ExitCode::Usage,
    }
}

/// Drops what was typed from an error, unless it is too short to tell anything or plainly the name of an option: it may
/// be a secret.
fn drop_values(error: &mut clap::Error) {
    let values = [ContextKind::InvalidValue, ContextKind::InvalidSubcommand];
    let arguments = match error.kind() {
        ErrorKind::UnknownArgument => &[ContextKind::InvalidArg][..],
        _ => &[],
    };
    for &kind in values.iter().chain(arguments) {
        let Some(ContextValue::String(typed)) = error.get(kind) else {
            continue;
        };
        if !(pasted::is_short(typed) || is_plainly_an_option(typed)) {
            error.insert(kind, ContextValue::String("(not shown)".to_owned()));
            // Such as how to pass it as a value.
            error.remove(ContextKind::Suggested);
        }
    }
}

/// Whether it is two hyphens and a few words, as options are.
fn is_plainly_an_option(text: &str) -> bool {
    let words = text.strip_prefix("--").unwrap_or_default().split('-');
    let is_word = |word: &str| {
        (1..=12).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    text.len() <= 24 && { words }.all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of these arguments.
    fn said(arguments: &[&str]) -> String {
        let arguments = [&["lro"], arguments].concat();
        let mut error = Arguments::try_parse_from(arguments).err().unwrap();
        drop_values(&mut error);
        error.to_string()
    }

    #[test]
    fn an_error_names_the_argument_and_not_its_value() {
        let secret = "made-up-secret-1";
        for (arguments, named) in [
            (&[secret][..], "unrecognized subcommand"),
            (&["help", secret], "unrecognized subcommand"),
            (&["get", "a", secret], "unexpected argument"),
            (&["demo", secret], "unexpected argument"),
            (&["get", "--made-up-secret-1"], "unexpected argument"),
            (&["get", "-----BEGIN made-up-secret"], "unexpected argument"),
            (&["-v=made-up-secret", "get"], "unexpected"),
            (&["--verbose=made-up-secret", "get"], "--verbose"),
            (&["get", "a", "--output", secret], "--output"),
            (&["services", "--output", secret], "--output"),
            (&["get", "a", "--timeout-ms", secret], "--timeout-ms"),
            (&["get", "a", "--timeout-ms", "1234567890"], "--timeout-ms"),
            (&["get", "a", "--max-attempts", secret], "--max-attempts"),
            (&["wait", "a", "--jobs", secret], "--jobs"),
            (&["wait", "a", "--deadline", secret], "--deadline"),
            (&["wait", "a", "--deadline", "1madeupsecret"], "--deadline"),
            (&["emulate", "--port", secret], "--port"),
            (&["emulate", "--port", "1234567890"], "--port"),
        ] {
            let said = said(arguments);
            assert!(said.contains(named), "{said}");
            for typed in ["made-up", "madeup", "12345678"] {
                assert!(!said.contains(typed), "{said}");
            }
        }
    }

    #[test]
    fn what_is_short_or_plainly_an_option_is_shown() {
        for (arguments, shown) in [
            (&["poll"][..], "'poll'"),
            (&["get", "a", "--timeout", "1"], "'--timeout'"),
            (&["get", "a", "--output", "jsno"], "'jsno'"),
            (&["get", "a", "--max-attempts", "11"], "'11'"),
            (&["get", "a", "--max-attempts", "11"], "from 1 to 10"),
        ] {
            let said = said(arguments);
            assert!(said.contains(shown), "{said}");
        }
    }
}
