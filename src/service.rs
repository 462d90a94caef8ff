//! The catalogue: which services publish an AIP-151 `operations.get`, where, and how a name becomes a
//! path there.

use crate::bindings::{Failure, Reason};
use crate::failure::quoted;
use crate::name::{encode, encode_segment};

/// One service, in every version that gets operations.
#[derive(Debug)]
pub struct Service {
    /// The first label of its name: `apigateway`.
    name: &'static str,
    /// Where it is in `VERSIONS`: the preferred one first, GA before beta before alpha, then the higher.
    versions: Span,
    /// Where the indices of its OAuth scopes are.
    scopes: Span,
}

/// One version of a service. Its numbers are indices into the tables of texts.
#[derive(Debug)]
pub struct Version {
    name: u8,
    host: u8,
    prefix: u8,
    /// How the name becomes the end of a path.
    pub path: Path,
    patterns: Span,
    locations: Span,
}

/// A published pattern of names, such as `projects/*/locations/*/operations/*`: `*` is one segment,
/// `**` at the end is one or more.
#[derive(Debug)]
pub struct Pattern {
    head: u8,
    middle: &'static str,
    tail: u8,
}

/// A part of a table.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u16,
    len: u8,
}

impl Span {
    fn of<T>(self, table: &'static [T]) -> &'static [T] {
        let start = usize::from(self.start);
        &table[start..start + usize::from(self.len)]
    }

    /// The indices at this place.
    fn indices(self) -> impl Iterator<Item = usize> {
        self.of(&INDICES).iter().map(|&at| usize::from(at))
    }
}

// `SERVICES`, sorted by name, and the tables that it refers to: made of catalog/*.tsv by build.rs.
include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

/// What every service's name ends with.
const DOMAIN: &str = ".googleapis.com";

/// How a name becomes the end of a URL's path. All but one row of the catalogue's table have the name
/// as it is; a service is in the table of `catalog/README.md` where its prefix is not just its version.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Path {
    /// `{name}`: the relative name.
    Name,
    /// drive: `operations/{id}`, of a name `operations/ID`; the id is one segment.
    OperationId,
    /// storage: `b/{bucket}/operations/{operation}`, of a name
    /// `projects/_/buckets/BUCKET/operations/OPERATION`.
    Bucket,
}

