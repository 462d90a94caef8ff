//! Which requests go through a proxy: `HTTPS_PROXY` and `NO_PROXY`.

use std::ffi::OsString;
use std::fmt;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use crate::origin::Origin;

use super::error::{ConnectionsError, SendError};

/// The proxy for `https` requests, and the hosts that are reached without it.
///
/// The proxy is asked for a tunnel (`CONNECT`, RFC 9110 section 9.3.6), so it sees the host's name
/// and no more. Requests over plain `http` are never sent to it: they are for emulators on
/// loopback. `localhost` and loopback addresses are reached directly too, whatever is set.
#[derive(Debug)]
pub struct Proxy {
    /// Decides which hosts are reached through the proxy.
    matcher: Matcher,
    /// How, or why it cannot be used.
    route: Result<ProxyRoute, SendError>,
}

/// A proxy between this machine and a host.
#[derive(Clone)]
pub(super) struct ProxyRoute {
    /// Of the proxy itself.
    pub origin: Origin,
    /// `Proxy-Authorization`, marked as sensitive.
    pub authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Reads `HTTPS_PROXY` (or `https_proxy`) and `NO_PROXY` (or `no_proxy`) of the environment.
    /// `None` if no proxy is set; an empty variable is unset.
    ///
    /// A URL that cannot be used fails the requests that would go through the proxy, with a message
    /// that names the variable. Other requests do not need it.
    pub fn from_env() -> Option<Proxy> {
        Proxy::from_variables(|variable| std::env::var_os(variable))
    }

    /// As [`Proxy::from_env`], with another source of variables.
    pub fn from_variables<V: Into<OsString>>(
        variable: impl Fn(&str) -> Option<V>,
    ) -> Option<Proxy> {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| {
                let value = variable(name).map(Into::into);
                let value = value.filter(|value| !value.is_empty())?;
                Some((name, value.into_string()))
            })
        };
        let invalid = |name, problem| Err(SendError::ProxyInvalid(format!("{name}: {problem}")));
        let (name, url) = first(["HTTPS_PROXY", "https_proxy"])?;
        let mut route = match url {
            Ok(url) => ProxyRoute::parse(&url).or_else(|problem| invalid(name, problem)),
            Err(_) => invalid(name, "is not UTF-8"),
        };
        let no_proxy = match first(["NO_PROXY", "no_proxy"]) {
            None => String::new(),
            Some((_, Ok(hosts))) => hosts,
            Some((name, Err(_))) => {
                // Nobody knows which hosts it means.
                route = invalid(name, "is not UTF-8");
                String::new()
            }
        };
        Some(Proxy {
            matcher: matcher(&no_proxy),
            route,
        })
    }

    /// A proxy at `url` (`http://` or `https://`, user and password allowed, percent-encoded; no
    /// scheme means `http`), but for the hosts of `no_proxy`: names (with their subdomains),
    /// addresses, networks (`10.0.0.0/8`) or `*`, separated by commas.
    ///
    /// # Errors
    /// [`ConnectionsError::Proxy`]: the URL is not one, or has another scheme.
    pub fn new(url: &str, no_proxy: &str) -> Result<Proxy, ConnectionsError> {
        let route = ProxyRoute::parse(url).map_err(|problem| ConnectionsError::Proxy {
            variable: "the proxy".to_owned(),
            problem,
        })?;
        Ok(Proxy {
            matcher: matcher(no_proxy),
            route: Ok(route),
        })
    }

    /// The proxy before this URL, which has this origin; `None` if it is reached directly.
    ///
    /// # Errors
    /// [`SendError::ProxyInvalid`].
    pub(super) fn before(
        &self,
        url: &Uri,
        origin: &Origin,
    ) -> Result<Option<ProxyRoute>, SendError> {
        // As curl and Go do not send what is meant for this machine to another one.
        match origin.is_loopback() || self.matcher.intercept(url).is_none() {
            true => Ok(None),
            false => self.route.clone().map(Some),
        }
    }
}

