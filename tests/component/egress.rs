//! What the host lets through, and what each `wasi:http` error becomes.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Response, StatusCode};
use operations_host::{Block, Call, Manifest, Reason as HostReason};
use tokio::task::JoinSet;
use wasmtime_wasi_http::{Error, WasiBody};
use wit_component::DecodedWasm;
use wit_parser::TypeDefKind;

use crate::block::{NAME, assert_failed, load};
use crate::hooked::{self, GetError, Network, Reason, ok};
use crate::server::{Answer, Server};

/// What the host itself says of its insides; no message may hold it.
const SECRET: &str = "secret backtrace";

/// A row: the case of `wasi:http`'s `error-code`, the host's error, and what the block makes of it.
type Row = (&'static str, fn() -> Error, Reason, Case, usize);

/// The case of `get-error`.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Case {
    Permanent,
    Transient,
}
use Case::{Permanent, Transient};

fn secret() -> Option<String> {
    Some(SECRET.to_owned())
}

/// Every error code with its reason, its case, and the requests that two attempts come to.
const ERROR_CODES: &[Row] = &[
    (
        "DNS-timeout",
        || Error::DnsTimeout,
        Reason::Unreachable,
        Transient,
        2,
    ),
    (
        "DNS-error",
        || Error::DnsError {
            rcode: secret(),
            info_code: Some(1),
        },
        Reason::Unreachable,
        Transient,
        2,
    ),
    (
        "destination-not-found",
        || Error::DestinationNotFound,
        Reason::Unreachable,
        Transient,
        2,
    ),
    (
        "destination-unavailable",
        || Error::DestinationUnavailable,
        Reason::Unreachable,
        Transient,
        2,
    ),
    (
        "destination-IP-prohibited",
        || Error::DestinationIpProhibited,
        Reason::RequestDenied,
        Permanent,
        1,
    ),
    (
        "destination-IP-unroutable",
        || Error::DestinationIpUnroutable,
        Reason::Unreachable,
        Transient,
        2,
    ),
    (
        "connection-refused",
        || Error::ConnectionRefused,
        Reason::Unreachable,
        Transient,
        2,
    ),
    (
        "connection-terminated",
        || Error::ConnectionTerminated,
        Reason::ConnectionLost,
        Transient,
        1,
    ),
    (
        "connection-timeout",
        || Error::ConnectionTimeout,
        Reason::Unreachable,
        Transient,
        2,
    ),
    (
        "connection-read-timeout",
        || Error::ConnectionReadTimeout,
        Reason::Timeout,
        Transient,
        1,
    ),
    (
        "connection-write-timeout",
        || Error::ConnectionWriteTimeout,
        Reason::Timeout,
        Transient,
        1,
    ),
    (
        "connection-limit-reached",
        || Error::ConnectionLimitReached,
        Reason::Unreachable,
        Transient,
        2,
    ),
    (
        "TLS-protocol-error",
        || Error::TlsProtocolError,
        Reason::Certificate,
        Permanent,
        1,
    ),
    (
        "TLS-certificate-error",
        || Error::TlsCertificateError,
        Reason::Certificate,
        Permanent,
        1,
    ),
    (
        "TLS-alert-received",
        || Error::TlsAlertReceived {
            alert_id: Some(40),
            alert_message: secret(),
        },
        Reason::Certificate,
        Permanent,
        1,
    ),
    (
        "HTTP-request-denied",
        || Error::HttpRequestDenied,
        Reason::RequestDenied,
        Permanent,
        1,
    ),
    (
        "HTTP-request-length-required",
        || Error::HttpRequestLengthRequired,
        Reason::RequestDenied,
        Permanent,
        1,
    ),
    (
        "HTTP-request-body-size",
        || Error::HttpRequestBodySize(Some(1)),
        Reason::RequestDenied,
        Permanent,
        1,
    ),
    (
        "HTTP-request-method-invalid",
        || Error::HttpRequestMethodInvalid,
        Reason::RequestDenied,
        Permanent,
        1,
    ),
    (
        "HTTP-request-URI-invalid",
        || Error::HttpRequestUriInvalid,
        Reason::RequestDenied,
        Permanent,
        1,
    ),
    (
        "HTTP-request-URI-too-long",
        || Error::HttpRequestUriTooLong,
        Reason::RequestDenied,
        Permanent,
        1,
    ),
    (
        "HTTP-request-header-section-size",
        || Error::HttpRequestHeaderSectionSize(Some(1)),
        Reason::RequestDenied,
        Permanent,
        1,
    ),
    (
        "HTTP-request-header-size",
        || Error::HttpRequestHeaderSize {
            field_name: secret(),
            field_size: None,
        },
        Reason::RequestDenied,
        Permanent,
        1,
    ),
    (
        "HTTP-request-trailer-section-size",
        || Error::HttpRequestTrailerSectionSize(None),
        Reason::RequestDenied,
        Permanent,
        1,
    ),
    (
        "HTTP-request-trailer-size",
        || Error::HttpRequestTrailerSize {
            field_name: secret(),
            field_size: None,
        },
        Reason::RequestDenied,
        Permanent,
        1,
    ),
    (
        "HTTP-response-incomplete",
        || Error::HttpResponseIncomplete,
        Reason::ConnectionLost,
        Transient,
        1,
    ),
    (
        "HTTP-response-header-section-size",
        || Error::HttpResponseHeaderSectionSize(Some(1)),
        Reason::TooLarge,
        Permanent,
        1,
    ),
    (
        "HTTP-response-header-size",
        || Error::HttpResponseHeaderSize {
            field_name: secret(),
            field_size: None,
        },
        Reason::TooLarge,
        Permanent,
        1,
    ),
    (
        "HTTP-response-body-size",
        || Error::HttpResponseBodySize(Some(1)),
        Reason::TooLarge,
        Permanent,
        1,
    ),
    (
        "HTTP-response-trailer-section-size",
        || Error::HttpResponseTrailerSectionSize(None),
        Reason::TooLarge,
        Permanent,
        1,
    ),
    (
        "HTTP-response-trailer-size",
        || Error::HttpResponseTrailerSize {
            field_name: secret(),
            field_size: None,
        },
        Reason::TooLarge,
        Permanent,
        1,
    ),
    (
        "HTTP-response-transfer-coding",
        || Error::HttpResponseTransferCoding(secret()),
        Reason::ConnectionLost,
        Transient,
        1,
    ),
    (
        "HTTP-response-content-coding",
        || Error::HttpResponseContentCoding(secret()),
        Reason::NotAnOperation,
        Permanent,
        1,
    ),
    (
        "HTTP-response-timeout",
        || Error::HttpResponseTimeout,
        Reason::Timeout,
        Transient,
        1,
    ),
    (
        "HTTP-upgrade-failed",
        || Error::HttpUpgradeFailed,
        Reason::ConnectionLost,
        Transient,
        1,
    ),
    (
        "HTTP-protocol-error",
        || Error::HttpProtocolError,
        Reason::ConnectionLost,
        Transient,
        1,
    ),
    (
        "loop-detected",
        || Error::LoopDetected,
        Reason::RequestDenied,
        Permanent,
        1,
    ),
    (
        "configuration-error",
        || Error::ConfigurationError,
        Reason::RequestDenied,
        Permanent,
        1,
    ),
    (
        "internal-error",
        || Error::InternalError(secret()),
        Reason::ConnectionLost,
        Transient,
        1,
    ),
];

