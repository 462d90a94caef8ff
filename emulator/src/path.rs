//! From a request path to an operation's name, for each way in which the services are asked.

/// Why a path names no operation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PathError {
    /// The path does not begin with a version, or nothing follows the version.
    NoVersion,
    /// A `%` without two hexadecimal digits, or octets that are not UTF-8.
    BadEscape,
}

/// The name in `/{version}/{name}`, percent-decoded once.
///
/// `%2F` and `%2f` stay as they are, as `google.api.HttpRule` says of a variable over several segments (`{name=**}`).
/// So a client that encodes all but `[-_.~/0-9a-zA-Z]` sends the text `%2F` as `%252F`, one that keeps escapes sends
/// `%2F`, and both mean the name with the text `%2F`.
pub(crate) fn operation_name(path: &str) -> Result<String, PathError> {
    let (version, name) = path
        .strip_prefix('/')
        .and_then(|rest| rest.split_once('/'))
        .ok_or(PathError::NoVersion)?;
    if !is_version(version) || name.is_empty() {
        return Err(PathError::NoVersion);
    }
    decode(name)
}

/// The custom method (AIP-136) by which Vertex AI hands out an operation of a publisher's model, and nothing else does.
const FETCH: &str = ":fetchPredictOperation";

/// The model whose operation a `POST` asks for, if its path is one of that method.
pub(crate) fn model(name: &str) -> Option<&str> {
    name.strip_suffix(FETCH).filter(|model| is_model(model))
}

/// Whether a name is one of an operation of a publisher's model, which a `GET` does not find.
pub(crate) fn is_operation_of_a_model(name: &str) -> bool {
    name.split_once("/operations/")
        .is_some_and(|(parent, _)| is_model(parent))
}

/// Whether a name ends in `publishers/*/models/*`.
fn is_model(name: &str) -> bool {
    let mut segments = name.rsplit('/').skip(1);
    segments.next() == Some("models") && segments.nth(1) == Some("publishers")
}

/// The bucket and the operation of a name as storage's URLs have them: `b/BUCKET/operations/OPERATION`, each one
/// segment of the path.
pub(crate) fn asked_of_bucket(name: &str) -> Option<(String, String)> {
    let (bucket, operation) = name.strip_prefix("b/")?.split_once("/operations/")?;
    let is_segment = |text: &str| !text.is_empty() && !text.contains('/');
    (is_segment(bucket) && is_segment(operation))
        .then(|| (with_slashes(bucket), with_slashes(operation)))
}

/// The bucket and the operation of storage's names: `projects/_/buckets/BUCKET/operations/OPERATION`.
pub(crate) fn of_bucket(name: &str) -> Option<(&str, &str)> {
    let (project, rest) = name.strip_prefix("projects/")?.split_once("/buckets/")?;
    let of_bucket = rest.split_once("/operations/")?;
    (!project.contains('/')).then_some(of_bucket)
}

/// A name whose encoded slashes are slashes: where a service's path takes one segment, a client encodes them.
pub(crate) fn with_slashes(name: &str) -> String {
    name.replace("%2F", "/")
}

/// Whether a segment is an API version such as `v1` or `v1beta2`: `v[0-9]+[a-z0-9]*`.
fn is_version(segment: &str) -> bool {
    let Some(rest) = segment.strip_prefix('v') else {
        return false;
    };
    rest.starts_with(|c: char| c.is_ascii_digit())
        && rest
            .chars()
            .all(|c| c.is_ascii_digit() || c.is_ascii_lowercase())
}

fn decode(name: &str) -> Result<String, PathError> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut octets = name.bytes();
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            decoded.push(octet);
            continue;
        }
        let (Some(high), Some(low)) = (octets.next(), octets.next()) else {
            return Err(PathError::BadEscape);
        };
        match (hex_value(high), hex_value(low)) {
            (Some(0x2), Some(0xf)) => decoded.extend([b'%', high, low]),
            (Some(h), Some(l)) => decoded.push(h << 4 | l),
            _ => return Err(PathError::BadEscape),
        }
    }
    String::from_utf8(decoded).map_err(|_| PathError::BadEscape)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_decoded_once_and_its_encoded_slashes_stay() {
        for (path, name) in [
            ("/v1/operations/x", "operations/x"),
            ("/v1beta/operations/x", "operations/x"),
            (
                "/v1p1beta1/projects/p/operations/x",
                "projects/p/operations/x",
            ),
            // A strict client and one that leaves reserved characters raw.
            ("/v1/operations/a%3Ab%40%24%7Bx%7D", "operations/a:b@${x}"),
            ("/v1/operations/a:b@${x}", "operations/a:b@${x}"),
            ("/v1/operations/%C3%A9%20x", "operations/é x"),
            ("/v1/operations/a+b", "operations/a+b"),
            // The text `%2F` in a name: encoded as `%252F`, or kept as an escape.
            ("/v1/operations/a%252Fb", "operations/a%2Fb"),
            ("/v1/operations/a%2Fb", "operations/a%2Fb"),
            ("/v1/operations/a%252fb", "operations/a%2fb"),
            ("/v1/operations/a%2fb", "operations/a%2fb"),
            ("/v1/operations/a%25252Fb", "operations/a%252Fb"),
            ("/v1/operations/100%25", "operations/100%"),
            ("/v1//operations/x", "/operations/x"),
        ] {
            assert_eq!(operation_name(path).as_deref(), Ok(name), "{path}");
        }
    }

    #[test]
    fn models_and_buckets_have_paths_of_their_own() {
        let of_google = "projects/p/locations/l/publishers/google/models/m";
        for found in [of_google, "publishers/google/models/m"] {
            assert_eq!(model(&format!("{found}{FETCH}")), Some(found));
            assert!(is_operation_of_a_model(&format!("{found}/operations/o")));
        }
        assert_eq!(model(of_google), None);
        assert_eq!(
            model("projects/p/locations/l/endpoints/e:fetchPredictOperation"),
            None
        );
        assert!(!is_operation_of_a_model(
            "projects/p/locations/l/models/m/operations/o"
        ));

        let asked = |name| asked_of_bucket(name);
        let of = |bucket: &str, operation: &str| Some((bucket.to_owned(), operation.to_owned()));
        assert_eq!(asked("b/B/operations/O"), of("B", "O"));
        assert_eq!(asked("b/B/operations/O%2FP"), of("B", "O/P"));
        assert_eq!(asked("b/B/operations/O/P"), None);
        assert_eq!(asked("b/B/C/operations/O"), None);
        assert_eq!(
            of_bucket("projects/_/buckets/B/operations/O/P"),
            Some(("B", "O/P"))
        );
        assert_eq!(of_bucket("projects/p/locations/l/operations/o"), None);
    }

    #[test]
    fn a_path_without_a_version_differs_from_a_bad_escape() {
        for path in [
            "",
            "/",
            "*",
            "/v1",
            "/v1/",
            "/operations/x",
            "/v/operations/x",
            "/vx1/operations/x",
            "/V1/operations/x",
            "/v1_1/operations/x",
        ] {
            assert_eq!(operation_name(path), Err(PathError::NoVersion), "{path}");
        }
        for path in [
            "/v1/operations/%",
            "/v1/operations/%2",
            "/v1/operations/%zz",
            "/v1/operations/%+1",
            "/v1/operations/%FF",
        ] {
            assert_eq!(operation_name(path), Err(PathError::BadEscape), "{path}");
        }
    }
}
