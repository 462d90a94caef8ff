//! Whether a component and its manifest are what this host runs: checked before any call.

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};

use crate::bindings::{GetError, Outputs, PACKAGE};
use crate::error::LoadError;
use crate::json::FIELDS;
use crate::manifest::{Manifest, Output};
use crate::sandbox::Sandbox;

/// The interface that a block exports, without its version.
const INTERFACE: &str = "blocks:google-longrunning/operations";
const VERSION: &str = "1.0.0";

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
pub(crate) fn component(engine: &Engine, bytes: &[u8]) -> Result<Component, LoadError> {
    // The layer is in bytes 6 and 7 of the preamble: 0 for a core module, 1 for a component.
    if let [0, b'a', b's', b'm', _, _, 0, 0, ..] = bytes {
        return Err(LoadError::CoreModule);
    }
    let component = Component::from_binary(engine, bytes).map_err(LoadError::NotAComponent)?;
    let ty = component.component_type();
    for (import, _) in ty.imports(engine) {
        let is_granted = GRANTED.iter().any(|granted| import.starts_with(granted));
        if !is_granted || !import.contains("@0.2.") {
            return Err(LoadError::ForbiddenImport {
                import: import.to_owned(),
            });
        }
    }
    let interfaces: Vec<_> = ty
        .exports(engine)
        .filter_map(|(name, export)| {
            let (interface, version) = name.split_once('@')?;
            (interface == INTERFACE).then_some((version, export))
        })
        .collect();
    let Some((_, export)) = interfaces.iter().find(|(version, _)| *version == VERSION) else {
        return Err(match interfaces.first() {
            Some((version, _)) => LoadError::OtherVersion {
                version: (*version).to_owned(),
            },
            None => LoadError::MissingExport {
                export: format!("{INTERFACE}@{VERSION}"),
            },
        });
    };
    let has_get = match &export.ty {
        ComponentItem::ComponentInstance(interface) => {
            interface.get_export(engine, "get").is_some()
        }
        _ => false,
    };
    if !has_get {
        return Err(LoadError::MissingExport {
            export: format!("{INTERFACE}.get@{VERSION}"),
        });
    }
    Ok(component)
}

/// Checks the types of the function, which the generated bindings check only at the first call. What they use
/// for it is not in wasmtime's documentation; its version is pinned.
pub(crate) fn types(pre: &InstancePre<Sandbox>) -> Result<(), LoadError> {
    let (component, engine) = (pre.component(), pre.engine());
    let exports = component.component_type();
    let export = exports.get_export(engine, &format!("{INTERFACE}@{VERSION}"));
    let Some(ComponentItem::ComponentInstance(interface)) = export.map(|export| export.ty) else {
        return Ok(());
    };
    let get = interface.get_export(engine, "get");
    let Some(ComponentItem::ComponentFunc(get)) = get.map(|export| export.ty) else {
        return Ok(());
    };
    get.typecheck::<(&str,), (Result<Outputs, GetError>,)>(&pre.instance_type())
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
