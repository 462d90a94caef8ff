//! Why a host cannot be set up, a block not be loaded, or a call gave no outputs.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::access::AccessError;
use crate::bindings::{Failure, GetError, PACKAGE};
use crate::http::ConnectionsError;

/// Why a host cannot be set up, or a block cannot run in it. All of it is known before any call.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The engine cannot be set up on this machine: often too little address space (`ulimit -v`) for
    /// `calls_in_flight` and `memory_limit`.
    #[error(
        "cannot set up the WebAssembly engine on this machine: often it needs more address space (`ulimit -v`), or a lower calls_in_flight or memory_limit"
    )]
    Engine(#[source] wasmtime::Error),
    /// The thread of the engine's clock cannot be started.
    #[error("cannot start the thread of the engine's clock")]
    Clock(#[source] std::io::Error),
    /// The folder for compiled blocks cannot be created or read.
    #[error("cannot use the cache folder {}", .folder.display())]
    Cache {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: wasmtime::Error,
    },
    /// A certificate, a key or a proxy is invalid.
    #[error(transparent)]
    Connections(#[from] ConnectionsError),
    /// The bytes are a core module of WebAssembly.
    #[error(
        "the block is a core WebAssembly module, not a component: build it for wasm32-wasip2, or make a component of it with `wasm-tools component new`"
    )]
    CoreModule,
    /// The bytes are not a WebAssembly component.
    #[error("the block is not a WebAssembly component")]
    NotAComponent(#[source] wasmtime::Error),
    /// The component imports something that no block may have.
    #[error(
        "the block imports {import}, which this host does not provide: a block may import wasi:http, wasi:cli, wasi:clocks, wasi:io and wasi:random, but neither files nor sockets"
    )]
    ForbiddenImport {
        /// The import.
        import: String,
    },
    /// The component lacks the export of the contract.
    #[error("the block does not export {export}: it is a different kind of component")]
    MissingExport {
        /// What is missing.
        export: String,
    },
    /// The component was built for another version of the contract.
    #[error(
        "the block was built for version {version} of the contract, but this host runs {PACKAGE}: use a block and a host of the same version"
    )]
    OtherVersion {
        /// The version that the component exports.
        version: String,
    },
    /// The types of the component's export or imports differ from the contract's.
    #[error("the types of the block differ from those of {PACKAGE}")]
    OtherContract(#[source] wasmtime::Error),
    /// The manifest describes another block, or contradicts itself.
    #[error("the manifest does not match its block: {problem}")]
    Manifest {
        /// What does not match.
        problem: String,
    },
}

/// Why a call gave no outputs. An operation that failed is not an error: its outputs have `error` set.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// Calling again cannot help until the name, a setting or the access changes.
    #[error("{}", .0.message)]
    Permanent(Failure),
    /// Calling again later may help.
    #[error("{}", .0.message)]
    Transient(Failure),
    /// The call sets a variable that the manifest does not name.
    #[error("the block has no setting {0}: its manifest lists them")]
    UnknownSetting(String),
    /// The name or a setting holds the host's credential: it would go into the URL, and into the logs of everyone who
    /// sees URLs.
    #[error("{0} holds the credential, so nothing was sent: pass each in its own place")]
    HoldsCredential(&'static str),
    /// The host's credential would go over plain HTTP to this host.
    #[error(
        "the credential would go to {0} in the clear: use an https endpoint or one on this machine, or call without a credential"
    )]
    InTheClear(String),
    /// The host has no credential for the request, which was not sent.
    #[error(transparent)]
    Access(AccessError),
    /// The host is stopping, and accepts no more calls.
    #[error("the host is stopping and accepts no more calls")]
    Stopped,
    /// The block ran longer than its own deadline and the host's grace period.
    #[error("the block ran past its deadline and was stopped")]
    Overran,
    /// The block did not end by itself: it trapped or ran over a limit of the host. The text of the
    /// cause can hold a backtrace, and is for the host's developers.
    #[error("the block did not finish: it trapped or ran over a limit of the host")]
    Aborted(#[source] wasmtime::Error),
    /// The block returned something that its contract does not allow, such as a `metadata` that is not JSON.
    #[error("the block returned an invalid result, which is a bug in the block: {problem}")]
    InvalidResult {
        /// Which field is invalid, and why. It quotes nothing of the result.
        problem: String,
    },
}

impl CallError {
    /// The block's own failure, if it is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            CallError::Permanent(failure) | CallError::Transient(failure) => Some(failure),
            _ => None,
        }
    }

    /// Whether calling again later may help, as far as the host knows. Not after [`CallError::Stopped`], which
    /// asks for another host, nor after [`CallError::Overran`], [`CallError::Aborted`] and
    /// [`CallError::InvalidResult`], which are bugs of a block or an answer too large for its memory.
    pub fn is_transient(&self) -> bool {
        match self {
            CallError::Transient(_) => true,
            CallError::Access(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Whether every call with the same settings and access fails alike, whichever operation it asks for: who gets many
    /// operations stops, and takes none of them for lost. See `concerns-caller` in `wit/world.wit`.
    pub fn concerns_caller(&self) -> bool {
        match self {
            CallError::Permanent(failure) => failure.concerns_caller,
            CallError::UnknownSetting(_)
            | CallError::HoldsCredential(_)
            | CallError::InTheClear(_)
            | CallError::Stopped => true,
            CallError::Access(error) => !error.is_transient(),
            CallError::Transient(_)
            | CallError::Overran
            | CallError::Aborted(_)
            | CallError::InvalidResult { .. } => false,
        }
    }

    /// How long the service asks to wait before the next call.
    pub fn retry_after(&self) -> Option<Duration> {
        let ms = self.failure()?.retry_after_ms?;
        Some(Duration::from_millis(ms.into()))
    }
}

impl From<GetError> for CallError {
    fn from(error: GetError) -> CallError {
        match error {
            GetError::Permanent(failure) => CallError::Permanent(failure),
            GetError::Transient(failure) => CallError::Transient(failure),
            GetError::ExecutionFailed => {
                CallError::Aborted(wasmtime::Error::msg("the block returned execution-failed"))
            }
        }
    }
}
