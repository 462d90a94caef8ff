//! What each error of `wasi:http` becomes, and what the host denies.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use operations_host::{Call, Manifest, Reason as HostReason};
use testing::server::Server;
use tokio::task::JoinSet;
use wasmtime_wasi_http::Error;
use wit_parser::TypeDefKind;

use crate::block::{DONE, NAME, assert_failed, load};
use crate::fake_network::{GetError, Network, Reason, permanent, response, transient};
use crate::wit;

/// What the host itself says of its insides; no message may hold it.
const SECRET: &str = "secret backtrace";

fn secret() -> Option<String> {
    Some(SECRET.to_owned())
}

/// The case of `get-error`.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Case {
    Permanent,
    Transient,
}
use Case::{Permanent, Transient};

/// What an error becomes: the reason, the case, and how many requests a call sends that may make two attempts.
type Becomes = (Reason, Case, usize);

const UNREACHABLE: Becomes = (Reason::Unreachable, Transient, 2);
const LOST: Becomes = (Reason::ConnectionLost, Transient, 1);
const TIMEOUT: Becomes = (Reason::Timeout, Transient, 1);
const CERTIFICATE: Becomes = (Reason::Certificate, Permanent, 1);
const DENIED: Becomes = (Reason::RequestDenied, Permanent, 1);
const TOO_LARGE: Becomes = (Reason::TooLarge, Permanent, 1);
const NOT_AN_OPERATION: Becomes = (Reason::NotAnOperation, Permanent, 1);

