//! What wit-bindgen makes of the contracts of the block, of the engine and of this workflow.
#![allow(unsafe_code, clippy::all)]

wit_bindgen::generate!({
    path: ["../../../wit", "wit"],
    world: "blocks:google-longrunning-wait/workflow",
    pub_export_macro: true,
    generate_all,
});
