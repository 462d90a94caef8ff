//! The operator's settings, parsed once from the environment variables that the host passes in.

use std::time::Duration;

use crate::bindings::{Failure, Reason};
use crate::credential::{Credential, parse_secret, refuse_in_other_settings};
use crate::endpoint::{Endpoint, is_label};
use crate::message::quoted;
use crate::suggest::unknown_setting;

/// What the operator chose. Every value is valid; no later step checks one again.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `OPERATIONS_SERVICE`: the only service that names may belong to. Unset: any in the catalogue.
    pub service: Option<PinnedService>,
    /// `OPERATIONS_ENDPOINT`: where requests go instead of to the service's own host.
    pub endpoint: Option<Endpoint>,
    /// `GOOGLE_OAUTH_ACCESS_TOKEN` or `GOOGLE_API_KEY`.
    pub credential: Option<Credential>,
    /// Whether who sends the request adds a credential of its own.
    pub sender_adds_credential: bool,
    /// `GOOGLE_CLOUD_QUOTA_PROJECT`: the project that is charged for the call.
    pub quota_project: Option<String>,
    /// `GOOGLE_CLOUD_UNIVERSE_DOMAIN`: what replaces `googleapis.com` in hosts.
    pub universe_domain: Option<String>,
    /// `OPERATIONS_TIMEOUT_MS`: from the start of the call to its end, retries included.
    pub timeout: Duration,
    /// `OPERATIONS_MAX_ATTEMPTS`: how many requests one call may send.
    pub max_attempts: u32,
}

impl Default for Settings {
    /// The settings when no variable is set. Five attempts in 60 s are the services' own published
    /// policy for `GetOperation`.
    fn default() -> Settings {
        Settings {
            service: None,
            endpoint: None,
            credential: None,
            sender_adds_credential: false,
            quota_project: None,
            universe_domain: None,
            timeout: Duration::from_secs(60),
            max_attempts: 5,
        }
    }
}

/// The names of the settings, in the order of the manifest.
pub const VARIABLES: [&str; 8] = [
    "OPERATIONS_SERVICE",
    "OPERATIONS_ENDPOINT",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
    "GOOGLE_API_KEY",
    "GOOGLE_CLOUD_QUOTA_PROJECT",
    "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
    "OPERATIONS_TIMEOUT_MS",
    "OPERATIONS_MAX_ATTEMPTS",
];

/// A service that the operator named, optionally with its version.
#[derive(Debug, Clone, PartialEq)]
pub struct PinnedService {
    /// `apigateway.googleapis.com`.
    pub name: String,
    /// `v1beta`.
    pub version: Option<String>,
}