#[tokio::test]
async fn every_error_code_has_its_row() {
    let mut calls = JoinSet::new();
    for &(code, error, reason, case, attempts) in ERROR_CODES {
        calls.spawn(async move {
            let settings = [("OPERATIONS_MAX_ATTEMPTS", "2")];
            let (result, sent) = hooked::call(move |_| Err(error()), NAME, &settings).await;
            let (actual, failure) = match result {
                Err(GetError::Permanent(failure)) => (Permanent, failure),
                Err(GetError::Transient(failure)) => (Transient, failure),
                other => panic!("{code}: {other:?}"),
            };
            assert_eq!(
                (failure.reason, actual, sent.len()),
                (reason, case, attempts),
                "{code}"
            );
            let url = "GET https://workspaceevents.googleapis.com/v1beta/operations/o";
            assert!(failure.message.contains(url), "{code}: {}", failure.message);
            assert!(
                !failure.message.contains(SECRET),
                "{code}: {}",
                failure.message
            );
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
fn the_rows_are_the_error_codes_that_the_component_knows() {
    let DecodedWasm::Component(resolve, _) =
        wit_component::decode(Block::builtin().component()).unwrap()
    else {
        panic!("the block is a component");
    };
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
async fn an_attempt_that_failed_to_connect_is_followed_by_one_that_does() {
    let network = |attempt| match attempt {
        0 => Err(Error::ConnectionRefused),
        _ => Ok(ok(r#"{"done":true}"#)),
    };
    let (result, sent) = hooked::call(network, NAME, &[]).await;
    assert!(result.unwrap().done);
    assert_eq!(sent.len(), 2);
}

/// A host that reports a connect timeout when the call's own deadline passes.
struct SlowToConnect;

impl Network for SlowToConnect {
    fn answer(&self, _attempt: usize) -> Result<Response<WasiBody>, Error> {
        Err(Error::ConnectionTimeout)
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(200)
    }
}

#[tokio::test]
async fn the_deadline_while_connecting_is_a_timeout() {
    let settings = [("OPERATIONS_TIMEOUT_MS", "100")];
    let (result, sent) = hooked::call(SlowToConnect, NAME, &settings).await;
    let Err(GetError::Transient(failure)) = result else {
        panic!("{result:?}");
    };
    assert_eq!((failure.reason, sent.len()), (Reason::Timeout, 1));
}

#[tokio::test]
async fn a_body_that_the_host_breaks_off_is_a_lost_connection() {
    let network = |_| {
        let begun = Full::new(Bytes::from_static(b"{\"done\":")).map_err(|never| match never {});
        let breaks = async { Some(Err(Error::InternalError(secret()))) };
        Ok(Response::new(begun.with_trailers(breaks).boxed_unsync()))
    };
    let (result, sent) = hooked::call(network, NAME, &[]).await;
    let Err(GetError::Transient(failure)) = result else {
        panic!("{result:?}");
    };
    assert_eq!((failure.reason, sent.len()), (Reason::ConnectionLost, 1));
    assert_eq!(
        failure.message,
        "GET https://workspaceevents.googleapis.com/v1beta/operations/o was not answered whole: the \
         connection broke in the middle of the body. Try again."
    );
}

/// A host that adds the credential itself, and lets no guest set it.
struct ForbidsAuthorization;

impl Network for ForbidsAuthorization {
    fn answer(&self, _attempt: usize) -> Result<Response<WasiBody>, Error> {
        Ok(ok(r#"{"done":true}"#))
    }

    fn forbidden_field(&self) -> Option<&'static str> {
        Some("authorization")
    }
}

#[tokio::test]
async fn a_header_field_that_the_host_forbids_is_a_denied_request() {
    let settings = [("GOOGLE_OAUTH_ACCESS_TOKEN", "not-a-real-token")];
    let (result, sent) = hooked::call(ForbidsAuthorization, NAME, &settings).await;
    let Err(GetError::Permanent(failure)) = result else {
        panic!("{result:?}");
    };
    assert_eq!((failure.reason, sent.len()), (Reason::RequestDenied, 0));
    let (result, sent) = hooked::call(ForbidsAuthorization, NAME, &[]).await;
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
    let server = Server::always(Answer::operation(r#"{"done":true}"#)).await;
    let call = Call::new(NAME).setting("OPERATIONS_ENDPOINT", server.endpoint());
    assert!(get.call(&call).await.unwrap().done);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_wrong_address_is_named_with_its_host_version_and_path() {
    let network = |_| {
        let mut page = ok("<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>");
        *page.status_mut() = StatusCode::NOT_FOUND;
        Ok(page)
    };
    let (result, sent) = hooked::call(network, NAME, &[]).await;
    let Err(GetError::Permanent(failure)) = result else {
        panic!("{result:?}");
    };
    assert_eq!((failure.reason, sent.len()), (Reason::WrongAddress, 1));
    assert_eq!(
        failure.message,
        "GET https://workspaceevents.googleapis.com/v1beta/operations/o was answered with 404 and a page \
         titled “Error 404 (Not Found)!!1”. The host workspaceevents.googleapis.com, version v1beta or \
         the path /v1beta/operations/o is wrong: check OPERATIONS_SERVICE, OPERATIONS_ENDPOINT and the \
         name."
    );
}
