//! **Get**: gets the latest state of a long-running operation.
//!
//! A WASM component that performs Google's `operations.get` (AIP-151) and flattens the answer into eleven
//! output variables, in two worlds: `block` sends over `wasi:http` by itself (`wit/world.wit`), `sans-io`
//! imports nothing, and its engine sends (`wit/sans-io.wit`). Each step of a call has a file, in this order:
//!
//! 1. [`settings`] reads the operator's variables, with [`endpoint`] and [`credential`], whose [`secret`]
//!    no name and no other setting may hold.
//! 2. [`name`] parses the name of the operation.
//! 3. [`request`] finds where it goes: in the [`catalogue`], by a path [`template`], or with a
//!    hint from [`suggest`] if the service is unknown.
//! 4. [`exchange`] begins with that request, and says after each attempt what follows, by [`retry`]. If no
//!    answer comes back, that is a [`fault`]; whoever sends keeps the [`limits`].
//! 5. [`answer`] reads what came back: an error by [`service_error`], with a [`refusal`] of the caller
//!    told apart, and [`advice`] about it.
//! 6. [`operation`] reads the body, as [`operations_json`] takes it apart.
//! 7. [`flatten`] turns it into the outputs.
//!
//! Each step can end the call with a [`failure`], whose [`message`] is one line that is safe to show.
//!
//! All of that is pure, and is tested natively. What drives it: `driver`, over WASI's HTTP with its error codes
//! (`wasi_error`); or `sans_io`, as typed functions and as [`text`].
#![deny(unsafe_code)]

pub mod advice;
pub mod answer;
pub mod bindings;
pub mod catalogue;
pub mod credential;
#[cfg(target_os = "wasi")]
mod driver;
pub mod endpoint;
pub mod exchange;
pub mod failure;
pub mod fault;
pub mod flatten;
pub mod limits;
pub mod message;
pub mod name;
pub mod operation;
pub mod refusal;
pub mod request;
pub mod retry;
#[cfg(all(target_family = "wasm", not(target_os = "wasi")))]
mod sans_io;
pub mod secret;
pub mod service_error;
pub mod settings;
pub mod suggest;
pub mod template;
pub mod text;
#[cfg(target_os = "wasi")]
mod wasi_error;

/// The component: what its world exports.
#[cfg(target_family = "wasm")]
struct Block;

#[cfg(target_os = "wasi")]
impl bindings::Guest for Block {
    fn get(name: String) -> Result<bindings::Outputs, bindings::GetError> {
        let variables = wasi::cli::environment::get_environment();
        let settings = settings::Settings::from_variables(variables)?;
        Ok(driver::get(&name, settings)?)
    }
}

// The canonical ABI moves memory by pointers: exporting a function takes unsafe code.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)]
mod export {
    crate::bindings::export!(Block with_types_in crate::bindings);

    use crate::Block;
}
