//! `lro demo`: emulator and block in one process.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::MultiProgress;
use operations_emulator::{self as emulator, Emulator};
use operations_host::{Call, Outputs};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::polling::{self, NotDone};
use crate::print::{self, Format};
use crate::{Stop, causes};

/// Poll one operation of each of three services until they end, with no account and no network
///
/// One succeeds, one fails, and one is a zero-touch batch that ends with a failed device.
#[derive(Args)]
pub struct Demo {}

/// Long enough for operations that run for a few seconds on any machine.
const DEADLINE: Duration = Duration::from_secs(60);

impl Demo {
    /// Prints the outputs of each operation, once done.
    pub async fn run(self) -> Result<ExitCode, Stop> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = Emulator::builtin().bind(address).await;
        let running = running
            .map_err(|error| Stop::permanent(format!("cannot listen on {address}: {error}")))?;
        let services = emulator::builtin_names();
        print::line(
            "An emulator plays three services on loopback; the block asks until each operation is done.",
        )?;

        let block = Connection::to(services[0].0, running.endpoint()).load(NonZeroU32::MIN)?;
        let bars = MultiProgress::new();
        let deadline = Instant::now() + DEADLINE;
        let waits = services.map(|(service, name)| {
            let call = Call::new(name)
                .setting("OPERATIONS_SERVICE", service)
                .setting("OPERATIONS_ENDPOINT", running.endpoint());
            let bar = bars.add(polling::bar(name));
            let block = &block;
            async move {
                let ended = polling::until_done(block, &call, deadline, &bar).await;
                bar.finish_and_clear();
                ended
            }
        });
        let [first, second, third] = waits;
        let (first, second, third) = tokio::join!(first, second, third);
        for ((service, _), ended) in services.into_iter().zip([first, second, third]) {
            let outputs = ended.map_err(|not_done| match not_done {
                NotDone::Failed(error) | NotDone::Deadline(Some(error)) => {
                    Stop::permanent(causes(&error))
                }
                NotDone::Deadline(None) => Stop::permanent("an operation of the demo did not end"),
            })?;
            print::line(&format!("\n{service}: {}", headline(&outputs)))?;
            print::outputs(block.manifest(), &outputs, Format::Table)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// How an operation ended, as a flow should read it.
fn headline(outputs: &Outputs) -> &'static str {
    let is_zero_touch =
        |response: &String| response.contains("DevicesLongRunningOperationResponse");
    if outputs.error.is_some() {
        "failed"
    } else if outputs.response.as_ref().is_some_and(is_zero_touch) {
        "done without an error; a device that failed is inside response"
    } else {
        "succeeded"
    }
}
