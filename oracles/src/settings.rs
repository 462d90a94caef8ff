//! Settings. An input has a line per variable, `VARIABLE=value`; `␤` and `␍` in it stand for a newline
//! and a carriage return.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use operations_get::bindings::Reason;
use operations_get::credential::Credential;
use operations_get::settings::Settings;

use crate::choices::{Choices, text_of};
use crate::message::{self, TOKEN};
use crate::name;

const SERVICE: &str = "OPERATIONS_SERVICE";
const ENDPOINT: &str = "OPERATIONS_ENDPOINT";
const ACCESS_TOKEN: &str = "GOOGLE_OAUTH_ACCESS_TOKEN";
const API_KEY: &str = "GOOGLE_API_KEY";
const QUOTA_PROJECT: &str = "GOOGLE_CLOUD_QUOTA_PROJECT";
const UNIVERSE_DOMAIN: &str = "GOOGLE_CLOUD_UNIVERSE_DOMAIN";
const TIMEOUT_MS: &str = "OPERATIONS_TIMEOUT_MS";
const MAX_ATTEMPTS: &str = "OPERATIONS_MAX_ATTEMPTS";

/// Runs one input.
pub fn check(input: &[u8]) {
    let text = text_of(input, make);
    let Ok(text) = std::str::from_utf8(&text) else {
        return;
    };
    let variable = |line: &str| {
        let (variable, value) = line.split_once('=')?;
        let value = value.replace('␤', "\n").replace('␍', "\r");
        Some((variable.to_owned(), value))
    };
    let variables: Vec<(String, String)> = text.split('\n').filter_map(variable).collect();
    let read = Settings::from_variables(variables.clone());
    let verdict = verdict(&variables);
    match &read {
        Ok(settings) => {
            assert_ne!(verdict, Verdict::Bad, "{variables:?}");
            check_settings(settings, &variables);
            check_request(settings);
        }
        Err(failure) => {
            assert_ne!(verdict, Verdict::Good, "{}: {variables:?}", failure.message);
            assert_eq!(failure.reason, Reason::InvalidSetting);
            assert!(failure.is_permanent() && failure.http_status.is_none());
            let names_one = variables
                .iter()
                .any(|(variable, _)| failure.message.contains(variable.as_str()));
            assert!(names_one, "no variable in {}", failure.message);
            // Nothing says that a value is a token if it is only in another setting.
            if is_given_as_secret(&variables) {
                message::check(&failure.message, text.as_bytes());
            } else {
                message::check_line(&failure.message);
            }
        }
    }
}

fn is_given_as_secret(variables: &[(String, String)]) -> bool {
    let mut secrets = variables.iter().filter(|(variable, _)| is_secret(variable));
    secrets.any(|(_, value)| value.split_ascii_whitespace().any(|word| word == TOKEN))
}

fn is_secret(variable: &str) -> bool {
    matches!(variable, ACCESS_TOKEN | API_KEY)
}

/// What the contract says about settings.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Verdict {
    Good,
    Unspecified,
    Bad,
}

impl Verdict {
    fn of(is_good: bool) -> Verdict {
        if is_good { Verdict::Good } else { Verdict::Bad }
    }

    fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Bad, _) | (_, Verdict::Bad) => Verdict::Bad,
            (Verdict::Good, Verdict::Good) => Verdict::Good,
            _ => Verdict::Unspecified,
        }
    }
}

fn verdict(variables: &[(String, String)]) -> Verdict {
    let mut verdict = Verdict::Good;
    for (variable, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
        verdict = verdict.and(match variable.as_str() {
            SERVICE => Verdict::of(is_service(value)),
            ENDPOINT => of_endpoint(value),
            ACCESS_TOKEN | API_KEY => of_secret(value),
            QUOTA_PROJECT => Verdict::of(is_visible(value)),
            UNIVERSE_DOMAIN => Verdict::of(is_domain(&value.to_ascii_lowercase())),
            TIMEOUT_MS => of_number(value, 600_000),
            MAX_ATTEMPTS => of_number(value, 10),
            _ => Verdict::Good,
        });
        // A secret is only sent in a header; these settings are shown in messages and URLs.
        let is_shown = variable.starts_with("OPERATIONS_") || variable.starts_with("GOOGLE_CLOUD_");
        let holds = |(other, secret): &(String, String)| {
            let (value, variable) = (value.to_ascii_lowercase(), variable.to_ascii_lowercase());
            let secret = secret.to_ascii_lowercase();
            let mut words = secret.split_ascii_whitespace();
            let is_in = |word: &str| value.contains(word) || variable.contains(word);
            is_secret(other) && words.any(|word| word.len() >= 8 && is_in(word))
        };
        if is_shown && variables.iter().any(holds) {
            return Verdict::Bad;
        }
    }
    let has_credential = match (last(variables, ACCESS_TOKEN), last(variables, API_KEY)) {
        (Some(_), Some(_)) => return Verdict::Bad,
        (token, key) => token.or(key).is_some(),
    };
    if let Some(endpoint) = last(variables, ENDPOINT)
        && let Some(rest) = endpoint.strip_prefix("http://")
        && has_credential
    {
        let authority = rest.split('/').next().unwrap_or_default();
        if !is_loopback(&authority.to_ascii_lowercase()) {
            return Verdict::Bad;
        }
    }
    verdict
}

