//! Components made by hand: what no block does, and what is no block.

use operations_host::{Block, Manifest};
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// The contract.
pub const WIT: &str = include_str!("../../../wit/world.wit");

/// The name of the function that a block exports, in its core module.
pub const GET: &str = "blocks:google-longrunning/operations@1.0.0#get";

// What `get` does, in WebAssembly text: it takes the address and length of the name, and gives the address of its
// result.

/// It never ends.
pub const LOOPS: &str = "(loop (br 0)) unreachable";
/// It traps.
pub const TRAPS: &str = "unreachable";
/// It returns `err(execution-failed)`, whose cases are in bytes 0 and 4 of the memory.
pub const GIVES_UP: &str = "
    (i32.store8 (i32.const 0) (i32.const 1))
    (i32.store8 (i32.const 4) (i32.const 2))
    (i32.const 0)";

/// A component of the contract, with the manifest of the block, whose `get` does this.
pub fn block(get: &str) -> Block {
    Block::new(component(WIT, &module(GET, get, "")), Manifest::builtin())
}

/// A block whose `get` returns what is at address 0: these words at their addresses, `text` at [`TEXT`], else zeros.
/// Zeros alone are outputs that are empty.
pub fn returning(words: &[(u32, u32)], text: &str) -> Block {
    let stores = words
        .iter()
        .map(|(at, word)| format!("(i32.store (i32.const {at}) (i32.const {word}))"));
    let get = format!("{} (i32.const 0)", stores.collect::<String>());
    let bytes = text.bytes().map(|byte| format!("\\{byte:02x}"));
    let data = format!(
        "(data (i32.const {TEXT}) \"{}\")",
        bytes.collect::<String>()
    );
    Block::new(
        component(WIT, &module(GET, &get, &data)),
        Manifest::builtin(),
    )
}

/// Where [`returning`] has its text.
pub const TEXT: u32 = 4096;

/// A block that traps, and does this while an instance is made.
pub fn starting(start: &str) -> Block {
    let start = format!("(func $start {start}) (start $start)");
    let module = module(GET, TRAPS, &start);
    Block::new(component(WIT, &module), Manifest::builtin())
}

/// A block with the imports of the built one, whose `get` does this with those of `wasi:http` that send.
pub fn sending(get: &str, data: &str) -> Block {
    let builtin = Block::builtin();
    let DecodedWasm::Component(resolve, world) =
        wit_component::decode(builtin.component()).unwrap()
    else {
        panic!("it is a component");
    };
    let name = |interface: &str| {
        let imports = resolve.worlds[world].imports.keys();
        let mut names = imports.map(|key| resolve.name_world_key(key));
        names.find(|name| name.starts_with(interface)).unwrap()
    };
    let (types, handler) = (
        name("wasi:http/types@"),
        name("wasi:http/outgoing-handler@"),
    );
    let imports = format!(
        r#"(import "{types}" "[static]fields.from-list" (func $fields (param i32 i32 i32)))
        (import "{types}" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
        (import "{types}" "[method]outgoing-request.set-scheme"
            (func $set-scheme (param i32 i32 i32 i32 i32) (result i32)))
        (import "{types}" "[method]outgoing-request.set-authority"
            (func $set-authority (param i32 i32 i32 i32) (result i32)))
        (import "{handler}" "handle" (func $handle (param i32 i32 i32 i32)))
        {data}"#
    );
    let module = module(GET, get, &imports);
    Block::new(encoded(&resolve, world, &module), Manifest::builtin())
}

/// The text of a core module that exports a function of two `i32` which gives one, besides what else is in it.
pub fn module(export: &str, body: &str, more: &str) -> String {
    format!(
        r#"(module
            {more}
            (memory (export "memory") 4)
            (func (export "{export}") (param i32 i32) (result i32) {body})
            ;; Always the same place, which is free.
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))"#
    )
}

/// A component of the world `block` in this WIT.
pub fn component(wit: &str, module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("world.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("block")).unwrap();
    encoded(&resolve, world, module)
}

fn encoded(resolve: &Resolve, world: WorldId, module: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8, false).unwrap();
    let mut encoder = ComponentEncoder::default();
    encoder
        .validate(true)
        .module(&module)
        .unwrap()
        .encode()
        .unwrap()
}
