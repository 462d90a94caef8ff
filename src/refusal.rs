//! Why a service refuses the caller, whichever operation is asked for: read from what it said.

use std::borrow::Cow;

use crate::bindings::ServiceError;
use crate::message::excerpt;
use crate::request::Request;

/// Why every call with the same settings and access fails alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refusal {
    /// No credential was sent.
    NoCredential,
    /// A credential was sent that is not, or no longer, valid.
    Unauthenticated,
    /// An API key was sent to a service that takes none.
    KeyNotTaken,
    /// The API key, or what it is restricted to.
    ApiKey,
    /// The token's scopes.
    Scope,
    /// The calls are charged to the project of a client such as gcloud, which has not enabled the API.
    ClientProject,
    /// The API is not enabled in the project.
    ServiceDisabled,
    /// The quota project.
    QuotaProject,
    /// A perimeter of VPC Service Controls.
    Perimeter,
    /// The project has no billing.
    Billing,
    /// The account or the project is suspended, or an organization's policy keeps it out.
    Account,
    /// A page came where JSON is due: something in between answered.
    Page,
    /// The service does not implement the method.
    Unimplemented,
}

/// The projects of gcloud and its application default credentials: nobody else can enable an API there.
const CLIENT_PROJECTS: [&str; 2] = ["764086051850", "32555940559"];

