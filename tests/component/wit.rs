//! The manifest and `wit/` against the WIT inside the built component.

use operations_get::fault::FaultKind;
use operations_host::Block;
use wit_component::DecodedWasm;
use wit_parser::{
    Function, Interface, InterfaceId, Resolve, Type, TypeDefKind, WorldId, WorldItem,
};

use crate::manifest::{MANIFEST, list, named, root, text};

/// The types of the built component, and its world.
pub fn decode() -> (Resolve, WorldId) {
    match wit_component::decode(Block::builtin().component()).unwrap() {
        DecodedWasm::Component(resolve, world) => (resolve, world),
        DecodedWasm::WitPackage(..) => panic!("the block is a component"),
    }
}

struct Wit {
    resolve: Resolve,
    operations: InterfaceId,
}

impl Wit {
    /// What the built component says of itself.
    fn of_the_component() -> Wit {
        let (resolve, world) = decode();
        let exports = &resolve.worlds[world].exports;
        assert_eq!(exports.len(), 1, "{exports:?}");
        let Some(WorldItem::Interface { id, .. }) = exports.values().next() else {
            panic!("the world exports an interface: {exports:?}");
        };
        Wit {
            operations: *id,
            resolve,
        }
    }

    /// `wit/world.wit`, which has the documentation too.
    fn of_the_repository() -> Wit {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(root("wit")).unwrap();
        let operations = resolve.packages[package].interfaces["operations"];
        Wit {
            resolve,
            operations,
        }
    }

    /// The interface of the world without imports.
    fn of_the_exchange() -> Wit {
        let mut wit = Wit::of_the_repository();
        let package = wit.interface().package.unwrap();
        wit.operations = wit.resolve.packages[package].interfaces["exchange"];
        wit
    }

    fn interface(&self) -> &Interface {
        &self.resolve.interfaces[self.operations]
    }

    fn kind(&self, name: &str) -> &TypeDefKind {
        &self.resolve.types[self.interface().types[name]].kind
    }

    fn function(&self) -> &Function {
        let functions = &self.interface().functions;
        assert_eq!(functions.len(), 1, "{functions:?}");
        &functions[0]
    }

    /// The fields of a record, with their types as WIT writes them.
    fn fields(&self, record: &str) -> Vec<(String, String)> {
        let TypeDefKind::Record(record) = self.kind(record) else {
            panic!("{record} is a record");
        };
        let fields = record.fields.iter();
        fields
            .map(|field| (field.name.clone(), self.spelled(&field.ty)))
            .collect()
    }

    /// The cases of an enum or variant, with their payloads.
    fn cases(&self, name: &str) -> Vec<(String, Option<String>)> {
        match self.kind(name) {
            TypeDefKind::Enum(of) => of
                .cases
                .iter()
                .map(|case| (case.name.clone(), None))
                .collect(),
            TypeDefKind::Variant(of) => of
                .cases
                .iter()
                .map(|case| {
                    (
                        case.name.clone(),
                        case.ty.as_ref().map(|ty| self.spelled(ty)),
                    )
                })
                .collect(),
            other => panic!("{name} has cases: {other:?}"),
        }
    }

    fn spelled(&self, of: &Type) -> String {
        let Type::Id(id) = of else {
            return format!("{of:?}").to_ascii_lowercase();
        };
        let definition = &self.resolve.types[*id];
        if let Some(name) = &definition.name {
            return name.clone();
        }
        match &definition.kind {
            TypeDefKind::Option(of) => format!("option<{}>", self.spelled(of)),
            TypeDefKind::List(of) => format!("list<{}>", self.spelled(of)),
            TypeDefKind::Result(result) => {
                let part =
                    |of: &Option<Type>| of.as_ref().map_or("_".into(), |of| self.spelled(of));
                format!("result<{}, {}>", part(&result.ok), part(&result.err))
            }
            other => panic!("a type that this test does not know: {other:?}"),
        }
    }
}

