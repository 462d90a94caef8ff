//! `lro emulate`: a server that plays Google's services.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use operations_host::emulator::{self, Emulator};

use crate::{Stop, print};

/// Serve operations on loopback, to try the block with no account
///
/// operations/error-STATUS and operations/html-404 give failures.
#[derive(Args)]
pub struct Emulate {
    /// Port on 127.0.0.1; 0 lets the system choose
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Serve the JSON files of this folder, each an operation, instead of the three that are built in
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

impl Emulate {
    /// Serves until Ctrl-C.
    pub async fn run(self) -> Result<ExitCode, Stop> {
        let emulator = match &self.from {
            None => Emulator::builtin(),
            Some(dir) => Emulator::from_dir(dir).map_err(|error| Stop::usage(error.to_string()))?,
        };
        let served: Vec<(Option<&str>, String)> = match self.from {
            None => emulator::builtin_names()
                .map(|(service, name)| (Some(service), name.to_owned()))
                .into(),
            Some(_) => emulator
                .names()
                .map(|name| (None, name.to_owned()))
                .collect(),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let running = emulator.bind(address).await.map_err(|error| {
            Stop::usage(format!(
                "cannot listen on {address}: {error}; choose another --port, or 0"
            ))
        })?;
        let endpoint = running.endpoint();
        print::line(&format!(
            "serving {} operations at {endpoint}; Ctrl-C stops\n",
            served.len()
        ))?;
        for (service, name) in &served {
            let service = service
                .map(|service| format!(" --service {service}"))
                .unwrap_or_default();
            print::line(&format!("lro get {name}{service} --endpoint {endpoint}"))?;
        }
        running
            .serve_until(async {
                // Where Ctrl-C cannot be heard, the process ends by whatever ends it.
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
            })
            .await;
        Ok(ExitCode::SUCCESS)
    }
}
