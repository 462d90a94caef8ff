//! Builds the component that the host embeds, so that one `cargo` command makes both, as wasmtime builds its test
//! programs. `OPERATIONS_GET_COMPONENT` names one that is already built, by its absolute path.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const BUILT: &str = "OPERATIONS_GET_COMPONENT";
const TARGET: &str = "wasm32-wasip2";

fn main() {
    println!("cargo::rerun-if-env-changed={BUILT}");
    let component = match env::var(BUILT) {
        Ok(built) if !built.is_empty() => already_built(PathBuf::from(built)),
        _ => build(),
    };
    println!(
        "cargo::rustc-env=OPERATIONS_GET_WASM={}",
        component.display()
    );
}

fn already_built(component: PathBuf) -> PathBuf {
    if !component.is_absolute() || !component.is_file() {
        fail(&format!(
            "{BUILT} is {}, which must be the absolute path of a built operations_get.wasm",
            component.display()
        ));
    }
    println!("cargo::rerun-if-changed={}", component.display());
    component
}

fn build() -> PathBuf {
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")).join("..");
    for input in [
        "src",
        "wit",
        "catalog",
        "build.rs",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    require_target();

    let target_dir = PathBuf::from(variable("OUT_DIR")).join("block");
    let mut build = Command::new(variable("CARGO"));
    build
        .current_dir(&root)
        .args(["build", "--quiet", "--package", "operations-get", "--lib"])
        .args(["--target", TARGET, "--profile", "block", "--target-dir"])
        .arg(&target_dir);
    // Flags, coverage and clippy of the host's own build are not meant for the component's.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let is_for_the_host = name.starts_with("CARGO_PROFILE_")
            || matches!(
                &*name,
                "CARGO_BUILD_RUSTFLAGS"
                    | "RUSTFLAGS"
                    | "RUSTC_WORKSPACE_WRAPPER"
                    | "CARGO_BUILD_TARGET"
            );
        if is_for_the_host {
            build.env_remove(&*name);
        }
    }
    // Set but empty, it also overrides flags of a configuration file, such as a linker of the host's.
    build.env("CARGO_ENCODED_RUSTFLAGS", "");
    match build.status() {
        Ok(status) if status.success() => {}
        Ok(_) => fail("the component did not build: see the errors above"),
        Err(error) => fail(&format!(
            "cargo could not be started to build the component: {error}"
        )),
    }

    target_dir.join(TARGET).join("block/operations_get.wasm")
}

/// Says what to do where Rust's target for the component is missing. rustup installs it by `rust-toolchain.toml`, unless
/// its automatic installation is switched off.
fn require_target() {
    let libdir = Command::new(variable("RUSTC"))
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let is_installed = libdir.is_ok_and(|printed| {
        let libdir = String::from_utf8_lossy(&printed.stdout);
        printed.status.success() && Path::new(libdir.trim()).is_dir()
    });
    if !is_installed {
        fail(&format!(
            "the component needs Rust's standard library for {TARGET}. Run `rustup target add {TARGET}`; without \
             rustup, install your distribution's package of it"
        ));
    }
}

fn variable(name: &str) -> String {
    match env::var(name) {
        Ok(value) => value,
        Err(error) => fail(&format!(
            "{name}, which cargo sets for build scripts: {error}"
        )),
    }
}

fn fail(why: &str) -> ! {
    println!("cargo::error={why}");
    exit(1);
}
