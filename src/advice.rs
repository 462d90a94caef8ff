//! What to do about an answer that is not a 200, by its reason and what the service said.

use crate::bindings::{Reason, ServiceError};
use crate::request::Request;

/// The advice at the end of a failure's message, as one or more sentences.
pub fn what_to_do(
    request: &Request,
    reason: &Reason,
    status: u16,
    error: Option<&ServiceError>,
) -> String {
    let text = match reason {
        Reason::ConnectionLost => {
            "That is no answer: try again, and check what stands between this host and the service."
        }
        Reason::NotAnOperation => "Only a 200 holds an operation: check the endpoint.",
        Reason::Redirected => {
            "Redirects are not followed: set OPERATIONS_ENDPOINT to the address that serves the API."
        }
        Reason::Unauthenticated => "Get a new access token, or have the host add one.",
        Reason::PermissionDenied => return how_to_get_permission(request, error),
        Reason::WrongAddress => return wrong_address(request),
        Reason::NotFound => return not_found(request),
        Reason::Timeout => "The service waited too long for the request: try again.",
        Reason::Aborted => "Another request was in the way: try again.",
        Reason::QuotaExceeded => {
            "Wait before the next call, poll less often, or ask for more quota."
        }
        Reason::Unavailable => "The service cannot answer now: try again later.",
        Reason::ServiceFault if status == 501 => {
            "The service does not implement this method: check the version."
        }
        Reason::ServiceFault => "The service failed: try again later.",
        _ => {
            "The service does not take this request: check the name, the version and the settings."
        }
    };
    text.to_owned()
}

fn how_to_get_permission(request: &Request, error: Option<&ServiceError>) -> String {
    let reason = error.and_then(ServiceError::info_reason);
    match reason.as_deref() {
        Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT") => match request.service {
            Some(service) if !service.scopes().is_empty() => {
                format!(
                    "Get a token with one of the scopes {}.",
                    service.scopes().join(" ")
                )
            }
            _ => {
                "Get a token with a scope that the service's documentation of operations.get names."
                    .to_owned()
            }
        },
        Some("SERVICE_DISABLED") => {
            match error.and_then(|error| error.info_metadata("activationUrl")) {
                Some(url) => format!(
                    "Enable the API at {} and wait a few minutes.",
                    request.excerpt(&url)
                ),
                None => "Enable the API in the project and wait a few minutes.".to_owned(),
            }
        }
        _ => "Grant the caller the permission to get this operation.".to_owned(),
    }
}

fn wrong_address(request: &Request) -> String {
    let version = match request.version {
        Some(version) => format!("version {}", version.name()),
        None => "the version in OPERATIONS_ENDPOINT".to_owned(),
    };
    format!(
        "The host {}, {version} or the path {} is wrong: check OPERATIONS_SERVICE, \
         OPERATIONS_ENDPOINT and the name.",
        request.authority, request.path
    )
}

fn not_found(request: &Request) -> String {
    let advice = "There is no such operation, or it has expired (services keep one for about 30 days): \
                  check the name and the service.";
    match request.unmatched_patterns() {
        patterns if patterns.is_empty() => advice.to_owned(),
        patterns => format!(
            "{advice} The name fits none of the patterns that the service publishes: {}.",
            patterns.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service_error;

    fn apigateway(name: &str) -> Request {
        Request::of(
            name,
            &[("OPERATIONS_SERVICE", "apigateway.googleapis.com/v1")],
        )
    }

    fn own(name: &str) -> Request {
        Request::of(name, &[("OPERATIONS_ENDPOINT", "https://h.example/v9")])
    }

    const NAME: &str = "projects/p/locations/global/operations/o";

    #[test]
    fn a_wrong_address_is_named_with_its_version() {
        let advice = |request| what_to_do(&request, &Reason::WrongAddress, 404, None);
        let check = "is wrong: check OPERATIONS_SERVICE, OPERATIONS_ENDPOINT and the name.";
        assert_eq!(
            advice(apigateway("operations/o")),
            format!(
                "The host apigateway.googleapis.com, version v1 or the path /v1/operations/o {check}"
            )
        );
        assert_eq!(
            advice(own("operations/o")),
            format!(
                "The host h.example, the version in OPERATIONS_ENDPOINT or the path /v9/operations/o \
                 {check}"
            )
        );
    }

    #[test]
    fn a_name_that_matches_no_pattern_gets_the_patterns() {
        let advice = |request| what_to_do(&request, &Reason::NotFound, 404, None);
        let plain = "There is no such operation, or it has expired (services keep one for about 30 days): \
                     check the name and the service.";
        assert_eq!(advice(apigateway(NAME)), plain);
        assert_eq!(
            advice(apigateway("operations/o")),
            format!(
                "{plain} The name fits none of the patterns that the service publishes: \
                 projects/*/locations/*/operations/*."
            )
        );
    }

    /// The advice for a 403 whose `google.rpc.ErrorInfo` is this.
    fn for_403(request: &Request, reason: &str, metadata: &str) -> String {
        let body = format!(
            r#"{{"error":{{"details":[{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}","metadata":{metadata}}}]}}}}"#
        );
        let error = service_error::parse(body.as_bytes(), 403);
        assert!(error.is_some(), "{body}");
        what_to_do(request, &Reason::PermissionDenied, 403, error.as_ref())
    }

    #[test]
    fn an_insufficient_scope_gets_the_scopes_of_the_service() {
        let reason = "ACCESS_TOKEN_SCOPE_INSUFFICIENT";
        assert_eq!(
            for_403(&apigateway(NAME), reason, "null"),
            "Get a token with one of the scopes https://www.googleapis.com/auth/cloud-platform."
        );
        // Neither an unknown service nor this one has scopes in the catalogue.
        let checks = Request::of(
            "operations/o",
            &[("OPERATIONS_SERVICE", "checks.googleapis.com")],
        );
        for request in [own("operations/o"), checks] {
            assert_eq!(
                for_403(&request, reason, "null"),
                "Get a token with a scope that the service's documentation of operations.get names."
            );
        }
    }

    #[test]
    fn a_disabled_service_gets_its_activation_url() {
        let advice = |metadata| for_403(&apigateway(NAME), "SERVICE_DISABLED", metadata);
        assert_eq!(
            advice("null"),
            "Enable the API in the project and wait a few minutes."
        );
        assert_eq!(
            advice(r#"{"activationUrl":"https://a.example/enable"}"#),
            "Enable the API at “https://a.example/enable” and wait a few minutes."
        );
    }

    #[test]
    fn any_other_403_asks_for_the_permission() {
        let grant = "Grant the caller the permission to get this operation.";
        assert_eq!(for_403(&apigateway(NAME), "OTHER", "null"), grant);
        let advice = what_to_do(&apigateway(NAME), &Reason::PermissionDenied, 403, None);
        assert_eq!(advice, grant);
    }
}
