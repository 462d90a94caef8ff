//! How a relative name becomes the path and query of a URL.

use crate::bindings::{Failure, Reason};
use crate::message::quoted;

/// The end of a version's path template. Nearly every version in the catalogue adds the whole name
/// to its prefix; `catalog/README.md` lists the exceptions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PathTemplate {
    /// `{name}`: the relative name.
    Name,
    /// drive: `operations/{id}`, from a name `operations/ID`; the id is one segment.
    OperationId,
    /// storage: `b/{bucket}/operations/{operation}`, from a name
    /// `projects/_/buckets/BUCKET/operations/OPERATION`.
    Bucket,
}

impl PathTemplate {
    /// The end of the path for a relative name, percent-encoded.
    ///
    /// # Errors
    ///
    /// `invalid-name` if the service only accepts names of another form.
    pub fn expand(self, relative: &str) -> Result<String, Failure> {
        let form = match self {
            PathTemplate::Name => return Ok(encode(relative)),
            PathTemplate::OperationId => match relative.strip_prefix("operations/") {
                Some(id) => return Ok(format!("operations/{}", encode_segment(id))),
                None => "operations/ID",
            },
            PathTemplate::Bucket => match bucket_and_operation(relative) {
                Some((bucket, operation)) => {
                    return Ok(format!(
                        "b/{}/operations/{}",
                        encode_segment(bucket),
                        encode_segment(operation)
                    ));
                }
                None => "projects/_/buckets/BUCKET/operations/OPERATION",
            },
        };
        Err(Failure::new(
            Reason::InvalidName,
            format!(
                "The name {} is not of the form {form}, from which this service's URLs are made. Pass \
                 a name of that form.",
                quoted(relative)
            ),
        ))
    }

    /// The query, without its `?`.
    ///
    /// `$.xgafv=2`: v2 errors hold a status and details, v1 errors may not. `prettyPrint=false`: white
    /// space costs bytes. `$alt` is left out because it turns enums into numbers.
    pub fn query(self) -> &'static str {
        match self {
            PathTemplate::Name | PathTemplate::OperationId => "$.xgafv=2&prettyPrint=false",
            // storage's v1 is older than `$.xgafv`, and refuses it.
            PathTemplate::Bucket => "prettyPrint=false",
        }
    }
}

fn bucket_and_operation(relative: &str) -> Option<(&str, &str)> {
    let (project, rest) = relative
        .strip_prefix("projects/")?
        .split_once("/buckets/")?;
    let (bucket, operation) = rest.split_once('/')?;
    let operation = operation.strip_prefix("operations/")?;
    (!project.contains('/')).then_some((bucket, operation))
}

/// Percent-encodes a relative name as `google/api/http.proto` asks for `{name=**}`: every byte but
/// `[-_.~/0-9a-zA-Z]`. A `%` in a name is a character like any other: `%2F` becomes `%252F`.
fn encode(relative: &str) -> String {
    percent_encode(relative, b'/')
}

/// The same for one segment (`{name}`, `{name=*}`): `/` is encoded too.
fn encode_segment(segment: &str) -> String {
    percent_encode(segment, b'~')
}

fn percent_encode(text: &str, kept: u8) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') || byte == kept
        {
            encoded.push(byte as char);
        } else {
            encoded.push('%');
            encoded.push(HEX[usize::from(byte >> 4)] as char);
            encoded.push(HEX[usize::from(byte & 15)] as char);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_keeps_only_what_http_proto_keeps() {
        let kept = "-_.~/0123456789ABCXYZabcxyz";
        assert_eq!(encode(kept), kept);
        assert_eq!(
            encode("operations/a b?c#d%2Fe:f@g"),
            "operations/a%20b%3Fc%23d%252Fe%3Af%40g"
        );
        assert_eq!(encode("operations/ü\n"), "operations/%C3%BC%0A");
        assert_eq!(encode_segment("a/b~c"), "a%2Fb~c");
    }

    #[test]
    fn drive_and_storage_have_paths_of_their_own() {
        assert_eq!(
            PathTemplate::OperationId.expand("operations/a/b").unwrap(),
            "operations/a%2Fb"
        );
        let bucket = "projects/_/buckets/b c/operations/o/p";
        assert_eq!(
            PathTemplate::Bucket.expand(bucket).unwrap(),
            "b/b%20c/operations/o%2Fp"
        );
    }

    #[test]
    fn a_name_of_another_form_is_refused() {
        let bucket = "projects/_/buckets/BUCKET/operations/OPERATION";
        for (template, name, form) in [
            (
                PathTemplate::OperationId,
                "projects/p/operations/o",
                "operations/ID",
            ),
            (PathTemplate::Bucket, "operations/o", bucket),
            (
                PathTemplate::Bucket,
                "projects/a/b/buckets/c/operations/o",
                bucket,
            ),
        ] {
            let failure = template.expand(name).unwrap_err();
            assert_eq!(failure.reason, Reason::InvalidName);
            assert_eq!(
                failure.message,
                format!(
                    "The name \"{name}\" is not of the form {form}, from which this service's URLs \
                     are made. Pass a name of that form."
                )
            );
        }
    }

    #[test]
    fn only_storage_is_asked_without_a_version_of_errors() {
        let query = "$.xgafv=2&prettyPrint=false";
        assert_eq!(PathTemplate::Name.query(), query);
        assert_eq!(PathTemplate::OperationId.query(), query);
        assert_eq!(PathTemplate::Bucket.query(), "prettyPrint=false");
    }
}
