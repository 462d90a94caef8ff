//! The base URL that requests go to instead of the service's own host, parsed once.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::bindings::{Failure, Reason};

/// A base URL, version included, to which `/{name}` is added.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Whether it is `https`.
    pub tls: bool,
    /// The host in lower case, and the port if the URL has one.
    pub authority: String,
    /// What comes before `/{name}`: empty, or with a leading and no trailing slash.
    pub path: String,
}

/// The longest valid endpoint, in bytes.
const MAX_LENGTH: usize = 2048;

impl Endpoint {
    /// Parses the value of `OPERATIONS_ENDPOINT`.
    ///
    /// # Errors
    ///
    /// `invalid-setting`, with a message that says which rule the value breaks. It does not show the
    /// value, whose user info or query could be a secret.
    pub fn parse(value: &str) -> Result<Endpoint, Failure> {
        if value.len() > MAX_LENGTH {
            return Err(invalid("has over 2048 bytes"));
        }
        let (tls, rest) = if let Some(rest) = value.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = value.strip_prefix("http://") {
            (false, rest)
        } else {
            return Err(invalid("does not start with https:// or http://"));
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(invalid("has user info"));
        }
        if rest.contains('?') {
            return Err(invalid("has a query"));
        }
        if rest.contains('#') {
            return Err(invalid("has a fragment"));
        }
        if !is_authority(authority) {
            return Err(invalid("has no valid host and port"));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if !path.is_empty() {
            for segment in path[1..].split('/') {
                if !is_path_segment(segment) {
                    return Err(invalid(
                        "has a path with an empty segment or a character that a path cannot have",
                    ));
                }
                // A dot may hide behind its escape (RFC 3986, section 6.2.2).
                if matches!(
                    segment.replace("%2e", ".").replace("%2E", ".").as_str(),
                    "." | ".."
                ) {
                    return Err(invalid("has a dot segment"));
                }
            }
        }
        Ok(Endpoint {
            tls,
            authority: authority.to_ascii_lowercase(),
            path: path.to_owned(),
        })
    }

    /// The host, without the port.
    pub fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            // The colons within the brackets of an IPv6 address do not start a port.
            Some((host, port)) if !port.ends_with(']') => host,
            _ => &self.authority,
        }
    }

    /// Whether a credential may be sent to it: over TLS, or within this machine.
    pub fn keeps_secrets(&self) -> bool {
        self.tls || is_loopback(self.host())
    }
}

fn invalid(why: &str) -> Failure {
    Failure::new(
        Reason::InvalidSetting,
        format!(
            "OPERATIONS_ENDPOINT {why}: set a base URL with its version, such as \
             https://us-central1-aiplatform.googleapis.com/v1, without user info, query, fragment or \
             dot segments."
        ),
    )
}

/// A host name, an IPv4 address or an IPv6 address in brackets, optionally with a port.
fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (address, None),
            Some((address, port)) => match port.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None => return false,
            },
            None => return false,
        },
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_host = if authority.starts_with('[') {
        host.parse::<Ipv6Addr>().is_ok()
    } else if host.ends_with(|c: char| c.is_ascii_digit())
        && !host.contains(|c: char| c.is_alphabetic())
    {
        // Numbers that are not a valid address would be looked up as a name.
        host.parse::<Ipv4Addr>().is_ok()
    } else {
        host.split('.').all(is_label)
    };
    let is_port = |port: &str| {
        !port.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port != 0)
    };
    is_host && port.is_none_or(is_port)
}

/// Letters, digits and inner hyphens: one label of a host name (RFC 1123, section 2.1).
pub fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// One segment of a URL's path (RFC 3986, section 3.3): not empty, with complete escapes.
fn is_path_segment(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    !bytes.is_empty()
        && bytes.iter().enumerate().all(|(at, byte)| match byte {
            b'%' => bytes
                .get(at + 1..at + 3)
                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(byte),
        })
}

