//! Which service an operation is of, where its name or the way to ask for it differs from what most services have.

use crate::path;

/// Collections of operations that are not called `operations`, and the services that have them.
const OTHERS: [(&str, &str); 2] = [
    ("batches", "generativelanguage.googleapis.com"),
    ("transferOperations", "storagetransfer.googleapis.com"),
];

/// The service of a name such as `batches/ID`.
pub(crate) fn without_operations(name: &str) -> Option<&'static str> {
    let (collection, id) = name.split_once('/')?;
    let (_, service) = OTHERS.iter().find(|(other, _)| *other == collection)?;
    id.split('/')
        .all(|segment| !segment.is_empty())
        .then_some(*service)
}

/// The service that has to be named for a client to ask for this operation in the right way. None if any does.
pub fn service_of(name: &str) -> Option<&'static str> {
    if path::of_bucket(name).is_some() {
        return Some("storage.googleapis.com");
    }
    if path::is_operation_of_a_model(name) {
        return Some("aiplatform.googleapis.com");
    }
    without_operations(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_to_be_named_for_a_few_names() {
        for (name, service) in [
            (
                "batches/7h9wmadeup",
                Some("generativelanguage.googleapis.com"),
            ),
            (
                "transferOperations/transferJobs-1-2",
                Some("storagetransfer.googleapis.com"),
            ),
            (
                "projects/_/buckets/b/operations/o",
                Some("storage.googleapis.com"),
            ),
            (
                "projects/p/locations/l/publishers/google/models/m/operations/o",
                Some("aiplatform.googleapis.com"),
            ),
            ("operations/o", None),
            ("projects/p/locations/l/operations/o", None),
            ("batches/", None),
            ("batches", None),
        ] {
            assert_eq!(service_of(name), service, "{name}");
        }
    }
}
