//! Components made by hand: what no block does, and what is no block.

use operations_host::{Block, Manifest};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The contract.
pub const WIT: &str = include_str!("../../../wit/world.wit");

/// `get`: loops for ever.
pub const LOOPS: &[u8] = b"\x03\x40\x0c\x00\x0b\x00";
/// The same, of a function that gives nothing.
pub const LOOPS_FOR_EVER: &[u8] = b"\x03\x40\x0c\x00\x0b";
/// `get`: traps.
pub const TRAPS: &[u8] = b"\x00";
/// `get`: gives `err(execution-failed)`, whose cases are in bytes 0 and 4 of the memory.
pub const GIVES_UP: &[u8] = b"\x41\x00\x41\x01\x3a\x00\x00\x41\x04\x41\x02\x3a\x00\x00\x41\x00";

const I32: u8 = 0x7f;

/// A component of the contract, under the manifest of the block, whose `get` does this.
pub fn block(get: &[u8]) -> Block {
    Block::new(component(WIT, &Core::new(get)), Manifest::builtin())
}

/// The same, of one that traps, and does this when an instance is made.
pub fn starting(start: &[u8]) -> Block {
    let core = Core {
        start: Some(start),
        ..Core::new(TRAPS)
    };
    Block::new(component(WIT, &core), Manifest::builtin())
}

/// What is in the core module of a component: instructions, and names.
pub struct Core<'a> {
    /// The body of the exported function, which takes two `i32` and gives one.
    pub body: &'a [u8],
    pub export: &'a str,
    /// A function that takes nothing and gives an `i32`: the interface, and its name in it.
    pub import: Option<(&'a str, &'a str)>,
    /// The body of a function that runs when an instance is made.
    pub start: Option<&'a [u8]>,
}

impl<'a> Core<'a> {
    pub fn new(body: &'a [u8]) -> Core<'a> {
        Core {
            body,
            export: "blocks:google-longrunning/operations@1.0.0#get",
            import: None,
            start: None,
        }
    }
}

/// A component of the world `block` in this WIT.
pub fn component(wit: &str, core: &Core) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("world.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("block")).unwrap();
    let mut module = module(core);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    let mut encoder = ComponentEncoder::default();
    encoder
        .validate(true)
        .module(&module)
        .unwrap()
        .encode()
        .unwrap()
}

/// A core module (WebAssembly Core Specification, section 5.5).
pub fn module(core: &Core) -> Vec<u8> {
    let get = [&[0x60, 2, I32, I32, 1, I32][..]].concat();
    let realloc = [0x60, 4, I32, I32, I32, I32, 1, I32];
    let import = [0x60, 0, 1, I32];
    let start = [0x60, 0, 0];
    let types = list(&[&get, &realloc, &import, &start]);
    let imports = core
        .import
        .map(|(interface, function)| [&name(interface)[..], &name(function), &[0, 2]].concat());
    let imports: Vec<&[u8]> = imports.iter().map(Vec::as_slice).collect();
    // Imported functions are counted first.
    let first = imports.len() as u8;
    let exports = [
        [&name(core.export)[..], &[0, first]].concat(),
        [&name("cabi_realloc")[..], &[0, first + 1]].concat(),
        [&name("memory")[..], &[2, 0]].concat(),
    ];
    let mut functions: Vec<&[u8]> = vec![&[0], &[1]];
    let mut code = vec![
        sized(&[&[0][..], core.body, &[0x0b]].concat()),
        // Always the same place, which is free.
        sized(b"\x00\x41\x80\x08\x0b"),
    ];
    let mut starts = Vec::new();
    if let Some(body) = core.start {
        functions.push(&[3]);
        code.push(sized(&[&[0][..], body, &[0x0b]].concat()));
        starts = section(8, &[first + 2]);
    }
    let code: Vec<&[u8]> = code.iter().map(Vec::as_slice).collect();
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &types),
        section(2, &list(&imports)),
        section(3, &list(&functions)),
        section(5, &list(&[&[0, 2]])),
        section(7, &list(&exports.each_ref().map(Vec::as_slice))),
        starts,
        section(10, &list(&code)),
    ]
    .concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &sized(content)].concat()
}

fn list(items: &[&[u8]]) -> Vec<u8> {
    [&[items.len() as u8][..], &items.concat()].concat()
}

fn name(text: &str) -> Vec<u8> {
    sized(text.as_bytes())
}

fn sized(content: &[u8]) -> Vec<u8> {
    let (low, high) = (content.len() as u8 & 0x7f, (content.len() >> 7) as u8);
    [&[low | 0x80, high][..], content].concat()
}
