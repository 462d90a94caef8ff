//! Where names go: every pair of service and version, and any string at all.

use std::collections::BTreeSet;

use operations_get::bindings::Reason as Kind;
use operations_get::name::Name;
use operations_get::request::Request;
use operations_get::settings::{PinnedService, Settings};
use operations_host::Manifest;
use proptest::prelude::*;

use crate::block::NAME;
use crate::fake_network::{Network, Reason, permanent, response};

/// Service, version, made-up name, and the URL that the discovery document's own path gives it.
const URLS: &str = include_str!("../../catalog/urls.tsv");

const SERVICES: &str = include_str!("../../catalog/services.tsv");

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().skip(1).map(|line| line.split('\t').collect())
}

#[tokio::test]
async fn every_pattern_of_every_pair_goes_to_the_url_of_its_document() {
    let mut pairs = BTreeSet::new();
    for row in rows(URLS) {
        let &[service, version, name, url] = row.as_slice() else {
            panic!("four columns expected: {row:?}");
        };
        let pinned = format!("{service}/{version}");
        let full = format!("//{service}/{name}");
        for name in [name, &full] {
            let settings = [("OPERATIONS_SERVICE", pinned.as_str())];
            let (result, sent) = Network::done().call(name, &settings).await;
            assert!(result.is_ok(), "{pinned} {name}: {result:?}");
            let [request] = sent.as_slice() else {
                panic!("{pinned} {name}: {} requests", sent.len());
            };
            let asked = request.uri.to_string();
            let query = match service {
                "storage.googleapis.com" => "?prettyPrint=false",
                _ => "?$.xgafv=2&prettyPrint=false",
            };
            assert_eq!(asked, format!("{url}{query}"), "{pinned} {name}");
        }
        pairs.insert((service, version));
    }
    let in_table: BTreeSet<_> = rows(SERVICES).map(|row| (row[0], row[2])).collect();
    assert_eq!(pairs, in_table);
}

/// The URLs that a service's versions have for a name, by the table.
fn urls(service: &str, name: &str) -> BTreeSet<String> {
    let mut urls = BTreeSet::new();
    for row in rows(SERVICES).filter(|row| row[0] == service) {
        let (host, path) = (row[1], row[5].replace("{name}", name));
        urls.insert(format!("https://{host}/{path}"));
        urls.extend(
            row[8]
                .split_whitespace()
                .map(|location| format!("https://{location}-{host}/{path}")),
        );
    }
    let spelt = rows(URLS).filter(|row| row[0] == service && row[2] == name);
    urls.extend(spelt.map(|row| row[3].to_owned()));
    urls
}

#[tokio::test]
async fn a_full_name_alone_picks_its_service() {
    for row in rows(URLS) {
        let (service, name) = (row[0], row[2]);
        let full = format!("//{service}/{name}");
        let (result, sent) = Network::done().call(&full, &[]).await;
        assert!(result.is_ok(), "{full}: {result:?}");
        let asked = sent[0].uri.to_string();
        let asked = asked.split('?').next().unwrap_or_default();
        assert!(
            urls(service, name).contains(asked),
            "{full} went to {asked}"
        );
    }
}