/// The value that counts: the last one, unless it is empty.
fn last<'a>(variables: &'a [(String, String)], variable: &str) -> Option<&'a str> {
    let of_variable = variables.iter().rev().find(|(other, _)| other == variable);
    let (_, value) = of_variable?;
    (!value.is_empty()).then_some(value)
}

fn is_service(value: &str) -> bool {
    let (name, version) = value.split_once('/').unwrap_or((value, "v1"));
    let mut characters = version.chars();
    is_domain(name)
        && characters.next() == Some('v')
        && characters.next().is_some_and(|c| c.is_ascii_digit())
        && characters.all(|c| matches!(c, 'a'..='z' | '0'..='9'))
}

/// Labels in lower case with a dot between them.
fn is_domain(text: &str) -> bool {
    text.contains('.') && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let is_end = |c: Option<char>| c.is_some_and(|c| matches!(c, 'a'..='z' | '0'..='9'));
    is_end(label.chars().next())
        && is_end(label.chars().last())
        && label
            .chars()
            .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'))
}

fn is_visible(value: &str) -> bool {
    value.chars().all(|c| ('!'..='~').contains(&c))
}

fn of_secret(value: &str) -> Verdict {
    let newlines = ["\r\n", "\n", ""];
    let line = newlines.iter().find_map(|end| value.strip_suffix(end));
    Verdict::of(line.is_some_and(|line| !line.is_empty() && is_visible(line)))
}

fn of_number(value: &str, max: u128) -> Verdict {
    if !value.chars().all(|c| c.is_ascii_digit()) {
        return Verdict::Bad;
    }
    if value.starts_with('0') && !value.trim_start_matches('0').is_empty() {
        return Verdict::Unspecified;
    }
    let number = value.parse::<u128>().unwrap_or(u128::MAX);
    Verdict::of((1..=max).contains(&number))
}

