//! Names and the URLs that are made from them. An input is a letter, which picks one of [`SETTINGS`] (`a`
//! the first), followed by the name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use operations_get::bindings::{Failure, Reason};
use operations_get::name::Name;
use operations_get::request::Request;
use operations_get::settings::Settings;

use crate::choices::{Choices, text_of};
use crate::message::{self, TOKEN};

/// Settings, each as the pinned service with its version, the endpoint, and the universe domain; an empty
/// one is unset.
pub const SETTINGS: [[&str; 3]; 18] = [
    ["", "", ""],
    ["apigateway.googleapis.com", "", ""],
    ["apigateway.googleapis.com/v1beta", "", ""],
    ["apigateway.googleapis.com/v9", "", ""],
    ["own.example.com", "", ""],
    ["", "https://regional.example.com/v1", ""],
    ["own.example.com", "http://127.0.0.1:8080/own/v3/", ""],
    [
        "storage.googleapis.com",
        "https://private.example.com/storage/v1",
        "",
    ],
    ["drive.googleapis.com", "https://[2001:db8::1]:443", ""],
    [
        "cloudasset.googleapis.com",
        "https://private.example.com/v1",
        "",
    ],
    ["", "", "apis.example.org"],
    ["aiplatform.googleapis.com", "", "apis.example.org"],
    ["speech.googleapis.com/v2", "", ""],
    ["drive.googleapis.com", "", ""],
    ["storage.googleapis.com", "", ""],
    ["cloudasset.googleapis.com", "", ""],
    ["iam.googleapis.com", "", ""],
    ["workspaceevents.googleapis.com", "", ""],
];

const QUOTA_PROJECT: &str = "quota-project";

/// Runs one input.
pub fn check(input: &[u8]) {
    let text = text_of(input, make);
    let Some((&letter, name)) = text.split_first() else {
        return;
    };
    // The host passes a string, which is always UTF-8.
    let Ok(name) = std::str::from_utf8(name) else {
        return;
    };
    let at = usize::from(letter.wrapping_sub(b'a')) % SETTINGS.len();
    let settings = settings(SETTINGS[at]);
    let asked = ask(name, &settings);
    let expected = expected(name, SETTINGS[at]);
    match (&asked, &expected) {
        (Ok(request), Ok(url)) => {
            let asked = (
                request.tls,
                request.authority.as_str(),
                request.path.as_str(),
                request.query,
            );
            let url = (
                url.tls,
                url.authority.as_str(),
                url.path.as_str(),
                url.query,
            );
            assert_eq!(asked, url, "the URL of {name:?} under {:?}", SETTINGS[at]);
            check_request(request);
        }
        (Err(failure), Err(reason)) => {
            assert_eq!(failure.reason, *reason, "{name:?} under {:?}", SETTINGS[at]);
            assert!(failure.is_permanent() && failure.http_status.is_none());
            message::check(&failure.message, name.as_bytes());
        }
        _ => panic!(
            "{name:?} under {:?} is {asked:?}, and not {expected:?}",
            SETTINGS[at]
        ),
    }
}

