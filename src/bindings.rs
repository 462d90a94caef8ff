//! What `wit/` means in Rust, generated: of the world that is built, by its target. The types of the
//! interface are the types of the whole crate: nothing is defined twice.

// The canonical ABI moves memory by pointers; the rest of the crate denies unsafe code.
#![allow(unsafe_code, missing_docs, clippy::all)]

#[cfg(any(target_os = "wasi", not(target_family = "wasm")))]
wit_bindgen::generate!({
    path: "wit",
    world: "block",
    additional_derives: [PartialEq],
});

#[cfg(all(target_family = "wasm", not(target_os = "wasi")))]
wit_bindgen::generate!({
    path: "wit",
    world: "sans-io",
    additional_derives: [PartialEq],
});

#[cfg(any(target_os = "wasi", not(target_family = "wasm")))]
pub use exports::blocks::google_longrunning::operations::{
    Failure, GetError, Member, Outputs, Reason, ServiceError,
};

#[cfg(target_os = "wasi")]
pub use exports::blocks::google_longrunning::operations::Guest;

// `exchange` has these types, too: what a world exports cannot share them with what it leaves out.
#[cfg(all(target_family = "wasm", not(target_os = "wasi")))]
pub use exports::blocks::google_longrunning::exchange::{
    Failure, GetError, Member, Outputs, Reason, ServiceError,
};