#[test]
fn the_component_is_the_one_that_the_manifest_names() {
    let wit = Wit::of_the_component();
    let component = &MANIFEST["component"];
    let package = wit.interface().package.unwrap();
    assert_eq!(
        wit.resolve.packages[package].name.to_string(),
        text(&component["package"])
    );
    assert_eq!(
        wit.interface().name.as_deref(),
        component["interface"].as_str()
    );
    assert_eq!(wit.function().name, text(&component["function"]));
    assert!(text(&component["path"]).ends_with("/operations_get.wasm"));

    // The component forgets its world's name; the source has one, and no export but the interface.
    let source = Wit::of_the_repository();
    let worlds = &source.resolve.packages[source.interface().package.unwrap()].worlds;
    let world = &source.resolve.worlds[worlds[text(&component["world"])]];
    assert_eq!((world.exports.len(), world.imports.len()), (1, 0));
}

#[test]
fn the_component_imports_nothing_but_wasi() {
    let (resolve, world) = decode();
    for (import, _) in &resolve.worlds[world].imports {
        let import = resolve.name_world_key(import);
        assert!(
            import.starts_with("wasi:") && import.contains("@0.2."),
            "{import}"
        );
        assert!(!import.starts_with("wasi:filesystem"), "{import}");
        assert!(!import.starts_with("wasi:sockets"), "{import}");
    }
}

#[test]
fn the_component_without_imports_has_none_and_exports_its_two_interfaces() {
    let component = Block::sans_io();
    let DecodedWasm::Component(resolve, world) =
        wit_component::decode(component.component()).unwrap()
    else {
        panic!("the block is a component");
    };
    let world = &resolve.worlds[world];
    assert!(world.imports.is_empty(), "{:?}", world.imports);
    let exports = world.exports.keys().map(|key| resolve.name_world_key(key));
    assert_eq!(
        exports.collect::<Vec<_>>(),
        [
            "blocks:google-longrunning/exchange@1.0.0",
            "blocks:google-longrunning/exchange-text@1.0.0",
        ]
    );
}

#[test]
fn both_worlds_have_the_same_outputs_and_failures() {
    let (operations, exchange) = (Wit::of_the_repository(), Wit::of_the_exchange());
    for record in ["member", "outputs", "failure", "service-error"] {
        assert_eq!(
            operations.fields(record),
            exchange.fields(record),
            "{record}"
        );
    }
    for cases in ["get-error", "reason"] {
        assert_eq!(operations.cases(cases), exchange.cases(cases), "{cases}");
    }
}

#[test]
fn every_kind_of_fault_is_known_by_its_name() {
    for (kind, _) in Wit::of_the_exchange().cases("fault-kind") {
        assert!(FaultKind::named(&kind).is_some(), "{kind}");
    }
}

#[test]
fn inputs_are_the_parameters_of_the_function() {
    let wit = Wit::of_the_component();
    let function = wit.function();
    let parameters = function.params.iter();
    let parameters: Vec<(&str, String)> = parameters
        .map(|parameter| (parameter.name.as_str(), wit.spelled(&parameter.ty)))
        .collect();
    assert_eq!(parameters, [("name", "string".to_owned())]);
    assert_eq!(named("inputs", "field"), ["name"]);
    assert_eq!(named("inputs", "format"), ["STRING"]);
    let result = function.result.as_ref().expect("it has a result");
    assert_eq!(wit.spelled(result), "result<outputs, get-error>");
}

