//! Of whom an operation is asked for: the same relative name is another operation at another service.

/// What the command was told about services and endpoints.
#[derive(Clone, Default)]
pub struct AskedOf {
    /// `OPERATIONS_ENDPOINT`, if it is set.
    pub endpoint: Option<String>,
    /// `OPERATIONS_SERVICE`, if it is set.
    pub service: Option<String>,
    /// `GOOGLE_CLOUD_UNIVERSE_DOMAIN`, if it is set.
    pub universe_domain: Option<String>,
}

/// The service of a relative name if nothing is set.
const DEFAULT_SERVICE: &str = "workspaceevents.googleapis.com";

impl AskedOf {
    /// The endpoint, else the service that answers for this name, without its version: that gives the same operation.
    pub fn of(&self, name: &str) -> String {
        if let Some(endpoint) = &self.endpoint {
            return endpoint.trim_end_matches('/').to_owned();
        }
        let named = name.strip_prefix("//");
        let service = self.service.as_deref().or(named);
        let service = service.unwrap_or(DEFAULT_SERVICE).split('/').next();
        let service = service.unwrap_or_default();
        match &self.universe_domain {
            Some(domain) => service.replace("googleapis.com", domain),
            None => service.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_else_the_service_is_asked() {
        let nothing = AskedOf::default();
        assert_eq!(nothing.of("operations/o"), DEFAULT_SERVICE);
        assert_eq!(
            nothing.of("//run.googleapis.com/projects/p/operations/o"),
            "run.googleapis.com"
        );
        let service = AskedOf {
            service: Some("run.googleapis.com/v2".to_owned()),
            ..AskedOf::default()
        };
        assert_eq!(service.of("operations/o"), "run.googleapis.com");
        let elsewhere = AskedOf {
            universe_domain: Some("apis.example".to_owned()),
            ..service.clone()
        };
        assert_eq!(elsewhere.of("operations/o"), "run.apis.example");
        let endpoint = AskedOf {
            endpoint: Some("http://127.0.0.1:1/v1/".to_owned()),
            ..service
        };
        assert_eq!(endpoint.of("operations/o"), "http://127.0.0.1:1/v1");
    }
}
