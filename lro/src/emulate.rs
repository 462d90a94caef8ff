//! `lro emulate`: a server that plays Google's services.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use operations_emulator::{self as emulator, Emulator};

use crate::exit::{ExitCode, ExitError};
use crate::pasted;
use crate::print;
use crate::signals::Interrupted;
use crate::visible::is_invisible;

/// Serve operations on loopback, to try the block with no account
///
/// operations/error-STATUS gives a failure, for STATUS 400, 401, 403, 404, 409, 429, 500, 501, 502, 503 and
/// 504; operations/html-404 gives the page of a wrong address. With -v, each request is shown with its answer.
#[derive(Args)]
pub struct Emulate {
    /// Port on 127.0.0.1; 0 lets the system choose
    #[arg(long, value_name = "PORT", default_value_t = 0, value_parser = port)]
    port: u16,
    /// Serve the JSON files of this folder, each an operation, instead of the three that are built in
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

/// Reads a port. The error quotes nothing.
fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().map_err(|_| "choose a number from 0 to 65535")
}

impl Emulate {
    /// Serves until Ctrl-C or SIGTERM.
    pub async fn run(self) -> Result<ExitCode, ExitError> {
        let emulator = match &self.from {
            None => Emulator::builtin(),
            Some(dir) => {
                let dir = pasted::path("--from", dir.as_os_str())?;
                Emulator::from_dir(dir).map_err(|error| ExitError::usage(error.to_string()))?
            }
        };
        let served: Vec<(Option<&str>, String)> = match self.from {
            None => emulator::builtin_names()
                .map(|(service, name)| (Some(service), name.to_owned()))
                .into(),
            Some(_) => emulator
                .names()
                .map(|name| (emulator::service_of(name), name.to_owned()))
                .collect(),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let running = emulator.bind(address).await.map_err(|error| {
            ExitError::usage(format!(
                "cannot listen on {address}: {error}; choose another --port, or 0"
            ))
        })?;
        let endpoint = running.endpoint();
        let count = match served.len() {
            1 => "1 operation".to_owned(),
            count => format!("{count} operations"),
        };
        print::line(&format!("serving {count} at {endpoint}; Ctrl-C stops\n"))?;
        for (service, name) in &served {
            let service = service
                .map(|service| format!(" --service {service}"))
                .unwrap_or_default();
            print::line(&format!(
                "lro get {}{service} --endpoint {endpoint}",
                quoted(name)
            ))?;
        }
        let mut interrupted = Interrupted::listen();
        running.serve_until(interrupted.wait()).await;
        Ok(ExitCode::Success)
    }
}

/// A name as a shell takes it for one word. What could act on the terminal is shown as `?`.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./~:@%+,=".contains(c);
    if name.chars().all(plain) {
        return name.to_owned();
    }
    let shown: String = name
        .chars()
        .map(|c| if is_invisible(c) { '?' } else { c })
        .collect();
    format!("'{}'", shown.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_of_a_shell() {
        assert_eq!(
            quoted("projects/p/operations/o-1_a.b~c"),
            "projects/p/operations/o-1_a.b~c"
        );
        assert_eq!(
            quoted("operations/it's; rm x"),
            r"'operations/it'\''s; rm x'"
        );
        assert_eq!(
            quoted("operations/\u{1b}[31m\u{202e}"),
            "'operations/?[31m?'"
        );
    }
}
