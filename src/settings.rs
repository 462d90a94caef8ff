//! The operator's settings, parsed once from the environment variables that the host hands over.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::bindings::{Failure, Reason};
use crate::failure::quoted;

/// What the operator chose. Every value is of its form; no later step checks one again.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `OPERATIONS_SERVICE`: the only service that names may be of. Unset: any of the catalogue.
    pub service: Option<PinnedService>,
    /// `OPERATIONS_ENDPOINT`: where requests go instead of to the service's own host.
    pub endpoint: Option<Endpoint>,
    /// `GOOGLE_OAUTH_ACCESS_TOKEN` or `GOOGLE_API_KEY`.
    pub credential: Option<Credential>,
    /// `GOOGLE_CLOUD_QUOTA_PROJECT`: the project that is charged for the call.
    pub quota_project: Option<String>,
    /// `GOOGLE_CLOUD_UNIVERSE_DOMAIN`: what stands for `googleapis.com` in hosts.
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
            quota_project: None,
            universe_domain: None,
            timeout: Duration::from_secs(60),
            max_attempts: 5,
        }
    }
}

/// A service that the operator named, optionally with its version.
#[derive(Debug, Clone, PartialEq)]
pub struct PinnedService {
    /// `apigateway.googleapis.com`.
    pub name: String,
    /// `v1beta`.
    pub version: Option<String>,
}

/// A base URL, version included, to which `/{name}` is added.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Whether it is `https`.
    pub tls: bool,
    /// Host, and port where one is given.
    pub authority: String,
    /// What stands before `/{name}`: empty, or with a leading and no trailing slash.
    pub path: String,
}

/// What shows the service who asks.
#[derive(Clone, PartialEq)]
pub enum Credential {
    /// Sent as `Authorization: Bearer`.
    AccessToken(String),
    /// Sent as `x-goog-api-key`.
    ApiKey(String),
}

impl Credential {
    fn secret(&self) -> &str {
        match self {
            Credential::AccessToken(secret) | Credential::ApiKey(secret) => secret,
        }
    }

    /// Whether `text` holds this credential, in any case: a host is in lower case. One of under eight
    /// characters is no secret, and could be part of any word.
    pub fn is_in(&self, text: &str) -> bool {
        self.around(text).is_some()
    }

    /// `text` without this credential, in any case.
    pub fn redact(&self, text: String) -> String {
        let mut redacted = String::new();
        let mut rest = &*text;
        while let Some((before, behind)) = self.around(rest) {
            redacted.push_str(before);
            redacted.push_str("[credential]");
            rest = behind;
        }
        redacted.push_str(rest);
        redacted
    }

    /// What is before and behind it.
    fn around<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let secret = self.secret().as_bytes();
        if secret.len() < 8 {
            return None;
        }
        let mut parts = text.as_bytes().windows(secret.len());
        let at = parts.position(|part| part.eq_ignore_ascii_case(secret))?;
        Some((text.get(..at)?, text.get(at + secret.len()..)?))
    }
}

impl fmt::Debug for Credential {
    /// Names the kind alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::AccessToken(_) => "AccessToken",
            Credential::ApiKey(_) => "ApiKey",
        })
    }
}

