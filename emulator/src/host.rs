//! Whether a request was meant for this machine. The page of another site can have its own name resolve to a loopback
//! address, and could then read what is served here (DNS rebinding): its requests have that name as their host.

use std::net::IpAddr;

use http::header::HOST;
use http::uri::Authority;
use http::{Request, Version};

/// Why a request is not answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HostError {
    /// It has no host, several, or one that is none (RFC 9112, section 3.2).
    Invalid,
    /// It has this host, which is not this machine.
    Other(String),
}

/// Checks the host of a request that arrived at this address. The port may be any: it may have been forwarded.
pub(crate) fn check<B>(request: &Request<B>, arrived_at: IpAddr) -> Result<(), HostError> {
    let authority = match request.uri().authority() {
        // A whole URL as the target: then the field does not count (RFC 9112, section 3.2.2).
        Some(authority) => authority.clone(),
        None => {
            let mut fields = request.headers().get_all(HOST).iter();
            match (fields.next(), fields.next()) {
                (None, _) if request.version() < Version::HTTP_11 => return Ok(()),
                (Some(field), None) => {
                    Authority::try_from(field.as_bytes()).map_err(|_| HostError::Invalid)?
                }
                _ => return Err(HostError::Invalid),
            }
        }
    };
    let has_user = authority.as_str().contains('@');
    match !has_user && is_this_machine(authority.host(), arrived_at) {
        true => Ok(()),
        false => Err(HostError::Other(authority.to_string())),
    }
}

/// Whether it is `localhost` (RFC 6761, section 6.3), a loopback address or the address that was connected to.
fn is_this_machine(host: &str, arrived_at: IpAddr) -> bool {
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match address.unwrap_or(host).parse::<IpAddr>() {
        Ok(address) => {
            let address = address.to_canonical();
            address.is_loopback() || address == arrived_at.to_canonical()
        }
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1";

    fn checked(target: &str, hosts: &[&str], arrived_at: &str) -> Result<(), HostError> {
        let mut request = Request::get(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        check(&request.body(()).unwrap(), arrived_at.parse().unwrap())
    }

    fn other(host: &str) -> Result<(), HostError> {
        Err(HostError::Other(host.to_owned()))
    }

    #[test]
    fn this_machine_has_its_loopback_addresses_and_localhost() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "127.9.9.9:1",
            "localhost",
            "LocalHost:8080",
            "localhost.:8080",
            "emulator.localhost:8080",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert_eq!(
                checked("/v1/operations/o", &[host], LOOPBACK),
                Ok(()),
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "EVIL.example.:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example:8080",
            "notlocalhost",
            "localhost..",
            "127.1",
            "0.0.0.0:8080",
            "192.0.2.1:8080",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
        ] {
            assert_eq!(checked("/v1/operations/o", &[host], LOOPBACK), other(host));
        }
        let here = "192.0.2.1";
        assert_eq!(checked("/", &["192.0.2.1:8080"], here), Ok(()));
        assert_eq!(
            checked("/", &["192.0.2.2:8080"], here),
            other("192.0.2.2:8080")
        );
    }

    #[test]
    fn a_target_with_a_host_outweighs_the_field() {
        let of = |target, field| checked(target, &[field], LOOPBACK);
        assert_eq!(
            of("http://evil.example:80/", LOOPBACK),
            other("evil.example:80")
        );
        assert_eq!(of("http://Localhost.:80/", "evil.example"), Ok(()));
    }

    #[test]
    fn a_request_has_one_host() {
        for hosts in [&[][..], &["a b"], &[""], &["localhost", "localhost"]] {
            assert_eq!(checked("/", hosts, LOOPBACK), Err(HostError::Invalid));
        }
        let mut old = Request::new(());
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(check(&old, LOOPBACK.parse().unwrap()), Ok(()));
    }
}
