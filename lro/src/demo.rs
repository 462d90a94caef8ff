//! `lro demo`: emulator and block in one process.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;
use operations_emulator::{self as emulator, Emulator};
use operations_host::{Backoff, Call, NotDone, Outputs};
use tokio::time::{Instant, sleep};

use crate::bars::{Bars, DRAWN_EVERY};
use crate::connection::Connection;
use crate::exit::{ExitCode, ExitError, with_causes};
use crate::print::{self, Format};
use crate::progress::Progress;
use crate::terminal;

/// Wait for one operation of each of three services, with no account and no network
///
/// One succeeds, one fails, and one is a zero-touch batch that ends with a failed device.
#[derive(Args)]
pub struct Demo {}

/// Long enough for operations that run for a few seconds on any machine.
const DEADLINE: Duration = Duration::from_secs(60);

impl Demo {
    /// Prints the outputs of each operation, once done.
    pub async fn run(self) -> Result<ExitCode, ExitError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = Emulator::builtin().bind(address).await.map_err(|error| {
            ExitError::permanent(format!("cannot listen on {address}: {error}"))
        })?;
        let services = emulator::builtin_names();
        print::line(
            "An emulator plays three services on loopback; the block asks until each operation is done.",
        )?;

        let block = Connection::to(services[0].0, running.endpoint()).load(NonZeroU32::MIN)?;
        let names = services.map(|(_, name)| name.to_owned());
        let bars = RefCell::new(Bars::on_terminal(names.len(), &names));
        let deadline = Some(Instant::now() + DEADLINE);
        let wait = async |number: usize| {
            let (service, name) = services[number];
            let call = Call::new(name)
                .setting("OPERATIONS_SERVICE", service)
                .setting("OPERATIONS_ENDPOINT", running.endpoint());
            let on_call = |result: &_| {
                if let Some(bars) = bars.borrow_mut().as_mut() {
                    bars.goes_on(number, &Progress::from(result));
                }
            };
            let backoff = Backoff::default();
            block.until_done(&call, backoff, deadline, on_call).await
        };
        let draw = async {
            loop {
                if let Some(bars) = bars.borrow_mut().as_mut() {
                    terminal::to_standard_error(&bars.draw(""));
                }
                sleep(DRAWN_EVERY).await;
            }
        };
        let waits = async { tokio::join!(wait(0), wait(1), wait(2)) };
        let (first, second, third) = tokio::select! {
            ended = waits => ended,
            () = draw => unreachable!("it draws for ever"),
        };
        if let Some(bars) = bars.borrow_mut().as_mut() {
            terminal::to_standard_error(&bars.erase());
        }
        for ((service, _), ended) in services.into_iter().zip([first, second, third]) {
            let outputs = ended.map_err(|not_done| match not_done {
                NotDone::Failed(error) | NotDone::Deadline { last: Some(error) } => {
                    ExitError::permanent(with_causes(&error))
                }
                NotDone::Deadline { last: None } => {
                    ExitError::permanent("an operation of the demo did not finish")
                }
            })?;
            print::line(&format!("\n{service}: {}", headline(&outputs)))?;
            print::line(&print::outputs(block.manifest(), &outputs, Format::Table))?;
        }
        Ok(ExitCode::Success)
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
