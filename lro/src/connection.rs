//! How a call reaches its service: its settings, from flags or from this command's own environment, the
//! credential, which stays in the host, and TLS.

use std::env::{self, VarError};
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::Args;
use operations_host::{
    Access, Block, Call, CallError, ClientIdentity, ConnectionsConfig, Host, HostConfig, Instances,
    LoadedBlock, Manifest, Pem, Proxy, Reason,
};

use crate::asked_of::AskedOf;
use crate::credential_form::CredentialForm;
use crate::exit::{ExitError, with_causes};
use crate::{names, pasted};

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
    #[arg(long, value_name = "MS", value_parser = whole_number(600_000), help_heading = "Connection")]
    timeout_ms: Option<u32>,
    /// Attempts within the deadline, 1 to 10 (OPERATIONS_MAX_ATTEMPTS)
    #[arg(long, value_name = "N", value_parser = whole_number(10), help_heading = "Connection")]
    max_attempts: Option<u32>,
    /// Component to run instead of the one that is built in
    #[arg(long, value_name = "PATH", help_heading = "Connection")]
    block: Option<PathBuf>,

    // A PEM that is pasted for its path begins with hyphens: clap would take it for an argument that it does not know.
    /// Where the credential comes from: adc (application default credentials), metadata (the machine's
    /// service account), or a credentials file of Google's
    #[arg(
        long,
        value_name = "adc|metadata|FILE",
        help_heading = "Access",
        allow_hyphen_values = true
    )]
    credentials: Option<String>,
    /// Environment variable that holds an access token made elsewhere [default: GOOGLE_OAUTH_ACCESS_TOKEN]
    #[arg(
        long,
        value_name = "VAR",
        help_heading = "Access",
        allow_hyphen_values = true,
        conflicts_with = "credentials"
    )]
    access_token_env: Option<String>,
    /// Universe that the access token is of, if not googleapis.com: it is sent to no other
    #[arg(long, value_name = "DOMAIN", help_heading = "Access")]
    token_universe: Option<String>,

    /// CA certificates to trust besides the platform's, as PEM; can be given several times
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "TLS",
        allow_hyphen_values = true
    )]
    ca: Vec<PathBuf>,
    /// Certificate for endpoints that ask for one (mTLS), as PEM, followed by its chain
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "TLS",
        allow_hyphen_values = true,
        requires = "client_key"
    )]
    client_cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "TLS",
        allow_hyphen_values = true,
        requires = "client_cert"
    )]
    client_key: Option<PathBuf>,
}

/// The token of the environment, which goes to the host and not into the sandbox.
const TOKEN: &str = "GOOGLE_OAUTH_ACCESS_TOKEN";
const API_KEY: &str = "GOOGLE_API_KEY";

/// A shorter token may be in a name by chance.
const SHORTEST_TOKEN: usize = 8;

