//! An operation as the eleven output variables.

use std::borrow::Cow;

use crate::bindings::{Member, Outputs};
use crate::operation::{Object, Operation};

/// Flattens an operation. `requested` is the relative name that was asked for: it is the output `name`
/// if the answer has none.
///
/// Each text is copied once, into its output; none is rebuilt.
pub fn flatten(operation: Operation, requested: &str) -> Outputs {
    let (error, error_code, error_message, details) = match operation.error {
        None => (None, None, None, Vec::new()),
        Some(status) => (
            Some(status.text.to_owned()),
            Some(status.code),
            Some(status.message.into_owned()),
            status.details,
        ),
    };
    Outputs {
        name: operation
            .name
            .map_or_else(|| requested.to_owned(), Cow::into_owned),
        done: operation.done,
        error,
        error_code,
        error_message,
        error_details: details
            .iter()
            .map(|detail| detail.text.to_owned())
            .collect(),
        error_details_custom_key_value: details.into_iter().map(members).collect(),
        metadata: text(&operation.metadata),
        metadata_custom_key_value: operation.metadata.map(members).unwrap_or_default(),
        response: text(&operation.response),
        response_custom_key_value: operation.response.map(members).unwrap_or_default(),
    }
}

fn text(object: &Option<Object>) -> Option<String> {
    object.as_ref().map(|object| object.text.to_owned())
}

fn members(object: Object) -> Vec<Member> {
    object
        .members
        .into_iter()
        .map(|member| Member {
            key: member.key.into_owned(),
            value: member.value.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(body: &str) -> Outputs {
        flatten(
            Operation::parse(body.as_bytes()).unwrap(),
            "operations/requested",
        )
    }

    fn pairs(members: &[Member]) -> Vec<(&str, &str)> {
        members
            .iter()
            .map(|member| (&*member.key, &*member.value))
            .collect()
    }

    #[test]
    fn every_text_is_copied_exactly() {
        let outputs = flat(
            r#"{ "name" : "operations/o\u0021", "done" : true,
                 "metadata" : { "@type": "t", "b" : 9007199254740993, "a": 1.000 , "\u0063" : [ 1, 2 ] },
                 "error" : {"code" : 7.0, "message" : "no\n", "details" : [ {"@type":"x", "k": {"v" : null}}, {} ] } }"#,
        );
        assert_eq!(outputs.name, "operations/o!");
        assert!(outputs.done);
        assert_eq!(
            outputs.error.as_deref(),
            Some(
                r#"{"code" : 7.0, "message" : "no\n", "details" : [ {"@type":"x", "k": {"v" : null}}, {} ] }"#
            )
        );
        assert_eq!(outputs.error_code, Some(7));
        assert_eq!(outputs.error_message.as_deref(), Some("no\n"));
        assert_eq!(
            outputs.error_details,
            [r#"{"@type":"x", "k": {"v" : null}}"#, "{}"]
        );
        let details = &outputs.error_details_custom_key_value;
        assert_eq!(details.len(), 2);
        assert_eq!(
            pairs(&details[0]),
            [("@type", "\"x\""), ("k", r#"{"v" : null}"#)]
        );
        assert_eq!(pairs(&details[1]), []);
        assert_eq!(
            outputs.metadata.as_deref(),
            Some(r#"{ "@type": "t", "b" : 9007199254740993, "a": 1.000 , "\u0063" : [ 1, 2 ] }"#)
        );
        assert_eq!(
            pairs(&outputs.metadata_custom_key_value),
            [
                ("@type", "\"t\""),
                ("b", "9007199254740993"),
                ("a", "1.000"),
                ("c", "[ 1, 2 ]")
            ]
        );
        assert_eq!(outputs.response, None);
        assert_eq!(pairs(&outputs.response_custom_key_value), []);
    }

    #[test]
    fn nothing_is_invented() {
        let outputs = flat(r#"{"response":{}}"#);
        assert_eq!(outputs.name, "operations/requested");
        assert!(!outputs.done);
        assert_eq!(
            (outputs.error, outputs.error_code, outputs.error_message),
            (None, None, None)
        );
        assert_eq!(
            outputs.error_details.len() + outputs.error_details_custom_key_value.len(),
            0
        );
        assert_eq!(
            (outputs.metadata.as_deref(), outputs.response.as_deref()),
            (None, Some("{}"))
        );
        let failed = flat(r#"{"error":{}}"#);
        assert_eq!(
            (failed.error_code, failed.error_message.as_deref()),
            (Some(0), Some(""))
        );
        assert_eq!(flat(r#"{"name":""}"#).name, "");
    }
}
