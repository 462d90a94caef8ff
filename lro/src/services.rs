//! `lro services`: what the catalogue has.

use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table};
use operations_host::{Manifest, ServiceOption};
use serde::Serialize;

use crate::exit::{ExitCode, ExitError};
use crate::print;

/// List the services whose operations can be read: versions, name patterns, scopes
#[derive(Args)]
pub struct Services {
    /// Only services whose name, title or a name pattern contains this, in any case
    filter: Option<String>,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    output: ListFormat,
}

/// How to print a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
enum ListFormat {
    /// For people: a table with a row for each service
    #[default]
    Table,
    /// For programs: one JSON object a line, each with service, title, versions, names, scopes and hosts
    Json,
}

/// A service, as `--output json` prints it.
#[derive(Serialize)]
struct Service<'a> {
    service: &'a str,
    title: &'a str,
    versions: &'a [String],
    names: &'a [String],
    scopes: &'a [String],
    hosts: &'a [String],
}

impl Services {
    /// Prints the services of the manifest, sorted by name.
    pub fn run(self) -> Result<ExitCode, ExitError> {
        let manifest = Manifest::builtin();
        let filter = self.filter.unwrap_or_default().to_lowercase();
        let found: Vec<Service> = manifest
            .services()
            .filter(|service| contains(service, &filter))
            .map(|service| Service {
                service: &service.value,
                title: &service.label,
                versions: &service.versions,
                names: &service.names,
                scopes: &service.scopes,
                hosts: &service.hosts,
            })
            .collect();
        if found.is_empty() {
            // What was typed may be a secret.
            return Err(ExitError::permanent(
                "no service has that in its name, title or name patterns; without a filter all are listed",
            ));
        }
        match self.output {
            ListFormat::Json => {
                for service in found {
                    let line = serde_json::to_string(&service);
                    print::line(&line.map_err(|error| ExitError::permanent(error.to_string()))?)?;
                }
            }
            ListFormat::Table => print::line(&table(&found).to_string())?,
        }
        Ok(ExitCode::Success)
    }
}

fn contains(service: &ServiceOption, filter: &str) -> bool {
    let has = |text: &String| text.to_lowercase().contains(filter);
    has(&service.value) || has(&service.label) || service.names.iter().any(has)
}

fn table(services: &[Service]) -> Table {
    let mut table = print::table(["service", "versions", "names", "scopes"]);
    if !table.is_tty() {
        // A host name that is broken over two lines is found by no `grep`.
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    for service in services {
        let scopes: Vec<&str> = service
            .scopes
            .iter()
            .map(|scope| {
                scope
                    .strip_prefix("https://www.googleapis.com/auth/")
                    .unwrap_or(scope)
            })
            .collect();
        table.add_row([
            format!("{}\n{}", service.service, service.title),
            service.versions.join("\n"),
            service.names.join("\n"),
            scopes.join("\n"),
        ]);
    }
    table
}
