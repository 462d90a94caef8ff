//! Scheme, host and port: where a request goes, and whether a credential may go there.

use std::fmt;
use std::net::IpAddr;

use http::Uri;

/// An origin (RFC 6454, section 4) of `http` or `https`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    /// Whether it is `https`.
    pub tls: bool,
    /// In lower case, an IPv6 address without its brackets.
    pub host: String,
    /// The port, that of the scheme if the URL has none.
    pub port: u16,
}

impl Origin {
    /// The origin of an absolute URL. Nothing for a URL of another scheme, without a host, or with user info,
    /// which is not part of a request (RFC 9110, section 4.2.4) and makes one host look like another.
    pub fn of(url: &Uri) -> Option<Origin> {
        let tls = match url.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = url.authority()?;
        let host = authority.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        if host.is_empty() || authority.as_str().contains('@') {
            return None;
        }
        Some(Origin {
            tls,
            host: host.to_ascii_lowercase(),
            port: authority.port_u16().unwrap_or(default_port(tls)),
        })
    }

    /// Whether it is this machine by its name alone: `localhost`, 127.0.0.0/8 or `[::1]`.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host == "localhost",
        }
    }

    /// Whether a credential may be sent there: over TLS, or within this machine.
    pub fn keeps_secrets(&self) -> bool {
        self.tls || self.is_loopback()
    }

    /// `host:port`, as `CONNECT` asks for it.
    pub fn host_and_port(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// The host, with its port unless that is the scheme's own.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_port = self.host_and_port();
        let without = match self.port == default_port(self.tls) {
            true => with_port.rsplit_once(':').map(|(host, _)| host),
            false => None,
        };
        f.write_str(without.unwrap_or(&with_port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Option<Origin> {
        Origin::of(&url.parse().unwrap())
    }

    #[test]
    fn a_url_has_one_origin_however_it_is_written() {
        let origin = of("https://API.example/v1").unwrap();
        assert_eq!(origin, of("https://api.example:443").unwrap());
        assert_eq!(origin.to_string(), "api.example");
        assert_eq!(origin.host_and_port(), "api.example:443");
        let origin = of("http://[::1]:8080/").unwrap();
        assert_eq!((origin.host.as_str(), origin.port), ("::1", 8080));
        assert_eq!(origin.to_string(), "[::1]:8080");
        assert_eq!(of("http://[::1]/").unwrap().to_string(), "[::1]");
    }

    #[test]
    fn a_url_of_another_scheme_or_with_user_info_has_no_origin() {
        for url in [
            "ftp://a.example/",
            "/v1",
            "https://user@a.example/",
            "https://user:x@a.example/",
        ] {
            assert_eq!(of(url), None, "{url}");
        }
    }

    #[test]
    fn a_credential_goes_over_tls_or_within_this_machine() {
        for url in [
            "https://a.example",
            "http://localhost:1",
            "http://127.9.9.9",
            "http://[::1]",
        ] {
            assert!(of(url).unwrap().keeps_secrets(), "{url}");
        }
        for url in [
            "http://a.example",
            "http://localhost.example",
            "http://10.0.0.1",
            "http://[::2]",
        ] {
            assert!(!of(url).unwrap().keeps_secrets(), "{url}");
        }
    }
}
