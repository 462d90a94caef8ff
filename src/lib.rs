//! **Get**: gets the latest state of a long-running operation.
//!
//! A WASM component that performs Google's `operations.get` (AIP-151) over `wasi:http` and flattens
//! the answer into eleven output variables. `wit/world.wit` is its contract. Each step of a call has
//! a file, in this order:
//!
//! 1. [`settings`] reads the operator's variables, with [`endpoint`] and [`credential`], whose [`secret`]
//!    no name and no other setting may hold.
//! 2. [`name`] parses the name of the operation.
//! 3. [`request`] finds where it goes: in the [`catalogue`], by a path [`template`], or with a
//!    hint from [`suggest`] if the service is unknown.
//! 4. `exchange` sends it, and again if [`retry`] says so; if no answer comes back, that is a
//!    [`fault`], which `wasi_error` finds by the host's error code.
//! 5. [`answer`] reads what came back: an error by [`service_error`], with a [`refusal`] of the caller
//!    told apart, and [`advice`] about it.
//! 6. [`operation`] reads the body, as [`json`] takes it apart.
//! 7. [`flatten`] turns it into the outputs.
//!
//! Each step can end the call with a [`failure`], whose [`message`] is one line that is safe to show.
//!
//! Everything but `exchange`, `wasi_error` and `get` is pure, and is tested natively; those need a WASI
//! host.
#![deny(unsafe_code)]

pub mod advice;
pub mod answer;
pub mod bindings;
pub mod catalogue;
pub mod credential;
pub mod endpoint;
#[cfg(target_family = "wasm")]
mod exchange;
pub mod failure;
pub mod fault;
pub mod flatten;
pub mod json;
pub mod message;
pub mod name;
pub mod operation;
pub mod refusal;
pub mod request;
pub mod retry;
pub mod secret;
pub mod service_error;
pub mod settings;
pub mod suggest;
pub mod template;
#[cfg(target_family = "wasm")]
mod wasi_error;

#[cfg(target_family = "wasm")]
use crate::bindings::{Failure, GetError, Outputs};
#[cfg(target_family = "wasm")]
use crate::{name::Name, operation::Operation, request::Request, settings::Settings};

/// The component: what `wit/world.wit` exports.
#[cfg(target_family = "wasm")]
struct Block;

#[cfg(target_family = "wasm")]
impl bindings::Guest for Block {
    fn get(name: String) -> Result<Outputs, GetError> {
        let settings = Settings::from_variables(wasi::cli::environment::get_environment())?;
        get(&name, &settings).map_err(Failure::into)
    }
}

/// One call: from the name of an operation to its eleven outputs.
#[cfg(target_family = "wasm")]
fn get(name: &str, settings: &Settings) -> Result<Outputs, Failure> {
    settings.refuse_credential_in(name)?;
    let name = Name::parse(name)?;
    let request = Request::new(&name, settings)?;
    let body = exchange::get(&request, settings)?;
    match Operation::parse(&body) {
        Ok(operation) => Ok(flatten::flatten(operation, name.relative())),
        Err(why) => Err(answer::not_an_operation(&request, body, why)),
    }
}

// The canonical ABI moves memory by pointers: exporting a function takes unsafe code.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)]
mod export {
    crate::bindings::export!(Block with_types_in crate::bindings);

    use crate::Block;
}