impl Path {
    /// The end of the path for a relative name, percent-encoded.
    ///
    /// # Errors
    ///
    /// `invalid-name` where the service takes names of another form alone.
    pub fn of(self, relative: &str) -> Result<String, Failure> {
        let form = match self {
            Path::Name => return Ok(encode(relative)),
            Path::OperationId => match relative.strip_prefix("operations/") {
                Some(id) => return Ok(format!("operations/{}", encode_segment(id))),
                None => "operations/ID",
            },
            Path::Bucket => match bucket_and_operation(relative) {
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
}

fn bucket_and_operation(relative: &str) -> Option<(&str, &str)> {
    let (project, rest) = relative
        .strip_prefix("projects/")?
        .split_once("/buckets/")?;
    let (bucket, operation) = rest.split_once('/')?;
    let operation = operation.strip_prefix("operations/")?;
    (!project.contains('/')).then_some((bucket, operation))
}

/// The service, and its version, of a relative name where no setting names one: that of the
/// documentation which the block was first made from.
pub const DEFAULT: (&str, &str) = ("workspaceevents.googleapis.com", "v1beta");

/// Every service of the catalogue, sorted by name.
pub fn all() -> &'static [Service] {
    &SERVICES
}

/// Finds a service by its name.
///
/// # Errors
///
/// `unknown-service` where the catalogue has none of that name; the message says why, or which one
/// was probably meant.
pub fn find(name: &str) -> Result<&'static Service, Failure> {
    name.strip_suffix(DOMAIN)
        .and_then(|label| {
            SERVICES
                .binary_search_by(|service| service.name.cmp(label))
                .ok()
        })
        .map(|at| &SERVICES[at])
        .ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Failure {
    let service = quoted(name);
    let label = name.split('.').next().unwrap_or_default();
    let message = if OWN_TYPES.contains(&label) {
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

/// The service that an unknown one probably means by its first label: the right one under another
/// domain, a host's, one with a location before it, or one with at most two letters wrong.
fn nearest(label: &str) -> Option<&'static Service> {
    let is_host = |version: &Version| HOSTS[usize::from(version.host)] == label;
    let is_meant = |service: &&Service| {
        service.name == label
            || service.versions().iter().any(is_host)
            || label
                .strip_suffix(service.name)
                .is_some_and(|location| location.ends_with('-'))
    };
    // A short label is close to many.
    let is_close = |service: &&Service| {
        label.len() > 3 && edits(service.name.as_bytes(), label.as_bytes()) <= 2
    };
    SERVICES
        .iter()
        .find(is_meant)
        .or_else(|| SERVICES.iter().find(is_close))
}

/// How many bytes have to be inserted, left out or replaced to make one text of the other.
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

impl Service {
    /// `apigateway.googleapis.com`: its name in full resource names (AIP-122).
    pub fn name(&self) -> String {
        format!("{}{DOMAIN}", self.name)
    }

    /// Its versions, the preferred one first.
    pub fn versions(&self) -> &'static [Version] {
        self.versions.of(&VERSIONS)
    }

    /// The version that the operator named.
    ///
    /// # Errors
    ///
    /// `unknown-service` where the service has no such version.
    pub fn version(&self, name: &str) -> Result<&'static Version, Failure> {
        let versions = self.versions();
        versions.iter().find(|version| version.name() == name).ok_or_else(|| {
            let versions: Vec<&str> = versions.iter().map(Version::name).collect();
            Failure::new(
                Reason::UnknownService,
                format!(
                    "The catalogue has no version {} of {}. Set OPERATIONS_SERVICE to one of its \
                     versions: {}.",
                    quoted(name),
                    self.name(),
                    versions.join(", ")
                ),
            )
        })
    }

    /// The version for a relative name where the operator named none: the preferred one of those
    /// that publish a pattern for it, else the preferred one of all.
    pub fn version_for(&self, relative: &str) -> &'static Version {
        let versions = self.versions();
        let is_default = |version: &&Version| {
            DEFAULT.0.strip_suffix(DOMAIN) == Some(self.name) && version.name() == DEFAULT.1
        };
        let by_pattern = || versions.iter().find(|version| version.publishes(relative));
        versions
            .iter()
            .find(is_default)
            .or_else(by_pattern)
            .unwrap_or(&versions[0])
    }

    /// Whether a version publishes a pattern that takes this relative name.
    pub fn publishes(&self, relative: &str) -> bool {
        self.versions()
            .iter()
            .any(|version| version.publishes(relative))
    }

    /// The patterns of all versions, each once.
    pub fn patterns(&self) -> Vec<String> {
        let mut patterns = Vec::new();
        for pattern in self.versions().iter().flat_map(Version::patterns) {
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        patterns
    }

    /// The OAuth scopes of which a token needs one.
    pub fn scopes(&self) -> Vec<String> {
        let scopes = self.scopes.indices();
        scopes
            .map(|at| format!("https://www.googleapis.com/auth/{}", SCOPES[at]))
            .collect()
    }
}

impl Version {
    /// `v1`, `v1p1beta1`.
    pub fn name(&self) -> &'static str {
        VERSION_NAMES[usize::from(self.name)]
    }

