//! The catalogue: which services publish an AIP-151 `operations.get`, and where.

use crate::bindings::{Failure, Reason};
use crate::failure::quoted;

/// One service, in every version that gets operations.
#[derive(Debug)]
pub struct Service {
    /// `apigateway.googleapis.com`: the name in full resource names (AIP-122).
    pub name: &'static str,
    /// The host that serves it, mostly the name again.
    pub host: &'static str,
    /// Preferred first: GA before beta before alpha, then the higher one.
    versions: &'static [Version],
    /// Where its OAuth scopes are in the table of scopes.
    scopes: &'static [u16],
    /// The locations that become part of its host name.
    pub locations: &'static [&'static str],
}

/// One version of a service.
#[derive(Debug)]
pub struct Version {
    /// `v1`, `v1p1beta1`.
    pub name: &'static str,
    /// The path of a URL: `v1/{name}`.
    pub template: &'static str,
    /// Where its name patterns are in the table of patterns.
    patterns: &'static [u16],
}

// `SERVICES`, sorted by name, with `PATTERNS` and `SCOPES`: made of catalog/services.tsv by build.rs.
include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

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
/// `unknown-service` where the catalogue has none of that name.
pub fn find(name: &str) -> Result<&'static Service, Failure> {
    let found = SERVICES.binary_search_by(|service| service.name.cmp(name));
    found.map(|at| &SERVICES[at]).map_err(|_| {
        Failure::new(
            Reason::UnknownService,
            format!(
                "The catalogue has no service {}. Check its spelling, or set OPERATIONS_SERVICE and \
                 OPERATIONS_ENDPOINT for a service of your own.",
                quoted(name)
            ),
        )
    })
}

impl Service {
    /// The version that the operator named.
    ///
    /// # Errors
    ///
    /// `unknown-service` where the service has no such version.
    pub fn version(&self, name: &str) -> Result<&'static Version, Failure> {
        self.versions.iter().find(|version| version.name == name).ok_or_else(|| {
            let versions: Vec<&str> = self.versions.iter().map(|version| version.name).collect();
            Failure::new(
                Reason::UnknownService,
                format!(
                    "The catalogue has no version {} of {}. Set OPERATIONS_SERVICE to one of its \
                     versions: {}.",
                    quoted(name),
                    self.name,
                    versions.join(", ")
                ),
            )
        })
    }

    /// The version for a relative name where the operator named none: the preferred one of those
    /// that publish a pattern for it, else the preferred one of all.
    pub fn version_for(&self, relative: &str) -> &'static Version {
        let versions = self.versions;
        if self.name == DEFAULT.0
            && let Some(version) = versions.iter().find(|version| version.name == DEFAULT.1)
        {
            return version;
        }
        versions
            .iter()
            .find(|version| version.publishes(relative))
            .unwrap_or(&versions[0])
    }

    /// Whether a version publishes a pattern that takes this relative name.
    pub fn publishes(&self, relative: &str) -> bool {
        self.versions
            .iter()
            .any(|version| version.publishes(relative))
    }

    /// The patterns of all versions, each once.
    pub fn patterns(&self) -> Vec<&'static str> {
        let mut patterns = Vec::new();
        for pattern in self.versions.iter().flat_map(Version::patterns) {
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        patterns
    }

    /// The OAuth scopes of which a token needs one.
    pub fn scopes(&self) -> impl Iterator<Item = &'static str> {
        self.scopes.iter().map(|&at| SCOPES[usize::from(at)])
    }
}

impl Version {
    /// The published patterns of names, such as `projects/*/locations/*/operations/*`.
    pub fn patterns(&self) -> impl Iterator<Item = &'static str> {
        self.patterns.iter().map(|&at| PATTERNS[usize::from(at)])
    }

    /// Whether a published pattern takes this relative name.
    pub fn publishes(&self, relative: &str) -> bool {
        self.patterns().any(|pattern| fits(pattern, relative))
    }
}

/// Whether a name fits a pattern: `*` is one segment, `**` at the end is one or more.
fn fits(pattern: &str, name: &str) -> bool {
    let mut segments = name.split('/');
    for expected in pattern.split('/') {
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
        for service in all() {
            assert_eq!(find(service.name).unwrap().name, service.name);
            assert!(!service.versions.is_empty());
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
    fn patterns_are_matched_by_segments() {
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
        assert_eq!(
            service.version(DEFAULT.1).unwrap().template,
            "v1beta/{name}"
        );
        assert_eq!(service.version_for("operations/o").name, "v1beta");
        assert_eq!(service.scopes().count(), 17);
    }
}