impl Settings {
    /// Reads the settings from environment variables. An empty variable is unset; one that is no
    /// setting of the block is ignored; of one given twice the last counts.
    ///
    /// # Errors
    ///
    /// `invalid-setting`, with a message that names the variable, what is allowed and, unless it
    /// could hold a secret, the value.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Settings, Failure> {
        let variables: Vec<(String, String)> = variables.into_iter().collect();
        refuse_stray_secrets(&variables)?;
        let mut settings = Settings::default();
        let mut token = None;
        let mut api_key = None;
        for (variable, value) in variables {
            let set = !value.is_empty();
            match variable.as_str() {
                "OPERATIONS_SERVICE" => {
                    settings.service = set.then(|| service(&value)).transpose()?
                }
                "OPERATIONS_ENDPOINT" => {
                    settings.endpoint = set.then(|| endpoint(&value)).transpose()?;
                }
                "GOOGLE_OAUTH_ACCESS_TOKEN" => {
                    token = set
                        .then(|| secret("GOOGLE_OAUTH_ACCESS_TOKEN", &value))
                        .transpose()?;
                }
                "GOOGLE_API_KEY" => {
                    api_key = set.then(|| secret("GOOGLE_API_KEY", &value)).transpose()?;
                }
                "GOOGLE_CLOUD_QUOTA_PROJECT" => {
                    settings.quota_project = set.then(|| quota_project(&value)).transpose()?;
                }
                "GOOGLE_CLOUD_UNIVERSE_DOMAIN" => {
                    settings.universe_domain = set.then(|| universe_domain(&value)).transpose()?;
                }
                "OPERATIONS_TIMEOUT_MS" => {
                    settings.timeout = match set {
                        true => {
                            let ms = number("OPERATIONS_TIMEOUT_MS", &value, 600_000)?;
                            Duration::from_millis(ms.into())
                        }
                        false => Settings::default().timeout,
                    };
                }
                "OPERATIONS_MAX_ATTEMPTS" => {
                    settings.max_attempts = match set {
                        true => number("OPERATIONS_MAX_ATTEMPTS", &value, 10)?,
                        false => Settings::default().max_attempts,
                    };
                }
                _ => {}
            }
        }
        settings.credential = match (token, api_key) {
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "GOOGLE_API_KEY and GOOGLE_OAUTH_ACCESS_TOKEN are both set: set one of them, or \
                     neither where the host adds the credential.",
                ));
            }
            (token, api_key) => token
                .map(Credential::AccessToken)
                .or(api_key.map(Credential::ApiKey)),
        };
        if settings.credential.is_some()
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
}

impl Endpoint {
    /// Whether a credential may be sent to it: over TLS, or within this machine.
    fn keeps_secrets(&self) -> bool {
        self.tls || is_loopback(self.host())
    }

    /// The host, without the port.
    pub fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            // The colons within the brackets of an IPv6 address are no port's.
            Some((host, port)) if !port.ends_with(']') => host,
            _ => &self.authority,
        }
    }
}

fn invalid(message: impl AsRef<str>) -> Failure {
    Failure::new(Reason::InvalidSetting, message)
}

/// Refuses a secret that was pasted into another setting as well: what goes into messages and URLs.
fn refuse_stray_secrets(variables: &[(String, String)]) -> Result<(), Failure> {
    let is_secret =
        |variable: &str| matches!(variable, "GOOGLE_OAUTH_ACCESS_TOKEN" | "GOOGLE_API_KEY");
    let is_other = |variable: &str| {
        variable.starts_with("OPERATIONS_") || variable.starts_with("GOOGLE_CLOUD_")
    };
    for (secret_variable, secret) in variables.iter().filter(|(variable, _)| is_secret(variable)) {
        // Pasted with a space or with `Bearer` before it, it is no good, but a secret all the same.
        let words = secret.split_ascii_whitespace();
        let words: Vec<Credential> = words
            .map(|word| Credential::AccessToken(word.to_owned()))
            .collect();
        let is_in = |value: &str| words.iter().any(|word| word.is_in(value));
        // An empty value is unset.
        let is_set =
            |(variable, value): &&(String, String)| is_other(variable) && !value.is_empty();
        let mut others = variables.iter().filter(is_set);
        if let Some((variable, _)) =
            others.find(|(variable, value)| is_in(variable) || is_in(value))
        {
            let variable = match is_in(variable) {
                true => "The name of a variable",
                false => variable,
            };
            return Err(invalid(format!(
                "{variable} holds the value of {secret_variable}: set each to its own value."
            )));
        }
    }
    Ok(())
}