/// The settings of a row, with a credential.
pub fn settings([service, endpoint, universe]: [&str; 3]) -> Settings {
    let variables = [
        ("OPERATIONS_SERVICE", service),
        ("OPERATIONS_ENDPOINT", endpoint),
        ("GOOGLE_CLOUD_UNIVERSE_DOMAIN", universe),
        ("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN),
        ("GOOGLE_CLOUD_QUOTA_PROJECT", QUOTA_PROJECT),
    ];
    Settings::from_variables(variables.map(|(variable, value)| (variable.into(), value.into())))
        .expect("the settings are good")
}

/// What the component does with a name before it sends anything.
pub fn ask(name: &str, settings: &Settings) -> Result<Request, Failure> {
    settings
        .refuse_credential_in(name)
        .and_then(|()| Name::parse(name))
        .and_then(|name| Request::new(&name, settings))
}

/// The request for a good name under the settings of a row.
pub fn asked(name: &str, row: [&str; 3]) -> Request {
    ask(name, &settings(row)).expect("the name is good")
}

/// Checks what is true of every request, whatever the table says.
fn check_request(request: &Request) {
    let shown = request.to_string();
    assert!(!shown.contains(TOKEN) && !shown.contains(|c: char| c.is_control()));
    // Only what `{name=**}` lets through: no client on the way can read another host, query or path.
    let mut bytes = request.path.bytes();
    while let Some(byte) = bytes.next() {
        let is_upper_hex = |byte: Option<u8>| matches!(byte, Some(b'0'..=b'9') | Some(b'A'..=b'F'));
        let is_sent = match byte {
            b'%' => is_upper_hex(bytes.next()) && is_upper_hex(bytes.next()),
            byte => byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte),
        };
        assert!(is_sent, "byte {byte} in {}", request.path);
    }
    let mut segments = request.path.split('/').skip(1);
    assert!(
        segments.all(|segment| !matches!(segment, "" | "." | "..")),
        "{}",
        request.path
    );
    let scheme = if request.tls { "https" } else { "http" };
    let url = format!(
        "{scheme}://{}{}?{}",
        request.authority, request.path, request.query
    );
    let uri: http::Uri = url.parse().expect("a URL");
    let authority = uri.authority().map(http::uri::Authority::as_str);
    assert_eq!(authority, Some(&*request.authority), "{url}");
    assert_eq!(
        (uri.path(), uri.query()),
        (&*request.path, Some(request.query))
    );
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .filter(|(name, _)| *name != "user-agent")
        .collect();
    let bearer = format!("Bearer {TOKEN}");
    let expected = [
        ("accept", "application/json"),
        ("authorization", &bearer),
        ("x-goog-user-project", QUOTA_PROJECT),
    ];
    assert_eq!(headers, expected);
}

#[derive(Debug)]
struct Url {
    tls: bool,
    authority: String,
    path: String,
    query: &'static str,
}

