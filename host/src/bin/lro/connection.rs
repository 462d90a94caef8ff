//! The settings of a call, from flags or from this command's own environment.

use std::env::{self, VarError};
use std::path::PathBuf;

use clap::Args;
use operations_host::{Block, Call, Host, LoadedBlock, Manifest};

use crate::{Stop, causes};

/// Each flag sets the variable that its help names; without it the variable itself counts.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Service that the operations are of, optionally with its version (OPERATIONS_SERVICE)
    #[arg(long, value_name = "SERVICE[/VERSION]")]
    service: Option<String>,
    /// Base URL, version included, to which /NAME is added (OPERATIONS_ENDPOINT)
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Project that is charged for the call (GOOGLE_CLOUD_QUOTA_PROJECT)
    #[arg(long, value_name = "PROJECT")]
    quota_project: Option<String>,
    /// Replaces googleapis.com in hosts (GOOGLE_CLOUD_UNIVERSE_DOMAIN)
    #[arg(long, value_name = "DOMAIN")]
    universe_domain: Option<String>,
    /// Deadline of a call in milliseconds, retries included, 1 to 600000 (OPERATIONS_TIMEOUT_MS)
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<String>,
    /// Attempts within the deadline, 1 to 10 (OPERATIONS_MAX_ATTEMPTS)
    #[arg(long, value_name = "N")]
    max_attempts: Option<String>,
    /// Component to run instead of the one that is built in
    #[arg(long, value_name = "PATH")]
    block: Option<PathBuf>,
}

impl Connection {
    /// A connection to an endpoint, with nothing else set by a flag.
    pub fn to(service: &str, endpoint: String) -> Connection {
        Connection {
            service: Some(service.to_owned()),
            endpoint: Some(endpoint),
            quota_project: None,
            universe_domain: None,
            timeout_ms: None,
            max_attempts: None,
            block: None,
        }
    }

    /// Loads the block.
    pub fn load(&self) -> Result<LoadedBlock, Stop> {
        let block = match &self.block {
            None => Block::builtin(),
            Some(path) => match std::fs::read(path) {
                Ok(component) => Block::new(component, Manifest::builtin()),
                Err(error) => {
                    return Err(Stop::usage(format!(
                        "the block {} cannot be read: {error}",
                        path.display()
                    )));
                }
            },
        };
        let host = Host::new().map_err(|error| Stop::permanent(causes(&error)))?;
        host.load(&block)
            .map_err(|error| Stop::usage(causes(&error)))
    }

    /// A call for `name`, with the settings of the flags, else of the environment.
    pub fn call(&self, manifest: &Manifest, name: &str) -> Result<Call, Stop> {
        let mut call = Call::new(name);
        for setting in &manifest.settings {
            let variable = setting.variable.as_str();
            let value = match self.flag(variable) {
                Some(value) => value.clone(),
                None => match env::var(variable) {
                    Ok(value) => value,
                    Err(VarError::NotPresent) => continue,
                    Err(VarError::NotUnicode(_)) => {
                        return Err(Stop::usage(format!(
                            "{variable} in the environment is not UTF-8"
                        )));
                    }
                },
            };
            call = call.setting(variable, value);
        }
        Ok(call)
    }

    fn flag(&self, variable: &str) -> Option<&String> {
        match variable {
            "OPERATIONS_SERVICE" => self.service.as_ref(),
            "OPERATIONS_ENDPOINT" => self.endpoint.as_ref(),
            "GOOGLE_CLOUD_QUOTA_PROJECT" => self.quota_project.as_ref(),
            "GOOGLE_CLOUD_UNIVERSE_DOMAIN" => self.universe_domain.as_ref(),
            "OPERATIONS_TIMEOUT_MS" => self.timeout_ms.as_ref(),
            "OPERATIONS_MAX_ATTEMPTS" => self.max_attempts.as_ref(),
            // Secrets are never arguments, which every process of the machine can read.
            _ => None,
        }
    }
}
