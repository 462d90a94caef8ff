//! The built component inside wasmtime, against a real HTTP server on loopback.
//!
//! Where the next case goes:
//!
//! | what | where |
//! |---|---|
//! | an answer that is an operation, with its eleven outputs | a folder in `tests/cases/operations` |
//! | an answer that is none, with its failure | a folder in `tests/cases/failures` |
//! | what is sent | [`wire`] |
//! | how long it may take, and how often it is tried | [`deadline`] |
//! | how large or deep an answer may be | [`limits`] |
//! | a setting | [`settings`] |
//! | where a name goes | [`catalogue`] |
//! | what the host lets through, and every `wasi:http` error | [`egress`] |
//! | the manifest, its schema, and the WIT in the `.wasm` | [`manifest`] |
//! | a corpus of answers outside of this repository | [`corpus`] |
//!
//! [`server`] plays the service, [`block`] makes the calls, [`hooked`] stands between the block and
//! the network.

mod block;
mod catalogue;
mod corpus;
mod deadline;
mod egress;
mod golden;
mod hooked;
mod limits;
mod manifest;
mod server;
mod settings;
mod wire;
