//! From a name to addresses, once per connection: the addresses that are checked are the ones that
//! are connected to.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;

/// What a [`Resolve`] gives: the addresses, or why there are none.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Resolves names. The system's resolver is the default; a test or an embedder brings its own.
pub trait Resolve: Send + Sync {
    /// All addresses of `name`, in the order in which they should be tried (RFC 6724). `name` is
    /// never an IP address. The text of an error goes into [`SendError::Dns`](super::SendError).
    fn resolve(&self, name: &str) -> Resolving;
}

/// The system's resolver (`getaddrinfo`): hosts file, search domains and caches as the machine has
/// them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str) -> Resolving {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_knows_localhost() {
        let found = SystemResolver.resolve("localhost").await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty());
    }
}
