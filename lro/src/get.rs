//! `lro get`: one call.

use std::num::NonZeroU32;

use clap::Args;
use operations_host::{CallError, Failure, Reason};
use tracing::Instrument;

use crate::connection::Connection;
use crate::exit::{ExitCode, ExitError};
use crate::print::{self, Format};
use crate::{log, names, terminal};

/// Get the latest state of one operation
#[derive(Args)]
pub struct Get {
    /// Name of the operation, relative or full
    ///
    /// operations/abc, projects/p/locations/l/operations/o, or
    /// //apigateway.googleapis.com/projects/p/locations/l/operations/o
    name: String,
    #[command(flatten)]
    connection: Connection,
    /// How to print the outputs, and the failure on standard error
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

impl Get {
    /// Calls the block once and prints the eleven outputs.
    pub async fn run(self) -> Result<ExitCode, ExitError> {
        if self.connection.is_secret(&self.name) {
            let error = CallError::Permanent(Failure {
                reason: Reason::InvalidName,
                message: names::is_a_secret("the NAME"),
                concerns_caller: false,
                http_status: None,
                service_error: None,
                retry_after_ms: None,
            });
            terminal::error_line(&print::failure("[credential]", &error, self.output));
            return Ok(ExitCode::from(&error));
        }
        let block = self.connection.load(NonZeroU32::MIN)?;
        let call = self.connection.call(block.manifest(), &self.name)?;
        let span = log::operation(&self.name);
        match block.call(&call).instrument(span).await {
            Ok(outputs) => {
                print::line(&print::outputs(block.manifest(), &outputs, self.output))?;
                Ok(ExitCode::Success)
            }
            Err(mut error) => {
                self.connection.reword(&mut error);
                terminal::error_line(&print::failure(&self.name, &error, self.output));
                Ok(ExitCode::from(&error))
            }
        }
    }
}