/// The contract's and the README's rules, read from `catalog/services.tsv` itself.
fn expected(name: &str, [pin, endpoint, universe]: [&str; 3]) -> Result<Url, Reason> {
    if message::without_token(name.as_bytes()) != name.as_bytes() {
        return Err(Reason::InvalidName);
    }
    let (named, relative, is_usual) = parts(trimmed(name)).ok_or(Reason::InvalidName)?;
    let (pinned, version) = match pin.split_once('/') {
        Some((service, version)) => (service, version),
        None => (pin, ""),
    };
    let service = match named {
        Some(named) if pinned.is_empty() && endpoint.is_empty() => named,
        Some(named) if named != pinned => return Err(Reason::InvalidName),
        _ if pinned.is_empty() && endpoint.is_empty() => "workspaceevents.googleapis.com",
        _ => pinned,
    };
    let rows = CATALOGUE.get(service).map(Vec::as_slice);
    let publishes = |row: &&Row| row.patterns.iter().any(|pattern| fits(pattern, relative));
    let published = |rows: &'static [Row]| rows.iter().find(publishes).unwrap_or(&rows[0]);
    let (tls, authority, prefix, row, is_published) = if endpoint.is_empty() {
        let rows = rows.ok_or(Reason::UnknownService)?;
        let of_version = |version: &str| rows.iter().find(|row| row.version == version);
        let row = match version {
            "" if service == "workspaceevents.googleapis.com" => of_version("v1beta"),
            "" => Some(published(rows)),
            version => of_version(version),
        };
        let row = row.ok_or(Reason::UnknownService)?;
        // Nobody said which service it is of, and the default one has no such operations.
        if named.is_none() && pinned.is_empty() && !publishes(&row) {
            return Err(Reason::InvalidName);
        }
        let mut authority = row.host.to_owned();
        let mut segments = relative.split('/');
        segments.find(|segment| *segment == "locations");
        if let Some(location) = segments.next()
            && row.locations.contains(&location)
        {
            authority = format!("{location}-{authority}");
        }
        if !universe.is_empty() {
            authority = authority.replace("googleapis.com", universe);
        }
        let prefix = &row.template[..row.template.len() - row.form().len()];
        (
            true,
            authority,
            format!("/{prefix}"),
            Some(row),
            publishes(&row),
        )
    } else {
        let (scheme, rest) = endpoint.split_once("://").expect("an endpoint is a URL");
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        let slash = if path.is_empty() { "" } else { "/" };
        (
            scheme == "https",
            authority.to_owned(),
            format!("/{path}{slash}"),
            rows.map(published),
            rows.is_some_and(|rows| rows.iter().any(|row| publishes(&row))),
        )
    };
    let segments: Vec<&str> = relative.split('/').collect();
    let (end, query) = match row.map_or("{name}", Row::form) {
        "{name}" => (encoded(relative, "-_.~/"), "$.xgafv=2&prettyPrint=false"),
        "operations/{id}" if segments[0] == "operations" => (
            format!("operations/{}", encoded(&segments[1..].join("/"), "-_.~")),
            "$.xgafv=2&prettyPrint=false",
        ),
        "b/{bucket}/operations/{operation}" => match &segments[..] {
            [
                "projects",
                _,
                "buckets",
                bucket,
                "operations",
                operation @ ..,
            ] if !operation.is_empty() => {
                let bucket = encoded(bucket, "-_.~");
                let operation = encoded(&operation.join("/"), "-_.~");
                (
                    format!("b/{bucket}/operations/{operation}"),
                    "prettyPrint=false",
                )
            }
            _ => return Err(Reason::InvalidName),
        },
        _ => return Err(Reason::InvalidName),
    };
    if !is_usual && !is_published {
        return Err(Reason::InvalidName);
    }
    Ok(Url {
        tls,
        authority,
        path: format!("{prefix}{end}"),
        query,
    })
}

/// The name without the white space and byte order marks at its ends.
fn trimmed(name: &str) -> &str {
    let is_blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    name.trim_start_matches(is_blank).trim_end_matches(is_blank)
}

/// The service and the relative name of a valid name, and whether its `operations` is where the contract
/// wants it. If it is not, a pattern of the service may still match the name.
fn parts(name: &str) -> Option<(Option<&str>, &str, bool)> {
    let bytes = name.len();
    let segments: Vec<&str> = name.split('/').collect();
    let (service, from) = match &segments[..] {
        ["", "", service, _, ..] if !service.is_empty() => (Some(*service), 3),
        _ => (None, 0),
    };
    let relative = &segments[from..];
    let is_bad = |segment: &&str| matches!(*segment, "" | "." | "..");
    let quotation_marks = "\"'`«»‹›‘’‚‛“”„‟";
    let is_quoted = name
        .chars()
        .next()
        .is_some_and(|c| quotation_marks.contains(c))
        || name
            .chars()
            .last()
            .is_some_and(|c| quotation_marks.contains(c));
    let controls = name
        .chars()
        .any(|c| c < ' ' || ('\u{7f}'..='\u{9f}').contains(&c));
    if is_quoted || controls {
        return None;
    }
    if !(1..=2048).contains(&bytes) || relative.iter().any(is_bad) {
        return None;
    }
    let count = relative.len();
    let has = |at: usize| relative.get(at) == Some(&"operations");
    let has_from_end = |behind: usize| count > behind && has(count - 1 - behind);
    let is_usual = has(0) && count > 1 || has_from_end(1) || has_from_end(2);
    if !is_usual && !relative[..count - 1].contains(&"operations") {
        return None;
    }
    let start: usize = segments[..from]
        .iter()
        .map(|segment| segment.len() + 1)
        .sum();
    Some((service, &name[start..], is_usual))
}

