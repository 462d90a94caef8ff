//! The types of `wit/world.wit`, generated for a host.

// Generated code moves values in and out of the sandbox.
#![allow(unsafe_code, missing_docs)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "block",
    exports: { default: async },
    additional_derives: [PartialEq],
});

/// The WIT package of the contract, in the version that this host runs.
pub(crate) const PACKAGE: &str = "blocks:google-longrunning@1.0.0";

pub use exports::blocks::google_longrunning::operations::{
    Failure, GetError, Member, Outputs, Reason, ServiceError,
};