    /// What stands before the part of a path that is made of the name: `v1`, `dns/v1`, `v1/admin`.
    pub fn prefix(&self) -> &'static str {
        PREFIXES[usize::from(self.prefix)]
    }

    /// The host that serves a relative name: the service's, or that of the name's location, where it
    /// has one (`us-central1-aiplatform.googleapis.com`). A location that the catalogue does not list
    /// never becomes part of a host's name.
    pub fn host(&self, service: &Service, relative: &str) -> String {
        let host = match HOSTS[usize::from(self.host)] {
            "" => service.name,
            other => other,
        };
        let mut segments = relative
            .split('/')
            .skip_while(|segment| *segment != "locations");
        let location = segments.nth(1).unwrap_or_default();
        match self
            .locations
            .indices()
            .map(|at| LOCATIONS[at])
            .find(|listed| *listed == location)
        {
            Some(location) => format!("{location}-{host}{DOMAIN}"),
            None => format!("{host}{DOMAIN}"),
        }
    }

    /// The published patterns of names.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.patterns
            .indices()
            .map(|at| PATTERNS[at].segments().collect::<Vec<_>>().join("/"))
    }

    /// Whether a published pattern takes this relative name.
    pub fn publishes(&self, relative: &str) -> bool {
        self.patterns
            .indices()
            .any(|at| fits(PATTERNS[at].segments(), relative))
    }
}

impl Pattern {
    fn segments(&self) -> impl Iterator<Item = &'static str> {
        let parts = [
            HEADS[usize::from(self.head)],
            self.middle,
            TAILS[usize::from(self.tail)],
        ];
        parts
            .into_iter()
            .flat_map(|part| part.split('/'))
            .filter(|segment| !segment.is_empty())
    }
}

