//! What `wit/world.wit` means in Rust, generated. The types of the interface are the types of the
//! whole crate: nothing is defined twice.

// The canonical ABI moves memory by pointers; the rest of the crate denies unsafe code.
#![allow(unsafe_code, missing_docs, clippy::all)]

wit_bindgen::generate!({
    path: "wit",
    world: "block",
    additional_derives: [PartialEq],
});

pub use exports::blocks::google_longrunning::operations::{
    Failure, GetError, Member, Outputs, Reason, ServiceError,
};

#[cfg(target_family = "wasm")]
pub use exports::blocks::google_longrunning::operations::Guest;