impl Settings {
    /// Reads the settings from environment variables. An empty variable is unset; variables that are
    /// not settings of the block are ignored; if one is given twice, the last value counts.
    ///
    /// # Errors
    ///
    /// `invalid-setting`, with a message that names the variable, what is allowed and, unless it
    /// could hold a secret, the value.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Settings, Failure> {
        Settings::read(variables.into_iter().collect(), false)
    }

    /// Reads the settings that an engine hands over with a call. `sender_adds_credential`: whether it adds a
    /// credential of its own to the request.
    ///
    /// # Errors
    ///
    /// As [`Settings::from_variables`]; and for a variable that is no setting, since nothing else is meant.
    pub fn of_call(
        variables: impl IntoIterator<Item = (String, String)>,
        sender_adds_credential: bool,
    ) -> Result<Settings, Failure> {
        let variables: Vec<(String, String)> = variables.into_iter().collect();
        let is_unknown = |variable: &&str| !VARIABLES.contains(variable);
        let mut names = variables.iter().map(|(variable, _)| variable.as_str());
        match names.find(is_unknown) {
            Some(unknown) => Err(unknown_setting(unknown, &VARIABLES)),
            None => Settings::read(variables, sender_adds_credential),
        }
    }

    fn read(
        variables: Vec<(String, String)>,
        sender_adds_credential: bool,
    ) -> Result<Settings, Failure> {
        refuse_in_other_settings(&variables)?;
        let default = Settings::default();
        let mut settings = Settings {
            sender_adds_credential,
            ..Settings::default()
        };
        let mut token = None;
        let mut api_key = None;
        for (variable, value) in &variables {
            let value = Some(value.as_str()).filter(|value| !value.is_empty());
            match variable.as_str() {
                "OPERATIONS_SERVICE" => settings.service = value.map(service).transpose()?,
                "OPERATIONS_ENDPOINT" => {
                    settings.endpoint = value.map(Endpoint::parse).transpose()?
                }
                "GOOGLE_OAUTH_ACCESS_TOKEN" => {
                    let secret = value.map(|value| parse_secret(variable, value));
                    token = secret.transpose()?.map(Credential::AccessToken);
                }
                "GOOGLE_API_KEY" => {
                    let secret = value.map(|value| parse_secret(variable, value));
                    api_key = secret.transpose()?.map(Credential::ApiKey);
                }
                "GOOGLE_CLOUD_QUOTA_PROJECT" => {
                    settings.quota_project = value.map(quota_project).transpose()?;
                }
                "GOOGLE_CLOUD_UNIVERSE_DOMAIN" => {
                    settings.universe_domain = value.map(universe_domain).transpose()?;
                }
                "OPERATIONS_TIMEOUT_MS" => {
                    let ms = value.map(|value| whole_number(variable, value, 600_000));
                    settings.timeout = match ms.transpose()? {
                        Some(ms) => Duration::from_millis(ms.into()),
                        None => default.timeout,
                    };
                }
                "OPERATIONS_MAX_ATTEMPTS" => {
                    let attempts = value.map(|value| whole_number(variable, value, 10));
                    settings.max_attempts = attempts.transpose()?.unwrap_or(default.max_attempts);
                }
                _ => {}
            }
        }
        if token.is_some() && api_key.is_some() {
            return Err(invalid(
                "GOOGLE_API_KEY and GOOGLE_OAUTH_ACCESS_TOKEN are both set: set one of them, or \
                 neither where the host adds the credential.",
            ));
        }
        settings.credential = token.or(api_key);
        if (settings.credential.is_some() || sender_adds_credential)
            && settings
                .endpoint
                .as_ref()
                .is_some_and(|endpoint| !endpoint.keeps_secrets())
        {
            return Err(invalid(
                "OPERATIONS_ENDPOINT is http to a host that is not loopback, and a credential is set: \
                 set an https URL, or unset the credential.",
            ));
        }
        Ok(settings)
    }

    /// Refuses a name that contains the credential: it would go into the URL, and into the logs of
    /// everyone who sees URLs.
    ///
    /// # Errors
    ///
    /// `invalid-name`, without the name.
    pub fn refuse_credential_in(&self, name: &str) -> Result<(), Failure> {
        match &self.credential {
            Some(credential) if credential.is_in(name) => Err(Failure::new(
                Reason::InvalidName,
                "The name holds the credential, and was not sent. Pass the operation's name alone.",
            )),
            _ => Ok(()),
        }
    }
}

fn invalid(message: impl AsRef<str>) -> Failure {
    Failure::new(Reason::InvalidSetting, message)
}

fn service(value: &str) -> Result<PinnedService, Failure> {
    let (name, version) = match value.split_once('/') {
        Some((name, version)) => (name, Some(version)),
        None => (value, None),
    };
    let is_lower_case = !name.bytes().any(|byte| byte.is_ascii_uppercase());
    if !(is_domain(name) && is_lower_case && version.is_none_or(is_version)) {
        return Err(invalid(format!(
            "OPERATIONS_SERVICE is {}: set a service such as apigateway.googleapis.com, or one with \
             its version such as apigateway.googleapis.com/v1beta.",
            quoted(value)
        )));
    }
    Ok(PinnedService {
        name: name.to_owned(),
        version: version.map(str::to_owned),
    })
}

/// At least two labels, with single dots between them.
fn is_domain(text: &str) -> bool {
    text.contains('.') && text.split('.').all(is_label)
}

/// `v1`, `v1p1beta1`: a version of an API (AIP-185).
fn is_version(text: &str) -> bool {
    text.strip_prefix('v').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit())
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

fn quota_project(value: &str) -> Result<String, Failure> {
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid(format!(
            "GOOGLE_CLOUD_QUOTA_PROJECT is {}: set the id or number of a project, in visible ASCII \
             characters.",
            quoted(value)
        )));
    }
    Ok(value.to_owned())
}