/// What knows the exceptions. It passes over a proxy that it cannot read, so it is given one that
/// it can.
fn matcher(no_proxy: &str) -> Matcher {
    let any = "http://proxy.invalid";
    Matcher::builder().https(any).no(no_proxy).build()
}

impl ProxyRoute {
    /// The proxy at a URL, or what is wrong with the URL.
    fn parse(url: &str) -> Result<ProxyRoute, &'static str> {
        let uri: Uri = url
            .parse()
            .map_err(|_| "is not the URL of a proxy, such as http://proxy.example:3128")?;
        if !matches!(uri.scheme_str(), None | Some("http" | "https")) {
            return Err("only proxies of the schemes http and https are supported");
        }
        // `Uri` has no port for one that is out of range, and would be taken for a default.
        let port = uri.authority().and_then(|authority| {
            let (_, port) = authority.as_str().rsplit_once(':')?;
            port.bytes().all(|b| b.is_ascii_digit()).then_some(port)
        });
        if port.is_some_and(|port| !matches!(port.parse::<u16>(), Ok(1..))) {
            return Err("its port is not a number from 1 to 65535");
        }
        let proxy = Matcher::builder().https(url).build();
        let proxy = proxy.intercept(&Uri::from_static("https://host.example/"));
        let proxy = proxy.as_ref();
        match proxy.and_then(|proxy| Some((proxy, Origin::of(proxy.uri())?))) {
            Some((proxy, origin)) => Ok(ProxyRoute {
                origin,
                authorization: proxy.basic_auth().cloned(),
            }),
            None => Err("has no host, as http://proxy.example:3128 has"),
        }
    }

    /// What became of the way to the proxy, or of the tunnel that it was asked for.
    pub fn failed(&self, fault: SendError) -> SendError {
        SendError::Proxy {
            url: self.to_string(),
            fault: Box::new(fault),
        }
    }
}

/// The URL without user and password.
impl fmt::Display for ProxyRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.origin.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.origin.host_and_port())
    }
}

