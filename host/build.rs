//! Builds the component that the host embeds, so that one `cargo` command makes both, as wasmtime
//! builds its test programs.

use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::{env, fs};

const TARGET: &str = "wasm32-wasip2";

fn main() {
    let root = Path::new(&variable("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default();
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
    ensure_target();

    let target_dir = PathBuf::from(variable("OUT_DIR")).join("block");
    let mut build = Command::new(variable("CARGO"));
    build
        .current_dir(&root)
        .args(["build", "--quiet", "--package", "operations-get", "--lib"])
        .args(["--target", TARGET, "--profile", "block", "--target-dir"])
        .arg(&target_dir);
    // What was set for the host's own build is not meant for the component's: flags, coverage, clippy.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let of_the_host = name.starts_with("CARGO_PROFILE_")
            || matches!(
                &*name,
                "CARGO_BUILD_RUSTFLAGS"
                    | "RUSTFLAGS"
                    | "RUSTC_WORKSPACE_WRAPPER"
                    | "CARGO_BUILD_TARGET"
            );
        if of_the_host {
            build.env_remove(&*name);
        }
    }
    // Set but empty, it also keeps flags of a configuration file away, such as a linker of the host's.
    build.env("CARGO_ENCODED_RUSTFLAGS", "");
    match build.status() {
        Ok(status) if status.success() => {}
        Ok(_) => fail("the component did not build: see the errors above"),
        Err(error) => fail(&format!(
            "cargo could not be started to build the component: {error}"
        )),
    }

    let built = target_dir.join(TARGET).join("block/operations_get.wasm");
    let block = PathBuf::from(variable("OUT_DIR")).join("operations_get.wasm");
    if let Err(error) = fs::copy(&built, &block) {
        fail(&format!(
            "the component is not at {}: {error}",
            built.display()
        ));
    }
    println!("cargo::rustc-env=OPERATIONS_GET_WASM={}", block.display());
}

/// Adds the target where it is missing: rustup's automatic install can be switched off.
fn ensure_target() {
    let rustc = variable("RUSTC");
    let libdir = Command::new(&rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    if let Ok(output) = libdir {
        let libdir = String::from_utf8_lossy(&output.stdout);
        if output.status.success() && Path::new(libdir.trim()).is_dir() {
            return;
        }
    }
    match Command::new("rustup")
        .args(["target", "add", TARGET])
        .status()
    {
        Ok(status) if status.success() => {}
        Ok(_) => fail(&format!(
            "`rustup target add {TARGET}` failed: see its error above"
        )),
        Err(_) => fail(&format!(
            "the component needs Rust's target {TARGET}, and rustup, which adds it, is not installed. \
             Install rustup from https://rustup.rs, or your distribution's package of Rust's standard \
             library for {TARGET}"
        )),
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