/// After how many calls a new instance replaces one.
const CALLS_PER_INSTANCE: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// Reads a number from 1 to `max`. The error quotes nothing.
fn whole_number(max: u32) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| {
        let number = text.parse().ok();
        let in_range = number.filter(|number| (1..=max).contains(number));
        in_range.ok_or_else(|| format!("set a whole number from 1 to {max}"))
    }
}

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
    pub fn load(&self, calls_in_flight: NonZeroU32) -> Result<LoadedBlock, ExitError> {
        let block = match &self.block {
            None => Block::builtin(),
            Some(path) => {
                let path = pasted::path("--block", path.as_os_str())?;
                let component = std::fs::read(path).map_err(|error| {
                    let shown = path.display();
                    ExitError::usage(format!("cannot read the block {shown}: {error}"))
                })?;
                Block::new(component, Manifest::builtin())
            }
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
        let host = Host::with(config).map_err(|error| ExitError::usage(with_causes(&error)))?;
        host.load(&block)
            .map_err(|error| ExitError::usage(with_causes(&error)))
    }

    fn connections(&self) -> Result<ConnectionsConfig, ExitError> {
        let unfit =
            |error: operations_host::ConnectionsError| ExitError::usage(with_causes(&error));
        // Their errors name the files, too.
        for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            let set = exported(variable).unwrap_or_default();
            for path in env::split_paths(&set) {
                pasted::path(variable, path.as_os_str())?;
            }
        }
        let read = |option: &str, file: &PathBuf| {
            Pem::read(pasted::path(option, file.as_os_str())?).map_err(unfit)
        };
        let client_identity = match (&self.client_cert, &self.client_key) {
            (Some(chain), Some(key)) => Some(ClientIdentity {
                chain: read("--client-cert", chain)?,
                key: read("--client-key", key)?,
            }),
            _ => None,
        };
        let extra_ca = self.ca.iter().map(|file| read("--ca", file));
        Ok(ConnectionsConfig {
            extra_ca: extra_ca.collect::<Result<_, _>>()?,
            client_identity,
            proxy: Proxy::from_variables(proxy_variable).map(Into::into),
            ..ConnectionsConfig::default()
        })
    }

    /// Where the credential comes from: what was typed, else the token of the environment.
    fn access(&self) -> Result<Access, ExitError> {
        // The block adds it where its call has one.
        let quota_project = self.quota_project.as_deref();
        let access = match (&self.credentials, &self.access_token_env) {
            (Some(source), _) => match source.as_str() {
                "adc" => {
                    for variable in ["GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG"] {
                        if let Some(path) = exported(variable) {
                            pasted::path(variable, &path)?;
                        }
                    }
                    Access::application_default(quota_project)
                }
                "metadata" => Access::metadata_server(quota_project),
                file => {
                    let file = pasted::path("--credentials", file.as_ref())?;
                    Access::from_credentials_file(file, quota_project)
                }
            },
            (None, Some(variable)) => {
                Access::from_env(pasted::variable("--access-token-env", variable)?)
            }
            (None, None) if exported(TOKEN).is_none() => return Ok(Access::none()),
            (None, None) if exported(API_KEY).is_some() => {
                return Err(ExitError::usage(format!(
                    "{API_KEY} and {TOKEN} are both set, and a request has one credential: unset one"
                )));
            }
            (None, None) => Access::from_env(TOKEN),
        };
        let access = access.map_err(|error| ExitError::usage(with_causes(&error)))?;
        Ok(match &self.token_universe {
            Some(domain) => access.in_universe(domain),
            None => access,
        })
    }

    /// Whether a flag says where the credential comes from. It wins over all that is exported.
    fn names_a_credential(&self) -> bool {
        self.credentials.is_some() || self.access_token_env.is_some()
    }

    /// Asks for a token before the first call, where the host has a credential: so a source that is down is
    /// known at once.
    pub async fn check_access(&self, block: &LoadedBlock) -> Result<(), ExitError> {
        let service = self.setting("OPERATIONS_SERVICE")?.unwrap_or_default();
        let service = service.split('/').next().unwrap_or_default();
        block.check_access(service).await.map_err(|error| {
            let message = with_causes(&error);
            match error.is_transient() {
                true => ExitError::transient(message),
                false => ExitError::permanent(message),
            }
        })
    }

    /// A call for `name`, with the settings of the flags, else of the environment.
    pub fn call(&self, manifest: &Manifest, name: &str) -> Result<Call, ExitError> {
        let mut call = Call::new(name);
        for setting in &manifest.settings {
            let variable = setting.variable.as_str();
            if variable == TOKEN || (variable == API_KEY && self.names_a_credential()) {
                continue;
            }
            if let Some(value) = self.setting(variable)? {
                call = call.setting(variable, value);
            }
        }
        Ok(call)
    }

    /// Of whom operations are asked for.
    pub fn asked_of(&self) -> Result<AskedOf, ExitError> {
        let set = |variable| {
            let value = self.setting(variable)?;
            Ok::<_, ExitError>(value.filter(|value| !value.is_empty()))
        };
        Ok(AskedOf {
            endpoint: set("OPERATIONS_ENDPOINT")?,
            service: set("OPERATIONS_SERVICE")?,
            universe_domain: set("GOOGLE_CLOUD_UNIVERSE_DOMAIN")?,
        })
    }

    /// The value of a setting.
    fn setting(&self, variable: &str) -> Result<Option<String>, ExitError> {
        let (given, value) = match self.flag(variable) {
            Some((flag, value)) => (flag, value),
            None => match env::var(variable) {
                Ok(value) => (variable, value),
                Err(VarError::NotPresent) => return Ok(None),
                Err(VarError::NotUnicode(_)) => {
                    return Err(ExitError::usage(format!(
                        "{variable} in the environment is not UTF-8"
                    )));
                }
            },
        };
        let form = match variable {
            TOKEN | API_KEY => None,
            // The block does not quote it, and the name of a host may be a random one.
            "OPERATIONS_ENDPOINT" => CredentialForm::of_name(&value),
            _ => CredentialForm::of(&value),
        };
        match form {
            None => Ok(Some(value)),
            Some(_) => Err(pasted::looks_like_a_credential(given)),
        }
    }

    /// The flag that sets this variable, with its value, if it was typed.
    fn flag(&self, variable: &str) -> Option<(&'static str, String)> {
        let number = |value: u32| value.to_string();
        match variable {
            "OPERATIONS_SERVICE" => Some("--service").zip(self.service.clone()),
            "OPERATIONS_ENDPOINT" => Some("--endpoint").zip(self.endpoint.clone()),
            "OPERATIONS_TIMEOUT_MS" => Some("--timeout-ms").zip(self.timeout_ms.map(number)),
            "OPERATIONS_MAX_ATTEMPTS" => Some("--max-attempts").zip(self.max_attempts.map(number)),
            "GOOGLE_CLOUD_QUOTA_PROJECT" => Some("--quota-project").zip(self.quota_project.clone()),
            "GOOGLE_CLOUD_UNIVERSE_DOMAIN" => {
                Some("--universe-domain").zip(self.universe_domain.clone())
            }
            _ => None,
        }
    }

    /// Whether a name is, or holds, a credential: one that looks like it, or the one that calls are sent with.
    pub fn is_secret(&self, name: &str) -> bool {
        let variables = [self.access_token_env.as_deref(), Some(TOKEN), Some(API_KEY)];
        let mut exported = variables.into_iter().flatten().filter_map(exported);
        let name_in_lower_case = name.to_ascii_lowercase();
        names::looks_like_a_credential(name)
            || exported.any(|credential| {
                let credential = credential.to_string_lossy().trim().to_ascii_lowercase();
                credential.len() >= SHORTEST_TOKEN && name_in_lower_case.contains(&credential)
            })
    }

    /// An error of a call in the words of the command line.
    pub fn reword(&self, error: &mut CallError) {
        if let CallError::Permanent(failure) | CallError::Transient(failure) = error {
            if failure.reason == Reason::InvalidSetting
                && let Some(message) = without_value(&failure.message)
            {
                failure.message = message;
            }
            failure.message = self.reworded(&failure.message);
        }
    }

    /// A message with the flags that were typed in place of the variables that they set.
    pub fn reworded(&self, message: &str) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = message.split_inclusive(|c| !is_word(c)).map(|word| {
            let variable = word.trim_end_matches(|c| !is_word(c));
            match self.flag(variable) {
                Some((flag, _)) => format!("{flag}{}", &word[variable.len()..]),
                None => word.to_owned(),
            }
        });
        words
            .collect::<String>()
            .replace("unset --", "leave out --")
    }
}