fn service(value: &str) -> Result<PinnedService, Failure> {
    let (name, version) = match value.split_once('/') {
        Some((name, version)) => (name, Some(version)),
        None => (value, None),
    };
    let lower = |name: &str| !name.bytes().any(|byte| byte.is_ascii_uppercase());
    if !(is_domain(name) && lower(name) && version.is_none_or(is_version)) {
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

/// Labels with single dots between them, of which there is at least one.
fn is_domain(text: &str) -> bool {
    text.contains('.') && text.split('.').all(is_label)
}

/// Letters, digits and inner hyphens: one label of a host name (RFC 1123, section 2.1).
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
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

/// The longest endpoint that is taken, in bytes.
const MAX_ENDPOINT: usize = 2048;

fn endpoint(value: &str) -> Result<Endpoint, Failure> {
    // The value is not in the message: it could hold a secret as its user info or query.
    let invalid = |why: &str| {
        invalid(format!(
            "OPERATIONS_ENDPOINT {why}: set a base URL with its version, such as \
             https://us-central1-aiplatform.googleapis.com/v1, without user info, query, fragment or \
             dot segments."
        ))
    };
    if value.len() > MAX_ENDPOINT {
        return Err(invalid("has over 2048 bytes"));
    }
    let (tls, rest) = if let Some(rest) = value.strip_prefix("https://") {
        (true, rest)
    } else if let Some(rest) = value.strip_prefix("http://") {
        (false, rest)
    } else {
        return Err(invalid("does not start with https:// or http://"));
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(invalid("has user info"));
    }
    if rest.contains('?') {
        return Err(invalid("has a query"));
    }
    if rest.contains('#') {
        return Err(invalid("has a fragment"));
    }
    if !is_authority(authority) {
        return Err(invalid("has no valid host and port"));
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    if !path.is_empty() {
        for segment in path[1..].split('/') {
            if !is_path_segment(segment) {
                return Err(invalid(
                    "has a path with an empty segment or a character that a path cannot have",
                ));
            }
            // A dot may hide behind its escape (RFC 3986, section 6.2.2).
            if matches!(
                segment.replace("%2e", ".").replace("%2E", ".").as_str(),
                "." | ".."
            ) {
                return Err(invalid("has a dot segment"));
            }
        }
    }
    Ok(Endpoint {
        tls,
        authority: authority.to_ascii_lowercase(),
        path: path.to_owned(),
    })
}

/// A host name, an IPv4 address or an IPv6 address in brackets, optionally with a port.
fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (address, None),
            Some((address, port)) => match port.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None => return false,
            },
            None => return false,
        },
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_host = if authority.starts_with('[') {
        host.parse::<Ipv6Addr>().is_ok()
    } else if host.ends_with(|c: char| c.is_ascii_digit())
        && !host.contains(|c: char| c.is_alphabetic())
    {
        // A host of numbers is an address; one that is none would be looked up as a name.
        host.parse::<Ipv4Addr>().is_ok()
    } else {
        host.split('.').all(is_label)
    };
    let is_port = |port: &str| {
        !port.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port != 0)
    };
    is_host && port.is_none_or(is_port)
}

/// One segment of a URL's path (RFC 3986, section 3.3): not empty, escapes whole.
fn is_path_segment(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    !bytes.is_empty()
        && bytes.iter().enumerate().all(|(at, byte)| match byte {
            b'%' => bytes
                .get(at + 1..at + 3)
                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(byte),
        })
}

/// `localhost`, 127.0.0.0/8 and `[::1]`.
fn is_loopback(host: &str) -> bool {
    let is_ipv4 = || {
        host.parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
    };
    host == "localhost" || host == "[::1]" || is_ipv4()
}

/// A token or key: visible ASCII, so that it cannot end its header. One trailing newline, as files
/// and secret stores add it, is trimmed.
fn secret(variable: &str, value: &str) -> Result<String, Failure> {
    let line = value.strip_suffix("\r\n");
    let secret = line.or(value.strip_suffix('\n')).unwrap_or(value);
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid(format!(
            "{variable} is not of visible ASCII characters alone: set it as it was issued, without \
             spaces or line breaks."
        )));
    }
    Ok(secret.to_owned())
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