/// `localhost`, 127.0.0.0/8 and `[::1]`.
fn is_loopback(host: &str) -> bool {
    let is_ipv4 = || {
        host.parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
    };
    host == "localhost" || host == "[::1]" || is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_plain_base_url() {
        for (value, tls, authority, path) in [
            ("https://a.com", true, "a.com", ""),
            ("https://a.com/", true, "a.com", ""),
            ("https://A.Com:8443/v1", true, "a.com:8443", "/v1"),
            ("http://10.0.0.1:80/v1", false, "10.0.0.1:80", "/v1"),
            ("http://[::1]:8080/v1/", false, "[::1]:8080", "/v1"),
            ("https://service/a%20b/v1", true, "service", "/a%20b/v1"),
        ] {
            let endpoint = Endpoint {
                tls,
                authority: authority.into(),
                path: path.into(),
            };
            assert_eq!(Endpoint::parse(value).unwrap(), endpoint, "{value}");
        }
    }

    #[test]
    fn any_other_value_is_refused_with_the_rule_that_it_breaks() {
        for (why, values) in [
            (
                "does not start with https:// or http://",
                &["a.com/v1", "ftp://a.com/v1", "HTTPS://a.com/v1"][..],
            ),
            ("has user info", &["https://user:hunter2@a.com/v1"]),
            ("has a query", &["https://a.com/v1?key=hunter2"]),
            ("has a fragment", &["https://a.com/v1#hunter2"]),
            (
                "has no valid host and port",
                &[
                    "https://",
                    "https://:443/v1",
                    "https://a.com:0/v1",
                    "https://a.com:65536/v1",
                    "https://a.com:/v1",
                    "https://a.com:+1/v1",
                    "https://a b.com/v1",
                    "https://a.com\r\nx: y/v1",
                    "https://-a.com/v1",
                    "https://a-.com/v1",
                    "http://127.1/v1",
                    "http://127.0.0.08/v1",
                    "https://[::::]/v1",
                    "https://[1:2:3:4:5:6:7:8:9]/v1",
                    "https://[::1/v1",
                    "https://[::1]x/v1",
                    "https://[localhost]/v1",
                ],
            ),
            (
                "has a path with an empty segment or a character that a path cannot have",
                &[
                    "https://a.com/v1//",
                    "https://a.com//v1",
                    "https://a.com/v 1",
                    "https://a.com/v1%2",
                    "https://a.com/v1%zz",
                ],
            ),
            (
                "has a dot segment",
                &[
                    "https://a.com/../v1",
                    "https://a.com/v1/.",
                    "https://a.com/.%2E/v1",
                ],
            ),
        ] {
            for value in values {
                let failure = Endpoint::parse(value).unwrap_err();
                assert_eq!(failure.reason, Reason::InvalidSetting);
                assert_eq!(
                    failure.message,
                    format!(
                        "OPERATIONS_ENDPOINT {why}: set a base URL with its version, such as \
                         https://us-central1-aiplatform.googleapis.com/v1, without user info, query, \
                         fragment or dot segments."
                    ),
                    "{value}"
                );
            }
        }
    }

    #[test]
    fn the_length_is_limited_to_2048_bytes() {
        let longest = format!("https://a.com/{}", "v".repeat(MAX_LENGTH - 14));
        assert_eq!(longest.len(), 2048);
        assert!(Endpoint::parse(&longest).is_ok());
        let failure = Endpoint::parse(&format!("{longest}v")).unwrap_err();
        assert!(failure.message.contains(" has over 2048 bytes: "));
    }

    #[test]
    fn the_host_is_separated_from_the_port() {
        for (value, host) in [
            ("https://h.example/v1", "h.example"),
            ("https://h.example:8443", "h.example"),
            ("http://127.0.0.1:80/v1", "127.0.0.1"),
            ("http://[::1]/v1", "[::1]"),
            ("http://[::1]:8080/v1", "[::1]"),
        ] {
            assert_eq!(Endpoint::parse(value).unwrap().host(), host, "{value}");
        }
    }

    #[test]
    fn secrets_are_kept_by_tls_or_within_this_machine() {
        for (value, keeps_secrets) in [
            ("https://a.com/v1", true),
            ("http://localhost:1/v1", true),
            ("http://127.0.0.1/v1", true),
            ("http://127.255.0.9:8080", true),
            ("http://[::1]:8080/v1", true),
            ("http://a.com/v1", false),
            ("http://10.0.0.1/v1", false),
            ("http://128.0.0.1/v1", false),
            ("http://127.0.0.1.a.com/v1", false),
            ("http://localhost.a.com/v1", false),
            ("http://[::2]/v1", false),
        ] {
            let endpoint = Endpoint::parse(value).unwrap();
            assert_eq!(endpoint.keeps_secrets(), keeps_secrets, "{value}");
        }
    }
}
