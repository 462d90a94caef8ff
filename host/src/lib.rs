//! Hosts the **Get** block: gets the latest state of a long-running operation.
//!
//! A [`Host`] loads a [`Block`] (the component and its [`Manifest`]) and grants it what the manifest
//! asks for and nothing else: outgoing `GET` requests to the hosts of its services or to the endpoint
//! that is configured, and the settings that it names. A [`Call`] is one name with its settings; it
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
#![deny(unsafe_code)]

mod access;
mod bindings;
mod block;
mod call;
mod egress;
mod engine;
mod epoch_ticker;
mod failure;
mod host;
mod http;
mod instance_pool;
mod loaded_block;
mod manifest;
mod metrics;
mod origin;
mod outputs;
mod sandbox;
mod until_done;
mod validate;
mod wasi_http;

pub use access::{Access, AccessError, Authorization, Scopes};
pub use block::Block;
pub use call::{Call, CallError};
pub use failure::failure_json;
pub use host::{Host, HostConfig, LoadError};
pub use http::{
    ClientIdentity, ConnectionsConfig, ConnectionsError, Pem, Proxy, Resolve, Resolving,
    SystemResolver,
};
pub use instance_pool::{Instances, KEPT_MEMORY};
pub use loaded_block::LoadedBlock;
pub use manifest::{
    Function, Input, Manifest, Network, Output, Permissions, ReasonEntry, Sample, ServiceOption,
    Setting,
};
pub use outputs::{Value, compact, outputs_json, variables};
pub use until_done::{Backoff, LONGEST_RETRY_AFTER, NotDone};

/// The README's Rust is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

pub use bindings::{Failure, GetError, Member, Outputs, Reason, ServiceError};