impl Refusal {
    /// What the answer refuses; none if it is about the one operation, or asks for another attempt.
    pub fn of(
        request: &Request,
        status: u16,
        error: Option<&ServiceError>,
        body: &[u8],
    ) -> Option<Refusal> {
        let reason = error.and_then(ServiceError::info_reason);
        let reason = reason.as_deref().unwrap_or_default();
        let words = error.map_or("", |error| &error.message);
        let is_page = error.is_none() && is_page(body);
        Some(match status {
            501 => Refusal::Unimplemented,
            403 | 407 | 451 if is_page => Refusal::Page,
            400..=499 => match reason {
                _ if words.contains("unregistered callers") && !request.has_credential() => {
                    Refusal::NoCredential
                }
                "SERVICE_DISABLED" | "accessNotConfigured" => match error.and_then(consumer) {
                    Some(project)
                        if CLIENT_PROJECTS.contains(&&*project) && !request.has_quota_project() =>
                    {
                        Refusal::ClientProject
                    }
                    _ => Refusal::ServiceDisabled,
                },
                "ACCESS_TOKEN_SCOPE_INSUFFICIENT" => Refusal::Scope,
                "USER_PROJECT_DENIED" | "CONSUMER_INVALID" => Refusal::QuotaProject,
                "SECURITY_POLICY_VIOLATED" | "vpcServiceControls" => Refusal::Perimeter,
                "BILLING_DISABLED" | "billingNotEnabled" => Refusal::Billing,
                "CONSUMER_SUSPENDED"
                | "GCP_SUSPENDED"
                | "ACCOUNT_STATE_INVALID"
                | "USER_BLOCKED_BY_ADMIN"
                | "ORG_RESTRICTION_VIOLATION"
                | "SERVICE_NOT_VISIBLE" => Refusal::Account,
                "keyInvalid" | "keyExpired" | "ipRefererBlocked" => Refusal::ApiKey,
                _ if reason.starts_with("API_KEY_") => Refusal::ApiKey,
                "CREDENTIALS_MISSING" | "dailyLimitExceededUnreg" | "required" => {
                    match request.has_credential() {
                        false => Refusal::NoCredential,
                        true if words.contains("API key") => Refusal::KeyNotTaken,
                        true => Refusal::Unauthenticated,
                    }
                }
                _ if status == 401 => Refusal::Unauthenticated,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// What to do about it, as one or more sentences.
    pub fn advice(self, request: &Request, error: Option<&ServiceError>) -> String {
        let text = match self {
            Refusal::NoCredential => {
                "No credential was sent: set GOOGLE_OAUTH_ACCESS_TOKEN or GOOGLE_API_KEY, or give the host \
                 a credential to add."
            }
            Refusal::Unauthenticated => "Get a new access token, or have the host add one.",
            Refusal::KeyNotTaken => {
                "The service takes no API key: set GOOGLE_OAUTH_ACCESS_TOKEN instead of GOOGLE_API_KEY, or \
                 give the host a credential to add."
            }
            Refusal::ApiKey => {
                "Check the API key and what it is restricted to (services, addresses, apps)."
            }
            Refusal::Scope => return scopes(request),
            Refusal::ClientProject => {
                "The call was charged to the project of gcloud itself: set GOOGLE_CLOUD_QUOTA_PROJECT to a \
                 project of yours that has the API enabled."
            }
            Refusal::ServiceDisabled => {
                return match error.and_then(|error| error.info_metadata("activationUrl")) {
                    Some(url) => format!(
                        "Enable the API at {} and wait a few minutes.",
                        excerpt(&url)
                    ),
                    None => "Enable the API in the project and wait a few minutes.".to_owned(),
                };
            }
            Refusal::QuotaProject => {
                "Set GOOGLE_CLOUD_QUOTA_PROJECT to a project in which the caller has the role Service Usage \
                 Consumer."
            }
            Refusal::Perimeter => {
                "A perimeter of the organization (VPC Service Controls) keeps the call out: ask its \
                 administrator to let this caller in, or call from inside."
            }
            Refusal::Billing => "Turn on billing for the project.",
            Refusal::Account => {
                "The account or the project is suspended or kept out by a policy: ask its administrator."
            }
            Refusal::Page => {
                "Check what stands between this host and the service: a proxy, a filter or a captive portal."
            }
            Refusal::Unimplemented => {
                "The service does not implement this method: check the version."
            }
        };
        text.to_owned()
    }
}

/// Whether a body is a page of HTML, as a proxy or a captive portal sends it.
pub fn is_page(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    body.trim_ascii_start().starts_with(b"<")
}

/// The number or id of the project that a call was charged to.
fn consumer(error: &ServiceError) -> Option<Cow<'_, str>> {
    let consumer = error.info_metadata("consumer");
    let of_metadata = consumer
        .as_deref()
        .and_then(|name| name.strip_prefix("projects/"));
    if let Some(project) = of_metadata {
        return Some(Cow::Owned(project.to_owned()));
    }
    let (_, rest) = error.message.split_once(" project ")?;
    Some(Cow::Borrowed(
        rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .next()?,
    ))
}

fn scopes(request: &Request) -> String {
    match request.service {
        Some(service) if !service.scopes().is_empty() => {
            format!(
                "Get a token with one of the scopes {}.",
                service.scopes().join(" ")
            )
        }
        _ => "Get a token with a scope that the service's documentation of operations.get names."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service_error;

    const NAME: &str = "projects/p/locations/global/operations/o";
    const TOKEN: (&str, &str) = ("GOOGLE_OAUTH_ACCESS_TOKEN", "not-a-real-token");
    const KEY: (&str, &str) = ("GOOGLE_API_KEY", "not-a-real-key");
    const PROJECT: (&str, &str) = ("GOOGLE_CLOUD_QUOTA_PROJECT", "p");

    fn request(variables: &[(&str, &str)]) -> Request {
        let mut all = vec![("OPERATIONS_SERVICE", "apigateway.googleapis.com/v1")];
        all.extend(variables);
        Request::of(NAME, &all)
    }

    fn info(reason: &str, metadata: &str) -> String {
        format!(
            r#"{{"error":{{"message":"m","details":[{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}","metadata":{metadata}}}]}}}}"#
        )
    }

    fn said(message: &str) -> String {
        format!(r#"{{"error":{{"message":"{message}"}}}}"#)
    }

    fn older(reason: &str) -> String {
        format!(r#"{{"error":{{"errors":[{{"reason":"{reason}"}}],"message":"m"}}}}"#)
    }

    fn of(variables: &[(&str, &str)], status: u16, body: &str) -> Option<Refusal> {
        let error = service_error::parse(body.as_bytes(), status);
        Refusal::of(&request(variables), status, error.as_ref(), body.as_bytes())
    }

    #[test]
    fn a_refusal_is_read_from_what_the_service_said() {
        let unregistered =
            "Method doesn't allow unregistered callers (callers without established identity).";
        let disabled = "X API has not been used in project 764086051850 before or it is disabled.";
        for (status, body, expected) in [
            (403, said(unregistered), Some(Refusal::NoCredential)),
            (
                401,
                info("CREDENTIALS_MISSING", "{}"),
                Some(Refusal::NoCredential),
            ),
            (401, older("required"), Some(Refusal::NoCredential)),
            (401, said("m"), Some(Refusal::Unauthenticated)),
            (401, String::new(), Some(Refusal::Unauthenticated)),
            (400, info("API_KEY_INVALID", "{}"), Some(Refusal::ApiKey)),
            (
                403,
                info("API_KEY_SERVICE_BLOCKED", "{}"),
                Some(Refusal::ApiKey),
            ),
            (400, older("keyInvalid"), Some(Refusal::ApiKey)),
            (
                403,
                info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "{}"),
                Some(Refusal::Scope),
            ),
            (
                403,
                info("SERVICE_DISABLED", "null"),
                Some(Refusal::ServiceDisabled),
            ),
            (
                403,
                info("SERVICE_DISABLED", r#"{"consumer":"projects/123"}"#),
                Some(Refusal::ServiceDisabled),
            ),
            (
                403,
                info(
                    "SERVICE_DISABLED",
                    r#"{"consumer":"projects/764086051850"}"#,
                ),
                Some(Refusal::ClientProject),
            ),
            (
                403,
                older("accessNotConfigured"),
                Some(Refusal::ServiceDisabled),
            ),
            (
                403,
                older("accessNotConfigured").replace(r#""m""#, &format!("{disabled:?}")),
                Some(Refusal::ClientProject),
            ),
            (
                403,
                info("USER_PROJECT_DENIED", "{}"),
                Some(Refusal::QuotaProject),
            ),
            (
                400,
                info("CONSUMER_INVALID", "{}"),
                Some(Refusal::QuotaProject),
            ),
            (
                403,
                info("SECURITY_POLICY_VIOLATED", "{}"),
                Some(Refusal::Perimeter),
            ),
            (403, info("BILLING_DISABLED", "{}"), Some(Refusal::Billing)),
            (
                403,
                info("CONSUMER_SUSPENDED", "{}"),
                Some(Refusal::Account),
            ),
            (403, "<html></html>".to_owned(), Some(Refusal::Page)),
            (501, String::new(), Some(Refusal::Unimplemented)),
            (403, said("m"), None),
            (403, info("IAM_PERMISSION_DENIED", "{}"), None),
            (403, String::new(), None),
            (404, said("m"), None),
            (404, "<html></html>".to_owned(), None),
            (400, said("m"), None),
            (429, info("RATE_LIMIT_EXCEEDED", "{}"), None),
            (503, "<html></html>".to_owned(), None),
        ] {
            assert_eq!(of(&[], status, &body), expected, "{status} {body}");
        }
        let own_project = info(
            "SERVICE_DISABLED",
            r#"{"consumer":"projects/764086051850"}"#,
        );
        assert_eq!(
            of(&[PROJECT], 403, &own_project),
            Some(Refusal::ServiceDisabled)
        );
    }

    #[test]
    fn a_refusal_does_not_contradict_what_was_sent() {
        let missing = info("CREDENTIALS_MISSING", "{}");
        assert_eq!(of(&[TOKEN], 401, &missing), Some(Refusal::Unauthenticated));
        let no_keys = missing.replace(r#""m""#, r#""API keys are not supported by this API.""#);
        assert_eq!(of(&[KEY], 401, &no_keys), Some(Refusal::KeyNotTaken));
        assert_eq!(of(&[TOKEN], 403, &said("unregistered callers")), None);
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let advice = |refusal: Refusal, metadata| {
            let body = info("R", metadata);
            let error = service_error::parse(body.as_bytes(), 403);
            refusal.advice(&request(&[]), error.as_ref())
        };
        assert_eq!(
            advice(Refusal::NoCredential, "{}"),
            "No credential was sent: set GOOGLE_OAUTH_ACCESS_TOKEN or GOOGLE_API_KEY, or give the host a \
             credential to add."
        );
        assert_eq!(
            advice(Refusal::Scope, "{}"),
            "Get a token with one of the scopes https://www.googleapis.com/auth/cloud-platform."
        );
        assert_eq!(
            advice(Refusal::ClientProject, "{}"),
            "The call was charged to the project of gcloud itself: set GOOGLE_CLOUD_QUOTA_PROJECT to a \
             project of yours that has the API enabled."
        );
        assert_eq!(
            advice(Refusal::ServiceDisabled, "null"),
            "Enable the API in the project and wait a few minutes."
        );
        assert_eq!(
            advice(
                Refusal::ServiceDisabled,
                r#"{"activationUrl":"https://a.example/enable"}"#
            ),
            "Enable the API at “https://a.example/enable” and wait a few minutes."
        );
        // Neither an unknown service nor this one has scopes in the catalogue.
        for variable in [
            ("OPERATIONS_ENDPOINT", "https://h.example/v9"),
            ("OPERATIONS_SERVICE", "checks.googleapis.com"),
        ] {
            assert_eq!(
                Refusal::Scope.advice(&Request::of("operations/o", &[variable]), None),
                "Get a token with a scope that the service's documentation of operations.get names."
            );
        }
    }

    #[test]
    fn a_page_is_known_by_its_first_character() {
        for body in ["<!doctype html>", " \r\n<html>", "\u{feff}<HTML>"] {
            assert!(is_page(body.as_bytes()), "{body:?}");
        }
        for body in ["", "{}", "\"<\""] {
            assert!(!is_page(body.as_bytes()), "{body:?}");
        }
    }
}
