//! `lro get`: one call.

use std::num::NonZeroU32;

use clap::Args;
use tracing::Instrument;

use crate::connection::Connection;
use crate::exit::{ExitCode, ExitError};
use crate::print::{self, Format};
use crate::{log, terminal};

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
        let block = self.connection.load(NonZeroU32::MIN)?;
        let call = self.connection.call(block.manifest(), &self.name)?;
        let span = log::operation(&self.name);
        match block.call(&call).instrument(span).await {
            Ok(outputs) => {
                print::line(&print::outputs(block.manifest(), &outputs, self.output))?;
                Ok(ExitCode::Success)
            }
            Err(mut error) => {
                let code = match self.connection.is_misused(&mut error) {
                    true => ExitCode::Usage,
                    false => ExitCode::from(&error),
                };
                terminal::error_line(&print::failure(&self.name, &error, self.output));
                Ok(code)
            }
        }
    }
}
