//! Names that are not in the catalogue: what was probably meant, as the failure says it.

use crate::bindings::{Failure, Reason};
use crate::catalogue::{self, Service, Version};
use crate::message::quoted;

/// The failure for a service that the catalogue does not have: `unknown-service`, with the service
/// that was probably meant.
pub fn unknown_service(name: &str) -> Failure {
    let service = quoted(name);
    let label = name.split('.').next().unwrap_or_default();
    let message = if catalogue::has_own_type(label) {
        format!(
            "The operations of {service} are of a type of its own, not google.longrunning.Operation, \
             and this block cannot read them. Use the service's own client."
        )
    } else {
        let what_to_do = match nearest(label) {
            Some(meant) => format!("Did you mean {}?", meant.name()),
            None => "Check its spelling, or set OPERATIONS_SERVICE and OPERATIONS_ENDPOINT for a \
                     service of your own."
                .to_owned(),
        };
        format!("The catalogue has no service {service}. {what_to_do}")
    };
    Failure::new(Reason::UnknownService, message)
}

/// The failure for a version that a service does not have: `unknown-service`, with those it has.
pub fn unknown_version(service: &Service, version: &str) -> Failure {
    let versions: Vec<&str> = service.versions().iter().map(Version::name).collect();
    Failure::new(
        Reason::UnknownService,
        format!(
            "The catalogue has no version {} of {}. Set OPERATIONS_SERVICE to one of its versions: {}.",
            quoted(version),
            service.name(),
            versions.join(", ")
        ),
    )
}

/// The failure for a variable that is no setting: `invalid-setting`, with the one that was probably meant.
pub fn unknown_setting(variable: &str, settings: &[&str]) -> Failure {
    let distance = |known: &&str| edits(known.as_bytes(), variable.to_ascii_uppercase().as_bytes());
    let nearest = settings.iter().min_by_key(|known| distance(known));
    let meant = match nearest.filter(|known| distance(known) <= known.len() / 3) {
        Some(known) => format!(" Did you mean {known}?"),
        None => String::new(),
    };
    Failure::new(
        Reason::InvalidSetting,
        format!(
            "The block has no setting {}.{meant} Its settings are {}.",
            quoted(variable),
            settings.join(", ")
        ),
    )
}

/// The service that is probably meant by the first label of an unknown one: the label may be right
/// but under another domain, that of a host, one after a location, or at most two letters off.
fn nearest(label: &str) -> Option<&'static Service> {
    let is_host = |version: &Version| version.other_host_label() == Some(label);
    let is_meant = |service: &&Service| {
        service.label() == label
            || service.versions().iter().any(is_host)
            || label
                .strip_suffix(service.label())
                .is_some_and(|location| location.ends_with('-'))
    };
    // A short label is close to many.
    let is_close = |service: &&Service| {
        label.len() > 3 && edits(service.label().as_bytes(), label.as_bytes()) <= 2
    };
    let services = catalogue::all();
    services
        .iter()
        .find(is_meant)
        .or_else(|| services.iter().find(is_close))
}

/// How many bytes have to be inserted, removed or replaced to turn one text into the other
/// (Levenshtein distance).
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str) -> String {
        let failure = unknown_service(name);
        assert_eq!(failure.reason, Reason::UnknownService);
        failure.message
    }

    #[test]
    fn an_unknown_service_gets_the_one_that_was_probably_meant() {
        for (name, meant) in [
            ("apigateway", "apigateway"),
            ("apigatway.googleapis.com", "apigateway"),
            ("us-central1-aiplatform.googleapis.com", "aiplatform"),
            ("translation.googleapis.com", "translate"),
            ("www.googleapis.com", "drive"),
            ("run.example.com", "run"),
            ("workspace-events.googleapis.com", "workspaceevents"),
        ] {
            assert_eq!(
                said(name),
                format!(
                    "The catalogue has no service \"{name}\". Did you mean {meant}.googleapis.com?"
                )
            );
        }
    }

    #[test]
    fn an_unknown_service_that_resembles_none_gets_no_guess() {
        // A short label is close to many, `iaz` to `iam`; an empty one is the host of none.
        for name in [
            "nothing.googleapis.com",
            "iaz.googleapis.com",
            ".googleapis.com",
        ] {
            assert_eq!(
                said(name),
                format!(
                    "The catalogue has no service \"{name}\". Check its spelling, or set \
                     OPERATIONS_SERVICE and OPERATIONS_ENDPOINT for a service of your own."
                )
            );
        }
    }

    #[test]
    fn a_service_whose_operations_are_of_its_own_type_has_its_own_client() {
        for name in ["compute", "sqladmin", "container", "deploymentmanager"] {
            let name = format!("{name}.googleapis.com");
            assert_eq!(
                said(&name),
                format!(
                    "The operations of \"{name}\" are of a type of its own, not \
                     google.longrunning.Operation, and this block cannot read them. Use the \
                     service's own client."
                )
            );
        }
    }

    #[test]
    fn an_unknown_version_gets_those_that_there_are() {
        let service = catalogue::find("androiddeviceprovisioning.googleapis.com").unwrap();
        let failure = unknown_version(service, "v9");
        assert_eq!(failure.reason, Reason::UnknownService);
        assert_eq!(
            failure.message,
            "The catalogue has no version \"v9\" of androiddeviceprovisioning.googleapis.com. Set \
             OPERATIONS_SERVICE to one of its versions: v1."
        );
    }

    #[test]
    fn an_unknown_setting_gets_the_one_that_was_probably_meant_and_the_list() {
        let said = |variable| {
            let message = unknown_setting(variable, &crate::settings::VARIABLES).message;
            message
                .split_once(" Its settings are OPERATIONS_SERVICE, ")
                .unwrap()
                .0
                .to_owned()
        };
        assert_eq!(
            said("OPERATION_SERVICE"),
            "The block has no setting \"OPERATION_SERVICE\". Did you mean OPERATIONS_SERVICE?"
        );
        assert_eq!(
            said("operations_timeout"),
            "The block has no setting \"operations_timeout\". Did you mean OPERATIONS_TIMEOUT_MS?"
        );
        assert_eq!(said("HOME"), "The block has no setting \"HOME\".");
    }

    #[test]
    fn edits_are_counted_by_letters() {
        for (a, b, edited) in [
            ("kitten", "sitting", 3),
            ("abc", "", 3),
            ("", "abc", 3),
            ("a", "ab", 1),
            ("ab", "b", 1),
            ("ab", "ba", 2),
            ("same", "same", 0),
        ] {
            assert_eq!(edits(a.as_bytes(), b.as_bytes()), edited, "{a}, {b}");
        }
    }
}
