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

pub mod emulator;

mod access;
mod bindings;
mod block;
mod call;
mod clock;
mod connections;
mod contract;
mod egress;
mod engine;
mod failure;
mod host;
mod instances;
mod loaded;
mod manifest;
mod metrics;
mod outgoing;
mod outputs;
mod sandbox;

pub use access::{Access, AccessError, Authorization, Scopes};
pub use block::Block;
pub use call::{Call, CallError};
pub use connections::{
    ClientIdentity, Connections, ConnectionsConfig, ConnectionsError, Pem, Proxy, Resolve,
    Resolving, SendError, SendOptions, SystemResolver,
};
pub use failure::failure_json;
pub use host::{Host, HostConfig, LoadError};
pub use instances::{Instances, KEPT_MEMORY};
pub use loaded::LoadedBlock;
pub use manifest::{
    Function, Input, Manifest, Network, Output, Permissions, ReasonEntry, Sample, ServiceOption,
    Setting,
};
pub use outputs::{Value, compact, outputs_json, variables};

/// The README's Rust is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

pub use bindings::{Failure, GetError, Member, Outputs, Reason, ServiceError};