fn of_endpoint(value: &str) -> Verdict {
    let Some((scheme, rest)) = value.split_once("://") else {
        return Verdict::Bad;
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_odd = |c: char| !('!'..='~').contains(&c) || "\"<>\\^`{|}?#".contains(c);
    let is_dots = |segment: &str| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    };
    let is_bad = !matches!(scheme, "https" | "http")
        || value.contains(is_odd)
        || authority.is_empty()
        || authority.contains('@')
        || path.split('/').any(is_dots);
    if is_bad {
        return Verdict::Bad;
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let is_plain = |segment: &str| {
        !segment.is_empty()
            && segment
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let is_good = value.len() <= 2048
        && host.split('.').all(is_label)
        && host.contains(|c: char| c.is_ascii_lowercase())
        && port.len() < 5
        && !port.starts_with('0')
        && is_plain(port)
        && port.chars().all(|c| c.is_ascii_digit())
        && (path.is_empty()
            || path
                .strip_suffix('/')
                .unwrap_or(path)
                .split('/')
                .all(is_plain));
    if is_good {
        Verdict::Good
    } else {
        Verdict::Unspecified
    }
}

/// An authority within this machine.
fn is_loopback(authority: &str) -> bool {
    let has_port = authority
        .rfind(':')
        .filter(|at| !authority[*at..].contains(']'));
    let host = &authority[..has_port.unwrap_or(authority.len())];
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    host == "localhost"
        || host
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.octets()[0] == 127)
        || inner.is_some_and(|host| host.parse() == Ok(Ipv6Addr::LOCALHOST))
}

/// Checks each setting against its variable.
fn check_settings(settings: &Settings, variables: &[(String, String)]) {
    let last = |variable| last(variables, variable);
    let service = settings
        .service
        .as_ref()
        .map(|service| match &service.version {
            Some(version) => format!("{}/{version}", service.name),
            None => service.name.clone(),
        });
    assert_eq!(service.as_deref(), last(SERVICE));
    let line = |value: &str| value.trim_end_matches(['\n', '\r']).to_owned();
    let token = last(ACCESS_TOKEN).map(|value| Credential::AccessToken(line(value)));
    let key = last(API_KEY).map(|value| Credential::ApiKey(line(value)));
    assert!(settings.credential == token.or(key), "another credential");
    assert_eq!(settings.quota_project.as_deref(), last(QUOTA_PROJECT));
    let universe = last(UNIVERSE_DOMAIN).map(str::to_ascii_lowercase);
    assert_eq!(settings.universe_domain, universe);
    let number = |variable, default: u64| match last(variable) {
        Some(value) => value.parse().expect("a good number"),
        None => default,
    };
    assert_eq!(
        settings.timeout,
        Duration::from_millis(number(TIMEOUT_MS, 60_000))
    );
    assert_eq!(u64::from(settings.max_attempts), number(MAX_ATTEMPTS, 5));
    assert_eq!(settings.endpoint.is_some(), last(ENDPOINT).is_some());
    if let (Some(endpoint), Some(value)) = (&settings.endpoint, last(ENDPOINT)) {
        // The parser that hosts use.
        let uri: http::Uri = value.parse().expect("an endpoint is a URL");
        let authority = uri.authority().expect("a URL has an authority");
        assert_eq!(endpoint.tls, uri.scheme_str() == Some("https"));
        assert_eq!(endpoint.authority, authority.as_str().to_ascii_lowercase());
        assert_eq!(endpoint.host(), authority.host().to_ascii_lowercase());
        assert_eq!(
            format!("{}/", endpoint.path),
            format!("{}/", uri.path().trim_end_matches('/'))
        );
        assert_eq!(uri.query(), None);
    }
}

/// Checks that a request under these settings goes where they say, and that its credential only goes over
/// TLS or within this machine.
fn check_request(settings: &Settings) {
    let Ok(request) = name::ask("operations/o", settings) else {
        return;
    };
    for (name, value) in &request.headers {
        let value = http::HeaderValue::from_str(value);
        assert!(value.is_ok(), "{name} cannot be sent");
    }
    let scheme = if request.tls { "https" } else { "http" };
    let url = format!(
        "{scheme}://{}{}?{}",
        request.authority, request.path, request.query
    );
    let uri: http::Uri = url.parse().expect("a URL");
    assert_eq!(uri.path(), request.path);
    match &settings.endpoint {
        Some(endpoint) => {
            let origin = (endpoint.tls, &endpoint.authority);
            assert_eq!((request.tls, &request.authority), origin);
            assert!(
                request
                    .path
                    .starts_with(&format!("{}/operations/", endpoint.path))
            );
        }
        None => {
            let domain = settings
                .universe_domain
                .as_deref()
                .unwrap_or("googleapis.com");
            assert!(request.tls && request.authority.ends_with(&format!(".{domain}")));
        }
    }
    let has_credential = request
        .headers
        .iter()
        .any(|(name, _)| matches!(*name, "authorization" | "x-goog-api-key"));
    assert_eq!(has_credential, settings.credential.is_some());
    assert!(!has_credential || request.tls || is_loopback(&request.authority));
    if let Some(Credential::AccessToken(secret) | Credential::ApiKey(secret)) = &settings.credential
        && secret == TOKEN
    {
        assert!(!url.contains(TOKEN), "the token in the URL {url}");
        assert!(
            !format!("{settings:?}").contains(TOKEN),
            "the token in {settings:?}"
        );
    }
}

/// Some variables.
fn make(choices: &mut Choices) -> Vec<u8> {
    const PIECES: [&str; 30] = [
        "https://",
        "http://",
        "localhost",
        "127.0.0.1",
        "127.9.9.9",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        ":8080",
        ":0",
        ":99999",
        "/",
        "/v1",
        "@",
        "?",
        "#",
        "..",
        "%2e",
        "%2E%2e",
        "%",
        "example.com",
        "apigateway.googleapis.com",
        "/v1beta",
        "-",
        ".",
        "A",
        "é",
        "␤",
        "␍",
        " ",
    ];
    let mut lines: Vec<String> = Vec::new();
    let mut count = 1 + choices.up_to(5);
    while count > 0 {
        count -= 1;
        let variable = choices.of(&[
            SERVICE,
            ENDPOINT,
            ACCESS_TOKEN,
            API_KEY,
            QUOTA_PROJECT,
            UNIVERSE_DOMAIN,
            TIMEOUT_MS,
            MAX_ATTEMPTS,
            "HOME",
            "OPERATIONS_OTHER",
        ]);
        let usual = match variable {
            SERVICE => choices.of(&["run.googleapis.com", "run.googleapis.com/v2", "own.example"]),
            ENDPOINT => choices.of(&[
                "https://a.example/v1",
                "http://localhost:80",
                "http://b.example/",
            ]),
            ACCESS_TOKEN | API_KEY => TOKEN,
            QUOTA_PROJECT => "p-1",
            UNIVERSE_DOMAIN => "Apis.example.org",
            _ => "7",
        };
        let value = match choices.up_to(5) {
            0..=2 => usual.to_owned(),
            3 => format!("{usual}{}", choices.of(&PIECES)),
            4 => {
                let pieces = 1 + choices.up_to(5);
                (0..pieces).map(|_| choices.of(&PIECES)).collect()
            }
            _ => match choices.up_to(3) {
                0 => choices.digits(),
                1 => format!("{}{usual}", choices.of(&PIECES)),
                _ => choices.words().replace('\n', "␤"),
            },
        };
        lines.push(format!("{variable}={value}"));
    }
    lines.join("\n").into_bytes()
}
