//! How a call reaches its service: its settings, from flags or from this command's own environment, the
//! credential, which stays in the host, and TLS.

use std::env::{self, VarError};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::Args;
use operations_host::{
    Access, Block, Call, ClientIdentity, ConnectionsConfig, Host, HostConfig, Instances,
    LoadedBlock, Manifest, Pem, Proxy,
};

use crate::{Stop, causes};

/// Each flag sets the variable that its help names; without it the variable itself counts.
#[derive(Args, Default)]
pub struct Connection {
    /// Service that the operations are of, optionally with its version (OPERATIONS_SERVICE)
    #[arg(long, value_name = "SERVICE[/VERSION]", help_heading = "Connection")]
    service: Option<String>,
    /// Base URL, version included, to which /NAME is added (OPERATIONS_ENDPOINT)
    #[arg(long, value_name = "URL", help_heading = "Connection")]
    endpoint: Option<String>,
    /// Project that is charged for the call (GOOGLE_CLOUD_QUOTA_PROJECT)
    #[arg(long, value_name = "PROJECT", help_heading = "Connection")]
    quota_project: Option<String>,
    /// Replaces googleapis.com in hosts (GOOGLE_CLOUD_UNIVERSE_DOMAIN)
    #[arg(long, value_name = "DOMAIN", help_heading = "Connection")]
    universe_domain: Option<String>,
    /// Deadline of a call in milliseconds, retries included, 1 to 600000 (OPERATIONS_TIMEOUT_MS)
    #[arg(long, value_name = "MS", help_heading = "Connection")]
    timeout_ms: Option<String>,
    /// Attempts within the deadline, 1 to 10 (OPERATIONS_MAX_ATTEMPTS)
    #[arg(long, value_name = "N", help_heading = "Connection")]
    max_attempts: Option<String>,
    /// Component to run instead of the one that is built in
    #[arg(long, value_name = "PATH", help_heading = "Connection")]
    block: Option<PathBuf>,

    /// Where the credential comes from: adc (application default credentials), metadata (the machine's
    /// service account), or a credentials file of Google's
    #[arg(long, value_name = "adc|metadata|FILE", help_heading = "Access")]
    credentials: Option<String>,
    /// Environment variable that holds an access token made elsewhere [default: GOOGLE_OAUTH_ACCESS_TOKEN]
    #[arg(
        long,
        value_name = "VAR",
        help_heading = "Access",
        conflicts_with = "credentials"
    )]
    access_token_env: Option<String>,

    /// CA certificates to trust besides the platform's, as PEM; can be given several times
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    ca: Vec<PathBuf>,
    /// Certificate for endpoints that ask for one (mTLS), as PEM, followed by its chain
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "TLS",
        requires = "client_key"
    )]
    client_cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "TLS",
        requires = "client_cert"
    )]
    client_key: Option<PathBuf>,
}

/// The token of the environment, which goes to the host and not into the sandbox.
const TOKEN: &str = "GOOGLE_OAUTH_ACCESS_TOKEN";
const API_KEY: &str = "GOOGLE_API_KEY";

/// After how many calls an instance makes place for a new one.
const CALLS_PER_INSTANCE: NonZeroU32 = NonZeroU32::new(1000).unwrap();

impl Connection {
    /// A connection to an endpoint, with nothing else set by a flag.
    pub fn to(service: &str, endpoint: String) -> Connection {
        Connection {
            service: Some(service.to_owned()),
            endpoint: Some(endpoint),
            ..Connection::default()
        }
    }

    /// Loads the block, for so many calls at a time.
    pub fn load(&self, calls_in_flight: NonZeroU32) -> Result<LoadedBlock, Stop> {
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
        let config = HostConfig {
            instances: Instances::Reused {
                calls: CALLS_PER_INSTANCE,
            },
            calls_in_flight,
            cache: cache_folder(),
            connections: self.connections()?,
            access: self.access()?,
            ..HostConfig::default()
        };
        let host = Host::with(config).map_err(|error| Stop::usage(causes(&error)))?;
        host.load(&block)
            .map_err(|error| Stop::usage(causes(&error)))
    }

    fn connections(&self) -> Result<ConnectionsConfig, Stop> {
        let unfit = |error: operations_host::ConnectionsError| Stop::usage(causes(&error));
        let read = |file: &PathBuf| Pem::read(file).map_err(unfit);
        let client_identity = match (&self.client_cert, &self.client_key) {
            (Some(chain), Some(key)) => Some(ClientIdentity {
                chain: read(chain)?,
                key: read(key)?,
            }),
            _ => None,
        };
        Ok(ConnectionsConfig {
            extra_ca: self.ca.iter().map(read).collect::<Result<_, _>>()?,
            client_identity,
            proxy: Proxy::from_env().map(Into::into),
            ..ConnectionsConfig::default()
        })
    }

    fn access(&self) -> Result<Access, Stop> {
        let is_set = |variable: &str| env::var_os(variable).is_some_and(|value| !value.is_empty());
        // The block adds it where its call has one.
        let quota_project = self.quota_project.as_deref();
        let (access, source) = match (&self.credentials, &self.access_token_env) {
            (Some(source), _) => (
                match source.as_str() {
                    "adc" => Access::application_default(quota_project),
                    "metadata" => Access::metadata_server(quota_project),
                    file => Access::from_credentials_file(Path::new(file), quota_project),
                },
                "--credentials".to_owned(),
            ),
            (None, Some(variable)) => (Access::from_env(variable), variable.clone()),
            (None, None) if is_set(TOKEN) => (Access::from_env(TOKEN), TOKEN.to_owned()),
            (None, None) => return Ok(Access::none()),
        };
        if is_set(API_KEY) {
            return Err(Stop::usage(format!(
                "{API_KEY} and {source} are both set, and a request has one credential: unset one"
            )));
        }
        access.map_err(|error| Stop::usage(causes(&error)))
    }

    /// Asks for a token before the first call, where the host has a credential: a source that is down is
    /// known at once.
    pub async fn check_access(&self, block: &LoadedBlock) -> Result<(), Stop> {
        let service = self.setting("OPERATIONS_SERVICE")?.unwrap_or_default();
        let service = service.split('/').next().unwrap_or_default();
        block.check_access(service).await.map_err(|error| {
            let message = causes(&error);
            match error.is_transient() {
                true => Stop::transient(message),
                false => Stop::permanent(message),
            }
        })
    }

    /// A call for `name`, with the settings of the flags, else of the environment.
    pub fn call(&self, manifest: &Manifest, name: &str) -> Result<Call, Stop> {
        let mut call = Call::new(name);
        for setting in &manifest.settings {
            if setting.variable == TOKEN {
                continue;
            }
            if let Some(value) = self.setting(&setting.variable)? {
                call = call.setting(&setting.variable, value);
            }
        }
        Ok(call)
    }

    /// The value of a setting.
    fn setting(&self, variable: &str) -> Result<Option<String>, Stop> {
        if let Some(value) = self.flag(variable) {
            return Ok(Some(value.clone()));
        }
        match env::var(variable) {
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(Stop::usage(format!(
                "{variable} in the environment is not UTF-8"
            ))),
        }
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

/// Where compiled blocks are kept between commands (XDG Base Directory Specification); nowhere where no
/// such folder can be made, and then each command compiles the block anew.
fn cache_folder() -> Option<PathBuf> {
    let set = |variable| {
        env::var_os(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    let folder = caches.join("lro");
    match std::fs::create_dir_all(&folder) {
        Ok(()) => Some(folder),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "compiled blocks cannot be kept");
            None
        }
    }
}
