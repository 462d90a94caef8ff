//! What `wit/world.wit` means to a host, generated.

// Generated code moves values across the sandbox's border.
#![allow(unsafe_code, missing_docs)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "block",
    exports: { default: async },
    additional_derives: [PartialEq],
});

pub use exports::blocks::google_longrunning::operations::{
    Failure, GetError, Member, Outputs, Reason, ServiceError,
};