/// A case of `wasi:http`'s `error-code`, the host's error for it, and what it becomes.
type ErrorCodeCase = (&'static str, fn() -> Error, Becomes);

const ERROR_CODES: &[ErrorCodeCase] = &[
    ("DNS-timeout", || Error::DnsTimeout, UNREACHABLE),
    (
        "DNS-error",
        || Error::DnsError {
            rcode: secret(),
            info_code: Some(1),
        },
        UNREACHABLE,
    ),
    (
        "destination-not-found",
        || Error::DestinationNotFound,
        UNREACHABLE,
    ),
    (
        "destination-unavailable",
        || Error::DestinationUnavailable,
        UNREACHABLE,
    ),
    (
        "destination-IP-prohibited",
        || Error::DestinationIpProhibited,
        DENIED,
    ),
    (
        "destination-IP-unroutable",
        || Error::DestinationIpUnroutable,
        UNREACHABLE,
    ),
    (
        "connection-refused",
        || Error::ConnectionRefused,
        UNREACHABLE,
    ),
    (
        "connection-terminated",
        || Error::ConnectionTerminated,
        LOST,
    ),
    (
        "connection-timeout",
        || Error::ConnectionTimeout,
        UNREACHABLE,
    ),
    (
        "connection-read-timeout",
        || Error::ConnectionReadTimeout,
        TIMEOUT,
    ),
    (
        "connection-write-timeout",
        || Error::ConnectionWriteTimeout,
        TIMEOUT,
    ),
    (
        "connection-limit-reached",
        || Error::ConnectionLimitReached,
        UNREACHABLE,
    ),
    (
        "TLS-protocol-error",
        || Error::TlsProtocolError,
        CERTIFICATE,
    ),
    (
        "TLS-certificate-error",
        || Error::TlsCertificateError,
        CERTIFICATE,
    ),
    (
        "TLS-alert-received",
        || Error::TlsAlertReceived {
            alert_id: Some(40),
            alert_message: secret(),
        },
        CERTIFICATE,
    ),
    ("HTTP-request-denied", || Error::HttpRequestDenied, DENIED),
    (
        "HTTP-request-length-required",
        || Error::HttpRequestLengthRequired,
        DENIED,
    ),
    (
        "HTTP-request-body-size",
        || Error::HttpRequestBodySize(Some(1)),
        DENIED,
    ),
    (
        "HTTP-request-method-invalid",
        || Error::HttpRequestMethodInvalid,
        DENIED,
    ),
    (
        "HTTP-request-URI-invalid",
        || Error::HttpRequestUriInvalid,
        DENIED,
    ),
    (
        "HTTP-request-URI-too-long",
        || Error::HttpRequestUriTooLong,
        DENIED,
    ),
    (
        "HTTP-request-header-section-size",
        || Error::HttpRequestHeaderSectionSize(Some(1)),
        DENIED,
    ),
    (
        "HTTP-request-header-size",
        || Error::HttpRequestHeaderSize {
            field_name: secret(),
            field_size: None,
        },
        DENIED,
    ),
    (
        "HTTP-request-trailer-section-size",
        || Error::HttpRequestTrailerSectionSize(None),
        DENIED,
    ),
    (
        "HTTP-request-trailer-size",
        || Error::HttpRequestTrailerSize {
            field_name: secret(),
            field_size: None,
        },
        DENIED,
    ),
    (
        "HTTP-response-incomplete",
        || Error::HttpResponseIncomplete,
        LOST,
    ),
    (
        "HTTP-response-header-section-size",
        || Error::HttpResponseHeaderSectionSize(Some(1)),
        TOO_LARGE,
    ),
    (
        "HTTP-response-header-size",
        || Error::HttpResponseHeaderSize {
            field_name: secret(),
            field_size: None,
        },
        TOO_LARGE,
    ),
    (
        "HTTP-response-body-size",
        || Error::HttpResponseBodySize(Some(1)),
        TOO_LARGE,
    ),
    (
        "HTTP-response-trailer-section-size",
        || Error::HttpResponseTrailerSectionSize(None),
        TOO_LARGE,
    ),
    (
        "HTTP-response-trailer-size",
        || Error::HttpResponseTrailerSize {
            field_name: secret(),
            field_size: None,
        },
        TOO_LARGE,
    ),
    (
        "HTTP-response-transfer-coding",
        || Error::HttpResponseTransferCoding(secret()),
        LOST,
    ),
    (
        "HTTP-response-content-coding",
        || Error::HttpResponseContentCoding(secret()),
        NOT_AN_OPERATION,
    ),
    (
        "HTTP-response-timeout",
        || Error::HttpResponseTimeout,
        TIMEOUT,
    ),
    ("HTTP-upgrade-failed", || Error::HttpUpgradeFailed, LOST),
    ("HTTP-protocol-error", || Error::HttpProtocolError, LOST),
    ("loop-detected", || Error::LoopDetected, DENIED),
    ("configuration-error", || Error::ConfigurationError, DENIED),
    ("internal-error", || Error::InternalError(secret()), LOST),
];

#[tokio::test]
async fn every_error_code_becomes_the_failure_of_its_row() {
    let mut calls = JoinSet::new();
    for &(code, error, becomes) in ERROR_CODES {
        calls.spawn(async move {
            let settings = [("OPERATIONS_MAX_ATTEMPTS", "2")];
            let network = Network::new(move |_| Err(error()));
            let (result, sent) = network.call(NAME, &settings).await;
            let (case, failure) = match result {
                Err(GetError::Permanent(failure)) => (Permanent, failure),
                Err(GetError::Transient(failure)) => (Transient, failure),
                other => panic!("{code}: {other:?}"),
            };
            assert_eq!((failure.reason, case, sent.len()), becomes, "{code}");
            let message = &failure.message;
            let url = "GET https://workspaceevents.googleapis.com/v1beta/operations/o";
            assert!(message.contains(url), "{code}: {message}");
            assert!(!message.contains(SECRET), "{code}: {message}");
            assert_eq!(
                (
                    failure.http_status,
                    failure.service_error.is_none(),
                    failure.retry_after_ms
                ),
                (None, true, None),
                "{code}"
            );
        });
    }
    assert_eq!(calls.join_all().await.len(), ERROR_CODES.len());
}

#[test]
fn the_rows_are_all_the_error_codes_of_the_component() {
    let (resolve, _) = wit::decode();
    let (_, codes) = resolve
        .types
        .iter()
        .find(|(_, of)| {
            of.name.as_deref() == Some("error-code") && matches!(of.kind, TypeDefKind::Variant(_))
        })
        .expect("wasi:http/types has error-code");
    let TypeDefKind::Variant(codes) = &codes.kind else {
        unreachable!("it was looked up as a variant");
    };
    let rows = ERROR_CODES.iter().map(|row| row.0);
    assert!(
        codes.cases.iter().map(|case| case.name.as_str()).eq(rows),
        "{codes:?}"
    );
}

#[tokio::test]
async fn a_failed_connection_is_followed_by_a_second_attempt() {
    let network = Network::new(|attempt| match attempt {
        0 => Err(Error::ConnectionRefused),
        _ => Ok(response(200, DONE)),
    });
    let (result, sent) = network.call(NAME, &[]).await;
    assert!(result.unwrap().done);
    assert_eq!(sent.len(), 2);
}

/// A host may report a connect timeout when it is the call's own deadline that passes.
#[tokio::test]
async fn a_deadline_that_passes_while_connecting_is_a_timeout() {
    let settings = [("OPERATIONS_TIMEOUT_MS", "100")];
    let network = Network::new(|_| Err(Error::ConnectionTimeout)).after(Duration::from_millis(200));
    let (result, sent) = network.call(NAME, &settings).await;
    assert_eq!((transient(result).reason, sent.len()), (Reason::Timeout, 1));
}

#[tokio::test]
async fn a_body_that_the_host_breaks_off_is_a_lost_connection() {
    let network = Network::new(|_| {
        let begun = Full::new(Bytes::from_static(b"{\"done\":")).map_err(|never| match never {});
        let breaks = async { Some(Err(Error::InternalError(secret()))) };
        Ok(Response::new(begun.with_trailers(breaks).boxed_unsync()))
    });
    let (result, sent) = network.call(NAME, &[]).await;
    let failure = transient(result);
    assert_eq!((failure.reason, sent.len()), (Reason::ConnectionLost, 1));
    assert_eq!(
        failure.message,
        "GET https://workspaceevents.googleapis.com/v1beta/operations/o was not answered whole: the \
         response is incomplete. Try again."
    );
}

/// Such a host adds the credential itself.
#[tokio::test]
async fn a_header_field_that_the_host_forbids_is_a_denied_request() {
    let settings = [("GOOGLE_OAUTH_ACCESS_TOKEN", "not-a-real-token")];
    let network = Network::done().forbidding("authorization");
    let (result, sent) = network.call(NAME, &settings).await;
    assert_eq!(
        (permanent(result).reason, sent.len()),
        (Reason::RequestDenied, 0)
    );
    let (result, sent) = network.call(NAME, &[]).await;
    assert!(result.unwrap().done);
    assert_eq!(sent.len(), 1);
}

#[tokio::test]
async fn a_host_that_the_manifest_does_not_allow_is_denied() {
    let mut manifest = Manifest::builtin();
    manifest.permissions.network.allowed_hosts.clear();
    let get = load(manifest);
    for name in [
        NAME,
        "//apigateway.googleapis.com/projects/p/locations/l/operations/o",
    ] {
        let failure = assert_failed(
            get.call(&Call::new(name)).await,
            "permanent",
            HostReason::RequestDenied,
        );
        assert!(
            failure
                .message
                .starts_with("The host denies this request, so GET https://"),
            "{}",
            failure.message
        );
    }
    // The endpoint is the operator's own grant: it needs none of the manifest's.
    let server = Server::always(DONE).await;
    let call = Call::new(NAME).setting("OPERATIONS_ENDPOINT", server.endpoint());
    assert!(get.call(&call).await.unwrap().done);
    assert_eq!(server.seen().accepted, 1);
}