impl fmt::Debug for ProxyRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOGLE: &str = "https://apigateway.googleapis.com/v1";

    /// The proxy before a URL, with these variables set.
    fn before(variables: &[(&str, &str)], url: &str) -> Result<Option<ProxyRoute>, SendError> {
        let proxy = Proxy::from_variables(|name| {
            let mut variables = variables.iter();
            let variable = variables.find(|(variable, _)| *variable == name);
            variable.map(|(_, value)| (*value).to_owned())
        });
        let url = url.parse().unwrap();
        let origin = Origin::of(&url).unwrap();
        proxy.map_or(Ok(None), |proxy| proxy.before(&url, &origin))
    }

    #[test]
    fn the_environment_says_which_hosts_are_behind_a_proxy() {
        let proxy = ("HTTPS_PROXY", "http://proxy.example:3128");
        for (variables, url, goes_through) in [
            (&[][..], GOOGLE, false),
            (&[("HTTPS_PROXY", "")], GOOGLE, false),
            (&[proxy], GOOGLE, true),
            (&[("https_proxy", proxy.1)], GOOGLE, true),
            (&[("HTTPS_PROXY", "proxy.example:3128")], GOOGLE, true),
            (&[("HTTP_PROXY", proxy.1), ("NO_PROXY", "x")], GOOGLE, false),
            (&[proxy, ("NO_PROXY", "*")], GOOGLE, false),
            (
                &[proxy, ("no_proxy", "a.example, googleapis.com")],
                GOOGLE,
                false,
            ),
            // Part of a label is no domain.
            (&[proxy, ("NO_PROXY", "apis.com")], GOOGLE, true),
            (
                &[proxy, ("NO_PROXY", "10.0.0.0/8")],
                "https://10.1.2.3/",
                false,
            ),
            (&[proxy], "https://10.1.2.3/", true),
            (&[proxy], "http://emulator.example/", false),
            (&[proxy], "https://localhost:8443/", false),
            (&[proxy], "https://127.0.0.2:8443/", false),
            (&[proxy], "https://[::1]:8443/", false),
        ] {
            let route = before(variables, url).unwrap();
            let expected = goes_through.then_some("http://proxy.example:3128");
            let route = route.map(|route| route.to_string());
            assert_eq!(route.as_deref(), expected, "{variables:?} {url}");
        }
    }

    #[test]
    fn a_proxy_without_a_port_has_that_of_its_scheme() {
        for (url, expected) in [
            ("proxy.example", "http://proxy.example:80"),
            ("https://proxy.example/", "https://proxy.example:443"),
            ("http://u:1@[::1]", "http://[::1]:80"),
        ] {
            let route = before(&[("HTTPS_PROXY", url)], GOOGLE).unwrap().unwrap();
            assert_eq!(route.to_string(), expected);
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_fails_only_what_goes_through_it() {
        for (url, problem) in [
            (
                "socks5://u:secret@proxy.example:1080",
                "only proxies of the schemes http and https are supported",
            ),
            (
                "http://u:secret@pro xy",
                "is not the URL of a proxy, such as http://proxy.example:3128",
            ),
            ("/proxy", "has no host, as http://proxy.example:3128 has"),
            (
                "http://u:secret@proxy.example:99999",
                "its port is not a number from 1 to 65535",
            ),
            (
                "http://proxy.example:0",
                "its port is not a number from 1 to 65535",
            ),
            (
                "http://proxy.example:",
                "its port is not a number from 1 to 65535",
            ),
        ] {
            let variables = [("https_proxy", url), ("NO_PROXY", "corp.example")];
            let fault = before(&variables, GOOGLE).unwrap_err();
            assert_eq!(fault.to_string(), format!("https_proxy: {problem}"));
            for direct in [
                "https://localhost/",
                "http://a.example/",
                "https://corp.example/",
            ] {
                assert!(before(&variables, direct).unwrap().is_none(), "{direct}");
            }
            let given = Proxy::new(url, "").unwrap_err().to_string();
            assert_eq!(given, format!("the proxy: {problem}"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_utf_8_fails_only_what_goes_through_the_proxy() {
        use std::os::unix::ffi::OsStringExt;

        let not_utf_8 = || OsString::from_vec(b"http://proxy.example:3128/\xff".to_vec());
        for set in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
            let proxy = Proxy::from_variables(|name| match name {
                _ if name == set => Some(not_utf_8()),
                "HTTPS_PROXY" if set.eq_ignore_ascii_case("no_proxy") => Some("proxy".into()),
                _ => None,
            });
            let before = |url: &str| {
                let url = url.parse().unwrap();
                let origin = Origin::of(&url).unwrap();
                proxy.as_ref().unwrap().before(&url, &origin)
            };
            let fault = before(GOOGLE).unwrap_err();
            assert_eq!(fault.to_string(), format!("{set}: is not UTF-8"));
            assert!(before("https://localhost/").unwrap().is_none());
            assert!(before("http://a.example/").unwrap().is_none());
        }
    }

    #[test]
    fn user_and_password_become_a_sensitive_header_and_are_not_shown() {
        let proxy = Proxy::new("http://Aladdin:opensesame@proxy.example:3128", "").unwrap();
        let route = proxy.route.as_ref().unwrap();
        let authorization = route.authorization.as_ref().unwrap();
        assert_eq!(authorization, "Basic QWxhZGRpbjpvcGVuc2VzYW1l");
        assert!(authorization.is_sensitive());
        assert!(!format!("{proxy:?}").contains("opensesame"));
        let failed = route.failed(SendError::ConnectionRefused);
        assert_eq!(
            failed.to_string(),
            "cannot connect through the proxy http://proxy.example:3128: the connection was refused"
        );
    }
}
