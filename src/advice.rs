//! What to do about an answer that is not a 200, by its reason and what the service said.

use crate::bindings::{Reason, ServiceError};
use crate::request::Request;

/// The advice at the end of a failure's message, as one or more sentences, where the service does not refuse the
/// caller as such.
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
        Reason::PermissionDenied => "Grant the caller the permission to get this operation.",
        Reason::WrongAddress => return wrong_address(request),
        Reason::NotFound => return not_found(request),
        Reason::Timeout => "The service waited too long for the request: try again.",
        Reason::Aborted => "Another request was in the way: try again.",
        Reason::QuotaExceeded => {
            "Wait before the next call, poll less often, or ask for more quota."
        }
        Reason::Unavailable => "The service cannot answer now: try again later.",
        Reason::ServiceFault => "The service failed: try again later.",
        Reason::Rejected if status == 400 && names_a_location(error) => {
            "The operation is kept in a location: set OPERATIONS_ENDPOINT to the host of that location, with \
             the version."
        }
        _ => {
            "The service does not take this request: check the name, the version and the settings."
        }
    };
    text.to_owned()
}

/// Whether the service says that the request went to the wrong location.
fn names_a_location(error: Option<&ServiceError>) -> bool {
    error.is_some_and(|error| {
        let words = error.message.to_ascii_lowercase();
        words.contains("location") || words.contains("region")
    })
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

    #[test]
    fn an_answer_400_that_names_a_location_gets_the_way_to_its_host() {
        let advice = |message: &str| {
            let body = format!(r#"{{"error":{{"message":"{message}"}}}}"#);
            let error = service_error::parse(body.as_bytes(), 400);
            what_to_do(&apigateway(NAME), &Reason::Rejected, 400, error.as_ref())
        };
        let location = "The operation is kept in a location: set OPERATIONS_ENDPOINT to the host of that \
                        location, with the version.";
        assert_eq!(advice("Location europe-west2-a does not match."), location);
        assert_eq!(advice("Wrong region."), location);
        assert!(advice("Wrong.").starts_with("The service does not take this request"));
    }

    #[test]
    fn any_other_403_asks_for_the_permission() {
        let grant = "Grant the caller the permission to get this operation.";
        let advice = what_to_do(&apigateway(NAME), &Reason::PermissionDenied, 403, None);
        assert_eq!(advice, grant);
    }
}
