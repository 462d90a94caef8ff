//! The manifest against its schema, and the schema against what is no manifest.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::manifest::{MANIFEST, list, parse, text};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| parse("manifest.schema.json"));

fn is_valid(manifest: &Value) -> bool {
    jsonschema::draft202012::is_valid(&SCHEMA, manifest)
}

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
fn the_schema_rejects_what_is_not_a_manifest() {
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