fn universe_domain(value: &str) -> Result<String, Failure> {
    if !is_domain(value) {
        return Err(invalid(format!(
            "GOOGLE_CLOUD_UNIVERSE_DOMAIN is {}: set a domain of letters, digits, hyphens and dots, \
             such as googleapis.com.",
            quoted(value)
        )));
    }
    Ok(value.to_ascii_lowercase())
}

fn whole_number(variable: &str, value: &str, max: u32) -> Result<u32, Failure> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(number) if digits && (1..=max).contains(&number) => Ok(number),
        _ => Err(invalid(format!(
            "{variable} is {}: set a whole number from 1 to {max}.",
            quoted(value)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Failure> {
        let owned = |&(variable, value): &(&str, &str)| (variable.to_owned(), value.to_owned());
        Settings::from_variables(variables.iter().map(owned))
    }

    fn refused(variables: &[(&str, &str)]) -> String {
        let failure = read(variables).unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidSetting);
        failure.message
    }

    #[test]
    fn unset_and_empty_variables_give_the_defaults() {
        assert_eq!(read(&[]).unwrap(), Settings::default());
        let empty = [
            "OPERATIONS_SERVICE",
            "OPERATIONS_ENDPOINT",
            "GOOGLE_OAUTH_ACCESS_TOKEN",
            "GOOGLE_API_KEY",
            "GOOGLE_CLOUD_QUOTA_PROJECT",
            "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
            "OPERATIONS_TIMEOUT_MS",
            "OPERATIONS_MAX_ATTEMPTS",
        ];
        assert_eq!(
            read(&empty.map(|variable| (variable, ""))).unwrap(),
            Settings::default()
        );
        assert_eq!(
            read(&[("HOME", "/root"), ("OPERATIONS_OTHER", "x")]).unwrap(),
            Settings::default()
        );
        let again = [
            ("OPERATIONS_MAX_ATTEMPTS", "3"),
            ("OPERATIONS_MAX_ATTEMPTS", ""),
        ];
        assert_eq!(read(&again).unwrap(), Settings::default());
    }

    #[test]
    fn every_setting_is_read() {
        let settings = read(&[
            ("OPERATIONS_SERVICE", "apigateway.googleapis.com/v1beta"),
            ("OPERATIONS_ENDPOINT", "https://Example.com:8443/a/v1/"),
            ("GOOGLE_OAUTH_ACCESS_TOKEN", "not-a-real-token\n"),
            ("GOOGLE_CLOUD_QUOTA_PROJECT", "billed"),
            ("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "apis.example.org"),
            ("OPERATIONS_TIMEOUT_MS", "600000"),
            ("OPERATIONS_MAX_ATTEMPTS", "10"),
        ]);
        assert_eq!(
            settings.unwrap(),
            Settings {
                service: Some(PinnedService {
                    name: "apigateway.googleapis.com".into(),
                    version: Some("v1beta".into()),
                }),
                endpoint: Some(Endpoint {
                    tls: true,
                    authority: "example.com:8443".into(),
                    path: "/a/v1".into(),
                }),
                credential: Some(Credential::AccessToken("not-a-real-token".into())),
                sender_adds_credential: false,
                quota_project: Some("billed".into()),
                universe_domain: Some("apis.example.org".into()),
                timeout: Duration::from_secs(600),
                max_attempts: 10,
            }
        );
        let settings = read(&[("GOOGLE_API_KEY", "not-a-real-key")]).unwrap();
        let key = Credential::ApiKey("not-a-real-key".into());
        assert_eq!(settings.credential, Some(key));
    }

    #[test]
    fn a_service_is_a_lower_case_domain_with_at_most_a_version() {
        for value in [
            "apigateway",
            "https://apigateway.googleapis.com",
            "apigateway.googleapis.com/",
            "apigateway.googleapis.com/1",
            "apigateway.googleapis.com/v",
            "apigateway.googleapis.com/v1/x",
            "Apigateway.googleapis.com",
            "a..com",
            "-a.com",
            "a.com-",
            "a.com:443",
        ] {
            assert_eq!(
                refused(&[("OPERATIONS_SERVICE", value)]),
                format!(
                    "OPERATIONS_SERVICE is \"{value}\": set a service such as \
                     apigateway.googleapis.com, or one with its version such as \
                     apigateway.googleapis.com/v1beta."
                )
            );
        }
    }

    #[test]
    fn a_credential_goes_over_http_only_within_this_machine() {
        for variable in ["GOOGLE_OAUTH_ACCESS_TOKEN", "GOOGLE_API_KEY"] {
            let secret = (variable, "not-a-real-secret");
            for endpoint in ["http://127.0.0.1/v1", "https://a.com/v1"] {
                assert!(read(&[("OPERATIONS_ENDPOINT", endpoint), secret]).is_ok());
            }
            assert_eq!(
                refused(&[("OPERATIONS_ENDPOINT", "http://10.0.0.1/v1"), secret]),
                "OPERATIONS_ENDPOINT is http to a host that is not loopback, and a credential is set: \
                 set an https URL, or unset the credential."
            );
        }
        assert!(read(&[("OPERATIONS_ENDPOINT", "http://10.0.0.1/v1")]).is_ok());
    }

    #[test]
    fn a_secret_is_in_no_message_and_not_in_debug() {
        for variable in ["GOOGLE_OAUTH_ACCESS_TOKEN", "GOOGLE_API_KEY"] {
            assert_eq!(
                refused(&[(variable, "hunter 2")]),
                format!(
                    "{variable} is not of visible ASCII characters alone: set it as it was issued, \
                     without spaces or line breaks."
                )
            );
            let settings = read(&[(variable, "hunter2-hunter2\r\n")]).unwrap();
            assert_eq!(
                settings.credential.as_ref().unwrap().secret(),
                "hunter2-hunter2"
            );
            assert!(!format!("{settings:?}").contains("hunter2"));
        }
        assert_eq!(
            refused(&[
                ("GOOGLE_API_KEY", "hunter2"),
                ("GOOGLE_OAUTH_ACCESS_TOKEN", "hunter2")
            ]),
            "GOOGLE_API_KEY and GOOGLE_OAUTH_ACCESS_TOKEN are both set: set one of them, or neither \
             where the host adds the credential."
        );
    }

    #[test]
    fn a_secret_in_another_setting_is_refused() {
        let secret = "not-a-real-token";
        assert_eq!(
            refused(&[
                ("OPERATIONS_SERVICE", secret),
                ("GOOGLE_OAUTH_ACCESS_TOKEN", secret)
            ]),
            "OPERATIONS_SERVICE holds the value of GOOGLE_OAUTH_ACCESS_TOKEN: set each to its own value."
        );
    }

    #[test]
    fn a_name_that_contains_the_credential_is_refused() {
        let settings = read(&[("GOOGLE_API_KEY", "not-a-real-key")]).unwrap();
        let failure = settings.refuse_credential_in("operations/NOT-a-real-key");
        let failure = failure.unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidName);
        assert_eq!(
            failure.message,
            "The name holds the credential, and was not sent. Pass the operation's name alone."
        );
        assert_eq!(settings.refuse_credential_in("operations/o"), Ok(()));
        let without = Settings::default();
        assert_eq!(without.refuse_credential_in("operations/o"), Ok(()));
    }

    #[test]
    fn any_other_invalid_value_is_shown_with_what_is_allowed() {
        assert_eq!(
            refused(&[("GOOGLE_CLOUD_QUOTA_PROJECT", "p\r\nx: y")]),
            "GOOGLE_CLOUD_QUOTA_PROJECT is \"p  x: y\": set the id or number of a project, in \
             visible ASCII characters."
        );
        for value in ["example", "a/b.com", "a.com:1", "a..com", "@a.com"] {
            assert_eq!(
                refused(&[("GOOGLE_CLOUD_UNIVERSE_DOMAIN", value)]),
                format!(
                    "GOOGLE_CLOUD_UNIVERSE_DOMAIN is \"{value}\": set a domain of letters, digits, \
                     hyphens and dots, such as googleapis.com."
                )
            );
        }
        for (variable, max, over) in [
            ("OPERATIONS_TIMEOUT_MS", 600_000, "600001"),
            ("OPERATIONS_MAX_ATTEMPTS", 10, "11"),
        ] {
            for value in [
                "0",
                over,
                "-1",
                "+1",
                "1.5",
                "1e3",
                " 1",
                "99999999999999999999",
            ] {
                assert_eq!(
                    refused(&[(variable, value)]),
                    format!("{variable} is \"{value}\": set a whole number from 1 to {max}.")
                );
            }
        }
    }
}
