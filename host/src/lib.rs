//! Hosts the **Get** block, which gets the latest state of a long-running operation.
//!
//! A [`Host`] loads a [`Block`] (the component and its [`Manifest`]) and grants it what the manifest
//! asks for and nothing else: outgoing `GET` requests to the hosts of its services or to the configured
//! endpoint, and the settings that it names. A [`Call`] is one name with its settings; it
//! ends with [`Outputs`] or a [`CallError`].
//!
//! ```no_run
//! use operations_host::{Block, Call, Host};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let host = Host::new()?;
//! let get = host.load(&Block::builtin())?;
//! let call = Call::new("//apigateway.googleapis.com/projects/p/locations/global/operations/o");
//! let outputs = get.call(&call).await?;
//! println!("done: {}", outputs.done);
//! # Ok(())
//! # }
//! ```
//!
//! # Where things are
//!
//! | what happens | module |
//! |---|---|
//! | a host is set up, and says why if it cannot be | `config`, `host`, `engine`, `epoch_ticker`, `runtime`, `error` |
//! | a block is loaded: its component and manifest are checked | `block`, `manifest`, `validate`, `bindings` |
//! | a call waits for its turn, gets an instance, ends | `call`, `loaded_block` |
//! | an instance is taken from the pool, or made | `instance_pool`, `sandbox` |
//! | the instance sends a request, if it may leave | `wasi_http`, `outgoing`, `policy` |
//! | the request gets its credential and goes out | `send`, `access`, `origin`, `http` |
//! | what the component returned is checked, and shown as JSON | `returned`, `json` |
//! | calls are counted | `metrics` |
//! | calls are repeated until the operation is done | `until_done` |
#![deny(unsafe_code)]

mod access;
mod bindings;
mod block;
mod call;
mod config;
mod echo;
mod engine;
mod epoch_ticker;
mod error;
mod exchange;
mod host;
mod http;
mod instance_pool;
mod json;
mod loaded_block;
mod manifest;
mod metrics;
mod origin;
mod outgoing;
mod policy;
mod returned;
mod runtime;
mod sandbox;
mod sans_io;
mod send;
mod until_done;
mod validate;
mod wasi_http;

pub use access::{Access, AccessError, Authorization, Scopes};
pub use bindings::{Failure, GetError, Member, Outputs, Reason, ServiceError};
pub use block::Block;
pub use call::Call;
pub use config::{HostConfig, Instances, MAX_REUSED_MEMORY};
pub use error::{CallError, LoadError};
pub use host::Host;
pub use http::{
    ClientIdentity, ConnectionsConfig, ConnectionsError, Pem, Proxy, Resolve, Resolving,
    SystemResolver,
};
pub use json::{Value, compact, failure_json, outputs_json, variables};
pub use loaded_block::LoadedBlock;
pub use manifest::{
    Function, Input, Manifest, Network, Output, Permissions, ReasonEntry, Sample, ServiceOption,
    Setting,
};
pub use until_done::{Backoff, LONGEST_RETRY_AFTER, NotDone};

/// The README's Rust is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
