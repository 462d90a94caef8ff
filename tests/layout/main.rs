//! The layout of the sources: no file imports another in a circle.

mod imports;

use std::path::Path;

use imports::Imports;

#[track_caller]
fn assert_no_circle(sources: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(sources);
    let circles = Imports::read(&root).circles();
    assert!(
        circles.is_empty(),
        "files of {sources} import each other in a circle:\n{}",
        circles.join("\n")
    );
}

#[test]
fn no_file_of_the_component_imports_in_a_circle() {
    assert_no_circle("src");
}

#[test]
fn no_file_of_the_host_imports_in_a_circle() {
    assert_no_circle("host/src");
}

#[test]
fn no_file_of_the_command_imports_in_a_circle() {
    assert_no_circle("lro/src");
}

#[test]
fn no_file_of_the_emulator_imports_in_a_circle() {
    assert_no_circle("emulator/src");
}