fn fits(pattern: &str, name: &str) -> bool {
    let names: Vec<&str> = name.split('/').collect();
    let (pattern, has_a_tail) = match pattern.strip_suffix("/**") {
        Some(head) => (head, true),
        None => (pattern, false),
    };
    let pattern: Vec<&str> = pattern.split('/').collect();
    let is_as_long = match has_a_tail {
        true => names.len() > pattern.len(),
        false => names.len() == pattern.len(),
    };
    let mut pairs = pattern.iter().zip(&names);
    is_as_long && pairs.all(|(expected, segment)| *expected == "*" || expected == segment)
}

/// As `google/api/http.proto` says: every byte but letters, digits and `kept` as `%XX`.
fn encoded(text: &str, kept: &str) -> String {
    let encode = |byte: u8| match char::from(byte) {
        c if byte < 128 && (c.is_ascii_alphanumeric() || kept.contains(c)) => c.to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

struct Row {
    version: &'static str,
    host: &'static str,
    template: &'static str,
    patterns: Vec<&'static str>,
    locations: Vec<&'static str>,
}

impl Row {
    /// The part of the template that is made from the name.
    fn form(&self) -> &'static str {
        let forms = [
            "{name}",
            "operations/{id}",
            "b/{bucket}/operations/{operation}",
        ];
        let form = forms.iter().find(|form| self.template.ends_with(**form));
        form.expect("the table has no other form")
    }
}

static CATALOGUE: LazyLock<BTreeMap<&str, Vec<Row>>> = LazyLock::new(|| {
    let table = include_str!("../../catalog/services.tsv");
    let mut catalogue: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        catalogue.entry(columns[0]).or_default().push(Row {
            version: columns[2],
            host: columns[1],
            template: columns[5],
            patterns: columns[6].split(' ').collect(),
            locations: columns[8].split(' ').collect(),
        });
    }
    catalogue
});

/// A letter, and a name that matches a pattern of the catalogue, or nearly does.
fn make(choices: &mut Choices) -> Vec<u8> {
    let services: Vec<&str> = CATALOGUE.keys().copied().collect();
    let pinned = choices.up_to(SETTINGS.len() - 1);
    let [service, ..] = SETTINGS[pinned];
    let service = service.split('/').next().unwrap_or_default();
    let service = match choices.up_to(3) {
        0 if CATALOGUE.contains_key(service) => service,
        _ => choices.of(&services),
    };
    let rows = &CATALOGUE[service];
    let row = &rows[choices.up_to(rows.len() - 1)];
    let mut segments: Vec<String> = Vec::new();
    for segment in choices.of(&row.patterns).split('/') {
        let after_locations = segments.last().is_some_and(|last| last == "locations");
        segments.push(match segment {
            "*" | "**" if after_locations && choices.one_in(2) => {
                choices.of(&row.locations).to_owned()
            }
            "*" | "**" => match choices.up_to(3) {
                0 => "made".to_owned(),
                _ => choices.words(),
            },
            segment => segment.to_owned(),
        });
    }
    match choices.up_to(6) {
        1 => segments.truncate(choices.up_to(segments.len())),
        2 => segments.push(choices.words()),
        3 => segments.insert(choices.up_to(segments.len()), choices.words()),
        4 => segments.insert(choices.up_to(segments.len()), "operations".to_owned()),
        5 => segments.insert(choices.up_to(segments.len()), "locations".to_owned()),
        6 => {
            segments.push("a".repeat(2040 + choices.up_to(10) - segments.join("/").len().min(2040)))
        }
        _ => {}
    }
    let service = match choices.up_to(7) {
        0..=2 => String::new(),
        3 => format!("//{}/", choices.words()),
        4 => format!("//{service}@{}/", choices.words()),
        _ => format!("//{service}/"),
    };
    let letter = char::from(b'a' + pinned as u8);
    format!("{letter}{service}{}", segments.join("/")).into_bytes()
}
