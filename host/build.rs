//! Builds the components that the host embeds, so that one `cargo` command makes all, as wasmtime builds its test
//! programs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// A component of the block: its world is that of its target.
struct World {
    target: &'static str,
    profile: &'static str,
    /// Names one that is already built, by its absolute path.
    built: &'static str,
    /// Where `src/block.rs` finds it.
    wasm: &'static str,
}

const WORLDS: [World; 2] = [
    World {
        target: "wasm32-wasip2",
        profile: "block",
        built: "OPERATIONS_GET_COMPONENT",
        wasm: "OPERATIONS_GET_WASM",
    },
    World {
        target: "wasm32-unknown-unknown",
        profile: "sans-io",
        built: "OPERATIONS_GET_SANS_IO_COMPONENT",
        wasm: "OPERATIONS_GET_SANS_IO_WASM",
    },
];

fn main() {
    for world in WORLDS {
        let built = world.built;
        println!("cargo::rerun-if-env-changed={built}");
        let component = match env::var(built) {
            Ok(path) if !path.is_empty() => already_built(built, PathBuf::from(path)),
            _ => build(&world),
        };
        println!("cargo::rustc-env={}={}", world.wasm, component.display());
    }
}

fn already_built(variable: &str, component: PathBuf) -> PathBuf {
    if !component.is_absolute() || !component.is_file() {
        fail(&format!(
            "{variable} is {}, which must be the absolute path of a built component",
            component.display()
        ));
    }
    println!("cargo::rerun-if-changed={}", component.display());
    component
}

fn build(
    World {
        target, profile, ..
    }: &World,
) -> PathBuf {
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")).join("..");
    for input in [
        "src",
        "wit",
        "catalog",
        "json",
        "build.rs",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    require_target(target);

    let target_dir = PathBuf::from(variable("OUT_DIR")).join("block");
    let mut build = Command::new(variable("CARGO"));
    build
        .current_dir(&root)
        .args(["build", "--quiet", "--package", "operations-get", "--lib"])
        .args(["--target", target, "--profile", profile, "--target-dir"])
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
    // What Rust's own target of components links with: it makes a component of any module with a world.
    let linker = printed(&["--print", "sysroot"]);
    let linker = Path::new(&linker)
        .join("lib/rustlib")
        .join(variable("HOST"))
        .join("bin/wasm-component-ld");
    build.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    // Set but empty, it also overrides flags of a configuration file, such as a linker of the host's.
    build.env("CARGO_ENCODED_RUSTFLAGS", "");
    match build.status() {
        Ok(status) if status.success() => {}
        Ok(_) => fail("the component did not build: see the errors above"),
        Err(error) => fail(&format!(
            "cargo could not be started to build the component: {error}"
        )),
    }

    target_dir
        .join(target)
        .join(profile)
        .join("operations_get.wasm")
}

/// Says what to do where Rust's target for the component is missing. rustup installs it by `rust-toolchain.toml`, unless
/// its automatic installation is switched off.
fn require_target(target: &str) {
    let libdir = printed(&["--print", "target-libdir", "--target", target]);
    if !Path::new(&libdir).is_dir() {
        fail(&format!(
            "the component needs Rust's standard library for {target}. Run `rustup target add {target}`; without \
             rustup, install your distribution's package of it"
        ));
    }
}

/// What the compiler prints; nothing if it fails.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(variable("RUSTC")).args(arguments).output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => String::new(),
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