#[tokio::test]
async fn a_service_with_operations_of_its_own_type_or_unknown_is_refused_before_anything_is_sent() {
    for name in [
        "//compute.googleapis.com/projects/p/operations/o",
        "//apigatway.googleapis.com/operations/o",
    ] {
        let (result, sent) = Network::done().call(name, &[]).await;
        assert_eq!(permanent(result).reason, Reason::UnknownService, "{name}");
        assert!(sent.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_not_found_for_an_unpublished_name_says_what_is_published() {
    let body = r#"{"error":{"code":404,"message":"m","status":"NOT_FOUND"}}"#;
    let network = Network::new(move |_| Ok(response(404, body)));
    let said = async |name: &str| permanent(network.call(name, &[]).await.0).message;
    assert_eq!(
        said("//apigateway.googleapis.com/operations/o").await,
        "GET https://apigateway.googleapis.com/v1/operations/o was answered with 404 NOT_FOUND and says \
         “m”. There is no such operation, or it has expired (services keep one for about 30 days): check \
         the name and the service. The name fits none of the patterns that the service publishes: \
         projects/*/locations/*/operations/*."
    );
    assert!(
        !said("//apigateway.googleapis.com/projects/p/locations/l/operations/o")
            .await
            .contains("patterns")
    );
}

#[tokio::test]
async fn a_wrong_address_is_named_with_its_host_version_and_path() {
    let page = "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>";
    let network = Network::new(move |_| Ok(response(404, page)));
    let (result, sent) = network.call(NAME, &[]).await;
    let failure = permanent(result);
    assert_eq!((failure.reason, sent.len()), (Reason::WrongAddress, 1));
    assert_eq!(
        failure.message,
        "GET https://workspaceevents.googleapis.com/v1beta/operations/o was answered with 404 and a page \
         titled “Error 404 (Not Found)!!1”. The host workspaceevents.googleapis.com, version v1beta or \
         the path /v1beta/operations/o is wrong: check OPERATIONS_SERVICE, OPERATIONS_ENDPOINT and the \
         name."
    );
}

/// Strings of every kind: those that nearly are names, and those that are not at all.
fn names() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        Just("operations".to_owned()),
        Just("projects".to_owned()),
        Just("locations".to_owned()),
        Just("buckets".to_owned()),
        Just("us-central1".to_owned()),
        Just("..".to_owned()),
        Just("%2e%2e".to_owned()),
        Just("evil.example:443#".to_owned()),
        Just("us-central1.evil.example".to_owned()),
        "[ -~]{0,12}",
        any::<String>(),
    ];
    let services: Vec<String> = rows(SERVICES).map(|row| format!("//{}/", row[0])).collect();
    let head = prop_oneof![
        2 => Just(String::new()),
        3 => prop::sample::select(services),
        1 => Just("//evil.example/".to_owned()),
        1 => any::<String>().prop_map(|service| format!("//{service}/")),
    ];
    let path = prop::collection::vec(segment, 0..8).prop_map(|segments| segments.join("/"));
    let near = (head, path, 0..3_u8).prop_map(|(head, path, ending)| match ending {
        0 => format!("{head}{path}"),
        1 => format!("{head}{path}/operations/o"),
        _ => format!("{head}operations/{path}"),
    });
    prop_oneof![5 => near, 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    /// No byte of a name changes host, version or query.
    #[test]
    fn a_name_stays_within_its_service(name in names()) {
        let Ok(parsed) = Name::parse(&name) else { return Ok(()) };
        for service in [None, parsed.service().map(str::to_owned), Some("drive.googleapis.com".to_owned())] {
            let settings = Settings {
                service: service.map(|name| PinnedService { name, version: None }),
                ..Settings::default()
            };
            let request = match Request::new(&parsed, &settings) {
                Ok(request) => request,
                Err(failure) => {
                    prop_assert!(matches!(failure.reason, Kind::InvalidName | Kind::UnknownService));
                    continue;
                }
            };
            prop_assert!(request.tls);
            prop_assert!(HOSTS.contains(&request.authority), "{}", request.authority);
            let version = request.version.expect("without an endpoint the block chooses the version");
            let prefix = format!("/{}/", version.prefix());
            prop_assert!(request.path.starts_with(&prefix), "{} {prefix}", request.path);
            let mut bytes = request.path.bytes();
            prop_assert!(bytes.all(|b| b.is_ascii_alphanumeric() || b"-_.~/%".contains(&b)), "{}", request.path);
            let mut segments = request.path[1..].split('/');
            prop_assert!(!segments.any(|s| matches!(s, "" | "." | "..")), "{}", request.path);
        }
    }
}

static HOSTS: std::sync::LazyLock<BTreeSet<String>> = std::sync::LazyLock::new(|| {
    Manifest::builtin()
        .permissions
        .network
        .allowed_hosts
        .into_iter()
        .collect()
});
