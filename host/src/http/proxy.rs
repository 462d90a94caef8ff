//! Which requests go through a proxy: `HTTPS_PROXY` and `NO_PROXY`.

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use super::error::ConnectionsError;

/// The proxy for `https` requests, and the hosts that are reached without it.
///
/// The proxy is asked for a tunnel (`CONNECT`, RFC 9110 section 9.3.6), so it sees the host's name
/// and no more. Requests over plain `http` are never sent to it: they are for emulators on
/// loopback. `localhost` and loopback addresses are reached directly too, whatever is set.
#[derive(Debug)]
pub struct Proxy {
    matcher: Matcher,
}

/// A proxy that stands before one host.
#[derive(Clone)]
pub(super) struct Hop {
    /// The proxy's own URL: scheme, host and port.
    pub uri: Uri,
    /// `Proxy-Authorization`, marked as sensitive.
    pub authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Reads `HTTPS_PROXY` (or `https_proxy`) and `NO_PROXY` (or `no_proxy`) of the environment.
    ///
    /// # Errors
    /// As [`Proxy::from_variables`].
    pub fn from_env() -> Result<Option<Proxy>, ConnectionsError> {
        Proxy::from_variables(|variable| std::env::var(variable).ok())
    }

    /// As [`Proxy::from_env`], with another source of variables. `None` where no proxy is set; an
    /// empty variable is unset.
    ///
    /// # Errors
    /// [`ConnectionsError::Proxy`], which names the variable.
    pub fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Proxy>, ConnectionsError> {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| {
                variable(name)
                    .filter(|value| !value.is_empty())
                    .map(|value| (name, value))
            })
        };
        let Some((name, url)) = first(["HTTPS_PROXY", "https_proxy"]) else {
            return Ok(None);
        };
        let no_proxy = first(["NO_PROXY", "no_proxy"]).map_or(String::new(), |(_, value)| value);
        Proxy::parse(name, &url, &no_proxy).map(Some)
    }

    /// A proxy at `url` (`http://` or `https://`, user and password allowed, percent-encoded; no
    /// scheme means `http`), but for the hosts of `no_proxy`: names (with their subdomains),
    /// addresses, networks (`10.0.0.0/8`) or `*`, separated by commas.
    ///
    /// # Errors
    /// [`ConnectionsError::Proxy`]: the URL is not one, or has another scheme.
    pub fn new(url: &str, no_proxy: &str) -> Result<Proxy, ConnectionsError> {
        Proxy::parse("the proxy", url, no_proxy)
    }

    fn parse(origin: &str, url: &str, no_proxy: &str) -> Result<Proxy, ConnectionsError> {
        let wrong = |problem| ConnectionsError::Proxy {
            variable: origin.to_owned(),
            problem,
        };
        let uri: Uri = url
            .parse()
            .map_err(|_| wrong("is not the URL of a proxy, such as http://proxy.example:3128"))?;
        if !matches!(uri.scheme_str(), None | Some("http" | "https")) {
            return Err(wrong(
                "only proxies of the schemes http and https are supported",
            ));
        }
        let matcher = Matcher::builder().https(url).no(no_proxy).build();
        // The matcher passes over what it cannot read: ask it before a request goes out unproxied.
        let no_exceptions = Matcher::builder().https(url).build();
        match no_exceptions.intercept(&Uri::from_static("https://example.com/")) {
            Some(hop) if hop.uri().host().is_some_and(|host| !host.is_empty()) => {
                Ok(Proxy { matcher })
            }
            _ => Err(wrong("has no host, as http://proxy.example:3128 has")),
        }
    }

    /// The proxy before this URL, if there is one.
    pub(super) fn before(&self, uri: &Uri) -> Option<Hop> {
        if is_loopback(uri.host()?) {
            return None;
        }
        let hop = self.matcher.intercept(uri)?;
        Some(Hop {
            uri: hop.uri().clone(),
            authorization: hop.basic_auth().cloned(),
        })
    }
}

/// As curl and Go do not send what is meant for this machine to another one.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let proxy = Proxy::from_variables(|name| {
            variables
                .iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| (*value).to_owned())
        });
        let hop = proxy.unwrap()?.before(&url.parse().unwrap())?;
        Some(hop.uri.to_string())
    }

    #[test]
    fn the_environment_decides() {
        let google = "https://apigateway.googleapis.com/v1";
        let proxy = ("HTTPS_PROXY", "http://proxy.example:3128");
        let there = Some("http://proxy.example:3128/".to_owned());
        assert_eq!(before(&[], google), None);
        assert_eq!(before(&[("HTTPS_PROXY", "")], google), None);
        assert_eq!(before(&[proxy], google), there);
        assert_eq!(before(&[("https_proxy", proxy.1)], google), there);
        assert_eq!(
            before(&[("HTTPS_PROXY", "proxy.example:3128")], google),
            there
        );
        assert_eq!(
            before(&[("HTTP_PROXY", proxy.1), ("NO_PROXY", "x")], google),
            None
        );
        assert_eq!(before(&[proxy, ("NO_PROXY", "*")], google), None);
        assert_eq!(
            before(&[proxy, ("no_proxy", "a.example, googleapis.com")], google),
            None
        );
        assert_eq!(
            before(&[proxy, ("NO_PROXY", "apis.com")], google),
            there,
            "a name is no suffix"
        );
        assert_eq!(
            before(&[proxy, ("NO_PROXY", "10.0.0.0/8")], "https://10.1.2.3/"),
            None
        );
        assert_eq!(before(&[proxy], "http://emulator.example/"), None);
        assert_eq!(before(&[proxy], "https://localhost:8443/"), None);
        assert_eq!(before(&[proxy], "https://[::1]:8443/"), None);
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_without_its_password() {
        let message = |url: &str| {
            Proxy::from_variables(|name| (name == "https_proxy").then(|| url.to_owned()))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message("socks5://u:secret@proxy.example:1080"),
            "https_proxy: only proxies of the schemes http and https are supported"
        );
        assert_eq!(
            message("http://u:secret@pro xy"),
            "https_proxy: is not the URL of a proxy, such as http://proxy.example:3128"
        );
        assert_eq!(
            message("/proxy"),
            "https_proxy: has no host, as http://proxy.example:3128 has"
        );
    }

    #[test]
    fn user_and_password_become_a_sensitive_header() {
        let proxy = Proxy::new("http://Aladdin:opensesame@proxy.example:3128", "").unwrap();
        let hop = proxy.before(&Uri::from_static("https://a.example/"));
        let authorization = hop.unwrap().authorization.unwrap();
        assert_eq!(authorization, "Basic QWxhZGRpbjpvcGVuc2VzYW1l");
        assert!(authorization.is_sensitive());
        assert!(!format!("{proxy:?}").contains("opensesame"));
    }
}
