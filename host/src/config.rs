//! How a host is set up.

use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::access::Access;
use crate::http::ConnectionsConfig;

/// How a host is set up. [`Default`] suits an engine that runs the flows of many customers.
///
/// ```
/// use std::num::NonZeroU32;
/// use operations_host::{Access, ConnectionsConfig, Host, HostConfig, Instances, Pem, Proxy};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let host = Host::with(HostConfig {
///     instances: Instances::Reused { calls: NonZeroU32::new(100).unwrap() },
///     cache: Some("/var/cache/engine/blocks".into()),
///     access: Access::application_default(None)?,
///     connections: ConnectionsConfig {
///         extra_ca: vec![Pem::read("/etc/ssl/company.pem")?],
///         proxy: Proxy::from_env().map(Into::into),
///         ..ConnectionsConfig::default()
///     },
///     ..HostConfig::default()
/// })?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HostConfig {
    /// Whether an instance serves one call or several. Default: [`Instances::Fresh`].
    pub instances: Instances,
    /// How many calls may run at once, over all blocks of the host. Further calls wait, first come, first
    /// served, and hold only their future meanwhile. Default: 1,000. Each call reserves address space: 4 GiB,
    /// which makes the block faster, for up to 16,000 instances, and `memory_limit` if there are more. Instances
    /// that wait to be reused count. A process has 128 TiB.
    pub calls_in_flight: NonZeroU32,
    /// The memory that one call may use, in bytes; a call that needs more is ended. Default: 512 MiB.
    /// Measured: 1 MiB for an ordinary answer, 66 MiB for one of 16 MiB in a single value; many small
    /// parts take more, up to the block's own limit on their number.
    pub memory_limit: usize,
    /// A folder for compiled blocks. Default: none, and a block is compiled whenever it is loaded.
    ///
    /// A missing folder is created, for its owner alone (mode 0700). The folder holds machine code that this
    /// process runs, so on Unix it must belong to the user of the process and be writable by nobody else; if others
    /// can enter it, so must everything in it. Otherwise it is not used: blocks are compiled as if there were none,
    /// and `tracing` gets a warning that says why.
    pub cache: Option<PathBuf>,
    /// How services are connected to, and how many connections each host name may have.
    pub connections: ConnectionsConfig,
    /// Whose credential requests carry. It never enters the sandbox. Default: none.
    pub access: Access,
}

impl Default for HostConfig {
    fn default() -> HostConfig {
        const CALLS: NonZeroU32 = NonZeroU32::new(1000).unwrap();
        HostConfig {
            instances: Instances::Fresh,
            calls_in_flight: CALLS,
            memory_limit: 512 * 1024 * 1024,
            cache: None,
            connections: ConnectionsConfig::default(),
            access: Access::none(),
        }
    }
}

impl HostConfig {
    /// How many instances may wait for a further call.
    pub(crate) fn pooled_instances(&self) -> u32 {
        match self.instances {
            Instances::Fresh => 0,
            Instances::Reused { .. } => self.calls_in_flight.get(),
        }
    }
}

/// Whether an instance serves one call or several, and what isolates calls from each other.
///
/// | | isolation |
/// |---|---|
/// | [`Instances::Fresh`] | every call has a memory of its own, made from the component and gone with the call |
/// | [`Instances::Reused`] | calls with the same settings, including the credential, follow each other in one memory; calls with other settings never share it |
///
/// A reused instance is dropped after its last call; after a trap; after a call that was cancelled or ran
/// past its deadline; and after an answer that made its memory grow past [`MAX_REUSED_MEMORY`]. A bug in the
/// block could show a flow an earlier answer to the same connection, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// A new instance for every call: nothing that one call left behind is there in the next.
    Fresh,
    /// An instance serves several calls, one after another, all with the same settings.
    Reused {
        /// After how many calls it is dropped.
        calls: NonZeroU32,
    },
}

/// The most memory, in bytes, that an instance may have to be reused: a large answer is not held for the
/// calls that come after it.
pub const MAX_REUSED_MEMORY: usize = 4 * 1024 * 1024;