fn number(variable: &str, value: &str, most: u32) -> Result<u32, Failure> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(number) if digits && (1..=most).contains(&number) => Ok(number),
        _ => Err(invalid(format!(
            "{variable} is {}: set a whole number from 1 to {most}.",
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
    fn nothing_set_or_all_empty_is_the_default() {
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
                quota_project: Some("billed".into()),
                universe_domain: Some("apis.example.org".into()),
                timeout: Duration::from_secs(600),
                max_attempts: 10,
            }
        );
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
    fn an_endpoint_is_a_plain_base_url() {
        let read = |value| read(&[("OPERATIONS_ENDPOINT", value)]).map(|s| s.endpoint.unwrap());
        let plain = |tls, authority: &str, path: &str| Endpoint {
            tls,
            authority: authority.into(),
            path: path.into(),
        };
        assert_eq!(read("https://a.com").unwrap(), plain(true, "a.com", ""));
        assert_eq!(read("https://a.com/").unwrap(), plain(true, "a.com", ""));
        assert_eq!(
            read("http://10.0.0.1:80/v1").unwrap(),
            plain(false, "10.0.0.1:80", "/v1")
        );
        assert_eq!(
            read("http://[::1]:8080/v1/").unwrap(),
            plain(false, "[::1]:8080", "/v1")
        );
        assert_eq!(
            read("https://service/a%20b/v1").unwrap(),
            plain(true, "service", "/a%20b/v1")
        );
        for (value, why) in [
            ("a.com/v1", "does not start with https:// or http://"),
            ("ftp://a.com/v1", "does not start with https:// or http://"),
            (
                "HTTPS://a.com/v1",
                "does not start with https:// or http://",
            ),
            ("https://user:hunter2@a.com/v1", "has user info"),
            ("https://a.com/v1?key=hunter2", "has a query"),
            ("https://a.com/v1#hunter2", "has a fragment"),
            ("https://", "has no valid host and port"),
            ("https://:443/v1", "has no valid host and port"),
            ("https://a.com:0/v1", "has no valid host and port"),
            ("https://a.com:65536/v1", "has no valid host and port"),
            ("https://a.com:/v1", "has no valid host and port"),
            ("https://a.com:+1/v1", "has no valid host and port"),
            ("https://a b.com/v1", "has no valid host and port"),
            ("https://a.com\r\nx: y/v1", "has no valid host and port"),
            ("http://127.1/v1", "has no valid host and port"),
            ("http://127.0.0.08/v1", "has no valid host and port"),
            ("https://[::::]/v1", "has no valid host and port"),
            (
                "https://[1:2:3:4:5:6:7:8:9]/v1",
                "has no valid host and port",
            ),
            ("https://[::1/v1", "has no valid host and port"),
            ("https://[::1]x/v1", "has no valid host and port"),
            ("https://[localhost]/v1", "has no valid host and port"),
            (
                "https://a.com/v1//",
                "has a path with an empty segment or a character that a path cannot have",
            ),
            (
                "https://a.com//v1",
                "has a path with an empty segment or a character that a path cannot have",
            ),
            (
                "https://a.com/v 1",
                "has a path with an empty segment or a character that a path cannot have",
            ),
            (
                "https://a.com/v1%2",
                "has a path with an empty segment or a character that a path cannot have",
            ),
            (
                "https://a.com/v1%zz",
                "has a path with an empty segment or a character that a path cannot have",
            ),
            ("https://a.com/../v1", "has a dot segment"),
            ("https://a.com/v1/.", "has a dot segment"),
            ("https://a.com/.%2E/v1", "has a dot segment"),
        ] {
            let message = read(value).unwrap_err().message;
            assert_eq!(
                message,
                format!(
                    "OPERATIONS_ENDPOINT {why}: set a base URL with its version, such as \
                     https://us-central1-aiplatform.googleapis.com/v1, without user info, query, \
                     fragment or dot segments."
                ),
                "{value}"
            );
        }
    }

    #[test]
    fn a_credential_goes_over_http_only_within_this_machine() {
        for variable in ["GOOGLE_OAUTH_ACCESS_TOKEN", "GOOGLE_API_KEY"] {
            let with = |endpoint| {
                [
                    ("OPERATIONS_ENDPOINT", endpoint),
                    (variable, "not-a-real-secret"),
                ]
            };
            for endpoint in [
                "http://localhost:1/v1",
                "http://127.0.0.1/v1",
                "http://127.255.0.9:8080",
                "http://[::1]:8080/v1",
                "https://a.com/v1",
            ] {
                assert!(read(&with(endpoint)).is_ok(), "{endpoint}");
            }
            for endpoint in [
                "http://a.com/v1",
                "http://10.0.0.1/v1",
                "http://128.0.0.1/v1",
                "http://127.0.0.1.a.com/v1",
                "http://localhost.a.com/v1",
                "http://[::2]/v1",
            ] {
                assert_eq!(
                    refused(&with(endpoint)),
                    "OPERATIONS_ENDPOINT is http to a host that is not loopback, and a credential is \
                     set: set an https URL, or unset the credential.",
                    "{endpoint}"
                );
            }
        }
        assert!(read(&[("OPERATIONS_ENDPOINT", "http://10.0.0.1/v1")]).is_ok());
    }

    #[test]
    fn a_secret_is_never_in_a_message_nor_in_debug() {
        for variable in ["GOOGLE_OAUTH_ACCESS_TOKEN", "GOOGLE_API_KEY"] {
            for value in [
                "hunter 2",
                "hunter2\r\nx-evil: 1",
                "hunter2\n\n",
                "hünter2",
                "\n",
                " hunter2",
            ] {
                assert_eq!(
                    refused(&[(variable, value)]),
                    format!(
                        "{variable} is not of visible ASCII characters alone: set it as it was \
                         issued, without spaces or line breaks."
                    )
                );
            }
            let settings = read(&[(variable, "hunter2-hunter2\r\n")]).unwrap();
            assert_eq!(
                settings.credential.as_ref().unwrap().secret(),
                "hunter2-hunter2"
            );
            assert!(!format!("{settings:?}").contains("hunter2"));
        }
        let key = Credential::ApiKey("hunter2".into());
        assert_eq!(format!("{key:?}"), "ApiKey");
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
    fn a_secret_in_another_setting_is_refused_without_being_shown() {
        let long = format!("not-a-real-token-{}", "x".repeat(200));
        for variable in [
            "OPERATIONS_SERVICE",
            "OPERATIONS_ENDPOINT",
            "GOOGLE_CLOUD_QUOTA_PROJECT",
        ] {
            assert_eq!(
                refused(&[(variable, &long), ("GOOGLE_OAUTH_ACCESS_TOKEN", &long)]),
                format!(
                    "{variable} holds the value of GOOGLE_OAUTH_ACCESS_TOKEN: set each to its own value."
                )
            );
        }
    }

    #[test]
    fn a_secret_is_known_in_any_case() {
        let secret = "Not-A-Real-TOKEN".to_owned();
        let credential = Credential::AccessToken(secret.clone());
        assert!(credential.is_in("https://not-a-real-token.example"));
        assert_eq!(
            credential.redact(format!("ü{secret}not-a-real-TOKENü{secret}")),
            "ü[credential][credential]ü[credential]"
        );
        assert!(
            refused(&[
                ("OPERATIONS_ENDPOINT", "https://not-a-real-token.example"),
                ("GOOGLE_OAUTH_ACCESS_TOKEN", &secret)
            ])
            .starts_with("OPERATIONS_ENDPOINT holds the value")
        );
    }

    #[test]
    fn a_secret_has_eight_characters() {
        let is_in = |secret: &str| Credential::ApiKey(secret.to_owned()).is_in("a 12345678 b");
        assert!(is_in("12345678"));
        assert!(!is_in("1234567"));
    }

    #[test]
    fn the_host_of_an_endpoint_is_told_from_its_port() {
        for (endpoint, host) in [
            ("https://h.example/v1", "h.example"),
            ("https://h.example:8443", "h.example"),
            ("http://127.0.0.1:80/v1", "127.0.0.1"),
            ("http://[::1]/v1", "[::1]"),
            ("http://[::1]:8080/v1", "[::1]"),
        ] {
            let settings = read(&[("OPERATIONS_ENDPOINT", endpoint)]).unwrap();
            assert_eq!(settings.endpoint.unwrap().host(), host, "{endpoint}");
        }
    }

    #[test]
    fn one_newline_behind_a_secret_is_trimmed_and_no_more() {
        for end in ["", "\n", "\r\n"] {
            let value = format!("not-a-real-token{end}");
            let settings = read(&[("GOOGLE_API_KEY", &value)]).unwrap();
            assert_eq!(settings.credential.unwrap().secret(), "not-a-real-token");
        }
        for end in ["\r", "\n\n", "\r\r\n", "\n\r"] {
            let value = format!("not-a-real-token{end}");
            assert!(read(&[("GOOGLE_API_KEY", &value)]).is_err(), "{end:?}");
        }
    }

    #[test]
    fn a_secret_in_the_name_of_a_variable_is_refused_without_being_shown() {
        assert_eq!(
            refused(&[
                ("OPERATIONS_SERVICE not-a-real-token", "not-a-real-token"),
                ("GOOGLE_OAUTH_ACCESS_TOKEN", "not-a-real-token")
            ]),
            "The name of a variable holds the value of GOOGLE_OAUTH_ACCESS_TOKEN: set each to its own \
             value."
        );
    }

    #[test]
    fn a_secret_is_known_by_its_words_where_it_is_not_of_its_form() {
        for secret in ["Bearer not-a-real-token", " not-a-real-token\n\n"] {
            assert_eq!(
                refused(&[
                    ("OPERATIONS_SERVICE", "not-a-real-token"),
                    ("GOOGLE_OAUTH_ACCESS_TOKEN", secret)
                ]),
                "OPERATIONS_SERVICE holds the value of GOOGLE_OAUTH_ACCESS_TOKEN: set each to its own \
                 value."
            );
        }
    }

    #[test]
    fn other_values_are_of_their_form() {
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
        for (variable, most, over) in [
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
                    format!("{variable} is \"{value}\": set a whole number from 1 to {most}.")
                );
            }
        }
    }
}
