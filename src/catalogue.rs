//! The catalogue: which services publish an AIP-151 `operations.get`, in which versions, at which
//! hosts, and for which names.

use crate::template::PathTemplate;

/// One service, in every version that gets operations.
#[derive(Debug)]
pub struct Service {
    /// The first label of its name: `apigateway`.
    label: &'static str,
    /// In `VERSIONS`: the preferred one first, GA before beta before alpha, then the higher number.
    versions: TableRange,
    /// In `INDICES`: which of `SCOPES`.
    scopes: TableRange,
}

/// One version of a service. Its numbers are indices into the tables of texts.
#[derive(Debug)]
pub struct Version {
    name: u8,
    host: u8,
    prefix: u8,
    /// How a name becomes the end of a path.
    pub template: PathTemplate,
    patterns: TableRange,
    locations: TableRange,
}

/// A published pattern of names, such as `projects/*/locations/*/operations/*`: `*` is one segment,
/// `**` at the end is one or more.
#[derive(Debug)]
struct Pattern {
    head: u8,
    middle: &'static str,
    tail: u8,
}

/// A range of a table.
#[derive(Debug, Clone, Copy)]
struct TableRange {
    start: u16,
    len: u8,
}

impl TableRange {
    fn of<T>(self, table: &'static [T]) -> &'static [T] {
        let start = usize::from(self.start);
        &table[start..start + usize::from(self.len)]
    }

    /// The indices in this range of `INDICES`.
    fn indices(self) -> impl Iterator<Item = usize> {
        self.of(&INDICES).iter().map(|&at| usize::from(at))
    }
}

// `SERVICES`, sorted by name, and the tables that it refers to: generated from catalog/*.tsv by
// build.rs.
include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

/// What every service's name ends with.
const DOMAIN: &str = ".googleapis.com";

/// The service of a relative name when no setting names one: the one whose documentation this block
/// was first made from.
pub const DEFAULT_SERVICE: &str = "workspaceevents.googleapis.com";

/// The version of [`DEFAULT_SERVICE`] when no setting names one.
pub const DEFAULT_VERSION: &str = "v1beta";

/// Every service in the catalogue, sorted by name.
pub fn all() -> &'static [Service] {
    &SERVICES
}

/// Finds a service by its name, such as `apigateway.googleapis.com`.
pub fn find(name: &str) -> Option<&'static Service> {
    let label = name.strip_suffix(DOMAIN)?;
    let at = SERVICES.binary_search_by(|service| service.label.cmp(label));
    at.ok().map(|at| &SERVICES[at])
}

/// Whether the service with this first label has operations, but only of a type of its own.
pub fn has_own_type(label: &str) -> bool {
    OWN_TYPES.contains(&label)
}

impl Service {
    /// `apigateway.googleapis.com`: its name in full resource names (AIP-122).
    pub fn name(&self) -> String {
        format!("{}{DOMAIN}", self.label)
    }

    /// `apigateway`: the first label of its name.
    pub fn label(&self) -> &'static str {
        self.label
    }

    /// Its versions, the preferred one first.
    pub fn versions(&self) -> &'static [Version] {
        self.versions.of(&VERSIONS)
    }

    /// Finds a version by its name, such as `v1beta`.
    pub fn version(&self, name: &str) -> Option<&'static Version> {
        self.versions()
            .iter()
            .find(|version| version.name() == name)
    }

    /// The version for a relative name when the operator named none: the preferred one of those that
    /// publish a pattern for it, otherwise the preferred one of all.
    pub fn version_for(&self, relative: &str) -> &'static Version {
        let versions = self.versions();
        let is_default = |version: &&Version| {
            DEFAULT_SERVICE.strip_suffix(DOMAIN) == Some(self.label)
                && version.name() == DEFAULT_VERSION
        };
        let by_pattern = || versions.iter().find(|version| version.publishes(relative));
        versions
            .iter()
            .find(is_default)
            .or_else(by_pattern)
            .unwrap_or(&versions[0])
    }

    /// Whether a version publishes a pattern that matches this relative name.
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

    /// The OAuth scopes, of which a token needs one.
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

    /// What comes before the part of a path that is made from the name: `v1`, `dns/v1`, `v1/admin`.
    pub fn prefix(&self) -> &'static str {
        PREFIXES[usize::from(self.prefix)]
    }

    /// The first label of the host, if that is not the service's own label: `translation`.
    pub fn other_host_label(&self) -> Option<&'static str> {
        Some(HOSTS[usize::from(self.host)]).filter(|label| !label.is_empty())
    }

    /// The host that serves a relative name: the one of the name's location, if the catalogue lists
    /// that location for this version (`us-central1-aiplatform.googleapis.com`), otherwise the
    /// service's. No other location ever becomes part of a host's name.
    pub fn host(&self, service: &Service, relative: &str) -> String {
        let host = self.other_host_label().unwrap_or(service.label);
        let mut segments = relative
            .split('/')
            .skip_while(|segment| *segment != "locations");
        let location = segments.nth(1).unwrap_or_default();
        let mut listed = self.locations.indices().map(|at| LOCATIONS[at]);
        match listed.find(|listed| *listed == location) {
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

    /// Whether a published pattern matches this relative name.
    pub fn publishes(&self, relative: &str) -> bool {
        self.patterns
            .indices()
            .any(|at| matches(PATTERNS[at].segments(), relative))
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

/// Whether a pattern, given by its segments, matches a name.
fn matches<'a>(pattern: impl Iterator<Item = &'a str>, name: &str) -> bool {
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
    fn every_service_is_found_because_the_table_is_sorted() {
        assert!(all().len() > 100);
        for service in all() {
            assert_eq!(find(&service.name()).unwrap().label, service.label);
            assert!(!service.versions().is_empty());
        }
        assert!(find("apigateway").is_none());
        assert!(find("nothing.googleapis.com").is_none());
    }

    #[test]
    fn a_service_is_in_the_catalogue_only_for_aip_151() {
        assert!(has_own_type("compute"));
        assert!(find("compute.googleapis.com").is_none());
        // It has both.
        assert!(!has_own_type("dns"));
        assert!(find("dns.googleapis.com").is_some());
    }

    #[test]
    fn a_service_has_the_patterns_of_its_versions_each_once() {
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
    fn patterns_match_by_segments() {
        let matches = |pattern: &str, name| matches(pattern.split('/'), name);
        assert!(matches(
            "projects/*/locations/*/operations/*",
            "projects/p/locations/l/operations/o"
        ));
        assert!(!matches(
            "projects/*/locations/*/operations/*",
            "projects/p/locations/l/operations/o/x"
        ));
        assert!(!matches(
            "projects/*/locations/*/operations/*",
            "projects/p/locations/l/operations"
        ));
        assert!(!matches(
            "projects/*/operations/*",
            "folders/p/operations/o"
        ));
        assert!(matches("operations/**", "operations/a"));
        assert!(matches("operations/**", "operations/a/b/c"));
        assert!(!matches("operations/**", "operations"));
    }

    #[test]
    fn the_default_is_in_the_catalogue() {
        let service = find(DEFAULT_SERVICE).unwrap();
        assert_eq!(service.version(DEFAULT_VERSION).unwrap().prefix(), "v1beta");
        assert_eq!(service.version_for("operations/o").name(), "v1beta");
        assert!(
            service
                .scopes()
                .contains(&"https://www.googleapis.com/auth/chat.bot".to_owned())
        );
    }

    #[test]
    fn the_version_is_the_preferred_one_that_publishes_a_pattern_for_the_name() {
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
    fn a_location_is_part_of_a_host_only_if_the_catalogue_lists_it() {
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
}
