//! Invalid blocks, manifests and certificates: they are refused by name, before any call.

use std::error::Error;
use std::fs;

use operations_host::{
    Block, ClientIdentity, ConnectionsConfig, ConnectionsError, Host, HostConfig, LoadError,
    Manifest, Pem,
};

use crate::config;
use crate::crafted::{GET, TRAPS, WIT, component, module};
use testing::tls::Ca;

/// Why these bytes are no block.
fn refused(component: Vec<u8>) -> LoadError {
    let host = Host::with(config()).unwrap();
    let block = Block::new(component, Manifest::builtin());
    host.load(&block).err().expect("it is no block")
}

#[test]
fn bytes_that_are_not_a_component_are_refused() {
    for bytes in [&b""[..], b"not wasm at all", b"\0asm\x0d\0\x01\0\xff"] {
        let error = refused(bytes.to_vec());
        assert!(matches!(error, LoadError::NotAComponent(_)), "{error:?}");
        assert_eq!(
            error.to_string(),
            "the block is not a WebAssembly component"
        );
        assert!(error.source().is_some());
    }
    let whole = Block::builtin();
    let cut = &whole.component()[..whole.component().len() / 2];
    assert!(matches!(refused(cut.to_vec()), LoadError::NotAComponent(_)));
}

#[test]
fn a_core_module_is_refused_with_advice() {
    let error = refused(wat::parse_str(module(GET, TRAPS, "")).unwrap());
    assert!(matches!(error, LoadError::CoreModule), "{error:?}");
    assert!(
        error.to_string().contains("wasm-tools component new"),
        "{error}"
    );
}

#[test]
fn a_component_without_the_export_is_refused() {
    let wit = "package other:things@1.0.0; interface operations { get: func(name: string) -> u32; } world block { export operations; }";
    let module = module("other:things/operations@1.0.0#get", TRAPS, "");
    let error = refused(component(wit, &module));
    assert_eq!(
        error.to_string(),
        "the block does not export blocks:google-longrunning/operations@1.0.0: it is a different kind of component"
    );
}

#[test]
fn a_component_whose_interface_lacks_the_function_is_refused() {
    let wit = WIT.replace("    get: func(", "    fetch: func(");
    assert_ne!(wit, WIT);
    let export = "blocks:google-longrunning/operations@1.0.0#fetch";
    let error = refused(component(&wit, &module(export, TRAPS, "")));
    assert!(
        matches!(&error, LoadError::MissingExport { export } if export == "blocks:google-longrunning/operations.get@1.0.0"),
        "{error:?}"
    );
}

#[test]
fn a_component_of_another_version_of_the_contract_is_refused() {
    let wit = WIT.replacen("@1.0.0", "@2.1.0", 1);
    let export = "blocks:google-longrunning/operations@2.1.0#get";
    let error = refused(component(&wit, &module(export, TRAPS, "")));
    assert!(
        matches!(&error, LoadError::OtherVersion { version } if version == "2.1.0"),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("built for version 2.1.0 of the contract"),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("blocks:google-longrunning@1.0.0"),
        "{error}"
    );
}

#[test]
fn a_component_with_types_other_than_the_contracts_is_refused() {
    // One case fewer, one more, and a parameter of another type.
    for (from, to) in [
        ("        too-large,\n", ""),
        (
            "        too-large,\n",
            "        too-large,\n        too-small,\n",
        ),
        ("get: func(name: string)", "get: func(name: list<u8>)"),
    ] {
        let wit = WIT.replace(from, to);
        assert_ne!(wit, WIT);
        let error = refused(component(&wit, &module(GET, TRAPS, "")));
        assert!(
            matches!(error, LoadError::OtherContract(_)),
            "{from}: {error:?}"
        );
        let said = "the types of the block differ from those of blocks:google-longrunning@1.0.0";
        assert_eq!(error.to_string(), said);
    }
}

/// A component that imports a function of this interface.
fn importing(package: &str, interface: &str) -> Vec<u8> {
    let (id, version) = package.split_once('@').unwrap();
    let wit = format!(
        "{}\npackage {package} {{ interface {interface} {{ look: func() -> u32; }} }}",
        WIT.replace(
            "    export operations;",
            &format!("    import {id}/{interface}@{version};\n    export operations;")
        )
    );
    let import =
        format!(r#"(import "{id}/{interface}@{version}" "look" (func $look (result i32)))"#);
    let get = "(drop (call $look)) unreachable";
    component(&wit, &module(GET, get, &import))
}

#[test]
fn a_component_with_a_forbidden_import_is_refused() {
    for (package, interface) in [
        ("wasi:filesystem@0.2.0", "preopens"),
        ("wasi:sockets@0.2.0", "tcp"),
        ("wasi:http@0.2.0", "incoming-handler"),
        ("wasi:random@0.3.0", "random"),
        ("acme:secrets@1.0.0", "store"),
    ] {
        let error = refused(importing(package, interface));
        let (id, version) = package.split_once('@').unwrap();
        let expected = format!("{id}/{interface}@{version}");
        let LoadError::ForbiddenImport { import } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*import, expected);
        let said = format!("the block imports {expected}, which this host does not provide");
        assert!(error.to_string().starts_with(&said), "{error}");
    }
}

