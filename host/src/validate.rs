//! Whether a component and its manifest are what this host runs: checked before any call.

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentNamedList, InstancePre, Lift, Lower};

use crate::bindings::PACKAGE;
use crate::error::LoadError;
use crate::json::FIELDS;
use crate::manifest::{Manifest, Output};

/// The package of the contract's interfaces, without its version.
const CONTRACT: &str = "blocks:google-longrunning";
const VERSION: &str = "1.0.0";

/// A world of the contract.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum World {
    /// `block`: it sends requests by itself.
    Block,
    /// `sans-io`: it imports nothing, and its host sends.
    SansIo,
}

impl World {
    /// The interface that a component of this world exports, without its version, and its functions.
    fn export(self) -> (&'static str, &'static [&'static str]) {
        match self {
            World::Block => ("operations", &["get"]),
            World::SansIo => ("exchange", &["start", "finish"]),
        }
    }
}

/// The name of an export with the version of the contract.
pub(crate) fn versioned(interface: &str) -> String {
    format!("{CONTRACT}/{interface}@{VERSION}")
}

/// What a block may import, in any version of WASI 0.2: what the manifest's permissions amount
/// to, and what Rust's standard library brings along. No files and no sockets.
const GRANTED: [&str; 6] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:http/outgoing-handler@",
    "wasi:http/types@",
    "wasi:io/",
    "wasi:random/",
];

/// Compiles a component, or takes it from the cache, and checks what it imports and exports.
pub(crate) fn component(engine: &Engine, bytes: &[u8]) -> Result<(Component, World), LoadError> {
    // The layer is in bytes 6 and 7 of the preamble: 0 for a core module, 1 for a component.
    if let [0, b'a', b's', b'm', _, _, 0, 0, ..] = bytes {
        return Err(LoadError::CoreModule);
    }
    let component = Component::from_binary(engine, bytes).map_err(LoadError::NotAComponent)?;
    let ty = component.component_type();
    let exports: Vec<_> = ty
        .exports(engine)
        .filter_map(|(name, export)| {
            let (interface, version) = name.split_once('@')?;
            let interface = interface.strip_prefix(CONTRACT)?.strip_prefix('/')?;
            Some((interface, version, export))
        })
        .collect();
    let is_of = |world: &World| exports.iter().any(|(name, ..)| *name == world.export().0);
    let world = [World::Block, World::SansIo].into_iter().find(is_of);
    let world = world.unwrap_or(World::Block);
    let (interface, functions) = world.export();
    for (import, _) in ty.imports(engine) {
        let is_granted = GRANTED.iter().any(|granted| import.starts_with(granted));
        if world == World::SansIo || !is_granted || !import.contains("@0.2.") {
            return Err(LoadError::ForbiddenImport {
                import: import.to_owned(),
            });
        }
    }
    let mut versions = exports.iter().filter(|(name, ..)| *name == interface);
    let Some((.., export)) = versions.clone().find(|(_, version, _)| *version == VERSION) else {
        return Err(match versions.next() {
            Some((_, version, _)) => LoadError::OtherVersion {
                version: (*version).to_owned(),
            },
            None => LoadError::MissingExport {
                export: versioned(interface),
            },
        });
    };
    for function in functions {
        let is_there = match &export.ty {
            ComponentItem::ComponentInstance(interface) => {
                interface.get_export(engine, function).is_some()
            }
            _ => false,
        };
        if !is_there {
            return Err(LoadError::MissingExport {
                export: format!("{CONTRACT}/{interface}.{function}@{VERSION}"),
            });
        }
    }
    Ok((component, world))
}

/// Checks the types of a function, which the generated bindings check only at the first call. What they use
/// otherwise is checked already.
pub(crate) fn types<T, Parameters, Results>(
    pre: &InstancePre<T>,
    world: World,
    function: &str,
) -> Result<(), LoadError>
where
    T: 'static,
    Parameters: ComponentNamedList + Lower,
    Results: ComponentNamedList + Lift,
{
    let (component, engine) = (pre.component(), pre.engine());
    let exports = component.component_type();
    let export = exports.get_export(engine, &versioned(world.export().0));
    let Some(ComponentItem::ComponentInstance(interface)) = export.map(|export| export.ty) else {
        return Ok(());
    };
    let found = interface.get_export(engine, function);
    let Some(ComponentItem::ComponentFunc(found)) = found.map(|export| export.ty) else {
        return Ok(());
    };
    found
        .typecheck::<Parameters, Results>(&pre.instance_type())
        .map_err(LoadError::OtherContract)
}

/// Checks that a manifest describes a block of this contract, and agrees with itself.
pub(crate) fn manifest(manifest: &Manifest) -> Result<(), LoadError> {
    let wrong = |problem: String| Err(LoadError::Manifest { problem });
    let function = &manifest.component;
    if function.package != PACKAGE {
        return wrong(format!(
            "component.package is {:?}, but this host runs {PACKAGE:?}",
            function.package
        ));
    }
    for (member, value, expected) in [
        ("interface", &function.interface, "operations"),
        ("function", &function.function, "get"),
    ] {
        if value != expected {
            return wrong(format!(
                "component.{member} is {value:?}, but the contract has {expected:?}"
            ));
        }
    }
    if let [input] = manifest.inputs.as_slice() {
        if input.field != "name" {
            return wrong(format!(
                "the input has the field {:?}, but the function takes \"name\"",
                input.field
            ));
        }
    } else {
        let count = manifest.inputs.len();
        return wrong(format!("it has {count} inputs, but the function takes one"));
    }
    for output in &manifest.outputs {
        let same = |other: &&Output| other.field == output.field;
        if !FIELDS.contains(&output.field.as_str()) {
            return wrong(format!(
                "the output {:?} has the field {:?}, which the component does not return",
                output.variable, output.field
            ));
        }
        if manifest.outputs.iter().filter(same).count() > 1 {
            return wrong(format!("two outputs have the field {:?}", output.field));
        }
    }
    for field in FIELDS {
        if !manifest.outputs.iter().any(|output| output.field == field) {
            return wrong(format!("no output has the field {field:?}"));
        }
    }
    let network = &manifest.permissions.network;
    if let Some(method) = network.methods.iter().find(|method| *method != "GET") {
        return wrong(format!(
            "it asks for the method {method:?}, but a block of this contract sends GET"
        ));
    }
    Ok(())
}