/// Whether a name fits a pattern.
fn fits<'a>(pattern: impl Iterator<Item = &'a str>, name: &str) -> bool {
    let mut segments = name.split('/');
    for expected in pattern {
        match (expected, segments.next()) {
            ("**", Some(_)) => return true,
            ("*", Some(_)) => {}
            (expected, Some(segment)) if expected == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_the_search_finds_every_service() {
        assert!(all().len() > 100);
        for service in all() {
            assert_eq!(find(&service.name()).unwrap().name, service.name);
            assert!(!service.versions().is_empty());
        }
    }

    #[test]
    fn an_unknown_service_or_version_is_said() {
        let failure = find("nothing.googleapis.com").unwrap_err();
        assert_eq!(failure.reason, Reason::UnknownService);
        assert!(
            failure
                .message
                .starts_with("The catalogue has no service \"nothing.googleapis.com\".")
        );
        let failure = find("androiddeviceprovisioning.googleapis.com")
            .unwrap()
            .version("v9")
            .unwrap_err();
        assert_eq!(failure.reason, Reason::UnknownService);
        assert_eq!(
            failure.message,
            "The catalogue has no version \"v9\" of androiddeviceprovisioning.googleapis.com. Set \
             OPERATIONS_SERVICE to one of its versions: v1."
        );
    }

    #[test]
    fn what_was_probably_meant_is_said() {
        let said = |name: &str| find(name).unwrap_err().message;
        assert!(
            said("apigatway.googleapis.com").ends_with("Did you mean apigateway.googleapis.com?")
        );
        // A short label is close to many: this one to iam.
        assert!(said("iaz.googleapis.com").contains("Check its spelling"));
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

    #[test]
    fn a_service_publishes_the_patterns_of_its_versions_each_once() {
        let service = find("apigateway.googleapis.com").unwrap();
        let pattern = "projects/*/locations/*/operations/*";
        assert_eq!(service.versions().len(), 2);
        for version in service.versions() {
            assert_eq!(version.patterns().collect::<Vec<_>>(), [pattern]);
        }
        assert_eq!(service.patterns(), [pattern]);
        assert!(service.publishes("projects/p/locations/l/operations/o"));
        assert!(!service.publishes("operations/o"));
    }

    #[test]
    fn patterns_are_matched_by_segments() {
        let fits = |pattern: &str, name| fits(pattern.split('/'), name);
        assert!(fits(
            "projects/*/locations/*/operations/*",
            "projects/p/locations/l/operations/o"
        ));
        assert!(!fits(
            "projects/*/locations/*/operations/*",
            "projects/p/locations/l/operations/o/x"
        ));
        assert!(!fits(
            "projects/*/locations/*/operations/*",
            "projects/p/locations/l/operations"
        ));
        assert!(!fits("projects/*/operations/*", "folders/p/operations/o"));
        assert!(fits("operations/**", "operations/a"));
        assert!(fits("operations/**", "operations/a/b/c"));
        assert!(!fits("operations/**", "operations"));
    }

    #[test]
    fn the_default_is_in_the_catalogue() {
        let service = find(DEFAULT.0).unwrap();
        assert_eq!(service.version(DEFAULT.1).unwrap().prefix(), "v1beta");
        assert_eq!(service.version_for("operations/o").name(), "v1beta");
        assert!(
            service
                .scopes()
                .contains(&"https://www.googleapis.com/auth/chat.bot".to_owned())
        );
    }

    #[test]
    fn the_version_is_the_preferred_one_that_publishes_the_name() {
        let chosen = |service: &str, name: &str| find(service).unwrap().version_for(name).name();
        for (service, name, version) in [
            (
                "iam.googleapis.com",
                "policies/p/d/denypolicies/operations/o",
                "v2",
            ),
            (
                "iam.googleapis.com",
                "locations/l/workforcePools/w/operations/o",
                "v1",
            ),
            (
                "cloudbuild.googleapis.com",
                "projects/p/locations/l/operations/o",
                "v2",
            ),
            ("cloudbuild.googleapis.com", "operations/o", "v1"),
            ("cloudfunctions.googleapis.com", "operations/o", "v1"),
            (
                "osconfig.googleapis.com",
                "projects/p/locations/l/operations/o",
                "v2",
            ),
            (
                "run.googleapis.com",
                "projects/p/locations/l/operations/o",
                "v2",
            ),
            ("cloudresourcemanager.googleapis.com", "operations/o", "v3"),
            (
                "appengine.googleapis.com",
                "projects/p/locations/l/operations/o",
                "v1beta",
            ),
            (
                "apigateway.googleapis.com",
                "unpublished/u/operations/o",
                "v1",
            ),
        ] {
            assert_eq!(chosen(service, name), version, "{service} {name}");
        }
    }

    #[test]
    fn an_unknown_service_is_told_what_was_probably_meant() {
        let said = |name: &str| {
            let failure = find(name).unwrap_err();
            assert_eq!(failure.reason, Reason::UnknownService);
            failure.message
        };
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
    fn a_location_is_part_of_a_host_only_where_the_catalogue_lists_it() {
        let service = find("aiplatform.googleapis.com").unwrap();
        let version = service.version("v1").unwrap();
        let host = |location| {
            version.host(
                service,
                &format!("projects/p/locations/{location}/operations/o"),
            )
        };
        assert_eq!(host("us-central1"), "us-central1-aiplatform.googleapis.com");
        for other in [
            "global",
            "evil.example",
            "us-central1.evil",
            "",
            "us-central",
        ] {
            assert_eq!(host(other), "aiplatform.googleapis.com", "{other}");
        }
        assert_eq!(
            version.host(service, "operations/o"),
            "aiplatform.googleapis.com"
        );
        assert_eq!(
            version.host(service, "operations/locations"),
            "aiplatform.googleapis.com"
        );
        let run = find("run.googleapis.com").unwrap();
        let name = "projects/p/locations/us-central1/operations/o";
        assert_eq!(run.version_for(name).host(run, name), "run.googleapis.com");
    }

    #[test]
    fn drive_and_storage_make_their_own_paths() {
        assert_eq!(
            Path::OperationId.of("operations/a/b").unwrap(),
            "operations/a%2Fb"
        );
        let bucket = "projects/_/buckets/b c/operations/o/p";
        assert_eq!(Path::Bucket.of(bucket).unwrap(), "b/b%20c/operations/o%2Fp");
        for (path, name, form) in [
            (
                Path::OperationId,
                "projects/p/operations/o",
                "operations/ID",
            ),
            (
                Path::Bucket,
                "operations/o",
                "projects/_/buckets/BUCKET/operations/OPERATION",
            ),
            (
                Path::Bucket,
                "projects/a/b/buckets/c/operations/o",
                "projects/_/buckets/BUCKET/operations/OPERATION",
            ),
        ] {
            let failure = path.of(name).unwrap_err();
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
}