#[test]
fn a_component_that_imports_something_with_another_type_is_refused() {
    let error = refused(importing("wasi:random@0.2.0", "random"));
    assert!(matches!(error, LoadError::OtherContract(_)), "{error:?}");
}

#[test]
fn a_manifest_that_does_not_match_its_block_is_refused() {
    let host = Host::with(config()).unwrap();
    let wrong = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = Manifest::builtin();
        change(&mut manifest);
        let block = Block::new(Block::builtin().component().to_vec(), manifest);
        match host.load(&block).err() {
            Some(LoadError::Manifest { problem }) => problem,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        wrong(&|manifest| manifest.component.package = "blocks:other@1.0.0".into()),
        r#"component.package is "blocks:other@1.0.0", but this host runs "blocks:google-longrunning@1.0.0""#
    );
    assert_eq!(
        wrong(&|manifest| manifest.component.interface = "things".into()),
        r#"component.interface is "things", but the contract has "operations""#
    );
    assert_eq!(
        wrong(&|manifest| manifest.component.function = "put".into()),
        r#"component.function is "put", but the contract has "get""#
    );
    assert_eq!(
        wrong(&|manifest| manifest.inputs[0].field = "id".into()),
        r#"the input has the field "id", but the function takes "name""#
    );
    assert_eq!(
        wrong(&|manifest| manifest.inputs.clear()),
        "it has 0 inputs, but the function takes one"
    );
    assert_eq!(
        wrong(&|manifest| manifest.outputs[1].field = "is-done".into()),
        r#"the output "done" has the field "is-done", which the component does not return"#
    );
    assert_eq!(
        wrong(&|manifest| manifest.outputs[1].field = "name".into()),
        r#"two outputs have the field "name""#
    );
    assert_eq!(
        wrong(&|manifest| drop(manifest.outputs.remove(1))),
        r#"no output has the field "done""#
    );
    assert_eq!(
        wrong(&|manifest| manifest.permissions.network.methods.push("DELETE".into())),
        r#"it asks for the method "DELETE", but a block of this contract sends GET"#
    );
}

/// What is wrong with certificates and keys.
fn unfit(connections: ConnectionsConfig) -> String {
    let config = HostConfig {
        connections,
        ..config()
    };
    match Host::with(config).err() {
        Some(LoadError::Connections(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pem_that_does_not_parse_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("company.pem");
    let shown = ca.display().to_string();

    let missing = Pem::read(&ca).unwrap_err();
    assert!(matches!(&missing, ConnectionsError::Unreadable { file, .. } if *file == shown));
    assert!(missing.to_string().contains(&shown), "{missing}");

    for content in [
        "",
        "not PEM",
        "-----BEGIN CERTIFICATE-----\nAAAA\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        fs::write(&ca, content).unwrap();
        let said = unfit(ConnectionsConfig {
            extra_ca: vec![Pem::read(&ca).unwrap()],
            ..ConnectionsConfig::default()
        });
        assert!(said.contains(&shown), "{content:?}: {said}");
    }
}

#[test]
fn a_key_that_does_not_match_its_certificate_is_named_but_not_shown() {
    let authority = Ca::new();
    let (chain, key) = authority.issue("client.example");
    let (_, other_key) = authority.issue("client.example");
    let identity = |chain: &str, key: &str| {
        unfit(ConnectionsConfig {
            client_identity: Some(ClientIdentity {
                chain: Pem::new("client.pem", chain),
                key: Pem::new("client.key", key),
            }),
            ..ConnectionsConfig::default()
        })
    };
    for (chain, key, named) in [
        ("", key.as_str(), "client.pem"),
        (chain.as_str(), "", "client.key"),
        (chain.as_str(), chain.as_str(), "client.key"),
        (chain.as_str(), other_key.as_str(), "client.key"),
    ] {
        let said = identity(chain, key);
        assert!(said.contains(named), "{said}");
        let secret = other_key.lines().nth(1).unwrap();
        assert!(!said.contains(secret), "{said}");
    }
}