#[test]
fn outputs_are_the_fields_of_the_record_in_order() {
    let fields = Wit::of_the_component().fields("outputs");
    assert_eq!(fields.len(), 11);
    let outputs = list(&MANIFEST["outputs"]);
    assert!(
        fields
            .iter()
            .map(|(field, _)| field.as_str())
            .eq(named("outputs", "field"))
    );
    for ((field, of), output) in fields.iter().zip(outputs) {
        let types = match text(&output["format"]) {
            "STRING" => vec!["string", "option<string>"],
            "BOOLEAN" => vec!["bool"],
            "INTEGER" => vec!["option<s32>"],
            "OBJECT" => vec!["option<json>", "list<json>"],
            "ANY" => vec!["list<member>", "list<list<member>>"],
            other => panic!("{field}: unknown format {other}"),
        };
        assert!(
            types.contains(&of.as_str()),
            "{field}: {of} is none of {types:?}"
        );
        // The variable is the field: error.details[].customKey.value, error-details-custom-key-value.
        let mut spelled = String::new();
        for c in text(&output["variable"]).chars() {
            match c {
                '.' => spelled.push('-'),
                '[' | ']' => {}
                c if c.is_ascii_uppercase() => spelled.extend(['-', c.to_ascii_lowercase()]),
                c => spelled.push(c),
            }
        }
        assert_eq!(spelled, *field);
        // A list in WIT is a list in the variable's schema.
        let is_list = of.starts_with("list<") && of != "list<member>";
        assert_eq!(output["schema"]["type"] == "array", is_list, "{field}");
    }
    let member = [("key", "string"), ("value", "json")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(Wit::of_the_component().fields("member"), member);
}

#[test]
fn errors_are_the_reasons_in_order() {
    let wit = Wit::of_the_component();
    let cases = wit.cases("reason");
    assert!(
        cases
            .iter()
            .map(|(case, _)| case.as_str())
            .eq(named("errors", "reason"))
    );
    let failure = || Some("failure".to_owned());
    let expected = [
        ("permanent".to_owned(), failure()),
        ("transient".to_owned(), failure()),
        ("execution-failed".to_owned(), None),
    ];
    assert_eq!(wit.cases("get-error"), expected);
    let failure = [
        ("reason", "reason"),
        ("message", "string"),
        ("http-status", "option<u16>"),
        ("service-error", "option<service-error>"),
        ("retry-after-ms", "option<u32>"),
        ("concerns-caller", "bool"),
    ];
    assert_eq!(
        wit.fields("failure"),
        failure.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
    let service_error = [
        ("code", "s32"),
        ("status", "string"),
        ("message", "string"),
        ("details", "list<json>"),
        ("error", "json"),
    ];
    assert_eq!(
        wit.fields("service-error"),
        service_error.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
}

#[test]
fn the_wit_of_the_repository_is_the_components_and_documents_every_item() {
    let (built, source) = (Wit::of_the_component(), Wit::of_the_repository());
    for record in ["outputs", "member", "failure", "service-error"] {
        assert_eq!(source.fields(record), built.fields(record));
    }
    for cases in ["reason", "get-error"] {
        assert_eq!(source.cases(cases), built.cases(cases));
    }
    let documented =
        |docs: &wit_parser::Docs| docs.contents.as_ref().is_some_and(|text| text.len() > 9);
    for (name, id) in &source.interface().types {
        let definition = &source.resolve.types[*id];
        assert!(documented(&definition.docs), "{name}");
        let parts: Vec<(&String, &wit_parser::Docs)> = match &definition.kind {
            TypeDefKind::Record(of) => of
                .fields
                .iter()
                .map(|field| (&field.name, &field.docs))
                .collect(),
            TypeDefKind::Enum(of) => of
                .cases
                .iter()
                .map(|case| (&case.name, &case.docs))
                .collect(),
            TypeDefKind::Variant(of) => of
                .cases
                .iter()
                .map(|case| (&case.name, &case.docs))
                .collect(),
            _ => Vec::new(),
        };
        for (part, docs) in parts {
            assert!(documented(docs), "{name}.{part}");
        }
    }
    assert!(documented(&source.function().docs));
    let TypeDefKind::Enum(reasons) = source.kind("reason") else {
        panic!("reason is an enum");
    };
    for (reason, error) in reasons.cases.iter().zip(list(&MANIFEST["errors"])) {
        let docs = reason.docs.contents.as_deref().unwrap_or_default();
        let (case, _) = docs.split_once(':').unwrap_or_default();
        assert_eq!(case, text(&error["case"]), "{}", reason.name);
    }
}
