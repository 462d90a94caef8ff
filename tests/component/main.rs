//! The built component in wasmtime, against a real HTTP server on loopback.
//!
//! Where the next case goes:
//!
//! | what | where |
//! |---|---|
//! | an answer that is an operation, with its eleven outputs | a folder in `tests/cases/operations` |
//! | an answer that is none, with its failure | a folder in `tests/cases/failures` |
//! | what is sent | [`wire`] |
//! | how long a call may take, and how often it tries | [`deadline`] |
//! | how large or deep an answer may be | [`limits`] |
//! | a setting | [`settings`] |
//! | where a name goes | [`catalogue`] |
//! | an error of `wasi:http`, and what the host denies | [`wasi_errors`] |
//! | the manifest against its schema | [`schema`] |
//! | the manifest against the WIT in the `.wasm` | [`wit`] |
//! | the manifest against the catalogue and the block | [`manifest`] |
//! | a corpus of answers outside of this repository | [`corpus`] |
//!
//! [`block`] makes the calls, and `testing` plays the service. Where no service is needed, [`fake_network`] stands
//! between the block and the network.

mod block;
mod catalogue;
mod corpus;
mod deadline;
mod fake_network;
mod golden;
mod limits;
mod manifest;
mod schema;
mod settings;
mod wasi_errors;
mod wire;
mod wit;
