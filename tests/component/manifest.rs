//! The manifest, its schema, the catalogue and the WIT inside the built component, held against each
//! other so that none can drift.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use operations_host::{Block, Manifest, outputs_json};
use serde_json::{Value, json};
use wit_component::DecodedWasm;
use wit_parser::{Function, Interface, InterfaceId, Resolve, Type, TypeDefKind, WorldItem};

use crate::block::ask;
use crate::server::{Answer, Server};

/// The most that the component may have, in bytes.
const MAX_COMPONENT: usize = 242_000;

static MANIFEST: LazyLock<Value> = LazyLock::new(|| parse("manifest.json"));
static SCHEMA: LazyLock<Value> = LazyLock::new(|| parse("manifest.schema.json"));

fn root(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}

fn parse(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(root(file)).unwrap()).unwrap()
}

fn list(value: &'static Value) -> &'static [Value] {
    value.as_array().expect("a list")
}

fn text(value: &'static Value) -> &'static str {
    value.as_str().expect("a string")
}

fn is_valid(manifest: &Value) -> bool {
    jsonschema::draft202012::is_valid(&SCHEMA, manifest)
}

// The schema.

#[test]
fn the_manifest_is_valid() {
    assert_eq!(
        SCHEMA["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert!(jsonschema::draft202012::meta::is_valid(&SCHEMA));
    let validator = jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&SCHEMA)
        .unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&MANIFEST)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, [""; 0]);
}

#[test]
fn the_schema_describes_every_property_and_allows_no_other() {
    fn walk(at: &str, schema: &Value, visited: &mut usize) {
        match schema {
            Value::Object(members) => {
                if let Some(properties) = members.get("properties").and_then(Value::as_object)
                    && members.contains_key("required")
                    && members.contains_key("type")
                {
                    assert_eq!(members["additionalProperties"], false, "{at}");
                    for (property, schema) in properties {
                        let described = schema["description"]
                            .as_str()
                            .is_some_and(|text| text.len() > 3);
                        assert!(described, "{at}/properties/{property}");
                        *visited += 1;
                    }
                }
                for (key, value) in members {
                    walk(&format!("{at}/{key}"), value, visited);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| walk(at, value, visited)),
            _ => {}
        }
    }
    let mut visited = 0;
    walk("", &SCHEMA, &mut visited);
    assert!(visited > 50, "{visited} properties");
}

#[test]
fn the_schema_refuses_what_is_no_manifest() {
    type Change = fn(&mut Value);
    let changes: &[(&str, Change)] = &[
        ("a property of its own", |m| m["extra"] = json!(1)),
        ("no version", |m| {
            drop(m.as_object_mut().unwrap().remove("version"))
        }),
        ("a version of two numbers", |m| m["version"] = json!("1.0")),
        ("an icon that is no SVG", |m| m["icon"] = json!("icon.png")),
        ("a path to no component", |m| {
            m["component"]["path"] = json!("block.so")
        }),
        ("no function", |m| {
            drop(m["component"].as_object_mut().unwrap().remove("function"))
        }),
        ("an unknown format", |m| {
            m["outputs"][0]["format"] = json!("TEXT")
        }),
        ("an object without a schema", |m| {
            drop(m["outputs"][2].as_object_mut().unwrap().remove("schema"))
        }),
        ("a schema that is none", |m| {
            m["outputs"][2]["schema"]["type"] = json!("thing")
        }),
        ("an output of another form", |m| {
            m["outputs"][0]["type"] = json!("string")
        }),
        ("no example", |m| {
            drop(m["outputs"][1].as_object_mut().unwrap().remove("example"))
        }),
        ("an unknown type", |m| {
            m["settings"][0]["type"] = json!("list")
        }),
        ("a service without options", |m| {
            drop(m["settings"][0].as_object_mut().unwrap().remove("options"))
        }),
        ("an option without versions", |m| {
            m["settings"][0]["options"][0]["versions"] = json!([])
        }),
        ("an option of another form", |m| {
            m["settings"][0]["options"][0]["id"] = json!(1)
        }),
        ("options of what is no service", |m| {
            m["settings"][1]["options"] = json!([])
        }),
        ("a secret with a default", |m| {
            m["settings"][2]["default"] = json!("x")
        }),
        ("an integer without a maximum", |m| {
            drop(m["settings"][6].as_object_mut().unwrap().remove("maximum"))
        }),
        ("an integer with a text", |m| {
            m["settings"][6]["default"] = json!("60000")
        }),
        ("a number for a text", |m| {
            m["settings"][5]["default"] = json!(1)
        }),
        ("a variable in lower case", |m| {
            m["settings"][5]["variable"] = json!("path")
        }),
        ("another method", |m| {
            m["permissions"]["network"]["methods"] = json!(["POST"])
        }),
        ("a host with a scheme", |m| {
            m["permissions"]["network"]["allowedHosts"][0] = json!("https://x.y")
        }),
        ("a host twice", |m| {
            m["permissions"]["network"]["allowedHosts"] = json!(["a.b", "a.b"])
        }),
        ("an unknown case", |m| {
            m["errors"][0]["case"] = json!("fatal")
        }),
        ("an error without advice", |m| {
            drop(m["errors"][0].as_object_mut().unwrap().remove("whatToDo"))
        }),
        ("a sample without an answer", |m| {
            drop(m["samples"][0].as_object_mut().unwrap().remove("answer"))
        }),
        ("idempotent as a text", |m| m["idempotent"] = json!("true")),
        ("an unknown credential", |m| {
            m["credentials"][0]["kind"] = json!("password")
        }),
    ];
    assert!(is_valid(&MANIFEST));
    for (what, change) in changes {
        let mut changed = MANIFEST.clone();
        change(&mut changed);
        assert_ne!(changed, *MANIFEST, "{what}");
        assert!(!is_valid(&changed), "{what}");
    }
}

#[test]
fn examples_and_samples_fit_the_schemas_of_their_variables() {
    for variable in list(&MANIFEST["outputs"])
        .iter()
        .chain(list(&MANIFEST["inputs"]))
    {
        let name = text(&variable["variable"]);
        let fits = |value: &Value| match &variable["schema"] {
            Value::Null => match text(&variable["format"]) {
                "STRING" => value.is_string(),
                "BOOLEAN" => value.is_boolean(),
                "INTEGER" => value.is_i64(),
                other => panic!("{name}: {other} without a schema"),
            },
            schema => jsonschema::draft202012::is_valid(schema, value),
        };
        assert!(fits(&variable["example"]), "{name}");
        for sample in list(&MANIFEST["samples"]) {
            let value = sample["outputs"].get(name).or(sample["inputs"].get(name));
            let value = value.unwrap_or_else(|| panic!("{name} is in no sample"));
            assert!(value.is_null() || fits(value), "{name}: {value}");
        }
    }
}

// The component.

struct Wit {
    resolve: Resolve,
    operations: InterfaceId,
}

impl Wit {
    /// What the built component says of itself.
    fn of_the_component() -> Wit {
        let DecodedWasm::Component(resolve, world) =
            wit_component::decode(Block::builtin().component()).unwrap()
        else {
            panic!("the block is a component");
        };
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

/// The names of a list of the manifest, in its order.
fn named(part: &str, key: &str) -> Vec<&'static str> {
    list(&MANIFEST[part])
        .iter()
        .map(|entry| text(&entry[key]))
        .collect()
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
    let (_, world) = source.resolve.worlds.iter().next().unwrap();
    assert_eq!(
        (source.resolve.worlds.len(), &*world.name),
        (1, text(&component["world"]))
    );
    assert_eq!((world.exports.len(), world.imports.len()), (1, 0));
}

#[test]
fn the_component_imports_wasi_alone() {
    let DecodedWasm::Component(resolve, world) =
        wit_component::decode(Block::builtin().component()).unwrap()
    else {
        panic!("the block is a component");
    };
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
fn the_wit_of_the_repository_is_that_of_the_component_and_says_each_case() {
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

/// The case of each failure in the golden cases is the one that the manifest gives its reason.
#[test]
fn errors_have_the_case_that_their_failures_carry() {
    let cases: BTreeMap<&str, &str> = list(&MANIFEST["errors"])
        .iter()
        .map(|error| (text(&error["reason"]), text(&error["case"])))
        .collect();
    let mut seen = BTreeSet::new();
    for folder in fs::read_dir(root("tests/cases/failures")).unwrap() {
        let file = folder.unwrap().path().join("expected.json");
        let failure: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let reason = failure["reason"].as_str().unwrap();
        // The one reason with both cases, as its description says.
        let expected = match (reason, failure["httpStatus"].as_u64()) {
            ("service-fault", Some(501)) => "permanent",
            _ => cases[reason],
        };
        assert_eq!(failure["case"], expected, "{}", file.display());
        seen.insert(reason.to_owned());
    }
    // The others have no answer: egress, deadline, limits and settings assert their cases.
    let without_answer = [
        "certificate",
        "connection-lost",
        "invalid-name",
        "invalid-setting",
        "request-denied",
        "too-large",
        "unknown-service",
        "unreachable",
    ];
    let reasons: BTreeSet<&str> = cases.into_keys().collect();
    let expected: BTreeSet<&str> = seen
        .iter()
        .map(String::as_str)
        .chain(without_answer)
        .collect();
    assert_eq!(reasons, expected);
}

// The catalogue.

#[test]
fn services_and_hosts_are_those_of_the_catalogue() {
    let table = fs::read_to_string(root("catalog/services.tsv")).unwrap();
    let mut lines = table
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let columns = lines.next().unwrap();
    let mut options: BTreeMap<String, Value> = BTreeMap::new();
    let mut hosts = BTreeSet::new();
    for line in lines {
        assert_eq!(line.len(), columns.len(), "{line:?}");
        let column = |name: &str| line[columns.iter().position(|column| *column == name).unwrap()];
        let host = column("host");
        let of_locations = column("locations")
            .split_whitespace()
            .map(|at| format!("{at}-{host}"));
        let served_by: Vec<String> = of_locations.chain([host.to_owned()]).collect();
        let option = options
            .entry(column("service").to_owned())
            .or_insert_with(|| {
                json!({
                    "value": column("service"), "label": column("title"),
                    "versions": [], "names": [], "scopes": [], "hosts": [],
                })
            });
        option["versions"]
            .as_array_mut()
            .unwrap()
            .push(column("version").into());
        let words = |name| column(name).split_whitespace().map(str::to_owned).collect();
        let columns = [
            ("names", words("patterns")),
            ("scopes", words("scopes")),
            ("hosts", served_by.clone()),
        ];
        hosts.extend(served_by);
        for (key, more) in columns {
            let words = option[key].as_array_mut().unwrap();
            words.extend(more.into_iter().map(Value::from));
            words.sort_by_key(|word| word.as_str().unwrap().to_owned());
            words.dedup();
        }
    }
    let setting = &list(&MANIFEST["settings"])[0];
    assert_eq!(setting["variable"], "OPERATIONS_SERVICE");
    assert_eq!(setting["options"], options.into_values().collect::<Value>());
    let allowed = &MANIFEST["permissions"]["network"]["allowedHosts"];
    assert_eq!(*allowed, hosts.into_iter().collect::<Value>());

    let pattern = json!({ "pattern": setting["pattern"] });
    for option in list(&setting["options"]) {
        for version in list(&option["versions"]) {
            for service in [
                text(&option["value"]).to_owned(),
                format!("{}/{}", text(&option["value"]), text(version)),
            ] {
                assert!(
                    jsonschema::draft202012::is_valid(&pattern, &json!(service)),
                    "{service}"
                );
            }
        }
    }
    for other in [
        "apigateway",
        "apigateway.googleapis.com/",
        "apigateway.googleapis.com/1",
    ] {
        assert!(
            !jsonschema::draft202012::is_valid(&pattern, &json!(other)),
            "{other}"
        );
    }
}

/// Every service that the manifest offers, in each version, is one that the block knows.
#[tokio::test]
async fn every_option_is_a_service_of_the_block() {
    for option in list(&list(&MANIFEST["settings"])[0]["options"]) {
        let service = text(&option["value"]);
        let name = text(&list(&option["names"])[0])
            .replace("**", "*")
            .replace('*', "made-up");
        for version in list(&option["versions"]) {
            let pinned = format!("{service}/{}", text(version));
            let network = |_| Ok(crate::hooked::ok(r#"{"done":true}"#));
            let settings = [("OPERATIONS_SERVICE", pinned.as_str())];
            let (result, sent) = crate::hooked::call(network, &name, &settings).await;
            assert!(result.is_ok_and(|outputs| outputs.done), "{pinned} {name}");
            let host = sent[0].uri.host().unwrap();
            let allowed = list(&MANIFEST["permissions"]["network"]["allowedHosts"]);
            assert!(
                allowed.iter().any(|allowed| allowed == host),
                "{pinned}: {host}"
            );
        }
    }
}

// The rest.

#[tokio::test]
async fn samples_are_what_the_block_makes_of_their_answers() {
    let manifest = Manifest::builtin();
    let samples = list(&MANIFEST["samples"]);
    for sample in samples {
        let server = Server::always(Answer::operation(sample["answer"].to_string())).await;
        let outputs = ask(&server, text(&sample["inputs"]["name"]), &[])
            .await
            .unwrap();
        let outputs: Value = serde_json::from_str(&outputs_json(&manifest, &outputs)).unwrap();
        assert_eq!(outputs, sample["outputs"], "{}", sample["label"]);
    }
    let labels: Vec<&str> = named("samples", "label");
    for needed in ["running", "succeeded", "failed"] {
        assert!(labels.contains(&needed), "{labels:?}");
    }
}

#[tokio::test]
async fn there_is_one_version() {
    let version = text(&MANIFEST["version"]);
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert!(text(&MANIFEST["component"]["package"]).ends_with(&format!("@{version}")));
    let server = Server::always(Answer::operation(r#"{"done":true}"#)).await;
    ask(&server, "operations/o", &[]).await.unwrap();
    let agent = format!("user-agent: operations-get/{version}");
    assert!(server.request().fields().contains(&agent.as_str()));
}

#[test]
fn the_component_is_small() {
    let size = Block::builtin().component().len();
    assert!(
        size <= MAX_COMPONENT,
        "{size} bytes, and {MAX_COMPONENT} is the limit"
    );
}

#[test]
fn files_that_the_manifest_names_exist() {
    let icon = fs::read_to_string(root(text(&MANIFEST["icon"]))).unwrap();
    assert!(icon.trim_start().starts_with("<svg"), "{icon}");
    assert!(root(text(&MANIFEST["$schema"])).is_file());
}

#[test]
fn credentials_are_the_secret_settings() {
    let secret = list(&MANIFEST["settings"])
        .iter()
        .filter(|setting| setting["secret"] == true)
        .map(|setting| text(&setting["variable"]));
    assert!(secret.eq(named("credentials", "variable")));
    // wire asserts that these fields carry them.
    assert_eq!(
        named("credentials", "header"),
        ["authorization", "x-goog-api-key"]
    );
}
