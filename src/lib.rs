//! **Get**: gets the latest state of a long-running operation.
//!
//! A WASM component that performs Google's `operations.get` (AIP-151) over `wasi:http` and flattens
//! the answer into eleven output variables. `wit/world.wit` is its contract. This file is the way of
//! a call; each step has the file that it is named after:
//!
//! [`settings`] → [`name`] → [`request`] → `exchange` (with [`retry`]) → [`answer`] →
//! [`operation`] (over [`json`]) → [`flatten`], and [`failure`] wherever the way ends early.
//!
//! All but `exchange` is pure, and compiles and is tested natively; `exchange` and `get` need a
//! WASI host.
#![deny(unsafe_code)]

pub mod answer;
pub mod bindings;
#[cfg(target_family = "wasm")]
mod exchange;
pub mod failure;
pub mod flatten;
pub mod json;
pub mod name;
pub mod operation;
pub mod request;
pub mod retry;
pub mod service;
pub mod service_error;
pub mod settings;

#[cfg(target_family = "wasm")]
use bindings::{GetError, Outputs};

/// The component: what `wit/world.wit` exports.
#[cfg(target_family = "wasm")]
struct Block;

#[cfg(target_family = "wasm")]
impl bindings::Guest for Block {
    fn get(name: String) -> Result<Outputs, GetError> {
        let variables = wasi::cli::environment::get_environment();
        let settings = settings::Settings::from_variables(variables)?;
        get(&name, &settings)
            .map_err(|failure| failure.without(settings.credential.as_ref()).into())
    }
}

/// One call: from the name of an operation to its eleven outputs.
#[cfg(target_family = "wasm")]
fn get(name: &str, settings: &settings::Settings) -> Result<Outputs, bindings::Failure> {
    if settings
        .credential
        .as_ref()
        .is_some_and(|credential| credential.is_in(name))
    {
        return Err(failure::holds_the_credential());
    }
    let name = name::Name::parse(name)?;
    let request = request::Request::new(&name, settings)?;
    let answer = exchange::get(&request, settings)?;
    let operation =
        operation::Operation::parse(&answer).map_err(|unfit| failure::unfit(&request, unfit))?;
    Ok(flatten::flatten(operation, name.relative()))
}