/// A message about the value of a setting without the value, unless that is too short to tell anything: it may be a
/// secret.
fn without_value(message: &str) -> Option<String> {
    let (variable, rest) = message.split_once(" is \"")?;
    let (value, allowed) = rest.rsplit_once("\": ")?;
    (!pasted::is_short(value)).then(|| format!("{variable} is not valid: {allowed}"))
}

/// A variable that says which proxy to use. A credential in it is no proxy, and is not looked up as one.
fn proxy_variable(variable: &str) -> Option<OsString> {
    let value = env::var_os(variable)?;
    let text = value.to_string_lossy();
    // Before the host, a password may stand; the name of a host may be a random one, as load balancers have.
    let host = text.rsplit('@').next().unwrap_or_default();
    let form = match host.contains(['.', ':']) {
        true => CredentialForm::of_name(host),
        false => CredentialForm::of(host),
    };
    match form {
        Some(_) => Some("/".into()),
        None => Some(value),
    }
}

/// A variable of the environment, if it is set: an empty one is unset.
fn exported(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}

/// Where compiled blocks are kept between commands (XDG Base Directory Specification); nowhere if no such
/// folder can be made, and then each command compiles the block anew.
fn cache_folder() -> Option<PathBuf> {
    let set = |variable| {
        exported(variable)
            .filter(|path| pasted::is_quotable(path) || Path::new(path).exists())
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    let folder = caches.join("lro");
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    // What is in it is run: others must not write it, whatever the umask is.
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(&folder) {
        Ok(()) => Some(folder),
        Err(error) => {
            tracing::debug!(folder = %folder.display(), %error, "compiled blocks are not kept");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_flags_that_were_typed() {
        let connection = Connection::to("a.example", "http://127.0.0.1/v1".to_owned());
        for (message, reworded) in [
            (
                "OPERATIONS_SERVICE pins a.example. Pass another name, or unset OPERATIONS_SERVICE.",
                "--service pins a.example. Pass another name, or leave out --service.",
            ),
            ("set OPERATIONS_ENDPOINT", "set --endpoint"),
            ("OPERATIONS_TIMEOUT_MS", "OPERATIONS_TIMEOUT_MS"),
            ("MY_OPERATIONS_SERVICE é", "MY_OPERATIONS_SERVICE é"),
        ] {
            assert_eq!(connection.reworded(message), reworded);
        }
    }

    #[test]
    fn a_message_about_a_setting_does_not_quote_a_long_value() {
        let without = |message| without_value(message);
        assert_eq!(
            without("OPERATIONS_SERVICE is \"a made-up \": secret\": set a service.").unwrap(),
            "OPERATIONS_SERVICE is not valid: set a service."
        );
        assert_eq!(
            without("OPERATIONS_TIMEOUT_MS is \"0\": set a number."),
            None
        );
        assert_eq!(without("OPERATIONS_ENDPOINT has a query: set a URL."), None);
    }
}
