//! `manifest.json`: what a visual editor reads to draw, document, configure and permit a block.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A manifest, as far as a host needs it. `manifest.schema.json` describes the whole.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The block's id, `google-longrunning.operations.get`.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its name for people.
    pub label: String,
    /// What it does, in a sentence.
    pub description: String,
    /// The function of the component that it describes.
    pub component: Function,
    /// The input variables.
    pub inputs: Vec<Input>,
    /// The output variables, in the order in which they are shown.
    pub outputs: Vec<Output>,
    /// What an operator sets.
    pub settings: Vec<Setting>,
    /// What a host has to grant.
    pub permissions: Permissions,
    /// The kinds of failure.
    pub errors: Vec<ReasonEntry>,
    /// Examples of calls.
    pub samples: Vec<Sample>,
}

/// Which function of a component a manifest describes.
#[derive(Debug, Clone, Deserialize)]
pub struct Function {
    /// Its WIT package, with its version.
    pub package: String,
    /// The interface that the component exports.
    pub interface: String,
    /// The function in it.
    pub function: String,
}

/// An input variable.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// Its name.
    pub variable: String,
    /// The parameter of the WIT function.
    pub field: String,
}

/// An output variable.
#[derive(Debug, Clone, Deserialize)]
pub struct Output {
    /// Its name, such as `error.details[].customKey.value`.
    pub variable: String,
    /// The field of the WIT record that holds it, such as `error-details-custom-key-value`.
    pub field: String,
    /// STRING, BOOLEAN, INTEGER, OBJECT or ANY.
    pub format: String,
}

/// A setting of the operator's.
#[derive(Debug, Clone, Deserialize)]
pub struct Setting {
    /// The environment variable that carries it.
    pub variable: String,
    /// What it means.
    pub description: String,
    /// Whether it is never to be shown, logged or stored in the clear.
    pub secret: bool,
    /// What an editor offers, for the setting that names a service.
    #[serde(default)]
    pub options: Vec<ServiceOption>,
}

/// A service of the catalogue.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct ServiceOption {
    /// Its name, `apigateway.googleapis.com`: the value of the setting.
    pub value: String,
    /// Its title, for people.
    pub label: String,
    /// Its versions, the preferred one first.
    pub versions: Vec<String>,
    /// The patterns of names that it publishes, over all versions.
    pub names: Vec<String>,
    /// The OAuth scopes of which a token needs one.
    pub scopes: Vec<String>,
    /// The hosts that serve it.
    pub hosts: Vec<String>,
}

/// What a host has to grant.
#[derive(Debug, Clone, Deserialize)]
pub struct Permissions {
    /// Outgoing HTTP.
    pub network: Network,
}

/// Outgoing HTTP.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Hosts that are reached by `https` on port 443.
    pub allowed_hosts: Vec<String>,
    /// The methods that are used.
    pub methods: Vec<String>,
}

/// A kind of failure.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasonEntry {
    /// The `reason` of the contract.
    pub reason: String,
    /// `permanent` or `transient`.
    pub case: String,
    /// What to do about it.
    pub what_to_do: String,
}

/// An example of a call.
#[derive(Debug, Clone, Deserialize)]
pub struct Sample {
    /// What it shows.
    pub label: String,
    /// The inputs, by variable.
    pub inputs: Box<RawValue>,
    /// All outputs, by variable.
    pub outputs: Box<RawValue>,
}

impl Manifest {
    /// The manifest of the block that this crate was built with.
    pub fn builtin() -> Manifest {
        Manifest::parse(include_str!("../../manifest.json"))
            .expect("the tests hold it against its schema")
    }

    /// The services that the block can be asked about, sorted by name.
    pub fn services(&self) -> impl Iterator<Item = &ServiceOption> {
        self.settings.iter().flat_map(|setting| &setting.options)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// Says which member is missing or of the wrong type, with line and column.
    pub fn parse(text: &str) -> serde_json::Result<Manifest> {
        serde_json::from_str(text)
    }
}
