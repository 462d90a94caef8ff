#!/usr/bin/env bash
# Builds the block and the workflow into components/, where deployment.toml expects them.
# OPERATIONS_GET_COMPONENT names a block that is already built, by its absolute path.
set -euo pipefail
cd "$(dirname "$0")"
. ../testing/tools.sh
need_component
# A workflow has no WASI: it is a core module, which Obelisk makes a component.
rustup --quiet target add wasm32-unknown-unknown
cargo build --quiet --locked --release --manifest-path wait/Cargo.toml --target-dir wait/target \
  --target wasm32-unknown-unknown
mkdir -p components
cp "$OPERATIONS_GET_COMPONENT" components/operations_get.wasm
cp wait/target/wasm32-unknown-unknown/release/operations_wait.wasm components/
